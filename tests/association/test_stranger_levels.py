"""How alike tracks are to strangers, against the slow form of what the module says."""

import math

import numpy as np

from streamreid.association.stranger_levels import StrangerLevels, all_levels


def slow_levels(similarity, common, identity, camera):
    n = len(similarity)
    level, count = np.zeros((n, 2)), np.zeros((n, 2))
    for i in range(n):
        for column in (0, 1):
            near = sorted(
                (
                    similarity[i, j]
                    for j in range(n)
                    if j != i
                    and common[i, j] >= 0.1
                    and (identity[i] == 0 or identity[i] != identity[j])
                    and (camera[i] == camera[j]) == (column == 0)
                ),
                reverse=True,
            )
            count[i, column] = len(near)
            if near:
                best = near[: math.ceil(0.1 * len(near))]
                level[i, column] = sum(best) / len(best)
    mean = [level[count[:, c] > 0, c].mean() for c in (0, 1)]
    return np.where(count > 0, (level - mean) * count / (count + 5), 0.0)


def scene(seed, n=50):
    rng = np.random.default_rng(seed)
    looks = rng.normal(size=(n, 8))
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    similarity = (looks @ looks.T).astype(np.float32)
    common = np.triu(rng.uniform(0, 1, (n, n)), 1)
    return rng, similarity, (common + common.T).astype(np.float32), rng.integers(0, 12, n), rng.integers(0, 3, n)


def test_levels_are_those_of_the_slow_form():
    _, similarity, common, identity, camera = scene(1)
    found = all_levels(similarity, common, identity, camera[:, None] == camera[None])
    np.testing.assert_allclose(found, slow_levels(similarity, common, identity, camera), atol=1e-5)


def test_step_by_step_they_are_the_same():
    rng, similarity, common, identity, camera = scene(2)
    slots = rng.permutation(64)[: len(similarity)]
    table, shared = np.zeros((2, 64, 64), np.float32)
    levels = StrangerLevels()
    for count in (5, 20, *[50] * 15):  # who is not new waits for a turn
        slot = slots[:count]
        at = np.ix_(slot, slot)
        fresh = np.setdiff1d(np.arange(count), np.arange(len(np.flatnonzero(table.any(1)))))
        table[at], shared[at] = similarity[:count, :count], common[:count, :count]
        found = levels.refresh(table, shared, slot, changed=fresh, identity=identity[:count], camera=camera[:count])
    np.testing.assert_allclose(found, slow_levels(similarity, common, identity, camera), atol=1e-5)


def test_who_looks_like_everybody_is_above_the_others():
    rng = np.random.default_rng(3)
    looks = rng.normal(size=(40, 32))
    looks[0] = looks[1:].mean(0)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    similarity = (looks @ looks.T).astype(np.float32)
    found = all_levels(
        similarity, np.ones_like(similarity), np.zeros(40, np.int64), np.arange(40)[:, None] % 2 == np.arange(40) % 2
    )
    assert found[0].sum() > found[1:].sum(1).max()


def test_of_few_strangers_little_is_believed():
    _, similarity, common, identity, camera = scene(4, n=3)
    found = all_levels(similarity, np.ones_like(common), np.arange(3), camera[:, None] == camera[None])
    assert np.abs(found).max() < 2 / 7
    assert all_levels(similarity[:0, :0], common[:0, :0], identity[:0], np.zeros((0, 0), bool)).shape == (0, 2)
