"""What each track looks like, per part. A part that is hidden is not learnt, and a part that was never seen says nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamreid.similarity import part_similarity
from streamreid.types import FloatArray, PartFeatures

__all__ = ["AppearanceBank"]


class AppearanceBank:
    """Running per-part templates of T tracks: part_k <- normalise((1 - a w) part_k + a w f_k) with w = visibility * quality.

    Args:
        rate: ``a``, weight of a new, fully visible observation once the template is settled.
        mass: Seen mass (sum of w) at which a part counts as fully known.
    """

    def __init__(self, *, rate: float = 0.1, mass: float = 3.0) -> None:
        self._rate = rate
        self._full = mass
        self._parts: FloatArray = np.zeros((0, 1, 1), np.float32)
        self._mass: FloatArray = np.zeros((0, 1), np.float32)

    def __len__(self) -> int:
        return len(self._parts)

    @property
    def features(self) -> PartFeatures:
        """One row per track; visibility is how well each part is known."""
        return PartFeatures(self._parts, np.minimum(self._mass / self._full, 1.0))

    def similarity(self, rows: NDArray[np.intp], features: PartFeatures) -> tuple[FloatArray, FloatArray]:
        """Part similarity and seen share ``[M, N]`` of tracks ``rows`` with ``features`` (see :func:`streamreid.similarity.part_similarity`)."""
        if not len(rows) or not len(features):
            zero = np.zeros((len(rows), len(features)), np.float32)
            return zero, zero
        return part_similarity(self.features[rows], features)

    def update(self, rows: NDArray[np.intp], features: PartFeatures, quality: FloatArray) -> None:
        """Learn ``features`` [M] of tracks ``rows``; ``quality`` [M] in [0, 1] is how little of the person was hidden."""
        if not len(rows):
            return
        w = features.visibility * quality[:, None]
        mass = self._mass[rows]
        # A young part averages its observations, an old one forgets slowly.
        step = np.where(mass > 0, np.maximum(self._rate * w, w / (mass + w + 1e-6) * (mass < self._full)), (w > 0).astype(np.float32))
        mixed = self._parts[rows] * (1 - step[..., None]) + features.parts * step[..., None]
        norm = np.linalg.norm(mixed, axis=2, keepdims=True)
        self._parts[rows] = np.divide(mixed, norm, out=np.zeros_like(mixed), where=norm > 1e-9)
        self._mass[rows] = np.minimum(mass + w, 100.0 * self._full)

    def add(self, features: PartFeatures, quality: FloatArray) -> None:
        """Append tracks that look like ``features`` [M]."""
        if not len(self):
            k, d = features.shape
            self._parts = np.zeros((0, k, d), np.float32)
            self._mass = np.zeros((0, k), np.float32)
        self._parts = np.concatenate([self._parts, features.parts]).astype(np.float32)
        self._mass = np.concatenate([self._mass, features.visibility * quality[:, None]]).astype(np.float32)

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drop every track that is not in the mask ``rows`` [T]."""
        self._parts, self._mass = self._parts[rows], self._mass[rows]
