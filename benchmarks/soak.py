"""Hours of looping RTSP streams with random faults, through the whole pipeline: does anything grow?

    python benchmarks/soak.py VIDEO --detector yolox_nano.onnx [--engine auto] [--minutes 10] [--warmup 5] [--cameras 3]
    [--fps 5] [--seed 0]
                              [--memory 3600] [--window 300] [--csv FILE]

Each camera is an RTSP server of this machine behind a proxy. One of them is in trouble at almost any time: its server
killed and restarted, the stream stalled, damaged, slowed to 20 kB/s, cut, or refused, for some seconds; cameras are
also paused, changed and removed and added again, as by the HTTP interface. Printed over time: memory (after what lies
free was given back, as the run does every quarter of a minute, and before), descriptors, threads, frame age, frames,
drops, reconnections, tracks, ids, people who are remembered. The exit code is 1 where, after the warm-up (the first
third unless told), memory grows by more than 1 MB per 10 minutes, or descriptors or threads by more than one (each by
more than twice the standard error of the slope), no camera gives a frame for a while, or frame numbers repeat.

People are remembered for `association.memory`, an hour by default, and each takes some KB: until that has passed,
memory grows by what new people take. The tables of the last five minutes' tracks (`association.window`) and the heap
itself take about a quarter of an hour to their full size. --memory and --window shorten both, so that as many are
forgotten as come.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import gc
import itertools
import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import _root  # noqa: F401
import numpy as np
from _results import add_json, save_asked

from streamreid import Pipeline
from streamreid.config import CameraConfig, Config
from streamreid.runs import run
from streamreid.sources import few_arenas, give_back
from streamreid.types import FrameResult
from tests.support.faults import FaultyProxy
from tests.support.live import Machine, Recorder, looped_clip, slope
from tests.support.rtsp_camera import RtspCamera, missing

FAULTS = ("kill", "stall", "garbage", "slow", "cut", "refuse", "pause", "change", "remove")
COLUMNS = (
    "minute",
    "MiB",
    "before",
    "fds",
    "threads",
    "frames",
    "dropped",
    "reconnects",
    "tracks",
    "ids",
    "people",
    "age_p50",
    "age_p95",
    "own",
    "others",
    "fault",
)


class Watcher(Recorder):
    """Also keeps what must never happen: a number or an id that comes again."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers: dict[str, int] = {}
        self.repeated = 0

    def write(self, result: FrameResult) -> None:
        """Take a result."""
        super().write(result)
        frame = result.frame
        self.repeated += frame.index <= self._numbers.get(frame.camera, -1)
        self._numbers[frame.camera] = frame.index
        self.forget(5000)


class Trouble:
    """Makes trouble for one camera at a time, in a thread of its own.

    Args:
        pipeline: The run.
        cameras: (configuration, server, proxy) of each.
        clip: What the servers play.
        seed: Of the dice.
    """

    def __init__(
        self, pipeline: Pipeline, cameras: list[tuple[CameraConfig, RtspCamera, FaultyProxy]], clip: Path, seed: int
    ) -> None:
        self.now = ""
        self.counts = dict.fromkeys(FAULTS, 0)
        self._pipeline, self._cameras, self._clip = pipeline, cameras, clip
        self._dice = random.Random(seed)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more."""
        self._stopped.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._stopped.wait(self._dice.uniform(2, 8)):
            config, server, proxy = self._dice.choice(self._cameras)
            fault = self._dice.choice(FAULTS)
            self.now = f"{config.name} {fault}"
            self.counts[fault] += 1
            try:
                self._make(fault, config, server, proxy, self._dice.uniform(1, 12))
            except Exception as error:
                print(f"{self.now}: {error}", flush=True)
            proxy.mode = "pass"
            self.now = ""

    def _make(self, fault: str, config: CameraConfig, server: RtspCamera, proxy: FaultyProxy, seconds: float) -> None:
        cameras = self._pipeline.cameras
        if fault == "kill":
            server.kill()
            self._stopped.wait(seconds)
            server.start("--clip", str(self._clip))
        elif fault == "pause":
            cameras.pause(config.name)
            self._stopped.wait(seconds)
            cameras.resume(config.name)
        elif fault == "change":
            cameras.change(config.model_copy(update={"stride": 2}))
            self._stopped.wait(seconds)
            cameras.change(config)
        elif fault == "remove":
            cameras.remove(config.name)
            self._stopped.wait(seconds)
            cameras.add(config)
        else:
            proxy.mode = fault  # type: ignore[assignment]
            self._stopped.wait(seconds)


def sample(
    began: float, machine: Machine, pipeline: Pipeline, watcher: Watcher, trouble: Trouble, every: float
) -> dict[str, Any]:
    """One line of figures. Memory before and after what lies free is given back: a dozen MB come and go with the frames
    between two times, and looking at that saw-tooth now and then looks like growth."""
    gc.collect()
    before = machine.memory()
    give_back(pause=0)
    counts = list(pipeline.statistics.cameras.values())
    ages = watcher.between(time.time() - every, time.time())
    own, others = machine.cores()
    return {
        "minute": (time.monotonic() - began) / 60,
        "MiB": machine.memory(),
        "before": before,
        "fds": machine.descriptors(),
        "threads": machine.threads(),
        "frames": sum(c.frames for c in counts),
        "dropped": sum(c.dropped for c in counts),
        "reconnects": sum(c.status.reconnects for c in counts if c.status is not None),
        "tracks": sum(c.tracks for c in counts),
        "ids": len(watcher.ids),
        "people": pipeline.people,
        "age_p50": 1000 * float(np.median(ages)) if ages else float("nan"),
        "age_p95": 1000 * float(np.percentile(ages, 95)) if ages else float("nan"),
        "own": own,
        "others": others,
        "fault": trouble.now or "-",
    }


def soak(
    config: Config, parts: list[tuple[RtspCamera, FaultyProxy]], clip: Path, args: argparse.Namespace
) -> tuple[list[dict[str, Any]], Watcher, dict[str, int]]:
    """Run, make trouble, and look at it."""
    rows: list[dict[str, Any]] = []
    watcher, machine = Watcher(), Machine()
    with tempfile.TemporaryDirectory() as folder, Pipeline(config, stay=True) as pipeline:
        trouble = Trouble(pipeline, [(c, *p) for c, p in zip(config.cameras, parts, strict=True)], clip, args.seed)

        def look() -> None:
            began = time.monotonic()
            print("".join(f"{name:>10s}" for name in COLUMNS))
            while time.monotonic() - began < 60 * args.minutes:
                time.sleep(args.every)
                rows.append(sample(began, machine, pipeline, watcher, trouble, args.every))
                cells = [f"{v:10.1f}" if isinstance(v, float) else f"{v!s:>10s}" for v in rows[-1].values()]
                print("".join(cells), flush=True)
            trouble.stop()
            pipeline.stop()

        looker = threading.Thread(target=look)
        looker.start()
        run(pipeline, Path(folder), listeners=[watcher])
        looker.join()
        print("faults:", ", ".join(f"{name} {n}" for name, n in trouble.counts.items()))
    return rows, watcher, trouble.counts


def judge(rows: list[dict[str, Any]], watcher: Watcher, warmup: float) -> tuple[list[str], dict[str, Any]]:
    """What is wrong after so many minutes, and the figures."""
    late = [r for r in rows if r["minute"] > warmup]
    minutes = [r["minute"] for r in late]
    grade, error = slope(minutes, [r["MiB"] for r in late])
    before, doubt = slope(minutes, [r["before"] for r in late])
    figures: dict[str, Any] = {"MiB": {"first": rows[0]["MiB"], "last": rows[-1]["MiB"]}}
    figures["MiB"] |= {"per 10 minutes": 10 * grade, "error": 10 * error}
    print(
        f"after {warmup:.1f} minutes: memory before giving back {10 * before:+.2f} +- {10 * doubt:.2f}, after "
        f"{10 * grade:+.2f} +- {10 * error:.2f} MiB per 10 minutes",
        end="",
    )
    wrong = (
        [f"memory grows by {10 * grade:.1f} MiB per 10 minutes"]
        if 10 * (grade - 2 * error) > 0 and 10 * grade > 1
        else []
    )
    for name in ("fds", "threads"):
        # They come and go with what is lost at the moment; only a slope that stands out of that is growth.
        rise, doubt = slope(minutes, [float(r[name]) for r in late])
        figures[name] = {"per 10 minutes": 10 * rise, "error": 10 * doubt}
        print(f"; {name} {10 * rise:+.1f} +- {10 * doubt:.1f}", end="")
        wrong += (
            [f"{name} grow by {10 * rise:.1f} per 10 minutes"] if 10 * (rise - 2 * doubt) > 0 and 10 * rise > 1 else []
        )
    print(f"; {watcher.repeated} repeated frame numbers")
    wrong += [f"{watcher.repeated} frame numbers repeated"] if watcher.repeated else []
    still = [f"{r['minute']:.1f}" for a, r in itertools.pairwise(rows) if r["frames"] == a["frames"]]
    figures |= {"repeated": watcher.repeated, "ids": rows[-1]["ids"], "minutes": rows[-1]["minute"]}
    figures["others cores"] = float(np.mean([r["others"] for r in rows]))
    return wrong + ([f"no frame at all until minute {', '.join(still)}"] if still else []), figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--detector", required=True)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--warmup", type=float, help="minutes that are not judged (default: a third)")
    parser.add_argument("--memory", type=float, default=3600.0, help="association.memory, seconds")
    parser.add_argument("--window", type=float, default=300.0, help="association.window, seconds")
    parser.add_argument("--every", type=float, default=15.0, help="seconds between two lines")
    parser.add_argument("--cameras", type=int, default=3)
    parser.add_argument("--fps", type=int, default=5)
    parser.add_argument("--width", type=int, default=480)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", type=Path, help="also write the lines here")
    add_json(parser, "soak")
    args = parser.parse_args()
    if missing() is not None:
        sys.exit(f"{missing()}")
    few_arenas()  # as the command line does
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        # Five minutes: a clip that ends is one more way in which a camera goes.
        clip = looped_clip(
            args.video, min(300, 20 * args.minutes), Path(folder) / "clip.mp4", fps=args.fps, width=args.width
        )
        servers = [
            stack.enter_context(RtspCamera("--clip", str(clip), "--seconds", "10000000")) for _ in range(args.cameras)
        ]
        proxies = [stack.enter_context(FaultyProxy(server.port, seed=n)) for n, server in enumerate(servers)]
        cameras = [
            {"name": f"cam{n}", "uri": f"rtsp://127.0.0.1:{p.port}/live", "timeout": 3, "connect_timeout": 2}
            for n, p in enumerate(proxies)
        ]
        settings = {
            "detector": {"model": args.detector},
            "engine": {"model": args.engine},
            "association": {"memory": args.memory, "window": args.window},
        }
        config = Config.from_dict({"cameras": cameras, **settings})
        rows, watcher, faults = soak(config, list(zip(servers, proxies, strict=True)), clip, args)
    if args.csv:
        with open(args.csv, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    wrong, figures = judge(rows, watcher, args.minutes / 3 if args.warmup is None else args.warmup)
    save_asked(args, {**figures, "faults": sum(faults.values())})
    sys.exit("; ".join(wrong) if wrong else 0)


if __name__ == "__main__":
    main()
