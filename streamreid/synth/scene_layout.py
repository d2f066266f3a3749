"""The ground people walk on, what stands on it, and the cameras that look at it. Metres; x and y on the ground, z
up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreid.synth.config import SceneConfig
from streamreid.types import Float64Array

__all__ = ["FloorArea", "Obstacle", "View", "lay_out"]

_GAP = np.array([17.0, 16.0])  # from place to place
MARGIN = 3.0  # people are seen so far beyond the edge of a place


@dataclass(frozen=True, slots=True, eq=False)
class Obstacle:
    """An upright cylinder.

    Args:
        centre: ``[2]`` on the ground.
        radius: Metres.
        height: Metres.
        shade: How bright it is, in [0, 1].
    """

    centre: Float64Array
    radius: float
    height: float
    shade: float


@dataclass(frozen=True, slots=True, eq=False)
class FloorArea:
    """A rectangle of ground.

    Args:
        centre: ``[2]`` on the ground.
        half: ``[2]`` half its width and depth.
        obstacles: What stands there.
    """

    centre: Float64Array
    half: Float64Array
    obstacles: tuple[Obstacle, ...]

    def inside(self, points: Float64Array, margin: float = 0.0) -> NDArray[np.bool_]:
        """Which of ``[N, 2]`` points are in the rectangle, enlarged by ``margin``."""
        return np.asarray((np.abs(points - self.centre) <= self.half + margin).all(-1), bool)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A pinhole camera.

    Args:
        name: Of the camera.
        place: Number of the place it looks at.
        matrix: ``[3, 4]`` projection; the third row gives the depth in metres.
        size: Width and height in pixels.
        position: ``[3]`` where it hangs.
        skew: Seconds its clock is behind: a frame with the stamp t shows the scene of t + skew.
        offline: Beginning and end of the time it is off, by its own clock, or None.
    """

    name: str
    place: int
    matrix: Float64Array
    size: tuple[int, int]
    position: Float64Array
    skew: float = 0.0
    offline: tuple[float, float] | None = None

    def project(self, points: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Pixels ``[N, 2]`` and depths ``[N]`` of world points ``[N, 3]``; pixels are NaN behind the camera."""
        seen = points @ self.matrix[:, :3].T + self.matrix[:, 3]
        depth = seen[:, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = np.where(depth[:, None] > 0.1, seen[:, :2] / depth[:, None], np.nan)
        return pixels, depth

    def is_off(self, stamp: float) -> bool:
        """Whether the camera is off at a time of its own clock."""
        return self.offline is not None and self.offline[0] <= stamp < self.offline[1]

    @property
    def ground(self) -> Float64Array:
        """``[3, 3]`` homography from the ground to the picture."""
        return self.matrix[:, [0, 1, 3]]


def lay_out(config: SceneConfig, rng: np.random.Generator) -> tuple[list[FloorArea], list[View]]:
    """Places on a grid with obstacles, and one or two cameras at each."""
    columns = int(np.ceil(np.sqrt(len(config.groups))))
    half = np.array(config.place) / 2
    places, views = [], []
    for number, count in enumerate(config.groups):
        centre = np.array([number % columns, number // columns]) * (2 * half + _GAP)
        places.append(FloorArea(centre, half, _obstacles(centre, config, rng)))
        start = rng.uniform(0, 2 * np.pi)
        for nth in range(count):
            # A pair from two sides up to opposite ones, more of them all around.
            angle = start + (
                rng.uniform(0.5, 1.0) * np.pi * nth
                if count == 2
                else 2 * np.pi * (nth + rng.uniform(-0.2, 0.2)) / count
            )
            views.append((number, *_look(places[-1], angle, (config.width, config.height), rng)))
    skews = (
        np.concatenate([[0.0], rng.uniform(-config.skew, config.skew, max(0, config.cameras - 1))])
        if config.skew
        else None
    )
    off = set(rng.permutation(config.cameras)[: config.offline].tolist())
    named = []
    for i, (place, matrix, position) in enumerate(views):
        begin = float(rng.uniform(0.2, 0.6) * config.duration)
        named.append(
            View(
                f"cam{i + 1:02d}",
                place,
                matrix,
                (config.width, config.height),
                position,
                0.0 if skews is None else float(skews[i]),
                (begin, begin + 0.2 * config.duration) if i in off else None,
            )
        )
    return places, named


def _obstacles(centre: Float64Array, config: SceneConfig, rng: np.random.Generator) -> tuple[Obstacle, ...]:
    found: list[Obstacle] = []
    for _ in range(config.crowding.obstacles):
        middle = centre + rng.uniform(-0.75, 0.75, 2) * np.array(config.place) / 2
        if rng.uniform() < config.crowding.low:
            angle, count = rng.uniform(0, np.pi), int(rng.integers(3, 6))
            along = np.array([np.cos(angle), np.sin(angle)])
            height, shade = rng.uniform(0.7, 1.1), rng.uniform()
            found += [Obstacle(middle + along * (k - (count - 1) / 2) * 0.7, 0.38, height, shade) for k in range(count)]
        else:
            found.append(Obstacle(middle, rng.uniform(0.25, 0.6), rng.uniform(1.4, 2.6), rng.uniform()))
    return tuple(found)


def _look(
    place: FloorArea, angle: float, size: tuple[int, int], rng: np.random.Generator
) -> tuple[Float64Array, Float64Array]:
    """A camera beyond the edge of the place in a direction, looking at its middle."""
    away = np.array([np.cos(angle), np.sin(angle)])
    edge = 1.0 / np.max(np.abs(away) / place.half)  # from the centre to the edge in this direction
    distance = edge + rng.uniform(2.0, 3.5)
    position = np.array([*(place.centre + away * distance), rng.uniform(2.7, 4.0)])
    target = np.array([*(place.centre + rng.uniform(-0.15, 0.15, 2) * place.half), 0.8])
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    focal = size[0] / 2 / np.tan(np.radians(rng.uniform(52, 64)) / 2)
    inner = np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1]])
    matrix = inner @ np.concatenate([rotation, -(rotation @ position)[:, None]], 1)
    return matrix, position
