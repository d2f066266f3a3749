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
    alone = (np.bincount(rows).take(rows) == 1) & (np.bincount(columns).take(columns) == 1)
    # A pair without rivals gains its score whatever the others do.
    rivals = (~alone).nonzero()[0]
    (i, height), (j, width) = _numbered(rows.take(rivals)), _numbered(columns.take(rivals))
    number = np.full((height, width), -1)
    number[i, j] = rivals
    cost = np.full(number.shape, 10.0)
    cost[i, j] = 1.0 - score.take(rivals)
    made = number[_solve(cost)]
    alone[made[made >= 0]] = True
    kept: Rows = alone.nonzero()[0]
    return kept


def _numbered(values: Rows) -> tuple[Rows, int]:
    """``values`` [P], numbered from 0 in their order, and how many different ones there are."""
    there = np.zeros(int(values.max()) + 1, np.intp)
    there[values] = 1
    number = np.cumsum(there)
    return number.take(values) - 1, int(number[-1])


def _solve(cost: Float64Array) -> tuple[Rows, Rows]:
    _, columns, _ = lap.lapjv(cost, extend_cost=True, cost_limit=1.0 - 1e-9)
    columns = np.asarray(columns, np.intp)
    rows = (columns >= 0).nonzero()[0]
    return rows, columns[rows]
