"""Which runtime and precision is the fastest on this CPU: a rule, or a measurement that is remembered.

Only what is known to give the right features takes part: fp32, bf16 where the CPU has it (unless it failed its check in
the bundle), and int8 only if it passed it and the CPU is known to have VNNI. A measurement takes some seconds, so it is
made when asked for (``engine.choose: measure``, ``streamreid engine bench``), never in the start of an ordinary run;
its result is used by every later one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import EngineError
from streamreid.runtimes.base import GraphFiles, PictureAxes, Runtime, available_threads
from streamreid.runtimes.compile_cache import read_json, write_json
from streamreid.runtimes.machine import BF16_FLAGS, cpu_flags, machine_key
from streamreid.weights import cache_folder

__all__ = ["Choice", "Settings", "candidates", "measure", "recall"]

log = logging.getLogger(__name__)

_FORMAT = 1
"""Version of the file of measurements; others are measured again."""

_SECONDS = 6.0
"""Seconds that measuring may take in all."""

_ROWS = 16
"""Rows per batch: a usual number of people at a time."""

# Without one of these int8 is not faster, and older instructions saturate on the way: another arithmetic than the one
# that was verified.
INT8_FLAGS = {"avx512_vnni", "avx_vnni", "amx_int8"}


@dataclass(frozen=True, slots=True)
class Choice:
    """A way to run the graph.

    Args:
        runtime: Name of the runtime.
        precision: Precision to ask it for.
    """

    runtime: str
    precision: str

    def __str__(self) -> str:
        return f"{self.runtime} in {self.precision}"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a measurement holds for, beside graph and machine.

    Args:
        threads: Threads of one run; None for all cores of the process.
        mode: "throughput" or "latency".
        pictures: Whether the input is uint8 pictures.
    """

    threads: int | None = None
    mode: str = "throughput"
    pictures: bool = False


def candidates(files: GraphFiles, runtime: str = "auto", precision: str = "auto") -> list[Choice]:
    """All that may run the graph on this CPU, the one that is likely the fastest first.

    Args:
        files: The graph.
        runtime: "openvino", "onnxruntime" or "auto" for both.
        precision: One precision, or "auto" for all whose results are known to be right.
    """
    is_ir = files.model.suffix.lower() == ".xml"
    runtimes = [runtime] if runtime != "auto" else ["openvino", "onnxruntime"]
    if runtime == "auto":
        runtimes = [
            r for r in runtimes if importlib.util.find_spec(r) is not None and not (is_ir and r == "onnxruntime")
        ]
    if precision != "auto":
        return [Choice(r, precision) for r in runtimes]
    found: list[tuple[int, Choice]] = []
    flags = cpu_flags()
    has_bf16 = bool(BF16_FLAGS & flags) if flags else None
    for r in runtimes:
        behind = 0 if r == "openvino" else 10
        if INT8_FLAGS & flags and files.graph(r, "int8") is not None and files.verified.get(f"{r}/int8", False):
            found.append((behind, Choice(r, "int8")))
        if r == "openvino" and files.verified.get("openvino/bf16", True) and has_bf16 is not False:
            found += [(behind + 1, Choice(r, "bf16" if has_bf16 else "auto")), (behind + 3, Choice(r, "fp32"))]
        else:
            found.append((behind + 1, Choice(r, "fp32")))
    return [choice for _, choice in sorted(found, key=lambda pair: pair[0])]


def recall(files: GraphFiles, choices: Sequence[Choice], settings: Settings) -> Choice | None:
    """What was measured on this machine before; None if nothing was.

    Args:
        files: The graph.
        choices: All that may be taken.
        settings: As it will be run.
    """
    path = _path(files, choices, settings)
    found = None if path is None else read_json(path)
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        return None
    return next((c for c in choices if [c.runtime, c.precision] == found.get("choice")), None)


def measure(
    files: GraphFiles,
    choices: Sequence[Choice],
    settings: Settings,
    open_choice: Callable[[Choice], Runtime],
    *,
    seconds: float = _SECONDS,
) -> Choice | None:
    """Run every choice in turns on a batch of noise, take the fastest, and remember it for this machine.

    Args:
        files: The graph.
        choices: All that may be taken.
        settings: As it will be run.
        open_choice: Opens one.
        seconds: Roughly how long to measure, loading not counted.

    Returns:
        The fastest; None where nothing could be measured, as with a graph that takes pictures of any size.
    """
    opened: dict[Choice, Runtime] = {}
    noise: NDArray[Any] | None = None
    for choice in choices:
        try:
            runtime = open_choice(choice)
            noise = _noise(runtime, settings.pictures)
            if noise is None:
                return None
            runtime(noise)
            opened[choice] = runtime
        except EngineError as error:
            log.info("%s: %s is left out (%s)", files.model.name, choice, error)
    if not opened or noise is None:
        return None
    batch = noise
    times: dict[Choice, list[float]] = {choice: [] for choice in opened}
    end = time.perf_counter() + seconds
    while len(next(iter(times.values()))) < 2 or (time.perf_counter() < end and len(next(iter(times.values()))) < 9):
        for choice, runtime in opened.items():
            start = time.perf_counter()
            runtime(batch)
            times[choice].append(time.perf_counter() - start)
    # The shortest of few: load from elsewhere only ever lengthens a run.
    per_row = {choice: min(values) / len(batch) * 1e3 for choice, values in times.items()}
    best = min(per_row, key=lambda c: per_row[c])
    told = ", ".join(f"{choice} {value:.2f} ms" for choice, value in sorted(per_row.items(), key=lambda kv: kv[1]))
    log.info("%s: %s, measured as the fastest here (%s for each crop)", files.model.name, best, told)
    path = _path(files, choices, settings)
    if path is not None:
        value = {
            "format": _FORMAT,
            "choice": [best.runtime, best.precision],
            "milliseconds": {str(k): round(v, 3) for k, v in per_row.items()},
        }
        write_json(path, value)
    return best


def _noise(runtime: Runtime, pictures: bool) -> NDArray[Any] | None:
    info = runtime.inputs[0]
    axes = PictureAxes.of(info)
    if axes is None or axes.height is None or axes.width is None:
        return None
    rng = np.random.default_rng(0)
    if pictures or info.whole:
        shape = (_ROWS, axes.height, axes.width, 3) if pictures else axes.shape(_ROWS, axes.height, axes.width)
        return rng.integers(0, 256, shape, dtype=np.uint8)
    return rng.random(axes.shape(_ROWS, axes.height, axes.width), dtype=np.float32)


def _path(files: GraphFiles, choices: Sequence[Choice], settings: Settings) -> Path | None:
    if not files.identity:
        return None
    forms = []
    for name, path in sorted(files.variants.items()):
        stat = path.stat() if path.is_file() else None
        forms.append(f"{name} {stat.st_size if stat else 0}")
    threads = settings.threads or available_threads()
    key = [files.identity, *forms, *map(str, choices), f"{threads} {settings.mode} {settings.pictures}"]
    return (
        cache_folder()
        / "choices"
        / f"{machine_key()}-{hashlib.sha256(chr(10).join(key).encode()).hexdigest()[:24]}.json"
    )
