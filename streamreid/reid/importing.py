"""Wrap a plain global ReID model, ONNX or OpenVINO IR, as an engine bundle."""

from __future__ import annotations

import datetime
import logging
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from streamreid.compiling.folders import bundled_files
from streamreid.config import EngineConfig
from streamreid.errors import EngineError
from streamreid.reid.bundle import Bundle, BundleManifest, CalibrationValues, InputFormat, OutputNames, write_bundle
from streamreid.reid.calibrating import fit_calibration
from streamreid.reid.embedder import EngineEmbedder
from streamreid.runtimes import Runtime, load_runtime

__all__ = ["PRESETS", "ImportOptions", "import_bundle"]

log = logging.getLogger(__name__)

Preset = Literal["imagenet", "openvino"]
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PRESETS: dict[str, dict[str, object]] = {
    "imagenet": {
        "color": "rgb",
        "scale": tuple(1 / (255 * d) for d in _DEVIATION),
        "bias": tuple(-m / d for m, d in zip(_MEAN, _DEVIATION, strict=True)),
    },
    "openvino": {"color": "bgr", "scale": (1.0, 1.0, 1.0), "bias": (0.0, 0.0, 0.0)},
}
"""Colour and normalisation: "imagenet" is RGB with ImageNet's mean and deviation, "openvino" is BGR from 0 to 255."""

# Two global models fitted on the same pictures were even at cosine 0.31 and 0.54 (slopes 30 and 24): no single value is right for all.
# This one lies between them and is deliberately less sure of itself.
_DEFAULT = CalibrationValues(slope=15.0, intercept=-6.5, source="default")


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How the model wants its pictures.

    Args:
        name: Name of the engine; the file's name by default.
        preset: "imagenet" or "openvino"; guessed from the kind of file by default.
        height: Height of a crop; the graph's own, or 256.
        width: Width of a crop; the graph's own, or 128.
        licence: Of the model.
        description: One sentence.
    """

    name: str | None = None
    preset: Preset | None = None
    height: int | None = None
    width: int | None = None
    licence: str = "unknown"
    description: str = ""


def import_bundle(
    model_path: str | Path,
    out: str | Path,
    options: ImportOptions | None = None,
    *,
    calibrate_on: Path | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Bundle:
    """Wrap a global ReID model, which then behaves as one part that is always visible.

    Args:
        model_path: An .onnx file or the .xml of an OpenVINO IR.
        out: Folder to create.
        options: How the model wants its pictures.
        calibrate_on: Folder of known people (Market-1501 names) to fit the probability on.
        force: Replace an existing bundle.
        progress: Called with pictures done and in all while calibrating.

    Raises:
        EngineError: Not a model with one global feature, or ``out`` exists.
        DataError: Nothing to calibrate on in that folder.
    """
    path, options = Path(model_path), options or ImportOptions()
    runtime = load_runtime(path, precision="fp32")
    preset = options.preset or _guess(path)
    if preset not in PRESETS:
        raise EngineError(f"unknown preset '{preset}'; known: {', '.join(PRESETS)}")
    height, width = _size(runtime, options, path)
    output, dim = _feature(runtime, (height, width), path)
    target = "model.xml" if path.suffix.lower() == ".xml" else "model.onnx"
    files = bundled_files(path)
    manifest = BundleManifest(
        name=options.name or Path(out).name,
        description=options.description or f"Global ReID model, imported from {path.name}",
        licence=options.licence,
        model=target,
        input=InputFormat.model_validate({"height": height, "width": width, **PRESETS[preset]}),
        outputs=OutputNames(parts=output),
        dim=dim,
        calibration=_DEFAULT,
        created=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        version=_version(),
    )
    if calibrate_on is None:
        log.warning(
            "%s: not calibrated, a general default is used; pass --calibrate-on FOLDER with pictures of known people", manifest.name
        )
    else:
        manifest = manifest.model_copy(update={"calibration": _calibrate(manifest, files, calibrate_on, progress)})
    return write_bundle(out, manifest, files, force=force)


def _guess(path: Path) -> Preset:
    preset: Preset = "openvino" if path.suffix.lower() == ".xml" else "imagenet"
    meaning = "BGR, 0 to 255" if preset == "openvino" else "RGB, ImageNet mean and deviation"
    log.warning(
        "%s: input preset '%s' (%s) guessed from the kind of file; pass --preset if the model wants another", path.name, preset, meaning
    )
    return preset


def _size(runtime: Runtime, options: ImportOptions, path: Path) -> tuple[int, int]:
    info = runtime.inputs[0]
    if len(info.shape) != 4 or info.shape[1] not in (3, None):
        raise EngineError(f"{path}: expected pictures [N, 3, H, W] as input, the graph has {info}")
    result = []
    for axis, wanted, usual, what in ((2, options.height, 256, "height"), (3, options.width, 128, "width")):
        fixed = info.shape[axis]
        if fixed is not None and wanted is not None and wanted != fixed:
            raise EngineError(f"{path}: {what} {wanted} was asked for, but the graph takes only {fixed}")
        result.append(fixed or wanted or usual)
    return result[0], result[1]


def _feature(runtime: Runtime, size: tuple[int, int], path: Path) -> tuple[str, int]:
    """Name and length of the global feature, told from a run on two grey pictures."""
    outputs = runtime(np.zeros((2, 3, *size), np.float32))
    for info, output in zip(runtime.outputs, outputs, strict=True):
        if output.ndim >= 2 and len(output) == 2 and output.size == 2 * output.shape[1] and output.shape[1] >= 8:
            return info.name, int(output.shape[1])
    found = ", ".join(f"{i} -> {list(o.shape)}" for i, o in zip(runtime.outputs, outputs, strict=True))
    raise EngineError(f"{path}: no global feature [N, D] or [N, D, 1, 1] among its outputs for two pictures: {found}")


def _calibrate(
    manifest: BundleManifest, files: dict[str, Path], folder: Path, progress: Callable[[int, int], None] | None
) -> CalibrationValues:
    with tempfile.TemporaryDirectory() as scratch:
        draft = write_bundle(Path(scratch) / "draft", manifest, files)
        embedder = EngineEmbedder(draft, EngineConfig(precision="fp32", min_height=0))
        fitted = fit_calibration(embedder, folder, progress=progress)
    return CalibrationValues(**asdict(fitted))


def _version() -> str:
    from streamreid._version import __version__

    return __version__
