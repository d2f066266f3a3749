"""Non-maximum suppression: of boxes that overlap, keep the best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamreid.boxes import iou_matrix
from streamreid.types import FloatArray, IntArray

__all__ = ["SoftSuppression", "non_maximum_suppression", "soft_suppression"]


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


@dataclass(frozen=True, slots=True)
class SoftSuppression:
    """For detectors that make several boxes of one person, with scores nearly as high as the best one's: who overlaps a
    better box loses score, and the boxes of a person are averaged.

    Args:
        start: IoU above which a box loses score to a better one.
        loss: Share of its score that it loses per 1 of IoU above ``start``.
        vote: IoU from which a box counts in the average of the one that is kept.
    """

    start: float
    loss: float
    vote: float


def soft_suppression(
    boxes: FloatArray,
    scores: FloatArray,
    iou: float,
    how: SoftSuppression,
    *,
    least: float,
    limit: int = 300,
    candidates: int = 3000,
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Linear Soft-NMS (Bodla et al., arXiv 1704.04503) with box voting (Gidaris and Komodakis, arXiv 1505.01749).

    The best box stays; every box that overlaps it by more than ``iou`` goes, others by more than ``how.start`` have
    their scores multiplied by 1 - loss * (IoU - start); of what is left the best stays, and so on. A box that stays
    becomes the mean, weighted by the first scores, of all boxes that overlap it by ``how.vote`` or more.

    Args:
        boxes: ``[N, 4]`` xyxy.
        scores: ``[N]``, above 0.
        iou: Overlap in [0, 1].
        how: Loss of scores, and voting.
        least: A box whose score falls below this goes.
        limit: Most boxes to keep.
        candidates: Only so many of the best boxes are looked at.

    Returns:
        M rows that stay, the best first; their boxes ``[M, 4]``; their scores ``[M]``.
    """
    order = np.argsort(-scores, kind="stable")[:candidates]
    boxes, first = boxes[order], scores[order]
    current = first.copy()
    rows: list[int] = []
    kept: list[FloatArray] = []
    left: list[float] = []
    while len(current) and len(rows) < limit:
        best = int(current.argmax())
        if current[best] < least or current[best] <= 0:
            break
        overlap = iou_matrix(boxes[best : best + 1], boxes)[0]
        rows.append(int(order[best]))
        left.append(float(current[best]))
        weight = np.where(overlap >= how.vote, first, np.float32(0))
        weight[best] = first[best]  # a box without an area overlaps nothing, not even itself
        kept.append(weight @ boxes / weight.sum())
        current *= np.clip(1 - how.loss * np.maximum(overlap - how.start, 0), 0, 1)
        current[overlap > iou] = 0
        current[best] = 0
    return (
        np.array(rows, np.int64),
        np.array(kept, np.float32).reshape(-1, 4),
        np.array(left, np.float32),
    )
