"""Overlaps and optimal assignment, vectorised."""

from __future__ import annotations

import lap
import numpy as np
from numpy.typing import NDArray

from streamreid.types import BoolArray, FloatArray

__all__ = ["assign", "cover_matrix", "iou_matrix"]

Rows = NDArray[np.intp]


def _intersection(a: FloatArray, b: FloatArray, margin: FloatArray | None = None) -> FloatArray:
    # Widths and heights at once, people along the last axis: a few people cost little more than the calls.
    one, two = a.T[:, :, None], b.T[:, None]
    sides = np.minimum(one[2:], two[2:])
    sides -= np.maximum(one[:2], two[:2])
    if margin is not None:
        sides += 2 * margin
    np.maximum(sides, 0, out=sides)
    return np.asarray(np.multiply(sides[0], sides[1], out=sides[0]))


def _area(boxes: FloatArray) -> FloatArray:
    sides = boxes[:, 2:] - boxes[:, :2]
    np.maximum(sides, 0, out=sides)
    return np.asarray(sides[:, 0] * sides[:, 1])


def _wide_areas(a: FloatArray, b: FloatArray, margin: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Areas ``[N, 1]`` of ``a`` and ``[N, M]`` of ``b`` with ``margin`` [N, 1] on all sides."""
    twice = 2 * margin
    one = a[:, 2:] - a[:, :2] + twice
    two = (b[:, 2:] - b[:, :2]).T[:, None] + twice
    np.maximum(one, 0, out=one)
    np.maximum(two, 0, out=two)
    return one[:, :1] * one[:, 1:], two[0] * two[1]


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
        one, two = _wide_areas(a, b, wide)
        union = one + two - inter
    return np.asarray(np.divide(inter, union, out=np.zeros_like(inter), where=union > 0))


def cover_matrix(a: FloatArray, b: FloatArray) -> FloatArray:
    """Share ``[N, M]`` of each box in ``a`` that lies inside each box in ``b``."""
    inter = _intersection(a, b)
    area = _area(a)[:, None]
    return np.divide(inter, area, out=np.zeros_like(inter), where=area > 0)


def assign(score: FloatArray, allowed: BoolArray) -> tuple[Rows, Rows]:
    """One-to-one pairs with the greatest sum of scores; a pair that is not allowed, or scores <= 0, is never made.

    Leaving a row without partner costs nothing and a pair gains its score (Jonker-Volgenant on the extended cost matrix
    of the pairs that have rivals).

    Args:
        score: ``[N, M]``, at most 1.
        allowed: ``[N, M]`` bool.

    Returns:
        Rows and columns of the pairs, ordered by row.
    """
    good = allowed & (score > 0)
    rows, columns = good.nonzero()
    # Counted by hand: most frames of most cameras end here, and the sums of a small array cost more than a set.
    if len(set(rows.tolist())) == len(rows) == len(set(columns.tolist())):
        return rows, columns
    by_row, by_column = good.sum(1), good.sum(0)
    alone = (by_row[rows] == 1) & (by_column[columns] == 1)
    # A pair without rivals gains its score whatever the others do.
    by_row[rows[alone]] = by_column[columns[alone]] = 0
    t, d = by_row.nonzero()[0], by_column.nonzero()[0]
    i, j = _solve(score[t[:, None], d], good[t[:, None], d])
    rows, columns = np.concatenate([rows[alone], t[i]]), np.concatenate([columns[alone], d[j]])
    order = np.argsort(rows)
    return rows[order], columns[order]


def _solve(score: FloatArray, good: BoolArray) -> tuple[Rows, Rows]:
    cost = np.where(good, 1.0 - score, 10.0).astype(np.float64)
    _, columns, _ = lap.lapjv(cost, extend_cost=True, cost_limit=1.0 - 1e-9)
    columns = np.asarray(columns, np.intp)
    rows = (columns >= 0).nonzero()[0]
    columns = columns[rows]
    real = cost[rows, columns] < 1.0
    return rows[real], columns[real]
