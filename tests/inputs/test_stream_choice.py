"""Files that hold more than one video: covers, thumbnails and small copies are not followed."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.sources import VideoFileSource

Part = tuple[str, tuple[int, int], int, Disposition]
"""Codec, size, number of pictures, disposition."""

MAIN: Part = ("mpeg4", (160, 120), 12, Disposition.default)
COVER: Part = ("mjpeg", (300, 300), 1, Disposition.attached_pic)
NONE = Disposition(0)


def write(path: Path, *parts: Part) -> Path:
    with av.open(str(path), "w") as container:
        streams = []
        for codec, size, count, disposition in parts:
            stream = container.add_stream(codec, rate=10)
            stream.width, stream.height = size
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.disposition = disposition
            streams.append((stream, size, count))
        for number in range(max(count for _, _, count in streams)):
            for stream, (width, height), count in streams:
                if number < count:
                    frame = av.VideoFrame.from_ndarray(
                        np.full((height, width, 3), 20 * number, np.uint8), format="bgr24"
                    )
                    frame.pts = number
                    container.mux(stream.encode(frame))
        for stream, _, _ in streams:
            container.mux(stream.encode())
    return path


def read(path: Path, **settings: object) -> tuple[int, tuple[int, int], list[str]]:
    with VideoFileSource(CameraConfig(name="cam", uri=str(path), **settings)) as source:
        frames = list(source)
        return len(frames), frames[0].size, list(source.warnings)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("cover_first.mp4", [COVER, MAIN]),
        ("cover_second.mp4", [MAIN, COVER]),
        ("cover_first.mkv", [(*COVER[:3], NONE), MAIN]),
        ("cover_as_a_default_track.mkv", [(*COVER[:3], Disposition.default), MAIN]),
        ("nothing_is_marked.mkv", [("mjpeg", (300, 300), 1, NONE), (*MAIN[:3], NONE)]),
    ],
)
def test_covers_are_no_videos(tmp_path: Path, name: str, parts: list[Part]) -> None:
    assert read(write(tmp_path / name, *parts)) == (12, (160, 120), [])


@pytest.mark.parametrize(
    ("name", "parts", "size"),
    [
        ("default.mkv", [("mpeg4", (320, 240), 12, NONE), MAIN], (160, 120)),
        ("largest.mkv", [("mpeg4", (80, 60), 6, Disposition.default), MAIN], (160, 120)),
        ("first.mkv", [MAIN, ("mpeg4", (160, 120), 5, Disposition.default)], (160, 120)),
        ("largest.ts", [("mpeg4", (80, 60), 12, NONE), (*MAIN[:3], NONE)], (160, 120)),
    ],
)
def test_of_several_videos_the_default_then_the_largest(
    tmp_path: Path, name: str, parts: list[Part], size: tuple[int, int]
) -> None:
    frames, shown, warnings = read(write(tmp_path / name, *parts))
    assert (frames, shown) == (12, size)
    assert len(warnings) == 1
    assert "(used)" in warnings[0]


def test_a_stream_can_be_chosen(tmp_path: Path) -> None:
    path = write(tmp_path / "two.mkv", ("mpeg4", (80, 60), 6, NONE), MAIN)
    assert read(path, stream=0) == (6, (80, 60), [])
    assert read(path, stream=1) == (12, (160, 120), [])
    with pytest.raises(SourceError, match=r"no video stream 2: 0: mpeg4 80x60, 1: mpeg4 160x120"):
        read(path, stream=2)


def test_a_song_with_a_cover_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=8000)
        cover = container.add_stream("mjpeg", rate=10)
        cover.width = cover.height = 64
        cover.pix_fmt, cover.disposition = "yuvj420p", Disposition.attached_pic
        for number in range(10):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, 1024 * number
            container.mux(sound.encode(frame))
        container.mux(cover.encode(av.VideoFrame(64, 64, "yuvj420p")))
        container.mux(cover.encode())
        container.mux(sound.encode())
    with pytest.raises(SourceError, match="only a cover picture"):
        VideoFileSource(CameraConfig(name="cam", uri=str(path)))
