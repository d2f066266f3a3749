"""Output layouts of detectors, and how boxes are read from each.

``yolov8``: one output ``[B, 4 + C, N]``: cx cy w h and C class scores (YOLOv8, YOLO11, also with mask or key point
channels behind). ``yolov8-rows``: the same as rows, ``[B, N, 4 + C]`` (exporters for other devices; with boxes in 0..1:
Ultralytics' RT-DETR). ``yolov5``: ``[B, N, 5 + C]``: cx cy w h, objectness, class scores (YOLOv5, YOLOv7, YOLOX
exported with --decode_in_inference). ``yolox``: ``[B, N, 5 + C]``, offsets on a grid and log sizes: needs decoding
(YOLOX, also with a P2 or P6 level). ``nanodet``: ``[B, N, C + 32]``: class scores, then how probable each of eight
distances to each side of the box is (NanoDet, NanoDet-Plus). ``nms``: ``[B, N, 6]``: xyxy, score, class (YOLOv10,
YOLO26, exports with suppression inside; DeepStream-Yolo, without it). ``yolov7-nms``: ``[N, 7]``: picture, xyxy, class,
score. ``ssd``: ``[1, 1, N, 7]``: picture, class, score, xyxy in 0..1 (OpenVINO's DetectionOutput, Open Model Zoo).
``boxes-scores``: two outputs, boxes ``[B, N, 4]`` and class scores or logits ``[B, N, C]`` (YOLO-NAS, DETR and its kin)
or ``[B, C, N]`` (PP-YOLOE). ``boxes-labels``: boxes, best score and class of each, perhaps the number of boxes
(TensorRT's EfficientNMS, TensorFlow, torchvision, ATSS of Open Model Zoo).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from streamreid.types import Detections, FloatArray

__all__ = ["LAYOUTS", "BoxForm", "Head", "Layout", "Rows", "grid_strides", "read_boxes", "read_rows", "to_pixels"]

Layout = Literal[
    "yolov8", "yolov8-rows", "yolov5", "yolox", "nanodet", "nms", "yolov7-nms", "ssd", "boxes-scores", "boxes-labels"
]
BoxForm = Literal["xyxy", "cxcywh", "yxyx"]
LAYOUTS = (
    "[B, 4+C, N] (YOLOv8, YOLO11) or the same as rows, [B, N, 5+C] (YOLOX, YOLOv5, YOLOv7), [B, N, C+32] (NanoDet), "
    "[B, N, 6] (YOLOv10, YOLO26, DeepStream), [1, 1, N, 7] (SSD of OpenVINO), boxes [B, N, 4] with class scores "
    "[B, N, C] or [B, C, N] (YOLO-NAS, DETR, PP-YOLOE) or with scores and labels [B, N] (EfficientNMS)"
)
_STRIDES = (8, 16, 32)
"""Pixels per cell of the three grids of YOLO detectors (Ge et al., YOLOX, arXiv 2107.08430)."""

_GRIDS = (_STRIDES, (8, 16, 32, 64), (4, 8, 16, 32), (4, 8, 16, 32, 64))
"""The usual one, with a level P6 for large objects (NanoDet-Plus too), with a level P2 for small ones, with both."""

_BINS = 8
"""Distances that NanoDet tells apart, in cells from 0 to 7 (Li et al., Generalized Focal Loss, arXiv 2006.04388)."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the graph's outputs mean.

    Args:
        layout: See the module.
        classes: How many class scores a row holds (0 where a row names its class).
        outputs: Which outputs: of boxes, then scores, labels and number of boxes where these are outputs of their own.
        boxes: Order of a box's four values.
        unit: Whether boxes are in 0..1 of the input instead of its pixels.
        activation: What turns class scores into probabilities; softmax has a last class for nothing.
        suppressed: Whether overlapping boxes were removed already.
        batched: Whether the first axis of the outputs is the picture; else pictures go through one by one.
        strides: Pixels per cell of each grid, for rows that stand on grids.
    """

    layout: Layout
    classes: int
    outputs: tuple[int, ...]
    boxes: BoxForm = "cxcywh"
    unit: bool = False
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    suppressed: bool = False
    batched: bool = True
    strides: tuple[int, ...] = _STRIDES

    def __str__(self) -> str:
        details = [self.boxes + (" in 0..1" if self.unit else " in pixels")]
        if self.activation != "none":
            details.append(f"{self.activation} of class scores")
        return f"{self.layout} ({', '.join(details)})"


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """One picture's raw rows: either scores of all classes, or one score and label.

    Args:
        box: ``[N, 4]`` as the graph gives them.
        scores: ``[N, C]`` class scores, or None.
        objectness: ``[N]``, a factor of all class scores, or None.
        score: ``[N]`` where a row names its class, or None.
        label: ``[N]`` that class, or None.
    """

    box: FloatArray
    scores: FloatArray | None = None
    objectness: FloatArray | None = None
    score: FloatArray | None = None
    label: FloatArray | None = None

    def probabilities(self, head: Head) -> FloatArray:
        """``[N, C]`` of every class; of one column where a row names its class."""
        if self.scores is None:
            assert self.score is not None
            return self.score[:, None]
        values = _activated(self.scores, head)
        return values if self.objectness is None else values * self.objectness[:, None]


def grid_strides(rows: int, width: int, height: int) -> tuple[int, ...] | None:
    """Strides of the grids that have so many cells together over an input of that size; None if no usual ones have."""
    return next((grid for grid in _GRIDS if sum(-(-width // s) * -(-height // s) for s in grid) == rows), None)


def read_rows(outputs: Sequence[FloatArray], head: Head) -> Rows:
    """Take the head's outputs apart.

    Args:
        outputs: All outputs of one picture: without the batch's axis if the head is batched, else as they are.
        head: Their meaning.
    """
    first = outputs[head.outputs[0]]
    if head.layout == "yolov8":
        return Rows(first[:4].T, first[4 : 4 + head.classes].T)
    if head.layout == "yolov8-rows":
        return Rows(first[:, :4], first[:, 4 : 4 + head.classes])
    if head.layout in ("yolov5", "yolox"):
        return Rows(first[:, :4], first[:, 5 : 5 + head.classes], objectness=first[:, 4])
    if head.layout == "nanodet":
        return Rows(_distances(first[:, head.classes :]), first[:, : head.classes])
    if head.layout == "nms":
        return Rows(first[:, :4], score=first[:, 4], label=first[:, 5])
    if head.layout == "yolov7-nms":
        return Rows(first[:, 1:5], score=first[:, 6], label=first[:, 5])
    if head.layout == "ssd":
        rows = first.reshape(-1, 7)
        ends = np.flatnonzero(rows[:, 0] < 0)  # what follows the last box is not filled in
        rows = rows[: ends[0]] if len(ends) else rows
        return Rows(rows[:, 3:7], score=rows[:, 2], label=rows[:, 1])
    if head.layout == "boxes-scores":
        box, scores = first.reshape(-1, 4), outputs[head.outputs[1]]
        if len(scores) != len(box) and scores.shape[-1] == len(box):
            scores = scores.T
        return Rows(box, scores.reshape(len(box), -1))
    return _labelled(outputs, head)


def _labelled(outputs: Sequence[FloatArray], head: Head) -> Rows:
    first = outputs[head.outputs[0]]
    table = first.reshape(-1, first.shape[-1])
    inside = head.outputs[1] == head.outputs[0]  # Open Model Zoo: the score is a box's fifth value
    score = table[:, 4] if inside else outputs[head.outputs[1]].reshape(-1)
    label = outputs[head.outputs[2]].reshape(-1)
    count = len(table)
    if len(head.outputs) > 3:
        count = int(np.clip(outputs[head.outputs[3]].reshape(-1)[0], 0, count))
    return Rows(table[:count, :4], score=score[:count], label=label[:count])


def read_boxes(
    outputs: Sequence[FloatArray], head: Head, size: tuple[int, int], classes: Sequence[int], confidence: float
) -> Detections:
    """Candidates of one picture, before suppression.

    Args:
        outputs: As for `read_rows`.
        head: Their meaning.
        size: Width and height of the network's input.
        classes: Class numbers that count.
        confidence: Least score.

    Returns:
        Boxes xyxy in pixels of the network's input; rows that are not finite are dropped.
    """
    rows = read_rows(outputs, head)
    if rows.scores is None:
        assert rows.score is not None
        assert rows.label is not None
        keep = np.flatnonzero((rows.score >= confidence) & np.isin(rows.label.round(), classes))
        scores, numbers = rows.score[keep], rows.label[keep].round()
    else:
        wanted = _wanted(rows.scores, head, classes)
        best = wanted.max(axis=1)
        if rows.objectness is not None:
            best = best * rows.objectness
        keep = np.flatnonzero(best >= confidence)
        scores, numbers = best[keep], np.asarray(classes)[wanted[keep].argmax(axis=1)].astype(np.float32)
    boxes = to_pixels(rows.box[keep], head, size, keep)
    good = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    return Detections(
        np.ascontiguousarray(boxes[good], np.float32), scores[good].astype(np.float32), numbers[good].astype(np.int64)
    )


def to_pixels(
    box: FloatArray, head: Head, size: tuple[int, int], cells: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> FloatArray:
    """Boxes ``[M, 4]`` xyxy in pixels of the network's input.

    Args:
        box: ``[M, 4]`` as the graph gives them.
        head: Their meaning.
        size: Width and height of the network's input.
        cells: ``[M]`` which row of the output each is, for boxes on a grid.
    """
    if head.layout in ("yolox", "nanodet"):
        box = _decode_grid(box, head, size, cells)
    one, two, three, four = box.T
    if head.boxes == "cxcywh":
        box = np.stack([one - three / 2, two - four / 2, one + three / 2, two + four / 2], axis=1)
    elif head.boxes == "yxyx":
        box = np.stack([two, one, four, three], axis=1)
    return np.asarray(box * np.array(size * 2, np.float32) if head.unit else box, np.float32)


def _wanted(scores: FloatArray, head: Head, classes: Sequence[int]) -> FloatArray:
    """Probabilities of some classes ``[N, len(classes)]``."""
    if head.activation == "softmax":
        return _activated(scores, head)[:, list(classes)]
    return _activated(scores[:, list(classes)], head)


def _activated(scores: FloatArray, head: Head) -> FloatArray:
    with np.errstate(over="ignore"):
        if head.activation == "sigmoid":
            return np.asarray(1 / (1 + np.exp(-scores)), np.float32)
        if head.activation == "softmax":
            powers = np.exp(scores - scores.max(axis=1, keepdims=True))
            return np.asarray((powers / powers.sum(axis=1, keepdims=True))[:, : head.classes], np.float32)
    return scores


def _distances(values: FloatArray) -> FloatArray:
    """``[N, 4]`` expected distances to the left, top, right and lower side in cells, from ``[N, 4 * 8]`` logits."""
    logits = values.reshape(len(values), 4, -1)
    powers = np.exp(logits - logits.max(axis=2, keepdims=True, initial=-np.inf))
    bins = np.arange(logits.shape[2], dtype=np.float32)
    return np.asarray((powers * bins).sum(axis=2) / powers.sum(axis=2), np.float32)


def _decode_grid(
    raw: FloatArray, head: Head, size: tuple[int, int], rows: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> FloatArray:
    """YOLOX (arXiv 2107.08430): centre = (offset + cell) * stride, size = exp(value) * stride.

    NanoDet: left and top = (cell - distance) * stride, right and lower side = (cell + distance) * stride.
    """
    cells, strides = [], []
    for stride in head.strides:
        ys, xs = np.mgrid[0 : -(-size[1] // stride), 0 : -(-size[0] // stride)]
        cells.append(np.stack([xs.ravel(), ys.ravel()], axis=1))
        strides.append(np.full((xs.size, 1), stride))
    cell, step = np.concatenate(cells).astype(np.float32)[rows], np.concatenate(strides).astype(np.float32)[rows]
    if head.layout == "nanodet":
        return np.concatenate([(cell - raw[:, :2]) * step, (cell + raw[:, 2:]) * step], axis=1)
    with np.errstate(over="ignore"):
        return np.concatenate([(raw[:, :2] + cell) * step, np.exp(raw[:, 2:4]) * step], axis=1)
