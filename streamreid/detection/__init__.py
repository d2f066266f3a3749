"""Detection: who is in the frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamreid._lazy import lazily

if TYPE_CHECKING:
    from streamreid.detection.base import Detector
    from streamreid.detection.factory import detector_checksum, missing_boxes, missing_detector, open_detector
    from streamreid.detection.mot_file import BoxFileDetector, MotFileDetector
    from streamreid.detection.onnx_detector import OnnxDetector
    from streamreid.detection.ultralytics_detector import UltralyticsDetector


__all__ = [
    "BoxFileDetector",
    "Detector",
    "MotFileDetector",
    "OnnxDetector",
    "UltralyticsDetector",
    "detector_checksum",
    "missing_boxes",
    "missing_detector",
    "open_detector",
]

__getattr__ = lazily(
    __name__,
    {
        "Detector": "base",
        "detector_checksum": "factory",
        "missing_boxes": "factory",
        "missing_detector": "factory",
        "open_detector": "factory",
        "BoxFileDetector": "mot_file",
        "MotFileDetector": "mot_file",
        "OnnxDetector": "onnx_detector",
        "UltralyticsDetector": "ultralytics_detector",
    },
)
