"""Who hides whom. The person whose foot point is lower in the picture stands nearer (flat ground, camera above it), so
covers the others."""

from __future__ import annotations

import numpy as np

from streamreid.boxes import cover_matrix
from streamreid.types import BoolArray, FloatArray

__all__ = ["hidden_share", "occlusion"]


def hidden_share(boxes: FloatArray, others: FloatArray, same: BoolArray | None = None) -> FloatArray:
    """How much of each of ``boxes`` is hidden by ``others``: the greatest share covered by one whose foot point is
    lower.

    Args:
        boxes: ``[N, 4]`` xyxy.
        others: ``[M, 4]`` xyxy of the possible occluders.
        same: ``[N, M]`` bool, pairs that are one person and hide nothing.

    Returns:
        ``[N]`` float32 in [0, 1].
    """
    if not len(boxes) or not len(others):
        return np.zeros(len(boxes), np.float32)
    nearer = others[:, 3] > boxes[:, None, 3]
    if same is not None:
        nearer &= ~same
    return np.asarray(np.where(nearer, cover_matrix(boxes, others), 0).max(1), np.float32)


def occlusion(boxes: FloatArray) -> FloatArray:
    """How much of each person is hidden by the others in the same picture.

    Args:
        boxes: ``[N, 4]`` xyxy.

    Returns:
        ``[N]`` float32 in [0, 1].
    """
    return hidden_share(boxes, boxes)
