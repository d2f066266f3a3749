"""Who owns which box: the best assignment and those near it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from lap import lapjv
from numpy.typing import NDArray

from streamreid.types import Float64Array

__all__ = ["k_best_assignments"]

_LARGE = 1e4
"""Cost of a forbidden assignment: above any gain in log-odds, small enough for float64 sums."""


def k_best_assignments(gain: Float64Array, window: float) -> Iterator[tuple[float, NDArray[np.int64]]]:
    """The best assignment, then all that differ from it in one person, or in two who exchange or pass on a box.

    Args:
        gain: ``[T, M]`` what it is worth that person t owns box m, against owning none.
        window: Assignments worth so much less than the best are left out.

    Yields:
        Worth and box of each person ``[T]``, -1 for none; the best comes first.
    """
    people, boxes = gain.shape
    best = np.full(people, -1, np.int64)
    if people and boxes:
        _, to, _ = lapjv(_LARGE - np.maximum(gain, -_LARGE), extend_cost=True, cost_limit=_LARGE)
        best[:] = to
    worth = np.concatenate([gain, np.zeros((people, 1))], 1)  # the last column, also -1, is none
    now = worth[np.arange(people), best]
    total = float(now.sum())
    yield total, best
    if not people or not boxes:
        return
    # One person takes a box that is free, or none.
    other = worth - now[:, None]
    other[:, best[best >= 0]] = -np.inf
    other[np.arange(people), best] = -np.inf
    for i, m in np.argwhere(other > -window).tolist():
        yield total + other[i, m], _changed(best, (i, m if m < boxes else -1))
    # Two exchange what they have.
    takes = worth[:, best] - now[:, None]
    change = takes + takes.T
    change[best[:, None] == best[None]] = -np.inf
    change[np.tril_indices(people)] = -np.inf
    for i, k in np.argwhere(change > -window).tolist():
        yield total + change[i, k], _changed(best, (i, int(best[k])), (k, int(best[i])))
    # One takes the box of another, who takes the best that is left.
    left = other.argmax(1)
    pushed = takes + other.max(1)[None]
    pushed[:, best < 0] = -np.inf
    np.fill_diagonal(pushed, -np.inf)
    for i, k in np.argwhere(pushed > -window).tolist():
        yield total + pushed[i, k], _changed(best, (i, int(best[k])), (k, int(left[k]) if left[k] < boxes else -1))


def _changed(best: NDArray[np.int64], *changes: tuple[int, int]) -> NDArray[np.int64]:
    result = best.copy()
    for person, box in changes:
        result[person] = box
    return result
