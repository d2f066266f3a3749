"""How long it takes until the first result: ``streamreid run`` with compiled graphs of an earlier start (warm) and
without (cold), and ``streamreid --help``.

    python benchmarks/startup.py VIDEO [--detector yolo11n.onnx] [--engine NAME] [--rounds 5] [--beside OTHER_CHECKOUT]

The first frames of the video are followed by processes of their own. The clock starts when the process does and stops
when the first person stands in ``results.jsonl``, which is written line by line; the processor time until then is that
of the process at this moment, user and system. ``whole`` is until the process ends. Byte code is kept, as an
installation does, and written by a run that is not counted; so are the compiled graphs of the warm runs. A cold run
finds byte code, but no graph that an earlier start compiled. ``--beside`` measures another checkout, in turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from _results import add_json, save_asked
from speed import cut

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
LOOK_SECONDS = 0.002
"""Between two looks at the results; one look takes microseconds."""

LONGEST_SECONDS = 120.0
PERSON = b'"type":"person"'
MODES = ("help", "run help", "warm", "cold")


def environment(checkout: Path, scratch: Path) -> dict[str, str]:
    """Of a process of that checkout: byte code is kept, whatever the environment here says, and apart from others'."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return own | {
        "PYTHONPATH": str(checkout),
        "PYTHONPYCACHEPREFIX": str(scratch / "bytecode"),
        "STREAMREID_CACHE": str(scratch / "cache"),
    }


def used_so_far(pid: int) -> float:
    """Processor seconds of a process that runs, in steps of 10 ms."""
    words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS


def measure(command: list[str], env: Mapping[str, str], results: Path | None) -> dict[str, float]:
    """Run once.

    Args:
        command: Words behind ``streamreid``.
        env: Its environment.
        results: The file whose first person is waited for.

    Returns:
        Seconds by clock and processor, of the whole and until the first person.
    """
    figures: dict[str, float] = {}
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "streamreid", *command],
            cwd=env["PYTHONPATH"],  # python -m looks there first
            stdout=said,
            stderr=subprocess.STDOUT,
            env=env,
        )
        while results is not None and "first" not in figures and time.perf_counter() - start < LONGEST_SECONDS:
            if results.exists() and PERSON in results.read_bytes():
                figures = {"first": time.perf_counter() - start, "first_processor": used_so_far(process.pid)}
            elif process.poll() is not None:
                break
            time.sleep(LOOK_SECONDS)
        if process.returncode is None:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            figures |= {"whole": time.perf_counter() - start, "whole_processor": used.ru_utime + used.ru_stime}
        if process.returncode or (results is not None and "first" not in figures):
            said.seek(0)
            sys.exit(
                f"streamreid {' '.join(command)}: no result ({process.returncode})\n{said.read().decode()[-3000:]}"
            )
    return figures


def once(mode: str, checkout: Path, scratch: Path, args: argparse.Namespace, clip: Path) -> dict[str, float]:
    """One start of a mode, in a fresh folder of results."""
    env = environment(checkout, scratch)
    if mode in ("help", "run help"):
        return measure(["--help"] if mode == "help" else ["run", "--help"], env, None)
    with tempfile.TemporaryDirectory() as folder:
        if mode == "cold":
            env["STREAMREID_CACHE"] = str(Path(folder) / "cache")
        out = Path(folder) / "out"
        engine = ["--engine", args.engine] if args.engine else []
        words = ["run", str(clip), "--detector", args.detector, *engine, "--out", str(out), "--quiet"]
        return measure(words, env, out / "results.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--detector", default="auto", help="as in detector.model; default: the program's own default")
    parser.add_argument("--engine", help="engine bundle or name; default: the program's own default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=24, help="frames of the clip that is followed")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--beside", type=Path, help="another checkout, measured in turns")
    add_json(parser, "startup")
    args = parser.parse_args()
    if Path(args.detector).is_file():
        args.detector = str(Path(args.detector).resolve())
    checkouts = {"streamreid": ROOT} | ({} if args.beside is None else {"beside": args.beside.resolve()})
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / f"clip{args.video.suffix}"
        cut(args.video.resolve(), args.frames, clip)
        for name, checkout in checkouts.items():
            for mode in {"warm", *args.modes} - {"cold"}:  # byte code, and the graphs of the warm runs
                once(mode, checkout, Path(folder) / name, args, clip)
        for number in range(args.rounds):
            for mode in args.modes:
                for name, checkout in checkouts.items():
                    for key, value in once(mode, checkout, Path(folder) / name, args, clip).items():
                        found[f"{name}.{mode}"][key].append(value)
            print(f"round {number + 1} of {args.rounds}", file=sys.stderr, flush=True)
    report(found, args)


def report(found: Mapping[str, Mapping[str, list[float]]], args: argparse.Namespace) -> None:
    """Medians; of processor seconds also the least, which other programs disturb least."""
    figures: dict[str, dict[str, float]] = {}
    print(f"{'':22s} {'seconds':>14s} {'median':>7s} {'least':>7s}")
    for name, seconds in found.items():
        figures[name.removeprefix("streamreid.")] = medians = {}
        for key, values in seconds.items():
            medians[key], medians[f"{key}_least"] = statistics.median(values), min(values)
            print(f"{name:22s} {key:>15s} {medians[key]:7.3f} {min(values):7.3f}")
    save_asked(args, {"rounds": args.rounds, **figures})


if __name__ == "__main__":
    main()
