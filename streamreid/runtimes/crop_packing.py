"""The pixels that a batch of boxes needs, one region after the other, for one upload to the GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Packing", "pack_boxes", "pack_pictures"]

# Copying a whole frame is one long read; cutting boxes out is many short ones, worth it only where it saves a good part
# of the bytes.
_WORTHWHILE = 0.7


@dataclass(frozen=True, slots=True, eq=False)
class Packing:
    """Where every box lies once its pixels are packed.

    Args:
        regions: Views of the frames, each ``[h, w, 3]`` uint8.
        offsets: ``[R]`` int64 first byte of each region.
        starts: ``[M]`` int64 first byte of each box's region.
        table: ``[M, 5]`` int32: bytes per row of the region, and the box in it (x1, y1, x2, y2).
        size: Bytes in all.
    """

    regions: list[NDArray[np.uint8]]
    offsets: NDArray[np.int64]
    starts: NDArray[np.int64]
    table: NDArray[np.int32]
    size: int

    def write(self, target: NDArray[np.uint8]) -> None:
        """Copy all regions into a flat array of at least ``size`` bytes."""
        for region, offset in zip(self.regions, self.offsets.tolist(), strict=True):
            np.copyto(target[offset : offset + region.size].reshape(region.shape), region)


def pack_boxes(frames: Sequence[NDArray[np.uint8]], which: NDArray[np.int64], boxes: NDArray[np.int64]) -> Packing:
    """Pack boxes of frames: a whole frame where its boxes cover most of it, else each box alone.

    Args:
        frames: ``[H, W, 3]`` uint8 pictures of any sizes.
        which: ``[M]`` number of each box's frame.
        boxes: ``[M, 4]`` xyxy, whole pixels inside the frame, at least 1 x 1.

    Raises:
        ValueError: A box that is empty or leaves its frame.
    """
    regions: list[NDArray[np.uint8]] = []
    starts, table = np.zeros(len(boxes), np.int64), np.zeros((len(boxes), 5), np.int32)
    offsets: list[int] = []
    end = 0
    for number in np.unique(which).tolist():
        frame, mine = frames[number], np.flatnonzero(which == number)
        x1, y1, x2, y2 = boxes[mine].T
        height, width = frame.shape[:2]
        if (
            (x1 < 0).any()
            or (y1 < 0).any()
            or (x2 > width).any()
            or (y2 > height).any()
            or (x2 <= x1).any()
            or (y2 <= y1).any()
        ):
            raise ValueError(f"a box is empty or leaves its frame of {width} x {height} pixels")
        if int(((x2 - x1) * (y2 - y1)).sum()) >= _WORTHWHILE * height * width:
            starts[mine], table[mine, 0], table[mine, 1:] = end, 3 * width, boxes[mine]
            regions.append(frame)
            offsets.append(end)
            end += frame.size
            continue
        for row, (a, b, c, d) in zip(mine.tolist(), boxes[mine].tolist(), strict=True):
            region = frame[b:d, a:c]
            starts[row], table[row] = end, (3 * (c - a), 0, 0, c - a, d - b)
            regions.append(region)
            offsets.append(end)
            end += region.size
    return Packing(regions, np.array(offsets, np.int64), starts, table, end)


def pack_pictures(pictures: NDArray[np.uint8]) -> Packing:
    """Pack pictures that are cut out already: ``[N, H, W, 3]`` uint8, each its own box."""
    count, height, width, _ = pictures.shape
    table = np.tile(np.array([3 * width, 0, 0, width, height], np.int32), (count, 1))
    starts = np.arange(count, dtype=np.int64) * (height * width * 3)
    regions = [pictures.reshape(count * height, width, 3)] if count else []
    return Packing(regions, np.zeros(len(regions), np.int64), starts, table, pictures.size)
