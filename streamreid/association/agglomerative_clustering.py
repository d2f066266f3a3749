"""Constrained clustering of tracklets: who can be the same person, and who is.

Online, average-linkage agglomeration on log-odds: the two clusters with the greatest mean log-odds are joined until it
falls below the threshold or every remaining pair is forbidden. A forbidden pair of members forbids the pair of clusters
(cannot-link, Wagstaff et al., ICML 2001).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamreid.types import BoolArray, FloatArray

__all__ = ["Labels", "agglomerate", "components"]

Labels = NDArray[np.int64]


def components(edges: BoolArray) -> list[NDArray[np.intp]]:
    """Connected components of a symmetric ``[N, N]`` graph, each sorted, by first member."""
    n = len(edges)
    open_: BoolArray = np.logical_or.reduce(edges, axis=1)
    result = [np.array([seed]) for seed in np.flatnonzero(~open_)]
    for seed in range(n):
        if not open_[seed]:
            continue
        inside = np.zeros(n, bool)
        inside[seed] = True
        front = inside
        while front.any():
            front = edges[front].any(0) & ~inside
            inside = inside | front
        open_ &= ~inside
        result.append(np.flatnonzero(inside))
    return sorted(result, key=lambda rows: int(rows[0]))


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
    for rows in components(edges):
        if len(rows) > 1:
            at = np.ix_(rows, rows)
            labels[rows] = rows[_agglomerate(log_odds[at], weight[at], forbidden[at], threshold)]
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _agglomerate(log_odds: FloatArray, weight: FloatArray, forbidden: BoolArray, threshold: float) -> Labels:
    n = len(log_odds)
    labels = np.arange(n)
    total = np.where(forbidden, 0.0, log_odds * weight).astype(np.float64)
    mass = weight.astype(np.float64).copy()
    blocked = forbidden.copy()
    np.fill_diagonal(blocked, True)
    mean = np.where(blocked | (mass <= 0), -np.inf, np.divide(total, mass, out=np.zeros_like(total), where=mass > 0))
    while True:
        best = int(mean.argmax())
        i, j = sorted(divmod(best, n))
        if mean[i, j] < threshold or not np.isfinite(mean[i, j]):
            return labels
        labels[labels == j] = i
        total[i] += total[j]
        mass[i] += mass[j]
        blocked[i] |= blocked[j]
        row = np.where(
            blocked[i] | (mass[i] <= 0), -np.inf, np.divide(total[i], mass[i], out=np.zeros(n), where=mass[i] > 0)
        )
        row[i] = row[j] = -np.inf
        total[:, i], mass[:, i], blocked[:, i] = total[i], mass[i], blocked[i]
        blocked[j] = blocked[:, j] = True
        mean[i], mean[:, i] = row, row
        mean[j], mean[:, j] = -np.inf, -np.inf
