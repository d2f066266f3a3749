"""All tracks of a recording at once, with everything that is known of them at its end."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from streamreid.association.agglomerative_clustering import agglomerate
from streamreid.association.correlation_clustering import partition
from streamreid.association.identity_registry import IdentityRegistry
from streamreid.association.online_clustering import Decision, OnlineClustering, owners
from streamreid.association.track_evidence import Evidence
from streamreid.association.track_graph import Graph, believe, membership
from streamreid.association.track_similarity import Comparison, compare
from streamreid.features.prototype_bank import PrototypeSums
from streamreid.types import FloatArray, TrackKey

__all__ = ["decide_all"]

log = logging.getLogger(__name__)
_MOST = 4000  # nodes; their pairs fill some hundred MB
_ROWS = 256
"""Rows of the similarity matrix made at a time: bounds memory to some MB."""

_SUREST = 8.0  # a single pair weighs at most so many log-odds


def decide_all(
    grouping: OnlineClustering,
    tracks: Mapping[TrackKey, Evidence],
    book: IdentityRegistry,
    admitted: Mapping[int, Evidence],
) -> Decision:
    """Link all tracks anew: constrained correlation clustering of the whole graph, never worse in its sum of log-odds
    than what was decided online.

    Above four thousand tracks, whole identities as decided online are joined or left as they are, but not parted.

    Args:
        grouping: Compares and constrains.
        tracks: Every track of the recording.
        book: The identities as decided online; it is not changed.
        admitted: Identities of earlier runs.
    """
    keys = sorted(tracks)
    groups = [[k] for k in keys] if len(keys) + len(admitted) <= _MOST else _by_identity(keys, book)
    past = sorted(g for g in admitted if any(book.links[k].global_id == g for k in keys))
    graph = _graph(grouping, groups, past, tracks, book, admitted)
    p = min(max(grouping.config.probability, 1e-6), 1 - 1e-6)
    threshold = float(np.log(p / (1 - p)))
    weight = np.clip(graph.log_odds.astype(np.float64) - threshold, -_SUREST, _SUREST) * graph.weight
    online = np.unique(graph.before, return_inverse=True)[1].astype(np.int64)
    greedy = agglomerate(graph.log_odds, graph.weight, graph.forbidden, threshold=threshold)
    labels = partition(weight, graph.forbidden, starts=(online, greedy))
    probability = membership(labels, graph)
    pooled = {g[0]: _pooled([tracks[k] for k in g]) if len(g) > 1 else tracks[g[0]] for g in groups}
    owner = owners(labels, graph, pooled)
    row_of = {key: row for row, members in enumerate(groups) for key in members}
    links = [(key, owner.get(int(labels[row_of[key]]), 0), float(probability[row_of[key]])) for key in keys]
    return Decision(
        links,
        {key: int(labels[row]) for key, row in row_of.items()},
        lambda key: grouping.reasons(graph, labels, row_of[key], pooled, book),
    )


def _by_identity(keys: list[TrackKey], book: IdentityRegistry) -> list[list[TrackKey]]:
    groups: dict[int, list[TrackKey]] = {}
    for key in keys:
        groups.setdefault(book.links[key].global_id, []).append(key)
    log.info("%d tracks are many: %d identities are joined where they fit, none is parted", len(keys), len(groups))
    return [groups[g] for g in sorted(groups)]


def _pooled(items: list[Evidence]) -> Evidence:
    total = Evidence([], PrototypeSums(items[0].prototypes.slots))
    for item in items:
        total.absorb(item)
    return total


def _graph(
    grouping: OnlineClustering,
    groups: list[list[TrackKey]],
    past: list[int],
    tracks: Mapping[TrackKey, Evidence],
    book: IdentityRegistry,
    admitted: Mapping[int, Evidence],
) -> Graph:
    first = [g[0] for g in groups]
    nodes = [tracks[g[0]] if len(g) == 1 else _pooled([tracks[k] for k in g]) for g in groups] + [
        admitted[g] for g in past
    ]
    place = grouping.all_pairs.by_place(first, len(nodes)) if len(groups) == len(tracks) else None
    crowd = float(len({book.links[k].global_id for k in first}))
    before = np.array([book.links[k].global_id for k in first] + past, np.int64)
    found = _all_pairs(nodes, grouping, len(first))
    strangers, times = grouping.all_pairs.beside_looks(first, nodes, found, before)
    graph = grouping.all_pairs.weigh(first, past, nodes, found, place, crowd=crowd, strangers=strangers, times=times)
    graph.before[:] = before
    believe(graph, book)
    np.fill_diagonal(graph.forbidden, False)
    return graph


def _all_pairs(nodes: list[Evidence], grouping: OnlineClustering, first: int) -> Comparison:
    """``[T, N]``: the ``first`` T nodes with all."""
    views = grouping.means.stack(nodes)
    n = len(nodes)
    similarity: FloatArray = np.zeros((n, n), np.float32)
    common: FloatArray = np.zeros((n, n), np.float32)
    for start in range(0, n, _ROWS):
        rows = slice(start, start + _ROWS)
        found = compare(views[rows], views, grouping.config.unification)
        similarity[rows], common[rows] = found.similarity, found.common
    return Comparison(
        np.float32(0.5) * (similarity + similarity.T)[:first],
        np.float32(0.5) * (common + common.T)[:first],
        np.zeros((0, 0, 0), np.float32),
    )
