"""From pairs of tracks as the association compared them, and from who is who, to the graph that partitions are sampled
from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from streamreid.places.link_evidence import compared_pairs, evidence_of, look_alike_share
from streamreid.places.partition_sampling import LinkGraph, PartitionSamples, sample_partitions
from streamreid.places.records import TrackSpan
from streamreid.places.stays import Identities, people_of
from streamreid.types import Float64Array, IntArray, TrackKey

__all__ = ["link_graph", "who_may_be_who"]

_SUREST = 6.0
"""Evidence of what was decided without a comparison that is at hand: nothing is surer than one in four hundred."""


def who_may_be_who(
    tracks: Sequence[TrackKey],
    pairs: IntArray,
    log_odds: Float64Array,
    identities: Identities,
    spans: Sequence[TrackSpan],
    *,
    samples: int = 100,
    seed: int = 0,
) -> PartitionSamples:
    """Sample who may be who; see `link_graph` for the arguments.

    Args:
        tracks: That were compared.
        pairs: ``[E, 2]`` rows of ``tracks``.
        log_odds: ``[E]``.
        identities: Who is who.
        spans: When the tracks were seen.
        samples: How many.
        seed: The same seed gives the same samples.
    """
    graph, start = link_graph(tracks, pairs, log_odds, identities, spans)
    return sample_partitions(graph, start, samples=samples, seed=seed)


def link_graph(
    tracks: Sequence[TrackKey],
    pairs: IntArray,
    log_odds: Float64Array,
    identities: Identities,
    spans: Sequence[TrackSpan],
) -> tuple[LinkGraph, IntArray]:
    """What is known of which tracks may be one person, and who is who now.

    Pairs of one identity that are not among the compared ones (because a gallery, a person, or what was known long ago
    decided) have the probability of their links.

    Args:
        tracks: That were compared.
        pairs: ``[E, 2]`` rows of ``tracks``.
        log_odds: ``[E]`` that both are one person, without the prior of one in so many people.
        identities: Who is who; tracks that are no person are left out.
        spans: When the tracks were seen: two that one camera saw at one time are two people.

    Returns:
        The graph, and the global id of each of its tracks.
    """
    person = people_of(identities)
    begin = {span.key: span.start for span in spans}
    keys = tuple(sorted(person, key=lambda key: (begin.get(key, -np.inf), key)))
    row = {key: i for i, key in enumerate(keys)}
    start = np.array([person[key] for key in keys], np.int64)
    number = np.array([row.get(key, -1) for key in tracks], np.int64)
    found = number[pairs] if len(pairs) else np.zeros((0, 2), np.int64)
    known = (found >= 0).all(1)
    found, odds = np.sort(found[known], 1), log_odds[known]
    camera = np.unique([key[0] for key in keys], return_inverse=True)[1].ravel()
    other = camera[found[:, 0]] != camera[found[:, 1]]
    apart = _together({s.key: s for s in spans}, keys, start)
    evidence = evidence_of(odds, other, look_alike_share(odds[~other], compared_pairs(camera, apart)))
    listed = {*map(tuple, found.tolist()), *map(tuple, apart.tolist())}
    chance = {key: p for key, (_, p) in identities.items()}
    believed = [
        (i, j, _log_odds(min(chance[keys[i]], chance[keys[j]])))
        for rows in _members(start).values()
        for at, i in enumerate(rows)
        for j in rows[at + 1 :]
        if (i, j) not in listed
    ]
    return (
        LinkGraph(
            keys,
            np.concatenate([found, np.array([b[:2] for b in believed], np.int64).reshape(-1, 2)]),
            np.concatenate([evidence, np.tile([b[2] for b in believed], (len(evidence), 1))], 1),
            apart,
        ),
        start,
    )


def _log_odds(probability: float) -> float:
    p = min(max(probability, 1e-9), 1 - 1e-9)
    return float(np.clip(np.log(p / (1 - p)), -_SUREST, _SUREST))


def _members(start: IntArray) -> dict[int, list[int]]:
    members: dict[int, list[int]] = defaultdict(list)
    for i, who in enumerate(start.tolist()):
        members[who].append(i)
    return members


def _together(spans: Mapping[TrackKey, TrackSpan], keys: Sequence[TrackKey], start: IntArray) -> IntArray:
    """Rows of tracks that one camera saw at one time, but for those that are held for one person all the same."""
    found: list[tuple[int, int]] = []
    cameras: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for i, key in enumerate(keys):
        span = spans.get(key)
        if span is not None:
            cameras[key[0]].append((span.start, span.end, i))
    for items in cameras.values():
        here: list[tuple[float, int]] = []
        for begin, end, i in sorted(items):
            here = [(e, j) for e, j in here if e >= begin]
            found += [(min(i, j), max(i, j)) for _, j in here if start[i] != start[j]]
            here.append((end, i))
    return np.array(found, np.int64).reshape(-1, 2)
