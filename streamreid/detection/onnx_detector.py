"""Detectors of the YOLO family as ONNX or OpenVINO IR files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from streamreid.config import DetectorConfig
from streamreid.detection.base import check_pictures
from streamreid.detection.heads import Head, read_boxes, recognise
from streamreid.detection.letterbox import Letterbox, blank
from streamreid.detection.nms import non_maximum_suppression
from streamreid.errors import DetectorError, EngineError
from streamreid.runtimes import ImageInput, Runtime, graph_files, load_runtime
from streamreid.types import Detections, FloatArray, Frame

__all__ = ["OnnxDetector"]

_ULTRALYTICS = ImageInput("rgb")
_YOLOX = ImageInput("bgr", scale=(1.0, 1.0, 1.0))


class OnnxDetector:
    """Runs an .onnx detector whose output layout is recognised from the graph.

    Args:
        path: The file.
        config: Confidence, suppression, input size, classes, runtime.
        opener: Opens a compiled form of the file instead (see ``detection.bundle``), with pictures as input.
        metadata: What the exporter wrote into the file, where the compiled form does not hold it.
        fixed: Width and height to give the graph always, though it would take any.

    Raises:
        DetectorError: The file is missing or damaged, or its outputs have no known layout.
    """

    def __init__(
        self,
        path: str | Path,
        config: DetectorConfig,
        *,
        opener: Callable[[ImageInput], Runtime] | None = None,
        metadata: Mapping[str, str] | None = None,
        fixed: tuple[int, int] | None = None,
    ) -> None:
        self._path = Path(path)
        self._opener = opener
        self._config = config
        self.name = self._path.stem
        self._image = _ULTRALYTICS
        self._runtime = self._load(_ULTRALYTICS)
        self.metadata: Mapping[str, str] = self._runtime.metadata or metadata or {}
        self._fixed = self._fixed_size() or fixed
        self.stride = _stride(self.metadata)
        self._head = self._recognise()
        if self._head.layout == "yolox":
            self._image = _YOLOX
            self._runtime = self._load(_YOLOX)
        top = max(config.classes)
        if self._head.layout != "nms" and top >= self._head.classes:
            raise DetectorError(
                f"{self._path}: classes {list(config.classes)} were asked for, but this model knows {self._head.classes} (0 to {self._head.classes - 1})"
            )
        self.precision = self._runtime.precision
        self.runtime = self._runtime.name

    @property
    def layout(self) -> str:
        """Which of the known output layouts the graph has."""
        return self._head.layout

    @property
    def fingerprint(self) -> str:
        """Hash of the file and of every setting that changes boxes."""
        settings = self._config.model_dump(mode="json", include={"confidence", "iou", "size", "classes"})
        settings |= {"runtime": self.runtime, "precision": self.precision}
        digest = hashlib.sha256()
        for file in graph_files(self._path).values():
            digest.update(file.read_bytes())
        digest.update(json.dumps(settings, sort_keys=True).encode())
        return digest.hexdigest()

    def __call__(self, frames: Sequence[Frame]) -> list[Detections]:
        """See ``Detector``.

        Raises:
            DetectorError: A frame without a picture.
        """
        check_pictures(frames)
        boxes = [self._letterbox(frame.size) for frame in frames]
        groups: dict[tuple[int, int], list[int]] = {}
        for row, box in enumerate(boxes):
            groups.setdefault(box.outer, []).append(row)
        results = [Detections.empty()] * len(frames)
        for outer, rows in groups.items():
            for start in range(0, len(rows), self._config.batch):
                part = rows[start : start + self._config.batch]
                batch = blank(len(part), outer)
                for target, row in zip(batch, part, strict=True):
                    boxes[row].draw(frames[row].image, target)
                outputs = self._run(batch)
                for output, row in zip(outputs, part, strict=True):
                    results[row] = self._read(output, boxes[row])
        return results

    def raw(self, frames: Sequence[Frame]) -> list[FloatArray]:
        """What the graph gives for each frame, before boxes are read from it."""
        results: list[FloatArray] = []
        for start in range(0, len(frames), self._config.batch):
            part = frames[start : start + self._config.batch]
            boxes = [self._letterbox(frame.size) for frame in part]
            if len({box.outer for box in boxes}) > 1:  # frames of several sizes do not share a batch
                results += [output for frame in part for output in self.raw([frame])]
                continue
            results += list(self._run(self._drawn(part, boxes)))
        return results

    def prepare(self, frames: Sequence[Frame]) -> FloatArray:
        """Frames as the graph's own input ``[N, 3, H, W]``, all of the largest size; for calibration."""
        length = -(-self._config.size // self.stride) * self.stride
        side = self._fixed or (length, length)
        boxes = [Letterbox.fixed(frame.size, side, centred=self._head.layout != "yolox") for frame in frames]
        return self._image.apply(self._drawn(frames, boxes))

    @staticmethod
    def _drawn(frames: Sequence[Frame], boxes: Sequence[Letterbox]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        batch = blank(len(frames), boxes[0].outer)
        for target, box, frame in zip(batch, boxes, frames, strict=True):
            box.draw(frame.image, target)
        return batch

    def _run(self, batch: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> FloatArray:
        try:
            return self._runtime(batch)[self._head.output]
        except EngineError as error:
            raise DetectorError(str(error)) from None

    def _read(self, output: FloatArray, letterbox: Letterbox) -> Detections:
        config = self._config
        found = read_boxes(output, self._head, letterbox.outer, config.classes, config.confidence)
        if self._head.layout != "nms":
            found = found[non_maximum_suppression(found.boxes, found.scores, config.iou)]
        boxes = letterbox.to_source(found.boxes)
        seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        return Detections(boxes, found.scores, found.classes)[seen]

    def _letterbox(self, size: tuple[int, int]) -> Letterbox:
        if self._fixed is not None:
            return Letterbox.fixed(size, self._fixed, centred=self._head.layout != "yolox")
        return Letterbox.rectangle(size, self._config.size, self.stride)

    def _load(self, image: ImageInput) -> Runtime:
        try:
            if self._opener is not None:
                return self._opener(image)
            return load_runtime(self._path, runtime=self._config.runtime, precision=self._config.precision, image=image)
        except EngineError as error:
            raise DetectorError(f"detector {error}") from None

    def _fixed_size(self) -> tuple[int, int] | None:
        info = self._runtime.inputs[0]
        if len(info.shape) != 4 or info.shape[1] not in (3, None):
            raise DetectorError(f"{self._path}: not a detector: expected pictures [B, 3, H, W] as input, the graph has {info}")
        height, width = info.shape[2:]
        return (width, height) if width is not None and height is not None else None

    def _recognise(self) -> Head:
        size = self._fixed or (8 * self.stride, 6 * self.stride)
        try:
            outputs = self._runtime(blank(1, size))
        except EngineError as error:
            raise DetectorError(f"{self._path}: not a known detector: it cannot take a picture of {size[0]}x{size[1]}: {error}") from None
        return recognise(self._runtime, outputs, size, str(self._path), self.metadata)

    def __repr__(self) -> str:
        return f"OnnxDetector({self.name}, {self.layout}, {self.runtime} {self.precision})"


def _stride(metadata: Mapping[str, str]) -> int:
    try:
        return max(32, int(float(metadata.get("stride", "32"))))
    except ValueError:
        return 32
