"""The parts of ``gpu.py``, each a process of its own that writes ``WORK/PART.json`` as it goes on."""

from __future__ import annotations

import argparse
import importlib
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import _root  # noqa: F401
import numpy as np
from _crowded import Crowd, CrowdDetector, CrowdEmbedder
from _engines_gpu import matrix_rate

from streamreid import Config, Pipeline
from streamreid.cameras import camera_opener
from streamreid.compiling.build import BuildOptions
from streamreid.config import CameraConfig, EngineConfig
from streamreid.detection import open_detector
from streamreid.detection.detector_build import build_detector
from streamreid.errors import StreamReIDError
from streamreid.reid import EngineEmbedder, load_bundle, shipped_engines
from streamreid.reid.engine_build import BuildRequest, build_engine
from streamreid.runs import run
from streamreid.sources.base import SourceBase
from streamreid.sources.paced_file import PacedSource
from streamreid.types import Frame
from tests.support.live import Recorder

SIZE = (1080, 1920)
PEOPLE = 10
"""In view of each camera."""

FPS = 10


class Figures(dict[str, Any]):
    """Figures that are written whenever one is added, so that a part that is killed has left some."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def add(self, name: str, value: Any) -> None:
        """Take a figure and write all."""
        self[name] = value
        print(name, value, flush=True)
        self._path.write_text(json.dumps(self), encoding="utf-8")


class MemorySource(SourceBase):
    """A live camera whose frames lie in memory: decoding costs nothing."""

    pictures: Sequence[np.ndarray] = ()
    fps = float(FPS)

    def __init__(self, config: CameraConfig) -> None:
        super().__init__(config, live=False)

    @property
    def expected_frames(self) -> int | None:
        """Nobody knows: it has no end."""
        return None

    def __iter__(self) -> Iterator[Frame]:
        """Frames without end."""
        for number in range(10**9):
            picture = self.pictures[number % len(self.pictures)]
            yield Frame(self.camera, number, number / self.fps, picture, "pts")

    def close(self) -> None:
        """Nothing is open."""


def plans(args: argparse.Namespace, figures: Figures) -> None:
    """Build what the other parts run. A target that cannot be built is told, and the others go on."""
    bundle = load_bundle(shipped_engines().get(args.engine, Path(args.engine)))
    targets = ("tensorrt-rtx",) if args.dry_run else ("tensorrt", "tensorrt-rtx")
    built = 0
    for target in targets:
        options = BuildOptions(target=target, precision="fp16", max_batch=2 if args.dry_run else 64)  # type: ignore[arg-type]
        began = time.perf_counter()
        try:
            _, record = build_engine(bundle, args.work / f"engine-{target}", BuildRequest(options), force=True)
            figures.add(f"engine.{target}.seconds", time.perf_counter() - began)
            figures.add(f"engine.{target}.proven", int(record.parity is not None and record.parity.passed))
            built += 1
            began = time.perf_counter()
            options = BuildOptions(target=target, precision="fp16", max_batch=1 if args.dry_run else 16)  # type: ignore[arg-type]
            build_detector(str(args.detector), args.work / f"detector-{target}", options, force=True)
            figures.add(f"detector.{target}.seconds", time.perf_counter() - began)
        except StreamReIDError as error:
            print(f"{target}: {error}", flush=True)
    if not built:
        raise SystemExit("no plan could be built")


def rate(args: argparse.Namespace, figures: Figures) -> None:
    """Operations per second of a matrix product; in a dry run, in fp32 on the CPU."""
    if not args.dry_run:
        figures.add("bf16_flops", matrix_rate())
        return
    a, best = np.ones((1024, 1024), np.float32), float("inf")
    for _ in range(5):
        began = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - began)
    figures.add("bf16_flops", 2 * len(a) ** 3 / best)


def open_engine(args: argparse.Namespace, batch: int) -> tuple[EngineEmbedder, str]:
    """The engine by its best plan, else on the CPU; and which of these."""
    for target in ("tensorrt", "tensorrt-rtx"):
        folder = args.work / f"engine-{target}"
        if folder.is_dir() and not args.dry_run:
            try:
                config = EngineConfig(runtime="tensorrt", batch=batch, min_height=0)
                return EngineEmbedder(load_bundle(folder), config), target
            except StreamReIDError as error:
                print(f"{target}: {error}", flush=True)
    bundle = load_bundle(shipped_engines().get(args.engine, Path(args.engine)))
    return EngineEmbedder(bundle, EngineConfig(batch=batch, min_height=0)), "cpu"


def crops(args: argparse.Namespace, figures: Figures) -> None:
    """Crops per second by batch, and what share of the chip's rate that is."""
    batches = (1, 4) if args.dry_run else (1, 8, 32, 64)
    seconds = 0.5 if args.dry_run else 4.0
    engine, where = open_engine(args, max(batches))
    bundle = load_bundle(shipped_engines().get(args.engine, Path(args.engine)))
    each = operations(bundle.model, (1, 3, *engine.size))
    peak = _read(args.work / "rate.json").get("bf16_flops")
    figures.add("operations_per_crop", each)
    figures.add("on_gpu", int(where != "cpu"))
    for batch in batches:
        pixels = np.random.default_rng(0).integers(0, 256, (batch, *engine.size, 3), dtype=np.uint8)
        engine.embed(pixels)
        began, done = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            engine.embed(pixels)
            done += batch
        found = done / (time.perf_counter() - began)
        figures.add(f"batch_{batch}.crops_per_second", found)
        if peak:
            figures.add(f"batch_{batch}.share_of_bf16_rate", found * each / peak)


def operations(model: Path, shape: tuple[int, ...]) -> float:
    """Floating point operations of a graph: two per multiplication of its convolutions and matrix products."""
    onnx = importlib.import_module("onnx")
    graph = onnx.load(str(model))
    for axis, length in zip(graph.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
        axis.dim_value = length
    graph = onnx.shape_inference.infer_shapes(graph).graph
    sizes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.value_info, *graph.output)}
    sizes |= {w.name: list(w.dims) for w in graph.initializer}
    found = 0.0
    for node in graph.node:
        if node.op_type == "Conv":
            found += 2.0 * np.prod(sizes[node.output[0]]) * np.prod(sizes[node.input[1]][1:])
        elif node.op_type in ("Gemm", "MatMul"):
            found += 2.0 * np.prod(sizes[node.output[0]]) * sizes[node.input[0]][-1]
    return float(found)


def decode(args: argparse.Namespace, figures: Figures) -> None:
    """Frames per second of a clip, by the GPU's decoder and by the CPU."""
    av = importlib.import_module("av")
    clip = args.video or _clip(args.work / "clip.mp4", 20 if args.dry_run else 250)
    hwaccel = importlib.import_module("av.codec.hwaccel")
    ways: dict[str, Any] = {"cpu": None}
    if "cuda" in hwaccel.hwdevices_available():
        ways["nvdec"] = hwaccel.HWAccel(device_type="cuda", allow_software_fallback=False)
    for name, acceleration in ways.items():
        try:
            with av.open(str(clip), hwaccel=acceleration) as container:
                began = time.perf_counter()
                count = sum(1 for _ in container.decode(video=0))
            figures.add(f"{name}.frames_per_second", count / (time.perf_counter() - began))
        except Exception as error:  # whatever FFmpeg or the driver say: this way does not work here
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
            figures.add(f"{name}.works", 0)


def _clip(path: Path, frames: int) -> Path:
    """A generated clip of moving noise, H.264."""
    av = importlib.import_module("av")
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8) // 8 + 96
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(np.roll(noise, 4 * number, 1), format="bgr24")
            target.mux(stream.encode(picture))
        target.mux(stream.encode())
    return path


def follow(args: argparse.Namespace, count: int, fps: float, seconds: float) -> dict[str, float]:
    """The whole program with live cameras from memory; ten generated people in view of each."""
    height, width = (270, 480) if args.dry_run else SIZE
    rng = np.random.default_rng(0)
    MemorySource.pictures = [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) // 2 for _ in range(4)]
    MemorySource.fps = fps
    camera_opener.open_source = lambda config: PacedSource(config, MemorySource(config))  # type: ignore[assignment]
    engine, where = open_engine(args, 64)
    plan = next((p for t in ("tensorrt", "tensorrt-rtx") if (p := args.work / f"detector-{t}").is_dir()), None)
    model = str(args.detector if plan is None or args.dry_run else plan)
    people = Crowd(PEOPLE, len(engine.parts), engine.dim)
    sources = [{"name": f"cam{n}", "uri": f"memory{n}.mp4", "live": True} for n in range(count)]
    config = Config.from_dict({"cameras": sources, "detector": {"model": model}})
    recorder = Recorder()
    detector = CrowdDetector(open_detector(config.detector), people)
    with Pipeline(config, detector=detector, embedder=CrowdEmbedder(engine, people)) as pipeline:
        warm = 2.0 if args.dry_run else 4.0
        timer = threading.Timer(warm + seconds, pipeline.stop)
        timer.start()
        try:
            run(pipeline, args.work / f"run-{count}-{fps:.1f}", listeners=[recorder])
        finally:
            timer.cancel()
    engine.close()
    last = max((t for seen in recorder.rows.values() for t, _ in seen), default=time.time())
    ages = recorder.between(last - seconds, last + 1) or [float("nan")]
    p95 = float(np.percentile(ages, 95))
    return {
        "frames_per_second": len(ages) / seconds,
        "offered": count * fps,
        "age_p95_ms": 1000 * p95,
        "on_gpu": float(where != "cpu"),
    }


def cameras(args: argparse.Namespace, figures: Figures) -> None:
    """1, 10, 30 and 100 cameras of 25 frames/s."""
    for count in (1, 2) if args.dry_run else (1, 10, 30, 100):
        figures.add(str(count), follow(args, count, 10.0 if args.dry_run else 25.0, 2.0 if args.dry_run else 8.0))


def load(args: argparse.Namespace, figures: Figures) -> None:
    """Some cameras at shares of the most that was followed."""
    points: Mapping[str, Any] = _read(args.work / "cameras.json")
    most = max((p["frames_per_second"] for p in points.values()), default=10.0)
    count = 2 if args.dry_run else 30
    figures.add("most_frames_per_second", most)
    for share in (0.5, 0.8, 1.0):
        fps = max(0.5, share * most / count)
        figures.add(f"at_{share:.0%}", follow(args, count, fps, 2.0 if args.dry_run else 8.0))


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


PARTS = {"plans": plans, "rate": rate, "crops": crops, "decode": decode, "cameras": cameras, "load": load}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--detector", type=Path, required=True)
    parser.add_argument("--engine", default="pab-osnet-small")
    parser.add_argument("--video", type=Path)
    parser.add_argument("--dry-run", action="store_true")
    args = parser.parse_args()
    PARTS[args.part](args, Figures(args.work / f"{args.part}.json"))


if __name__ == "__main__":
    main()
