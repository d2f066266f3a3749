"""The box in which a standing person appears, as calibration predicts it."""

from __future__ import annotations

import numpy as np

from streamreid.boxes import iou_matrix
from streamreid.ground.camera_model import GroundCamera
from streamreid.types import Float64Array

__all__ = ["body_boxes", "boxes_and_slopes", "hidden_by", "hidden_shares", "overlap_of", "share_inside"]

_ANGLES = np.arange(8) * np.pi / 4
# Rings around the vertical axis of a person: radius in metres and height as a share of the person's.
_RINGS = ((0.13, 0.0), (0.23, 0.45), (0.25, 0.8), (0.10, 1.0))
_FRONT = 0.2
"""Least depth of every part of a body in front of the camera, metres."""
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
    flat = people.reshape(-1, people.shape[-1])
    return _Outline(camera, flat).boxes.reshape(*people.shape[:-1], 4)


def boxes_and_slopes(
    camera: GroundCamera, people: Float64Array, step: float = 0.02
) -> tuple[Float64Array, Float64Array]:
    """Boxes ``[N, 4]`` of people ``[N, 4]``, see ``body_boxes``, and their derivatives ``[N, 4, 4]`` by x, y, body
    height and girth: how the point of the body that makes an edge moves in the picture."""
    outline = _Outline(camera, people)
    return outline.boxes, outline.slopes(step)


class _Outline:
    """The bodies of people ``[N, 3 or 4]`` as a camera sees them.

    Attributes:
        boxes: See ``body_boxes``.
    """

    def __init__(self, camera: GroundCamera, people: Float64Array) -> None:
        self._lens = camera.lens
        self._ground, self._up = camera.matrix[:, :2], camera.matrix[:, 2]
        self._wide, self._tall = self._ground @ _BODY[:, :2].T, self._up[:, None] * _BODY[:, 2]  # [3, 32]
        count = len(people)
        shares = np.empty((3, count, 3))  # of the place, of the girth, and of the height: [3, N, 3] @ [3, 3, 32]
        shares[..., 0] = (people[:, :2] @ self._ground.T + camera.matrix[:, 3]).T
        shares[..., 1] = people[:, 3] if people.shape[1] > 3 else 1.0
        shares[..., 2] = people[:, 2]
        parts = np.stack([np.ones_like(self._wide), self._wide, self._tall], 1)
        self._seen = shares @ parts  # [3, N, 32]: across, down, depth
        with np.errstate(divide="ignore", invalid="ignore"):
            self._pixels = self._flattened(self._seen)
            self.boxes = np.empty((count, 4))
            self._pixels.min(2, out=self.boxes.T[:2])
            self._pixels.max(2, out=self.boxes.T[2:])
        self.boxes[~(self._seen[2].min(1) >= _FRONT)] = np.nan

    def _flattened(self, seen: Float64Array) -> Float64Array:
        """Pixels ``[2, ...]`` of ``[3, ...]``."""
        pixels = seen[:2] / seen[2]
        if self._lens is not None:
            real = self._lens.real(np.where(seen[2] > _FRONT, pixels, np.nan).reshape(2, -1).T)
            pixels = real.T.reshape(pixels.shape)
        return np.asarray(pixels, np.float64)

    def slopes(self, step: float) -> Float64Array:
        """See ``boxes_and_slopes``; NaN where the box is."""
        count = len(self.boxes)
        edge = np.concatenate([self._pixels.argmin(2), self._pixels.argmax(2)])  # [4, N]: which point
        point = self._seen[:, np.arange(count), edge]
        moved = np.empty((3, 4, 4, count))  # by edge and what changes
        moved[:, :, :2] = point[:, :, None] + step * self._ground[:, None, :, None]
        moved[:, :, 2] = point + step * self._tall[:, edge]
        moved[:, :, 3] = point + step * self._wide[:, edge]
        axis = np.array([0, 1, 0, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            if self._lens is None:
                pixels = moved[axis, np.arange(4)] / moved[2]
            else:
                pixels = self._flattened(moved)[axis, np.arange(4)]
        return np.asarray((pixels.transpose(2, 0, 1) - self.boxes[:, :, None]) / step, np.float64)


def hidden_by(shown: Float64Array, depth: Float64Array) -> Float64Array:
    """Which share of each predicted box, and of its strip at the feet, each nearer person hides: ``[N, N, 2]``, hidden
    by hiding; 0 where a box is not known."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nan_to_num(np.stack(hidden_shares(shown, depth), 2)), np.float64)


def hidden_shares(shown: Float64Array, depth: Float64Array) -> tuple[Float64Array, Float64Array]:
    """``[N, N]`` each: the same of known boxes, for the whole box and for the strip."""
    x0, y0, x1, y1 = shown.T
    wide, high = x1 - x0, y1 - y0
    left, right = x0 + 0.1 * wide, x1 - 0.1 * wide  # boxes are wider than bodies
    strip = y1 - 0.12 * high
    across = np.maximum(np.minimum(x1[:, None], right) - np.maximum(x0[:, None], left), 0.0)
    across *= (depth < depth[:, None] - 0.1) / np.maximum(wide, 1e-9)[:, None]
    bottom = np.minimum(y1[:, None], y1)
    whole = np.maximum(bottom - np.maximum(y0[:, None], y0), 0.0) / np.maximum(high, 1e-9)[:, None]
    feet = np.maximum(bottom - np.maximum(strip[:, None], y0), 0.0) / np.maximum(y1 - strip, 1e-9)[:, None]
    return across * whole, across * feet


def share_inside(shown: Float64Array, size: tuple[int, int]) -> Float64Array:
    """Which share of predicted boxes lies in the picture: ``[N]``."""
    x0, y0, x1, y1 = shown.T
    with np.errstate(invalid="ignore"):
        across = np.minimum(np.maximum(x1, 0.0), size[0]) - np.minimum(np.maximum(x0, 0.0), size[0])
        down = np.minimum(np.maximum(y1, 0.0), size[1]) - np.minimum(np.maximum(y0, 0.0), size[1])
        area = (x1 - x0) * (y1 - y0)
        return np.asarray(np.divide(across * down, area, out=np.zeros(len(shown)), where=area > 0), np.float64)


def overlap_of(shown: Float64Array, boxes: Float64Array, size: tuple[int, int]) -> Float64Array:
    """IoU ``[N, M]`` of predicted boxes, cut at the border of the picture, with boxes found."""
    inside = np.clip(shown, 0, [size[0], size[1], size[0], size[1]])
    with np.errstate(invalid="ignore"):  # a box that is not a number overlaps nothing
        return iou_matrix(inside, boxes)
