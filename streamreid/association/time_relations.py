"""How the times of two tracks of one person relate, learnt for each pair of cameras while running.

Where two cameras see the same floor, tracks of one person overlap in time; from one door to the next it takes seconds;
who was hidden behind a pillar is back in the same picture at once. Nobody says so, and all of it shows: for each pair
of cameras, pairs of tracks that are surely one person by their looks are counted by how their times relate, and so are
all other pairs, which nearly all are two people. Of tracks that were in view together it also counts how far apart
they stood, where that is known (:mod:`streamreid.association.learnt_places`). A relation r then says

    log((same_r + PRIOR q_r) / (same + PRIOR)) - log(q_r)

where ``same_r`` pairs of one person have it, of ``same`` in all, and the share ``q_r`` of the pairs of two people. With
few pairs that is next to nothing. Looks alone decide what is counted, so what was learnt does not prove itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamreid.association.learnt_places import LearntPlaces
from streamreid.types import BoolArray, Float64Array, FloatArray, TrackKey

__all__ = ["EDGES", "RELATIONS", "KnownRelations", "SurePairs", "TimeRelations", "relations"]

Rows = NDArray[np.int64]

_EDGES = np.array([0.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0])
"""Seconds between the end of one track and the start of the next from which on it is another relation."""

_APART = np.array([0.1, 0.2, 0.3, 0.45, 0.7, 1.2, 2.0, 4.0])
"""Body heights between two tracks in view together from which on it is another relation."""

_BY_TIME = 2 + 2 * len(_EDGES)

RELATIONS = _BY_TIME + len(_APART) + 1
"""How many relations are told apart; see ``relations``."""

EDGES = [*_EDGES.tolist(), *_APART.tolist()]
"""What tells the relations apart: counts of other ones mean something else."""

_OTHER_FIRST = np.array([r ^ 1 if 2 <= r < _BY_TIME else r for r in range(RELATIONS)])
"""The relation that each one is when the cameras are numbered the other way round."""

PRIOR = 10.0
"""Pairs of one person that weigh as much as the belief that times say nothing."""

LIMIT = 6.0
"""Times are never surer than this, in log-odds."""

EVERY = 10.0
"""Seconds of capture time between two looks at the window; at first as many as a quarter of the time so far."""

_SOONEST = 1.0
"""But no fewer."""

MOST = 500.0
"""Pairs of one person that left the window count as at most so many, for each pair of cameras: ways change."""

BEGIN = 100.0
"""What an earlier run counted weighs as at most so many pairs of one person, for each pair of cameras: somebody may
have moved a camera since."""

_SMOOTH = 20.0
"""Pairs of two people that weigh as much as the shares over all pairs of cameras."""


class SurePairs(NamedTuple):
    """Pairs of tracks that are probably one person by their looks.

    Args:
        one: ``[S]`` number of one track.
        two: ``[S]`` number of the other, greater.
        probability: ``[S]``.
    """

    one: Rows
    two: Rows
    probability: FloatArray


class _Times(NamedTuple):
    """Number of the camera, first and last second of N tracks."""

    camera: Rows
    start: Float64Array
    end: Float64Array

    def at(self, rows: Rows) -> _Times:
        return _Times(self.camera[rows], self.start[rows], self.end[rows])


def relations(
    one: tuple[Rows, Float64Array, Float64Array],
    two: tuple[Rows, Float64Array, Float64Array],
    distance: FloatArray | float = np.nan,
) -> Rows:
    """``[P]`` which relation the times of two tracks have, elementwise.

    Args:
        one: ``[P]`` each: number of the camera, start and end in seconds of the one.
        two: The same of the other.
        distance: ``[P]`` body heights between them where they were in view together, NaN where that is not known.

    Returns:
        0 where both were in view for more than half of the shorter track, 1 where they were for less, 2 + 2 i + j for
        gaps: i counts the edges beyond the first that the gap reaches, j is 1 where the camera with the lesser number
        had its track first. Where a distance is known, the last of them instead, by how far apart they were.
    """
    (camera, start, end), (other, begin, stop) = one, two
    apart = np.maximum(start, begin) - np.minimum(end, stop)
    gap = 2 * np.searchsorted(_EDGES, np.maximum(apart, 0.0), side="right")
    first = ((camera < other) & (start <= begin)) | ((camera > other) & (begin <= start))
    shorter = np.maximum(np.minimum(end - start, stop - begin), 0.5)
    by_time = np.where(apart < 0, np.where(-apart > 0.5 * shorter, 0, 1), gap + first)
    by_place = _BY_TIME + np.searchsorted(_APART, distance, side="right")
    return np.asarray(np.where(np.isfinite(distance), by_place, by_time), np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _Looked:
    """The pairs of tracks that were counted last.

    Args:
        keys: The tracks.
        one: ``[P]`` first of each pair.
        two: ``[P]`` second.
        cell: ``[P]`` row of the pair of cameras times ``RELATIONS`` plus the relation.
        same: ``[P]`` probability that they are one person.
    """

    keys: Sequence[TrackKey]
    one: Rows
    two: Rows
    cell: Rows
    same: FloatArray

    def count(self, rows: int, which: BoolArray | slice = slice(None)) -> Float64Array:
        """``[2, rows, RELATIONS]`` pairs of one person and of two."""
        cell, same, size = self.cell[which], self.same[which], rows * RELATIONS
        counted = np.stack([np.bincount(cell, same, size), np.bincount(cell, 1.0 - same, size)])
        return np.asarray(counted.reshape(2, rows, RELATIONS), np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class KnownRelations:
    """What was counted so far.

    Args:
        cameras: Names of cameras; of a pair that one has the lesser number that is named first.
        pairs: ``[2, RELATIONS]`` pairs of tracks of one person and of two, by pair of cameras in that order.
        shares: ``[RELATIONS]`` shares of the pairs of two people over all pairs of cameras.
    """

    cameras: tuple[str, ...] = ()
    pairs: Mapping[tuple[str, str], Float64Array] = field(default_factory=dict)
    shares: Float64Array = field(default_factory=lambda: np.full(RELATIONS, 1.0 / RELATIONS))


class TimeRelations:
    """Counts of relations, which follow the tracks of the window and remember those that left it.

    Args:
        places: Where tracks stood; None knows no distances.

    Attributes:
        most: The greatest log-odds of any relation.
    """

    def __init__(self, places: LearntPlaces | None = None) -> None:
        self.most = 0.0
        self._places = places
        self._number: dict[str, int] = {}
        self._row: Rows = np.zeros((0, 0), np.int64)  # of each pair of cameras that somebody went through; -1 else
        self._closed: Float64Array = np.zeros((2, 0, RELATIONS))
        self._counts = self._closed
        self._shares: Float64Array = np.full(RELATIONS, 1.0 / RELATIONS)
        self._last: _Looked | None = None
        self._when = self._first = -np.inf

    def __repr__(self) -> str:
        return f"TimeRelations(cameras={len(self._number)}, one_person={float(self._counts[0].sum()):.1f})"

    def due(self, now: float) -> bool:
        """Whether the window is to be looked at again."""
        return not self._when <= now < self._when + min(EVERY, max(_SOONEST, (now - self._first) / 4))

    def learn(
        self, now: float, keys: Sequence[TrackKey], start: Float64Array, end: Float64Array, sure: SurePairs
    ) -> None:
        """Look at the tracks in the window.

        Args:
            now: Capture time.
            keys: T tracks.
            start: ``[T]`` first time of each.
            end: ``[T]`` last time of each.
            sure: Who is probably one person.
        """
        self._first = now if now < self._when or not np.isfinite(self._first) else self._first
        self._when = now
        self._close(set(keys))
        if self._places is not None:
            self._places.keep(keys)
            self._places.learn(keys, sure.one, sure.two)
        times = _Times(self._numbers(keys), start, end)
        one, two = np.triu_indices(len(keys), 1)
        a, b = times.at(one), times.at(two)
        # Who was seen by one camera at one time is two people, whatever the times of others say.
        kept = (a.camera != b.camera) | (np.maximum(a.start, b.start) > np.minimum(a.end, b.end))
        one, two = one[kept], two[kept]
        same = np.zeros((len(keys), len(keys)), np.float32)
        same[sure.one, sure.two] = sure.probability
        same = same[one, two]
        low, high = _ordered(times.camera[one], times.camera[two])
        self._open(low[same > 0], high[same > 0])
        relation = relations(times.at(one), times.at(two), self._distances(keys, one, two))
        shares = np.bincount(relation, 1.0 - same, RELATIONS) + 1.0
        self._shares = shares / shares.sum()
        row = self._row[low, high]
        known = row >= 0
        self._last = _Looked(keys, one[known], two[known], (row * RELATIONS + relation)[known], same[known])
        self._counts = self._closed + self._last.count(self._closed.shape[1])
        self._find_most()

    def known(self) -> KnownRelations:
        """What was counted so far, also of the tracks in the window."""
        names = sorted(self._number, key=self._number.__getitem__)
        low, high = np.nonzero(np.triu(self._row >= 0))
        pairs = {
            (names[i], names[j]): self._counts[:, self._row[i, j]].copy()
            for i, j in zip(low.tolist(), high.tolist(), strict=True)
        }
        return KnownRelations(tuple(names), pairs, self._shares.copy())

    def begin(self, known: KnownRelations) -> None:
        """Begin with what an earlier run counted, before anything is learnt. Pairs of cameras of which something is
        known already stay as they are.

        Args:
            known: From ``known``.
        """
        if not self._number:
            self._shares = known.shares.copy()
        self._numbers([(camera, 0) for camera in known.cameras])
        for (one, two), counts in known.pairs.items():
            i, j = self._number[one], self._number[two]
            low, high = min(i, j), max(i, j)
            if self._row[low, high] >= 0:
                continue
            self._open(np.array([low]), np.array([high]))
            mine = counts if i <= j else counts[:, _OTHER_FIRST]
            self._closed[:, self._row[low, high]] = mine * min(1.0, BEGIN / max(float(counts[0].sum()), 1e-9))
        self._counts = self._closed
        self._find_most()

    def _find_most(self) -> None:
        everything = self._log_odds(np.arange(len(self._counts[0]))[:, None], np.arange(RELATIONS)[None])
        self.most = max(0.0, float(everything.max(initial=0.0)))

    def log_odds(
        self, keys: Sequence[TrackKey], start: Float64Array, end: Float64Array, one: Rows, two: Rows
    ) -> FloatArray:
        """``[P]`` what the times of pairs of tracks say for one person; 0 where nothing was learnt.

        Args:
            keys: T tracks.
            start: ``[T]`` first time of each.
            end: ``[T]`` last time of each.
            one: ``[P]`` first of each pair, by number.
            two: ``[P]`` second.
        """
        if not len(self._counts[0]):
            return np.zeros(len(one), np.float32)
        times = _Times(self._numbers(keys), start, end)
        row = self._row[_ordered(times.camera[one], times.camera[two])]
        found = relations(times.at(one), times.at(two), self._distances(keys, one, two))
        said = self._log_odds(np.maximum(row, 0), found)
        return np.where(row >= 0, said, 0.0).astype(np.float32)

    def _distances(self, keys: Sequence[TrackKey], one: Rows, two: Rows) -> FloatArray | float:
        return np.nan if self._places is None else self._places.distances(keys, one, two)

    def _log_odds(self, row: Rows, relation: Rows) -> Float64Array:
        same, other = self._counts
        shares = other + _SMOOTH * self._shares
        q = (shares / shares.sum(1, keepdims=True))[row, relation]
        said = np.log((same[row, relation] + PRIOR * q) / (same.sum(1)[row] + PRIOR)) - np.log(q)
        return np.asarray(np.clip(said, -LIMIT, LIMIT), np.float64)

    def _close(self, present: set[TrackKey]) -> None:
        """Keep what was counted of tracks that are not in the window any more."""
        if self._last is None:
            return
        gone = np.array([key not in present for key in self._last.keys], bool)
        if not gone.any():
            return
        self._closed = self._closed + self._last.count(
            self._closed.shape[1], gone[self._last.one] | gone[self._last.two]
        )
        much = self._closed[0].sum(1)
        self._closed *= np.minimum(1.0, MOST / np.maximum(much, 1e-9))[None, :, None]

    def _open(self, low: Rows, high: Rows) -> None:
        """Begin to count for pairs of cameras."""
        fresh = self._row[low, high] < 0
        pairs = np.unique(np.stack([low[fresh], high[fresh]], 1), axis=0)
        if len(pairs):
            count = self._closed.shape[1]
            self._row[pairs[:, 0], pairs[:, 1]] = np.arange(count, count + len(pairs))
            self._closed = np.concatenate([self._closed, np.zeros((2, len(pairs), RELATIONS))], 1)

    def _numbers(self, keys: Sequence[TrackKey]) -> Rows:
        """``[T]`` number of the camera of each track."""
        for camera in dict.fromkeys([camera for camera, _ in keys]):
            self._number.setdefault(camera, len(self._number))
        old, count = len(self._row), len(self._number)
        if count > old:
            row = np.full((count, count), -1, np.int64)
            row[:old, :old] = self._row
            self._row = row
        return np.array([self._number[camera] for camera, _ in keys], np.int64)


def _ordered(one: Rows, two: Rows) -> tuple[Rows, Rows]:
    return np.minimum(one, two), np.maximum(one, two)
