"""Who owns which box: the best assignment of several lists of people, and those near it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from lap import lapjv
from numpy.typing import NDArray

from streamreid.types import Float64Array

__all__ = ["Assignments", "Offers", "likeliest"]

_LARGE = 1e4
"""Cost of a forbidden assignment: above any gain in log-odds, small enough for float64 sums."""


@dataclass(frozen=True, slots=True, eq=False)
class Offers:
    """What T people of H lists gain by each of the few boxes that they may own, C at most.

    Args:
        gain: ``[T, C]`` against owning none; minus infinity where somebody has fewer boxes.
        box: ``[T, C]`` which; any where there is none.
        boxes: M, how many there are.
        number: ``[T]`` of which list each person is, rising.
        begin: ``[H]`` where each list begins.
    """

    gain: Float64Array
    box: NDArray[np.int64]
    boxes: int
    number: NDArray[np.int64]
    begin: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Assignments:
    """K assignments, best first.

    Args:
        worth: ``[K]``.
        number: ``[K]`` of which list.
        change: ``[K, 4]`` two people of T, and the box that each owns unlike in the best of the list, M for none; -1
            for nobody.
        best: ``[T]`` box of each person in the best assignment of each list, -1 for none.
        boxes: M.
    """

    worth: Float64Array
    number: NDArray[np.int64]
    change: NDArray[np.int64]
    best: NDArray[np.int64]
    boxes: int

    def owned(self, begin: NDArray[np.int64], size: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Who is in the lists of the assignments, one behind the other, and the box of each, -1 for none.

        Args:
            begin: ``[H]`` where each list begins.
            size: ``[H]`` how long each is.
        """
        length = size[self.number]
        first = np.cumsum(length) - length
        shift = begin[self.number] - first
        people = np.arange(int(length.sum())) + np.repeat(shift, length)
        box = self.best[people]
        changed = np.flatnonzero(self.change[:, 0] >= 0)
        for column in (0, 1):
            at, to = self.change[changed, column] - shift[changed], self.change[changed, column + 2]
            box[at] = np.where(to < self.boxes, to, -1)
        return people, box


def likeliest(offers: Offers, base: Float64Array, most: int, window: float) -> Assignments:
    """The likeliest assignments of several lists: of each list the best one, and all that differ from that in one
    person, or in two who exchange or pass on a box.

    Args:
        offers: At least one list.
        base: ``[H]`` added to the worth of all assignments of a list.
        most: How many at most.
        window: Those worth so much less than the best are left out.
    """
    people, box, number = np.arange(len(offers.number)), offers.box, offers.number
    worth = np.full((len(people), offers.boxes + 1), -np.inf)  # by box; the last column, also -1, is none
    at, column = np.nonzero(offers.gain > -np.inf)
    worth[at, box[at, column]] = offers.gain[at, column]
    worth[:, -1] = 0.0
    best = _best(offers, worth)
    now, has = worth[people, best], best >= 0
    total = base + np.bincount(number, now, len(base))
    owner = np.full((len(base), offers.boxes + 1), -1, np.int64)
    owner[number[has], best[has]] = people[has]
    other = owner[number[:, None], box]
    more = offers.gain - now[:, None]
    # One person takes a box that is free, or none.
    single = np.full((len(people), box.shape[1] + 1), -np.inf)
    single[:, :-1][other < 0] = more[other < 0]
    single[has, -1] = -now[has]
    left = single.argmax(1)
    # One takes the box of another, who takes what the first has, or the best that is free.
    takes = np.where((other >= 0) & (other != people[:, None]), more, -np.inf)
    swapped = takes + worth[other, best[:, None]] - now[other]
    swapped[has[:, None] & (people[:, None] >= other)] = -np.inf  # looked at the other way round
    passed = takes + single[people, left][other]
    # What is worth so much less than the best of all is not looked at.
    least = (total.max() - window - total)[number][:, None]
    lists = np.arange(len(base))
    nobody = np.full(len(base), -1)
    free = np.concatenate([box, np.full((len(people), 1), offers.boxes)], 1)
    found = [(total, lists, nobody, nobody, nobody, nobody)]
    for kind, change in enumerate((single, swapped, passed)):
        one, column = np.nonzero(change > least)
        two = other[one, column] if kind else one
        gets = best[one] % (offers.boxes + 1) if kind == 1 else free[two, left[two]] if kind else free[one, column]
        found.append((total[number[one]] + change[one, column], number[one], one, two, free[one, column], gets))
    return _chosen(found, most, window, best, offers.boxes)


def _best(offers: Offers, worth: Float64Array) -> NDArray[np.int64]:
    """``[T]`` box of each person in the best assignment of each list, -1 for none.

    Where nobody likes the same box best, that is who gets it; otherwise those who want a box that others want, or
    several, are assigned by an algorithm.
    """
    gain, box, number = offers.gain, offers.box, offers.number
    people, boxes = len(number), offers.boxes
    best = np.full(people, -1, np.int64)
    if not gain.size:
        return best
    wanted = gain > 0
    liked = gain.argmax(1)
    wants = wanted[np.arange(people), liked]
    best[wants] = box[np.arange(people), liked][wants]
    lists = len(offers.begin)
    likes = np.bincount((number * boxes + best)[wants], minlength=lists * boxes).reshape(lists, boxes)
    contested = np.asarray((likes > 1).any(1), bool)
    if not contested.any():
        return best
    code = number[:, None] * boxes + box
    often = np.bincount(code[wanted], minlength=lists * boxes) > 1
    several = (wanted.sum(1) > 1) | (wanted & often[code]).any(1)
    competing = (several & contested[number]).nonzero()[0]
    cost = _LARGE - np.maximum(worth[competing, :-1], -_LARGE)
    ends = np.searchsorted(number[competing], contested.nonzero()[0], side="right").tolist()
    for begin, end in pairwise([0, *ends]):
        block = cost[begin:end]
        columns = np.nonzero((block < _LARGE).any(0))[0]
        to = lapjv(block[:, columns], extend_cost=True, cost_limit=_LARGE)[1]
        best[competing[begin:end]] = np.where(to >= 0, columns[to], -1)
    return best


def _chosen(
    found: Sequence[tuple[NDArray[Any], ...]], most: int, window: float, best: NDArray[np.int64], boxes: int
) -> Assignments:
    """The best ones of some: worth, list, two people and the box of each."""
    worth, number, *change = (np.concatenate(columns) for columns in zip(*found, strict=True))
    kind = np.repeat(np.arange(len(found)), [len(f[0]) for f in found])
    likely = np.arange(len(worth))
    if len(worth) > most:
        likely = (worth >= np.partition(worth, len(worth) - most)[len(worth) - most]).nonzero()[0]
    chosen = likely[np.lexsort((kind[likely], number[likely], -worth[likely]))[:most]]
    chosen = chosen[worth[chosen] > worth[chosen[0]] - window]
    return Assignments(worth[chosen], number[chosen], np.stack(change, 1)[chosen], best, boxes)
