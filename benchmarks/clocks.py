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
from dataclasses import dataclass
from pathlib import Path

import _root  # noqa: F401
import numpy as np
from _results import add_json, save_asked

from streamreid import Pipeline
from streamreid.clocks.clock_offsets import ClockOffset
from streamreid.config import Config
from tests.support.crowds import SIZE, Scene, watched


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
    add_json(parser, "clocks")
    args = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
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
            figures[f"{seconds:g}s {'wrong' if wrong else 'right'}"] = {
                "cameras": score.right + score.skewed,
                "false warnings": score.warned,
                "recordings": args.recordings,
                "recordings warned": score.recordings_warned,
                "skewed": score.skewed,
                "found": score.found,
                "stated": score.said,
                "within bar": score.covered,
                "median error s": float(np.median(score.errors or [np.nan])),
            }
            print(
                f"{seconds:7.0f} {'wrong' if wrong else 'right':6} {score.warned:5} of {score.right + score.skewed:4} "
                f"{score.recordings_warned:13} of {args.recordings} {score.found:11} of {score.skewed:3} "
                f"{score.covered:8} of {score.said:3} {np.median(score.errors or [np.nan]):14.2f} "
                f"{(time.perf_counter() - began) / args.recordings:9.1f}",
                flush=True,
            )
    save_asked(args, figures)


if __name__ == "__main__":
    main()
