"""The part of ``engine.py`` for NVIDIA GPUs: TensorRT in fp16 beside torch eager, ``torch.compile`` and the chip's own
rate. Has not been run yet."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _engines import Subject, torch_call
from engine_cpu import people, pictures, take_turns
from rich.console import Console
from rich.table import Table

from streamreid.compiling.build import BuildOptions
from streamreid.config import EngineConfig
from streamreid.errors import StreamReIDError
from streamreid.reid import EngineEmbedder
from streamreid.reid.engine_build import BuildRequest, build_engine

BATCHES = (1, 8, 32, 128)


def measure(
    subjects: list[Subject], crops: np.ndarray | None, work: Path, rounds: int, console: Console
) -> dict[str, Any]:
    """Build fp16 plans here, compare them with the reference, and time them from crops and from 1080p frames."""
    found: dict[str, Any] = {"bf16 matrix rate": matrix_rate()}
    console.print(f"matrix products in bf16: {found['bf16 matrix rate'] / 1e12:.0f} TFLOP/s")
    for subject in subjects:
        engines: dict[str, Any] = {}
        for target in ("tensorrt", "tensorrt-rtx"):
            try:
                options = BuildOptions(target=target, precision="fp16", max_batch=max(BATCHES))
                bundle, record = build_engine(
                    subject.bundle, work / f"{subject.name}-{target}", BuildRequest(options), force=True
                )
                engines[f"{target} fp16"] = EngineEmbedder(
                    bundle, EngineConfig(min_height=0, runtime="tensorrt", batch=max(BATCHES))
                )
                found[f"{subject.name} {target} parity"] = None if record.parity is None else record.parity.model_dump()
                console.print(f"{subject.name} {target}: parity {record.parity}")
            except StreamReIDError as error:
                console.print(f"{subject.name} on {target}: left out ({error})", markup=False)
        size = subject.bundle.manifest.input.height, subject.bundle.manifest.input.width
        for batch in BATCHES:
            pixels = np.resize(crops, (batch, *size, 3)) if crops is not None else np.zeros((batch, *size, 3), np.uint8)
            calls: dict[str, Callable[[], object]] = {n: lambda e=e, p=pixels: e.embed(p) for n, e in engines.items()}
            calls |= {f"{n} from 1080p frames": from_frames(e, batch) for n, e in engines.items()}
            if subject.module is not None:
                compiled = importlib.import_module("torch").compile(subject.module)
                torches = {
                    "torch eager fp32": torch_call(subject.module, "fp32"),
                    "torch.compile bf16": torch_call(compiled, "bf16"),
                }
                calls |= {n: lambda c=c, p=pixels: c(p) for n, c in torches.items()}
            seconds = take_turns(calls, rounds)
            table = Table(
                "variant",
                "ms median",
                "crops/s",
                "against torch eager",
                title=f"{subject.name}, batch {batch}",
                title_justify="left",
            )
            base = seconds.get("torch eager fp32")
            for name, values in seconds.items():
                middle = float(np.median(values))
                found.setdefault(subject.name, {}).setdefault(name, {})[batch] = batch / middle
                ratio = "" if base is None else f"{float(np.median(base)) / middle:.2f}x"
                table.add_row(name, f"{middle * 1e3:.2f}", f"{batch / middle:.0f}", ratio)
            console.print(table)
    return found


def from_frames(engine: EngineEmbedder, count: int) -> Callable[[], object]:
    """People of four 1080p frames, cut out on the GPU by the fused kernel."""
    frames = pictures(None, (1920, 1080), 4)
    found = [people(frame, max(1, count // 4)) for frame in frames]
    return lambda: engine(frames, found)


def matrix_rate(side: int = 8192) -> float:
    """FLOP/s of a large bf16 matrix product in torch: what the chip gives in practice."""
    torch = importlib.import_module("torch")
    a, b = (torch.randn(side, side, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        torch.cuda.synchronize()
        start = time.perf_counter()
        a @ b
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best
