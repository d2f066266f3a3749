"""Generated crowds seen by calibrated cameras, whose clocks may be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreid.clocks.clock_offsets import ClockOffset, ClockOffsetEstimator
from streamreid.ground.body_model import body_boxes, hidden_by
from streamreid.ground.camera_model import GroundCamera
from streamreid.types import Tracks

__all__ = ["SIZE", "Scene", "watched"]

Array = NDArray[np.float64]
SIZE = (1920, 1080)


@dataclass
class Scene:
    """A generated recording.

    Args:
        seed: Of everything random.
        seconds: How long it is.
        people: How many are there.
        cameras: How many look on.
        rate: Frames per second of each.
        area: Metres, of a rectangle around the origin.
        skew: Seconds to be added to the times of a camera to be right, by its number; others are right.
        moving: Share of people who walk.
        lanes: Walkers go to and fro along one direction, one behind the other: at the wrong offset, people stand where
            others stood.
    """

    seed: int
    seconds: float = 15.0
    people: int = 25
    cameras: int = 7
    rate: float = 10.0
    area: tuple[float, float] = (12.0, 12.0)
    skew: dict[int, float] | None = None
    moving: float = 0.6
    lanes: bool = False

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self.times = np.arange(-25.0, self.seconds + 25.0, 0.1)
        self.ways = np.stack([self._way() for _ in range(self.people)])
        self.heights = self._rng.normal(1.72, 0.09, self.people)
        self.matrices = {f"c{n + 1}": self._camera(n) for n in range(self.cameras)}

    def _way(self) -> Array:
        """``[T, 2]`` one person: from goal to goal, with pauses; or standing, or strolling."""
        rng, half = self._rng, np.array(self.area) / 2
        place, goal = rng.uniform(-half, half), rng.uniform(-half, half)
        kind = rng.uniform()
        speed = (
            rng.normal(1.25, 0.2) if kind < self.moving else rng.normal(0.5, 0.1) if kind < self.moving + 0.15 else 0.0
        )
        pause, rows = 0.0, []
        for _ in self.times:
            if speed <= 0:
                place = place + rng.normal(0, 0.015, 2)
            elif pause > 0:
                pause -= 0.1
            else:
                left = goal - place
                far = np.linalg.norm(left)
                if far < 0.3:
                    goal, pause = rng.uniform(-half, half), rng.exponential(1.0)
                    if self.lanes:
                        goal, pause = place * [1, -1] + rng.normal(0, 0.3, 2), 0.0
                else:
                    place = place + left / far * min(far, 0.1 * speed) + rng.normal(0, 0.01, 2)
            rows.append(place)
        return np.array(rows)

    def _camera(self, number: int) -> tuple[Array, Array]:
        """The matrix that films, and the one that the calibration says."""
        angle = 2 * np.pi * (number + self._rng.uniform(-0.2, 0.2)) / self.cameras
        reach = 0.5 * max(self.area) + self._rng.uniform(2, 6)
        eye = np.array([reach * np.cos(angle), reach * np.sin(angle), self._rng.uniform(2.3, 4.5)])
        target = np.array([*self._rng.uniform(-1, 1, 2), 0.8])
        forward = (target - eye) / np.linalg.norm(target - eye)
        right = np.cross(forward, [0, 0, 1])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        inner = np.array([[1100.0, 0, SIZE[0] / 2], [0, 1100.0, SIZE[1] / 2], [0, 0, 1]])
        true = inner @ np.concatenate([rotation, -(rotation @ eye)[:, None]], 1)
        off = np.eye(4)
        turn = self._rng.normal(0, 0.004)
        off[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        off[:2, 3] = self._rng.normal(0, 0.08, 2)
        return true, true @ off

    def frames(self) -> Iterator[tuple[str, float, Array, NDArray[np.int64]]]:
        """Camera, time stamp, boxes ``[N, 4]`` and track ids ``[N]``, in the order of the stamps."""
        rng = np.random.default_rng([self.seed, 1])
        breaks = {name: np.zeros(self.people, np.int64) for name in self.matrices}
        cameras = {name: GroundCamera.from_matrix(name, true) for name, (true, _) in self.matrices.items()}
        for step in range(int(self.seconds * self.rate)):
            stamp = step / self.rate
            for number, (name, camera) in enumerate(cameras.items()):
                when = stamp + (self.skew or {}).get(number, 0.0)
                place = (when - self.times[0]) / 0.1
                at = (1 - place % 1) * self.ways[:, int(place)] + place % 1 * self.ways[:, int(place) + 1]
                shown = body_boxes(camera, np.concatenate([at, self.heights[:, None]], 1))
                depth = camera.project(np.concatenate([at, np.ones((len(at), 1))], 1))[1]
                hidden = np.minimum(hidden_by(shown, depth)[..., 0].max(1), 1.0)
                height = shown[:, 3] - shown[:, 1]
                inside = (
                    (shown[:, 0] > -20)
                    & (shown[:, 2] < SIZE[0] + 20)
                    & (shown[:, 1] > -50)
                    & (shown[:, 3] < SIZE[1] + 0.3 * height)
                )
                kept = (
                    inside
                    & (depth > 0.5)
                    & (hidden < 0.7)
                    & (rng.uniform(size=self.people) > 0.04 + 0.3 * hidden)
                    & (height > 30)
                )
                breaks[name] += rng.uniform(size=self.people) < (0.12 + 0.5 * hidden) / self.rate
                boxes = shown + rng.normal(0, 1, shown.shape) * np.maximum(0.03 * height, 1.0)[:, None]
                boxes[:, 3] -= height * hidden * rng.uniform(0, 0.5, self.people) * (hidden > 0.3)
                boxes = np.clip(boxes, 0, [*SIZE, *SIZE])
                yield name, stamp, boxes[kept], (np.arange(self.people) * 1000 + breaks[name])[kept]


def watched(scene: Scene) -> list[ClockOffset]:
    """The comparison of clocks alone, by the boxes and tracks of a recording."""
    watch = ClockOffsetEstimator(
        {name: GroundCamera.from_matrix(name, stated) for name, (_, stated) in scene.matrices.items()}
    )
    for name, stamp, boxes, ids in scene.frames():
        n = len(ids)
        watch.observe(name, stamp, Tracks(ids, boxes.astype(np.float32), np.ones(n, np.float32), np.arange(n)), SIZE)
    return watch.estimate({})
