"""From pairs of tracks as the association compared them, and from who is who, to the graph that partitions are sampled
from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from streamreid.places.link_evidence import compared_pairs, evidence_of, hard_negative_share
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
    *,
    runs: Mapping[TrackKey, str] | None = None,
    other_camera: NDArray[np.bool_] | None = None,
    different: Iterable[tuple[int, int]] = (),
    weight: Float64Array | None = None,
    with_known: NDArray[np.bool_] | None = None,
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
        runs: The run of each track, where there are several: their times are compared within a run only.
        other_camera: ``[E]`` whether the tracks were compared as those of two cameras; default what their names say.
        different: Pairs of global ids of which a person said that they are two people.
        weight: ``[E]`` how much each pair counts where it speaks against one person; default 1.
        with_known: ``[E]`` whether the log-odds are those of a track with somebody who was known before its run.

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
    run = runs or {}
    camera = np.unique([key[0] for key in keys], return_inverse=True)[1].ravel()
    place = np.unique([f"{key[0]}\0{run.get(key, '')}" for key in keys], return_inverse=True)[1].ravel()
    other = camera[found[:, 0]] != camera[found[:, 1]] if other_camera is None else other_camera[known]
    alike = odds[place[found[:, 0]] == place[found[:, 1]]]
    members = _members(start)
    said = [(min(i, j), max(i, j)) for a, b in different for i in members.get(a, ()) for j in members.get(b, ())]
    apart = np.concatenate(
        [_together({s.key: s for s in spans}, keys, place, start), np.array(said, np.int64).reshape(-1, 2)]
    )
    share = hard_negative_share(alike, compared_pairs(place, apart))
    evidence = evidence_of(odds, other, share, known=None if with_known is None else with_known[known])
    chance = {key: p for key, (_, p) in identities.items()}
    believed, sureness = _believed(start, np.array([chance[key] for key in keys]), np.concatenate([found, apart]))
    return (
        LinkGraph(
            keys,
            np.concatenate([found, believed]),
            np.concatenate([evidence, np.tile(sureness, (len(evidence), 1))], 1),
            apart,
            None if weight is None else np.concatenate([weight[known], np.ones(len(believed))]),
        ),
        start,
    )


def _believed(start: IntArray, chance: Float64Array, listed: IntArray) -> tuple[IntArray, Float64Array]:
    """Pairs of one identity that are not listed, and the log-odds of their links.

    Args:
        start: ``[N]`` global ids.
        chance: ``[N]`` link probabilities.
        listed: ``[P, 2]`` rows.
    """
    n = len(start)
    found = [np.zeros((0, 2), np.int64)]
    for members in _members(start).values():
        i, j = np.triu_indices(len(members), 1)
        rows = np.array(members, np.int64)
        found.append(np.stack([rows[i], rows[j]], 1))
    pairs = np.concatenate(found)
    pairs = pairs[~np.isin(pairs[:, 0] * n + pairs[:, 1], listed[:, 0] * n + listed[:, 1])]
    least = np.clip(chance[pairs].min(1, initial=1.0), 1e-9, 1 - 1e-9)
    return pairs, np.clip(np.log(least / (1 - least)), -_SUREST, _SUREST)


def _members(start: IntArray) -> dict[int, list[int]]:
    members: dict[int, list[int]] = defaultdict(list)
    for i, who in enumerate(start.tolist()):
        members[who].append(i)
    return members


def _together(
    spans: Mapping[TrackKey, TrackSpan], keys: Sequence[TrackKey], place: IntArray, start: IntArray
) -> IntArray:
    """Rows of tracks that one camera saw at one time, but for those that are held for one person all the same.

    Args:
        spans: When tracks were seen.
        keys: N tracks.
        place: ``[N]`` number of camera and run.
        start: ``[N]`` who they are.
    """
    found: list[tuple[int, int]] = []
    cameras: dict[int, list[tuple[float, float, int]]] = defaultdict(list)
    for i, key in enumerate(keys):
        span = spans.get(key)
        if span is not None:
            cameras[int(place[i])].append((span.start, span.end, i))
    for items in cameras.values():
        here: list[tuple[float, int]] = []
        for begin, end, i in sorted(items):
            here = [(e, j) for e, j in here if e >= begin]
            found += [(min(i, j), max(i, j)) for _, j in here if start[i] != start[j]]
            here.append((end, i))
    return np.array(found, np.int64).reshape(-1, 2)
