"""Views of older identities, kept ready."""

import numpy as np
import pytest

from streamreid.association.comparing import compare, stack
from streamreid.association.evidence import Evidence, Presence
from streamreid.association.pool import ViewPool


def person(seed, parts=3, dim=8, views=2):
    rng = np.random.default_rng(seed)
    made = Evidence([Presence("a", 0.0, 0.0)])
    for _ in range(views):
        look = rng.normal(size=(parts, dim)).astype(np.float32)
        look /= np.linalg.norm(look, axis=1, keepdims=True)
        for i in range(4):
            made.observe(float(i), look, rng.uniform(0.5, 1, parts).astype(np.float32))
    return made


def same(pool, people):
    """Whether a comparison with the pool's views is the one with views made anew."""
    query = stack([person(999)])
    found, expected = compare(query, pool.views(people)), compare(query, stack([e for _, e in people]))
    assert found.similarity == pytest.approx(expected.similarity, abs=1e-6)
    assert found.common == pytest.approx(expected.common, abs=1e-6)


def test_views_are_those_made_anew_however_people_come_and_go():
    rng = np.random.default_rng(0)
    people = {gid: person(gid, views=1 + gid % 3) for gid in range(1, 200)}
    pool = ViewPool(most=50)
    for step in range(40):
        chosen = rng.choice(sorted(people), int(rng.integers(1, 40)), replace=False).tolist()
        same(pool, [(gid, people[gid]) for gid in chosen])
        assert len(pool) <= 50
        people[chosen[0]].absorb(person(1000 + step))
        people[chosen[-1]] = person(2000 + step)
    same(pool, list(people.items()))  # more than are kept


def test_views_are_kept_until_more_is_known(monkeypatch):
    made = []
    monkeypatch.setattr("streamreid.association.pool.stack", lambda items: made.append(len(items)) or stack(items))
    people = [(gid, person(gid)) for gid in range(5)]
    pool = ViewPool()
    pool.views(people)
    pool.views(people[:3])
    people[1][1].absorb(person(77))
    pool.views(people)
    assert made == [5, 1]


def test_who_is_dropped_takes_no_room():
    people = {gid: person(gid) for gid in range(1, 400)}
    pool = ViewPool(most=100)
    for first in range(1, 390, 10):
        chosen = list(range(first, first + 10))
        same(pool, [(gid, people[gid]) for gid in chosen])
        pool.drop([*chosen[2:], 9999])
    assert len(pool) == 2 * 39
    assert len(pool._views) <= 128
    same(pool, [(gid, people[gid]) for gid in (1, 2, 3, 381, 382, 383)])


def test_another_engine_begins_anew():
    pool = ViewPool()
    pool.views([(1, person(1))])
    other = [(2, person(2, dim=16)), (3, person(3, dim=16))]
    assert pool.views(other).parts == pytest.approx(stack([e for _, e in other]).parts)
    assert len(pool) == 2
    assert len(pool.views([])) == 0
