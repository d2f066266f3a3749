"""Sampled partitions, against all partitions that there are."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from streamreid.places.partition_chains import CONFLICT
from streamreid.places.partition_sampling import (
    NOBODY,
    LinkGraph,
    PartitionSamples,
    log_partitions,
    sample_partitions,
    score,
    shortest_interval,
)

Rows = tuple[tuple[int, ...], ...]


def graph_of(evidence: np.ndarray, apart: tuple[tuple[int, int], ...] = ()) -> LinkGraph:
    n = len(evidence)
    i, j = np.triu_indices(n, 1)
    keys = tuple(("hall", k + 1) for k in range(n))
    pairs = np.stack([i, j], 1)
    return LinkGraph(keys, pairs, evidence[i, j].astype(np.float64), np.array(apart, np.int64).reshape(-1, 2))


def random_graph(seed: int, n: int, *, apart: bool = False) -> LinkGraph:
    evidence = np.random.default_rng(seed).normal(0, 2.5, (n, n))
    return graph_of(evidence, ((0, 1), (2, 4)) if apart else ())


def partitions(n: int) -> Iterator[list[int]]:
    """Every partition of n tracks, as restricted growth strings."""

    def grow(labels: list[int], used: int) -> Iterator[list[int]]:
        if len(labels) == n:
            yield labels
            return
        for label in range(used + 1):
            yield from grow([*labels, label], max(used, label + 1))

    yield from grow([], 0)


def exact(graph: LinkGraph) -> dict[Rows, float]:
    """The probability of every partition, from its definition alone."""
    n = len(graph.keys)
    pair = {frozenset(p): e for p, e in zip(graph.pairs.tolist(), graph.evidence.tolist(), strict=True)}
    never = {frozenset(p) for p in graph.apart.tolist()}
    clusters: list[Rows] = [
        tuple(sorted(tuple(k for k in range(n) if labels[k] == label) for label in set(labels)))
        for labels in partitions(n)
    ]
    ways = Counter(len(c) for c in clusters)
    weight: dict[Rows, float] = {}
    for rows in clusters:
        value = 1.0 / ways[len(rows)]
        for cluster in rows:
            if any(frozenset(e) in never for e in itertools.combinations(cluster, 2)):
                value = 0.0
                continue
            for at, track in enumerate(cluster[1:], 1):
                evidence = [max(pair[frozenset((track, other))], -5.5) for other in cluster[:at]]
                value *= np.mean(np.exp(evidence)) * np.exp(CONFLICT * sum(min(e + 2, 0) for e in evidence))
        weight[rows] = float(value)
    total = sum(weight.values())
    return {rows: value / total for rows, value in weight.items()}


@pytest.mark.parametrize("apart", [False, True])
def test_samples_have_the_probabilities_of_all_partitions(apart: bool) -> None:
    graph = random_graph(3 + apart, 6, apart=apart)
    truth = exact(graph)
    found = sample_partitions(graph, samples=4000, seed=1)
    count = np.bincount(found.numbers(graph.keys), minlength=7) / 4000
    right = np.zeros(7)
    together = np.zeros((6, 6))
    for clusters, p in truth.items():
        right[len(clusters)] += p
        for cluster in clusters:
            together[np.ix_(cluster, cluster)] += p
    np.testing.assert_allclose(count, right, atol=0.025)  # 3 deviations of 4000 draws
    same = found.labels[:, :, None] == found.labels[:, None]
    np.testing.assert_allclose(same.mean(0), together, atol=0.025)


def test_components_share_the_prior() -> None:
    """Two pairs that have nothing to do with each other: how many people there are is still learnt from both."""
    evidence = np.full((4, 4), -20.0)
    evidence[0, 1], evidence[2, 3] = 1.0, 2.0
    graph = graph_of(evidence, ((0, 2), (0, 3), (1, 2), (1, 3)))
    truth = exact(graph)
    found = sample_partitions(graph, samples=4000)
    for n in (2, 3, 4):
        right = sum(p for rows, p in truth.items() if len(rows) == n)
        assert (found.numbers(graph.keys) == n).mean() == pytest.approx(right, abs=0.025)


def test_without_evidence_every_number_of_people_is_equally_likely() -> None:
    found = sample_partitions(graph_of(np.zeros((5, 5))), samples=4000)
    np.testing.assert_allclose(np.bincount(found.numbers(found.keys), minlength=6)[1:] / 4000, 0.2, atol=0.025)
    np.testing.assert_allclose(np.exp(log_partitions(5)), [0, 1, 15, 25, 10, 1])


def test_each_hypothesis_has_as_many_samples() -> None:
    """Two accounts of the same pairs: samples are those of one and of the other, half and half."""
    one, two = random_graph(7, 5), random_graph(8, 5)
    both = LinkGraph(one.keys, one.pairs, np.stack([one.evidence, two.evidence]), one.apart)
    found = sample_partitions(both, samples=4000)
    for n in range(1, 6):
        right = np.mean([sum(p for rows, p in exact(g).items() if len(rows) == n) for g in (one, two)])
        assert (found.numbers(found.keys) == n).mean() == pytest.approx(right, abs=0.025)


def test_pairs_that_are_not_listed_are_nearly_never_one_person() -> None:
    evidence = np.full((5, 5), -5.5)
    evidence[0, 1], evidence[1, 2], evidence[2, 3], evidence[0, 4] = 3.0, 2.0, 4.0, 1.0
    full = graph_of(evidence)
    listed = full.evidence > -5
    few = LinkGraph(full.keys, full.pairs[listed], full.evidence[listed], full.apart)
    found = sample_partitions(few, samples=4000)
    for n in range(1, 6):
        right = sum(p for rows, p in exact(full).items() if len(rows) == n)
        assert (found.numbers(found.keys) == n).mean() == pytest.approx(right, abs=0.025)


def test_a_pair_that_cannot_be_is_none_whatever_is_listed_of_it() -> None:
    graph = LinkGraph((("a", 1), ("a", 2)), np.array([[1, 0], [0, 1]]), np.array([9.0, 9.0]), np.array([[0, 1]]))
    assert set(sample_partitions(graph).numbers(graph.keys).tolist()) == {2}


def test_many_partitions_are_counted_as_few_are() -> None:
    exactly, nearly = log_partitions(1000), log_partitions(1001)
    size = np.arange(50, 900)
    # S(n + 1, k) = k S(n, k) + S(n, k - 1)
    right = np.logaddexp(np.log(size) + exactly[size], exactly[size - 1])
    np.testing.assert_allclose(nearly[size], right, atol=2e-3)


def test_score_is_the_logarithm_of_the_probability() -> None:
    graph = random_graph(5, 5, apart=True)
    truth = exact(graph)
    labels = {k: np.array([next(i for i, c in enumerate(k) if t in c) for t in range(5)]) for k in truth}
    scores = {k: score(graph, v) for k, v in labels.items()}
    likely = [k for k, p in truth.items() if p > 1e-6]
    ratio = [scores[k] - np.log(truth[k]) for k in likely]
    np.testing.assert_allclose(ratio, ratio[0], atol=1e-9)
    assert {k for k, s in scores.items() if s == -np.inf} == {k for k, p in truth.items() if p == 0}


def test_two_pairs_of_tracks_are_joined_whole() -> None:
    """Moving one track at a time would have to part a sure pair first."""
    evidence = np.full((4, 4), -0.5)
    evidence[0, 1] = evidence[2, 3] = 12.0
    graph = graph_of(evidence)
    found = sample_partitions(graph, [1, 1, 2, 2], samples=2000)
    right = sum(p for rows, p in exact(graph).items() if len(rows) == 1)
    assert 0.05 < right < 0.95
    assert (found.numbers(graph.keys) == 1).mean() == pytest.approx(right, abs=0.04)


def test_nobody_is_counted_who_was_seen_beside_somebody_twice() -> None:
    for seed in range(5):
        graph = random_graph(seed, 7, apart=True)
        labels = sample_partitions(graph, samples=50, seed=seed).labels
        assert (labels[:, 0] != labels[:, 1]).all()
        assert (labels[:, 2] != labels[:, 4]).all()
    everyone = tuple(itertools.combinations(range(6), 2))
    together = graph_of(np.full((6, 6), 9.0), everyone)
    assert set(sample_partitions(together).numbers(together.keys).tolist()) == {6}


def test_the_interval_holds_the_estimate_and_more_likeness_makes_fewer_people() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(-1, 2, (12, 12))
    before = np.inf
    for lift in (-3.0, 0.0, 3.0, 20.0):
        graph = graph_of(base + lift)
        middle, low, high = sample_partitions(graph, samples=300).unique(graph.keys)
        assert low <= middle <= high
        assert middle <= before
        before = middle
    assert before == 1


@pytest.mark.parametrize("error", [0.0, 0.4, 1.35, 6.0])
def test_the_shortest_interval_is_that_of_a_sample_with_the_errors_drawn(error: float) -> None:
    rng = np.random.default_rng(2)
    numbers = rng.integers(28, 33, 200)
    low, high = shortest_interval(numbers, error, between=(1.0, 40.0))
    drawn = np.rint(rng.choice(numbers, 400_000) + rng.normal(0, error / 1.6449, 400_000)).clip(1, 40)
    share = {int(v): float((drawn == v).mean()) for v in np.unique(drawn)}
    held = sum(share.get(v, 0.0) for v in range(int(low), int(high) + 1))
    assert held > 0.9 - 0.003
    shorter = (range(v, v + int(high - low)) for v in range(1, 41))
    assert all(sum(share.get(v, 0.0) for v in one) < 0.9 + 0.003 for one in shorter if 30 in one)


def test_the_interval_ends_where_there_are_no_more_tracks() -> None:
    assert shortest_interval(np.array([3, 3, 4]), 0.0, between=(1.0, 4.0)) == (3, 4)
    assert shortest_interval(np.array([30] * 9), 9.0, between=(1.0, 30.0))[1] == 30
    assert shortest_interval(np.array([0, 0]), 0.0, between=(0.0, 0.0)) == (0, 0)


def test_the_same_seed_gives_the_same_samples() -> None:
    graph = random_graph(0, 8)
    one, two = (sample_partitions(graph, samples=20, seed=4).labels for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert (sample_partitions(graph, samples=20, seed=5).labels != one).any()


def test_counts_of_some_tracks_and_without_others() -> None:
    keys = (("a", 1), ("a", 2), ("b", 1), ("b", 2))
    samples = PartitionSamples(keys, np.array([[0, 1, 0, NOBODY], [0, 1, 2, 3]]))
    assert samples.numbers(keys).tolist() == [2, 4]
    assert samples.numbers([("b", 1), ("b", 2)]).tolist() == [1, 2]
    assert samples.numbers(keys, without=[("a", 1)]).tolist() == [1, 3]
    assert samples.numbers([*keys, ("c", 9)]).tolist() == [3, 5]  # a track that is not known is a person
    assert [len(p) for p in samples.persons()] == [3, 4]


def test_no_tracks_and_one_track() -> None:
    none = LinkGraph((), np.zeros((0, 2), int), np.zeros(0), np.zeros((0, 2), int))
    assert sample_partitions(none).unique([]) == (0, 0, 0)
    one = LinkGraph((("a", 1),), np.zeros((0, 2), int), np.zeros(0), np.zeros((0, 2), int))
    assert sample_partitions(one).unique(one.keys) == (1, 1, 1)


@pytest.mark.parametrize(
    ("pairs", "log_odds", "message"),
    [
        ([[0, 2]], [1.0], "row 2"),
        ([[0, 1]], [np.inf], "finite"),
        ([[0, 1]], [np.nan], "finite"),
        ([[0, 1]], [], "pairs"),
    ],
)
def test_bad_graphs_are_refused(pairs: list[list[int]], log_odds: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LinkGraph((("a", 1), ("a", 2)), np.array(pairs), np.array(log_odds), np.zeros((0, 2), int))


def test_a_start_that_does_not_fit_is_refused() -> None:
    graph = random_graph(0, 5, apart=True)
    with pytest.raises(ValueError, match="the start has 3 tracks"):
        sample_partitions(graph, [1, 2, 3])
    with pytest.raises(ValueError, match="cannot be one person"):
        sample_partitions(graph, [1, 1, 2, 3, 4])
