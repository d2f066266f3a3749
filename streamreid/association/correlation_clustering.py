"""The whole graph at once: correlation clustering with forbidden pairs.

The value of a partition is the sum of the weights of all pairs inside clusters: positive for "one person", negative for
"two" (Bansal, Blum and Chawla, Machine Learning 56, 2004). It is improved by moving single nodes and by joining
clusters (greedy additive edge contraction, Keuper et al., "Efficient decomposition of image and mesh graphs by lifted
multicuts", ICCV 2015) from partitions that are known, or from single nodes.

The pairs of a large cluster are far from independent, and their sum overrates them. A node therefore moves only if the
sum and the mean of its weights both gain. Kernighan-Lin exchanges, which trust the sum alone, were tried: they reach
greater sums, and put more people together wrongly.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from streamreid.association.agglomerative_clustering import Labels, components
from streamreid.types import BoolArray, Float64Array

__all__ = ["objective", "partition"]

_NEVER = -1e6
"""Weight, in log-odds, of pairs that must stay apart; below what evidence adds up to."""

_EPS = 1e-9
"""Log-odds by which a move must improve the sum: below is rounding."""


def objective(weight: Float64Array, forbidden: BoolArray, labels: Labels) -> float:
    """Sum of the weights of all pairs in one cluster; minus infinity if one of them is forbidden."""
    same = labels[:, None] == labels[None]
    np.fill_diagonal(same, False)
    if (same & forbidden).any():
        return -np.inf
    return float((weight * same).sum() / 2)


def partition(weight: Float64Array, forbidden: BoolArray, *, starts: Iterable[Labels] = (), rounds: int = 10) -> Labels:
    """Partition N nodes.

    Args:
        weight: ``[N, N]`` symmetric.
        forbidden: ``[N, N]`` symmetric bool.
        starts: Partitions that are known, for example what was decided online: the value of the result is not below
            that of any of them. None: single nodes are joined.
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
            tried = [_search(part, s, rounds) for s in ([s[rows] for s in given] or [_contract(part)])]
            best = max(tried, key=lambda s: (round(_value(part, s), 6), -len(np.unique(s))))
            labels[rows] = rows[np.unique(best, return_index=True)[1]][np.unique(best, return_inverse=True)[1]]
    first = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first[1]))
    return np.asarray(rank[first[2]], np.int64)


def _value(w: Float64Array, labels: Labels) -> float:
    return float((w * (labels[:, None] == labels[None])).sum() / 2)


def _contract(w: Float64Array) -> Labels:
    """Greedy additive edge contraction: join the pair of clusters with the greatest positive sum until there is
    none."""
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


def _search(w: Float64Array, labels: Labels, rounds: int) -> Labels:
    """Single moves and joins until nothing gets better."""
    labels = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    for _ in range(rounds):
        before = labels
        labels = _joins(w, _moves(w, labels))
        if np.array_equal(before, labels):
            break
    return labels


def _moves(w: Float64Array, labels: Labels) -> Labels:
    """Move single nodes to where they fit best, or to a cluster of their own."""
    n = len(w)
    rows, known = np.arange(n), (w != 0).astype(np.float64)
    labels = labels.copy()
    member = np.zeros((n, n + 1))  # one column per cluster, and always an empty one
    member[rows, labels] = 1.0
    to, count = w @ member, known @ member
    for _ in range(4 * n):
        mean = to / np.maximum(count, 1.0)
        gain = to - to[rows, labels][:, None]
        gain[mean <= mean[rows, labels][:, None] + _EPS] = -np.inf
        gain[:, np.flatnonzero(member.sum(0) == 0)[1:]] = -np.inf  # empty clusters are all alike: the first will do
        node, target = divmod(int(gain.argmax()), n + 1)
        if gain[node, target] <= _EPS:
            break
        for sums, one in ((to, w), (count, known)):
            sums[:, labels[node]] -= one[:, node]
            sums[:, target] += one[:, node]
        member[node, labels[node]], member[node, target] = 0.0, 1.0
        labels[node] = target
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _joins(w: Float64Array, labels: Labels) -> Labels:
    """Join whole clusters while that is a gain."""
    member = np.eye(int(labels.max()) + 1)[labels]
    joined = _contract(member.T @ w @ member)
    return np.asarray(np.unique(joined[labels], return_inverse=True)[1], np.int64)
