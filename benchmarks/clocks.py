"""Clocks of cameras compared by the people they see: how often a right clock is called wrong, and a wrong one found,
with an error bar that holds.

    python benchmarks/clocks.py [--recordings 20] [--seconds 15 60] [--seed 0] [--pipeline]

Each recording is a generated crowd (people who walk, stroll and stand in groups) seen by seven calibrated cameras as
boxes with the errors of a detector: noise, misses, occlusion, tracks that break, and calibrations that are some
centimetres off. Half of the recordings have right clocks; in the others some cameras are .5 to 8 s off. By default
boxes and tracks go to the comparison of clocks directly; with ``--pipeline`` boxes go through ``Pipeline`` (tracker,
ground plane, association).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamreid import Pipeline
from streamreid.clocks.clock_offsets import ClockOffset, ClockOffsetEstimator
from streamreid.config import Config
from streamreid.ground.body_model import body_boxes, hidden_by
from streamreid.ground.camera_model import GroundCamera
from streamreid.types import Tracks

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


def followed(scene: Scene) -> list[ClockOffset]:
    """A run on the boxes of a recording."""
    with tempfile.TemporaryDirectory() as name:
        folder, lines = Path(name), {camera: [] for camera in scene.matrices}
        for camera, stamp, boxes, _ in scene.frames():
            for x0, y0, x1, y1 in boxes.tolist():
                lines[camera].append(
                    f"{round(stamp * scene.rate) + 1},-1,{x0:.2f},{y0:.2f},{x1 - x0:.2f},{y1 - y0:.2f},0.9,-1,-1,-1"
                )
        cameras = []
        for camera, (_, stated) in scene.matrices.items():
            (folder / f"{camera}.txt").write_text("\n".join(lines[camera]) + "\n")
            np.savetxt(folder / f"{camera}.csv", stated, delimiter=",")
            calibration = str(folder / f"{camera}.csv")
            cameras.append(
                {
                    "name": camera,
                    "uri": str(folder / f"{camera}.txt"),
                    "fps": scene.rate,
                    "size": SIZE,
                    "calibration": calibration,
                }
            )
        config = Config.from_dict(
            {"cameras": cameras, "detector": {"model": f"mot:{folder}"}, "engine": {"model": "none"}}
        )
        with Pipeline(config) as pipeline:
            for _ in pipeline:
                pass
            return pipeline.clocks.offsets


def skews(seed: int, cameras: int) -> dict[int, float]:
    """One to three cameras, never the first, .5 to 8 s off."""
    rng = np.random.default_rng([seed, 2])
    chosen = 1 + rng.permutation(cameras - 1)[: rng.integers(1, 4)]
    return {int(n): float(rng.choice([-1, 1]) * np.exp(rng.uniform(np.log(0.5), np.log(8)))) for n in chosen}


@dataclass
class Score:
    """What was said of the cameras of all recordings."""

    right: int = 0
    warned: int = 0
    recordings_warned: int = 0
    skewed: int = 0
    found: int = 0
    covered: int = 0
    said: int = 0
    errors: list[float] | None = None

    def add(self, scene: Scene, offsets: list[ClockOffset]) -> None:
        """Count one recording."""
        stated = {o.camera: o for o in offsets}
        self.errors = self.errors or []
        before = self.warned
        for number, name in enumerate(scene.matrices):
            if number == 0:
                continue
            true = (scene.skew or {}).get(number, 0.0)
            o = stated.get(name)
            wrong = o is not None and o.wrong
            if true == 0:
                self.right += 1
                self.warned += wrong
            else:
                self.skewed += 1
                self.found += wrong and abs(o.seconds - true) < max(0.3, 4 * o.spread)
                self.warned += wrong and abs(o.seconds - true) >= max(0.3, 4 * o.spread)
            if o is not None and o.reference == "c1":
                self.said += 1
                self.covered += abs(o.seconds - true) <= 1.96 * o.spread
                self.errors.append(abs(o.seconds - true))
        self.recordings_warned += self.warned > before


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, default=20)
    parser.add_argument("--seconds", type=float, nargs="+", default=[15.0, 60.0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--pipeline", action="store_true")
    args = parser.parse_args()
    print("seconds clocks  false warnings  recordings with one  skewed found  within 95 % bar  median error s  s each")
    for seconds in args.seconds:
        for wrong in (False, True):
            score, began = Score(), time.perf_counter()
            for number in range(args.recordings):
                seed = args.seed + number
                people, area = (
                    (20, (8.0, 8.0))
                    if number % 3 == 0
                    else (40, (12.0, 30.0))
                    if number % 3 == 1
                    else (30, (12.0, 12.0))
                )
                skew = skews(seed, 7) if wrong else None
                moving = (0.3, 0.6, 0.9)[number // 3 % 3]
                scene = Scene(
                    seed, seconds, people, rate=args.rate, area=area, skew=skew, moving=moving, lanes=number % 2 == 1
                )
                score.add(scene, followed(scene) if args.pipeline else watched(scene))
            print(
                f"{seconds:7.0f} {'wrong' if wrong else 'right':6} {score.warned:5} of {score.right + score.skewed:4} "
                f"{score.recordings_warned:13} of {args.recordings} {score.found:11} of {score.skewed:3} "
                f"{score.covered:8} of {score.said:3} {np.median(score.errors or [np.nan]):14.2f} "
                f"{(time.perf_counter() - began) / args.recordings:9.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
