"""From the configuration to a detector."""

from __future__ import annotations

from pathlib import Path

from streamreid import weights
from streamreid.config import DetectorConfig
from streamreid.detection.base import Detector
from streamreid.detection.mot_file import MotFileDetector
from streamreid.detection.onnx_detector import OnnxDetector
from streamreid.detection.ultralytics_detector import UltralyticsDetector
from streamreid.errors import DetectorError

__all__ = ["open_detector"]


def open_detector(config: DetectorConfig) -> Detector:
    """Open the detector that the configuration names.

    Args:
        config: ``model`` is a file (.onnx, .xml, .pt), 'mot:FOLDER', 'mot:FILE.txt', or the name of known weights.

    Raises:
        DetectorError: No such file or an unknown layout.
        WeightsError: Known weights that are not on this machine.
        MissingExtraError: A .pt file without the extra ``ultralytics``.
    """
    model = config.model
    if model.startswith("mot:"):
        return MotFileDetector(Path(model[4:]).expanduser(), config)
    path = Path(model).expanduser()
    suffix = path.suffix.lower()
    if suffix in (".onnx", ".xml", ".pt") or path.exists() or "/" in model:
        if not path.is_file():
            raise DetectorError(f"detector {path}: no such file")
    else:
        path = weights.get(model)
        suffix = path.suffix.lower()
    if suffix == ".pt":
        return UltralyticsDetector(path, config)
    if suffix not in (".onnx", ".xml"):
        raise DetectorError(
            f"detector {path}: expected an .onnx, .xml or .pt file, 'mot:FOLDER', or a name (see `streamreid weights list`)"
        )
    return OnnxDetector(path, config)
