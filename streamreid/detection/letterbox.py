"""Fit a picture of any size into a network's input without changing its proportions, and bring boxes back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.types import FloatArray, Image

__all__ = ["PAD_VALUE", "Letterbox", "blank"]

PAD_VALUE = 114
"""Grey of the border, as the YOLO family was trained with."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where a picture lies inside the network's input. All values in pixels.

    Args:
        source: Width and height of the picture.
        inner: Width and height after scaling.
        left: Border on the left.
        top: Border at the top.
        outer: Width and height of the network's input.
    """

    source: tuple[int, int]
    inner: tuple[int, int]
    left: int
    top: int
    outer: tuple[int, int]

    @classmethod
    def rectangle(cls, source: tuple[int, int], size: int, stride: int) -> Letterbox:
        """The smallest input for a longest side of ``size``: the other side is padded to the next multiple of
        ``stride``, picture centred.

        This is Ultralytics' rectangular inference.
        """
        size = max(stride, -(-size // stride) * stride)
        inner = _scaled(source, (size, size), round_down=False)
        outer = tuple(-(-side // stride) * stride for side in inner)
        return cls(source, inner, *_centred(inner, outer), (outer[0], outer[1]))

    @classmethod
    def fixed(cls, source: tuple[int, int], outer: tuple[int, int], *, centred: bool) -> Letterbox:
        """Fit into an input of fixed width and height; the picture in the middle (Ultralytics) or at the top left
        (YOLOX)."""
        inner = _scaled(source, outer, round_down=not centred)
        left, top = _centred(inner, outer) if centred else (0, 0)
        return cls(source, inner, left, top, outer)

    @classmethod
    def stretched(cls, source: tuple[int, int], outer: tuple[int, int]) -> Letterbox:
        """Fill an input of fixed width and height, whatever becomes of the proportions, as detectors of the SSD kind
        were trained."""
        return cls(source, outer, 0, 0, outer)

    def draw(self, picture: Image, target: Image) -> None:
        """Scale ``picture`` into ``target`` ``[H, W, 3]``, which already holds the border's grey."""
        view = target[self.top : self.top + self.inner[1], self.left : self.left + self.inner[0]]
        if self.inner == self.source:
            view[...] = picture
        else:
            cv2.resize(picture, self.inner, dst=view, interpolation=cv2.INTER_LINEAR)

    def to_source(self, boxes: FloatArray) -> FloatArray:
        """Boxes ``[N, 4]`` xyxy from the network's input to the picture, clipped to it."""
        width, height = self.source
        scale = np.array([width / self.inner[0], height / self.inner[1]] * 2, np.float32)
        shift = np.array([self.left, self.top] * 2, np.float32)
        limit = np.array([width, height] * 2, np.float32)
        return np.asarray(np.clip((boxes - shift) * scale, 0, limit), np.float32)

    def to_input(self, boxes: FloatArray) -> FloatArray:
        """Boxes ``[N, 4]`` xyxy from the picture to the network's input."""
        width, height = self.source
        scale = np.array([self.inner[0] / width, self.inner[1] / height] * 2, np.float32)
        shift = np.array([self.left, self.top] * 2, np.float32)
        return np.asarray(boxes * scale + shift, np.float32)


def blank(count: int, outer: tuple[int, int]) -> NDArray[np.uint8]:
    """``[count, H, W, 3]`` of the border's grey."""
    return np.full((count, outer[1], outer[0], 3), PAD_VALUE, np.uint8)


def _scaled(source: tuple[int, int], outer: tuple[int, int], *, round_down: bool) -> tuple[int, int]:
    ratio = min(outer[0] / source[0], outer[1] / source[1])
    sides = [side * ratio for side in source]
    whole = [int(s) if round_down else round(s) for s in sides]
    return max(1, min(outer[0], whole[0])), max(1, min(outer[1], whole[1]))


def _centred(inner: tuple[int, int], outer: tuple[int, ...]) -> tuple[int, int]:
    # The tenth makes a half pixel fall to the left and top, as Ultralytics does.
    return round((outer[0] - inner[0]) / 2 - 0.1), round((outer[1] - inner[1]) / 2 - 0.1)
