"""What viewers of the page cost a live run: 8 cameras of 10 frames/s with nobody, one and twenty viewers, and memory
while viewers come and go.

    python benchmarks/web_cost.py [--cameras 8] [--fps 10] [--width 320] [--seconds 20] [--rounds 3] [--soak MINUTES]
        [--film VIDEO --detector MODEL]

The cameras are generated films (640 x 480) that play at their own speed; whoever is in them is found by colour, so that
the run itself costs little and viewers show. With ``--film`` and ``--detector`` they are a recording, with that
detector and the shipped engine: a run as users have it, which uses all cores whether or not somebody looks. Viewers are
WebSockets in another process that show all cameras in a mosaic; everything beside them is as in ``streamreid serve``.
Rounds of nobody, one and twenty take turns, so that what else the machine does falls on all alike. ``cores`` is what
the run's process used. Age is when a picture had come to a viewer minus when its result had come to the sinks. The exit
code is 1 where the frame rate falls by more than 5 % with one viewer or 15 % with twenty, where p95 of the age is above
250 ms, or where memory grows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import _root  # noqa: F401
import numpy as np
from _results import add_json, save_asked

from streamreid import Config
from streamreid.sinks.base import SinkContext
from streamreid.sources import few_arenas
from streamreid.types import FrameResult
from streamreid.web.pictures import PictureFeed
from tests.support.live import Machine, slope
from tests.support.web import LiveRun, write_film

VIEWERS = (0, 1, 20)
FALL = {1: 0.05, 20: 0.15}
"""Shares by which the frame rate may fall."""

AGE = 0.250
"""Seconds: p95 of the age on the page."""

GROWTH = 20.0
"""MiB per hour, beside two standard errors, by which memory may grow: what the run itself may, see soak.py."""

WARM_SECONDS = 8.0
SAMPLE_SECONDS = 5.0


class Results(SinkContext):
    """Notes when each result came."""

    def __init__(self) -> None:
        self.times: dict[tuple[str, float], float] = {}

    def write(self, result: FrameResult) -> None:
        """Take a result."""
        self.times[result.frame.camera, round(result.frame.time, 3)] = time.time()

    def event(self, event: Any) -> None:
        """Nothing to note."""

    def close(self, identities: Any) -> None:
        """Nothing is open."""

    def abort(self) -> None:
        """Nothing is open."""


def viewers(address: str, count: int, seconds: float, args: argparse.Namespace, *options: str) -> list[list[Any]]:
    """What so many viewers saw."""
    if count == 0:
        time.sleep(seconds)
        return []
    cameras = [f"cam{number}" for number in range(args.cameras)]
    script = str(Path(__file__).with_name("_page_viewers.py"))
    command = [sys.executable, script, address, str(count), str(seconds), str(args.width), *cameras, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 120)
    return list(json.loads(done.stdout))


def measure(site: LiveRun, results: Results, args: argparse.Namespace) -> dict[int, list[dict[str, float]]]:
    """Frames/s, cores and ages by number of viewers, of each round."""
    found: dict[int, list[dict[str, float]]] = {count: [] for count in VIEWERS}
    machine = Machine()
    feed = next(sink for sink in site.server.sinks if isinstance(sink, PictureFeed))
    for number in range(args.rounds):
        for count in VIEWERS:
            machine.cores()
            results.times.clear()
            pictures, began, frames = feed.encoded, time.monotonic(), site.pipeline.statistics.frames
            seen = viewers(site.address, count, args.seconds, args)
            span = time.monotonic() - began
            own, others = machine.cores()
            ages = [came - results.times[c, round(t, 3)] for c, t, came in seen if (c, round(t, 3)) in results.times]
            row = {
                "frames_per_second": (site.pipeline.statistics.frames - frames) / span,
                "cores": own,
                "others": others,
                "pictures_per_second": (feed.encoded - pictures) / span,
                "shown_per_second_and_viewer": len(seen) / args.seconds / max(1, count),
                "age_p50": float(np.percentile(ages, 50)) if ages else 0.0,
                "age_p95": float(np.percentile(ages, 95)) if ages else 0.0,
            }
            found[count].append(row)
            print(f"round {number + 1}, {count:2d} viewers: " + ", ".join(f"{k} {v:.3g}" for k, v in row.items()))
    return found


def soak(site: LiveRun, args: argparse.Namespace) -> dict[str, float]:
    """Memory while ten viewers come and go."""
    cameras = [f"cam{number}" for number in range(args.cameras)]
    script = str(Path(__file__).with_name("_page_viewers.py"))
    command = [sys.executable, script, site.address, "10", str(60 * args.soak), str(args.width), *cameras]
    rows: list[tuple[float, float]] = []
    with subprocess.Popen([*command, "--coming-and-going"], stdout=subprocess.PIPE, text=True) as process:
        began = time.monotonic()
        while process.poll() is None:
            time.sleep(SAMPLE_SECONDS)
            rows.append((time.monotonic() - began, Machine.memory()))
        assert process.stdout is not None
        visits = sum(row[1] for row in json.loads(process.stdout.read()))
    later = [row for row in rows if row[0] >= 0.25 * rows[-1][0]]  # what the first viewers bring stays
    grade, error = slope([t / 3600 for t, _ in later], [m for _, m in later])
    print(
        f"soak {args.soak:g} min, {visits:g} visits: {rows[0][1]:.1f} to {rows[-1][1]:.1f} MiB, {grade:+.1f} ± "
        f"{error:.1f} MiB/h"
    )
    return {
        "minutes": args.soak, "visits": visits, "mib_first": rows[0][1], "mib_last": rows[-1][1],
        "mib_per_hour": grade, "mib_per_hour_error": error,
    }  # fmt: skip


def verdict(found: dict[int, list[dict[str, float]]], soaked: dict[str, float] | None) -> tuple[dict[str, Any], bool]:
    """Figures by number of viewers (medians of the rounds), and whether all limits hold."""
    figures: dict[str, Any] = {
        str(count): {name: float(np.median([row[name] for row in rows])) for name in rows[0]}
        for count, rows in found.items()
    }
    good = True
    for count, limit in FALL.items():
        alone, row = figures["0"], figures[str(count)]
        row["fall"] = 1 - row["frames_per_second"] / alone["frames_per_second"]
        row["cores_more"] = row["cores"] - alone["cores"]
        good &= row["fall"] <= limit and row["age_p95"] <= AGE
        print(
            f"{count} viewers: frame rate {100 * -row['fall']:+.1f} %, {row['cores_more']:+.2f} cores, age p50 "
            f"{1000 * row['age_p50']:.0f} ms, p95 {1000 * row['age_p95']:.0f} ms"
        )
    if soaked is not None:
        figures["soak"] = soaked
        good &= soaked["mib_per_hour"] - 2 * soaked["mib_per_hour_error"] <= GROWTH
    return figures, good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--fps", type=int, default=10)
    parser.add_argument("--width", type=int, default=320, help="of a picture on the page, pixels")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each part of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--soak", type=float, default=0.0, help="minutes with viewers who come and go")
    parser.add_argument("--film", type=Path, help="a recording that all cameras show")
    parser.add_argument("--detector", help="a model, instead of finding people by colour")
    add_json(parser, "web_cost")
    args = parser.parse_args()
    few_arenas()  # as the command line does
    with tempfile.TemporaryDirectory() as text:
        folder, results = Path(text), Results()
        made = folder / "film.mp4"
        film = args.film or write_film(made, [0, 1, 2], frames=600, size=(640, 480), rate=args.fps)
        cameras = [
            {"name": f"cam{n}", "uri": str(film.resolve()), "live": True, "repeat": 10_000} for n in range(args.cameras)
        ]
        by_colour = args.detector is None
        models = {"engine": {"model": "none"}} if by_colour else {"detector": {"model": args.detector}}
        config = Config.from_dict({"cameras": cameras, **models})
        with LiveRun(config, folder / "run", listeners=(results,), by_colour=by_colour) as site:
            time.sleep(WARM_SECONDS)
            found = measure(site, results, args)
            soaked = soak(site, args) if args.soak else None
    figures, good = verdict(found, soaked)
    save_asked(args, figures)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
