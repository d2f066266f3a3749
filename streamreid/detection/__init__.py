"""Detection: who is in the frame."""

from streamreid.detection.base import Detector
from streamreid.detection.factory import detector_checksum, open_detector
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
    "open_detector",
]
