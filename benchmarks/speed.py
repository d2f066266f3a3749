"""Frames per second of the whole program: ``streamreid run`` (with ReID) against ``yolo track`` (Ultralytics with
ByteTrack, no ReID).

    python benchmarks/speed.py VIDEO --detector yolo11n.onnx [--yolo-model yolo11n_openvino_model ...] [--set
    detector.schedule=adaptive] [--ours-bin DIR] [--yolo-bin DIR] [--rounds 3]

All get the same weights and write the same kind of thing: boxes with ids as text, no video. ``--yolo-model`` names the
form that ``yolo`` gets: what a user with a CPU exports is OpenVINO (fp16, or int8); several may be given. ``--set``
adds a run of streamreid with another setting. Runs alternate A B A B; medians are compared, and of the processor
seconds of the whole process (user and system, all threads) the least, which other programs disturb least. Two
rates per program: the whole process (start, imports, loading the models, everything until it exits), and steady, which
leaves out what a longer video would not pay again: (frames of the whole video - frames of its beginning) / (seconds of
the one - seconds of the other), from a second, short run of each program. The programs may live in different virtual
environments.
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
        used: Processor seconds of each run over the whole video.
    """

    name: str
    command: Callable[[Path, Path], list[str]]
    whole: list[float] = field(default_factory=list)
    short: list[float] = field(default_factory=list)
    used: list[float] = field(default_factory=list)

    def run(self, video: Path, times: list[float]) -> float:
        """Run once in a fresh folder; the clock stops when the process has ended. Returns its processor seconds."""
        with tempfile.TemporaryDirectory() as folder:
            command, said = self.command(video, Path(folder) / "out"), Path(folder) / "said.txt"
            with said.open("wb") as file:
                start = time.perf_counter()
                process = subprocess.Popen(
                    command, cwd=folder, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, **QUIET}
                )
                _, status, used = os.wait4(process.pid, 0)
                times.append(time.perf_counter() - start)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                sys.exit(
                    f"{self.name} failed ({process.returncode}): {' '.join(command)}\n"
                    f"{said.read_text(errors='replace')[-4000:]}"
                )
        return used.ru_utime + used.ru_stime


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
    """The competitors."""

    def ours(video: Path, out: Path, *settings: str) -> list[str]:
        engine = ["--engine", str(args.engine)] if args.engine else []
        script = args.ours_bin / "streamreid"
        program = [str(script)] if script.is_file() else [str(args.ours_bin / "python"), "-m", "streamreid"]
        return [
            *program,
            "run",
            str(video),
            "--detector",
            str(args.detector),
            *engine,
            "--out",
            str(out),
            "--quiet",
            *settings,
        ]

    def yolo(video: Path, out: Path, model: Path) -> list[str]:
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

    found = [Program("streamreid run", ours)]
    for setting in args.set:
        found.append(Program(f"streamreid run {setting}", lambda v, o, s=setting: ours(v, o, "--set", s)))
    models = args.yolo_model or [args.detector]
    for model in models:
        name = "yolo track" if len(models) == 1 else f"yolo track {model.name}"
        found.append(Program(name, lambda v, o, m=model: yolo(v, o, m)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--detector", type=Path, required=True, help="the .onnx file that both use")
    parser.add_argument(
        "--yolo-model",
        type=Path,
        action="append",
        default=[],
        help="another form of the same weights for yolo (an _openvino_model folder, a .pt file)",
    )
    parser.add_argument("--set", action="append", default=[], help="also measure streamreid with this setting")
    parser.add_argument("--engine", help="engine bundle or name for streamreid; default: its own default")
    parser.add_argument("--ours-bin", type=Path, default=HERE, help="folder of the program streamreid")
    parser.add_argument("--yolo-bin", type=Path, default=HERE, help="folder of the program yolo")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--short", type=int, default=100, help="frames of the short run; 0 leaves it out")
    parser.add_argument("--size", type=int, default=640, help="the detector's input size")
    parser.add_argument("--only", choices=["streamreid", "yolo"])
    add_json(parser, "speed")
    args = parser.parse_args()
    args.video, args.detector = args.video.resolve(), args.detector.resolve()
    args.yolo_model = [model.resolve() for model in args.yolo_model]
    if args.engine and Path(args.engine).exists():
        args.engine = Path(args.engine).resolve()
    racing = [p for p in programs(args) if args.only is None or args.only in p.name]
    total = count_frames(args.video)
    with tempfile.TemporaryDirectory() as folder:
        beginning = Path(folder) / f"short{args.video.suffix}"
        few = 0
        if args.short:
            cut(args.video, args.short, beginning)
            few = count_frames(beginning)
        for number in range(args.rounds):
            for program in racing:
                program.used.append(program.run(args.video, program.whole))
                if args.short:
                    program.run(beginning, program.short)
                print(
                    f"round {number + 1}: {program.name:40s} {program.whole[-1]:7.2f} s, processor "
                    f"{program.used[-1]:7.2f} s, {few} frames {sum(program.short[-1:]):6.2f} s",
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
        whole, used = statistics.median(program.whole), min(program.used)
        rates[program.name] = {"whole": total / whole, "seconds": whole, "processor_seconds": used}
        if few:
            rates[program.name]["steady"] = (total - few) / (whole - statistics.median(program.short))
        text = "  ".join(f"{key} {value:.2f}" for key, value in rates[program.name].items())
        print(f"{program.name:40s} {text}")
    for name, one in list(rates.items()):
        for other, two in list(rates.items()):
            if name.startswith("streamreid") and other.startswith("yolo"):
                ratio = {kind: one[kind] / two[kind] for kind in ("whole", "steady") if kind in one}
                ratio["processor"] = two["processor_seconds"] / one["processor_seconds"]
                rates["ratio" if len(racing) == 2 else f"{name} : {other}"] = ratio
                print(f"{name} : {other}", "  ".join(f"{key} {value:.2f}" for key, value in ratio.items()))
    save_asked(args, {"frames": total, "rounds": args.rounds, **rates})


if __name__ == "__main__":
    main()
