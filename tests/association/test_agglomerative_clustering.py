"""Constrained clustering on cases solved by hand, and its invariants."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreid.association import agglomerative_clustering
from streamreid.association.agglomerative_clustering import agglomerate, agglomerate_small


def solve(pairs, n, forbidden=(), threshold=0.0, weights=None):
    log_odds = np.full((n, n), -5.0, np.float32)
    block = np.zeros((n, n), bool)
    weight = np.ones((n, n), np.float32)
    for i, j, value in pairs:
        log_odds[i, j] = log_odds[j, i] = value
    for i, j in forbidden:
        block[i, j] = block[j, i] = True
    for i, j, value in weights or []:
        weight[i, j] = weight[j, i] = value
    return agglomerate(log_odds, weight, block, threshold=threshold).tolist()


@pytest.mark.parametrize(
    ("pairs", "forbidden", "expected"),
    [
        ([], [], [0, 1, 2, 3]),
        ([(0, 1, 3), (2, 3, 2)], [], [0, 0, 1, 1]),
        ([(0, 1, 3), (1, 2, 2), (0, 2, 2)], [], [0, 0, 0, 1]),
        # A chain is not enough: the mean of 2 and -5 is below 0.
        ([(0, 1, 3), (1, 2, 2)], [], [0, 0, 1, 2]),
        # The best partner wins where two of one camera compete.
        ([(0, 1, 3), (0, 2, 2)], [(1, 2)], [0, 0, 1, 2]),
        ([(0, 1, 3)], [(0, 1)], [0, 1, 2, 3]),
        # 0-1 joined first, so 2 (forbidden with 1) cannot join 0 any more.
        ([(0, 1, 3), (0, 2, 2.9), (2, 3, 1)], [(1, 2)], [0, 0, 1, 1]),
    ],
)
def test_by_hand(pairs, forbidden, expected):
    assert solve(pairs, 4, forbidden) == expected


def test_unknown_pairs_count_nothing():
    # 2 was never seen in common with 1: only its evidence with 0 counts.
    assert solve([(0, 1, 3), (0, 2, 2)], 3, weights=[(1, 2, 0)]) == [0, 0, 0]
    assert solve([(0, 1, 3)], 2, weights=[(0, 1, 0)]) == [0, 1]


def test_threshold():
    assert solve([(0, 1, 1.0)], 2, threshold=0.9) == [0, 0]
    assert solve([(0, 1, 1.0)], 2, threshold=1.1) == [0, 1]


@given(st.integers(1, 12), st.integers(0, 10_000))
def test_never_joins_what_is_forbidden_and_renumbering_changes_nothing(n, seed):
    rng = np.random.default_rng(seed)
    a = rng.normal(0, 2, (n, n)).astype(np.float32)
    log_odds = a + a.T
    block = rng.random((n, n)) < 0.3
    block = block | block.T
    weight = np.ones((n, n), np.float32)
    labels = agglomerate(log_odds, weight, block)
    same = labels[:, None] == labels[None]
    np.fill_diagonal(block, False)
    assert not (same & block).any()
    order = rng.permutation(n)
    other = agglomerate(log_odds[np.ix_(order, order)], weight, block[np.ix_(order, order)])
    assert np.array_equal(other[:, None] == other[None], same[np.ix_(order, order)])


@given(st.integers(1, 12), st.integers(0, 10_000))
def test_a_handful_of_nodes_is_grouped_as_many_are(n, seed):
    """Numbers one by one, for a few, and arrays, for many, give the same."""
    rng = np.random.default_rng(seed)
    a = rng.normal(-0.5, 1.5, (n, n)).astype(np.float32)
    log_odds = (a + a.T) / 2 if seed % 3 else np.round((a + a.T) / 2)  # ties as well
    weight = rng.random((n, n)).astype(np.float32) * (rng.random((n, n)) < 0.7)
    weight = np.maximum(weight, weight.T)
    block = rng.random((n, n)) < 0.2
    block = block | block.T
    np.fill_diagonal(block, False)
    many = agglomerative_clustering._FEW
    found = agglomerate(log_odds, weight, block).tolist()
    size = rng.integers(1, 4, n)
    labels, held = agglomerate_small(log_odds, weight, block, 0.0, size)
    try:
        agglomerative_clustering._FEW = 0
        assert agglomerate(log_odds, weight, block).tolist() == found
        others = agglomerate_small(log_odds, weight, block, 0.0, size)
        assert np.array_equal(others[0], labels)
        assert np.allclose(others[1], held)
    finally:
        agglomerative_clustering._FEW = many


def held(log_odds, size=None):
    square = np.array(log_odds, np.float32)
    size = None if size is None else np.array(size)
    return list(agglomerate_small(square, np.ones_like(square), np.zeros_like(square, bool), 0.0, size)[1])


def test_nodes_are_held_by_the_joins_that_their_person_depends_on():
    # Two tracks and two tracks, surely one person each; that both are one is not sure, and all four depend on it.
    pairs = [[0, 9, 1, 1], [9, 0, 1, 1], [1, 1, 0, 8], [1, 1, 8, 0]]
    assert held(pairs) == [1, 1, 1, 1]
    # Three tracks of one person are who they are whoever the fourth is.
    three = [[0, 9, 9, 1], [9, 0, 9, 1], [9, 9, 0, 1], [1, 1, 1, 0]]
    assert held(three) == [9, 9, 9, 1]
    # One node of nine tracks that a pair joins: the pair depends on it, the nine do not.
    assert held([[0, 9, 1], [9, 0, 1], [1, 1, 0]], size=[1, 1, 9]) == [1, 1, 30]
    # Half of the others would be of either person.
    assert held([[0, 9, 1], [9, 0, 1], [1, 1, 0]]) == [1, 1, 1]
