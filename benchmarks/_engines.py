"""Engines for ``engine.py``: the same weights on every runtime and precision, a ResNet-50 of random weights, and
BoxMOT's ONNX path."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from streamreid.compiling.quantization import quantised_graph
from streamreid.config import EngineConfig
from streamreid.errors import StreamReIDError
from streamreid.reid import EngineEmbedder
from streamreid.reid.bundle import (
    Bundle,
    BundleManifest,
    CalibrationValues,
    InputFormat,
    OutputNames,
    load_bundle,
    write_bundle,
)
from streamreid.reid.factory import shipped_engines
from streamreid.runtimes import GraphFiles, load_runtime

VARIANTS = [
    ("onnxruntime", "fp32"),
    ("onnxruntime", "int8"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
]


@dataclass
class Subject:
    """One set of weights in all its forms.

    Args:
        name: Shown in tables.
        bundle: Its bundle.
        engines: Variant -> what embeds crops and frames.
        module: The torch network that the bundle was exported from, if it is at hand.
    """

    name: str
    bundle: Bundle
    engines: dict[str, EngineEmbedder] = field(default_factory=dict)
    module: Any = None


def real_crops(folder: Path, size: tuple[int, int], most: int) -> np.ndarray:
    """Pictures spread over a folder, resized: ``[N, H, W, 3]`` uint8 BGR."""
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".png"))
    chosen = files[:: max(1, len(files) // most)][:most]
    return np.stack([cv2.resize(cv2.imread(str(p)), size[::-1], interpolation=cv2.INTER_LINEAR) for p in chosen])


@dataclass(frozen=True)
class Loading:
    """How engines are opened: where graphs made for this are kept, crops for int8's ranges, threads, and where to say
    what is left out."""

    work: Path
    crops: Path | None
    threads: int | None
    say: Callable[[str], None]


def open_subject(name: str, load: Loading, checkpoint: Path | None = None) -> Subject:
    """All variants of a bundle that run here; int8 is made on the spot where the bundle has none."""
    bundle = load_bundle(shipped_engines().get(name, Path(name)))
    form = bundle.manifest.input
    variants = dict(bundle.compiled.graphs().variants)
    if load.crops is not None:
        for runtime in ("openvino", "onnxruntime"):
            if "int8" not in variants and f"{runtime}/int8" not in variants:
                variants[f"{runtime}/int8"] = _int8(bundle, load.work, load.crops, runtime)
    subject = Subject(bundle.manifest.name, bundle)
    files = GraphFiles(bundle.model, variants)
    for runtime, precision in VARIANTS:
        if precision == "int8" and files.graph(runtime, precision) is None:
            continue
        try:
            loaded = load_runtime(files, runtime=runtime, precision=precision, image=form.image(), threads=load.threads)
            if loaded.precision == precision:
                subject.engines[f"{runtime} {precision}"] = EngineEmbedder(
                    bundle, EngineConfig(min_height=0), runtime=loaded
                )
        except StreamReIDError as error:
            load.say(f"{subject.name} on {runtime} in {precision}: left out ({error})")
    if checkpoint is not None:
        network = importlib.import_module("streamreid.training.checkpoint").load_network(checkpoint)[0]
        subject.module = importlib.import_module("streamreid.training.export").Exportable(network).eval()
    return subject


def _int8(bundle: Bundle, work: Path, crops: Path, runtime: str) -> Path:
    import onnx

    path = work / f"{bundle.fingerprint[:16]}.{runtime}.int8.onnx"
    if not path.is_file():
        form = bundle.manifest.input
        pictures = form.image().apply(real_crops(crops, (form.height, form.width), 96))
        onnx.save(
            quantised_graph(onnx.load(str(bundle.model)), pictures, symmetric=False, fused=runtime == "openvino"),
            str(path),
        )
    return path


def resnet50(work: Path, crops: Path) -> tuple[Path, Any]:
    """A ResNet-50 part network of random weights, its normalisations fitted to real crops, exported as a bundle.

    Returns:
        The bundle's folder and the torch module that it was exported from.
    """
    torch = importlib.import_module("torch")
    network_module, recipe = (
        importlib.import_module("streamreid.training.network"),
        importlib.import_module("streamreid.training.recipe"),
    )
    export = importlib.import_module("streamreid.training.export")
    torch.manual_seed(0)
    settings = recipe.NetworkConfig(backbone="resnet50", dim=256, predictor="context", visibility="area")
    network = network_module.PartNetwork(settings).eval()
    folder, state = work / "resnet50", work / "resnet50.pt"
    if state.is_file() and folder.is_dir():
        with contextlib.suppress(RuntimeError):  # kept by an earlier version of the network: made anew
            network.load_state_dict(torch.load(state, weights_only=True))
            return folder, export.Exportable(network).eval()
    _fit_normalisations(torch, network, real_crops(crops, (256, 128), 64))
    export.export_onnx(network, work / "resnet50.onnx")
    parts = ("foreground", *(f"part{i}" for i in range(1, network.shape[0])))
    manifest = BundleManifest(
        name="resnet50-pab",
        description="random weights, for timing",
        input=InputFormat(height=256, width=128, color="bgr", scale=(1.0, 1.0, 1.0), bias=(0.0, 0.0, 0.0)),
        outputs=OutputNames(parts="parts", visibility="visibility"),
        parts=parts,
        dim=256,
        calibration=CalibrationValues(slope=10.0, intercept=-5.0),
    )
    write_bundle(folder, manifest, {"model.onnx": work / "resnet50.onnx"}, force=True)
    torch.save(network.state_dict(), state)
    return folder, export.Exportable(network).eval()


def _fit_normalisations(torch: Any, network: Any, pictures: np.ndarray) -> None:
    """Means and deviations of all normalisations, so that random weights give features that differ between people."""
    data = torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy()).float()
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            module.reset_running_stats()
            module.momentum = None  # a plain average over all batches
    network.train()
    with torch.no_grad():
        for start in range(0, len(data), 16):
            network(data[start : start + 16])
    network.eval()


def torch_call(module: Any, precision: str) -> Callable[[np.ndarray], Any]:
    """torch eager, channels last: from uint8 crops to arrays."""
    torch = importlib.import_module("torch")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = module.to(device, memory_format=torch.channels_last)

    def run(crops: np.ndarray) -> Any:
        half = precision == "bf16"
        with torch.inference_mode(), torch.autocast(device, dtype=torch.bfloat16, enabled=half):
            data = (
                torch.from_numpy(crops)
                .to(device)
                .permute(0, 3, 1, 2)
                .float()
                .contiguous(memory_format=torch.channels_last)
            )
            return [o.float().cpu().numpy() for o in network(data)]

    return run


def boxmot_call(weights: Path) -> Callable[[np.ndarray, np.ndarray], Any]:
    """BoxMOT's ONNX path: from a frame and boxes to features. Its installing of packages at run time is switched
    off."""
    torch = importlib.import_module("torch")
    checks = importlib.import_module("boxmot.utils.checks")
    checks.RequirementsChecker.check_packages = lambda *_, **__: None
    backend = importlib.import_module("boxmot.reid.backends.onnx_backend").ONNXBackend(
        weights, torch.device("cpu"), False
    )
    return lambda image, boxes: backend.get_features(boxes, image)
