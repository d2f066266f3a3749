"""Which prototypes of an identity are worth keeping: good ones that differ."""

from __future__ import annotations

import numpy as np

from streamreid.features.similarity import part_similarity
from streamreid.types import FloatArray, IntArray, PartFeatures

__all__ = ["choose_prototypes"]


def choose_prototypes(features: PartFeatures, quality: FloatArray, count: int) -> IntArray:
    """Pick at most ``count`` rows: the best one first, then again and again the one that is good and least like those
    picked.

    Farthest-point sampling weighted by quality: argmax_i quality_i * (1 - max_j similarity(i, j)), j over the rows
    picked.

    Args:
        features: P rows.
        quality: ``[P]`` in [0, 1].
        count: At least 1.

    Returns:
        Row numbers, best first.
    """
    if len(features) <= count:
        return np.argsort(-quality, kind="stable").astype(np.int64)
    similarity, common = part_similarity(features, features)
    alike = np.where(common > 0, similarity, 0.0)
    picked = [int(np.argmax(quality))]
    nearest = alike[picked[0]].copy()
    while len(picked) < count:
        gain = quality * (1.0 - nearest) + 1e-6 * quality
        gain[picked] = -np.inf
        picked.append(int(np.argmax(gain)))
        nearest = np.maximum(nearest, alike[picked[-1]])
    return np.array(picked, np.int64)
