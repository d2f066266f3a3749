"""Overlaps and optimal assignment, vectorised."""

from __future__ import annotations

import lap
import numpy as np
from numpy.typing import NDArray

from streamreid.types import BoolArray, FloatArray

__all__ = ["assign", "cover_matrix", "iou_matrix", "iou_pairs"]

Rows = NDArray[np.intp]


def _intersection(a: FloatArray, b: FloatArray) -> FloatArray:
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., 2:], b[..., 2:])
    side = np.maximum(high - low, 0)
    return np.asarray(side[..., 0] * side[..., 1])


def _area(boxes: FloatArray) -> FloatArray:
    return np.asarray(np.maximum(boxes[..., 2] - boxes[..., 0], 0) * np.maximum(boxes[..., 3] - boxes[..., 1], 0))


def iou_pairs(a: FloatArray, b: FloatArray) -> FloatArray:
    """Intersection over union ``[N, M]`` of boxes ``a`` [N, 4] and ``b`` [N, M, 4], where every box in ``a`` has its own version of those in ``b``."""
    inter = _intersection(a[:, None], b)
    union = _area(a)[:, None] + _area(b) - inter
    return np.asarray(np.divide(inter, union, out=np.zeros_like(inter), where=union > 0))


def iou_matrix(a: FloatArray, b: FloatArray) -> FloatArray:
    """Intersection over union ``[N, M]`` of boxes ``a`` [N, 4] and ``b`` [M, 4] (xyxy)."""
    return iou_pairs(a, b[None])


def cover_matrix(a: FloatArray, b: FloatArray) -> FloatArray:
    """Share ``[N, M]`` of each box in ``a`` that lies inside each box in ``b``."""
    inter = _intersection(a[:, None], b[None])
    area = _area(a)[:, None]
    return np.divide(inter, area, out=np.zeros_like(inter), where=area > 0)


def assign(score: FloatArray, allowed: BoolArray) -> tuple[Rows, Rows]:
    """One-to-one pairs with the greatest sum of scores; a pair that is not allowed, or scores <= 0, is never made.

    Leaving a row without partner costs nothing and a pair gains its score (Jonker-Volgenant on the extended cost matrix).

    Args:
        score: ``[N, M]``, at most 1.
        allowed: ``[N, M]`` bool.

    Returns:
        Rows and columns of the pairs, ordered by row.
    """
    n, m = score.shape
    if n == 0 or m == 0 or not allowed.any():
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    cost = np.where(allowed & (score > 0), 1.0 - score, 10.0).astype(np.float64)
    _, columns, _ = lap.lapjv(cost, extend_cost=True, cost_limit=1.0 - 1e-9)
    columns = np.asarray(columns, np.intp)
    rows = np.flatnonzero(columns >= 0)
    columns = columns[rows]
    good = cost[rows, columns] < 1.0
    return rows[good], columns[good]
