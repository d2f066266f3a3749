"""Who owns which box: the best assignment and those near it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from lap import lapjv
from numpy.typing import NDArray

from streamreid.types import Float64Array

__all__ = ["NearBest", "likeliest"]

_LARGE = 1e4
"""Cost of a forbidden assignment: above any gain in log-odds, small enough for float64 sums."""


class NearBest:
    """The best assignment, then all that differ from it in one person, or in two who exchange or pass on a box.

    Args:
        gain: ``[T, M]`` what it is worth that person t owns box m, against owning none.
        base: Added to the worth of all.
        window: Assignments worth so much less than the best are left out.

    Attributes:
        worth: ``[K]`` of each assignment; the best comes first.
    """

    def __init__(self, gain: Float64Array, base: float, window: float) -> None:
        people, self._boxes = gain.shape
        self._best = best = np.full(people, -1, np.int64)
        if people and self._boxes:
            _, to, _ = lapjv(_LARGE - np.maximum(gain, -_LARGE), extend_cost=True, cost_limit=_LARGE)
            best[:] = to
        worth = np.concatenate([gain, np.zeros((people, 1))], 1)  # the last column, also -1, is none
        now = worth[np.arange(people), best]
        total = base + float(now.sum())
        self.worth = np.array([total])
        self._changes = np.zeros((1, 4), np.int64)  # two people, and the box that each owns then
        if not people or not self._boxes:
            return
        # One person takes a box that is free, or none.
        other = worth - now[:, None]
        other[:, best[best >= 0]] = -np.inf
        other[np.arange(people), best] = -np.inf
        i, m = np.nonzero(other > -window)
        single = np.stack([i, i, m, m], 1)
        # Two exchange what they have.
        takes = worth[:, best] - now[:, None]
        change = takes + takes.T
        change[(best[:, None] == best[None]) | (np.arange(people)[:, None] >= np.arange(people))] = -np.inf
        a, b = np.nonzero(change > -window)
        # One takes the box of another, who takes the best that is left.
        left = other.argmax(1)
        pushed = takes + other.max(1)[None]
        pushed[:, best < 0] = -np.inf
        np.fill_diagonal(pushed, -np.inf)
        c, d = np.nonzero(pushed > -window)
        self.worth = total + np.concatenate([[0.0], other[i, m], change[a, b], pushed[c, d]])
        exchanges, passes = np.stack([a, b, best[b], best[a]], 1), np.stack([c, d, best[d], left[d]], 1)
        self._changes = np.concatenate([self._changes, single, exchanges, passes])

    def assignment(self, number: int) -> NDArray[np.int64]:
        """Box of each person ``[T]`` in one of the assignments, -1 for none."""
        result = self._best.copy()
        if number:
            first, second, box, other = self._changes[number].tolist()
            result[first], result[second] = [m if m < self._boxes else -1 for m in (box, other)]
        return result


def likeliest(options: Sequence[NearBest], most: int, window: float) -> list[tuple[float, int, int]]:
    """The best assignments of several lists: worth, number of the list, and number in it.

    Args:
        options: At least one list.
        most: How many at most.
        window: Those worth so much less than the best are left out.
    """
    worth = np.concatenate([o.worth for o in options])
    owner = np.repeat(np.arange(len(options)), [len(o.worth) for o in options])
    number = np.concatenate([np.arange(len(o.worth)) for o in options])
    chosen = np.argsort(-worth, kind="stable")[:most]
    chosen = chosen[worth[chosen] > worth[chosen[0]] - window]
    return list(zip(worth[chosen].tolist(), owner[chosen].tolist(), number[chosen].tolist(), strict=True))
