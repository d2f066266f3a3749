"""Views of many identities side by side: what comes out is what `stack` makes of them, whatever came and went."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.association.track_evidence import Evidence, Presence
from streamreid.association.track_similarity import stack
from streamreid.association.view_pool import ViewPool

PARTS, DIM = 3, 8


def packed(rng, views):
    evidence = Evidence([Presence("a", 0.0, 0.0)])
    for _ in range(views):
        looks = rng.normal(size=(PARTS, DIM)).astype(np.float32)
        looks /= np.linalg.norm(looks, axis=1, keepdims=True)
        evidence.observe(0.0, looks, rng.uniform(0.1, 1.0, PARTS).astype(np.float32))
    evidence.prototypes.pack()
    return evidence


def same(pool, held, ids):
    here, there = pool.views(ids), stack([held[g] for g in ids])
    assert (here.parts == there.parts).all()
    assert (here.mass == there.mass).all()
    assert (here.visibility == there.visibility).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 4)), min_size=1, max_size=60), st.integers(0, 99))
def test_views_are_those_of_the_evidence(steps, seed):
    """Each step puts somebody with so many views, or drops them (0 views)."""
    rng, pool, held = np.random.default_rng(seed), ViewPool(), {}
    for gid, views in steps:
        if views:
            held[gid] = packed(rng, views)
            pool.put(gid, held[gid])
        else:
            pool.drop(gid)
            held.pop(gid, None)
        assert len(pool) == len(held)
    if held:
        same(pool, held, sorted(held))
        same(pool, held, sorted(held, reverse=True)[:3])


def test_vectors_are_moved_and_not_copied():
    rng, pool = np.random.default_rng(0), ViewPool()
    evidence = packed(rng, 2)
    before = evidence.prototypes.directions.copy()
    pool.put(1, evidence)
    assert evidence.prototypes.vectors.base is not None
    for gid in range(2, 300):  # the pool grows
        pool.put(gid, packed(rng, 2))
    assert (evidence.prototypes.directions == before).all()
    pool.drop(1)
    for gid in range(300, 400):  # its rows are used again
        pool.put(gid, packed(rng, 2))
    assert (evidence.prototypes.directions == before).all()


def test_who_was_seen_again_is_not_held_as_before():
    rng, pool = np.random.default_rng(0), ViewPool()
    evidence = packed(rng, 1)
    pool.put(1, evidence)
    assert pool.holds(1, evidence)
    evidence.absorb(packed(rng, 1))
    assert not pool.holds(1, evidence)
    evidence.prototypes.pack()
    pool.put(1, evidence)
    same(pool, {1: evidence}, [1])
