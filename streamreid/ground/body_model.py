"""The box in which a standing person appears, as calibration predicts it."""

from __future__ import annotations

import numpy as np

from streamreid.boxes import iou_matrix
from streamreid.ground.camera_model import GroundCamera
from streamreid.types import Float64Array

__all__ = ["body_boxes", "box_slopes", "hidden_by", "overlap_of", "share_inside"]

_ANGLES = np.arange(8) * np.pi / 4
# Rings around the vertical axis of a person: radius in metres and height as a share of the person's.
_RINGS = ((0.13, 0.0), (0.23, 0.45), (0.25, 0.8), (0.10, 1.0))
_BODY = np.array([[r * np.cos(a), r * np.sin(a), h] for r, h in _RINGS for a in _ANGLES])


def body_boxes(camera: GroundCamera, people: Float64Array) -> Float64Array:
    """Boxes of standing people.

    Args:
        camera: Who looks.
        people: ``[..., 3]`` x, y and body height in metres; a fourth value is the girth, 1 for usual people.

    Returns:
        ``[..., 4]`` xyxy in pixels, not cut at the border of the picture; NaN where a part of the body is not in front
        of the camera.
    """
    points = np.empty((*people.shape[:-1], len(_BODY), 3))
    wide = _BODY[:, :2] if people.shape[-1] == 3 else _BODY[:, :2] * people[..., None, 3:4]
    points[..., :2] = people[..., None, :2] + wide
    points[..., 2] = people[..., None, 2] * _BODY[:, 2]
    pixels, depth = camera.project(points)
    boxes = np.concatenate([pixels.min(-2), pixels.max(-2)], -1)
    boxes[(depth < 0.2).any(-1)] = np.nan
    return boxes


def box_slopes(camera: GroundCamera, people: Float64Array, boxes: Float64Array, step: float = 0.02) -> Float64Array:
    """Derivatives of ``[N, 4]`` boxes by what is known of ``[N, D]`` people: ``[N, 4, D]``."""
    moved = people[:, None] + step * np.eye(people.shape[-1])[None]
    return np.asarray((body_boxes(camera, moved) - boxes[:, None]).transpose(0, 2, 1) / step, np.float64)


def hidden_by(shown: Float64Array, depth: Float64Array) -> Float64Array:
    """Which share of each predicted box, and of its strip at the feet, each nearer person hides: ``[N, N, 2]``, hidden
    by hiding."""
    x0, y0, x1, y1 = shown.T
    parts = np.stack([shown, np.stack([x0, y1 - 0.12 * (y1 - y0), x1, y1], 1)], 1)
    body = shown.copy()
    body[:, [0, 2]] += np.stack([x1 - x0, x0 - x1], 1) * 0.1  # boxes are wider than bodies
    with np.errstate(invalid="ignore"):
        low = np.maximum(parts[:, :, None, :2], body[None, None, :, :2])
        high = np.minimum(parts[:, :, None, 2:], body[None, None, :, 2:])
        inner = np.clip(high - low, 0, None).prod(-1)
        area = (parts[..., 2:] - parts[..., :2]).prod(-1)
        share = np.nan_to_num(inner / np.maximum(area, 1e-9)[..., None]) * (depth[None] < depth[:, None] - 0.1)[:, None]
    return np.asarray(share.transpose(0, 2, 1), np.float64)


def share_inside(shown: Float64Array, size: tuple[int, int]) -> Float64Array:
    """Which share of predicted boxes lies in the picture: ``[N]``."""
    inner = np.clip(shown, 0, [size[0], size[1], size[0], size[1]])
    with np.errstate(invalid="ignore", divide="ignore"):
        area = (inner[:, 2] - inner[:, 0]) * (inner[:, 3] - inner[:, 1])
        return np.asarray(np.nan_to_num(area / ((shown[:, 2] - shown[:, 0]) * (shown[:, 3] - shown[:, 1]))), np.float64)


def overlap_of(shown: Float64Array, boxes: Float64Array, size: tuple[int, int]) -> Float64Array:
    """IoU ``[N, M]`` of predicted boxes, cut at the border of the picture, with boxes found."""
    inside = np.clip(shown, 0, [size[0], size[1], size[0], size[1]])
    with np.errstate(invalid="ignore"):  # a box that is not a number overlaps nothing
        return iou_matrix(inside, boxes)
