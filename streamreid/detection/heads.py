"""Output layouts of the YOLO family, recognised from the graph, and how boxes are read from each.

``yolov8``: ``[B, 4 + C, N]``, cx cy w h and C class scores (YOLOv8, YOLO11, also with mask or key point channels behind).
``yolox``: ``[B, N, 5 + C]``, offsets on a grid, log sizes, objectness and class scores: needs decoding.
``yolov5``: ``[B, N, 5 + C]``, the same already decoded to pixels (YOLOv5, YOLOv7, decoded YOLOX exports).
``nms``: ``[B, N, 6]``, xyxy, score, class: suppression is inside the graph (YOLOv10, YOLO26, exports with NMS).
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from streamreid.errors import DetectorError
from streamreid.runtimes import Runtime
from streamreid.types import Detections, FloatArray

__all__ = ["LAYOUTS", "Head", "grid_cells", "read_boxes", "recognise"]

Layout = Literal["yolov8", "yolox", "yolov5", "nms"]
LAYOUTS = "[B, 4+C, N] (YOLOv8, YOLO11), [B, N, 5+C] (YOLOX, YOLOv5, YOLOv7), [B, N, 6] with suppression inside (YOLOv10, YOLO26)"
_STRIDES = (8, 16, 32)


@dataclass(frozen=True, slots=True)
class Head:
    """What the graph's first output means.

    Args:
        layout: See the module.
        classes: How many class scores a row holds (0 for ``nms``, which names the class).
        output: Which output.
    """

    layout: Layout
    classes: int
    output: int = 0


def grid_cells(width: int, height: int) -> int:
    """Number of cells of the three grids over an input of that size."""
    return sum((width // s) * (height // s) for s in _STRIDES)


def recognise(
    runtime: Runtime, outputs: Sequence[FloatArray], size: tuple[int, int], where: str, metadata: Mapping[str, str] | None = None
) -> Head:
    """Tell the layout from what the graph gives for one grey picture.

    Args:
        runtime: For its names.
        outputs: Its outputs for a batch of one.
        size: Width and height of that picture.
        where: The file, for messages.
        metadata: What the exporter wrote; the runtime's by default.

    Raises:
        DetectorError: No known layout fits.
    """
    metadata = runtime.metadata if metadata is None else metadata
    task = metadata.get("task", "detect")
    if task not in ("detect", "segment", "pose"):
        raise DetectorError(
            f"{where}: an Ultralytics model for the task '{task}' has no upright boxes; use one for detect, segment or pose"
        )
    cells = grid_cells(*size)
    for index, output in enumerate(outputs):
        if output.ndim != 3 or len(output) != 1:
            continue
        _, first, second = output.shape
        if second == cells and first >= 5:
            classes = _class_count(metadata, outputs, first - 4)
            if classes:
                return Head("yolov8", classes, index)
        if second == 6 and first not in (cells, 3 * cells):
            return Head("nms", 0, index)
        if second >= 6 and first in (cells, 3 * cells):
            # Decoded centres spread over the whole picture; offsets on a grid stay within a few cells of 0.
            decoded = float(np.abs(output[0, :, :2]).max()) > max(size) / 4
            if decoded:
                return Head("yolov5", second - 5, index)
            if first == cells:
                return Head("yolox", second - 5, index)
    found = ", ".join(f"{info} -> {list(o.shape)}" for info, o in zip(runtime.outputs, outputs, strict=True))
    raise DetectorError(
        f"{where}: not a known detector: for a picture of {size[0]}x{size[1]} its outputs are {found}. Known layouts: {LAYOUTS}. "
        "A ReID model belongs under 'engine', and other detectors can be read from boxes on disk ('mot:FOLDER')."
    )


def _class_count(metadata: Mapping[str, str], outputs: Sequence[FloatArray], channels: int) -> int:
    """Class scores among the channels behind the box: masks and key points follow them."""
    try:
        names = ast.literal_eval(metadata.get("names", ""))
    except (ValueError, SyntaxError):
        names = None
    if isinstance(names, (dict, list)) and 0 < len(names) <= channels:
        return len(names)
    prototypes = [o.shape[1] for o in outputs if o.ndim == 4]
    return channels - (prototypes[0] if prototypes else 0)


def read_boxes(output: FloatArray, head: Head, size: tuple[int, int], classes: Sequence[int], confidence: float) -> Detections:
    """Candidates of one picture, before suppression.

    Args:
        output: ``[...]``, one row of the output's batch.
        head: Its meaning.
        size: Width and height of the network's input.
        classes: Class numbers that count.
        confidence: Least score.

    Returns:
        Boxes xyxy in pixels of the network's input; rows that are not finite are dropped.
    """
    if head.layout == "nms":
        rows = output[(output[:, 4] >= confidence) & np.isin(output[:, 5].round(), classes)]
        return _finite(rows[:, :4], rows[:, 4], rows[:, 5].round())
    if head.layout == "yolov8":
        box, scores, numbers = _select(output[:4], output[4 : 4 + head.classes], None, classes, confidence)
    else:
        columns = output.T
        raw = columns[:4] if head.layout == "yolov5" else _decode_grid(columns[:4], size)
        box, scores, numbers = _select(raw, columns[5 : 5 + head.classes], columns[4], classes, confidence)
    cx, cy, w, h = box
    return _finite(np.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], axis=1), scores, numbers)


def _select(
    box: FloatArray, scores: FloatArray, objectness: FloatArray | None, classes: Sequence[int], confidence: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Columns whose best wanted class reaches ``confidence``: box ``[4, M]``, score ``[M]``, class ``[M]``."""
    wanted = scores[list(classes)]
    best = wanted.max(axis=0)
    if objectness is not None:
        best = best * objectness
    keep = np.flatnonzero(best >= confidence)
    numbers = np.asarray(classes)[wanted[:, keep].argmax(axis=0)]
    return box[:, keep], best[keep], numbers.astype(np.float32)


def _decode_grid(raw: FloatArray, size: tuple[int, int]) -> FloatArray:
    """YOLOX (arXiv 2107.08430): centre = (offset + cell) * stride, size = exp(value) * stride."""
    cells, strides = [], []
    for stride in _STRIDES:
        ys, xs = np.mgrid[0 : size[1] // stride, 0 : size[0] // stride]
        cells.append(np.stack([xs.ravel(), ys.ravel()]))
        strides.append(np.full(xs.size, stride))
    cell, step = np.concatenate(cells, axis=1).astype(np.float32), np.concatenate(strides).astype(np.float32)
    with np.errstate(over="ignore"):
        return np.concatenate([(raw[:2] + cell) * step, np.exp(raw[2:4]) * step])


def _finite(boxes: FloatArray, scores: FloatArray, classes: FloatArray) -> Detections:
    good = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    return Detections(
        np.ascontiguousarray(boxes[good], np.float32), scores[good].astype(np.float32).clip(0, 1), classes[good].astype(np.int64)
    )
