"""Any Ultralytics .pt model that gives boxes, through the optional package."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamreid._startup import starting
from streamreid.config import DetectorConfig
from streamreid.detection.base import check_pictures
from streamreid.detection.inputs import person_classes
from streamreid.errors import DetectorError, MissingExtraError
from streamreid.types import Detections, Frame

__all__ = ["UltralyticsDetector"]


class UltralyticsDetector:
    """Runs a .pt file with the ``ultralytics`` package (detect, segment and pose models).

    Args:
        path: The file.
        config: Confidence, suppression, input size, classes.

    Raises:
        MissingExtraError: The extra ``ultralytics`` is not installed.
        DetectorError: The file is missing or is not a model with boxes.
    """

    def __init__(self, path: str | Path, config: DetectorConfig) -> None:
        self._path = Path(path)
        self._config = config
        if not self._path.is_file():
            raise DetectorError(f"{self._path}: no such file")
        try:
            with starting("importing ultralytics"):
                from ultralytics import YOLO
        except ImportError:
            raise MissingExtraError("ultralytics", "ultralytics", f"the detector {self._path.name}") from None
        try:
            self._model: Any = YOLO(str(self._path))
        except Exception as error:
            raise DetectorError(f"{self._path}: Ultralytics cannot load it: {error}") from None
        if self._model.task not in ("detect", "segment", "pose"):
            raise DetectorError(
                f"{self._path}: an Ultralytics model for the task '{self._model.task}' has no upright boxes; use one "
                "for detect, segment or pose"
            )
        self.name = self._path.stem
        self._classes = self._person_classes()

    @property
    def fingerprint(self) -> str:
        """Hash of the file and of every setting that changes boxes."""
        settings = self._config.model_dump(mode="json", include={"confidence", "iou", "size"}) | {
            "classes": list(self._classes)
        }
        digest = hashlib.sha256(self._path.read_bytes())
        digest.update(json.dumps(settings | {"runtime": "ultralytics"}, sort_keys=True).encode())
        return digest.hexdigest()

    def __call__(self, frames: Sequence[Frame]) -> list[Detections]:
        """See ``Detector``.

        Raises:
            DetectorError: A frame without a picture.
        """
        check_pictures(frames)
        results = [Detections.empty()] * len(frames)
        # Pictures of one size go together: Ultralytics pads a mixed batch to squares, which would change the boxes of a
        # camera with its company.
        groups: dict[tuple[int, int], list[int]] = {}
        for row, frame in enumerate(frames):
            groups.setdefault(frame.size, []).append(row)
        for rows in groups.values():
            for start in range(0, len(rows), self._config.batch):
                part = rows[start : start + self._config.batch]
                for row, found in zip(part, self._predict([frames[r] for r in part]), strict=True):
                    results[row] = found
        return results

    def _person_classes(self) -> tuple[int, ...]:
        if self._config.classes is not None:
            return self._config.classes
        names = {int(k): str(v) for k, v in dict(getattr(self._model, "names", None) or {0: "person"}).items()}
        found = person_classes(names)
        if not found:
            listed = ", ".join(f"{k} '{v}'" for k, v in list(names.items())[:12])
            raise DetectorError(
                f"{self._path}: none of its classes is people: {listed}. Say which of them to follow: detector: "
                f"{{classes: [...]}}"
            )
        return found

    def _predict(self, frames: list[Frame]) -> list[Detections]:
        config = self._config
        results = self._model.predict(
            [frame.image for frame in frames],
            conf=config.confidence,
            iou=config.iou,
            imgsz=config.longest_side or 640,
            classes=list(self._classes),
            agnostic_nms=True,
            verbose=False,
        )
        return [self._read(result) for result in results]

    def _read(self, result: Any) -> Detections:
        if result.boxes is None:
            return Detections.empty()
        boxes, scores, classes = (np.asarray(v.cpu()) for v in (result.boxes.xyxy, result.boxes.conf, result.boxes.cls))
        good = np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        return Detections.from_arrays(boxes, scores, classes)[good]

    def __repr__(self) -> str:
        return f"UltralyticsDetector({self.name})"
