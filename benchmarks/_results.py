"""Figures of a benchmark as JSON, with what they depend on: ``benchmarks/results/NAME.json``."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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
    """The commit of this checkout, with ``+`` if files differ from it; '' outside a repository."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True).stdout.strip()

    return git("rev-parse", "--short=12", "HEAD") + (
        "+" if git("status", "--porcelain", "--untracked-files=no") else ""
    )


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
