"""One-to-one assignment of tracks to detections at the least total cost."""

from __future__ import annotations

import lap
import numpy as np
from numpy.typing import NDArray

from streamreid.types import BoolArray, FloatArray

__all__ = ["assign"]

Rows = NDArray[np.intp]


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
