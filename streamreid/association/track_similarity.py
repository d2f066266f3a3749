"""Comparing tracks view by view, and only as far as both were seen.

For each part the likeness of two tracks is the mean, over the views of both and weighted by how much stands behind
each, of the cosine with the nearest view of the other. Parts are joined by the occlusion-unified mean of
:func:`streamreid.features.similarity.part_similarity`,

    similarity(a, b) = sum_k w_ak w_bk s_k(a, b) / sum_k w_ak w_bk        w = sqrt(visibility)

which for one view per part is that function: two matrix products. ``graded`` goes further and compares the whole-person
slot only as far as the same parts made it up, after the occlusion unification of OAMN (Chen et al., ICCV 2021), which
compares a covered query with an equally covered gallery:

    w_a0 w_b0  <-  w_a0 w_b0 * sum_k min(v_ak, v_bk) / sum_k max(v_ak, v_bk)        over the body parts k >= 1

``off`` weighs by visibility but does not unify: sum_k w_ak w_bk s_k / sqrt(sum_k v_ak sum_k v_bk), the cosine of the
weighted concatenations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamreid.association.track_evidence import Evidence, known_well
from streamreid.config.association import Unification
from streamreid.errors import EngineMismatchError
from streamreid.features.prototype_bank import FULL_MASS
from streamreid.features.similarity import combine_parts
from streamreid.types import FloatArray

__all__ = ["MOST_MASS", "Comparison", "Views", "compare", "stack"]

MOST_MASS = 10 * FULL_MASS
"""Of one view: what was looked at for an hour is no better known than what was looked at often."""

_FEW = 32
"""Views of one side up to which the other side comes first in the product."""


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """N tracks, V views each (those that are not there have mass 0).

    Args:
        parts: ``[N, V, K, D]`` float32, L2-normalised.
        mass: ``[N, V, K]`` how much stands behind each view of each part.
        visibility: ``[N, K]`` in [0, 1], how well each part is known.
    """

    parts: FloatArray
    mass: FloatArray
    visibility: FloatArray

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, rows: Any) -> Views:
        """Rows by slice, integer array or boolean mask."""
        return Views(self.parts[rows], self.mass[rows], self.visibility[rows])

    def padded(self, count: int, views: int, *, keep: int) -> Views:
        """The first ``keep`` rows, and room for ``count`` rows of ``views`` views each."""
        k, d = self.parts.shape[2:]
        made = Views(
            np.zeros((count, views, k, d), np.float32),
            np.zeros((count, views, k), np.float32),
            np.zeros((count, k), np.float32),
        )
        v = self.parts.shape[1]
        if keep:
            made.parts[:keep, :v], made.mass[:keep, :v], made.visibility[:keep] = (
                self.parts[:keep],
                self.mass[:keep],
                self.visibility[:keep],
            )
        return made


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """How alike N tracks are to M tracks.

    Args:
        similarity: ``[N, M]`` in [-1, 1]; 0 where no part was seen in both.
        common: ``[N, M]`` in [0, 1]: the share of parts that was seen in both; 0 is no evidence.
        parts: ``[K, N, M]`` likeness per part, meaningful where both saw it.
    """

    similarity: FloatArray
    common: FloatArray
    parts: FloatArray


def stack(items: Sequence[Evidence]) -> Views:
    """The views of some tracks as arrays; of those of whom nothing was seen, visibility and mass are 0.

    Args:
        items: Any number.
    """
    known = [(row, item.prototypes) for row, item in enumerate(items) if item.prototypes.mass.size]
    if not known:
        return Views(
            np.zeros((len(items), 1, 1, 1), np.float32),
            np.zeros((len(items), 1, 1), np.float32),
            np.zeros((len(items), 1), np.float32),
        )
    rows = np.array([row for row, _ in known])
    counts = np.array([len(item.mass) for _, item in known])
    at = np.repeat(rows, counts), np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    sums = np.concatenate([item.vectors for _, item in known]).astype(np.float32, copy=False)
    sums /= np.maximum(np.concatenate([item.norms for _, item in known]), 1e-9)[..., None]
    parts = np.zeros((len(items), counts.max(), *sums.shape[1:]), np.float32)
    mass = np.zeros(parts.shape[:3], np.float32)
    square = np.zeros((len(items), parts.shape[2]), np.float32)
    parts[at], mass[at] = sums, np.concatenate([item.mass for _, item in known])
    square[rows] = np.stack([item.square for _, item in known])
    return Views(parts, np.minimum(mass, MOST_MASS), known_well(mass.sum(1), square))


def compare(a: Views, b: Views, unification: Unification = "parts") -> Comparison:
    """Compare every track of ``a`` with every one of ``b``; both of one engine.

    Args:
        a: N tracks.
        b: M tracks.
        unification: See this module.

    Raises:
        EngineMismatchError: They are of two engines.
    """
    n, m, k = len(a), len(b), a.visibility.shape[1]
    if a.parts.shape[2:] != b.parts.shape[2:]:
        if a.visibility.any() and b.visibility.any():
            raise EngineMismatchError(
                f"tracks of different engines cannot be compared: {k} parts of {a.parts.shape[3]} values, "
                f"{b.parts.shape[2]} of {b.parts.shape[3]}"
            )
        nothing = np.zeros((n, m), np.float32)
        return Comparison(nothing, nothing, np.zeros((k, n, m), np.float32))
    likeness = _likeness(a, b)
    weight = np.sqrt(a.visibility.T[:, :, None] * b.visibility.T[:, None, :])
    if unification == "graded" and k > 1:
        low = np.minimum(a.visibility[:, None, 1:], b.visibility[None, :, 1:]).sum(2)
        high = np.maximum(a.visibility[:, None, 1:], b.visibility[None, :, 1:]).sum(2)
        weight[0] *= np.divide(low, high, out=np.ones((n, m), np.float32), where=high > 1e-6)
    total = None
    if unification == "off":
        total = np.sqrt(a.visibility.sum(1)[:, None] * b.visibility.sum(1)[None])
    return Comparison(*combine_parts(likeness, weight, total), likeness)


def _likeness(a: Views, b: Views) -> FloatArray:
    """``[K, N, M]``: per part, how alike the views of both are."""
    n, v, k, d = a.parts.shape
    m, u = b.parts.shape[:2]
    # One matrix per part, seen in place: the product takes rows that lie K * D values apart as they are.
    left = a.parts.reshape(n * v, k, d).transpose(1, 0, 2)
    right = b.parts.reshape(m * u, k, d).transpose(1, 0, 2)
    if n * v <= _FEW < m * u:
        # A matrix with a few rows on the left is multiplied at half the speed.
        each = (right @ left.swapaxes(1, 2)).swapaxes(1, 2).reshape(k, n, v, m, u)
    else:
        each = (left @ right.swapaxes(1, 2)).reshape(k, n, v, m, u)
    if v == u == 1:
        return np.asarray(each[:, :, 0, :, 0], np.float32)
    wa, wb = a.mass.transpose(2, 0, 1), b.mass.transpose(2, 0, 1)
    forth = np.maximum.reduce(np.where(wb[:, None, None] > 0, each, np.float32(-1)), 4)  # [K, N, V, M]
    back = np.maximum.reduce(np.where(wa[:, :, :, None, None] > 0, each, np.float32(-1)), 2)  # [K, N, M, U]
    forth = np.add.reduce(forth * wa[..., None], 2) / np.maximum(np.add.reduce(wa, 2), 1e-9)[:, :, None]
    back = np.add.reduce(back * wb[:, None], 3) / np.maximum(np.add.reduce(wb, 2), 1e-9)[:, None]
    return np.asarray((forth + back) / 2, np.float32)
