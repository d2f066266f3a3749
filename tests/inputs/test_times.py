"""Capture times of recordings as other programs write them. The right values are those of the same pictures in plain
form."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from streamreid.config import CameraConfig
from streamreid.sources import FrameSource, open_source
from streamreid.types import Frame
from tests.inputs.media import (
    encode,
    ffmpeg,
    mpegts,
    packet_data,
    pictures_of,
    remux,
    steps,
    with_stamp,
    without_stamps,
)

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the ffmpeg program")

HOUR = 3600.0
WRAP = 2**33 / 90_000


def read(path: Path | str, **settings: object) -> tuple[list[Frame], FrameSource]:
    with open_source(CameraConfig(name="cam", uri=str(path), **settings)) as source:
        return list(source), source


def times(frames: list[Frame]) -> list[float]:
    return [frame.time for frame in frames]


# ---------------------------------------------------------------- AVI


@pytest.mark.parametrize(("codec", "options"), [("libx264", {"bf": "3"}), ("mpeg4", {"bf": "2"})])
def test_avi_with_b_frames_has_even_times(tmp_path: Path, codec: str, options: dict[str, str]) -> None:
    frames, source = read(encode(tmp_path / "a.avi", codec=codec, **options))
    assert pictures_of(f.image for f in frames) == [n % 28 for n in range(40)]
    np.testing.assert_allclose(times(frames), np.arange(40) / 10, atol=1e-6)
    assert source.warnings == []
    assert source.expected_frames == 40


def test_avi_cut_without_encoding_is_whole(tmp_path: Path) -> None:
    whole = encode(tmp_path / "a.mp4", 60, fps=25, tick=600, g="25", bf="3")
    frames, source = read(remux(whole, tmp_path / "cut.avi", "-ss", 1))
    numbers = pictures_of(f.image for f in frames)
    assert numbers == [(numbers[0] + n) % 28 for n in range(len(frames))]
    assert 34 <= len(frames) <= 36, "from the key frame at 1 s on, which AVI cannot hide"
    np.testing.assert_allclose(times(frames), np.arange(len(frames)) / 25, atol=1 / 600)
    assert source.warnings == []
    assert source.expected_frames == len(frames)


def test_avi_of_which_a_picture_was_left_out_keeps_its_times(tmp_path: Path) -> None:
    stamps = [0.0, 0.1, 0.2, 0.3, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3]
    frames, source = read(encode(tmp_path / "a.avi", 10, codec="mpeg4", stamps=stamps))
    np.testing.assert_allclose(times(frames), stamps, atol=1e-6)
    assert source.warnings == []


def test_avi_that_lost_a_packet_goes_on_in_time(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.avi", 60, bf="2", g="10")
    data = bytearray(path.read_bytes())
    places = [at for at in range(len(data)) if data[at : at + 4] == b"00dc" and at < data.rfind(b"idx1")]
    (size,) = struct.unpack_from("<I", data, places[22] + 4)
    data[places[22] + 8 : places[22] + 8 + size] = b"\xff" * size
    path.write_bytes(data)
    frames, _ = read(path)
    assert times(frames)[-1] == pytest.approx(5.9), "what is lost takes no time from the pictures behind it"


def test_avi_whose_index_points_anywhere_is_read_from_front_to_back(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.avi", codec="mjpeg")
    data = bytearray(path.read_bytes())
    index = data.rfind(b"idx1")
    dice = np.random.default_rng(1)
    for at in range(index + 16, len(data) - 15, 16):
        struct.pack_into("<I", data, at, int(dice.integers(1 << 24)))
    path.write_bytes(data)
    frames, source = read(path)
    assert pictures_of(f.image for f in frames) == [n % 28 for n in range(40)]
    np.testing.assert_allclose(times(frames), np.arange(40) / 10, atol=1e-6)
    assert source.warnings == []


# ---------------------------------------------------------------- MP4


def test_variable_rate_is_not_its_tick(tmp_path: Path) -> None:
    stamps = [n / 10 if n < 20 else 2 + (n - 20) / 4 for n in range(40)]
    path = encode(tmp_path / "a.mp4", stamps=stamps, tick=600)
    frames, source = read(path)
    np.testing.assert_allclose(times(frames), stamps, atol=1 / 600)
    assert source.expected_frames == 40
    late, source = read(path, start=2)
    assert [f.index for f in late] == list(range(20, 40))
    assert source.expected_frames == 20


def test_pictures_that_an_edit_list_hides_are_not_expected(tmp_path: Path) -> None:
    whole = encode(tmp_path / "a.mp4", bf="3", g="40")
    frames, source = read(remux(whole, tmp_path / "cut.mp4", "-ss", 1.25))
    assert pictures_of(f.image for f in frames) == [n % 28 for n in range(13, 40)]
    assert source.expected_frames == len(frames)
    assert source.warnings == []


# ---------------------------------------------------------------- MPEG-TS


@pytest.mark.parametrize(
    ("first", "second"),
    [(HOUR, 1.0), (HOUR, 13 * HOUR), (HOUR, HOUR), (HOUR, HOUR + 1.0), (WRAP - 1, 1.0)],
    ids=["restart", "12 h later", "same again", "back by a second", "restart at the wrap"],
)
def test_an_encoder_that_restarts_goes_on(tmp_path: Path, first: float, second: float) -> None:
    path = tmp_path / "both.ts"
    path.write_bytes(mpegts(tmp_path / "a.ts", first) + mpegts(tmp_path / "b.ts", second))
    frames, source = read(path)
    assert pictures_of(f.image for f in frames) == [*range(20), *range(20)]
    np.testing.assert_allclose(times(frames), np.arange(40) / 10, atol=1e-3)
    assert any("jumped once" in w for w in source.warnings) == (first < WRAP - 2)


def test_the_clock_of_a_transport_stream_wraps(tmp_path: Path) -> None:
    path = tmp_path / "wrap.ts"
    mpegts(path, WRAP - 1)
    frames, source = read(path)
    np.testing.assert_allclose(times(frames), np.arange(20) / 10, atol=1e-3)
    assert source.warnings == []


@pytest.mark.parametrize("shift", [36_000.0, 30.0, 5.0, -0.55, -5.0, -20_000.0])
@pytest.mark.parametrize("number", [0, 10, 19])
def test_one_wrong_stamp_moves_only_itself(tmp_path: Path, shift: float, number: int) -> None:
    path = tmp_path / "wild.ts"
    path.write_bytes(with_stamp(mpegts(tmp_path / "a.ts", 36_000), number, shift))
    frames, source = read(path)
    others = [n for n in range(20) if n != number]
    if number == 0 or (number == 19 and 0 < shift < 10):
        # At an end nothing tells a wrong stamp from a gap; the distances of the others stay.
        others = [n for n in others if n > 1]
        np.testing.assert_allclose(steps(times(frames)[n] for n in others), 0.1, atol=1e-3)
    else:
        np.testing.assert_allclose([times(frames)[n] for n in others], np.array(others) / 10, atol=1e-3)
        assert times(frames)[number] == pytest.approx(number / 10, abs=0.06)
        assert len(source.warnings) == 1 or number == 19


def test_stamps_on_every_second_picture_are_enough(tmp_path: Path) -> None:
    path = tmp_path / "few.ts"
    path.write_bytes(without_stamps(mpegts(tmp_path / "a.ts", 100)))
    frames, source = read(path)
    np.testing.assert_allclose(times(frames), np.arange(20) / 10, atol=1e-3)
    assert source.warnings == []


def test_a_gap_in_other_formats_is_a_gap(tmp_path: Path) -> None:
    stamps = [0.0, 0.1, 0.2, 60.0, 60.1, 7200.0, 7200.1]
    frames, source = read(encode(tmp_path / "a.mkv", 7, stamps=stamps, tick=1000))
    np.testing.assert_allclose(times(frames), stamps, atol=1e-3)
    assert source.warnings == []


# ---------------------------------------------------------------- beginnings


@pytest.mark.parametrize("name", ["mid.ts", "mid.avi", "mid.264"])
def test_what_cannot_be_decoded_at_the_beginning_takes_time(tmp_path: Path, name: str) -> None:
    whole = encode(tmp_path / "whole.mp4", 60, g="20", bf="0", sc_threshold="0")
    path = tmp_path / name
    if name.endswith(".ts"):
        ffmpeg("-i", whole, "-c", "copy", "-f", "mpegts", path)
        data = path.read_bytes()
        path.write_bytes(data[: 3 * 188] + data[packet_data(data)[5] // 188 * 188 :])
    else:
        remux(whole, tmp_path / "whole.264")
        data = (tmp_path / "whole.264").read_bytes()
        units = [at - 1 for at in range(1, len(data)) if data[at : at + 3] == b"\0\0\1" and data[at + 3] & 31 in (1, 5)]
        (tmp_path / "mid.264").write_bytes(data[: units[0]] + data[units[5] :])
        if name.endswith(".avi"):
            ffmpeg("-r", 10, "-i", tmp_path / "mid.264", "-c", "copy", "-copyinkf", path)
    frames, source = read(path)
    assert pictures_of(f.image for f in frames)[0] == 20
    # The pictures 5 to 19 are there, but what they were predicted from is not.
    np.testing.assert_allclose(times(frames), 1.5 + np.arange(40) / 10, atol=1e-3)
    assert "the recording begins between key frames: its first 1.5 s cannot be decoded" in source.warnings
    assert not any("ends early" in w for w in source.warnings)
    late, _ = read(path, start=2)
    assert times(late)[0] == pytest.approx(2.0, abs=1e-3)


# ---------------------------------------------------------------- raw streams


@pytest.mark.parametrize(("name", "codec"), [("a.mjpeg", "mjpeg"), ("a.264", "libx264"), ("a.265", "libx265")])
def test_raw_streams_take_the_rate_that_is_given(tmp_path: Path, name: str, codec: str) -> None:
    frames, source = read(encode(tmp_path / name, 20, codec=codec), fps=8)
    np.testing.assert_allclose(times(frames), np.arange(20) / 8)
    assert {f.clock for f in frames} == {"rate"}
    assert source.warnings == []


@pytest.mark.parametrize(
    ("name", "codec", "tick", "rate"),
    [
        ("a.mjpeg", "mjpeg", None, 25),
        ("a.264", "libx264", None, 10),
        ("a.264", "libx264", 600, 25),
        ("a.m2v", "mpeg2video", None, 10),
    ],
)
def test_a_guessed_rate_is_said(tmp_path: Path, name: str, codec: str, tick: int | None, rate: int) -> None:
    fps = 25 if codec == "mpeg2video" else 10
    frames, source = read(encode(tmp_path / name, 20, codec=codec, tick=tick, fps=fps))
    np.testing.assert_allclose(times(frames), np.arange(20) / (25 if codec == "mpeg2video" else rate), atol=1e-9)
    guessed = codec == "mjpeg" or tick is not None
    assert [("25 are assumed" in w and "fps" in w) for w in source.warnings] == [True] * guessed
