"""How old results are: four live cameras of 10 frames/s, for minutes, at full speed and with inference slowed to half
the needed speed.

    python benchmarks/freshness.py VIDEO --detector yolox_nano.onnx [--engine auto] [--cameras 4] [--fps 10] [--minutes
    10] [--slow] [--files]

The cameras are RTSP servers of this machine (H.264, see ``tests/support/rtsp_camera.py``) that play VIDEO; with
``--files``, or where no server can run, files played at their own speed. Everything runs as in ``streamreid run`` with
its default outputs. Age is now minus capture when a result is handed to the sinks; a stream's first ten seconds do not
count. ``others`` is how many cores other processes used, the cameras' servers among them: results count only where
little more is wanted than there is. The exit code is 1 where p95 is 300 ms or more, or ages grow (without ``--slow``
also where frames are dropped although the load is below 90 %).
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import _root  # noqa: F401
import numpy as np
from _results import add_json, save_asked

from streamreid import Pipeline
from streamreid.config import Config
from streamreid.detection import open_detector
from streamreid.runs import run
from streamreid.sources import few_arenas
from streamreid.types import Detections, Frame
from tests.support.live import Machine, Recorder, looped_clip, slope
from tests.support.rtsp_camera import RtspCamera, missing

WARM_SECONDS = 10.0
WINDOW_SECONDS = 10.0
LIMIT = 0.3


class Throttled:
    """A detector that takes at least so many seconds per frame."""

    def __init__(self, detector: Any, seconds: float) -> None:
        self.name, self.fingerprint = f"{detector.name} (slowed)", detector.fingerprint
        self._detector, self._seconds = detector, seconds

    def __call__(self, frames: Sequence[Frame]) -> list[Detections]:
        began = time.perf_counter()
        found: list[Detections] = self._detector(frames)
        time.sleep(max(0.0, len(frames) * self._seconds - (time.perf_counter() - began)))
        return found


@contextlib.contextmanager
def cameras(clip: Path, count: int, *, files: bool) -> Iterator[list[dict[str, Any]]]:
    """Configurations of live cameras that show a clip."""
    if files:
        yield [{"name": f"cam{n}", "uri": str(clip), "live": True, "start": 7.3 * n} for n in range(count)]
        return
    with contextlib.ExitStack() as stack:
        yield [
            {"name": f"cam{n}", "uri": stack.enter_context(RtspCamera("--clip", str(clip))).uri} for n in range(count)
        ]


def follow(
    config: Config, minutes: float, throttle: float | None
) -> tuple[Recorder, Any, list[tuple[float, float, float, float]]]:
    """Run for a while; ages, statistics, and (time, memory, own cores, others' cores) by window."""
    recorder, machine, rows = Recorder(), Machine(), []
    slowed = None if throttle is None else Throttled(open_detector(config.detector), throttle)
    with tempfile.TemporaryDirectory() as folder, Pipeline(config, detector=slowed) as pipeline:
        stopped = threading.Event()

        def watch() -> None:
            end = time.monotonic() + 60 * minutes + WARM_SECONDS
            while not stopped.wait(WINDOW_SECONDS) and time.monotonic() < end:
                rows.append((time.time(), machine.memory(), *machine.cores()))
                ages = recorder.between(time.time() - WINDOW_SECONDS, time.time())
                if ages:
                    p50, p95, p99 = (1000 * np.percentile(ages, q) for q in (50, 95, 99))
                    own, others = rows[-1][2:]
                    print(
                        f"{len(rows) * WINDOW_SECONDS:6.0f} s  {len(ages) / WINDOW_SECONDS:5.1f} frames/s  age ms "
                        f"{p50:4.0f} {p95:4.0f} {p99:4.0f}  {rows[-1][1]:6.1f} MiB  cores {own:.2f}, others "
                        f"{others:.2f}  load {100 * pipeline.statistics.load:.0f} %",
                        flush=True,
                    )
            pipeline.stop()

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            run(pipeline, Path(folder), listeners=[recorder])
        finally:
            stopped.set()
            watcher.join()
        return recorder, pipeline.statistics, rows


def report(
    recorder: Recorder, statistics: Any, rows: list[tuple[float, float, float, float]], *, slow: bool
) -> tuple[bool, dict[str, float]]:
    """Print the figures; whether they are good, and which they are."""
    first = min(t for seen in recorder.rows.values() for t, _ in seen) + WARM_SECONDS
    last = max(t for seen in recorder.rows.values() for t, _ in seen)
    print(f"\n{'camera':8s} {'frames/s':>9s} {'dropped':>8s} {'age p50':>8s} {'p95':>6s} {'p99':>6s}  clock")
    for name, count in statistics.cameras.items():
        ages = recorder.between(first, last, name)
        p = [1000 * np.percentile(ages, q) for q in (50, 95, 99)]
        print(
            f"{name:8s} {len(ages) / (last - first):9.2f} {count.dropped:8d} {p[0]:8.0f} {p[1]:6.0f} {p[2]:6.0f}  "
            f"{max(count.clocks, key=count.clocks.get)}"
        )
    windows = np.arange(first, last - WINDOW_SECONDS, WINDOW_SECONDS)
    p95 = [1000 * float(np.percentile(recorder.between(w, w + WINDOW_SECONDS) or [np.nan], 95)) for w in windows]
    grade, error = slope([(w - first) / 60 for w in windows], p95)
    everything = 1000 * float(np.percentile(recorder.between(first, last), 95))
    others = float(np.mean([r[3] for r in rows])) if rows else float("nan")
    print(
        f"all: age p95 {everything:.0f} ms; growth of p95 {grade:+.2f} +- {error:.2f} ms a minute; load "
        f"{100 * statistics.load:.0f} %; memory {rows[0][1]:.0f} to {rows[-1][1]:.0f} MiB; others used {others:.2f} "
        "cores"
    )
    dropped = sum(c.dropped for c in statistics.cameras.values())
    grows = grade - 2 * error > 0 and grade > 1.0
    lost = not slow and statistics.load < 0.9 and dropped > 0.02 * sum(c.frames for c in statistics.cameras.values())
    if slow and not dropped:
        print("nothing was dropped although inference was slowed: it was not slow enough")
    ages = recorder.between(first, last)
    figures = {f"p{q}_ms": 1000 * float(np.percentile(ages, q)) for q in (50, 95, 99)}
    figures |= {"growth_ms_per_minute": grade, "growth_error": error, "others_cores": others, "dropped": dropped}
    figures["frames_per_second_and_camera"] = len(ages) / (last - first) / len(statistics.cameras)
    return everything < 1000 * LIMIT and not grows and not lost, figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--detector", required=True)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--fps", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--slow", action="store_true", help="inference at half the needed speed")
    parser.add_argument("--files", action="store_true", help="play files instead of RTSP")
    add_json(parser, "freshness")
    args = parser.parse_args()
    few_arenas()  # as the command line does
    files = args.files or missing() is not None
    throttle = 2.0 / (args.cameras * args.fps) if args.slow else None
    with tempfile.TemporaryDirectory() as folder:
        clip = looped_clip(args.video, 60 * args.minutes + 10 * WARM_SECONDS, Path(folder) / "clip.mp4", fps=args.fps)
        with cameras(clip, args.cameras, files=files) as sources:
            config = Config.from_dict(
                {"cameras": sources, "detector": {"model": args.detector}, "engine": {"model": args.engine}}
            )
            print(
                f"{args.cameras} cameras of {args.fps} frames/s, "
                f"{'files as live' if files else 'RTSP'}{', slowed' if args.slow else ''}"
            )
            good, figures = report(*follow(config, args.minutes, throttle), slow=args.slow)
    save_asked(args, figures, name="freshness.slow" if args.slow else None)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
