"""People cut out of frames, all at once, into one block of pictures of the engine's size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.types import BoolArray, Detections, FloatArray, Frame

__all__ = ["CropPlan", "crop_batch", "draw_crops", "embeddable", "plan_crops"]


@dataclass(frozen=True, slots=True, eq=False)
class CropPlan:
    """Which boxes can be looked at.

    Args:
        frames: ``[M]`` int64, position of the frame in the list.
        rows: ``[M]`` int64, row of the detection in its frame.
        boxes: ``[M, 4]`` int64 xyxy, whole pixels inside the frame, at least 1 x 1.
    """

    frames: NDArray[np.int64]
    rows: NDArray[np.int64]
    boxes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> CropPlan:
        return CropPlan(self.frames[part], self.rows[part], self.boxes[part])


def embeddable(boxes: FloatArray, size: tuple[int, int], min_height: float = 0.0) -> BoolArray:
    """``[N]``: which boxes :func:`plan_crops` cuts out: finite, inside the frame, and large enough.

    Args:
        boxes: ``[N, 4]`` xyxy in pixels.
        size: Width and height of the frame.
        min_height: Least height in pixels of what is inside the frame.
    """
    return _large_enough(_clipped(boxes, size), min_height)


def _clipped(boxes: FloatArray, size: tuple[int, int]) -> NDArray[np.int64]:
    """Boxes in whole pixels inside the frame; all zero where one is not finite."""
    finite = np.asarray(np.isfinite(boxes).all(axis=1))
    whole: NDArray[np.int64] = np.rint(
        np.clip(np.where(finite[:, None], boxes, 0.0), 0.0, np.array(size * 2, np.float64))
    ).astype(np.int64)
    return whole


def _large_enough(whole: NDArray[np.int64], min_height: float) -> BoolArray:
    width, height = whole[:, 2] - whole[:, 0], whole[:, 3] - whole[:, 1]
    return np.asarray((width >= 1) & (height >= max(1.0, min_height)))


def plan_crops(frames: Sequence[Frame], detections: Sequence[Detections], min_height: float = 0.0) -> CropPlan:
    """Clip every box to its frame and leave out those with nothing to see: not finite, outside, empty, or too low.

    Args:
        frames: The frames.
        detections: The people in each.
        min_height: Least height in pixels of what is inside the frame.
    """
    if len(frames) != len(detections):
        raise ValueError(f"expected one Detections per frame, got {len(detections)} for {len(frames)} frames")
    which, rows, boxes = [], [], []
    for number, (frame, found) in enumerate(zip(frames, detections, strict=True)):
        whole = _clipped(found.boxes, frame.size)
        keep = np.flatnonzero(_large_enough(whole, min_height))
        which.append(np.full(len(keep), number, np.int64))
        rows.append(keep.astype(np.int64))
        boxes.append(whole[keep])
    if not which:
        return CropPlan(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4), np.int64))
    return CropPlan(np.concatenate(which), np.concatenate(rows), np.concatenate(boxes))


def draw_crops(frames: Sequence[Frame], plan: CropPlan, target: NDArray[np.uint8]) -> None:
    """Resize every planned crop into its place.

    Args:
        frames: The frames of the plan.
        plan: M crops.
        target: ``[M, H, W, 3]`` uint8 BGR, written.
    """
    size = (target.shape[2], target.shape[1])
    for number, (x1, y1, x2, y2), place in zip(plan.frames.tolist(), plan.boxes.tolist(), target, strict=True):
        cv2.resize(frames[number].image[y1:y2, x1:x2], size, dst=place, interpolation=cv2.INTER_LINEAR)


def crop_batch(
    frames: Sequence[Frame], detections: Sequence[Detections], size: tuple[int, int], min_height: float = 0.0
) -> tuple[NDArray[np.uint8], CropPlan]:
    """Cut out and resize all people of all frames.

    Args:
        frames: The frames.
        detections: The people in each.
        size: Height and width of a crop.
        min_height: Lower boxes are left out.

    Returns:
        Crops ``[M, H, W, 3]`` uint8 BGR, and which boxes they show.
    """
    plan = plan_crops(frames, detections, min_height)
    crops = np.empty((len(plan), *size, 3), np.uint8)
    draw_crops(frames, plan, crops)
    return crops, plan
