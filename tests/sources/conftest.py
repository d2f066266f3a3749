"""Tiny videos, written anew for each test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

MakeVideo = Callable[..., Path]


def picture(number: int, size: tuple[int, int]) -> np.ndarray:
    """A picture that tells its number, modulo 28, by the brightness of its left half, and has texture enough to fill a
    file."""
    width, height = size
    image = (
        np.random.default_rng(number)
        .integers(0, 60, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
        .repeat(8, 0)
        .repeat(8, 1)[:height, :width]
    )
    image[:, : width // 2] = 22 + 8 * (number % 28)
    return np.ascontiguousarray(image)


@pytest.fixture
def make_video(tmp_path: Path) -> MakeVideo:
    """Write a video: ``make_video("a.mp4", frames=20, codec="libx264", size=(160, 120), fps=10, pts=None)``."""

    def make(
        name: str,
        frames: int = 20,
        codec: str = "mpeg4",
        size: tuple[int, int] = (160, 120),
        fps: int = 10,
        pts: Sequence[int] | None = None,
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as container:
            stream = container.add_stream(codec, rate=fps)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            stream.bit_rate = 4_000_000
            if pts is not None:
                stream.codec_context.time_base = Fraction(1, 1000)
            for i in range(frames):
                frame = av.VideoFrame.from_ndarray(picture(i, size), format="bgr24")
                frame.pts = i if pts is None else pts[i]
                if pts is not None:
                    frame.time_base = Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return make
