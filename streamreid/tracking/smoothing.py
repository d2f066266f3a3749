"""Where people were, as known from what was seen before and after: fixed-interval smoothing of the motion filter.

Rauch, Tung, Striebel, "Maximum likelihood estimates of linear dynamic systems", 1965. With the filtered state (x, v, P)
of a frame and the prediction (x', v', P') of the next one by F = [[1, travel], [0, decay]], backwards from the newest
frame:

    C = P F^T P'^-1,   (x, v)_smooth = (x, v) + C ((x, v)_smooth,next - (x', v'))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

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
    _links: list[_Link] = field(default_factory=list, init=False, repr=False)

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
        if later is None:
            place, speed = step.place, step.speed
        else:
            place, speed = _back(step, place, speed, later)
        later = step
        if number < count:
            half = np.maximum(place[:, 2:], 1.0) / 2
            boxes = np.concatenate([place[:, :2] - half, place[:, :2] + half], 1)
            result.append((step.ids, boxes.astype(np.float32)))
    return result[::-1]


@dataclass(frozen=True, slots=True, eq=False)
class _Link:
    """What two consecutive frames have in common: the same for every pass that goes back over them.

    Args:
        later: The second one.
        mine: ``[M]`` rows of the first one's tracks that it has too; None where both have the same, row by row.
        theirs: ``[M]`` their rows in the second one.
        place: ``[M, 4]`` where they were predicted in it.
        speed: ``[M, 4]`` and how fast.
        gain: The four entries of C, ``[M, 4]`` each.
        moved: Turn ``[2, 2]``, shift ``[2]`` and scale of the camera in between; None where it stands still.
    """

    later: MotionStep
    mine: IntArray | None
    theirs: IntArray
    place: Float64Array
    speed: Float64Array
    gain: tuple[Float64Array, Float64Array, Float64Array, Float64Array]
    moved: tuple[Float64Array, Float64Array, float] | None

    @classmethod
    def of(cls, step: MotionStep, later: MotionStep) -> _Link:
        begun = np.isnan(later.prior[0][:, 0])
        if len(step.ids) == len(later.ids) and not np.count_nonzero(begun) and (step.ids == later.ids).all():
            mine, theirs = None, np.arange(len(step.ids))
            spread, prior, travel, decay = step.spread, later.prior, later.travel, later.decay
        else:
            _, mine, theirs = np.intersect1d(step.ids, later.ids, assume_unique=True, return_indices=True)
            old = ~begun[theirs]
            mine, theirs = mine[old], theirs[old]
            spread, travel, decay = step.spread[mine], later.travel[theirs], later.decay[theirs]
            prior = later.prior[0][theirs], later.prior[1][theirs], later.prior[2][theirs]
        moved = None if later.camera is None else _camera(later.camera)
        if moved is not None:
            spread = spread * moved[2] ** 2
        return cls(later, mine, theirs, prior[0], prior[1], _gain(spread, prior[2], travel, decay), moved)


def _link(step: MotionStep, later: MotionStep) -> _Link:
    if not step._links or step._links[0].later is not later:
        step._links[:] = [_Link.of(step, later)]
    return step._links[0]


def _back(
    step: MotionStep, place: Float64Array, speed: Float64Array, later: MotionStep
) -> tuple[Float64Array, Float64Array]:
    """Places and velocities of ``step`` smoothed by those of the next frame, ``place`` and ``speed``; ``later`` is that
    frame as filtered."""
    link = _link(step, later)
    if not len(link.theirs):
        return step.place, step.speed
    if link.mine is not None:
        place, speed = place[link.theirs], speed[link.theirs]
    by_place, by_speed = place - link.place, speed - link.speed
    more = link.gain[0] * by_place + link.gain[1] * by_speed
    faster = link.gain[2] * by_place + link.gain[3] * by_speed
    own = slice(None) if link.mine is None else link.mine
    if link.moved is None:
        place, speed = step.place[own] + more, step.speed[own] + faster
    else:
        place, speed = _moved(step.place[own], step.speed[own], more, faster, link.moved)
    if link.mine is None:
        return place, speed
    places, speeds = step.place.copy(), step.speed.copy()
    places[own], speeds[own] = place, speed
    return places, speeds


def _moved(
    place: Float64Array,
    speed: Float64Array,
    more: Float64Array,
    faster: Float64Array,
    camera: tuple[Float64Array, Float64Array, float],
) -> tuple[Float64Array, Float64Array]:
    """Corrections ``more`` and ``faster``, in pixels of the next frame, in those of a frame before the camera moved."""
    turn, shift, scale = camera
    back = np.linalg.inv(turn)
    ahead, pace = place[:, :2] @ turn.T + shift + more[:, :2], speed[:, :2] @ turn.T + faster[:, :2]
    sizes, growth = place[:, 2:] * scale + more[:, 2:], speed[:, 2:] * scale + faster[:, 2:]
    return (
        np.concatenate([(ahead - shift) @ back.T, sizes / scale], 1),
        np.concatenate([pace @ back.T, growth / scale], 1),
    )


def _gain(
    p: Float64Array, prior: Float64Array, travel: Float64Array, decay: Float64Array
) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """The four entries of C = P F^T P'^-1, elementwise."""
    a00, a01 = p[..., 0] + travel * p[..., 1], decay * p[..., 1]
    a10, a11 = p[..., 1] + travel * p[..., 2], decay * p[..., 2]
    determinant = np.maximum(prior[..., 0] * prior[..., 2] - prior[..., 1] ** 2, 1e-12)
    i00, i01, i11 = prior[..., 2] / determinant, -prior[..., 1] / determinant, prior[..., 0] / determinant
    return a00 * i00 + a01 * i01, a00 * i01 + a01 * i11, a10 * i00 + a11 * i01, a10 * i01 + a11 * i11


def _camera(affine: FloatArray) -> tuple[Float64Array, Float64Array, float]:
    turn, shift = np.asarray(affine, np.float64)[:, :2], np.asarray(affine, np.float64)[:, 2]
    return turn, shift, float(np.sqrt(max(abs(np.linalg.det(turn)), 1e-6)))
