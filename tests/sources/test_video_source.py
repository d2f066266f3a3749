"""Video files: lossless, with the times they were written with, and as much as possible of damaged ones."""

from __future__ import annotations

import gc
import struct
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.sources import FrameSource, VideoFileSource, open_source
from streamreid.types import Frame


def read(path: Path | str, **settings: object) -> tuple[list[Frame], VideoFileSource]:
    with VideoFileSource(CameraConfig(name="cam", uri=str(path), **settings)) as source:
        frames = list(source)
    times = [f.time for f in frames]
    assert times == sorted(set(times)), "times strictly increase"
    return frames, source


def numbers(frames: list[Frame]) -> list[int]:
    """The number, modulo 28, that is written into each picture as the brightness of its left half."""
    return [round((float(np.median(f.image[8:-8, 8 : f.image.shape[1] // 2 - 8])) - 20) / 8) for f in frames]


@pytest.mark.parametrize(
    ("file", "count", "size", "last_time", "clock"),
    [
        ("video/vtest.avi", 795, (768, 576), 79.4, "pts"),
        ("multicam/pets_s2l1/cam001.mp4", 101, (768, 576), 10.0, "pts"),
        # The H.264 stream itself says 12 frames per second; FFmpeg's guess is 24 or 25.
        ("video/people-detection.264", 596, (768, 432), 595 / 12, "rate"),
    ],
)
def test_real_videos_are_read_completely(
    shared: Path, file: str, count: int, size: tuple[int, int], last_time: float, clock: str
) -> None:
    frames, source = [], VideoFileSource(CameraConfig(name="cam", uri=str(shared / "data" / file)))
    for frame in source:
        assert frame.size == size
        frames.append((frame.index, frame.time, frame.clock))
    source.close()
    assert [f[0] for f in frames] == list(range(count))
    assert frames[0][1] == 0.0
    assert frames[-1][1] == pytest.approx(last_time, abs=1e-6)
    assert {f[2] for f in frames} == {clock}
    assert source.warnings == []
    assert source.expected_frames in (count, None)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.mp4", "mpeg4"),
        ("a.mkv", "libx264"),
        ("a.ts", "libx264"),
        ("a.avi", "mpeg4"),
        ("a.h264", "libx264"),
    ],
)
def test_every_picture_once_and_in_order(make_video, name: str, codec: str) -> None:
    # libx264 reorders pictures: the last ones only come when the decoder is drained.
    frames, source = read(make_video(name, frames=25, codec=codec))
    assert numbers(frames) == list(range(25))
    assert [f.index for f in frames] == list(range(25))
    np.testing.assert_allclose([f.time for f in frames], np.arange(25) / 10, atol=1e-6)
    assert source.warnings == []
    assert {f.clock for f in frames} == {"rate" if name.endswith("h264") else "pts"}


def test_frames_are_bgr_with_owned_memory(make_video) -> None:
    frames, _ = read(make_video("a.mp4", frames=5, size=(322, 242)))
    assert all(f.image.flags.c_contiguous and f.image.shape == (242, 322, 3) for f in frames)
    kept = frames[0].image.copy()
    del frames[1:]
    gc.collect()
    np.testing.assert_array_equal(frames[0].image, kept)


def test_colours_are_blue_green_red(tmp_path: Path) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., 0] = 255
    with av.open(str(tmp_path / "blue.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())
    frames, _ = read(tmp_path / "blue.mp4")
    blue, green, red = frames[0].image.reshape(-1, 3).mean(0)
    assert blue > 200
    assert green < 50
    assert red < 50


def test_pictures_are_those_that_opencv_reads(shared: Path) -> None:
    # Detectors were trained and are measured on what OpenCV decodes.
    path = shared / "data/video/vtest.avi"
    capture = cv2.VideoCapture(str(path))
    for frame in VideoFileSource(CameraConfig(name="cam", uri=str(path), frames=20)):
        ok, image = capture.read()
        assert ok
        assert np.abs(frame.image.astype(int) - image).mean() < 0.5


def test_variable_frame_rate_keeps_its_times(make_video) -> None:
    pts = [0, 40, 80, 500, 540, 2000, 2033, 2066, 9000]
    frames, _ = read(make_video("v.mkv", frames=9, pts=pts, codec="libx264"), offset=100)
    np.testing.assert_allclose([f.time for f in frames], 100 + np.array(pts) / 1000, atol=1e-3)


def test_offset_is_added_to_the_first_time_stamp_not_to_its_value(make_video) -> None:
    frames, _ = read(make_video("late.mkv", frames=5, pts=[5000, 5100, 5200, 5300, 5400]), offset=7.5)
    np.testing.assert_allclose([f.time for f in frames], [7.5, 7.6, 7.7, 7.8, 7.9], atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "indices"),
    [
        ({"stride": 7}, [0, 7, 14]),
        ({"start": 0.5}, list(range(5, 20))),
        ({"frames": 3}, [0, 1, 2]),
        ({"start": 0.5, "stride": 4, "frames": 3}, [5, 9, 13]),
        ({"repeat": 3, "stride": 15}, [0, 15, 30, 45]),
        ({"repeat": 2, "start": 1.7}, [17, 18, 19, 37, 38, 39]),
        ({"repeat": 5, "frames": 45, "stride": 2}, list(range(0, 90, 2))),
    ],
)
def test_choice_of_frames(make_video, settings: dict[str, float], indices: list[int]) -> None:
    frames, source = read(make_video("a.mp4", frames=20), **settings)
    assert [f.index for f in frames] == indices
    np.testing.assert_allclose([f.time for f in frames], np.array(indices) / 10, atol=1e-6)
    assert source.expected_frames == len(indices)


def test_raw_stream_takes_the_configured_rate(make_video) -> None:
    frames, _ = read(make_video("a.h264", frames=6, codec="libx264"), fps=4)
    np.testing.assert_allclose([f.time for f in frames], np.arange(6) / 4)


def test_configured_rate_does_not_override_time_stamps(make_video) -> None:
    frames, _ = read(make_video("a.mp4", frames=6), fps=4)
    np.testing.assert_allclose([f.time for f in frames], np.arange(6) / 10)


def test_source_can_be_read_again_and_fits_the_protocol(make_video) -> None:
    source = VideoFileSource(CameraConfig(name="cam", uri=str(make_video("a.mp4", frames=6))))
    assert isinstance(source, FrameSource)
    assert not source.live
    assert [f.index for f in source] == [f.index for f in source] == list(range(6))
    source.close()
    source.close()
    assert list(source) == []


def test_close_while_reading_ends_the_iterator(make_video) -> None:
    source = VideoFileSource(CameraConfig(name="cam", uri=str(make_video("a.mp4", frames=20))))
    seen = 0
    for _ in source:
        seen += 1
        if seen == 5:
            source.close()
    assert seen == 5


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mp4", "mpeg4"), ("a.avi", "mpeg4"), ("a.avi", "libx264"), ("a.mkv", "libx264")],
)
def test_file_that_ends_in_the_middle_of_a_frame(make_video, name: str, codec: str) -> None:
    path = make_video(name, frames=60, codec=codec)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.6) + 3])
    frames, source = read(path)
    assert 10 <= len(frames) < 60
    assert numbers(frames)[: len(frames) - 3] == [i % 28 for i in range(len(frames) - 3)]
    assert any("ends early" in w or "middle of a picture" in w for w in source.warnings)


def test_raw_stream_that_ends_in_the_middle_of_a_frame(make_video) -> None:
    # Nothing in a raw stream says how long it should be, so a warning is possible but not certain.
    path = make_video("a.h264", frames=60, codec="libx264")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.6) + 3])
    frames, _ = read(path)
    assert 10 <= len(frames) < 60
    assert numbers(frames)[:-3] == [i % 28 for i in range(len(frames) - 3)]


def test_mp4_cut_off_before_its_index_is_an_error_at_open(make_video, tmp_path: Path) -> None:
    # Without "faststart" the index comes last: nothing can be read.
    data = make_video("a.mov", frames=60).read_bytes()
    (tmp_path / "cut.mov").write_bytes(data[: len(data) // 2])
    with pytest.raises(SourceError, match=r"cam.*cut\.mov.*not a readable video"):
        read(tmp_path / "cut.mov")


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mp4", "mpeg4"), ("a.avi", "mpeg4"), ("a.ts", "libx264")]
)
def test_garbage_in_the_middle_is_skipped_and_the_rest_delivered(make_video, name: str, codec: str) -> None:
    path = make_video(name, frames=60, codec=codec)
    data = bytearray(path.read_bytes())
    middle, length = len(data) // 2, len(data) // 25
    data[middle : middle + length] = np.random.default_rng(1).integers(0, 256, length, np.uint8).tobytes()
    path.write_bytes(data)
    frames, source = read(path)
    assert len(frames) >= 40
    assert frames[-1].time >= 5.0, "the frames behind the garbage came, at their own times"
    assert source.warnings


def test_frame_size_changes_in_mid_stream(make_video, tmp_path: Path) -> None:
    first, second = (
        make_video("1.h264", frames=10, codec="libx264"),
        make_video("2.h264", frames=10, codec="libx264", size=(96, 64)),
    )
    (tmp_path / "both.h264").write_bytes(first.read_bytes() + second.read_bytes())
    frames, source = read(tmp_path / "both.h264")
    assert [f.size for f in frames] == [(160, 120)] * 10 + [(96, 64)] * 10
    assert source.warnings == ["frame size changed from 160x120 to 96x64 at frame 10"]


def test_repeated_time_stamps_are_repaired(make_video, tmp_path: Path) -> None:
    # MPEG-TS files put one behind the other: the time stamps start again.
    part = make_video("p.ts", frames=20, codec="libx264").read_bytes()
    (tmp_path / "joined.ts").write_bytes(part + part)
    frames, source = read(tmp_path / "joined.ts")
    assert len(frames) == 40
    assert frames[-1].time == pytest.approx(3.9, abs=0.5)
    assert any("time stamp" in w for w in source.warnings)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_phone_videos_are_turned_upright(make_video, turn: int) -> None:
    path = make_video("phone.mp4", frames=3, size=(160, 120))
    data = bytearray(path.read_bytes())
    # QuickTime: x' = a x + c y, y' = b x + d y in a track header's matrix (a, b, u, c, d, v, tx, ty, w), 16.16 fixed
    # point.
    a, b, c, d = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[turn]
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    (frame, *_), _ = read(path)
    (plain, *_), _ = read(make_video("plain.mp4", frames=3, size=(160, 120)))
    np.testing.assert_array_equal(frame.image, np.rot90(plain.image, -turn // 90))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.mp4", b"", "empty"),
        ("text.mp4", b"these are words, not pictures\n" * 40, "not a readable video"),
        ("words.txt", b"these are words, not pictures\n" * 40, "a text file has no pictures"),
        ("words.nfo", b"these are words, not pictures\n" * 40, "not a video"),
        ("words.h264", b"these are words, not pictures\n" * 40, "not a"),
        ("noise.avi", np.random.default_rng(0).integers(0, 256, 50_000, np.uint8).tobytes(), "not a readable video"),
    ],
)
def test_files_that_are_no_videos_fail_at_open(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message) as error:
        open_source(CameraConfig(name="gate", uri=str(tmp_path / name)))
    assert "gate" in str(error.value)
    assert name in str(error.value)


def test_missing_file_fails_at_open(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gate.*nowhere\.mp4.*no such file"):
        open_source(CameraConfig(name="gate", uri=str(tmp_path / "nowhere.mp4")))


def test_sound_without_pictures_fails_at_open(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(SourceError, match="no video, only audio"):
        open_source(CameraConfig(name="cam", uri=str(tmp_path / "sound.mp4")))


def test_start_behind_the_end_says_how_long_the_video_is(make_video) -> None:
    with pytest.raises(SourceError, match=r"start: 50.*2\.0 s"):
        read(make_video("a.mp4", frames=20), start=50)


def test_video_whose_pictures_are_all_damaged_is_an_error(make_video) -> None:
    path = make_video("a.mkv", frames=20, codec="libx264")
    with av.open(str(path)) as container:
        first = next(p for p in container.demux(video=0) if p.size).pos
    data = path.read_bytes()
    path.write_bytes(data[:first] + bytes(len(data) - first))
    with pytest.raises(SourceError, match="no picture could be decoded"):
        read(path)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory in use from /proc")
def test_memory_stays_flat_over_thousands_of_loops(make_video) -> None:
    def resident() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    source = VideoFileSource(CameraConfig(name="cam", uri=str(make_video("a.mp4", frames=4)), repeat=3000))
    usage = {}
    for frame in source:
        if frame.index in (2000, 11_999):
            usage[frame.index] = resident()
    assert frame.index == 11_999
    assert frame.time == pytest.approx(1199.9)
    assert usage[11_999] - usage[2000] < 5e6, "a leak of 2 kB per loop would be seen"


def test_no_picture_waits_for_the_garbage_collector(make_video) -> None:
    """Python collects circles by how many objects there are; a few hundred pictures in them are gigabytes."""
    path = make_video("a.avi", frames=30)
    gc.collect()
    gc.disable()
    try:
        with VideoFileSource(CameraConfig(name="cam", uri=str(path), repeat=3)) as source:
            assert sum(1 for _ in source) == 90
        assert gc.collect() < 30
    finally:
        gc.enable()
