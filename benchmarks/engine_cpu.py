"""Engine and detector speed on this CPU, per runtime, precision and batch.

    python benchmarks/engine_cpu.py --engine ENGINE [--engine ENGINE ...] --detector yolo11n.onnx [--video VIDEO]

Variants take turns, so that load from elsewhere falls on all of them; the best and the median of all rounds are
printed, and ratios of medians to ONNX Runtime. Without a video, pictures are noise (the work does not depend on their
content).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _results import add_json, save_asked
from rich.console import Console
from rich.table import Table

from streamreid.config import DetectorConfig, EngineConfig
from streamreid.detection import open_detector
from streamreid.reid import EngineEmbedder, open_embedder
from streamreid.reid.crops import crop_batch
from streamreid.runtimes.base import available_threads
from streamreid.types import Detections, Frame, PartFeatures

VARIANTS = [("onnxruntime", "fp32"), ("openvino", "fp32"), ("openvino", "bf16")]
BATCHES = (1, 8, 32)

console = Console(width=120)
results: dict[str, dict[str, dict[int, dict[str, float]]]] = {}
"""Figures of this run, for ``--json``."""


def take_turns(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of every call in every round, after one warm-up."""
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def pictures(video: Path | None, size: tuple[int, int], count: int) -> list[Frame]:
    """Frames of a video, or noise."""
    if video is None:
        rng = np.random.default_rng(0)
        return [
            Frame(f"c{i}", 0, 0.0, rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)) for i in range(count)
        ]
    import av

    with av.open(str(video)) as container:
        images = [f.to_ndarray(format="bgr24") for _, f in zip(range(count), container.decode(video=0), strict=False)]
    return [Frame(f"c{i}", 0, 0.0, image) for i, image in enumerate(images)]


def people(frame: Frame, count: int) -> Detections:
    """Boxes of usual proportions, spread over the frame."""
    rng = np.random.default_rng(1)
    width, height = frame.size
    tall = rng.uniform(0.15, 0.5, count) * height
    wide = tall * rng.uniform(0.35, 0.5, count)
    left, top = rng.uniform(0, 1, count) * (width - wide), rng.uniform(0, 1, count) * (height - tall)
    return Detections.from_arrays(np.stack([left, top, left + wide, top + tall], axis=1))


def load(model: str) -> dict[str, EngineEmbedder]:
    """One engine on every runtime that takes it."""
    engines: dict[str, EngineEmbedder] = {}
    for runtime, precision in VARIANTS:
        try:
            engine = open_embedder(
                EngineConfig.model_validate(
                    {"model": model, "runtime": runtime, "precision": precision, "min_height": 0}
                )
            )
        except Exception as error:
            console.print(f"{model} on {runtime} {precision}: left out ({error})", markup=False)
            continue
        if isinstance(engine, EngineEmbedder):
            engines[f"{runtime} {precision}"] = engine
    return engines


def reid(model: str, rounds: int) -> None:
    """Crops per second, and how much of the time is cutting out."""
    engines = load(model)
    (frame,) = pictures(None, (1920, 1080), 1)
    table = Table(
        "variant",
        "batch",
        "ms best",
        "ms median",
        "crops/s",
        "against first",
        "cropping",
        title=f"{model}: 1080p frame",
        title_justify="left",
    )
    for batch in BATCHES:
        found = people(frame, batch)
        seconds = take_turns(
            {name: lambda e=e, found=found: e([frame], [found]) for name, e in engines.items()}, rounds
        )
        cut = take_turns(
            {name: lambda e=e, found=found: crop_batch([frame], [found], e.size) for name, e in engines.items()}, rounds
        )
        first = np.median(next(iter(seconds.values())))
        for name, values in seconds.items():
            middle = np.median(values)
            results.setdefault(Path(model).name, {}).setdefault(name, {})[batch] = {
                "crops per second": batch / middle,
                "cropping share": np.median(cut[name]) / middle,
            }
            table.add_row(
                name,
                str(batch),
                f"{values.min() * 1e3:.1f}",
                f"{middle * 1e3:.1f}",
                f"{batch / middle:.0f}",
                f"{first / middle:.2f}x",
                f"{np.median(cut[name]) / middle:.1%}",
            )
    console.print(table)
    agreement(engines, frame)


def agreement(engines: dict[str, EngineEmbedder], frame: Frame) -> None:
    """Cosine of every variant's features to the first one's."""
    features: dict[str, PartFeatures] = {name: e([frame], [people(frame, 64)])[0] for name, e in engines.items()}
    first = next(iter(features.values()))
    for name, f in list(features.items())[1:]:
        cosine = (f.parts * first.parts).sum(axis=2)[first.visibility > 0]
        console.print(
            f"  {name} against {next(iter(features))}: cosine mean {cosine.mean():.5f}, least {cosine.min():.5f}"
        )


def detection(model: str, frames: list[Frame], rounds: int) -> None:
    """Milliseconds per frame, one camera and four."""
    table = Table(
        "variant",
        "frames",
        "ms/frame best",
        "ms/frame median",
        "against first",
        title=f"{model}: {frames[0].size}",
        title_justify="left",
    )
    detectors = {
        f"{runtime} {precision}": open_detector(
            DetectorConfig.model_validate({"model": model, "runtime": runtime, "precision": precision})
        )
        for runtime, precision in VARIANTS
    }
    for count in (1, len(frames)):
        seconds = take_turns(
            {name: lambda d=d, count=count: d(frames[:count]) for name, d in detectors.items()}, rounds
        )
        first = np.median(next(iter(seconds.values())))
        for name, values in seconds.items():
            middle = np.median(values)
            best = values.min() / count * 1e3
            row = {"ms per frame": middle / count * 1e3}
            results.setdefault(Path(model).name, {}).setdefault(name, {})[count] = row
            table.add_row(name, str(count), f"{best:.1f}", f"{middle / count * 1e3:.1f}", f"{first / middle:.2f}x")
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", action="append", default=[], help="engine bundle: a folder or a shipped name")
    parser.add_argument("--detector", action="append", default=[], help="detector file or name")
    parser.add_argument("--video", type=Path, help="frames for the detector")
    parser.add_argument("--rounds", type=int, default=15)
    add_json(parser, "engine_cpu")
    options = parser.parse_args()
    console.print(f"{available_threads()} threads, {options.rounds} rounds")
    for model in options.engine:
        reid(model, options.rounds)
    for model in options.detector:
        detection(model, pictures(options.video, (768, 576), 4), options.rounds)
    save_asked(options, results, seed=0)


if __name__ == "__main__":
    main()
