"""Batches on a Ray cluster of this machine: how fast beside the plain batch, and what becomes of them when workers die.

    python benchmarks/cluster.py [--recordings 200] [--frames 40] [--workers 2] [--kill-every 20] [--json]

Recordings are generated: two coloured people who walk through the picture, with exact boxes. The same recordings are
run by `streamreid batch`, by `streamreid batch --cluster local`, and by the latter while every so many seconds a
worker is killed (`kill -9`). Two detectors can be asked for: exact boxes (decoding and tracking only) or a graph
(--detector). Times are those of the recordings: without the start of Ray, which is given beside. On a busy machine
the ratio of wall times says little; the processor seconds that each spent, and the load, are given too.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import _root  # noqa: F401
from _results import add_json, save_asked

from streamreid.cluster.ray_batch import Progress, RayBatch
from streamreid.config import ClusterConfig
from streamreid.runs.batch import Batch, find_recordings
from streamreid.runs.recording import Recording
from tests.conftest import Scene

PLAIN = ("results.jsonl", "mot")
"""What must be the same, byte for byte; the summary holds times."""


def make(folder: Path, count: int, frames: int) -> Scene:
    """Generated recordings, of one length."""
    scene = Scene(folder)
    for number in range(count):
        scene.camera(f"r{number:03d}", [number % 5, (number + 1) % 5], frames=frames)
    return scene


def cpu_seconds(pids: set[int]) -> float:
    """Processor seconds of processes that still run."""
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0.0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) / ticks
    return total


def plain(recordings: list[Recording], out: Path, sections: dict[str, Any]) -> dict[str, float]:
    """The batch in this process."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    results = list(Batch(recordings, out, sections).run())
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu_seconds": cpu, "done": sum(r.status == "done" for r in results)}


def on_cluster(
    recordings: list[Recording], out: Path, sections: dict[str, Any], workers: int, kill_every: float | None
) -> dict[str, float]:
    """The batch on a cluster of this machine; every so many seconds a worker is killed."""
    began = time.perf_counter()
    first: list[float] = []
    killed = 0
    pids: set[int] = set()
    cpu: dict[str, float] = {}

    def watch(progress: Progress) -> None:
        nonlocal killed
        now = time.perf_counter()
        pids.update(pid for _, pid in progress.workers)
        if len(progress.workers) == workers and not first:
            first.append(now)
            cpu["begin"] = cpu_seconds(pids)
        cpu["end"] = max(cpu.get("end", 0.0), cpu_seconds(pids))
        if kill_every and first and now - first[0] > (killed + 1) * kill_every:
            busy = [pid for (_, pid), name in progress.workers.items() if name]
            if busy:
                killed += 1
                os.kill(busy[killed % len(busy)], signal.SIGKILL)

    cluster = ClusterConfig(address="local", workers=workers)
    batch = RayBatch(recordings, out, sections, cluster=cluster)
    finished = []
    ended = began
    for result in batch.run(progress=watch):
        finished.append(result)
        ended = time.perf_counter()
    there = first[0] if first else began
    return {
        "seconds": ended - there,
        "start_seconds": there - began,
        "cpu_seconds": cpu.get("end", 0.0) - cpu.get("begin", 0.0),
        "done": sum(r.status == "done" for r in finished),
        "twice": len(finished) - len({r.name for r in finished}),
        "killed": killed,
        "lost": batch.progress.lost,
    }


def different(one: Path, two: Path, recordings: list[Recording]) -> int:
    """Recordings whose results differ."""
    count = 0
    for recording in recordings:
        for name in PLAIN:
            a, b = one / recording.name / name, two / recording.name / name
            files = [p.relative_to(a) for p in a.rglob("*") if p.is_file()] if a.is_dir() else [Path()]
            if any(not filecmp.cmp(a / f, b / f, shallow=False) for f in files):
                count += 1
                break
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, default=200)
    parser.add_argument("--frames", type=int, default=40, help="of each recording")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill-every", type=float, default=20.0, help="seconds; 0 leaves this part out")
    parser.add_argument("--detector", help="instead of exact boxes")
    parser.add_argument("--engine", default="none")
    add_json(parser, "cluster")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cb") as text:
        folder = Path(text)
        scene = make(folder / "scene", args.recordings, args.frames)
        recordings = find_recordings([scene.folder])
        sections = {
            "detector": {"model": args.detector or f"mot:{scene.boxes}"},
            "engine": {"model": args.engine},
            "association": {"offline": True},
        }
        found = {"plain": plain(recordings, folder / "plain", sections)}
        found["cluster"] = on_cluster(recordings, folder / "cluster", sections, args.workers, None)
        if args.kill_every:
            found["killed"] = on_cluster(recordings, folder / "killed", sections, args.workers, args.kill_every)
        for name in list(found)[1:]:
            found[name]["different"] = different(folder / "plain", folder / name, recordings)
            found[name]["speed"] = found["plain"]["seconds"] / found[name]["seconds"]
            # What it would be with the processors to itself: the work of one worker against all of it.
            cpu = found[name].pop("cpu_seconds")
            if name == "cluster":  # of processes that were killed, what they spent is not known
                found[name] |= {"cpu_seconds": cpu, "speed_cpu": args.workers * found["plain"]["cpu_seconds"] / cpu}
    print(json.dumps(found, indent=1))
    save_asked(args, {f"{name}.{key}": float(value) for name, part in found.items() for key, value in part.items()})
    wrong = [n for n, p in found.items() if p["done"] != args.recordings or p.get("twice") or p.get("different")]
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
