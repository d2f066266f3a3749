"""Who may be who, as a distribution: partitions of tracks into people, sampled.

For every pair of tracks the evidence e_ij is known, the logarithm of how many times likelier what was seen is if they
are one person than if they are two; pairs that cannot be (one camera saw both at one time) are known too. A partition
of N tracks into n clusters C has the probability

    P(partition) ~ prod_C exp(sharpness * f(C)) / S(N, n)
    f(C) = sum_{k in C} log mean_{l < k, l in C} exp(e_kl) + CONFLICT * sum_{k, l in C} min(e_kl + 2, 0)

and 0 if a cluster holds a pair that cannot be. Every track but a person's first looks like one of the earlier ones,
whichever: a person has several looks (from behind, in another camera, half hidden), so a sure link to one track is not
made less sure by a doubtful one to another, and tracks that show the same do not count several times, as they would if
all pairs were added up. It is the distance-dependent Chinese restaurant process (Blei and Frazier, JMLR 12, 2011), with
the choice of the earlier track summed out. Two tracks that look like two people speak against their cluster, whoever
both are alike. S(N, n), the Stirling number of the second kind, is the number of
partitions into n clusters: before anything was seen every number of people is equally likely, and so is every partition
into as many. How many tracks a person has is thus learnt from the site itself.

Sampled by Gibbs steps for single tracks and by splits and merges of whole clusters (Metropolis and Hastings), in many
chains at once, which all begin at who is who now. Each chain gives one sample, so samples are independent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from streamreid.types import Float64Array, IntArray, TrackKey

__all__ = ["LinkGraph", "PartitionSamples", "log_partitions", "sample_partitions", "score"]

SHARPNESS = 1.0
"""How much the evidence counts; fitted on generated scenes of people who are in no test."""

MODEL_ERROR = 0.07
"""By which share of the number of people the estimate is wrong, with a probability of 90 %, where the samples agree:
people who look alike, tracks that change over to somebody else, people whom nobody tracked. Fitted to the six scenes
that the evidence was counted over."""

ABSENT = -5.5
"""Evidence of pairs that are not listed: below what is listed."""

NOBODY = -1
"""Label of a track that is no person."""

CONFLICT = 0.8
"""How much of the evidence against a pair counts, whichever tracks of the cluster are alike."""

_DOUBTFUL = -2.0
"""Evidence from which a pair speaks against its cluster: of pairs of one person, one in seventy has less, of pairs of
two people six in seven."""

_SUREST = 20.0
"""Evidence beyond which a pair is as sure as can be; keeps sums of exponentials exact."""

_CHAINS = 100
_SWEEPS = 12
_MERGEABLE = -2.0
"""Evidence from which the clusters of a pair are proposed to be joined or parted."""


@dataclass(frozen=True, slots=True, eq=False)
class LinkGraph:
    """What is known of which tracks may be one person.

    Args:
        keys: N tracks, by their beginning.
        pairs: ``[E, 2]`` rows of tracks that may be one person, each pair once.
        evidence: ``[E]`` log likelihood ratio of one person against two.
        apart: ``[F, 2]`` rows of tracks that cannot be one person.
    """

    keys: tuple[TrackKey, ...]
    pairs: IntArray
    evidence: Float64Array
    apart: IntArray

    def __post_init__(self) -> None:
        n = len(self.keys)
        if self.pairs.shape != (len(self.evidence), 2) or self.apart.shape != (len(self.apart), 2):
            raise ValueError(
                f"LinkGraph: expected pairs [E, 2], evidence [E] and apart [F, 2]; got {self.pairs.shape}, "
                f"{self.evidence.shape}, {self.apart.shape}"
            )
        rows = np.concatenate([self.pairs.ravel(), self.apart.ravel()])
        if len(rows) and not (rows.min() >= 0 and rows.max() < n):
            raise ValueError(f"LinkGraph: a pair names row {rows.max()} or {rows.min()}, but there are {n} tracks")
        if not np.isfinite(self.evidence).all():
            raise ValueError("LinkGraph: evidence must be finite numbers; pairs that cannot be belong to 'apart'")


@dataclass(frozen=True, eq=False)
class PartitionSamples:
    """Samples of who may be who.

    Args:
        keys: N tracks.
        labels: ``[S, N]`` number of each track's person in each sample; ``NOBODY`` where the track is none.
    """

    keys: tuple[TrackKey, ...]
    labels: IntArray

    @cached_property
    def _row(self) -> dict[TrackKey, int]:
        return {key: row for row, key in enumerate(self.keys)}

    def __repr__(self) -> str:
        return f"PartitionSamples(samples={len(self.labels)}, tracks={len(self.keys)})"

    def numbers(self, tracks: Collection[TrackKey], *, without: Collection[TrackKey] = ()) -> IntArray:
        """``[S]`` how many different people some tracks are, in each sample.

        Args:
            tracks: Of which people are counted; tracks that are not known are each a person.
            without: Tracks of people who are not counted.
        """
        rows = [self._row[key] for key in tracks if key in self._row]
        out = [self._row[key] for key in without if key in self._row]
        unknown = sum(key not in self._row and key not in without for key in tracks)
        found = np.zeros(len(self.labels), np.int64)
        for number, labels in enumerate(self.labels):
            people = np.unique(labels[rows])
            people = people[people != NOBODY]
            found[number] = len(np.setdiff1d(people, labels[out]) if out else people)
        return found + unknown

    def unique(self, tracks: Collection[TrackKey], *, without: Collection[TrackKey] = ()) -> tuple[float, float, float]:
        """How many different people some tracks are: median over the samples, and the 90 % interval.

        The interval reaches from the 5 % to the 95 % quantile of the samples, and further by what the model itself is
        wrong by (``MODEL_ERROR``): both are independent, so their squares add up. A single track is one person.
        """
        numbers = self.numbers(tracks, without=without)
        low, middle, high = np.quantile(numbers, [0.05, 0.5, 0.95], method="inverted_cdf").tolist()
        model = MODEL_ERROR * middle if len(tracks) > 1 else 0.0
        below, above = (float(np.hypot(step, model)) for step in (middle - low, high - middle))
        return float(middle), max(middle - below, min(middle, 1.0)), min(middle + above, max(len(tracks), middle))

    def persons(self) -> Iterator[Mapping[TrackKey, int]]:
        """For each sample the person of every track that is one."""
        for labels in self.labels:
            yield {key: int(label) for key, label in zip(self.keys, labels.tolist(), strict=True) if label != NOBODY}


def log_partitions(count: int) -> Float64Array:
    """``[count + 1]`` logarithm of the number of partitions of ``count`` things into 0, 1, 2, ... sets."""
    row = np.full(count + 1, -np.inf)
    row[0] = 0.0
    grow = np.log(np.maximum(np.arange(count + 1), 1e-300))
    for size in range(1, count + 1):
        row[1 : size + 1] = np.logaddexp(grow[1 : size + 1] + row[1 : size + 1], row[:size])
        row[0] = -np.inf
    return row


def score(graph: LinkGraph, labels: Sequence[int] | IntArray, *, sharpness: float = SHARPNESS) -> float:
    """Logarithm of the probability of a partition, but for a constant; minus infinity where it cannot be."""
    labels = np.asarray(labels)
    likely = _likely(graph)
    total = -float(log_partitions(len(labels))[len(np.unique(labels))])
    for label in np.unique(labels).tolist():
        rows = np.flatnonzero(labels == label)
        for at, row in enumerate(rows[1:].tolist(), 1):
            own = likely[row, rows[:at]]
            if (own < 0).any():
                return -np.inf
            total += sharpness * float(np.log(own.mean()) + _conflict(own).sum())
    return total


def _conflict(likely: Float64Array) -> Float64Array:
    """What two tracks of one cluster that look like two people take from its score."""
    return np.asarray(CONFLICT * np.minimum(np.log(np.maximum(likely, _TINY)) - _DOUBTFUL, 0.0), np.float64)


def _likely(graph: LinkGraph) -> Float64Array:
    """``[N, N]`` likelihood ratios; -1 for pairs that cannot be."""
    n = len(graph.keys)
    likely = np.full((n, n), np.exp(ABSENT))
    i, j = graph.pairs.T
    likely[i, j] = likely[j, i] = np.exp(np.clip(graph.evidence, ABSENT, _SUREST))
    i, j = graph.apart.T
    likely[i, j] = likely[j, i] = -1.0
    np.fill_diagonal(likely, 0.0)
    return likely


def sample_partitions(
    graph: LinkGraph,
    start: Sequence[int] | IntArray | None = None,
    *,
    samples: int = _CHAINS,
    sweeps: int = _SWEEPS,
    sharpness: float = SHARPNESS,
    seed: int = 0,
) -> PartitionSamples:
    """Sample who may be who.

    Args:
        graph: What is known.
        start: ``[N]`` where all chains begin: the global id of each track; None: everybody is alone.
        samples: How many, one per chain.
        sweeps: How often each chain visits each track.
        sharpness: Factor of all evidence.
        seed: The same seed gives the same samples.

    Raises:
        ValueError: ``start`` does not fit, or joins tracks that cannot be one person.
    """
    n = len(graph.keys)
    if start is not None and len(start) != n:
        raise ValueError(f"the start has {len(start)} tracks, the graph {n}")
    if not n:
        return PartitionSamples(graph.keys, np.zeros((samples, 0), np.int64))
    given = np.arange(n) if start is None else np.asarray(start, np.int64)
    likely, rng = _likely(graph), np.random.default_rng(seed)
    size = log_partitions(n)
    people = _People(np.full(samples, len(np.unique(given))), np.concatenate([[0.0], np.diff(size[1:]), [0.0]]))
    parts = list(_components(graph, given))
    chains = [_Chains(likely[np.ix_(rows, rows)], given[rows], sharpness, people, rng) for rows in parts]
    for _ in range(sweeps):
        for chain in chains:
            chain.sweep()
    labels, used = np.zeros((samples, n), np.int64), 0
    for rows, chain in zip(parts, chains, strict=True):
        labels[:, rows] = chain.labels + used
        used += len(rows) + 1
    return PartitionSamples(graph.keys, labels)


_NEGLIGIBLE = -4.0
"""Evidence below which a pair joins nobody."""


def _components(graph: LinkGraph, start: IntArray) -> Iterator[NDArray[np.intp]]:
    """Tracks that are connected by pairs that matter."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n = len(graph.keys)
    i, j = graph.pairs[graph.evidence > _NEGLIGIBLE].T
    first = np.unique(start, return_index=True, return_inverse=True)
    i, j = np.concatenate([i, np.arange(n)]), np.concatenate([j, first[1][first[2].ravel()]])
    _, number = connected_components(coo_matrix((np.ones(len(i)), (i, j)), (n, n)), directed=False)
    order = np.argsort(number, kind="stable")  # within a component, tracks keep their order
    yield from np.split(order, np.flatnonzero(np.diff(number[order])) + 1)


@dataclass(slots=True, eq=False)
class _People:
    """How many people there are in each chain, over all components.

    Args:
        count: ``[S]``.
        joined: ``[N + 1]`` what one person less adds to the logarithm of the prior, by the number that is left.
    """

    count: IntArray
    joined: Float64Array


class _Chains:
    """Chains over the partitions of one component, all at once.

    Attributes:
        labels: ``[S, N]`` numbers of clusters, 0 to N.
    """

    def __init__(
        self, likely: Float64Array, start: IntArray, sharpness: float, people: _People, rng: np.random.Generator
    ) -> None:
        n, samples = len(likely), len(people.count)
        self._sharpness, self._people, self._rng = sharpness, people, rng
        self._likely = np.maximum(likely, 0.0)
        self._never = likely < 0
        self._against = np.where(self._never, 0.0, _conflict(self._likely))
        np.fill_diagonal(self._against, 0.0)
        own = np.unique(start, return_inverse=True)[1].ravel()
        self.labels = np.repeat(own[None], samples, 0)
        self._chain = np.arange(samples)
        same = own[:, None] == own[None]
        if (same & self._never).any():
            raise ValueError("the start joins tracks that cannot be one person")
        self._size = np.repeat(np.bincount(own, minlength=n + 1)[None], samples, 0)
        earlier = np.tril(same, -1)
        # Of each track: how many earlier ones its cluster holds, and the sum of the likelihood ratios with them.
        self._before = np.repeat(earlier.sum(1)[None].astype(np.float64), samples, 0)
        self._total = np.repeat((earlier * self._likely).sum(1)[None], samples, 0)
        # A track can only join clusters that hold somebody it may be.
        near = likely > np.exp(_NEGLIGIBLE)
        np.fill_diagonal(near, False)
        self._near = [np.flatnonzero(row) for row in near]
        i, j = np.nonzero(np.triu(likely > np.exp(_MERGEABLE), 1))
        self._edges = np.stack([i, j], 1)

    def sweep(self) -> None:
        """Visit every track, and as many pairs."""
        if not len(self._edges):
            return
        for node in self._rng.permutation(len(self._likely)).tolist():
            if len(self._near[node]):
                self._move(node)
        count = min(len(self._edges), len(self._likely))
        for edge in self._rng.permutation(len(self._edges))[:count].tolist():
            self._join_or_part(*self._edges[edge].tolist())

    def _move(self, node: int) -> None:
        """Gibbs: draw a track's cluster anew, given all others. Only columns of tracks that are in one of the clusters
        concerned are touched: what a move costs follows their size and not the number of tracks."""
        chain, labels, near = self._chain, self.labels, self._near[node]
        own, ratio = labels[:, node].copy(), self._likely[node]
        options = labels[:, near]
        concerned = np.zeros((len(chain), labels.shape[1] + 1), bool)
        concerned[chain[:, None], options] = concerned[chain, own] = True
        columns = np.flatnonzero(np.take_along_axis(concerned, labels, 1).any(0))
        first, rest = columns[columns < node], columns[columns > node]
        others = labels[:, rest]
        self._size[chain, own] -= 1
        was = (others == own[:, None]).astype(np.float64)
        before = self._before[:, rest] - was
        total = np.maximum(self._total[:, rest] - was * ratio[rest], 0.0)
        left = self._people.count - (self._size[chain, own] == 0)
        gain = self._sharpness * self._gains(node, options, first, rest, before, total)
        gain += self._people.joined[left][:, None]
        gain[np.triu(options[:, :, None] == options[:, None, :], 1).any(1)] = -np.inf  # each cluster once
        gain = np.concatenate([gain, np.zeros((len(chain), 1))], 1)
        options = np.concatenate([options, (self._size == 0).argmax(1)[:, None]], 1)
        noise = -np.log(-np.log(self._rng.uniform(1e-300, 1.0, gain.shape)))
        pick = (gain + noise).argmax(1)
        chosen = options[chain, pick]
        labels[:, node] = chosen
        self._size[chain, chosen] += 1
        same = (labels[:, first] == chosen[:, None]).astype(np.float64)
        self._before[:, node] = same.sum(1)
        self._total[:, node] = same @ ratio[first]
        same = (others == chosen[:, None]).astype(np.float64)
        self._before[:, rest] = before + same
        self._total[:, rest] = total + same * ratio[rest]
        self._people.count[:] = left + (pick == gain.shape[1] - 1)

    def _gains(
        self,
        node: int,
        options: IntArray,
        first: IntArray,
        rest: IntArray,
        count: Float64Array,
        sums: Float64Array,
    ) -> Float64Array:
        """What f gains where a track joins each of its options: its own term, and what changes for later tracks.

        Args:
            node: The track.
            options: ``[S, O]`` clusters.
            first: Earlier tracks that are in one of them in any chain.
            rest: Later ones.
            count: ``[S, rest]`` how many earlier tracks their clusters hold without this one.
            sums: ``[S, rest]`` the sum of the likelihood ratios with them.
        """
        samples, n = self.labels.shape
        ratio = self._likely[node]
        start = (n + 1) * self._chain[:, None]

        def by_cluster(columns: IntArray, values: Float64Array) -> Float64Array:
            flat = self.labels[:, columns] + start
            found = np.bincount(flat.ravel(), values.ravel(), samples * (n + 1)).reshape(samples, n + 1)
            return np.asarray(found[self._chain[:, None], options], np.float64)

        total = by_cluster(first, np.broadcast_to(ratio[first], (samples, len(first))))
        before = by_cluster(first, np.ones((samples, len(first))))
        gain = np.log(np.maximum(total, _TINY) / np.maximum(before, 1))
        gain[before == 0] = 0.0
        change = np.log(np.maximum(sums + ratio[rest], _TINY) / (count + 1))
        change -= np.where(count > 0, np.log(np.maximum(sums, _TINY) / np.maximum(count, 1)), 0.0)
        gain += by_cluster(rest, change)
        against = np.where(self._never[node], -_FORBIDDEN, self._against[node])
        both = np.concatenate([first, rest])
        return gain + by_cluster(both, np.broadcast_to(against[both], (samples, len(both))))

    def _join_or_part(self, i: int, j: int) -> None:
        """Metropolis and Hastings: join the clusters of two tracks, or part theirs at random so that each has one."""
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
        likely, never = self._likely[np.ix_(columns, columns)], self._never[np.ix_(columns, columns)]
        scores = [_sums(mask, likely) for mask in (one, two, both)]
        against = np.where(never, -_FORBIDDEN, self._against[np.ix_(columns, columns)])
        gain = scores[2][0] - scores[0][0] - scores[1][0] + ((one.astype(np.float64) @ against) * two).sum(1)
        gain = self._sharpness * gain - (both.sum(1) - 2) * np.log(2.0)
        count, joined = self._people.count, self._people.joined
        gain = np.where(same, -gain - joined[count], gain + joined[np.maximum(count - 1, 0)])
        take = np.log(rng.uniform(1e-300, 1.0, len(chain))) < gain
        split, merge = np.flatnonzero(take & same), np.flatnonzero(take & ~same)
        for chosen, into, parts in (
            (split, (self._size[split] == 0).argmax(1), ((one, scores[0]), (two, scores[1]))),
            (merge, a[merge], ((both, scores[2]),)),
        ):
            rows, at = np.nonzero(two[chosen])
            self.labels[chosen[rows], columns[at]] = into[rows]
            for mask, (_, before, total) in parts:
                rows, at = np.nonzero(mask[chosen])
                self._before[chosen[rows], columns[at]] = before[chosen[rows], at]
                self._total[chosen[rows], columns[at]] = total[chosen[rows], at]
        self._size[split, a[split]] = one[split].sum(1)
        self._size[split, self.labels[split, j]] = two[split].sum(1)
        self._size[merge, b[merge]] = 0
        self._size[merge, a[merge]] = both[merge].sum(1)
        count[split] += 1
        count[merge] -= 1


_FORBIDDEN = 1e9
"""What a pair that cannot be takes from the score of its cluster."""

_TINY = 1e-12
"""Below every likelihood ratio: keeps logarithms finite where rounding leaves nothing of a sum."""


def _sums(members: NDArray[np.bool_], likely: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Of clusters ``[S, C]``: f without conflicts ``[S]``, and of each member how many earlier members there are and
    the sum of the ratios with them ``[S, C]``."""
    mask = members.astype(np.float64)
    total = mask @ np.tril(likely, -1).T
    before = np.cumsum(mask, 1) - mask
    terms = np.log(np.maximum(total, _TINY) / np.maximum(before, 1))
    return np.where(members & (before > 0), terms, 0.0).sum(1), before, total
