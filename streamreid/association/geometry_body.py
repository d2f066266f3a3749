"""The box in which a standing person appears, as calibration predicts it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamreid.association.geometry import GroundCamera

__all__ = ["body_boxes", "box_slopes"]

Array = NDArray[np.float64]
_ANGLES = np.arange(8) * np.pi / 4
# Rings around the vertical axis of a person: radius in metres and height as a share of the person's.
_RINGS = ((0.13, 0.0), (0.23, 0.45), (0.25, 0.8), (0.10, 1.0))
_BODY = np.array([[r * np.cos(a), r * np.sin(a), h] for r, h in _RINGS for a in _ANGLES])


def body_boxes(camera: GroundCamera, people: Array) -> Array:
    """Boxes of standing people.

    Args:
        camera: Who looks.
        people: ``[..., 3]`` x, y and body height in metres.

    Returns:
        ``[..., 4]`` xyxy in pixels, not cut at the border of the picture; NaN where a part of the body is not in front of the camera.
    """
    points = np.empty((*people.shape[:-1], len(_BODY), 3))
    points[..., :2] = people[..., None, :2] + _BODY[:, :2]
    points[..., 2] = people[..., None, 2] * _BODY[:, 2]
    pixels, depth = camera.project(points)
    boxes = np.concatenate([pixels.min(-2), pixels.max(-2)], -1)
    boxes[(depth < 0.2).any(-1)] = np.nan
    return boxes


def box_slopes(camera: GroundCamera, people: Array, boxes: Array, step: float = 0.02) -> Array:
    """Derivatives of ``[N, 4]`` boxes by x, y and height: ``[N, 4, 3]``."""
    moved = people[:, None] + step * np.eye(3)[None]
    return np.asarray((body_boxes(camera, moved) - boxes[:, None]).transpose(0, 2, 1) / step, np.float64)
