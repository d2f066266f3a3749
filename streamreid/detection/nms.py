"""Non-maximum suppression: of boxes that overlap, keep the best."""

from __future__ import annotations

import numpy as np

from streamreid.types import FloatArray, IntArray

__all__ = ["non_maximum_suppression"]


def non_maximum_suppression(
    boxes: FloatArray, scores: FloatArray, iou: float, *, limit: int = 300, candidates: int = 3000
) -> IntArray:
    """Greedy suppression: the best box stays, every box that overlaps it by more than ``iou`` goes, and so on.

    Classes are not told apart: every class that reaches this point counts as a person.

    Args:
        boxes: ``[N, 4]`` xyxy.
        scores: ``[N]``.
        iou: Overlap in [0, 1].
        limit: Most boxes to keep.
        candidates: Only so many of the best boxes are looked at.

    Returns:
        Rows that stay, the best first.
    """
    order = np.argsort(-scores, kind="stable")[:candidates]
    x1, y1, x2, y2 = boxes[order].T
    area = np.maximum(x2 - x1, 0) * np.maximum(y2 - y1, 0)
    left = np.arange(len(order))
    kept: list[int] = []
    while len(left) and len(kept) < limit:
        best, rest = left[0], left[1:]
        kept.append(int(order[best]))
        width = np.minimum(x2[best], x2[rest]) - np.maximum(x1[best], x1[rest])
        height = np.minimum(y2[best], y2[rest]) - np.maximum(y1[best], y1[rest])
        common = np.maximum(width, 0) * np.maximum(height, 0)
        left = rest[common <= iou * (area[best] + area[rest] - common)]
    return np.array(kept, np.int64)
