"""Who may be who, as a distribution: partitions of tracks into people, sampled.

For every pair of tracks the evidence e_ij is known, the logarithm of how many times likelier what was seen is if they
are one person than if they are two; pairs that cannot be (one camera saw both at one time) are known too. A partition
of N tracks into n clusters C has the probability

    P(partition) ~ prod_C exp(f(C)) / S(N, n)
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

from streamreid.places.partition_chains import ABSENT, SUREST, Chains, PeopleCount, SparsePairs, conflict
from streamreid.types import Float64Array, IntArray, TrackKey

__all__ = ["LinkGraph", "PartitionSamples", "log_partitions", "sample_partitions", "score", "shortest_interval"]

MODEL_ERROR = 0.54
"""By how many times the square root of the number of people the estimate is wrong, with a probability of 90 %, where
the samples agree: tracks that change over to somebody else, people whom nobody tracked. Such mistakes are made one by
one, hence the root. Fitted so that 90 % of the intervals of seven generated scenes hold the truth
(``benchmarks/unique_people.py fit``); errors in proportion to the number fit them a little less well."""

_NORMAL_90 = 1.6449
"""Standard deviations within which 90 % of a normal distribution lie."""

NOBODY = -1
"""Label of a track that is no person."""

_SWEEPS = 7
"""Sweeps before the first sample: means and spread of the number of people do not change after five."""

_BETWEEN = 4
"""Sweeps between two samples of a chain."""

_THINNED = 2
"""Samples of each chain."""

_THOROUGH = 2
"""First sweeps, in which every track is visited."""

_SELDOM = 0.25
"""How often tracks are visited afterwards that no chain has moved so far."""


@dataclass(frozen=True, slots=True, eq=False)
class LinkGraph:
    """What is known of which tracks may be one person.

    Args:
        keys: N tracks, by their beginning.
        pairs: ``[E, 2]`` rows of tracks that may be one person, each pair once.
        evidence: ``[E]`` log likelihood ratio of one person against two; or ``[H, E]``, what it is under each of H
            hypotheses, to each of which as many samples belong.
        apart: ``[F, 2]`` rows of tracks that cannot be one person.
        weight: ``[E]`` how much each pair counts where it speaks against its cluster: pairs that are known by one
            comparison together count once; None: 1.
    """

    keys: tuple[TrackKey, ...]
    pairs: IntArray
    evidence: Float64Array
    apart: IntArray
    weight: Float64Array | None = None

    def __post_init__(self) -> None:
        n = len(self.keys)
        if self.weight is not None and self.weight.shape != (len(self.pairs),):
            raise ValueError(f"LinkGraph: expected weight [E], E = {len(self.pairs)}; got {self.weight.shape}")
        if self.pairs.shape != (self.evidence.shape[-1], 2) or self.apart.shape != (len(self.apart), 2):
            raise ValueError(
                f"LinkGraph: expected pairs [E, 2], evidence [E] and apart [F, 2]; got {self.pairs.shape}, "
                f"{self.evidence.shape}, {self.apart.shape}"
            )
        rows = np.concatenate([self.pairs.ravel(), self.apart.ravel()])
        if len(rows) and not (rows.min() >= 0 and rows.max() < n):
            raise ValueError(f"LinkGraph: a pair names row {rows.max()} or {rows.min()}, but there are {n} tracks")
        if not np.isfinite(self.evidence).all():
            raise ValueError("LinkGraph: evidence must be finite numbers; pairs that cannot be belong to 'apart'")

    @property
    def mean_evidence(self) -> Float64Array:
        """``[E]`` over the hypotheses."""
        return np.asarray(np.atleast_2d(self.evidence).mean(0), np.float64)


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
        if not len(rows):
            return np.full(len(self.labels), unknown)
        labels = np.sort(self.labels[:, rows], 1)
        first = np.diff(labels, axis=1, prepend=labels.min() - 1) != 0
        first &= labels != NOBODY
        if out:
            first &= ~np.array([np.isin(a, b) for a, b in zip(labels, self.labels[:, out], strict=True)])
        return np.asarray(first.sum(1) + unknown, np.int64)

    def unique(self, tracks: Collection[TrackKey], *, without: Collection[TrackKey] = ()) -> tuple[float, float, float]:
        """How many different people some tracks are: median over the samples, and the 90 % interval, whole numbers.

        The interval is the shortest one that holds 90 % of the samples when each of them is wrong by what the model
        itself is wrong by (``MODEL_ERROR``). A single track is one person.
        """
        if not tracks:  # as in most hours of a year
            return 0.0, 0.0, 0.0
        numbers = self.numbers(tracks, without=without)
        middle = float(np.quantile(numbers, 0.5, method="inverted_cdf"))
        error = MODEL_ERROR * middle**0.5 if len(tracks) > 1 else 0.0
        low, high = shortest_interval(numbers, error, between=(min(middle, 1.0), max(len(tracks), middle)))
        return middle, low, high

    def persons(self) -> Iterator[Mapping[TrackKey, int]]:
        """For each sample the person of every track that is one."""
        for labels in self.labels:
            yield {key: int(label) for key, label in zip(self.keys, labels.tolist(), strict=True) if label != NOBODY}


def shortest_interval(
    numbers: IntArray, error: float, *, between: tuple[float, float], share: float = 0.9
) -> tuple[float, float]:
    """The shortest interval of whole numbers around the median that holds a share of a sample with errors.

    Args:
        numbers: ``[S]`` whole numbers, the sample.
        error: Each is wrong by that much or less with a probability of 90 %, normally distributed.
        between: What is less or more counts as the end that it is beyond.
        share: In (0, 1).
    """
    from scipy.special import ndtr

    low, high = round(between[0]), round(between[1])
    values, counts = np.unique(numbers, return_counts=True)
    reach = int(np.ceil(2.5 * error)) + 1
    grid = np.arange(values[0] - reach, values[-1] + reach + 1)
    edges = np.append(grid - 0.5, grid[-1] + 0.5)
    below = ndtr((edges[:, None] - values) * (_NORMAL_90 / max(error, 1e-9))) @ (counts / counts.sum())
    kept = np.clip(grid, low, high)
    grid = np.arange(kept[0], kept[-1] + 1)
    mass = np.bincount(kept - kept[0], weights=np.diff(below))
    total = np.concatenate([[0.0], np.cumsum(mass)])
    middle = int(np.clip(np.quantile(numbers, 0.5, method="inverted_cdf"), low, high) - grid[0])
    want = min(share, total[-1]) - 1e-12
    begin = np.arange(middle + 1)
    end = np.maximum(np.searchsorted(total, total[begin] + want) - 1, middle)
    begin, end = begin[end < len(grid)], end[end < len(grid)]
    held = total[end + 1] - total[begin]
    best = int(np.lexsort((-held, end - begin))[0])  # of equally short ones the one that holds most
    return float(grid[begin[best]]), float(grid[end[best]])


def log_partitions(count: int) -> Float64Array:
    """``[count + 1]`` logarithm of the number of partitions of ``count`` things into 0, 1, 2, ... sets.

    Counted up to ``_COUNTED`` things; of more by the saddle point of their generating function (Good, Annals of
    Mathematical Statistics 32, 1961), which is right to a thousandth then, and in differences to far less.
    """
    if count > _COUNTED:
        return _saddle_point(count)
    row = np.full(count + 1, -np.inf)
    row[0] = 0.0
    grow = np.log(np.maximum(np.arange(count + 1), 1e-300))
    for size in range(1, count + 1):
        row[1 : size + 1] = np.logaddexp(grow[1 : size + 1] + row[1 : size + 1], row[:size])
        row[0] = -np.inf
    return row


_COUNTED = 1000
"""Things whose partitions are counted one by one, which takes a time that grows with the square."""

_NEWTON = 60
"""Steps to the saddle point; twenty reach it to the last digit where there are few more things than sets."""


def _saddle_point(count: int) -> Float64Array:
    sets = np.arange(1, count, dtype=np.float64)
    mean = count / sets
    at = np.maximum(2 * (mean - 1), 1e-9)  # solves at / (1 - exp(-at)) = mean
    for _ in range(_NEWTON):
        rest = -np.expm1(-at)
        slope = (rest - at * np.exp(-at)) / rest**2
        at = np.maximum(at - (at / rest - mean) / slope, at / 2)
    factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    rest = -np.expm1(-at)
    bend = count * (1 - mean * np.exp(-at))
    found = factorial[count] - factorial[1:count] + sets * (at + np.log(rest)) - count * np.log(at)
    return np.concatenate([[-np.inf], found - 0.5 * np.log(2 * np.pi * bend), [0.0]])


def score(graph: LinkGraph, labels: Sequence[int] | IntArray, *, hypothesis: int = 0) -> float:
    """Logarithm of the probability of a partition, but for a constant; minus infinity where it cannot be."""
    labels = np.asarray(labels)
    likely, weight = _likely(graph, hypothesis)
    total = -float(log_partitions(len(labels))[len(np.unique(labels))])
    for label in np.unique(labels).tolist():
        rows = np.flatnonzero(labels == label)
        for at, row in enumerate(rows[1:].tolist(), 1):
            own = likely[row, rows[:at]]
            if np.isinf(own).any():
                return -np.inf
            total += float(np.log(np.exp(own).mean()) + (conflict(own) * weight[row, rows[:at]]).sum())
    return total


def _likely(graph: LinkGraph, hypothesis: int) -> tuple[Float64Array, Float64Array]:
    """``[N, N]`` evidence, minus infinity for pairs that cannot be, and weight."""
    n = len(graph.keys)
    found, weight = np.full((n, n), ABSENT), np.ones((n, n))
    i, j = graph.pairs.T
    if graph.weight is not None:
        weight[i, j] = weight[j, i] = graph.weight
    found[i, j] = found[j, i] = np.clip(np.atleast_2d(graph.evidence)[hypothesis], ABSENT, SUREST)
    i, j = graph.apart.T
    found[i, j] = found[j, i] = -np.inf
    return found, weight


def sample_partitions(
    graph: LinkGraph,
    start: Sequence[int] | IntArray | None = None,
    *,
    samples: int = 100,
    sweeps: int = _SWEEPS,
    seed: int = 0,
) -> PartitionSamples:
    """Sample who may be who.

    Args:
        graph: What is known.
        start: ``[N]`` where all chains begin: the global id of each track; None: everybody is alone.
        samples: How many; ``_THINNED`` of each chain. All hypotheses have as many.
        sweeps: How often each chain visits each track before its first sample.
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
    evidence, rng = np.atleast_2d(graph.evidence), np.random.default_rng(seed)
    pairs = SparsePairs.of(n, graph.pairs, evidence, graph.apart, graph.weight)
    chains = -(-samples // (_THINNED * len(evidence))) * len(evidence)
    size = log_partitions(n)
    joined = np.concatenate([[0.0], np.diff(size[1:]), [0.0]])
    people = PeopleCount(np.full(chains, len(np.unique(given))), joined)
    parts = list(_components(pairs, given))
    found = [Chains(pairs.within(rows), given[rows], people, rng) for rows in parts]
    taken = [_swept(found, parts, n, sweeps if round_ == 0 else _BETWEEN) for round_ in range(_THINNED)]
    labels = np.concatenate(taken)
    return PartitionSamples(graph.keys, labels[np.linspace(0, len(labels) - 1, samples).round().astype(int)])


def _swept(chains: Sequence[Chains], parts: Sequence[IntArray], count: int, sweeps: int) -> IntArray:
    """``[S, N]`` where all chains are after so many sweeps."""
    for number in range(sweeps):
        for chain in chains:
            chain.sweep(often=1.0 if number < _THOROUGH else _SELDOM)
    labels, used = np.zeros((len(chains[0].labels), count), np.int64), 0
    for rows, chain in zip(parts, chains, strict=True):
        labels[:, rows] = chain.labels + used
        used += len(rows) + 1
    return labels


def _components(pairs: SparsePairs, start: IntArray) -> Iterator[IntArray]:
    """Tracks that are connected by pairs that matter, or are one person now."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n = len(start)
    row = np.repeat(np.arange(n), np.diff(pairs.begin))[pairs.joins]
    first = np.unique(start, return_index=True, return_inverse=True)
    i, j = np.concatenate([row, np.arange(n)]), np.concatenate([pairs.column[pairs.joins], first[1][first[2].ravel()]])
    _, number = connected_components(coo_matrix((np.ones(len(i)), (i, j)), (n, n)), directed=False)
    order = np.argsort(number, kind="stable")  # within a component, tracks keep their order
    yield from np.split(order, np.flatnonzero(np.diff(number[order])) + 1)
