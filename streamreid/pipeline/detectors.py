"""Which detector the cameras of a configuration need."""

from __future__ import annotations

from pathlib import Path

from streamreid.config import Config
from streamreid.detection import BoxFileDetector, Detector, open_detector
from streamreid.sources import is_box_file

__all__ = ["box_files", "open_detectors"]


def box_files(config: Config) -> dict[str, Path]:
    """Cameras that are text files of boxes, whose people need not be found; none where another file of boxes was asked
    for."""
    if config.detector.model.startswith("mot:"):
        return {}
    return {c.name: Path(c.uri) for c in config.cameras if is_box_file(c)}


def open_detectors(config: Config) -> Detector:
    """The configured detector; for cameras that are text files, the boxes in them. Where all are, no detector is
    opened.

    Raises:
        DetectorError, WeightsError, MissingExtraError: See `open_detector`.
    """
    files = box_files(config)
    if not files:
        return open_detector(config.detector)
    others = open_detector(config.detector) if len(files) < len(config.cameras) else None
    return BoxFileDetector(files, config.detector, others)
