"""How far one machine goes: frames per second and age of results, over cameras and over people per frame, and what
limits them.

    python benchmarks/scale.py VIDEO --detector yolo11n.onnx [--engine auto] [--cameras 1 2 4 8 16] [--people 0 5 20 50
    150] [--grid] [--seconds 6] [--json]

Every camera shows the video. Detector and engine work on its pictures as ever; the people whom they give are generated
(`_crowded.py`), so that there can be as many as one likes in a picture, each with the features of a person of their
own. Cameras vary with ``--base`` people in each, people vary in one camera; ``--grid`` measures all pairs.

Two runs per point. Recordings, each frame used: frames/s, the processor time of a frame, and the seconds of each
stage; the frames in which everybody is new, and embedded at once, do not count. Live cameras of ``--fps`` frames/s
each: the age of a result (now minus capture) when it is handed to the sinks, p95 after the first seconds, and the
share of frames that were followed. What limits: inference (detector, engine) and what follows it (tracker,
association, output) run side by side; of the one that is busier, the stage that takes most, or decoding where the run
waits for frames for longer than that. ``exponent`` says how the processor time of people grows with their number: 1
is linear.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line does, before NumPy is imported

import argparse
import itertools
import json
import logging
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import _root  # noqa: F401
import numpy as np
from _crowded import Crowd, CrowdDetector, CrowdEmbedder
from _results import add_json, save_asked
from _scale_figure import draw_scale

from streamreid import Config, Pipeline
from streamreid.detection import open_detector
from streamreid.reid import open_embedder
from streamreid.runs import run
from streamreid.sources import few_arenas
from tests.support.live import Recorder, looped_clip

STAGES = {
    "wait": "decode",
    "detect": "detector",
    "embed": "engine",
    "track": "tracker",
    "associate": "association",
    "write": "output",
}
FIGURE = Path(__file__).resolve().parents[1] / "docs" / "figures" / "scale.svg"
WARM_SECONDS = 3.0
"""Of live cameras: until everybody was seen often enough that few are embedded anew."""

NEW_FRAMES = 8
"""Of each recording: the same."""


def configured(args: argparse.Namespace, cameras: list[dict[str, Any]]) -> Config:
    """A run of these cameras, as `streamreid run` has it."""
    return Config.from_dict(
        {"cameras": cameras, "detector": {"model": args.detector}, "engine": {"model": args.engine}}
    )


def models(args: argparse.Namespace, people: int) -> dict[str, Any]:
    """Detector and engine that give a crowd."""
    crowd = Crowd(people, len(args.embedder.parts), args.embedder.dim)
    return {"detector": CrowdDetector(args.finder, crowd), "embedder": CrowdEmbedder(args.embedder, crowd)}


def recordings(args: argparse.Namespace, clip: Path, cameras: int, people: int) -> dict[str, Any]:
    """Frames per second of recordings, and where the time goes."""
    frames = NEW_FRAMES + max(args.frames // cameras, 8)
    sources = [{"name": f"cam{n}", "uri": str(clip), "frames": frames} for n in range(cameras)]
    begin: list[float] = []
    done = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        Pipeline(configured(args, sources), **models(args, people)) as pipeline,
    ):
        before: dict[str, float] = {}

        def count(_: Any) -> None:
            nonlocal done, before
            done += 1
            if done == NEW_FRAMES * cameras:
                begin[:] = time.perf_counter(), time.process_time()
                before = dict(pipeline.statistics.seconds)

        run(pipeline, Path(folder), progress=count)
        span, used = time.perf_counter() - begin[0], time.process_time() - begin[1]
        seconds = {STAGES[name]: pipeline.statistics.seconds[name] - before[name] for name in STAGES}
    counted = done - NEW_FRAMES * cameras
    return {
        "frames_per_second": counted / span,
        "processor_ms": 1000 * used / counted,
        "ms": {name: 1000 * value / counted for name, value in seconds.items()},
        "limit": limit(seconds),
    }


def limit(seconds: dict[str, float]) -> str:
    """The stage that a run waits for."""
    lanes = [("detector", "engine"), ("tracker", "association", "output")]
    busiest = max(lanes, key=lambda lane: sum(seconds[name] for name in lane))
    slowest = max(busiest, key=lambda name: seconds[name])
    # While inference is the slower half, the other one waits for it, not for frames.
    return "decode" if seconds["decode"] > sum(seconds[name] for name in busiest) else slowest


def live(args: argparse.Namespace, clip: Path, cameras: int, people: int) -> dict[str, float]:
    """Age of results of live cameras, and how many of their frames were followed."""
    recorder = Recorder()
    sources = [{"name": f"cam{n}", "uri": str(clip), "live": True, "start": 1.3 * n} for n in range(cameras)]
    with (
        tempfile.TemporaryDirectory() as folder,
        Pipeline(configured(args, sources), **models(args, people)) as pipeline,
    ):
        timer = threading.Timer(WARM_SECONDS + args.seconds, pipeline.stop)
        timer.start()
        try:
            run(pipeline, Path(folder), listeners=[recorder])
        finally:
            timer.cancel()
    last = max((t for seen in recorder.rows.values() for t, _ in seen), default=time.time())
    ages = recorder.between(last - args.seconds, last + 1) or [float("nan")]
    p50, p95 = np.percentile(ages, [50, 95])
    return {
        "age_p50_ms": 1000 * float(p50),
        "age_p95_ms": 1000 * float(p95),
        "followed": len(ages) / args.seconds / cameras / args.fps,
    }


def exponents(figures: dict[str, Any], people: list[int]) -> dict[str, float]:
    """With which power of their number the time of people grows, from 20 on: processor time of all, and seconds of the
    stages."""
    many = [n for n in people if n >= 20]
    if len(many) < 2 or 0 not in people:
        return {}

    def value(n: int, key: str) -> float:
        point = figures[f"1x{n}"]
        return float(point["processor_ms"] if key == "all" else point["ms"][key])

    found = {}
    for key in ("all", "engine", "tracker", "association", "output"):
        times = [max(value(n, key) - value(0, key), 1e-3) for n in many]
        found[key] = float(np.polyfit(np.log(many), np.log(times), 1)[0])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--detector", required=True)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--people", type=int, nargs="+", default=[0, 5, 20, 50, 150])
    parser.add_argument("--base", type=int, default=5, help="people per camera while cameras vary")
    parser.add_argument("--grid", action="store_true", help="all pairs of cameras and people")
    parser.add_argument("--fps", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each live run, after its beginning")
    parser.add_argument("--frames", type=int, default=96, help="of each run of recordings, all cameras together")
    parser.add_argument("--figure", type=Path, nargs="?", const=FIGURE, help="draw the figure (default: docs/figures)")
    add_json(parser, "scale")
    parser.add_argument("--redraw", type=Path, metavar="RECORD", help="only draw the figure, of an earlier record")
    args = parser.parse_args()
    if args.redraw:
        draw_scale(nested(args.redraw), args.figure or FIGURE)
        return
    logging.disable(logging.WARNING)
    few_arenas()
    points = [(1, n) for n in args.people] + [(n, args.base) for n in args.cameras]
    if args.grid:
        points = list(itertools.product(args.cameras, args.people))
    probe = configured(args, [{"name": "cam0", "uri": str(args.video)}])
    args.finder, args.embedder = open_detector(probe.detector), open_embedder(probe.engine)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        longest = WARM_SECONDS + args.seconds + 2 * max(args.cameras) + 30
        clip = looped_clip(args.video, longest, Path(folder) / "clip.mp4", fps=args.fps)
        print(f"{'cameras':>7} {'people':>6} {'frames/s':>9} {'cpu ms':>7} {'age p95':>8} {'followed':>8}  limit")
        for cameras, people in dict.fromkeys(points):
            found = recordings(args, clip, cameras, people) | live(args, clip, cameras, people)
            figures[f"{cameras}x{people}"] = found
            print(
                f"{cameras:7} {people:6} {found['frames_per_second']:9.1f} {found['processor_ms']:7.1f} "
                f"{found['age_p95_ms']:8.0f} {found['followed']:8.2f}  {found['limit']}",
                flush=True,
            )
    figures["exponent"] = exponents(figures, sorted({n for c, n in points if c == 1}))
    for name, power in figures["exponent"].items():
        print(f"time of people, {name}: grows with their number to the power of {power:.2f}")
    numbers = {name: _with_limit(value) if "limit" in value else value for name, value in figures.items()}
    if args.figure:
        draw_scale(numbers, args.figure)
    save_asked(args, numbers)


def nested(record: Path) -> dict[str, Any]:
    """The figures of a record, as they were measured."""
    found: dict[str, Any] = {}
    for name, value in json.loads(record.read_text(encoding="utf-8"))["figures"].items():
        *groups, last = name.split(".")
        place = found
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    return found


def _with_limit(point: dict[str, Any]) -> dict[str, Any]:
    """A point as numbers: what limits it is the figure ``limited_by.STAGE``."""
    return {**{k: v for k, v in point.items() if k != "limit"}, "limited_by": {point["limit"]: 1}}


if __name__ == "__main__":
    main()
