"""Evidence for the pairs of tracks that can matter, as columns: thousands of tracks are decided on without weighing
every pair of them.

A pair can matter where its log-odds may reach the threshold, where both were believed to be one person before, or where
a person said something about both. :class:`LinkBound` says how alike two tracks must look for the first. All other
pairs only count inside of a group that such pairs hold together, and are weighed there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.association.agglomerative_clustering import ALONE, Labels, agglomerate_small, grouped_nodes
from streamreid.association.link_model import LOOKS_LIMIT, sigmoid
from streamreid.association.site_adaptation import AnyCalibration
from streamreid.config.association import LinkConfig
from streamreid.types import BoolArray, FloatArray, TrackKey

__all__ = ["LinkBound", "PairGraph", "all_pairs", "rising"]

Rows = NDArray[np.intp]

_FEW = 12
"""Nodes up to which arrays do not pay."""

_ROUNDING = 1e-3
"""Log-odds by which a bound is lowered, so that rounding drops nothing."""


@dataclass(frozen=True, slots=True)
class LinkBound:
    """What the log-odds of a pair are at most, by looks alone.

    Args:
        unseen: Log-odds of a pair of which nothing was seen in common.
        seen: What all terms beside the log-odds by looks add to that at most where something was.
        low: Least factor of the log-odds by looks.
        high: Greatest factor.
    """

    unseen: float
    seen: float
    low: float
    high: float

    @classmethod
    def of(cls, model: LinkConfig, *, crowd: float, seconds: float, more: float = 0.0) -> LinkBound:
        """The bound of pairs of tracks.

        Args:
            model: Weights of the terms.
            crowd: How many people may be meant.
            seconds: Greatest time between two tracks.
            more: What strangers and times add to the log-odds at most.
        """
        factors = model.looks_common, model.looks_crops
        most = (model.common, model.crops, model.quality, model.other_camera, model.gap * float(np.log1p(seconds)))
        return cls(
            model.intercept + model.exclusion + model.crowd * float(np.log(max(crowd, 1.0))),
            sum(max(value, 0.0) for value in most) + max(more, 0.0),
            model.looks + sum(min(f, 0.0) for f in factors),
            model.looks + sum(max(f, 0.0) for f in factors),
        )

    def at_most(self, looks: FloatArray, common: FloatArray) -> FloatArray:
        """Greatest log-odds of pairs, elementwise, without those by place."""
        base = np.clip(looks, -LOOKS_LIMIT, LOOKS_LIMIT)
        gain = np.maximum(base * self.low, base * self.high) + self.seen
        return np.asarray(self.unseen + np.where(common > 0, np.maximum(gain, 0.0), 0.0), np.float32)

    def least_similarity(self, calibration: AnyCalibration, threshold: float) -> float:
        """The similarity below which no pair reaches the threshold; infinite where none or all do."""
        need = threshold - _ROUNDING - self.unseen - self.seen
        factor = self.high if need > 0 else self.low
        if self.low < 0 or (need <= 0 and factor <= 0):
            return -np.inf
        if factor <= 0 or need / factor > LOOKS_LIMIT:
            return np.inf
        if need / factor <= -LOOKS_LIMIT:
            return -np.inf
        at_zero, at_one = calibration.log_odds(np.array([0.0, 1.0], np.float32)).tolist()
        if at_one <= at_zero:
            return -np.inf
        return float((need / factor - at_zero) / (at_one - at_zero)) - _ROUNDING


@dataclass(slots=True, eq=False)
class PairGraph:
    """What is known of P pairs of N nodes: first the T tracks, then older identities. Pairs are sorted; of those that
    are missing nothing is known, and two older identities are two people.

    Args:
        keys: The tracks.
        past: Global ids of the older identities.
        before: ``[N]`` global id so far; 0 if none.
        size: ``[N]`` how many tracks each is.
        code: ``[P]`` first node * N + second node, rising; the first is the lesser one.
        terms: ``[P]`` each: evidence by name.
        log_odds: ``[P]``.
        weight: ``[P]`` how much each pair counts in a mean.
        forbidden: ``[P]`` who cannot be one person.
    """

    keys: list[TrackKey]
    past: list[int]
    before: NDArray[np.int64]
    size: NDArray[np.int64]
    code: NDArray[np.int64]
    terms: dict[str, FloatArray]
    log_odds: FloatArray
    weight: FloatArray
    forbidden: BoolArray

    def __len__(self) -> int:
        return len(self.before)

    @property
    def ends(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """``[P]`` first and second node of each pair."""
        one, two = np.divmod(self.code, max(len(self), 1))
        return one, two

    def joined(self, other: PairGraph) -> PairGraph:
        """The pairs of both, which have the same nodes and no pair in common."""
        code = np.concatenate([self.code, other.code])
        order = np.argsort(code, kind="stable")

        def both(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
            return np.asarray(np.concatenate([a, b])[order])

        return PairGraph(
            self.keys,
            self.past,
            self.before,
            self.size,
            code[order],
            {name: both(term, other.terms[name]) for name, term in self.terms.items()},
            both(self.log_odds, other.log_odds),
            both(self.weight, other.weight),
            both(self.forbidden, other.forbidden),
        )

    def find(self, one: NDArray[Any], two: NDArray[Any]) -> tuple[Rows, BoolArray]:
        """Where pairs of nodes stand, and which of them are there."""
        code = np.minimum(one, two) * len(self) + np.maximum(one, two)
        at = np.searchsorted(self.code, code)
        at[at == len(self.code)] = 0
        return at, np.asarray(self.code[at] == code if len(self.code) else np.zeros(len(at), bool))

    def evidence(self, row: int, others: NDArray[Any]) -> tuple[FloatArray, FloatArray, dict[str, FloatArray]]:
        """``[M]`` weight, log-odds and terms of a track with others; weight 0 where nothing is known."""
        at, there = self.find(np.full(len(others), row), others)
        if not there.any():
            nothing = np.zeros(len(others), np.float32)
            return nothing, nothing, dict.fromkeys(self.terms, nothing)
        weight = np.where(there, self.weight[at], np.float32(0.0))
        return weight, self.log_odds[at], {name: term[at] for name, term in self.terms.items()}

    def groups(self, threshold: float) -> list[list[int]]:
        """Nodes that pairs hold together whose log-odds reach the threshold, two or more each, sorted. A join needs at
        least one such pair, so these are independent."""
        edges = (self.log_odds >= threshold) & (self.weight > 0) & ~self.forbidden
        one, two = self.ends
        return grouped_nodes(one[edges], two[edges])

    def missing(self, groups: Iterable[Sequence[int]]) -> NDArray[np.int64]:
        """Codes of the pairs inside of these groups that are not known yet, but for those of older identities."""
        code = all_pairs([rows for rows in groups if len(rows) > 2], len(self))
        if not len(code):
            return code
        one, two = np.divmod(code, len(self))
        return np.asarray(code[~self.find(one, two)[1] & (one < len(self.keys))])

    def agglomerate(self, groups: Sequence[Sequence[int]], threshold: float) -> tuple[Labels, FloatArray]:
        """Partition the nodes; see :func:`agglomerative_clustering.agglomerate`, of which this is the result.

        Args:
            groups: As ``groups`` says, all pairs inside of which are known.
            threshold: Least mean log-odds of a join.

        Returns:
            ``[N]`` cluster number of each node, and the probability ``[T]`` of each track belonging to it; see
            ``track_graph.membership``.
        """
        labels, held = np.arange(len(self)), np.full(len(self), ALONE)
        twos = np.array([rows for rows in groups if len(rows) == 2], np.int64).reshape(-1, 2)
        if len(twos):  # most people are seen by two
            one, two = twos.T
            at = self.find(one, two)[0]
            heavy = self.weight[at]
            mean = (self.log_odds[at] * heavy).astype(np.float64) / heavy
            joined = mean >= threshold
            labels[two[joined]] = one[joined]
            held[one[joined]] = held[two[joined]] = mean[joined]
        large = [rows for rows in groups if len(rows) > 2]
        for rows, block in zip(large, self._blocks(large), strict=True):
            where = np.array(rows, np.intp)
            label, least = agglomerate_small(*block, threshold, self.size[where])
            labels[where], held[where] = where[label], least
        there = np.zeros(len(labels), np.int64)
        there[labels] = 1
        numbers = (np.cumsum(there) - 1)[labels]
        return numbers, sigmoid(held[: len(self.keys)].astype(np.float32))

    def _blocks(self, groups: Sequence[Sequence[int]]) -> list[tuple[FloatArray, FloatArray, BoolArray]]:
        """``[M, M]`` each, for every group: log-odds, weight and who cannot be one person, among its nodes."""
        count = np.array([len(rows) for rows in groups], np.int64)
        begin = np.cumsum(count**2) - count**2
        nodes = np.array([row for rows in groups for row in rows], np.int64)
        group, place = np.full(len(self), -1), np.zeros(len(self), np.int64)
        group[nodes] = np.repeat(np.arange(len(groups)), count)
        place[nodes] = np.arange(len(nodes)) - np.repeat(np.cumsum(count) - count, count)
        one, two = self.ends
        at = np.flatnonzero((group[one] == group[two]) & (group[one] >= 0))
        which, i, j = group[one[at]], place[one[at]], place[two[at]]
        there, back = begin[which] + i * count[which] + j, begin[which] + j * count[which] + i
        total = int((count**2).sum())
        columns: list[NDArray[Any]] = [np.zeros(total, np.float32), np.zeros(total, np.float32), np.ones(total, bool)]
        for flat, column in zip(columns, (self.log_odds, self.weight, self.forbidden), strict=True):
            flat[there] = flat[back] = column[at]
        result = []
        for first, n in zip(begin.tolist(), count.tolist(), strict=True):
            log_odds, weight, forbidden = (flat[first : first + n * n].reshape(n, n) for flat in columns)
            np.fill_diagonal(forbidden, False)
            result.append((log_odds, weight, forbidden))
        return result


@lru_cache(maxsize=64)
def _upper(count: int) -> tuple[Rows, Rows]:
    """All pairs of so many, the lesser first; not to be written to."""
    one, two = np.triu_indices(count, 1)
    return one, two


def all_pairs(groups: Iterable[Sequence[int]], count: int) -> NDArray[np.int64]:
    """Codes of all pairs inside of groups of nodes, each sorted; rising, each once.

    Args:
        groups: Nodes.
        count: N.
    """
    found: list[int] = []
    for rows in groups:
        if len(rows) <= _FEW:
            found += [i * count + j for i, j in combinations(rows, 2)]
        else:
            nodes = np.array(rows, np.int64)
            i, j = _upper(len(nodes))
            found += (nodes[i] * count + nodes[j]).tolist()
    return rising(np.array(found, np.int64))


def rising(code: NDArray[np.int64]) -> NDArray[np.int64]:
    """The different ones of some codes, sorted; for a few, faster than np.unique."""
    if len(code) < 2:
        return code
    code = np.sort(code)
    fresh = np.empty(len(code), bool)
    fresh[0] = True
    np.not_equal(code[1:], code[:-1], out=fresh[1:])
    return code[fresh]
