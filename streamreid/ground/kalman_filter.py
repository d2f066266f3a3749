"""One person on the ground, and how people move and boxes err."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streamreid.types import Float64Array

__all__ = ["GroundSettings", "GroundTrack", "Nodes", "Trail", "correct", "transition"]

Trail = tuple["Trail | None", float, float, float]
"""What came before, time, x, y."""


@dataclass(frozen=True, slots=True)
class GroundSettings:
    """How people move and how boxes err. Metres, seconds; shares of a box's height.

    Args:
        acceleration: Root of the density of random acceleration, m / s^1.5; ``calm``: after so long somebody walks as
            usual again.
        height: Usual body height, its doubt, and which heights there are; ``girth_doubt`` likewise of the girth, 1 for
            usual people.
        side: Standard deviation of the left and right edge; ``top`` of the head, ``foot`` of the feet, ``pixel`` of
            all, in pixels.
        outlier: How often a box is ``wide`` times less exact.
        found: How often somebody who is not hidden is found, ``hidden`` if wholly hidden by others.
        clutter: Boxes of nobody per frame; ``double``: how often somebody has a second box.
        hypotheses: How many explanations are followed; ``window``: log-odds below the best at which one is given up.
        agree: Least overlap of boxes that let somebody begin; ``share`` of the cameras that see the place must, and
            ``cameras`` at least.
        apart: Nobody begins nearer to somebody else; nearer than ``room`` two people hardly come, ``room_doubt`` its
            softness.
        vanish: How often per second somebody is gone at once; ``cap`` and ``gone``: log-odds of being there, at most
            and when given up.
        glad: What a box says at most for somebody's being there, as log-odds.
        begin: Log-odds that somebody begins; ``confirm``: boxes until shown; ``relink``: who was lost for so long may
            go on.
    """

    acceleration: float = 0.6
    calm: float = 2.0
    height: float = 1.70
    height_doubt: float = 0.10
    heights: tuple[float, float] = (0.9, 2.2)
    girth_doubt: float = 0.2
    side: float = 0.08
    top: float = 0.035
    foot: float = 0.05
    pixel: float = 1.5
    outlier: float = 0.05
    wide: float = 3.0
    found: float = 0.95
    hidden: float = 0.5
    clutter: float = 1.0
    double: float = 0.04
    hypotheses: int = 12
    window: float = 10.0
    agree: float = 0.35
    share: float = 0.5
    cameras: int = 1
    apart: float = 0.35
    room: float = 0.3
    room_doubt: float = 0.08
    vanish: float = 0.02
    cap: float = 5.5
    gone: float = -2.9
    glad: float = 1.0
    begin: float = -3.5
    confirm: int = 4
    relink: float = 3.0


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
    calm, push = settings.calm, settings.acceleration**2
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
    spread = np.einsum("nij,njk,nlk->nil", slopes, cov, slopes) + noise[..., None] * np.eye(4)
    gain = np.linalg.solve(spread, slopes @ cov).transpose(0, 2, 1)
    better = mean + (gain @ gap[..., None])[..., 0]
    left = np.eye(6) - gain @ slopes
    better[:, 4] = np.clip(better[:, 4], *heights)
    better[:, 5] = np.clip(better[:, 5], 0.5, 2.0)
    return better, left @ cov @ left.transpose(0, 2, 1) + gain @ (noise[..., None] * gain.transpose(0, 2, 1))
