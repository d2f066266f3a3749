"""Decoded pictures as a player shows them: square pixels, upright, not mirrored, BGR."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.reformatter import VideoReformatter

from streamreid.sources.base import Notes
from streamreid.types import Image

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["ImageConverter", "PixelAspect", "shown_size"]

_MOST_ASPECT = 10
"""Pixels that are wider or higher than this are a mistake in the header; the widest real ones (CIF fields of 352x288
shown 16:9) are 3."""


def shown_size(width: int, height: int, aspect: Fraction | None) -> tuple[int, int]:
    """The size at which a player shows a picture: the side that is too short grows, so that no line or column is thrown
    away (mpv's rule).

    Args:
        width: Of the stored picture, pixels.
        height: Of the stored picture, pixels.
        aspect: Width of a pixel divided by its height; None, and what cannot be, count as 1.
    """
    if aspect is None or not Fraction(1, _MOST_ASPECT) <= aspect <= _MOST_ASPECT:
        return width, height
    if aspect > 1:
        return round(width * aspect), height
    return width, round(height / aspect)


class PixelAspect:
    """Width of a pixel divided by its height, of a stream that is being decoded. The container's word counts before the
    codec's, as in FFmpeg.

    Args:
        stream: Opened, not decoded yet.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._context = stream.codec_context
        said, coded = stream.sample_aspect_ratio, stream.codec_context.sample_aspect_ratio
        self._container = said if said and said != coded else None

    def __call__(self) -> Fraction | None:
        """The aspect of the pictures decoded last; None if nothing says it."""
        return self._container or self._context.sample_aspect_ratio or None


class ImageConverter:
    """Decoded pictures as BGR arrays, as a player shows them.

    One converter is kept per source: setting it up for each picture takes longer than the conversion (0.7 against 0.45
    ms CPU at 768x576).

    Args:
        notes: Where it is said that sizes differ from the stored ones.
    """

    def __init__(self, notes: Notes) -> None:
        self._reformatter = VideoReformatter()
        self._notes = notes
        self._last: tuple[int, int, Fraction | None] | None = None
        self._shown = (0, 0)

    def __call__(self, frame: VideoFrame, aspect: Fraction | None = None) -> Image:
        """``[H, W, 3]`` uint8 BGR, turned and mirrored as the display matrix of the file asks (phones held upright,
        front cameras).

        Args:
            frame: As decoded.
            aspect: Width of a pixel divided by its height.
        """
        stored = frame.width, frame.height
        if (*stored, aspect) != self._last:
            self._last = (*stored, aspect)
            self._shown = shown_size(*stored, aspect)
            if self._shown != stored:
                self._notes.add(_resized(stored, self._shown, aspect))
        if self._shown == stored:
            plain = self._reformatter.reformat(frame, format="bgr24")
        else:
            # In the same pass as the colours; bicubic is what FFmpeg's scale filter does by itself.
            width, height = self._shown
            plain = self._reformatter.reformat(
                frame, width=width, height=height, format="bgr24", interpolation="BICUBIC"
            )
        # Rows are padded where the width asks for it; only then this copies.
        image = np.ascontiguousarray(plain.to_ndarray(), np.uint8)
        # `frame.side_data` refers to the frame and is kept in it: the picture, which may have megabytes, would then lie
        # there until Python looks for such circles, and it does not know of FFmpeg's memory.
        matrix = cast("Any", SideDataContainer)(frame).get(Type.DISPLAYMATRIX)
        return image if matrix is None else _turned(image, bytes(matrix))


def _resized(stored: tuple[int, int], shown: tuple[int, int], aspect: Fraction | None) -> str:
    ratio = "" if aspect is None else f" ({aspect.numerator}:{aspect.denominator})"
    sizes = f"{shown[0]}x{shown[1]}, not {stored[0]}x{stored[1]}"
    return f"its pixels are not square{ratio}: frames and boxes have the size that a player shows, {sizes} as stored"


def _turned(image: Image, matrix: bytes) -> Image:
    """Apply a display matrix: [a b u; c d v; x y w] of int32, native, by which a stored point (p, q) is shown at (a p +
    c q, b p + d q).

    Matrices between the quarter turns are rounded to the nearest.
    """
    a, b, _, c, d = struct.unpack_from("=5i", matrix)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        flips = a < 0, d < 0
    else:
        image = np.asarray(cv2.transpose(image), np.uint8)
        flips = c < 0, b < 0
    code = {(True, False): 1, (False, True): 0, (True, True): -1}.get(flips)
    return image if code is None else np.asarray(cv2.flip(image, code), np.uint8)
