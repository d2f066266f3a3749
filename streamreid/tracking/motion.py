"""Motion of boxes on capture time: one Kalman filter per coordinate, all tracks in one array.

State of each of cx, cy, w, h is (position, velocity) with white-noise acceleration, so the covariance is a 2x2 matrix
per coordinate and predict/update have closed forms (Bar-Shalom, Li, Kirubarajan, "Estimation with Applications to
Tracking and Navigation", 2001, section 6.2.2):

    predict by dt:  x += v dt          P00 += 2 dt P01 + dt^2 P11 + q dt^3/3,  P01 += dt P11 + q dt^2/2,  P11 += q dt
    update with z:  S = P00 + r,  k0 = P00/S,  k1 = P01/S,  x += k0 (z - x),  v += k1 (z - x)

Noise is proportional to the box height: a near person moves and jitters by more pixels than a far one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.tracking.smoothing import MotionStep
from streamreid.types import Float64Array, FloatArray

__all__ = ["MotionFilter", "MotionNoise"]

_LEAST = np.array([-np.inf, -np.inf, 1.0, 1.0])
"""Least values of cx, cy, w, h, pixels."""

# Products with a small matrix are one call each; halves and zeros make them as exact as the sums they stand for.
_TO_CORNERS = np.array([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0], [-0.5, 0.0, 0.5, 0.0], [0.0, -0.5, 0.0, 0.5]])
_TO_CENTRE = np.array([[0.5, 0.0, -1.0, 0.0], [0.0, 0.5, 0.0, -1.0], [0.5, 0.0, 1.0, 0.0], [0.0, 0.5, 0.0, 1.0]])


@dataclass(frozen=True, slots=True)
class MotionNoise:
    """Noise in units of the box height.

    Args:
        acceleration: Root spectral density of the acceleration of the centre, heights / s^1.5.
        size: The same for width and height.
        measurement: Standard deviation of a detected centre.
        measurement_size: Standard deviation of a detected width or height.
        velocity: Standard deviation of the unknown first velocity, heights / s.
        damping: Time constant in seconds with which the velocity of an unseen track decays.
        size_damping: The same for the growth of its box.
        truncation: A box narrower, or lower, than expected by more than these shares shows only a part of the person.
            Widths vary with the gait.
        truncated: How many times less exact the size of such a box is.
        carried: Deviation of a box between two detected frames in terms of that of a detected one. The mean of two has
            .7 of it, and knows besides where the person goes.
    """

    acceleration: float = 0.35
    size: float = 0.08
    measurement: float = 0.04
    measurement_size: float = 0.15
    velocity: float = 0.7
    damping: float = 1.5
    size_damping: float = 0.3
    truncation: tuple[float, float] = (0.4, 0.2)
    truncated: float = 4.0
    carried: float = 0.5


class MotionFilter:
    """Positions and velocities of T boxes. Rows are tracks; ``add`` appends, ``keep`` drops.

    Args:
        noise: How people move and how exact boxes are.
        history: Remember predictions, so that :meth:`step` can tell what a smoother needs.
    """

    def __init__(self, noise: MotionNoise | None = None, *, history: bool = False) -> None:
        self.noise = n = noise or MotionNoise()
        # Of cx, cy, w, h:
        self._drive = np.array([n.acceleration, n.acceleration, n.size, n.size])
        self._exact = np.array([n.measurement, n.measurement, n.measurement_size, n.measurement_size])
        self._tau = np.array([n.damping] * 2 + [n.size_damping] * 2)
        self._truncation = np.array(n.truncation)
        self._history = history
        self._boxes: FloatArray | None = None  # asked for several times between changes, as are these
        self._deviations: FloatArray | None = None
        self._before: Float64Array = np.zeros((7, 0, 4))  # x, v, P00, P01, P11 as predicted, travel, decay
        self._state: Float64Array = np.zeros((5, 0, 4))  # x, v, P00, P01, P11 of every coordinate

    def __len__(self) -> int:
        return int(self._state.shape[1])

    @property
    def boxes(self) -> FloatArray:
        """``[T, 4]`` xyxy of the present state, pixels."""
        if self._boxes is None:
            self._boxes = (np.maximum(self._state[0], _LEAST) @ _TO_CORNERS).astype(np.float32)
        return self._boxes

    def _changed(self) -> None:
        self._boxes = self._deviations = None

    @property
    def velocities(self) -> FloatArray:
        """``[T, 2]`` velocity of the centre, pixels / s."""
        return self._state[1, :, :2].astype(np.float32)

    @property
    def deviations(self) -> FloatArray:
        """``[T]`` standard deviation of the centre, pixels."""
        if self._deviations is None:
            p00 = self._state[2]
            most = np.maximum(p00[:, 0], p00[:, 1])
            np.maximum(most, 0.0, out=most)
            self._deviations = np.sqrt(most, out=most).astype(np.float32)
        return self._deviations

    def predict(self, dt: float, unseen: NDArray[np.bool_]) -> None:
        """Move all boxes ``dt`` seconds on. Velocities of ``unseen`` ([T] bool) tracks decay, so that a hidden person
        does not run away."""
        if dt <= 0 or not len(self):
            self._remember(0.0, 1.0)
            return
        self._changed()
        x, v, p00, p01, p11 = self._state
        size = x[:, 2:]
        q = np.maximum(x[:, 3:4], 1.0) * self._drive
        q *= q
        travel: Any = dt  # integral of the decaying velocity
        decay: Any = 1.0
        slowed = np.count_nonzero(unseen) > 0
        if slowed:
            less, hidden = np.exp(-dt / self._tau), unseen[:, None]
            decay = np.where(hidden, less, 1.0)
            travel = np.where(hidden, self._tau * (1 - less), dt)
        x += v * travel
        carried = p11 * travel
        p00 += travel * (p01 + p01 + carried)
        p01 += carried
        if slowed:
            self._state[1:4:2] *= decay
            p11 *= decay * decay
        self._state[2:] += q * np.array([dt**3 / 3, dt**2 / 2, dt])[:, None, None]
        np.maximum(size, 1.0, out=size)
        self._remember(travel, decay)

    def _remember(self, travel: Float64Array | float, decay: Float64Array | float) -> None:
        if self._history:
            self._before = np.empty((7, *self._state.shape[1:]))
            self._before[:5], self._before[5], self._before[6] = self._state, travel, decay

    def step(self, ids: NDArray[np.int64], camera: FloatArray | None = None) -> MotionStep:
        """What a smoother needs of the last frame; of no track without ``history``.

        Args:
            ids: ``[T]`` names of the tracks.
            camera: As given to :meth:`warp` in this frame.
        """
        if not self._history:
            ids = ids[:0]
        n = len(ids)
        x, v, *p, travel, decay = self._before
        place, speed, *spread = self._state[:, :n].copy()
        return MotionStep(
            ids.copy(), place, speed, np.stack(spread, -1), (x, v, np.stack(p, -1)), travel, decay, camera
        )

    def update(self, rows: NDArray[np.intp], boxes: FloatArray, scores: FloatArray, *, detected: bool = True) -> None:
        """Correct ``rows`` [M] by detected ``boxes`` [M, 4]; a low score means a less exact box (NSA Kalman, Du et al.,
        "GIAOTracker", 2021). Boxes that were not ``detected`` lie between two detections.

        A box that is suddenly lower or narrower shows a person partly hidden. Its side nearer to the expected one is
        believed, the other is put where the expected size has it, and its size counts little: so a person behind a
        table neither sinks into it nor loses their legs.
        """
        if not len(rows):
            return
        self._changed()
        everybody = len(rows) == len(self) and rows.tolist() == list(range(len(rows)))
        state = self._state if everybody else self._state.take(rows, 1)
        x, p00, p01 = state[0], state[2], state[3]
        z, short = self._completed(_centred(boxes), x)
        doubt = np.subtract(3.0, 2.0 * np.asarray(scores, np.float64))  # 1 of a sure box, 3 of one without score
        if not detected:
            doubt *= self.noise.carried
        exact = self._exact * doubt[:, None]
        if np.count_nonzero(short):
            exact[:, 2:] *= np.where(short, self.noise.truncated, 1.0)
        exact *= np.maximum(z[:, 3:4], 1.0)
        exact *= exact
        exact += p00
        gain = state[2:4] / exact
        z -= x
        state[:2] += gain * z
        state[4] -= gain[1] * p01
        state[2:4] *= 1 - gain[0]
        if not everybody:
            self._state[:, rows] = state

    def _completed(self, z: Float64Array, expected: Float64Array) -> tuple[Float64Array, NDArray[np.bool_]]:
        """Truncated measurements ``z`` [M, 4] (centre, size) moved to where the whole person is, and which sizes [M, 2]
        were truncated."""
        missing = expected[:, 2:] - z[:, 2:]
        short = missing > self._truncation * expected[:, 2:]
        if not np.count_nonzero(short):
            return z, short
        way = z[:, :2] - expected[:, :2]
        # With the low side kept the centre moves by +missing / 2, with the high side kept by -missing / 2.
        low, high = way + missing / 2, way - missing / 2
        kept = np.where(np.abs(low) <= np.abs(high), low, high)
        return np.concatenate([np.where(short, expected[:, :2] + kept, z[:, :2]), z[:, 2:]], 1), short

    def warp(self, affine: FloatArray) -> None:
        """Follow the camera: ``affine`` [2, 3] maps pixels of the previous frame to pixels of this one."""
        self._changed()
        turn, shift = np.asarray(affine, np.float64)[:, :2], np.asarray(affine, np.float64)[:, 2]
        scale = np.sqrt(max(abs(np.linalg.det(turn)), 1e-6))
        x, v = self._state[:2]
        x[:, :2] = x[:, :2] @ turn.T + shift
        v[:, :2] = v[:, :2] @ turn.T
        x[:, 2:] *= scale
        v[:, 2:] *= scale
        self._state[2:] *= scale**2

    def add(self, boxes: FloatArray) -> None:
        """Append tracks at ``boxes`` [M, 4] with unknown velocity."""
        self._changed()
        z = _centred(boxes)
        height = np.maximum(z[:, 3:4], 1.0)
        n = self.noise
        state = np.zeros((5, *z.shape))
        state[0] = z
        state[2] = (height * np.array([n.measurement, n.measurement, n.measurement_size, n.measurement_size])) ** 2
        state[4] = (height * np.array([n.velocity, n.velocity, n.velocity / 5, n.velocity / 5])) ** 2
        self._state = np.concatenate([self._state, state], 1)
        if self._history:
            self._before = np.concatenate([self._before, np.full((7, *z.shape), np.nan)], 1)

    def repeat(self, rows: NDArray[np.intp]) -> None:
        """Append tracks that move as ``rows`` [M] do."""
        self._changed()
        self._state = np.concatenate([self._state, self._state[:, rows]], 1)
        if self._history:
            self._before = np.concatenate([self._before, self._before[:, rows]], 1)

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drop every track that is not in the mask ``rows`` [T]."""
        self._changed()
        self._state = self._state[:, rows]
        if self._history:
            self._before = self._before[:, rows]


def _centred(boxes: FloatArray) -> Float64Array:
    return np.asarray(np.asarray(boxes, np.float64).reshape(-1, 4) @ _TO_CENTRE)
