"""Constrained clustering of tracklets: who can be the same person, and who is.

Average-linkage agglomeration on log-odds: the two clusters with the greatest mean log-odds are joined until it falls below the threshold or every
remaining pair is forbidden. A forbidden pair of members forbids the pair of clusters (cannot-link, Wagstaff et al., ICML 2001).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamreid.types import BoolArray, FloatArray

__all__ = ["agglomerate"]


def agglomerate(log_odds: FloatArray, weight: FloatArray, forbidden: BoolArray, *, threshold: float = 0.0) -> NDArray[np.int64]:
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
    if n > 1:
        total = np.where(forbidden, 0.0, log_odds * weight).astype(np.float64)
        mass = weight.astype(np.float64).copy()
        blocked = forbidden.copy()
        np.fill_diagonal(blocked, True)
        mean = np.where(blocked | (mass <= 0), -np.inf, np.divide(total, mass, out=np.zeros_like(total), where=mass > 0))
        while True:
            best = int(mean.argmax())
            i, j = sorted(divmod(best, n))
            if mean[i, j] < threshold or not np.isfinite(mean[i, j]):
                break
            labels[labels == j] = i
            total[i] += total[j]
            mass[i] += mass[j]
            blocked[i] |= blocked[j]
            row = np.where(blocked[i] | (mass[i] <= 0), -np.inf, np.divide(total[i], mass[i], out=np.zeros(n), where=mass[i] > 0))
            row[i] = row[j] = -np.inf
            total[:, i], mass[:, i], blocked[:, i] = total[i], mass[i], blocked[i]
            blocked[j] = blocked[:, j] = True
            mean[i], mean[:, i] = row, row
            mean[j], mean[:, j] = -np.inf, -np.inf
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)
