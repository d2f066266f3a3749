"""Correlation clustering of the whole graph: against brute force, and its promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreid.association.correlation_clustering import objective, partition


def graph(n, seed, share=0.2):
    rng = np.random.default_rng(seed)
    a = rng.normal(0, 2, (n, n))
    weight = (a + a.T) / 2
    np.fill_diagonal(weight, 0)
    forbidden = rng.random((n, n)) < share
    forbidden = forbidden | forbidden.T
    np.fill_diagonal(forbidden, False)
    return weight, forbidden


def brute_force(weight, forbidden):
    best = -np.inf

    def assign(labels, count):
        nonlocal best
        if len(labels) == len(weight):
            best = max(best, objective(weight, forbidden, np.array(labels)))
            return
        for label in range(count + 1):
            assign([*labels, label], max(count, label + 1))

    assign([], 0)
    return best


def test_close_to_the_optimum_of_small_graphs():
    found, best = [], []
    for seed in range(12):
        weight, forbidden = graph(7, seed)
        found.append(objective(weight, forbidden, partition(weight, forbidden)))
        best.append(brute_force(weight, forbidden))
    assert np.isfinite(found).all()
    assert sum(found) > 0.9 * sum(best)
    assert np.isclose(found, best).mean() > 0.4


def test_a_node_that_was_put_wrongly_moves():
    weight = np.array([[0, 3, 3, -2], [3, 0, 3, -2], [3, 3, 0, 1], [-2, -2, 1, 0]], float)
    forbidden = np.zeros((4, 4), bool)
    assert partition(weight, forbidden, starts=[np.array([0, 0, 1, 1])]).tolist() == [0, 0, 0, 1]


@given(st.integers(2, 14), st.integers(0, 10_000))
def test_never_worse_than_what_was_known_and_never_what_is_forbidden(n, seed):
    weight, forbidden = graph(n, seed)
    start = np.arange(n)
    for i, j in np.argwhere(~forbidden & (weight > 1)):  # some allowed partition
        if start[i] == i and start[j] == j and (start == i).sum() == 1 and (start == j).sum() == 1:
            start[j] = i
    found = partition(weight, forbidden, starts=[start])
    assert objective(weight, forbidden, found) >= objective(weight, forbidden, start) - 1e-6
    assert found[0] == 0
    assert sorted(set(found.tolist())) == list(range(found.max() + 1))


def test_nobody_and_strangers():
    assert partition(np.zeros((0, 0)), np.zeros((0, 0), bool)).tolist() == []
    assert partition(np.full((3, 3), -1.0), np.zeros((3, 3), bool)).tolist() == [0, 1, 2]
    forbidden = ~np.eye(3, dtype=bool)
    assert partition(np.full((3, 3), 5.0), forbidden).tolist() == [0, 1, 2]
    assert objective(np.ones((2, 2)), ~np.eye(2, dtype=bool), np.array([0, 0])) == -np.inf


@pytest.mark.parametrize("people", [5, 20])
def test_clear_groups_are_found(people):
    rng = np.random.default_rng(people)
    who = rng.integers(0, people, 60)
    weight = np.where(who[:, None] == who[None], 3.0, -4.0) + rng.normal(0, 1, (60, 60))
    weight = (weight + weight.T) / 2
    found = partition(weight, np.zeros((60, 60), bool))
    assert np.array_equal(found[:, None] == found[None], who[:, None] == who[None])
