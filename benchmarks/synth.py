"""How fast scenes are made: seconds of video per second, cutting people out included and without, and the memory it
takes.

python benchmarks/synth.py datasets/market1501
python benchmarks/synth.py cuhk03 cuhk01 --scenes 5x2 30x4 100x4 --seconds 30

A scene is people x cameras. All cameras together count once: a minute of a scene with four cameras is 60 s. By the
processor: what the same work gives on as many undisturbed cores as there are processes, from the processor time of all
of them.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from _results import add_json, save_asked

from streamreid.synth import Person, SceneConfig, load_people, record

WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def used() -> float:
    """Processor seconds of this process and of those of its children that have ended."""
    return sum(
        u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def peak() -> str:
    """Largest memory of this process and of one child so far."""
    own, child = (resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return f"{own:.0f} + {child:.0f} MiB"


def people_of(args: argparse.Namespace, config: SceneConfig) -> tuple[list[Person], float, float]:
    """People of a scene, and the seconds by the clock and by the processor that cutting them out took."""
    begin, busy = time.perf_counter(), used()
    people, _ = load_people(args.images, args.labels, None, config, threads=args.processes)
    return people, time.perf_counter() - begin, used() - busy


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--labels", type=Path, nargs="*", default=[])
    parser.add_argument(
        "--scenes", nargs="+", default=["5x2", "30x4", "100x4", "300x12"], help="people x cameras, each"
    )
    parser.add_argument("--level", default="medium")
    parser.add_argument(
        "--seconds", type=float, help="length of every scene; by default what `streamreid synth` would take"
    )
    parser.add_argument("--processes", type=int, default=2)
    add_json(parser, "synth")
    args = parser.parse_args()
    figures = {}
    print(
        f"{'people x cameras':>16} {'video':>7} {'in view':>8} {'whole':>7} {'films':>7} {'films by processor':>19}  "
        "memory"
    )
    for scene in args.scenes:
        people, cameras = (int(part) for part in scene.split("x"))
        config = SceneConfig(people=people, cameras=cameras, level=args.level, seconds=args.seconds)
        found, cutting, _ = people_of(args, config)
        with tempfile.TemporaryDirectory() as folder:
            begin, busy = time.perf_counter(), used()
            report = record(config, found, Path(folder), processes=args.processes)
            wall, cpu = time.perf_counter() - begin, used() - busy
        length = config.duration
        figures[scene] = {
            "whole": length / (cutting + wall),
            "films": length / wall,
            "films by processor": length * args.processes / cpu,
            "MiB": max(resource.getrusage(who).ru_maxrss / 1024 for who in WHO),
        }
        print(
            f"{scene:>16} {length:5.0f} s {report.occupancy:8.1f} {length / (cutting + wall):6.1f}x "
            f"{length / wall:6.1f}x {length * args.processes / cpu:18.1f}x  {peak()}",
            flush=True,
        )
    save_asked(args, figures, seed=0)


if __name__ == "__main__":
    main()
