"""The whole graph at once: correlation clustering with forbidden pairs.

Maximises the sum of the weights of all pairs inside clusters (a weight is positive for "one person" and negative for "two"), by greedy additive edge
contraction and Kernighan-Lin moves with joins (Keuper et al., "Efficient decomposition of image and mesh graphs by lifted multicuts", ICCV 2015). No solver
with wheels for these was found on the package index, and the exact ones for small graphs only.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from streamreid.association.clustering import Labels, components
from streamreid.types import BoolArray

__all__ = ["objective", "partition"]

Real = NDArray[np.float64]
_NEVER = -1e6
_EPS = 1e-9


def objective(weight: Real, forbidden: BoolArray, labels: Labels) -> float:
    """Sum of the weights of all pairs in one cluster; minus infinity if one of them is forbidden."""
    same = labels[:, None] == labels[None]
    np.fill_diagonal(same, False)
    if (same & forbidden).any():
        return -np.inf
    return float((weight * same).sum() / 2)


def partition(weight: Real, forbidden: BoolArray, *, starts: Iterable[Labels] = (), rounds: int = 20) -> Labels:
    """Partition N nodes.

    Args:
        weight: ``[N, N]`` symmetric.
        forbidden: ``[N, N]`` symmetric bool.
        starts: Partitions that are known, for example what was decided online: the result is never worse than any of them.
        rounds: Most passes of the local search.

    Returns:
        ``[N]`` cluster number of each node, numbered from 0 by first member.
    """
    n = len(weight)
    w = np.where(forbidden, _NEVER, weight).astype(np.float64)
    np.fill_diagonal(w, 0.0)
    labels = np.arange(n, dtype=np.int64)
    given = [np.asarray(s) for s in starts]
    edges = w > 0
    for start in given:
        edges |= start[:, None] == start[None]
    np.fill_diagonal(edges, False)
    for rows in components(edges):
        if len(rows) > 1:
            part = w[np.ix_(rows, rows)]
            tried = [_search(part, s, rounds) for s in (_contract(part), *(s[rows] for s in given))]
            best = max(tried, key=lambda s: (round(_value(part, s), 6), -len(np.unique(s))))
            labels[rows] = rows[np.unique(best, return_index=True)[1]][np.unique(best, return_inverse=True)[1]]
    first = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first[1]))
    return np.asarray(rank[first[2]], np.int64)


def _value(w: Real, labels: Labels) -> float:
    return float((w * (labels[:, None] == labels[None])).sum() / 2)


def _contract(w: Real) -> Labels:
    """Greedy additive edge contraction: join the pair of clusters with the greatest positive sum until there is none."""
    n = len(w)
    labels, total = np.arange(n), w.copy()
    np.fill_diagonal(total, -np.inf)
    while True:
        i, j = sorted(divmod(int(total.argmax()), n))
        if total[i, j] <= _EPS:
            return labels
        labels[labels == j] = i
        total[i] += total[j]
        total[i, i] = total[i, j] = -np.inf
        total[:, i] = total[i]
        total[j] = total[:, j] = -np.inf


def _search(w: Real, labels: Labels, rounds: int) -> Labels:
    """Single moves, joins, and Kernighan-Lin exchanges between pairs of clusters until nothing gets better."""
    labels = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    for _ in range(rounds):
        before = _value(w, labels)
        labels = _exchanges(w, _joins(w, _moves(w, labels)))
        if _value(w, labels) <= before + _EPS:
            break
    return labels


def _moves(w: Real, labels: Labels) -> Labels:
    """Move single nodes to where they fit best, or to a cluster of their own."""
    n = len(w)
    labels = labels.copy()
    member = np.zeros((n, n + 1))  # one column per cluster, and always an empty one
    member[np.arange(n), labels] = 1.0
    to = w @ member
    for _ in range(10 * n):
        gain = to - to[np.arange(n), labels][:, None]
        # Empty clusters are all alike: the first will do.
        empty = np.flatnonzero(member.sum(0) == 0)
        gain[:, empty[1:]] = -np.inf
        node, target = divmod(int(gain.argmax()), n + 1)
        if gain[node, target] <= _EPS:
            break
        to[:, labels[node]] -= w[:, node]
        to[:, target] += w[:, node]
        member[node, labels[node]], member[node, target] = 0.0, 1.0
        labels[node] = target
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _joins(w: Real, labels: Labels) -> Labels:
    """Join whole clusters while that is a gain."""
    member = np.eye(int(labels.max()) + 1)[labels]
    joined = _contract(member.T @ w @ member)
    return np.asarray(np.unique(joined[labels], return_inverse=True)[1], np.int64)


def _exchanges(w: Real, labels: Labels) -> Labels:
    """Kernighan and Lin: between two clusters, a chain of best moves that may first lose and gain in the end."""
    labels = labels.copy()
    for a in range(int(labels.max()) + 1):
        for b in range(a + 1, int(labels.max()) + 1):
            rows = np.flatnonzero((labels == a) | (labels == b))
            part = w[np.ix_(rows, rows)]
            if not ((labels[rows] == a).any() and (labels[rows] == b).any() and (part[labels[rows] == a][:, labels[rows] == b] > 0).any()):
                continue
            side = labels[rows] == b
            order, best = _chain(part, side)
            if best > _EPS:
                side[order] = ~side[order]
                labels[rows] = np.where(side, b, a)
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _chain(w: Real, side: BoolArray) -> tuple[list[int], float]:
    """The best prefix of a chain of moves between two sides, each node once: the nodes moved, and the gain."""
    sign = np.where(side, 1.0, -1.0)
    free = np.ones(len(w), bool)
    gain, best, order, length = 0.0, 0.0, [], 0
    for _ in range(len(w)):
        step = -sign * (w @ sign)  # sum to the other side minus sum to the own
        node = int(np.where(free, step, -np.inf).argmax())
        gain += float(step[node])
        order.append(node)
        free[node] = False
        sign[node] = -sign[node]
        if gain > best + _EPS:
            best, length = gain, len(order)
    return order[:length], best
