"""How fast a cache is replayed: reading alone, tracking and association from memory, and the whole verb with its result
files; and how many calls tracking and association make per frame, which is what limits them.

streamreid run clip.mp4 --cache cache
python benchmarks/replay.py cache
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _results import add_json, save_asked

from streamreid.cache.manifest import read_manifest
from streamreid.cache.reader import read_frames
from streamreid.replay import Replay
from streamreid.runs import run


def rate(frames: int, job: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Frames per second by the wall and by the processor time of this process, medians over ``repeats``."""
    wall, cpu = [], []
    for _ in range(repeats):
        begin = time.perf_counter(), time.process_time()
        job()
        wall.append(frames / (time.perf_counter() - begin[0]))
        cpu.append(frames / (time.process_time() - begin[1]))
    return statistics.median(wall), statistics.median(cpu)


def calls(job: Callable[[], object]) -> tuple[int, int]:
    """Functions of Python, and functions and methods in C (most of them of numpy), that are called. Operators between
    arrays are not among them."""
    profile = cProfile.Profile()
    profile.runcall(job)
    found = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    inside = sum(count for (file, _, _), (_, count, *_) in found.items() if file == "~")
    return sum(count for _, count, *_ in found.values()) - inside, inside


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    add_json(parser, "replay")
    args = parser.parse_args()
    manifest = read_manifest(args.cache)
    seen = list(read_frames(args.cache, manifest))
    people = sum(len(s.detections) for s in seen) / len(seen)
    parts, dim = len(manifest.engine.parts), manifest.engine.dim
    size = sum(f.stat().st_size for f in args.cache.rglob("*.parquet")) / 1e6
    print(
        f"{len(seen)} frames of {len(manifest.cameras)} cameras, {people:.1f} boxes per frame, {parts} parts of {dim} "
        f"values, {size:.1f} MB"
    )

    def whole() -> None:
        with tempfile.TemporaryDirectory() as folder:
            run(Replay(args.cache), Path(folder))

    jobs: dict[str, Callable[[], object]] = {
        "reading": lambda: list(read_frames(args.cache)),
        "tracking and association": lambda: list(Replay(args.cache, frames=seen)),
        "replay with result files": whole,
    }
    figures: dict[str, object] = {"frames": len(seen), "boxes per frame": people, "MB": size}
    for name, job in jobs.items():
        wall, cpu = rate(len(seen), job, args.repeats)
        figures[name] = {"frames per second": wall, "frames per processor second": cpu}
        print(f"{name:26} {wall:8.0f} frames/s by the wall, {cpu:8.0f} per second of processor time")
    python, inside = calls(jobs["tracking and association"])
    figures["calls per frame"] = {"python": python / len(seen), "c": inside / len(seen)}
    print(
        f"tracking and association call {python / len(seen):.0f} functions of Python and {inside / len(seen):.0f} in C"
    )
    save_asked(args, figures)


if __name__ == "__main__":
    main()
