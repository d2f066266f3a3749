"""Everything that a GPU is to show, at most eight minutes in all: TensorRT plans, the tests marked ``gpu``, crops per
second and their share of the chip's own rate, NVDEC, and the whole program with simulated cameras.

    python benchmarks/gpu.py --detector yolo11n.onnx [--video CLIP] [--work DIR] [--only PART ...] [--json]
    python benchmarks/gpu.py --detector yolo11n.onnx --dry-run

No GPU has been measured with it yet. Each part is a process of its own with so many seconds: one that fails, hangs or
is killed is reported, and the others go on with what there is (without plans, engine and detector run on the CPU, which
the table says). ``--dry-run`` does the same at small sizes where there is no GPU: TensorRT for RTX builds its plans
ahead of time, the tests are only collected, the rest runs on the CPU. The exit code is 1 if a part failed.

plans    the engine's and the detector's plans in fp16, TensorRT and TensorRT for RTX
tests    every test marked ``gpu``, with STREAMREID_REQUIRE_GPU=1: one that is skipped fails
rate     a bf16 matrix product in torch: what the chip gives in practice
crops    crops/s of the engine by batch, and floating point operations per second as a share of that rate
decode   frames/s of CLIP by PyAV, with hardware (NVDEC) and without
cameras  the whole program with 1, 10, 30 and 100 live cameras whose frames come from memory, so that decoding is not
         what is measured: frames/s, and age p95 (now minus capture, when a result is handed to the sinks)
load     the same with 30 cameras at 50, 80 and 100 % of the most frames/s that the part before found
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _results import add_json, save_asked

ROOT = Path(__file__).resolve().parents[1]
ALL_SECONDS = 480.0


@dataclass(frozen=True)
class Part:
    """A part and its time.

    Args:
        name: Of the part.
        seconds: It may take, on a GPU.
        dry: The same in a dry run.
    """

    name: str
    seconds: float
    dry: float


PARTS = (
    Part("plans", 130.0, 150.0),
    Part("tests", 120.0, 60.0),
    Part("rate", 20.0, 20.0),
    Part("crops", 60.0, 40.0),
    Part("decode", 20.0, 20.0),
    Part("cameras", 80.0, 60.0),
    Part("load", 50.0, 40.0),
)


def commands(args: argparse.Namespace, work: Path) -> list[tuple[Part, list[str], float]]:
    """What is run, in this order, and for how long at most."""
    chosen = [part for part in PARTS if not args.only or part.name in args.only]
    found = []
    for part in chosen:
        words = [sys.executable, str(ROOT / "benchmarks" / "_gpu_parts.py"), part.name, "--work", str(work)]
        words += ["--detector", str(args.detector), "--engine", args.engine]
        words += ["--video", str(args.video)] if args.video else []
        if part.name == "tests":
            words = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:randomly", *gpu_tests()]
            words += ["--collect-only"] if args.dry_run else []
        elif args.dry_run:
            words.append("--dry-run")
        found.append((part, words, part.dry if args.dry_run else part.seconds))
    return found


def gpu_tests() -> list[str]:
    """Files with tests marked ``gpu``: to collect all others takes longer than to run these."""
    marked = "pytest.mark." + "gpu"
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [
        str(f.relative_to(ROOT)) for f in files if f.stem != "test_markers" and marked in f.read_text(encoding="utf-8")
    ]


def run_part(words: Sequence[str], seconds: float, said: Path, *, strict: bool) -> tuple[str, float]:
    """Run a part.

    Args:
        words: Its command.
        seconds: It may take.
        said: Where its output goes.
        strict: Whether GPU tests that are skipped fail.

    Returns:
        Why it failed, '' if it did not; and the seconds that it took.
    """
    env = {**os.environ, "PYTHONPATH": str(ROOT)} | ({"STREAMREID_REQUIRE_GPU": "1"} if strict else {})
    began = time.monotonic()
    with said.open("wb") as file:
        process = subprocess.Popen(
            list(words), cwd=ROOT, env=env, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"took longer than {seconds:.0f} s", time.monotonic() - began
    return ("" if code == 0 else f"exit code {code}"), time.monotonic() - began


def run_all(
    parts: Sequence[tuple[Part, list[str], float]], work: Path, *, strict: bool, limit: float = ALL_SECONDS
) -> dict[str, dict[str, Any]]:
    """Run parts one after the other, whatever becomes of them; figures by part."""
    began = time.monotonic()
    figures: dict[str, dict[str, Any]] = {}
    for part, words, seconds in parts:
        left = limit - (time.monotonic() - began)
        said = work / f"{part.name}.txt"
        if left <= 0:
            why, took = "no time was left", 0.0
        else:
            why, took = run_part(words, min(seconds, left), said, strict=strict)
        found = _figures(work / f"{part.name}.json")
        figures[part.name] = {**found, "failed": bool(why), "seconds": took}
        print(f"{part.name:8s} {took:6.1f} s  {why or 'ok'}", flush=True)
        if why and said.exists():
            print("\n".join(f"         {line}" for line in said.read_text(errors="replace").splitlines()[-6:]))
    return figures


def _figures(path: Path) -> dict[str, Any]:
    """What a part wrote; a part that was killed may have written some."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    except (OSError, ValueError):
        return {}


def shown(figures: Mapping[str, Any], indent: str = "  ") -> list[str]:
    """Figures as lines, nested ones indented."""
    lines = []
    for name, value in figures.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{name}", *shown(value, indent + "  ")]
        else:
            lines.append(f"{indent}{name}: {value:.4g}" if isinstance(value, float) else f"{indent}{name}: {value}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", type=Path, required=True, help="an .onnx file")
    parser.add_argument("--engine", default="pab-osnet-small", help="a shipped engine's name, or a bundle")
    parser.add_argument("--video", type=Path, help="a clip to decode; one is generated by default")
    parser.add_argument("--work", type=Path, help="keep plans, figures and what the parts said here")
    parser.add_argument("--only", nargs="+", choices=[part.name for part in PARTS], help="these parts only")
    parser.add_argument("--dry-run", action="store_true", help="small sizes, no GPU")
    add_json(parser, "gpu")
    args = parser.parse_args()
    args.detector = args.detector.resolve()
    args.video = args.video.resolve() if args.video else None
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        figures = run_all(commands(args, work), work, strict=not args.dry_run)
    print("\n".join(line for name, found in figures.items() for line in (name, *shown(found))))
    save_asked(args, {"dry_run": args.dry_run, **figures})
    sys.exit(1 if any(found["failed"] for found in figures.values()) else 0)


if __name__ == "__main__":
    main()
