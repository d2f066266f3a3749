"""Trajectories of tracks on the ground: how likely two are one person's, and who is who."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streamreid.types import Float64Array, IntArray, TrackKey

__all__ = ["BIN", "Trajectories", "names_of"]

BIN = 0.5  # seconds: positions of two tracks are compared at such moments
_NEAR = 0.35  # metres: standard deviation of the distance of two views of one person
_ROOM = 100.0  # square metres in which two different people may be
_FASTEST = 4.0  # metres per second


@dataclass(frozen=True, slots=True, eq=False)
class Trajectories:
    """Places of N tracks at M moments.

    Args:
        moments: ``[M]`` ascending.
        points: ``[N, M, 2]`` metres, NaN where a track was not.
        numbers: ``[N, M]`` number on the ground, 0 where it is not known.
        first: ``[N]`` index of the first moment of each track.
        last: ``[N]`` of the last.
    """

    moments: Float64Array
    points: Float64Array
    numbers: IntArray
    first: IntArray
    last: IntArray

    @classmethod
    def build(cls, bins: Sequence[Mapping[int, tuple[float, float, int]]]) -> Trajectories:
        moments = np.array(sorted({m for b in bins for m in b}))
        index = {m: k for k, m in enumerate(moments.tolist())}
        points = np.full((len(bins), len(moments), 2), np.nan)
        numbers = np.zeros((len(bins), len(moments)), np.int64)
        for row, b in enumerate(bins):
            at = [index[m] for m in b]
            values = np.array(list(b.values()))
            points[row, at], numbers[row, at] = values[:, :2], values[:, 2]
        there = np.isfinite(points[..., 0])
        return cls(
            moments.astype(np.float64), points, numbers, there.argmax(1), len(moments) - 1 - there[:, ::-1].argmax(1)
        )

    def compare(self, row: int, camera: IntArray) -> Float64Array:
        """``[N]`` log-odds of one track with all."""
        gap = np.linalg.norm(self.points[row] - self.points, axis=2)
        common = np.isfinite(gap)
        same = (self.numbers[row] == self.numbers) & (self.numbers[row] > 0)
        both = (self.numbers[row] > 0) & (self.numbers > 0) & ~same
        gap = np.where(common, np.minimum(gap, 3.0), 0.0)
        each = np.log(_ROOM / (2 * np.pi * _NEAR**2)) - gap**2 / (2 * _NEAR**2)
        each = np.where(same, 4.0, np.where(both, np.minimum(each, -2.0), np.clip(each, -8.0, 3.0)))
        count = common.sum(1)
        mean = (each * common).sum(1) / np.maximum(count, 1)
        together = np.clip(mean * np.minimum(0.5 + count * BIN, 6.0), -30.0, 20.0)
        other = camera != camera[row]
        return np.asarray(np.where((count > 0) & other, together, self._apart(row)), np.float64)

    def _apart(self, row: int) -> Float64Array:
        """``[N]`` log-odds of tracks one after the other: the same number goes on, or nobody is that fast."""
        rows = np.arange(len(self.points))
        after = self.first >= self.last[row]
        before = self.last <= self.first[row]
        own = np.where(after, self.last[row], self.first[row])
        theirs = np.where(after, self.first, self.last)
        seconds = np.abs(self.moments[theirs] - self.moments[own]) * BIN
        way = np.linalg.norm(self.points[row, own] - self.points[rows, theirs], axis=1)
        number = self.numbers[row, own]
        goes_on = (number == self.numbers[rows, theirs]) & (number > 0)
        odds = np.where(goes_on, 6.0, np.where(way > 1.5 + _FASTEST * (seconds + BIN), -30.0, 0.0))
        return np.where(after | before, odds, 0.0)


def names_of(
    votes: Mapping[int, Mapping[TrackKey, int]],
    spans: Mapping[int, tuple[float, float]],
    identities: Mapping[TrackKey, tuple[int, float]],
) -> dict[int, int]:
    """The global id of each number on the ground: that of most of its boxes, unless somebody else has it at the same
    time."""
    wishes: list[tuple[int, int, int]] = []
    for number, keys in votes.items():
        weights: dict[int, int] = defaultdict(int)
        for key, count in keys.items():
            if identities.get(key, (0, 0.0))[0]:
                weights[identities[key][0]] += count
        wishes += [(count, number, who) for who, count in weights.items()]
    names: dict[int, int] = {}
    taken: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for _, number, who in sorted(wishes, key=lambda w: (-w[0], w[1], w[2])):
        begin, end = spans[number]
        if number not in names and not any(b < end and begin < e for b, e in taken[who]):
            names[number] = who
            taken[who].append((begin, end))
    fresh = max([*(who for who, _ in identities.values()), *names.values(), 0]) + 1
    for number in sorted(spans):
        if number not in names:
            names[number], fresh = fresh, fresh + 1
    return names
