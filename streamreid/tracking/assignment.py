"""Overlaps and optimal assignment, vectorised."""

from __future__ import annotations

import lap
import numpy as np
from numpy.typing import NDArray

from streamreid.types import BoolArray, FloatArray

__all__ = ["assign", "cover_matrix", "iou_matrix"]

Rows = NDArray[np.intp]


def _intersection(a: FloatArray, b: FloatArray, margin: FloatArray | None = None) -> FloatArray:
    # Coordinate by coordinate: arrays of two dimensions are several times as fast as one of three.
    width = np.minimum(a[:, 2, None], b[:, 2]) - np.maximum(a[:, 0, None], b[:, 0])
    height = np.minimum(a[:, 3, None], b[:, 3]) - np.maximum(a[:, 1, None], b[:, 1])
    if margin is not None:
        width += 2 * margin
        height += 2 * margin
    np.maximum(width, 0, out=width)
    np.maximum(height, 0, out=height)
    width *= height
    return np.asarray(width)


def _area(boxes: FloatArray, margin: FloatArray | float = 0.0) -> FloatArray:
    width, height = boxes[:, 2] - boxes[:, 0] + 2 * margin, boxes[:, 3] - boxes[:, 1] + 2 * margin
    return np.asarray(np.maximum(width, 0) * np.maximum(height, 0))


def iou_matrix(a: FloatArray, b: FloatArray, margin: FloatArray | None = None) -> FloatArray:
    """Intersection over union ``[N, M]`` of boxes ``a`` [N, 4] and ``b`` [M, 4] (xyxy).

    Args:
        a: Boxes.
        b: Boxes.
        margin: ``[N]``; every pair is compared with both boxes enlarged to all sides by the margin of ``a``.
    """
    if margin is None:
        inter = _intersection(a, b)
        union = _area(a)[:, None] + _area(b) - inter
    else:
        wide = np.asarray(margin, np.float32)[:, None]
        inter = _intersection(a, b, wide)
        union = _area(a, wide[:, 0])[:, None] + _area(b, wide) - inter
    return np.asarray(np.divide(inter, union, out=np.zeros_like(inter), where=union > 0))


def cover_matrix(a: FloatArray, b: FloatArray) -> FloatArray:
    """Share ``[N, M]`` of each box in ``a`` that lies inside each box in ``b``."""
    inter = _intersection(a, b)
    area = _area(a)[:, None]
    return np.divide(inter, area, out=np.zeros_like(inter), where=area > 0)


def assign(score: FloatArray, allowed: BoolArray) -> tuple[Rows, Rows]:
    """One-to-one pairs with the greatest sum of scores; a pair that is not allowed, or scores <= 0, is never made.

    Leaving a row without partner costs nothing and a pair gains its score (Jonker-Volgenant on the extended cost matrix of the pairs that have rivals).

    Args:
        score: ``[N, M]``, at most 1.
        allowed: ``[N, M]`` bool.

    Returns:
        Rows and columns of the pairs, ordered by row.
    """
    good = allowed & (score > 0)
    by_row, by_column = good.sum(1), good.sum(0)
    rows, columns = np.nonzero(good)
    alone = (by_row[rows] == 1) & (by_column[columns] == 1)
    if alone.all():
        return rows, columns
    # A pair without rivals gains its score whatever the others do.
    t, d = np.flatnonzero(by_row), np.flatnonzero(by_column)
    t, d = np.setdiff1d(t, rows[alone], assume_unique=True), np.setdiff1d(d, columns[alone], assume_unique=True)
    i, j = _solve(score[t[:, None], d], good[t[:, None], d])
    rows, columns = np.concatenate([rows[alone], t[i]]), np.concatenate([columns[alone], d[j]])
    order = np.argsort(rows)
    return rows[order], columns[order]


def _solve(score: FloatArray, good: BoolArray) -> tuple[Rows, Rows]:
    cost = np.where(good, 1.0 - score, 10.0).astype(np.float64)
    _, columns, _ = lap.lapjv(cost, extend_cost=True, cost_limit=1.0 - 1e-9)
    columns = np.asarray(columns, np.intp)
    rows = np.flatnonzero(columns >= 0)
    columns = columns[rows]
    real = cost[rows, columns] < 1.0
    return rows[real], columns[real]
