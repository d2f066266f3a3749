"""Constrained clustering of tracklets: who can be the same person, and who is.

Online, average-linkage agglomeration on log-odds: the two clusters with the greatest mean log-odds are joined until it
falls below the threshold or every remaining pair is forbidden. A forbidden pair of members forbids the pair of clusters
(cannot-link, Wagstaff et al., ICML 2001).

A cluster is no surer than the joins that made it. Two people with two tracks each that are taken for one are alike
enough on average, each track with its own other one for the most part; it is the join of both pairs that may be wrong,
and then all four are with the wrong person. So a node is *held* by the least mean log-odds of those joins in which it
was not of the greater side: were such a join wrong, most of the others would not be its person.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.types import BoolArray, FloatArray, IntArray

__all__ = ["ALONE", "Labels", "agglomerate", "agglomerate_small", "components", "grouped_nodes"]

Labels = NDArray[np.int64]

ALONE = 30.0
"""What holds a node that was never joined to as many others or more, in log-odds."""

_FEW = 12
"""Nodes up to which arrays do not pay."""


def components(edges: BoolArray) -> list[NDArray[np.intp]]:
    """Connected components of a symmetric ``[N, N]`` graph, each sorted, by first member."""
    grouped, joined = _joined(edges)
    alone = np.flatnonzero(~joined)
    result = [np.array([row], np.intp) for row in alone.tolist()] + [np.array(rows, np.intp) for rows in grouped]
    return sorted(result, key=lambda rows: int(rows[0]))


def _joined(edges: BoolArray) -> tuple[list[list[int]], BoolArray]:
    """Components of two nodes or more, each sorted, and ``[N]`` which nodes are in one. Costs as much as there are
    edges."""
    found = grouped_nodes(*np.nonzero(edges))
    joined = np.zeros(len(edges), bool)
    joined[[row for rows in found for row in rows]] = True
    return found, joined


def grouped_nodes(one: NDArray[Any], two: NDArray[Any]) -> list[list[int]]:
    """Connected components of two nodes or more, each sorted, by first member.

    Args:
        one: ``[E]`` one end of each edge, from 0.
        two: ``[E]`` the other.
    """
    if not len(one):
        return []
    label = np.arange(int(max(one.max(), two.max())) + 1)
    while True:  # the least number spreads along edges, and from node to node that it leads to
        least = np.minimum(label[one], label[two])
        fresh = label.copy()
        np.minimum.at(fresh, one, least)
        np.minimum.at(fresh, two, least)
        fresh = fresh[fresh]
        if (fresh == label).all():
            break
        label = fresh
    linked = np.zeros(len(label), bool)
    linked[one] = linked[two] = True
    nodes = np.flatnonzero(linked)
    nodes = nodes[np.argsort(label[nodes], kind="stable")]
    ends = np.flatnonzero(np.diff(label[nodes])) + 1
    return [rows.tolist() for rows in np.split(nodes, ends)]


def agglomerate(log_odds: FloatArray, weight: FloatArray, forbidden: BoolArray, *, threshold: float = 0.0) -> Labels:
    """Partition N nodes.

    Args:
        log_odds: ``[N, N]`` symmetric log-odds that two nodes are one person.
        weight: ``[N, N]`` symmetric, at least 0: how much each pair's log-odds count in a mean; 0 is "nothing known".
        forbidden: ``[N, N]`` symmetric bool.
        threshold: Least mean log-odds of a join.

    Returns:
        ``[N]`` cluster number of each node, numbered from 0 by first member.
    """
    n = len(log_odds)
    labels = np.arange(n)
    # A join needs at least one pair that reaches the threshold, so components of such pairs are independent.
    edges = (log_odds >= threshold) & (weight > 0) & ~forbidden
    np.fill_diagonal(edges, False)
    grouped = _joined(edges)[0]
    pairs = np.array([rows for rows in grouped if len(rows) == 2], np.intp).reshape(-1, 2)
    if len(pairs):  # most people are seen by two
        one, two = pairs.T
        heavy = weight[one, two]
        mean = (log_odds[one, two] * heavy).astype(np.float64) / heavy
        labels[two] = np.where(mean >= threshold, one, two)
    for rows in grouped:
        if len(rows) == 2:
            continue
        at = np.array(rows, np.intp)
        square = at[:, None], at[None]
        labels[at] = at[agglomerate_small(log_odds[square], weight[square], forbidden[square], threshold)[0]]
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def agglomerate_small(
    log_odds: FloatArray, weight: FloatArray, forbidden: BoolArray, threshold: float, size: IntArray | None = None
) -> tuple[list[int], list[float]]:
    """For each of a few nodes that edges hold together the first one of its cluster (see ``agglomerate``), and what
    holds it there, in log-odds; ``size`` [N] is how many tracks each node is, by default one."""
    size = np.ones(len(log_odds), np.int64) if size is None else size
    join = _agglomerate_few if len(log_odds) <= _FEW else _agglomerate
    return join(log_odds, weight, forbidden, threshold, size)


def _agglomerate_few(
    log_odds: FloatArray, weight: FloatArray, forbidden: BoolArray, threshold: float, size: IntArray
) -> tuple[list[int], list[float]]:
    """As ``_agglomerate``, number by number: for a handful of nodes that is several times as fast as arrays."""
    n = len(log_odds)
    labels = list(range(n))
    held, count = [ALONE] * n, size.tolist()
    product, mass, blocked = (log_odds * weight).tolist(), weight.tolist(), forbidden.tolist()
    total = [[0.0 if blocked[i][j] else product[i][j] for j in range(n)] for i in range(n)]
    alive = labels.copy()
    while True:
        best, pair = -np.inf, (-1, -1)
        for at, i in enumerate(alive):
            row, heavy, apart = total[i], mass[i], blocked[i]
            for j in alive[at + 1 :]:
                if heavy[j] > 0 and not apart[j] and row[j] / heavy[j] > best:
                    best, pair = row[j] / heavy[j], (i, j)
        i, j = pair
        if best < threshold or best == -np.inf:
            return labels, held
        lesser = [side for side, other in ((i, j), (j, i)) if count[side] - 1 <= count[other]]
        held = [min(least, best) if label in lesser else least for least, label in zip(held, labels, strict=True)]
        labels = [i if label == j else label for label in labels]
        count[i] += count[j]
        alive.remove(j)
        for other in alive:
            if other != i:
                total[i][other] = total[other][i] = total[i][other] + total[j][other]
                mass[i][other] = mass[other][i] = mass[i][other] + mass[j][other]
                blocked[i][other] = blocked[other][i] = blocked[i][other] or blocked[j][other]


def _agglomerate(
    log_odds: FloatArray, weight: FloatArray, forbidden: BoolArray, threshold: float, size: IntArray
) -> tuple[list[int], list[float]]:
    n = len(log_odds)
    labels, held, count = list(range(n)), [ALONE] * n, size.tolist()
    members = [[row] for row in labels]
    sums = np.empty((2, n, n))  # log-odds times weight, minus infinity where a pair is forbidden; weight
    sums[0] = np.where(forbidden, -np.inf, log_odds * weight)
    sums[1] = weight
    np.fill_diagonal(sums[0], -np.inf)
    mean = np.divide(sums[0], sums[1], out=np.full((n, n), -np.inf), where=sums[1] > 0)
    while True:
        i, j = sorted(divmod(int(mean.argmax()), n))
        best = float(mean[i, j])
        if best < threshold or best == -np.inf:
            return labels, held
        lesser = [side for side, other in ((i, j), (j, i)) if count[side] - 1 <= count[other]]
        for side in lesser:
            for row in members[side]:
                held[row] = min(held[row], best)
        for row in members[j]:
            labels[row] = i
        members[i] += members[j]
        count[i] += count[j]
        joined = sums[:, i]
        joined += sums[:, j]
        joined[0, j] = -np.inf
        sums[:, :, i] = joined
        sums[0, j] = sums[0, :, j] = -np.inf
        mean[j] = mean[:, j] = -np.inf
        mean[i] = -np.inf
        np.divide(joined[0], joined[1], out=mean[i], where=joined[1] > 0)
        mean[:, i] = mean[i]
