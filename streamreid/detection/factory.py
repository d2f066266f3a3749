"""From the configuration to a detector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streamreid import weights
from streamreid._startup import starting
from streamreid.compiling.bundle_folder import MANIFEST
from streamreid.compiling.policy import LoadOptions, open_graph
from streamreid.config import DetectorConfig
from streamreid.detection.auto_detector import AUTO, auto_detector, find_auto_detector
from streamreid.detection.base import Detector
from streamreid.detection.bundle import load_detector_bundle
from streamreid.detection.mot_file import MotFileDetector
from streamreid.detection.onnx_detector import OnnxDetector
from streamreid.detection.ultralytics_detector import UltralyticsDetector
from streamreid.errors import DataError, DetectorError, EngineError, WeightsError
from streamreid.files import searched_from
from streamreid.runtimes import ImageInput, Runtime, graph_sha256

__all__ = ["detector_checksum", "missing_boxes", "missing_detector", "open_detector"]


def open_detector(config: DetectorConfig) -> Detector:
    """Open the detector that the configuration names.

    Args:
        config: ``model`` is a file (.onnx, .xml, .pt), the folder of a detector bundle, 'mot:FOLDER', 'mot:FILE.txt',
            'auto' (see ``auto_detector``), or the name of known weights.

    Raises:
        DetectorError: No such file or an unknown layout.
        WeightsError: Known weights that are not on this machine.
        MissingExtraError: A .pt file without the extra ``ultralytics``.
    """
    with starting(f"detector '{config.model}'"):
        return _open(config)


def _open(config: DetectorConfig) -> Detector:
    model = config.model
    if model.startswith("mot:"):
        return MotFileDetector(Path(model[4:]).expanduser(), config)
    path = Path(model).expanduser()
    suffix = path.suffix.lower()
    if path.is_dir():
        graph = exported_graph(path)
        return _from_bundle(path, config) if graph is None else _named(OnnxDetector(graph, config), path)
    if _is_path(model):
        if not path.is_file():
            raise DetectorError(f"detector {path}: no such file{searched_from(path)}")
    else:
        path = auto_detector() if model == AUTO else weights.get(model)
        suffix = path.suffix.lower()
    if suffix == ".pt":
        return UltralyticsDetector(path, config)
    if suffix not in (".onnx", ".xml"):
        raise DetectorError(
            f"detector {path}: expected an .onnx, .xml or .pt file, 'mot:FOLDER', or a name (see `streamreid weights "
            "list`)"
        )
    return OnnxDetector(path, config)


def _is_path(model: str) -> bool:
    """Whether a model is meant as a file or folder, not as a name."""
    path = Path(model).expanduser()
    return path.suffix.lower() in (".onnx", ".xml", ".pt") or path.exists() or "/" in model


def missing_detector(config: DetectorConfig) -> str | None:
    """What is not on this machine of the detector that the configuration names, without opening it.

    Returns:
        A sentence, or None: it is there, or a run fetches it.

    Raises:
        WeightsError: It is a name that nothing has.
    """
    model = config.model
    boxes = model.startswith("mot:")
    if boxes or _is_path(model):
        path, what = Path(model.removeprefix("mot:")).expanduser(), "file or folder" if boxes else "file"
        return None if path.exists() else f"{path}: no such {what} on this machine{searched_from(path)}"
    if model != AUTO:
        weights.entries(model)
    return None


def missing_boxes(config: DetectorConfig, cameras: Sequence[str]) -> list[str]:
    """For which cameras there are no boxes, where the configuration has them read from files; a sentence each.

    Args:
        config: Of a detector.
        cameras: Names of all cameras.

    Raises:
        DetectorError: The folder or file itself is not on this machine.
    """
    if not config.model.startswith("mot:"):
        return []
    detector = MotFileDetector(Path(config.model[4:]).expanduser(), config)
    found = []
    for i, camera in enumerate(cameras):
        try:
            detector.file_of(camera, beside=cameras[:i])
        except DataError as error:
            found.append(str(error))
    return found


def exported_graph(folder: Path) -> Path | None:
    """The graph of a folder that an exporter wrote, such as Ultralytics' yolo11n_openvino_model/; None for a bundle and
    anything else."""
    if (folder / MANIFEST).is_file():
        return None
    graphs = [
        p for p in sorted(folder.iterdir()) if p.suffix.lower() in (".onnx", ".xml") and not p.name.startswith(".")
    ]
    return graphs[0] if len(graphs) == 1 else None


def _named(detector: OnnxDetector, folder: Path) -> OnnxDetector:
    """Exporters call every graph 'model' or so; the folder's name says more."""
    detector.name = folder.resolve().name.removesuffix("_openvino_model") or detector.name
    return detector


def _from_bundle(folder: Path, config: DetectorConfig) -> Detector:
    bundle = load_detector_bundle(folder)
    options = LoadOptions(config.runtime, config.precision)

    def opener(image: ImageInput) -> Runtime:
        return open_graph(bundle.compiled, options, on_mismatch=config.on_mismatch, image=image)

    detector = OnnxDetector(bundle.model, config, opener=opener, metadata=bundle.manifest.metadata)
    detector.name = bundle.manifest.name
    return detector


def detector_checksum(config: DetectorConfig) -> str | None:
    """Hash of the detector's file (or of the boxes to be read), without loading or fetching it.

    Returns:
        None if it is not on this machine.
    """
    if config.model.startswith("mot:"):
        folder = Path(config.model[4:]).expanduser()
        return MotFileDetector(folder, config).checksum if folder.exists() else None
    path: Path | None = Path(config.model).expanduser()
    if path is not None and path.is_dir() and (graph := exported_graph(path)) is not None:
        path = graph
    elif path is not None and path.is_dir():
        try:
            bundle = load_detector_bundle(path)
        except DetectorError:
            return None
        return bundle.compiled.checksum
    if path is None or not path.is_file():
        try:
            path = find_auto_detector() if config.model == AUTO else weights.find(config.model)
        except WeightsError:
            return None
    try:
        return None if path is None else graph_sha256(path)
    except EngineError:
        return None
