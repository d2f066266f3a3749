"""Videos whose frames carry their own times."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from streamreid.media import ffmpeg_name

__all__ = ["Video"]

_CLOCK = 90_000
"""Ticks per second of the time stamps, as in MPEG-TS."""


class Video:
    """An MP4 file.

    Args:
        path: Of the file.
        size: Width and height, both even.
        fps: Nominal frames per second.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: float) -> None:
        self._container: Any = av.open(ffmpeg_name(path), "w", format="mp4")
        x264 = "libx264" in av.codecs_available
        stream: Any = self._container.add_stream(
            "libx264" if x264 else "mpeg4", rate=Fraction(fps).limit_denominator(1001)
        )
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = Fraction(1, _CLOCK)
        stream.codec_context.gop_size = 50
        stream.codec_context.max_b_frames = 0
        stream.codec_context.thread_count = (
            1  # the cores are for other cameras, and one thread always writes the same file
        )
        if x264:
            stream.options = {"preset": "ultrafast", "crf": "22"}
        else:
            stream.bit_rate = 4_000_000
        self._stream = stream

    def __enter__(self) -> Video:
        return self

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        try:
            if kind is None:
                self._container.mux(self._stream.encode())
        finally:
            self._container.close()

    def write(self, planes: NDArray[np.uint8], time: float) -> None:
        """Add a picture ``[3 H / 2, W]`` (planar YUV 4:2:0) with its time in seconds."""
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = round(time * _CLOCK), Fraction(1, _CLOCK)
        self._container.mux(self._stream.encode(frame))
