"""Finding older identities: the right one is among the candidates, whatever came and went before."""

import numpy as np

from streamreid.association.identity_search import IdentityIndex
from streamreid.association.track_evidence import Evidence, Presence


def person(rng, parts=3, dim=32, rank=12, basis=np.random.default_rng(99).normal(size=(12, 32))):
    p = (rng.normal(size=(parts, rank)) @ basis)[:, :dim]
    return (p / np.linalg.norm(p, axis=1, keepdims=True)).astype(np.float32)


def seen(parts, rng, noise=0.1, visibility=None):
    made = Evidence([Presence("a", 0.0, 0.0)])
    for i in range(5):
        p = parts + noise * rng.normal(size=parts.shape).astype(np.float32)
        p /= np.linalg.norm(p, axis=1, keepdims=True)
        made.observe(float(i), p, np.ones(len(p), np.float32) if visibility is None else visibility)
    return made


def test_everybody_finds_themselves_among_many():
    rng = np.random.default_rng(0)
    people = {gid: person(rng) for gid in range(1, 501)}
    index = IdentityIndex()
    for gid, parts in people.items():
        index.put([(gid, seen(parts, rng))])
    assert len(index) == 500
    hidden = np.array([1, 0, 1], np.float32)
    queries = [seen(people[g], rng, visibility=hidden) for g in range(1, 501, 25)]
    found = index.search(queries, 4).tolist()
    assert all(g in ids for g, ids in zip(range(1, 501, 25), found, strict=True))
    assert all(len(set(ids)) == 32 and -1 not in ids for ids in found)


def test_dropped_and_replaced():
    rng = np.random.default_rng(1)
    people = {gid: person(rng) for gid in range(1, 41)}
    index = IdentityIndex(beam=1)
    index.put((g, seen(p, rng)) for g, p in people.items())
    index.drop([7, 8, 999])
    assert 7 not in index
    assert index.search([seen(people[7], rng)], 1).tolist() != [[7]]
    index.put([(9, seen(people[7], rng))])
    assert index.search([seen(people[7], rng)], 1).tolist() == [[9]]
    assert len(index) == 38
    index.put([(7, seen(people[9], rng))])
    assert index.search([seen(people[9], rng)], 1).tolist() == [[7]]


def test_nobody():
    index = IdentityIndex()
    nobody = Evidence([Presence("a", 0.0, 0.0)])
    assert index.search([nobody], 3).shape == (1, 0)
    index.put([(1, nobody)])
    assert len(index) == 0
    index.drop([1])
    rng = np.random.default_rng(2)
    index.put([(1, seen(person(rng), rng))])
    assert index.search([nobody], 3).tolist() == [[-1]]
    assert index.search([], 3).shape == (0, 0)
