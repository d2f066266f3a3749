"""Frames per second of the whole program: ``streamreid run`` (with ReID) against ``yolo track`` (Ultralytics with
ByteTrack, no ReID).

    python benchmarks/speed.py VIDEO --detector yolo11n.onnx --engine BUNDLE [--ours-bin DIR] [--yolo-bin DIR] [--rounds
    3]

Both get the same detector file and write the same kind of thing: boxes with ids as text, no video. Runs alternate A B A
B; medians are compared. Two rates per program: the whole process (start, imports, loading the models, everything until
it exits), and steady, which leaves out what a longer video would not pay again: (frames of the whole video - frames of
its beginning) / (seconds of the one - seconds of the other), from a second, short run of each program. The two programs
may live in different virtual environments.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import av
from _results import add_json, save_asked

HERE = Path(sys.executable).parent
# Ultralytics would otherwise stop to look for packages to install, which is not what is measured.
QUIET = {"YOLO_VERBOSE": "False", "YOLO_AUTOINSTALL": "false"}


@dataclass
class Program:
    """One competitor.

    Args:
        name: For the table.
        command: Makes the command line from a video and an output folder.
        whole: Seconds of each run over the whole video.
        short: Seconds of each run over its beginning.
    """

    name: str
    command: Callable[[Path, Path], list[str]]
    whole: list[float] = field(default_factory=list)
    short: list[float] = field(default_factory=list)

    def run(self, video: Path, times: list[float]) -> None:
        """Run once in a fresh folder; the clock stops when the process has ended."""
        with tempfile.TemporaryDirectory() as folder:
            command = self.command(video, Path(folder) / "out")
            start = time.perf_counter()
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, **QUIET})
            times.append(time.perf_counter() - start)
        if done.returncode:
            sys.exit(
                f"{self.name} failed ({done.returncode}): "
                f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
            )


def count_frames(video: Path) -> int:
    """Frames of a video, by decoding it."""
    with av.open(str(video)) as container:
        return sum(1 for _ in container.decode(video=0))


def cut(video: Path, frames: int, target: Path) -> None:
    """Copy the first frames of a video without encoding again."""
    with av.open(str(video)) as source, av.open(str(target), "w") as out:
        stream = source.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for number, packet in enumerate(p for p in source.demux(stream) if p.dts is not None):
            if number >= frames:
                break
            packet.stream = copy
            out.mux(packet)


def programs(args: argparse.Namespace) -> list[Program]:
    """The two competitors."""

    def ours(video: Path, out: Path) -> list[str]:
        engine = ["--engine", str(args.engine)] if args.engine else []
        script = args.ours_bin / "streamreid"
        program = [str(script)] if script.is_file() else [str(args.ours_bin / "python"), "-m", "streamreid"]
        return [*program, "run", str(video), "--detector", str(args.detector), *engine, "--out", str(out), "--quiet"]

    def yolo(video: Path, out: Path) -> list[str]:
        # classes=0: people only, as streamreid; show_* and save off: no pictures are written.
        options = [
            "tracker=bytetrack.yaml",
            "classes=0",
            "save=False",
            "save_txt=True",
            "stream_buffer=False",
            "verbose=False",
            "exist_ok=True",
        ]
        model = args.yolo_model or args.detector
        where = [f"project={out.parent}", f"name={out.name}"]
        return [
            str(args.yolo_bin / "yolo"),
            "track",
            f"model={model}",
            f"source={video}",
            f"imgsz={args.size}",
            *options,
            *where,
        ]

    return [Program("streamreid run", ours), Program("yolo track", yolo)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--detector", type=Path, required=True, help="the .onnx file that both use")
    parser.add_argument(
        "--yolo-model",
        type=Path,
        help="another form of the same weights for yolo (an _openvino_model folder, a .pt file)",
    )
    parser.add_argument("--engine", help="engine bundle or name for streamreid; default: its own default")
    parser.add_argument("--ours-bin", type=Path, default=HERE, help="folder of the program streamreid")
    parser.add_argument("--yolo-bin", type=Path, default=HERE, help="folder of the program yolo")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--short", type=int, default=100, help="frames of the short run")
    parser.add_argument("--size", type=int, default=640, help="the detector's input size")
    parser.add_argument("--only", choices=["streamreid", "yolo"])
    add_json(parser, "speed")
    args = parser.parse_args()
    for name in ("video", "detector", "yolo_model"):
        if getattr(args, name) is not None:
            setattr(args, name, getattr(args, name).resolve())
    if args.engine and Path(args.engine).exists():
        args.engine = Path(args.engine).resolve()
    racing = [p for p in programs(args) if args.only is None or args.only in p.name]
    total = count_frames(args.video)
    with tempfile.TemporaryDirectory() as folder:
        beginning = Path(folder) / f"short{args.video.suffix}"
        cut(args.video, args.short, beginning)
        few = count_frames(beginning)
        for number in range(args.rounds):
            for program in racing:
                program.run(args.video, program.whole)
                program.run(beginning, program.short)
                print(
                    f"round {number + 1}: {program.name:15s} {program.whole[-1]:7.2f} s, {few} frames "
                    f"{program.short[-1]:6.2f} s",
                    flush=True,
                )
    report(racing, total, few, args)


def report(racing: list[Program], total: int, few: int, args: argparse.Namespace) -> None:
    """Medians and the ratio."""
    print(
        f"\n{args.video.name}, {total} frames, {args.detector.name}, {os.cpu_count()} cores, "
        f"{platform.processor() or platform.machine()}"
    )
    rates: dict[str, dict[str, float]] = {}
    for program in racing:
        whole, short = statistics.median(program.whole), statistics.median(program.short)
        rates[program.name] = {"whole": total / whole, "steady": (total - few) / (whole - short), "seconds": whole}
        print(
            f"{program.name:15s} whole process {total / whole:6.1f} frames/s   steady "
            f"{rates[program.name]['steady']:6.1f} frames/s"
        )
    if len(racing) == 2:
        ours, theirs = (rates[p.name] for p in racing)
        rates["ratio"] = {kind: ours[kind] / theirs[kind] for kind in ("whole", "steady")}
        print(
            f"{'ratio':15s} whole process {ours['whole'] / theirs['whole']:6.2f}            steady "
            f"{ours['steady'] / theirs['steady']:6.2f}"
        )
    save_asked(args, {"frames": total, "rounds": args.rounds, **rates})


if __name__ == "__main__":
    main()
