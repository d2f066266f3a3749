"""Markov chains over the partitions of tracks that are connected by doubtful pairs; see ``partition_sampling.py``.

With F the evidence ratio of a pair that is not listed, n members and the sums T_k of the ratios of member k with the
earlier ones, f(C) = sum_k log T_k - log (n - 1)!, so what a track changes in a cluster follows from the listed pairs of
this track and from two counts. A move therefore costs what the track has listed pairs, and not how many tracks there
are. All chains make the same move at once, in arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreid.types import Float64Array, IntArray

__all__ = ["ABSENT", "CONFLICT", "SUREST", "Chains", "PeopleCount", "SparsePairs", "conflict"]

ABSENT = -5.5
"""Evidence of pairs that are not listed: below what is listed."""

CONFLICT = 0.8
"""How much of the evidence against a pair counts, whichever tracks of the cluster are alike."""

_DOUBTFUL = -2.0
"""Evidence from which a pair speaks against its cluster: of pairs of one person, one in seventy has less, of pairs of
two people six in seven."""

_NEGLIGIBLE = -4.0
"""Evidence below which a pair joins nobody."""

SUREST = 20.0
"""Evidence beyond which a pair is as sure as can be; keeps sums of exponentials exact."""

_FORBIDDEN = 1e9
"""What a pair that cannot be takes from the score of its cluster."""

_RATIO = float(np.exp(ABSENT))
_AGAINST = CONFLICT * (ABSENT - _DOUBTFUL)

_PROPOSED = 6
"""Surest pairs of each track by which clusters are proposed to be joined or parted."""


@dataclass(slots=True, eq=False)
class PeopleCount:
    """How many people there are in each chain, over all components.

    Args:
        count: ``[S]``.
        joined: ``[N + 1]`` what one person less adds to the logarithm of the prior, by the number that is left.
    """

    count: IntArray
    joined: Float64Array


@dataclass(frozen=True, slots=True, eq=False)
class SparsePairs:
    """Listed pairs of N tracks, in both directions, by row and column.

    Args:
        begin: ``[N + 1]`` where the pairs of each row begin.
        column: ``[P]``, ascending in each row.
        ratio: ``[H, P]`` by how much the likelihood ratio is above that of a pair that is not listed, per hypothesis.
        against: ``[H, P]`` what the pair takes from the score of a cluster beyond what one that is not listed takes.
        joins: ``[P]`` whether a track may join another's cluster by the pair.
        surest: ``[P]`` evidence of the pair under the hypothesis that favours it most.
        key: ``[P]`` row times N plus column, ascending.
    """

    begin: IntArray
    column: IntArray
    ratio: Float64Array
    against: Float64Array
    joins: NDArray[np.bool_]
    surest: Float64Array
    key: IntArray

    @staticmethod
    def of(
        count: int, pairs: IntArray, evidence: Float64Array, apart: IntArray, weight: Float64Array | None = None
    ) -> SparsePairs:
        """From pairs as a ``LinkGraph`` has them.

        Args:
            count: N.
            pairs: ``[E, 2]``.
            evidence: ``[H, E]``.
            apart: ``[F, 2]``.
            weight: ``[E]``.
        """
        evidence = np.clip(evidence, ABSENT, SUREST)
        never = np.full((len(evidence), len(apart)), -_FORBIDDEN)
        ratio = np.concatenate([np.exp(evidence) - _RATIO, np.zeros_like(never)], 1)
        opposed = conflict(evidence) if weight is None else conflict(evidence) * weight
        against = np.concatenate([opposed - _AGAINST, never], 1)
        surest = np.concatenate([evidence.max(0, initial=ABSENT), np.full(len(apart), -np.inf)])
        both = np.concatenate([pairs, apart])
        # A pair that cannot be is one, whatever is listed of it: the last of the same pair is kept.
        key = both.min(1) * count + both.max(1)
        _, last = np.unique(key[::-1], return_index=True)
        keep = np.sort(len(key) - 1 - last)
        i, j = both[keep].T
        row, column, pair = np.concatenate([i, j]), np.concatenate([j, i]), np.concatenate([keep, keep])
        order = np.lexsort((column, row))
        column, pair = column[order], pair[order]
        begin = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=count))])
        joins = surest[pair] > _NEGLIGIBLE
        key = row[order] * count + column
        return SparsePairs(begin, column, ratio[:, pair], against[:, pair], joins, surest[pair], key)

    def within(self, rows: IntArray) -> SparsePairs:
        """The pairs of some tracks among themselves; rows ascend."""
        number = np.full(len(self.begin) - 1, -1)
        number[rows] = np.arange(len(rows))
        degree = np.diff(self.begin)[rows]
        at = np.repeat(self.begin[rows] - np.concatenate([[0], np.cumsum(degree)[:-1]]), degree)
        at = at + np.arange(degree.sum())
        inside = number[self.column[at]] >= 0
        row, at = np.repeat(np.arange(len(rows)), degree)[inside], at[inside]
        begin = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(rows)))])
        column = number[self.column[at]]
        key = row * len(rows) + column
        return SparsePairs(begin, column, self.ratio[:, at], self.against[:, at], self.joins[at], self.surest[at], key)

    def between(self, columns: IntArray) -> tuple[Float64Array, Float64Array]:
        """``[H, C, C]`` likelihood ratios, and what pairs take from the score, of some tracks with each other."""
        n = len(self.begin) - 1
        key = columns[:, None] * n + columns[None]
        at = np.minimum(np.searchsorted(self.key, key), max(len(self.key) - 1, 0))
        listed = self.key[at] == key if len(self.key) else np.zeros(key.shape, bool)
        ratio = np.where(listed, self.ratio[:, at], 0.0) + _RATIO
        against = np.where(listed, self.against[:, at], 0.0) + _AGAINST
        against[:, np.arange(len(columns)), np.arange(len(columns))] = 0.0
        return ratio, against


def conflict(evidence: Float64Array) -> Float64Array:
    """What pairs take from the score of their cluster."""
    return np.asarray(CONFLICT * np.minimum(evidence - _DOUBTFUL, 0.0), np.float64)


class Chains:
    """Chains over the partitions of one component, all at once.

    Args:
        pairs: Of its N tracks.
        start: ``[N]`` where all chains begin.
        people: Over all components.
        rng: Draws.

    Attributes:
        labels: ``[S, N]`` numbers of clusters.
    """

    def __init__(self, pairs: SparsePairs, start: IntArray, people: PeopleCount, rng: np.random.Generator) -> None:
        n, samples = len(start), len(people.count)
        self._pairs, self._people, self._rng = pairs, people, rng
        self._chain = np.arange(samples)
        self._hypotheses = len(pairs.ratio)
        own = np.unique(start, return_inverse=True)[1].ravel()
        self.labels = np.repeat(own[None], samples, 0)
        self._wide = n + 1
        self._size = np.repeat(np.bincount(own, minlength=n + 1)[None], samples, 0)
        # Of each track: how many earlier ones its cluster holds, and the sum of the listed ratios with them.
        row = np.repeat(np.arange(n), np.diff(pairs.begin))
        same = own[row] == own[pairs.column]
        if (same & (pairs.against[0] < -_FORBIDDEN / 2)).any():
            raise ValueError("the start joins tracks that cannot be one person")
        before = np.zeros(n, np.int64)
        for rows in _members(own):
            before[rows] = np.arange(len(rows))
        self._before = np.repeat(before[None], samples, 0)
        earlier = np.where(same & (pairs.column < row), pairs.ratio, 0.0)
        total = np.stack([np.bincount(row, found, n) for found in earlier])
        self._total = np.repeat(total, samples // self._hypotheses, 0)
        self._moved = np.zeros(n, np.int64)
        self._edges = self._proposals(row)
        self._taken = np.zeros(len(self._edges), bool)

    def _proposals(self, row: IntArray) -> IntArray:
        """``[E, 2]`` pairs by which clusters are joined or parted: the surest of each track."""
        pairs = self._pairs
        order = np.lexsort((-pairs.surest, row))
        rank = np.empty(len(row), np.int64)
        rank[order] = np.arange(len(row)) - pairs.begin[row[order]]
        chosen = (rank < _PROPOSED) & (pairs.surest > _DOUBTFUL)
        edges = np.stack([row[chosen], pairs.column[chosen]], 1)
        return np.unique(np.sort(edges, 1), axis=0)

    def _of_chains(self, values: Float64Array) -> Float64Array:
        """``[S, ...]`` values of each chain's hypothesis, from ``[H, ...]``."""
        return np.repeat(values, len(self._chain) // len(values), 0) if len(values) > 1 else values

    def sweep(self, *, often: float = 1.0) -> None:
        """Visit every track, and propose joins and parts.

        Args:
            often: Tracks that no chain moved are visited with this probability.
        """
        pairs = self._pairs
        if not pairs.joins.any():
            return
        n = len(self._moved)
        visited = self._rng.uniform(size=n) < np.where(self._moved > 0, 1.0, often)
        self._early = np.zeros_like(self._size)
        for node in range(n):
            if visited[node] and pairs.begin[node + 1] > pairs.begin[node]:
                self._move(node)
            self._early[self._chain, self.labels[:, node]] += 1
        edges = np.flatnonzero(self._rng.uniform(size=len(self._edges)) < np.where(self._taken, 1.0, often))
        for edge in self._rng.permutation(edges)[: -(-n // 4)].tolist():
            self._taken[edge] |= self._join_or_part(*self._edges[edge].tolist())

    def _move(self, node: int) -> None:
        """Gibbs: draw a track's cluster anew, given all others."""
        pairs, chain, labels, size = self._pairs, self._chain, self.labels, self._size
        here = slice(pairs.begin[node], pairs.begin[node + 1])
        near, joins = pairs.column[here], pairs.joins[here]
        first = int(np.searchsorted(near, node))
        ratio = self._of_chains(pairs.ratio[:, here])
        own, found = labels[:, node].copy(), labels[:, near]
        size[chain, own] -= 1
        late, late_ratio = near[first:], ratio[:, first:]
        leaves = found[:, first:] == own[:, None]
        total = np.maximum(self._total[:, late] - leaves * late_ratio, 0.0)
        before = self._before[:, late] - leaves
        weights: Float64Array = np.empty(found.shape)
        weights[:] = self._of_chains(pairs.against[:, here])
        weights[:, first:] += np.log1p((late_ratio / (_RATIO * np.maximum(before, 1) + total)).astype(np.float32))
        wide = int(found.max()) + 1
        flat: IntArray = found + (wide * chain)[:, None]
        bins = len(chain) * wide
        sums, terms = _sums_by(flat[:, :first], ratio[:, :first], bins), _sums_by(flat, weights, bins)
        options, at = found[:, joins], flat[:, joins]
        each = at + (self._wide * chain - wide * chain)[:, None]
        members = size.ravel()[each]
        likely = _RATIO * np.maximum(self._early.ravel()[each], 1) + sums[at]
        once = np.bincount(at.ravel(), minlength=bins)[at]  # each cluster counts once
        gain = np.zeros((len(chain), options.shape[1] + 1))
        chance: Float64Array = np.asarray(self._rng.standard_exponential(gain.shape), np.float64)
        gain[:, -1] = -np.log(chance[:, -1])
        gain[:, :-1] = np.log((likely / (members * once * chance[:, :-1])).astype(np.float32))
        gain[:, :-1] += terms[at] + _AGAINST * members
        alone = size[chain, own] == 0
        left = self._people.count - alone
        gain[:, :-1] += self._people.joined[left][:, None]
        pick = gain.argmax(1)
        new = pick == gain.shape[1] - 1
        free = np.where(alone, own, (size == 0).argmax(1))
        chosen = np.where(new, free, options[chain, np.minimum(pick, options.shape[1] - 1)])
        size[chain, chosen] += 1
        self._people.count[:] = left + new
        rows = np.flatnonzero(chosen != own)
        if not len(rows):
            return
        self._moved[node] += 1
        was, now = own[rows, None], chosen[rows, None]
        ratio = ratio[rows] if len(ratio) > 1 else ratio
        labels[rows, node] = chosen[rows]
        self._before[rows, node] = self._early[rows, chosen[rows]]
        self._total[rows, node] = ((found[rows, :first] == now) * ratio[:, :first]).sum(1)
        others = labels[rows, node + 1 :]
        self._before[rows, node + 1 :] += (others == now).astype(np.int64) - (others == was)
        joined = found[rows, first:] == now
        moved = (joined.astype(np.float64) - leaves[rows]) * ratio[:, first:]
        self._total[rows[:, None], late] = np.maximum(self._total[rows[:, None], late] + moved, 0.0)

    def _join_or_part(self, i: int, j: int) -> bool:
        """Metropolis and Hastings: join the clusters of two tracks, or part theirs at random so that each has one.

        Returns:
            Whether any chain did.
        """
        chain, rng = self._chain, self._rng
        a, b = self.labels[:, i].copy(), self.labels[:, j].copy()
        same = a == b
        one, two = self.labels == a[:, None], self.labels == b[:, None]
        columns = np.flatnonzero((one | two).any(0))
        one, two = one[:, columns], two[:, columns]
        side = rng.uniform(size=one.shape) < 0.5
        side[:, columns == i], side[:, columns == j] = True, False
        one, two = np.where(same[:, None], one & side, one), np.where(same[:, None], two & ~side, two)
        both = one | two
        ratio, against = self._pairs.between(columns)
        scores = [self._sums(mask, ratio) for mask in (one, two, both)]
        crossed = self._by_hypothesis(one, against)
        gain = scores[2][0] - scores[0][0] - scores[1][0] + (crossed * two).sum(1)
        gain -= (both.sum(1) - 2) * np.log(2.0)
        count, joined = self._people.count, self._people.joined
        gain = np.where(same, -gain - joined[count], gain + joined[np.maximum(count - 1, 0)])
        take = np.log(rng.uniform(1e-300, 1.0, len(chain))) < gain
        if not take.any():
            return False
        split, merge = np.flatnonzero(take & same), np.flatnonzero(take & ~same)
        for chosen, into, parts in (
            (split, (self._size[split] == 0).argmax(1), ((one, scores[0]), (two, scores[1]))),
            (merge, a[merge], ((both, scores[2]),)),
        ):
            rows, at = np.nonzero(two[chosen])
            self.labels[chosen[rows], columns[at]] = into[rows]
            self._moved[columns[at]] += 1
            for mask, (_, before, total) in parts:
                rows, at = np.nonzero(mask[chosen])
                self._before[chosen[rows], columns[at]] = before[chosen[rows], at]
                self._total[chosen[rows], columns[at]] = total[chosen[rows], at] - _RATIO * before[chosen[rows], at]
        self._size[split, a[split]] = one[split].sum(1)
        self._size[split, self.labels[split, j]] = two[split].sum(1)
        self._size[merge, b[merge]] = 0
        self._size[merge, a[merge]] = both[merge].sum(1)
        count[split] += 1
        count[merge] -= 1
        return True

    def _by_hypothesis(self, members: NDArray[np.bool_], values: Float64Array) -> Float64Array:
        """``[S, C]`` sums of ``[H, C, C]`` values over the members of clusters ``[S, C]``."""
        mask = members.reshape(self._hypotheses, -1, members.shape[1]).astype(np.float64)
        return np.asarray((mask @ values).reshape(members.shape), np.float64)

    def _sums(
        self, members: NDArray[np.bool_], ratio: Float64Array
    ) -> tuple[Float64Array, NDArray[np.int64], Float64Array]:
        """Of clusters ``[S, C]``: f without conflicts ``[S]``, and of each member how many earlier members there are
        and the sum of the ratios with them ``[S, C]``."""
        total = self._by_hypothesis(members, np.tril(ratio, -1).transpose(0, 2, 1))
        before: IntArray = np.cumsum(members, 1) - members
        terms = np.log(np.where(before > 0, total, 1.0) / np.maximum(before, 1))
        return np.where(members & (before > 0), terms, 0.0).sum(1), before, total


def _sums_by(number: IntArray, values: Float64Array, bins: int) -> Float64Array:
    """``[bins]`` sums of values by their number."""
    every = np.broadcast_to(values, number.shape)
    return np.asarray(np.bincount(number.ravel(), every.ravel(), bins), np.float64)


def _members(labels: IntArray) -> list[NDArray[np.intp]]:
    """The rows of each label, ascending."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
