"""Engines: crops per second of the same weights on every runtime, what lower precision costs, cropping, and part
distances. One run, ratios.

    python benchmarks/engine.py --engine pab-osnet-small --resnet50 --crops TRAIN_FOLDER --dataset DATASET --boxmot
    osnet_x0_25.onnx

Variants take turns, so that load from elsewhere falls on all of them; "core ms" is the time of all cores together,
which such load hardly changes (with ``--threads 1`` it is the work itself, without any waiting of one thread for
another). TRAIN_FOLDER holds crops to fit int8's ranges (and the normalisations of the random ResNet-50) on; DATASET has
``query`` and ``bounding_box_test`` (Market-1501 names), of other people. ``--resnet50`` and the torch columns need
torch, ``--boxmot`` needs BoxMOT. Without an NVIDIA GPU the part for GPUs says so and is left out.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from _engines import Loading, Subject, boxmot_call, open_subject, real_crops, resnet50, torch_call
from _results import add_json, save_asked
from engine_cpu import people, pictures
from rich.console import Console
from rich.table import Table

from streamreid.compiling.machine import find_gpu
from streamreid.evaluation.reid import rank_scores, read_folder
from streamreid.features.similarity import PackedParts, part_similarity
from streamreid.reid.crops import crop_batch
from streamreid.runtimes.base import available_threads
from streamreid.runtimes.machine import cpu_name
from streamreid.types import PartFeatures

BATCHES = (1, 8, 32)
console = Console(width=140)
results: dict[str, Any] = {}


def take_turns(
    calls: dict[str, Callable[[], object]], rounds: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Seconds by the clock, and of the cores (all threads of this process), of every call in every round, after one
    warm-up."""
    for call in calls.values():
        call()
    wall: dict[str, list[float]] = {name: [] for name in calls}
    cores: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start, busy = time.perf_counter(), time.process_time()
            call()
            cores[name].append(time.process_time() - busy)
            wall[name].append(time.perf_counter() - start)
    return {n: np.array(v) for n, v in wall.items()}, {n: np.array(v) for n, v in cores.items()}


def speed(subjects: list[Subject], boxmot: Path | None, batches: list[int], rounds: int) -> None:
    """From a 1080p frame and boxes to features, all engines in turns."""
    (frame,) = pictures(None, (1920, 1080), 1)
    peers = {"BoxMOT OSNet x0.25 onnx": boxmot_call(boxmot)} if boxmot else {}
    for batch in batches:
        found = people(frame, batch)
        calls: dict[str, Callable[[], object]] = {}
        for subject in subjects:
            for name, engine in subject.engines.items():
                calls[f"{subject.name}: {name}"] = lambda e=engine, found=found: e([frame], [found])
            if subject.module is not None:
                size = next(iter(subject.engines.values())).size
                for precision in ("fp32", "bf16"):
                    run = torch_call(subject.module, precision)
                    calls[f"{subject.name}: torch eager {precision}"] = lambda r=run, s=size, found=found: r(
                        crop_batch([frame], [found], s)[0]
                    )
        for name, peer in peers.items():
            calls[name] = lambda p=peer, found=found: p(frame.image, found.boxes)
        seconds, cores = take_turns(calls, rounds)
        columns = (
            "engine",
            "ms best",
            "ms median",
            "crops/s",
            "against torch eager",
            "core ms per crop",
            "against torch eager",
        )
        table = Table(*columns, title=f"batch {batch}, cropping included", title_justify="left")
        for name, values in seconds.items():
            middle, busy = float(np.median(values)), float(cores[name].min()) / batch * 1e3
            reference = f"{name.partition(':')[0]}: torch eager fp32"
            ratios = ["", ""]
            if reference in seconds:
                ratios = [
                    f"{np.median(seconds[reference]) / middle:.2f}x",
                    f"{cores[reference].min() / batch * 1e3 / busy:.2f}x",
                ]
            row = {
                "crops per second": round(batch / middle, 1),
                "best": round(batch / float(values.min()), 1),
                "core ms per crop": round(busy, 2),
            }
            results.setdefault("speed", {}).setdefault(name, {})[batch] = row
            cells = (
                f"{values.min() * 1e3:.1f}",
                f"{middle * 1e3:.1f}",
                f"{batch / middle:.0f}",
                ratios[0],
                f"{busy:.2f}",
                ratios[1],
            )
            table.add_row(name, *cells)
        console.print(table)


def cropping(subjects: list[Subject], rounds: int) -> None:
    """Share of crop + resize + conversion in the time of the fastest variant, 32 crops of a 1080p frame."""
    (frame,) = pictures(None, (1920, 1080), 1)
    found = people(frame, 32)
    for subject in subjects:
        engines = subject.engines
        seconds, _ = take_turns({name: lambda e=e: e([frame], [found]) for name, e in engines.items()}, rounds)
        fastest = min(seconds, key=lambda n: float(np.median(seconds[n])))
        engine = engines[fastest]
        crops = crop_batch([frame], [found], engine.size)[0]
        pair = {
            "crop": lambda e=engine: crop_batch([frame], [found], e.size),
            "engine": lambda e=engine, c=crops: e.embed(c),
        }
        parts, _ = take_turns(pair, rounds)
        cut, rest = (float(np.median(parts[k])) for k in ("crop", "engine"))
        results.setdefault("cropping", {})[subject.name] = {
            "crop ms": cut * 1e3,
            "engine ms": rest * 1e3,
            "share": cut / rest,
        }
        console.print(
            f"{subject.name}, {fastest}: cropping and resizing {cut * 1e3:.2f} ms, engine {rest * 1e3:.1f} ms: "
            f"{cut / rest:.1%}"
        )


def accuracy(subjects: list[Subject], dataset: Path) -> None:
    """mAP and R1 of every variant, and the cosine of its features to those of the first one; said as they come, because
    they take minutes."""
    query, gallery = read_folder(dataset / "query"), read_folder(dataset / "bounding_box_test")
    for subject in subjects:
        console.print(
            f"{subject.name} on {dataset.name}: R1, mAP, mAP against fp32; cosine to fp32: median, lowest 1 %"
        )
        first: tuple[PartFeatures, float] | None = None
        # ONNX Runtime's fp32 is the same arithmetic in another order and the slowest of all.
        order = sorted(set(subject.engines) - {"onnxruntime fp32"}, key=lambda name: (name != "openvino fp32", name))
        for name in order:
            engine = subject.engines[name]
            sets = [_embed(engine, people.paths) for people in (query, gallery)]
            scores = rank_scores(part_similarity(*sets)[0], query, gallery)
            first = first or (sets[1], scores.map)
            cosine = (sets[1].parts * first[0].parts).sum(2)[(sets[1].visibility > 0.3) & (first[0].visibility > 0.3)]
            middle, low = float(np.median(cosine)), float(np.quantile(cosine, 0.01))
            row = {"R1": scores.r1, "mAP": scores.map, "cosine": middle, "cosine 1 %": low}
            results.setdefault("accuracy", {}).setdefault(subject.name, {})[name] = row
            console.print(
                f"  {name}: {scores.r1:.4f}, {scores.map:.4f}, {scores.map - first[1]:+.4f}; {middle:.5f}, {low:.5f}"
            )


def _embed(engine: Any, paths: tuple[Path, ...]) -> PartFeatures:
    found = []
    for start in range(0, len(paths), 64):
        crops = np.stack(
            [
                cv2.resize(cv2.imread(str(p)), engine.size[::-1], interpolation=cv2.INTER_LINEAR)
                for p in paths[start : start + 64]
            ]
        )
        found.append(engine.embed(crops))
    return PartFeatures.concatenate(found)


def distances(rounds: int, queries: int = 256, prototypes: int = 100_000, dim: int = 256) -> None:
    """Packed part similarity against a plain matrix product of the same size and against the per-part formula in
    torch."""
    columns = (
        "K",
        "",
        "packed",
        "with shares",
        "best 50",
        "plain product",
        "packed / product",
        "per part in torch",
        "torch / packed",
        "Euclidean",
        "/ packed",
    )
    table = Table(*columns, title=f"{queries} against {prototypes} people, ms", title_justify="left")
    for k in (6, 9):
        rng = np.random.default_rng(0)
        a, b = (_random(rng, n, k, dim) for n in (queries, prototypes))
        left, right = PackedParts(a), PackedParts(b)
        x, y = (np.ascontiguousarray(f.parts.reshape(len(f), -1)) for f in (a, b))
        calls: dict[str, Callable[[], object]] = {
            "packed": lambda p=left, q=right: p.similarity(q),
            "compare": lambda p=a, q=right: part_similarity(p, q),
            "best": lambda p=left, q=right: p.best(q, 50),
            "product": lambda x=x, y=y: x @ y.T,
        }
        if importlib.util.find_spec("torch") is not None:
            calls |= {"torch": _per_part(a, b), "published": _published(a, b)}
            error = float(np.abs(np.asarray(calls["torch"]()) - left.similarity(right)).max())
            results.setdefault("distance", {}).setdefault(f"K = {k}", {})["largest difference"] = error
            console.print(f"K = {k}: largest difference to the per-part formula {error:.1e}")
        wall, cores = take_turns(calls, rounds)
        for what, times in (
            ("clock", {n: float(np.median(v)) for n, v in wall.items()}),
            ("cores", {n: float(v.min()) for n, v in cores.items()}),
        ):
            ratio, faster = times["packed"] / times["product"], times.get("torch", float("nan")) / times["packed"]
            slower = times.get("published", float("nan")) / times["packed"]
            results.setdefault("distance", {}).setdefault(f"K = {k}", {})[what] = {
                **times,
                "ratio": ratio,
                "faster": faster,
                "published": slower,
            }
            ms = {name: f"{value * 1e3:.0f}" for name, value in times.items()}
            cells = (
                ms["packed"],
                ms["compare"],
                ms["best"],
                ms["product"],
                f"{ratio:.2f}",
                ms.get("torch", "no torch"),
                f"{faster:.1f}x",
            )
            cells += (ms.get("published", "no torch"), f"{slower:.1f}x")
            table.add_row(str(k), what, *cells)
    console.print(table)


def _random(rng: np.random.Generator, n: int, k: int, dim: int) -> PartFeatures:
    parts = rng.normal(size=(n, k, dim)).astype(np.float32)
    parts /= np.linalg.norm(parts, axis=2, keepdims=True)
    return PartFeatures(parts, rng.random((n, k), np.float32))


def _per_part(a: PartFeatures, b: PartFeatures) -> Callable[[], object]:
    """The formula as it stands: one similarity matrix and one weight matrix per part, then the weighted mean."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(available_threads())
    fa, fb = (torch.from_numpy(np.ascontiguousarray(f.parts.transpose(1, 0, 2))) for f in (a, b))
    va, vb = (torch.from_numpy(np.ascontiguousarray(f.visibility.T)) for f in (a, b))

    def run() -> object:
        with torch.inference_mode():
            similarity = torch.matmul(fa, fb.transpose(1, 2))
            weight = torch.sqrt(va[:, :, None] * vb[:, None, :])
            return ((similarity * weight).sum(0) / weight.sum(0)).numpy()

    return run


def _published(a: PartFeatures, b: PartFeatures) -> Callable[[], object]:
    """As part-based ReID code has it: Euclidean distances part by part, a mask of what both show, and the mean over
    it."""
    torch = importlib.import_module("torch")
    fa, fb = (torch.from_numpy(np.ascontiguousarray(f.parts.transpose(1, 0, 2))) for f in (a, b))
    va, vb = (torch.from_numpy(np.ascontiguousarray(f.visibility.T)) for f in (a, b))

    def run() -> object:
        with torch.inference_mode():
            squares = (fa**2).sum(2)[:, :, None] + (fb**2).sum(2)[:, None, :] - 2 * torch.matmul(fa, fb.transpose(1, 2))
            distance = squares.clamp(min=1e-12).sqrt()
            weight = torch.sqrt(va[:, :, None] * vb[:, None, :])
            return ((distance * weight).sum(0) / weight.sum(0)).numpy()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", action="append", default=[], help="engine bundle: a folder or a shipped name")
    parser.add_argument("--checkpoint", type=Path, help="checkpoint that the first engine was exported from, for torch")
    parser.add_argument("--resnet50", action="store_true", help="also a ResNet-50 part network of random weights")
    parser.add_argument("--crops", type=Path, help="folder of training crops")
    parser.add_argument("--dataset", type=Path, help="folder with query and bounding_box_test")
    parser.add_argument("--boxmot", type=Path, help="OSNet x0.25 as ONNX for BoxMOT")
    parser.add_argument(
        "--work", type=Path, default=Path("runs/benchmark-engine"), help="where graphs made for this are kept"
    )
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)))
    parser.add_argument("--threads", type=int, help="threads of every engine; all cores by default")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--parts", default="speed,cropping,accuracy,distance,gpu")
    add_json(parser, "engine")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    parts, began = set(options.parts.split(",")), time.perf_counter()
    console.print(f"{cpu_name()}, {options.threads or available_threads()} threads, {options.rounds} rounds")
    if options.threads and importlib.util.find_spec("torch") is not None:
        importlib.import_module("torch").set_num_threads(options.threads)
    subjects = []
    if parts & {"speed", "cropping", "accuracy", "gpu"}:
        names = options.engine or ["pab-osnet-small"]
        load = Loading(options.work, options.crops, options.threads, console.print)
        subjects = [open_subject(n, load, options.checkpoint if i == 0 else None) for i, n in enumerate(names)]
        if options.resnet50:
            if options.crops is None:
                parser.error("--resnet50 needs --crops")
            folder, module = resnet50(options.work, options.crops)
            subjects.append(open_subject(str(folder), load))
            subjects[-1].module = module
    if "speed" in parts:
        speed(subjects, options.boxmot, [int(b) for b in options.batches.split(",")], options.rounds)
    if "cropping" in parts:
        cropping(subjects, options.rounds)
    if "distance" in parts:
        distances(max(3, options.rounds // 2))
    if "accuracy" in parts and options.dataset:
        accuracy(subjects, options.dataset)
    if "gpu" in parts:
        if find_gpu() is None:
            console.print("GPU: not run, there is no NVIDIA GPU on this machine (or no driver for it)")
        else:
            crops = None if options.crops is None else real_crops(options.crops, (256, 128), 64)
            results["gpu"] = importlib.import_module("_engines_gpu").measure(
                subjects, crops, options.work, options.rounds, console
            )
    console.print(f"{time.perf_counter() - began:.0f} s in all")
    save_asked(options, results, seed=0)


if __name__ == "__main__":
    main()
