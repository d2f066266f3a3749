"""Figures of a benchmark as JSON, with what they depend on: ``benchmarks/results/NAME.json``."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"
PACKAGES = ("numpy", "openvino", "onnxruntime", "opencv-python-headless", "av", "torch", "ultralytics", "trackeval")
"""Whose versions may move a figure."""


def machine() -> dict[str, object]:
    """The processor, its cores, and how busy the machine was over the last minute (load average over cores)."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"cpu": name, "cores": cores, "load": round(os.getloadavg()[0] / cores, 2), "system": platform.system()}


def versions() -> dict[str, str]:
    """Python, and the installed packages of ``PACKAGES``."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit of the checkout whose streamreid is measured, with ``+`` if files differ from it; '' outside a
    repository."""
    measured = getattr(sys.modules.get("streamreid"), "__file__", None)
    here = Path(measured or __file__).parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True).stdout.strip()

    return git("rev-parse", "--short=12", "HEAD") + (
        "+" if git("status", "--porcelain", "--untracked-files=no") else ""
    )


def script() -> str:
    """The program that runs, as it is called within this checkout: ``benchmarks/speed.py``."""
    path = Path(sys.argv[0]).resolve()
    root = FOLDER.parents[1]
    return str(path.relative_to(root)) if path.is_relative_to(root) else path.name


def save(name: str, figures: Mapping[str, float], *, seed: int | None = None, path: Path | None = None) -> Path:
    """Write one benchmark's figures.

    Args:
        name: Of the benchmark and of the file.
        figures: Figure by name, such as ``"vtest.HOTA"`` or ``"crops_per_second.int8.batch8"``; numbers only.
        seed: Of what was drawn at random.
        path: Written there instead.

    Raises:
        ValueError: A figure is no finite number.
    """
    wrong = [
        key
        for key, value in figures.items()
        if not isinstance(value, (int, float)) or value != value or abs(value) == float("inf")
    ]
    if wrong:
        raise ValueError(f"{name}: no numbers: {', '.join(wrong)}")
    path = path or FOLDER / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "benchmark": name,
        "script": script(),
        "command": " ".join(Path(word).name if os.sep in word else word for word in sys.argv),
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine(),
        "versions": versions(),
        "seed": seed,
        "figures": dict(figures),
    }
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path


def add_json(parser: argparse.ArgumentParser, name: str) -> None:
    """Give a script ``--json [FILE]``.

    Args:
        parser: Of the script, or of one of its subcommands.
        name: Of the benchmark; the file is ``benchmarks/results/NAME.json`` unless FILE is given.
    """
    parser.add_argument(
        "--json",
        type=Path,
        nargs="?",
        const=True,
        metavar="FILE",
        help=f"write the figures, with what they depend on (default: benchmarks/results/{name}.json)",
    )
    parser.set_defaults(json_name=name)


def save_asked(
    options: argparse.Namespace, figures: Mapping[str, Any], *, name: str | None = None, seed: int | None = None
) -> None:
    """Write a benchmark's figures where ``--json`` asks for it.

    Args:
        options: Parsed arguments of a parser that `add_json` was called with.
        figures: By name, nested as one likes: see `flat`.
        name: Of the benchmark in this mode of its script, if it has several.
        seed: Of what was drawn at random; default ``options.seed``, where there is one.
    """
    if options.json is None:
        return
    seed = getattr(options, "seed", None) if seed is None else seed
    path = None if options.json is True else options.json
    print("written:", save(name or options.json_name, flat(figures), seed=seed, path=path), file=sys.stderr)


def flat(figures: Mapping[Any, Any]) -> dict[str, float]:
    """Nested figures by one name each, such as ``"yolo11n.onnx.streamreid.IDF1"``.

    In each part of a name, everything but letters, digits and ``. + % -`` is an underscore. True is 1. What is no
    finite number is left out.
    """
    found: dict[str, float] = {}
    for key, value in figures.items():
        part = re.sub(r"[^A-Za-z0-9.+%-]+", "_", str(key)).strip("._")
        if isinstance(value, Mapping):
            found |= {f"{part}.{rest}": number for rest, number in flat(value).items()}
        elif hasattr(value, "item") or isinstance(value, (bool, int, float)):
            number = value.item() if hasattr(value, "item") else value
            if math.isfinite(number):
                found[part] = int(number) if isinstance(number, bool) else number
    return found
