"""Resident memory of one pipeline after 1,000 and after 10,000 frames of a looped clip.

    python benchmarks/memory.py VIDEO --detector yolo11n.onnx [--engine BUNDLE] [--frames 10000] [--first 1000] [--out
    DIR]

Everything runs as in ``streamreid run``: detection, ReID, tracking, association, and the sinks that the default
configuration writes. The clip is repeated, so people come back again and again with ever new track ids. Linux only
(reads /proc/self/status). The exit code is 1 when memory at the end is more than 5 % above that after the first frames.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from pathlib import Path

import av
from _results import add_json, save_asked

from streamreid import Pipeline
from streamreid.config import CameraConfig, Config, DetectorConfig, EngineConfig
from streamreid.sinks import open_sinks


def resident() -> float:
    """Resident set of this process in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status has no VmRSS")


def count_frames(video: Path) -> int:
    """Frames of a video, by decoding it."""
    with av.open(str(video)) as container:
        return sum(1 for _ in container.decode(video=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--detector", required=True)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--first", type=int, default=1000, help="frames before the first measurement")
    parser.add_argument("--frames", type=int, default=10_000, help="frames before the last measurement")
    parser.add_argument("--out", type=Path, help="keep the results here")
    add_json(parser, "memory")
    args = parser.parse_args()
    repeat = -(-args.frames // count_frames(args.video))
    camera = CameraConfig(name="clip", uri=str(args.video), repeat=repeat, frames=args.frames)
    config = Config(
        cameras=(camera,), detector=DetectorConfig(model=args.detector), engine=EngineConfig(model=args.engine)
    )
    with tempfile.TemporaryDirectory() as folder:
        measured = run(config, args.out or Path(folder), args.first, args.frames)
    first, last = measured[args.first], measured[max(measured)]
    growth = 100 * (last / first - 1)
    print(f"after {args.first} frames {first:.1f} MiB, after {max(measured)} frames {last:.1f} MiB: {growth:+.1f} %")
    save_asked(args, {"first MiB": first, "last MiB": last, "growth %": growth, "frames": max(measured)})
    if max(measured) < args.frames:
        sys.exit(f"the run ended after {max(measured)} frames, {args.frames} were wanted")
    sys.exit(0 if growth <= 5 else 1)


def run(config: Config, folder: Path, first: int, frames: int) -> dict[int, float]:
    """Resident MiB by number of frames."""
    step = max(1, frames // 10)
    measured: dict[int, float] = {}
    start = time.perf_counter()
    sinks = open_sinks(config.output, folder, [camera.name for camera in config.cameras])
    with Pipeline(config) as pipeline:
        for number, result in enumerate(pipeline, 1):
            for event in pipeline.drain_events():
                for sink in sinks:
                    sink.event(event)
            for sink in sinks:
                sink.write(result)
            if number in (first, frames) or number % step == 0:
                gc.collect()
                measured[number] = resident()
                print(
                    f"{number:6d} frames {measured[number]:8.1f} MiB  {number / (time.perf_counter() - start):6.1f} "
                    "frames/s",
                    flush=True,
                )
        for sink in sinks:
            sink.close(pipeline.identities)
    return measured


if __name__ == "__main__":
    main()
