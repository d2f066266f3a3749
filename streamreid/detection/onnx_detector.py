"""Detectors of the YOLO family as ONNX or OpenVINO IR files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from streamreid.config import DetectorConfig
from streamreid.detection.base import check_pictures
from streamreid.detection.detector_trial import Decision, Trial, decide, stored_decision
from streamreid.detection.dynamic_yolox import dynamic_yolox_file
from streamreid.detection.heads import read_boxes
from streamreid.detection.input_size import InputSizes
from streamreid.detection.inputs import PixelFormat, file_metadata, image_input
from streamreid.detection.known_decisions import KnownDecision
from streamreid.detection.letterbox import Letterbox, blank
from streamreid.detection.nms import non_maximum_suppression, soft_suppression
from streamreid.detection.profiles import profile_of
from streamreid.drawn_people import drawn_scene
from streamreid.errors import DetectorError, EngineError
from streamreid.runtimes import (
    GraphFiles,
    ImageInput,
    PictureAxes,
    Runtime,
    graph_files,
    graph_sha256,
    load_runtime,
)
from streamreid.types import Detections, FloatArray, Frame

__all__ = ["OnnxDetector"]

Pictures = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

_TRIAL = (640, 480)  # width and height of the picture of drawn people


class OnnxDetector:
    """Runs an .onnx or OpenVINO .xml detector; how it is fed and read is told by trying it on drawn people (see
    :mod:`streamreid.detection.detector_trial`).

    Args:
        path: The file.
        config: Confidence, suppression, input size, classes, runtime; and how to feed and read it, where that is not to
            be found out.
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
        self._path = self._graph = Path(path)
        self._opener = opener
        self._config = config
        self.name = self._path.stem
        profile, size = profile_of(self._path, metadata or {}), config.longest_side
        if opener is None and (dynamic := dynamic_yolox_file(self._path)) is not None:
            self._graph, exported = dynamic
            size = size or (max(exported) if profile is None else None)
        self._sizes = InputSizes(size, None if profile is None else profile.sizes)
        self._soft = None if profile is None else profile.suppression
        self.best_scores: dict[str, float] = {}
        beside = {**(metadata or {}), **file_metadata(self._path)}
        self._identity = self._checksum() if opener is None else ""
        known = KnownDecision(self._graph, "" if fixed else self._identity, beside, config)
        stored = stored_decision(metadata or {}, config) or known.get()
        self._form: PixelFormat = ("rgb", "unit") if stored is None else stored.form
        self._runtime = self._first_load()
        self.metadata: Mapping[str, str] = {**beside, **self._runtime.metadata}
        self._fixed = self._fixed_size() or fixed
        self.stride = _stride(self.metadata)
        self._decision = stored or self._decide()
        if stored is None:
            known.put(self._decision)
        self._head = self._decision.head
        if self._form != self._decision.form:
            self._form = self._decision.form
            self._runtime = self._load(self._form)
        self._batch = config.batch if self._head.batched else 1
        self.precision = self._runtime.precision
        self.runtime = self._runtime.name
        expect = getattr(self._runtime, "expect", None)
        if expect is not None:
            expect()

    @property
    def decision(self) -> Decision:
        """How it is fed and read."""
        return self._decision

    @property
    def layout(self) -> str:
        """Which of the known output layouts the graph has."""
        return self._head.layout

    @property
    def fingerprint(self) -> str:
        """Hash of the file and of every setting that changes boxes."""
        settings = self._config.model_dump(mode="json", include={"confidence", "iou", "classes"})
        settings |= {"runtime": self.runtime, "precision": self.precision, "classes": list(self._decision.classes)}
        settings["size"] = str(self._sizes.rule) if self._sizes.rule else self._sizes.largest
        if self._soft is not None:
            settings["suppression"] = str(self._soft)
        if not self._decision.customary:
            settings["reading"] = replace(self._decision, people=0.0).text()
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
        results: list[Detections] = []
        start = 0
        for row, frame in enumerate(frames):
            if row > start and self._sizes.due(frame):  # its size depends on what is found in the frames before it
                results += self._find(frames[start:row])
                start = row
            self._sizes.of(frame)
        return results + self._find(frames[start:])

    def _find(self, frames: Sequence[Frame]) -> list[Detections]:
        """People of frames whose sizes are decided."""
        boxes = [self._letterbox(frame.size, self._sizes.now(frame)) for frame in frames]
        groups: dict[tuple[int, int], list[int]] = {}
        for row, box in enumerate(boxes):
            groups.setdefault(box.outer, []).append(row)
        results = [Detections.empty()] * len(frames)
        for outer, rows in groups.items():
            for start in range(0, len(rows), self._batch):
                part = rows[start : start + self._batch]
                batch = blank(len(part), outer)
                for target, row in zip(batch, part, strict=True):
                    boxes[row].draw(frames[row].image, target)
                outputs = self._run(batch)
                for place, row in enumerate(part):
                    output = self._one(outputs, place)
                    results[row] = self._read(output, boxes[row])
                    self._note_best(frames[row].camera, output, boxes[row], results[row])
        for frame, people in zip(frames, results, strict=True):
            self._sizes.note(frame, people)
        return results

    def raw(self, frames: Sequence[Frame]) -> list[FloatArray]:
        """What the graph gives for each frame, before boxes are read from it: all outputs that are read, one after the
        other."""
        results: list[FloatArray] = []
        for start in range(0, len(frames), self._batch):
            part = frames[start : start + self._batch]
            boxes = [self._letterbox(frame.size, self._sizes.largest) for frame in part]
            if len({box.outer for box in boxes}) > 1:  # frames of several sizes do not share a batch
                results += [output for frame in part for output in self.raw([frame])]
                continue
            outputs = self._run(self._drawn(part, boxes))
            read = sorted(set(self._head.outputs))
            for place in range(len(part)):
                own = self._one(outputs, place)
                results.append(own[read[0]] if len(read) == 1 else np.concatenate([own[i].ravel() for i in read]))
        return results

    def prepare(self, frames: Sequence[Frame]) -> FloatArray:
        """Frames as a graph's input ``[N, 3, H, W]``, all of the largest size; for calibration."""
        length = -(-self._sizes.largest // self.stride) * self.stride
        side = self._fixed or (length, length)
        boxes = [self._fitted(frame.size, side) for frame in frames]
        return image_input(self._form).apply(self._drawn(frames, boxes))

    @staticmethod
    def _drawn(frames: Sequence[Frame], boxes: Sequence[Letterbox]) -> Pictures:
        batch = blank(len(frames), boxes[0].outer)
        for target, box, frame in zip(batch, boxes, frames, strict=True):
            box.draw(frame.image, target)
        return batch

    def _run(self, batch: Pictures) -> list[FloatArray]:
        try:
            return self._runtime(batch)
        except EngineError as error:
            raise DetectorError(str(error)) from None

    def _one(self, outputs: list[FloatArray], place: int) -> list[FloatArray]:
        """The outputs of one picture of a batch."""
        return [o[place] for o in outputs] if self._head.batched else outputs

    def _read(self, outputs: list[FloatArray], letterbox: Letterbox) -> Detections:
        config = self._config
        found = read_boxes(outputs, self._head, letterbox.outer, self._decision.classes, config.confidence)
        if len(found) and found.scores.max() > 1.01:
            raise DetectorError(
                f"{self._path}: gives scores up to {found.scores.max():.4g}, which are no probabilities, when it is "
                f"read as {self._decision}. Say how its outputs are to be read: detector.head, boxes, color, pixels "
                "(see docs/engines.md)"
            )
        found = Detections(found.boxes, found.scores.clip(0, 1), found.classes)
        found = self._suppressed(found)
        boxes = letterbox.to_source(found.boxes)
        seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        return Detections(boxes, found.scores, found.classes)[seen]

    def _suppressed(self, found: Detections) -> Detections:
        """One box of each person, if the graph does not see to that."""
        if self._head.suppressed:
            return found
        config = self._config
        if self._soft is None:
            return found[non_maximum_suppression(found.boxes, found.scores, config.iou)]
        rows, boxes, scores = soft_suppression(
            found.boxes, found.scores, config.iou, self._soft, least=config.confidence
        )
        return Detections(boxes, scores, found.classes[rows])

    def _note_best(self, camera: str, outputs: list[FloatArray], letterbox: Letterbox, found: Detections) -> None:
        """The best score of a person, also where it is below the threshold: only that tells a blind detector from an
        empty scene."""
        scores = found.scores
        if not len(scores):
            scores = read_boxes(outputs, self._head, letterbox.outer, self._decision.classes, 0.0).scores
        if len(scores):
            self.best_scores[camera] = max(self.best_scores.get(camera, 0.0), float(scores.max()))

    def _letterbox(self, size: tuple[int, int], longest: int) -> Letterbox:
        if self._fixed is not None:
            return self._fitted(size, self._fixed)
        rectangle = Letterbox.rectangle(size, longest, self.stride)
        return Letterbox.stretched(size, rectangle.outer) if self._decision.resize == "stretch" else rectangle

    def _fitted(self, size: tuple[int, int], outer: tuple[int, int]) -> Letterbox:
        if self._decision.resize == "stretch":
            return Letterbox.stretched(size, outer)
        return Letterbox.fixed(size, outer, centred=self._decision.resize == "letterbox")

    def _first_load(self) -> Runtime:
        try:
            return self._load(self._form)
        except DetectorError as error:
            self._form = ("rgb", "byte")  # what graphs of bytes take
            try:
                return self._load(self._form)
            except DetectorError:
                raise error from None

    def _load(self, form: PixelFormat | None) -> Runtime:
        """The graph for pictures in some colours and range; None: for its own input."""
        try:
            image = None if form is None else image_input(form)
            if self._opener is not None:
                return self._opener(image_input(form or ("rgb", "unit")))
            files = GraphFiles(self._graph, identity=self._identity)
            return load_runtime(files, runtime=self._config.runtime, precision=self._config.precision, image=image)
        except EngineError as error:
            raise DetectorError(f"detector {error}") from None

    def _checksum(self) -> str:
        """Under which the graph's compiled forms are kept; '' for one that cannot be read, as loading it will say."""
        try:
            return graph_sha256(self._graph)
        except (EngineError, OSError):
            return ""

    def _fixed_size(self) -> tuple[int, int] | None:
        axes = PictureAxes.of(self._runtime.inputs[0])
        if axes is None:
            raise DetectorError(
                f"{self._path}: not a detector: expected pictures [B, 3, H, W] as input, the graph has "
                f"{self._runtime.inputs[0]}"
            )
        return (axes.width, axes.height) if axes.width is not None and axes.height is not None else None

    def _decide(self) -> Decision:
        size = self._fixed or (12 * self.stride, 9 * self.stride)
        scene = drawn_scene(_TRIAL)
        box = Letterbox.fixed(_TRIAL, size, centred=True)
        picture = blank(1, size)
        box.draw(scene.image, picture[0])
        plain: list[Runtime] = []

        def run(form: PixelFormat) -> list[FloatArray]:
            try:
                if form == self._form:
                    return self._runtime(picture)
                if self._opener is not None:
                    return self._load(form)(picture)
                if not plain:
                    plain.append(self._load(None))
                return plain[0](image_input(form).graph_input(picture, plain[0].inputs[0]))
            except EngineError as error:
                raise DetectorError(
                    f"{self._path}: not a known detector: it cannot take a picture of {size[0]}x{size[1]}: {error}"
                ) from None

        trial = Trial(
            str(self._path), size, box.to_input(scene.boxes), self._runtime.inputs[0], self._runtime.outputs, run
        )
        return decide(trial, self.metadata, self._config)

    def __repr__(self) -> str:
        return f"OnnxDetector({self.name}, {self.layout}, {self.runtime} {self.precision})"


def _stride(metadata: Mapping[str, str]) -> int:
    try:
        return max(32, int(float(metadata.get("stride", "32"))))
    except ValueError:
        return 32
