"""Evidence for every pair of some nodes, in dense arrays: for all tracks of a recording at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.association.agglomerative_clustering import ALONE, Labels, agglomerate_small
from streamreid.association.identity_registry import IdentityRegistry
from streamreid.association.link_model import sigmoid
from streamreid.types import BoolArray, FloatArray, TrackKey

__all__ = ["CERTAIN", "STICKY", "Graph", "believe", "membership", "square"]

CERTAIN = 50.0  # log-odds of what a person has said
STICKY = 0.5  # log-odds in favour of what was believed before, so that near ties do not flap


@dataclass(slots=True, eq=False)
class Graph:
    """Everything that is known of N nodes: first the T tracks, then older identities.

    Args:
        keys: The tracks.
        past: Global ids of the older identities.
        terms: ``[T, N]`` each: evidence of tracks with all nodes, by name.
        log_odds: ``[N, N]`` symmetric.
        weight: ``[N, N]`` how much each pair counts in a mean.
        forbidden: ``[N, N]`` who cannot be one person.
        before: ``[N]`` global id so far; 0 if none.
        size: ``[N]`` how many tracks each is.
    """

    keys: list[TrackKey]
    past: list[int]
    terms: dict[str, FloatArray]
    log_odds: FloatArray
    weight: FloatArray
    forbidden: BoolArray
    before: np.ndarray
    size: NDArray[np.int64]

    def evidence(self, row: int, others: NDArray[Any]) -> tuple[FloatArray, FloatArray, dict[str, FloatArray]]:
        """``[M]`` weight, log-odds and terms of a track with others."""
        terms = {name: term[row, others] for name, term in self.terms.items()}
        return self.weight[row, others], self.log_odds[row, others], terms


def square(known: NDArray[Any], else_: float | bool) -> NDArray[Any]:
    """``[N, N]`` symmetric of what is known of the first T with all N ``[T, N]``, and ``else_`` for all others."""
    t, n = known.shape
    if t == n:
        return known.copy()
    made = np.full((n, n), else_, known.dtype)
    made[:t], made[t:, :t] = known, known[:, t:].T
    return made


def believe(graph: Graph, book: IdentityRegistry) -> None:
    """Put what was believed before, and what a person has said, into the graph."""
    known = (graph.before[:, None] == graph.before[None]) & (graph.before > 0)[:, None]
    graph.log_odds += np.float32(STICKY) * known
    anchors = np.array([book.anchor(k) for k in graph.keys] + graph.past, np.int64)
    said = np.array([bool(book.anchor(k)) for k in graph.keys] + [False] * len(graph.past))
    if said.any():
        certain = (anchors[:, None] == anchors[None]) & (anchors > 0)[:, None] & (said[:, None] | said[None])
        graph.log_odds[certain], graph.weight[certain], graph.forbidden[certain] = CERTAIN, 1e3, False
    owner = np.where(anchors > 0, anchors, graph.before)
    for one, two in sorted(book.different):
        here = np.outer(owner == one, owner == two)
        graph.forbidden |= here | here.T
    must, cannot = book.pairs.rows(graph.keys, graph.past, book.owner)
    for one, two in (must.T, must.T[::-1]):
        graph.log_odds[one, two], graph.weight[one, two], graph.forbidden[one, two] = CERTAIN, 1e3, False
    for one, two in (cannot.T, cannot.T[::-1]):
        graph.forbidden[one, two] = True


def membership(labels: Labels, graph: Graph) -> FloatArray:
    """Probability ``[T]`` of each track belonging to its group, that is, of being the person of most of the others in
    it: that of the least probable join that this depends on (see ``agglomerative_clustering``); 1 if it is alone."""
    held = np.full(len(labels), ALONE)
    order = np.argsort(labels, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        if len(rows) > 1:
            block = np.ix_(rows, rows)
            held[rows] = agglomerate_small(
                graph.log_odds[block], graph.weight[block], graph.forbidden[block], -np.inf, graph.size[rows]
            )[1]
    return sigmoid(held[: len(graph.keys)].astype(np.float32))
