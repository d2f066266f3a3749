"""Wrap a plain global ReID model, ONNX or OpenVINO IR, as an engine bundle."""

from __future__ import annotations

import datetime
import logging
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from streamreid.compiling.bundle_folder import bundle_name, bundled_files
from streamreid.config import EngineConfig
from streamreid.errors import EngineError
from streamreid.reid.bundle import Bundle, BundleManifest, CalibrationValues, InputFormat, OutputNames, write_bundle
from streamreid.reid.embedder import EngineEmbedder
from streamreid.reid.link_calibration import fit_calibration
from streamreid.reid.model_trial import GOOD, Figures, faults, feature_output, measure_preset, trial_pictures
from streamreid.runtimes import ImageInput, PictureAxes, Runtime, load_runtime

__all__ = ["PRESETS", "ImportOptions", "Preset", "import_bundle"]

log = logging.getLogger(__name__)

Preset = Literal["imagenet", "openvino", "bytes", "unit", "half"]
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation per channel of ImageNet's RGB pictures in 0..1, which most training code normalises by."""

PRESETS: dict[str, dict[str, object]] = {
    "imagenet": {
        "color": "rgb",
        "scale": tuple(1 / (255 * d) for d in _DEVIATION),
        "bias": tuple(-m / d for m, d in zip(_MEAN, _DEVIATION, strict=True)),
    },
    "openvino": {"color": "bgr", "scale": (1.0, 1.0, 1.0), "bias": (0.0, 0.0, 0.0)},
    "bytes": {"color": "rgb", "scale": (1.0, 1.0, 1.0), "bias": (0.0, 0.0, 0.0)},
    "unit": {"color": "rgb", "scale": (1 / 255, 1 / 255, 1 / 255), "bias": (0.0, 0.0, 0.0)},
    "half": {"color": "rgb", "scale": (1 / 127.5, 1 / 127.5, 1 / 127.5), "bias": (-1.0, -1.0, -1.0)},
}
"""Colour and normalisation: "imagenet" is RGB with ImageNet's mean and deviation, "openvino" BGR from 0 to 255, "bytes"
RGB from 0 to 255 (normalisation inside the graph, as fast-reid exports it), "unit" RGB from 0 to 1, "half" RGB from -1
to 1 (mean and deviation 0.5: TransReID, CLIP-ReID)."""

_MEANING = {
    "imagenet": "RGB, ImageNet mean and deviation",
    "openvino": "BGR, 0 to 255",
    "bytes": "RGB, 0 to 255",
    "unit": "RGB, 0 to 1",
    "half": "RGB, -1 to 1",
}

_FAR = 0.12
"""Another preset is taken (or, where one was asked for, named) if it ranks so many more pairs right. With OSNet, right
ones rank 0.99 and wrong ranges 0.65 to 0.78; ranges that are all around 0 or 1 differ by a few hundredths only, which
drawn people cannot decide."""

# Two global models fitted on the same pictures were even at cosine 0.31 and 0.54 (slopes 30 and 24): no single value is
# right for all. This one lies between them and is deliberately less sure of itself.
_DEFAULT = CalibrationValues(slope=15.0, intercept=-6.5, source="default")


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How the model wants its pictures.

    Args:
        name: Name of the engine; the file's name by default.
        preset: A key of `PRESETS`; by default guessed from the kind of file and tried.
        output: Name of the output that is the feature, where there are several.
        pictures: Folder of crops to try the model on, beside drawn people; Market-1501 names say who is shown.
        untested: Import it although the trial speaks against it.
        height: Height of a crop; the graph's own, or 256.
        width: Width of a crop; the graph's own, or 128.
        licence: Of the model.
        description: One sentence.
    """

    name: str | None = None
    preset: Preset | None = None
    output: str | None = None
    pictures: Path | None = None
    untested: bool = False
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
    tried: Callable[[Figures], None] | None = None,
) -> Bundle:
    """Wrap a global ReID model, which then behaves as one part that is always visible.

    Args:
        model_path: An .onnx file or the .xml of an OpenVINO IR.
        out: Folder to create.
        options: How the model wants its pictures.
        calibrate_on: Folder of known people (Market-1501 names) to fit the probability on.
        force: Replace an existing bundle.
        progress: Called with pictures done and in all while calibrating.
        tried: Called with how the model did on each set of pictures.

    Raises:
        EngineError: Not a model with one global feature, it does not tell people apart on pictures, or ``out`` exists.
        DataError: Nothing to calibrate on in that folder.
    """
    path, options = Path(model_path), options or ImportOptions()
    name = bundle_name(options.name, out)
    runtime = load_runtime(path, precision="fp32")
    if options.preset is not None and options.preset not in PRESETS:
        raise EngineError(f"unknown preset '{options.preset}'; known: {', '.join(PRESETS)}")
    height, width = _size(runtime, options, path)
    output, dim = feature_output(runtime, (height, width), path, options.output)
    preset = _tried(runtime, output, (height, width), path, options, tried)
    target = "model.xml" if path.suffix.lower() == ".xml" else "model.onnx"
    files = bundled_files(path)
    manifest = BundleManifest(
        name=name,
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
            "%s: not calibrated, a general default is used; pass --calibrate-on FOLDER with pictures of known people",
            manifest.name,
        )
    else:
        manifest = manifest.model_copy(update={"calibration": _calibrate(manifest, files, calibrate_on, progress)})
    return write_bundle(out, manifest, files, force=force)


def _tried(
    runtime: Runtime,
    output: str,
    size: tuple[int, int],
    path: Path,
    options: ImportOptions,
    told: Callable[[Figures], None] | None,
) -> str:
    """The preset, after a trial of the model on pictures.

    Raises:
        EngineError: The trial speaks against the model.
    """
    first, *further = trial_pictures(size, options.pictures)
    images = {name: _image(name) for name in PRESETS if not runtime.inputs[0].whole or _image(name).identity}
    if options.preset is not None and options.preset not in images:
        raise EngineError(
            f"{path}: its input {runtime.inputs[0]} takes whole pixels from 0 to 255, so '{options.preset}' cannot "
            f"be; use {' or '.join(images)}"
        )
    found = {name: measure_preset(runtime, output, image, first) for name, image in images.items()}
    usual = next(
        name
        for name in ("openvino", "imagenet", "bytes")
        if name in images and (name == "openvino") == (path.suffix.lower() == ".xml")
    )
    sound = [name for name, figures in found.items() if not faults([figures])[0]]
    best = max(sound or found, key=lambda name: found[name].ranked or 0.0)
    preset: str = options.preset or usual
    lead = (found[best].ranked or 0.0) - (found[preset].ranked or 0.0)
    if (lead > _FAR or preset not in sound) and best in sound and (found[best].ranked or 0.0) >= GOOD:
        sentence = (
            f"{path.name}: with preset '{best}' ({_MEANING[best]}) {found[best].ranked:.2f} of the pairs are ranked "
            f"right, with '{preset}' ({_MEANING[preset]}) {found[preset].ranked:.2f} ({first.source})"
        )
        if options.preset is None:
            log.warning("%s; it is imported with '%s'", sentence, best)
            preset = best
        elif not options.untested:
            raise EngineError(f"{sentence}. Import it with --preset {best}, or with --untested if you are sure")
    elif options.preset is None:
        log.warning(
            "%s: input preset '%s' (%s) guessed from the kind of file, and tried; pass --preset if the model wants "
            "another",
            path.name, preset, _MEANING[preset],
        )  # fmt: skip
    figures = [found[preset], *(measure_preset(runtime, output, images[preset], more) for more in further)]
    for one in figures:
        log.info("%s: %s", path.name, one)
        if told is not None:
            told(one)
    wrong, doubtful = faults(figures)
    if wrong and not options.untested:
        raise EngineError(
            f"{path}: imported as an engine it would not tell people apart: {'; '.join(wrong)}. Check --preset "
            f"({', '.join(PRESETS)}), --output and the export; try it on your own crops with --pictures FOLDER, or "
            "import it all the same with --untested"
        )
    for sentence in wrong + doubtful:
        log.warning(
            "%s: %s. Check --preset (%s), --output and the export; --pictures FOLDER tries it on your own crops",
            path.name,
            sentence,
            ", ".join(PRESETS),
        )
    return preset


def _image(preset: str) -> ImageInput:
    return InputFormat.model_validate({"height": 8, "width": 8, **PRESETS[preset]}).image()


def _size(runtime: Runtime, options: ImportOptions, path: Path) -> tuple[int, int]:
    axes = PictureAxes.of(runtime.inputs[0])
    if axes is None:
        raise EngineError(
            f"{path}: expected pictures [N, 3, H, W] or [N, H, W, 3] as input, the graph has {runtime.inputs[0]}"
        )
    result = []
    for fixed, wanted, usual, what in (
        (axes.height, options.height, 256, "height"),
        (axes.width, options.width, 128, "width"),
    ):
        if fixed is not None and wanted is not None and wanted != fixed:
            raise EngineError(f"{path}: {what} {wanted} was asked for, but the graph takes only {fixed}")
        result.append(fixed or wanted or usual)
    return result[0], result[1]


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
