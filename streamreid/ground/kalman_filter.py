"""One person on the ground, and how people move and boxes err."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streamreid.types import Float64Array

__all__ = ["GroundSettings", "GroundTrack", "Nodes", "Trail", "correct", "limit_bodies", "transition"]

Trail = tuple["Trail | None", float, float, float]
"""What came before, time, x, y."""


@dataclass(frozen=True, slots=True)
class GroundSettings:
    """How people move and how boxes err. Log-odds are natural logarithms.

    Args:
        acceleration: Root of the density of random acceleration, m / s^1.5. Too low: tracks overshoot where people
            turn. Too high: positions jitter with the boxes.
        velocity_time_constant: Seconds after which somebody walks as usual again.
        height: Usual body height, metres.
        height_deviation: Standard deviation of body heights, metres.
        heights: Least and greatest body height, metres.
        girth_deviation: Standard deviation of the girth, 1 for usual people.
        side_deviation: Standard deviation of the left and right edge, as a share of the box's height.
        head_deviation: The same of the upper edge.
        foot_deviation: The same of the lower edge.
        pixel_deviation: Standard deviation of all edges, pixels; added to the others.
        outlier_rate: Share of boxes that are much less exact.
        outlier_scale: So many times.
        detection_rate: How often somebody who is not hidden is detected, in [0, 1].
        hidden_detection_rate: How often somebody who is wholly hidden by others is.
        clutter: Boxes of nobody per frame.
        duplicate_rate: How often somebody has a second box.
        hypotheses: Explanations that are followed side by side.
        odds_window: Log-odds below the best at which an explanation is given up.
        birth_iou: Least IoU of predicted and detected boxes that let somebody begin.
        camera_share: Share of the cameras that see a place which must show a new person there.
        cameras: So many must at least.
        min_birth_distance: Nobody begins nearer to somebody else, metres.
        min_separation: Nearer than this two people hardly come, metres.
        separation_softness: Metres over which that becomes unlikely.
        death_rate: How often per second somebody is gone at once.
        max_existence: Log-odds of being there at most, so that somebody can be given up in finite time.
        max_existence_gain: What one box says at most for somebody's being there, as log-odds.
        end_below: Log-odds of being there at which somebody is given up.
        birth_log_odds: Log-odds that somebody begins.
        confirm_boxes: Boxes until somebody is shown.
        relink_seconds: Who was lost for so long may go on.
    """

    acceleration: float = 0.6
    velocity_time_constant: float = 2.0
    height: float = 1.70
    height_deviation: float = 0.10
    heights: tuple[float, float] = (0.9, 2.2)
    girth_deviation: float = 0.2
    side_deviation: float = 0.08
    head_deviation: float = 0.035
    foot_deviation: float = 0.05
    pixel_deviation: float = 1.5
    outlier_rate: float = 0.05
    outlier_scale: float = 3.0
    detection_rate: float = 0.95
    hidden_detection_rate: float = 0.5
    clutter: float = 1.0
    duplicate_rate: float = 0.04
    hypotheses: int = 12
    odds_window: float = 10.0
    birth_iou: float = 0.35
    camera_share: float = 0.5
    cameras: int = 1
    min_birth_distance: float = 0.35
    min_separation: float = 0.3
    separation_softness: float = 0.08
    death_rate: float = 0.02
    max_existence: float = 5.5
    end_below: float = -2.9
    max_existence_gain: float = 1.0
    birth_log_odds: float = -3.5
    confirm_boxes: int = 4
    relink_seconds: float = 3.0


@dataclass(slots=True, eq=False)
class GroundTrack:
    """One person on the ground.

    Args:
        number: From 1, never used twice.
        mean: ``[6]`` x, y, speed in x and y, body height, girth.
        confirmed: Boxes enough.
        path: Time, x, y of each moment.
    """

    number: int
    mean: Float64Array
    confirmed: bool = False
    path: list[tuple[float, float, float]] = field(default_factory=list)


_ARRAYS = ("mean", "cov", "label", "there", "hits", "last", "rows")


@dataclass(slots=True, eq=False)
class Nodes:
    """N beliefs about people, which hypotheses share.

    Args:
        mean: ``[N, 6]`` as in ``GroundTrack``.
        cov: ``[N, 6, 6]``.
        label: ``[N]`` number of the person.
        there: ``[N]`` log-odds of being there.
        hits: ``[N]`` boxes in all.
        last: ``[N]`` when last seen.
        rows: ``[N, C]`` which box of each camera's frame of this round, -1 for none.
        trail: ``[N]`` ways.
    """

    mean: Float64Array
    cov: Float64Array
    label: NDArray[np.int64]
    there: Float64Array
    hits: NDArray[np.int64]
    last: Float64Array
    rows: NDArray[np.int64]
    trail: list[Trail | None]

    def __len__(self) -> int:
        return len(self.mean)

    @classmethod
    def none(cls, cameras: int) -> Nodes:
        """A set of no nodes."""
        whole = np.zeros(0, np.int64)
        return cls(
            np.zeros((0, 6)),
            np.zeros((0, 6, 6)),
            whole,
            np.zeros(0),
            whole,
            np.zeros(0),
            np.zeros((0, cameras), np.int64),
            [],
        )

    def take(self, index: NDArray[np.int64]) -> Nodes:
        """Copies of the nodes at some indices."""
        arrays = {name: getattr(self, name)[index] for name in _ARRAYS}
        return Nodes(**arrays, trail=[self.trail[i] for i in index.tolist()])

    def join(self, other: Nodes) -> Nodes:
        """Both, one behind the other."""
        arrays = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in _ARRAYS}
        return Nodes(**arrays, trail=[*self.trail, *other.trail])


def transition(dt: float, settings: GroundSettings) -> tuple[Float64Array, Float64Array]:
    """How ``dt`` seconds change a belief: matrix and noise, ``[6, 6]`` each.

    Speed fades with ``calm`` and is pushed by white acceleration; height and girth hardly change.
    """
    calm, push = settings.velocity_time_constant, settings.acceleration**2
    keep = np.exp(-dt / calm)
    step, noise = np.eye(6), np.zeros((6, 6))
    step[0, 2] = step[1, 3] = calm * (1 - keep)
    step[2, 2] = step[3, 3] = keep
    for place, speed in ((0, 2), (1, 3)):
        noise[place, place], noise[speed, speed] = push * dt**3 / 3, push * dt
        noise[place, speed] = noise[speed, place] = push * dt**2 / 2
    noise[4, 4], noise[5, 5] = 0.01**2 * dt, 0.05**2 * dt
    return step, noise


def correct(
    mean: Float64Array,
    cov: Float64Array,
    slopes: Float64Array,
    gap: Float64Array,
    noise: Float64Array,
    heights: tuple[float, float],
) -> tuple[Float64Array, Float64Array]:
    """Kalman correction of N beliefs by one box each.

    Args:
        mean: ``[N, 6]``.
        cov: ``[N, 6, 6]``.
        slopes: ``[N, 4, 6]`` derivatives of the predicted edges.
        gap: ``[N, 4]`` edges found less predicted.
        noise: ``[N, 4]`` variances.
        heights: Least and greatest body height.
    """
    turned = slopes @ cov
    spread = turned @ slopes.transpose(0, 2, 1) + noise[..., None] * np.eye(4)
    gain = np.linalg.solve(spread, turned).transpose(0, 2, 1)
    better = mean + (gain @ gap[..., None])[..., 0]
    limit_bodies(better, heights)
    return better, cov - gain @ turned


def limit_bodies(mean: Float64Array, heights: tuple[float, float]) -> None:
    """Keep body height and girth of beliefs ``[N, 6]`` possible, in place."""
    body = mean[:, 4:]
    np.minimum(np.maximum(body, (heights[0], 0.5), out=body), (heights[1], 2.0), out=body)
