"""Where people were, as known from what was seen before and after: fixed-interval smoothing of the motion filter.

Rauch, Tung, Striebel, "Maximum likelihood estimates of linear dynamic systems", 1965. With the filtered state (x, v, P)
of a frame and the prediction (x', v', P') of the next one by F = [[1, travel], [0, decay]], backwards from the newest
frame:

    C = P F^T P'^-1,   (x, v)_smooth = (x, v) + C ((x, v)_smooth,next - (x', v'))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from streamreid.types import BoolArray, Float64Array, FloatArray, IntArray

__all__ = ["MotionStep", "smoothed_boxes"]


@dataclass(frozen=True, slots=True, eq=False)
class MotionStep:
    """The motion filter's state of T tracks before and after one frame.

    Args:
        ids: ``[T]`` track ids.
        place: ``[T, 4]`` cx, cy, w, h after the frame.
        speed: ``[T, 4]`` their velocities.
        spread: ``[T, 4, 3]`` covariances (P00, P01, P11).
        prior: The same three as predicted from the frame before; NaN for tracks that began in this frame.
        travel: ``[T, 4]`` seconds of motion from the frame before.
        decay: ``[T, 4]`` share of the velocity left of the frame before.
        camera: ``[2, 3]`` affine map from pixels of the frame before, or None for a fixed camera.
    """

    ids: IntArray
    place: Float64Array
    speed: Float64Array
    spread: Float64Array
    prior: tuple[Float64Array, Float64Array, Float64Array]
    travel: Float64Array
    decay: Float64Array
    camera: FloatArray | None = None

    def pick(self, rows: BoolArray | IntArray) -> MotionStep:
        """The predictions of some of the tracks."""
        x, v, p = self.prior
        return MotionStep(
            self.ids[rows],
            self.place[rows],
            self.speed[rows],
            self.spread[rows],
            (x[rows], v[rows], p[rows]),
            self.travel[rows],
            self.decay[rows],
            self.camera,
        )

    def renamed(self, names: dict[int, int]) -> MotionStep:
        """With ids that turned out to be others; what was only predicted of those is dropped."""
        found = {new: old for new, old in names.items() if (self.ids == new).any()}
        if not found:
            return self
        step = self.pick(~np.isin(self.ids, list(found.values())))
        return replace(step, ids=np.array([found.get(i, i) for i in step.ids.tolist()], np.int64))


def smoothed_boxes(steps: Sequence[MotionStep], count: int) -> list[tuple[IntArray, FloatArray]]:
    """Smooth the tracks of consecutive frames, backwards from the newest.

    Args:
        steps: Of all frames that are known, oldest first.
        count: How many of the oldest are wanted.

    Returns:
        For each of these: ids ``[T]`` and boxes ``[T, 4]`` xyxy.
    """
    result: list[tuple[IntArray, FloatArray]] = []
    later: MotionStep | None = None
    for number in range(len(steps) - 1, -1, -1):
        step = steps[number]
        later = step if later is None else _back(step, later, steps[number + 1])
        if number < count:
            half = np.maximum(later.place[:, 2:], 1.0) / 2
            boxes = np.concatenate([later.place[:, :2] - half, later.place[:, :2] + half], 1)
            result.append((later.ids, boxes.astype(np.float32)))
    return result[::-1]


def _back(step: MotionStep, smooth: MotionStep, later: MotionStep) -> MotionStep:
    """``step`` smoothed by the next frame's ``smooth`` state; ``later`` is that frame as filtered."""
    _, mine, theirs = np.intersect1d(step.ids, later.ids, assume_unique=True, return_indices=True)
    begun = np.isnan(later.prior[0][theirs, 0])
    mine, theirs = mine[~begun], theirs[~begun]
    if not len(mine):
        return step
    turn, shift, scale = _camera(later.camera)
    place, speed = step.place[mine].copy(), step.speed[mine].copy()
    place[:, :2], speed[:, :2] = place[:, :2] @ turn.T + shift, speed[:, :2] @ turn.T
    place[:, 2:], speed[:, 2:] = place[:, 2:] * scale, speed[:, 2:] * scale
    gain = _gain(step.spread[mine] * scale**2, later.prior[2][theirs], later.travel[theirs], later.decay[theirs])
    by_place, by_speed = smooth.place[theirs] - later.prior[0][theirs], smooth.speed[theirs] - later.prior[1][theirs]
    place += gain[0] * by_place + gain[1] * by_speed
    speed += gain[2] * by_place + gain[3] * by_speed
    back = np.linalg.inv(turn)
    place[:, :2], speed[:, :2] = (place[:, :2] - shift) @ back.T, speed[:, :2] @ back.T
    places, speeds = step.place.copy(), step.speed.copy()
    places[mine], speeds[mine] = place, speed
    places[mine, 2:], speeds[mine, 2:] = place[:, 2:] / scale, speed[:, 2:] / scale
    return replace(step, place=places, speed=speeds)


def _gain(
    p: Float64Array, prior: Float64Array, travel: Float64Array, decay: Float64Array
) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """The four entries of C = P F^T P'^-1, elementwise."""
    a00, a01 = p[..., 0] + travel * p[..., 1], decay * p[..., 1]
    a10, a11 = p[..., 1] + travel * p[..., 2], decay * p[..., 2]
    determinant = np.maximum(prior[..., 0] * prior[..., 2] - prior[..., 1] ** 2, 1e-12)
    i00, i01, i11 = prior[..., 2] / determinant, -prior[..., 1] / determinant, prior[..., 0] / determinant
    return a00 * i00 + a01 * i01, a00 * i01 + a01 * i11, a10 * i00 + a11 * i01, a10 * i01 + a11 * i11


def _camera(affine: FloatArray | None) -> tuple[Float64Array, Float64Array, float]:
    if affine is None:
        return np.eye(2), np.zeros(2), 1.0
    turn, shift = np.asarray(affine, np.float64)[:, :2], np.asarray(affine, np.float64)[:, 2]
    return turn, shift, float(np.sqrt(max(abs(np.linalg.det(turn)), 1e-6)))
