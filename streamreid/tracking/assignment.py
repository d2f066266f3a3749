"""One-to-one assignment of tracks to detections at the least total cost."""

from __future__ import annotations

import lap
import numpy as np
from numpy.typing import NDArray

from streamreid.types import BoolArray, Float64Array, FloatArray

__all__ = ["assign", "assign_pairs"]

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
    rows, columns = (allowed & (score > 0)).nonzero()
    kept = assign_pairs(rows, columns, score[rows, columns])
    return rows[kept], columns[kept]


def assign_pairs(rows: Rows, columns: Rows, score: FloatArray) -> Rows:
    """As :func:`assign`, of the pairs alone that may be made.

    Args:
        rows: ``[P]`` row of each pair, rising.
        columns: ``[P]`` its column; no pair twice.
        score: ``[P]`` in (0, 1].

    Returns:
        Numbers of the pairs that are made, rising.
    """
    # Counted by hand: most frames of most cameras end here, and the sums of a small array cost more than a set.
    if len(set(rows.tolist())) == len(rows) == len(set(columns.tolist())):
        return np.arange(len(rows))
    alone = (np.bincount(rows)[rows] == 1) & (np.bincount(columns)[columns] == 1)
    # A pair without rivals gains its score whatever the others do.
    rivals = (~alone).nonzero()[0]
    t, i = np.unique(rows[rivals], return_inverse=True)
    d, j = np.unique(columns[rivals], return_inverse=True)
    number = np.full((len(t), len(d)), -1)
    number[i, j] = rivals
    cost = np.full(number.shape, 10.0)
    cost[i, j] = 1.0 - score[rivals]
    made = number[_solve(cost)]
    return np.sort(np.concatenate([alone.nonzero()[0], made[made >= 0]]))


def _solve(cost: Float64Array) -> tuple[Rows, Rows]:
    _, columns, _ = lap.lapjv(cost, extend_cost=True, cost_limit=1.0 - 1e-9)
    columns = np.asarray(columns, np.intp)
    rows = (columns >= 0).nonzero()[0]
    return rows, columns[rows]
