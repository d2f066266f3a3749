"""Which head a detector has, told by its outputs' shapes, by their values on a picture, and by whether it finds the
drawn people in it.

Shapes alone say too little: ``[1, 8400, 6]`` is a detection per row, or one class of YOLOv5. A reading that is right
finds the people of `streamreid.drawn_people` where they stand; a wrong one does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from streamreid.boxes import iou_matrix
from streamreid.detection.heads import BoxForm, Head, Layout, grid_strides, read_rows, to_pixels
from streamreid.runtimes import TensorInfo
from streamreid.types import FloatArray

__all__ = ["PROVEN", "Reading", "candidates", "describe_outputs", "read_trial"]

PROVEN = 0.3
"""A reading is proven if the scores at the drawn people are this high on average. Right ones reach 0.7 and more, wrong
ones hardly 0.05."""

_OVERLAP = 0.5  # IoU with a drawn person that counts as found
_SURE = 0.25  # score of a box that counts as one
_TWICE = 0.7  # IoU of two boxes of one class that suppression would not have left both
_BEST = 50  # rows whose values are checked: the best ones
_FEW = 1000  # more rows than suppression leaves
_DISTANCES = 32  # values of a box of NanoDet: eight for each side
_WIDEST = 600  # channels: 365 classes of Objects365 are many
_FORMS: tuple[tuple[BoxForm, bool], ...] = (
    ("xyxy", False),
    ("cxcywh", False),
    ("xyxy", True),
    ("cxcywh", True),
    ("yxyx", True),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One way of reading the outputs.

    Args:
        head: The way.
        problem: Why the values do not fit it; '' if they do.
        people: How well it finds the drawn people, in [0, 1].
        person: Class numbers that stand for people.
    """

    head: Head
    problem: str
    people: float = 0.0
    person: tuple[int, ...] = ()

    @property
    def proven(self) -> bool:
        """Whether it finds the drawn people."""
        return not self.problem and self.people >= PROVEN


def candidates(
    outputs: Sequence[FloatArray],
    size: tuple[int, int],
    named: int | None,
    layout: Layout | None = None,
    boxes: BoxForm | None = None,
) -> list[Head]:
    """Heads that the shapes of the outputs allow, the likeliest first.

    Args:
        outputs: For a batch of one.
        size: Width and height of that picture.
        named: How many classes the exporter named; None if it named none.
        layout: Only this one.
        boxes: Only this order of a box's values.
    """
    found = _several(outputs)
    found += [head for index, output in enumerate(outputs) for head in _single(index, output, size, named, outputs)]
    return [
        h
        for h in found
        if (layout is None or h.layout == layout)
        and (boxes is None or h.boxes == boxes or h.layout in ("yolox", "nanodet"))
    ]


def _single(
    index: int, output: FloatArray, size: tuple[int, int], named: int | None, outputs: Sequence[FloatArray]
) -> list[Head]:
    """Which heads a detector with a single output may have, by the shape of it."""
    if output.ndim == 4 and output.shape[:2] == (1, 1) and output.shape[3] == 7:
        return [Head("ssd", 0, (index,), "xyxy", unit=True, suppressed=True, batched=False)]
    if output.ndim == 2 and output.shape[1] == 7:
        return [Head("yolov7-nms", 0, (index,), "xyxy", suppressed=True, batched=False)]
    if output.ndim != 3 or len(output) != 1:
        return []
    _, first, second = output.shape
    strides = grid_strides(first, *size)
    on_grids = strides is not None or (first % 3 == 0 and grid_strides(first // 3, *size) is not None)  # three anchors
    found: list[Head] = []
    if 5 <= first <= _WIDEST and second > first:
        masks = sum(o.shape[1] for o in outputs if o.ndim == 4)
        classes = named if named is not None and named <= first - 4 else first - 4 - masks
        found += [Head("yolov8", classes, (index,), boxes, unit) for boxes, unit in _DENSE] if classes > 0 else []
    if second == 6:
        found += [
            Head("nms", 0, (index,), boxes, unit, suppressed=first <= _FEW and not on_grids) for boxes, unit in _FORMS
        ]
    if 5 <= second <= _WIDEST and (first > second or second != 6):
        rows: list[Head] = []
        if second >= 6:
            rows += [Head("yolov5", second - 5, (index,))]
            rows += [Head("yolox", second - 5, (index,), strides=strides)] if strides is not None else []
        classes = named if named is not None and named <= second - 4 else second - 4
        dense = [Head("yolov8-rows", classes, (index,), boxes, unit) for boxes, unit in _DENSE]
        # 80 classes, or as many as have names, tell rows with objectness from those without.
        if strides is not None and second > _DISTANCES:
            rows += [Head("nanodet", second - _DISTANCES, (index,), "xyxy", strides=strides)]
        found += dense + rows if second - 4 in (80, named) and second - 5 != named else rows + dense
    return found


_DENSE: tuple[tuple[BoxForm, bool], ...] = (("cxcywh", False), ("cxcywh", True), ("xyxy", False))


def _several(outputs: Sequence[FloatArray]) -> list[Head]:
    """Heads whose boxes and scores are outputs of their own."""
    found: list[Head] = []
    for box, output in enumerate(outputs):
        rows = _box_rows(output)
        if rows is None:
            continue
        batched = output.ndim > 2
        singles = [i for i, o in enumerate(outputs) if i != box and o.size == rows and _is_list(o, batched)]
        counts = [i for i, o in enumerate(outputs) if i != box and o.size == 1 and rows != 1]
        if output.shape[-1] == 5:
            found += [Head("boxes-labels", 0, (box, box, i), "xyxy", suppressed=True, batched=batched) for i in singles]
            continue
        for score, label in permutations(singles, 2):
            count = (counts[0],) if counts else ()
            found += [
                Head("boxes-labels", 0, (box, score, label, *count), *form, suppressed=True, batched=batched)
                for form in _FORMS
            ]
        for index, scores in enumerate(outputs):
            if (
                index == box
                or len(singles) >= 2
                or scores.ndim != 3
                or len(scores) != 1
                or rows not in scores.shape[1:]
                or not batched
            ):
                continue
            table = scores[0] if scores.shape[1] == rows else scores[0].T
            classes, logits = table.shape[1], bool(scores.size) and (scores.min() < -1e-3 or scores.max() > 1.001)
            for form in _FORMS:
                if not logits:
                    found.append(Head("boxes-scores", classes, (box, index), *form))
                    continue
                # DETR's last class is "nothing", which wins for most of its boxes; its kin have a sigmoid for each
                # class.
                if classes > 1 and np.mean(table.argmax(axis=1) == classes - 1) > 0.5:
                    found.append(Head("boxes-scores", classes - 1, (box, index), *form, activation="softmax"))
                else:
                    found.append(Head("boxes-scores", classes, (box, index), *form, activation="sigmoid"))
    return found


def _box_rows(output: FloatArray) -> int | None:
    """How many boxes an output ``[1, N, 4]``, ``[1, N, 1, 4]``, ``[N, 4]`` or ``[N, 5]`` holds; None if it holds
    none."""
    if output.ndim == 2 and output.shape[1] in (4, 5):
        return len(output)
    if output.ndim in (3, 4) and len(output) == 1 and output.shape[-1] == 4 and output.size == 4 * output.shape[1]:
        return int(output.shape[1])
    return None


def _is_list(output: FloatArray, batched: bool) -> bool:
    return output.ndim in (2, 3) and len(output) == 1 if batched else output.ndim == 1


def read_trial(
    outputs: Sequence[FloatArray], head: Head, size: tuple[int, int], people: FloatArray, classes: Sequence[int] | None
) -> Reading:
    """Read the outputs for a picture of drawn people in one way.

    Args:
        outputs: For a batch of one.
        head: The way.
        size: Width and height of the picture.
        people: ``[P, 4]`` where the people are in it, xyxy in pixels.
        classes: Class numbers of people, where known; else they are told by what is found.
    """
    rows = read_rows([o[0] for o in outputs] if head.batched else outputs, head)
    chances = rows.probabilities(head)
    with np.errstate(invalid="ignore"):
        best = np.nan_to_num(chances.max(axis=1), nan=-np.inf) if len(chances) else np.zeros(0, np.float32)
    top = np.argsort(-best, kind="stable")
    problem = _problem(rows.box, chances, rows.label, top[:_BEST], head, size)
    if problem:
        return Reading(head, problem)
    likely = top[: 4 * _FEW][best[top[: 4 * _FEW]] >= 0.05]
    boxes = to_pixels(rows.box[likely], head, size, likely)
    labels = None if rows.label is None else rows.label[likely].round().astype(np.int64)
    found, person = _people(boxes, chances[likely], labels, people, classes)
    if head.layout in ("nms", "boxes-scores", "boxes-labels") and found >= PROVEN:
        sure = best[likely] >= _SURE
        kinds = chances[likely].argmax(axis=1) if labels is None else labels
        head = replace(head, suppressed=not _has_twins(boxes[sure], kinds[sure]))
    return Reading(head, "", found, person)


def _problem(
    box: FloatArray,
    chances: FloatArray,
    label: FloatArray | None,
    top: NDArray[np.int64],
    head: Head,
    size: tuple[int, int],
) -> str:
    """Why the values of the best rows cannot be boxes and scores of this kind; '' if they can."""
    if not len(top):
        return ""
    finite = np.isfinite(box[top]).all(axis=1) & np.isfinite(chances[top]).all(axis=1)
    good = top[np.flatnonzero(finite)]
    if 2 * len(good) < len(top):
        return "most values are not finite"
    values, raw = chances[good], box[good]
    if values.min() < -1e-3 or values.max() > 1.001:
        return f"scores would be {values.min():.4g} to {values.max():.4g}, not 0 to 1"
    if label is not None and (np.abs(label[good] - label[good].round()) > 1e-3).any():
        return (
            "classes would be broken numbers "
            f"({float(label[good][np.abs(label[good] - label[good].round()).argmax()]):.4g})"
        )
    on_grid = head.layout in ("yolox", "nanodet")
    real = good if on_grid else good[(raw != 0).any(axis=1)]  # rows that were not filled in are zeros
    if not len(real):
        return ""
    raw = np.asarray(box[real], np.float32)
    if not on_grid and head.unit != (np.abs(raw).max() <= 2.0):
        return f"boxes go from {raw.min():.4g} to {raw.max():.4g}, which is not {'0 to 1' if head.unit else 'pixels'}"
    if head.layout == "yolox" and np.abs(raw[:, :2]).max() > max(size) / 4:  # offsets stay within a few cells of 0
        return "offsets would reach over the whole picture"
    xyxy = to_pixels(raw, head, size, real)
    sides = xyxy[:, 2:] - xyxy[:, :2]
    middle = (xyxy[:, 2:] + xyxy[:, :2]) / 2 / np.array(size, np.float32)
    share = float(
        np.mean(
            (sides > 0).all(axis=1) & (sides <= 2 * max(size)).all(axis=1) & (np.abs(middle - 0.5) <= 0.75).all(axis=1)
        )
    )
    return "" if share >= 0.5 else f"{1 - share:.0%} of the best boxes would be empty or outside the picture"


def _people(
    boxes: FloatArray,
    chances: FloatArray,
    labels: NDArray[np.int64] | None,
    people: FloatArray,
    classes: Sequence[int] | None,
) -> tuple[float, tuple[int, ...]]:
    """Mean over the drawn people of the best score there, for the given classes or the one that does best; and these
    classes."""
    hits = np.asarray(iou_matrix(people, boxes) >= _OVERLAP, np.bool_)
    if labels is None:
        kinds = range(chances.shape[1]) if classes is None else [c for c in classes if c < chances.shape[1]]
        scores = {kind: hits * chances[:, kind] for kind in kinds}
    else:
        kinds = np.unique(labels).tolist() if classes is None else list(classes)
        scores = {kind: hits * (chances[:, 0] * (labels == kind)) for kind in kinds}
    if not scores or not len(boxes):
        return 0.0, tuple(classes or ())
    if classes is not None:
        return float(np.max(list(scores.values()), axis=0).max(axis=1).mean()), tuple(classes)
    means = {kind: float(value.max(axis=1).mean()) for kind, value in scores.items()}
    kind = max(means, key=lambda k: (means[k], -k))
    return means[kind], (int(kind),)


def _has_twins(boxes: FloatArray, kinds: NDArray[np.int64]) -> bool:
    """Whether two boxes of one class lie on one another, which no suppression leaves."""
    overlap = iou_matrix(boxes, boxes) * (kinds[:, None] == kinds[None])
    np.fill_diagonal(overlap, 0)
    return bool((overlap > _TWICE).any())


def describe_outputs(infos: Sequence[TensorInfo], outputs: Sequence[FloatArray]) -> str:
    """Names, shapes and ranges of values: "boxes [1, ?, 4] -> [1, 8400, 4] from -3.2 to 651"."""
    found = []
    for info, output in zip(infos, outputs, strict=True):
        good = output[np.isfinite(output)]
        span = f" from {good.min():.4g} to {good.max():.4g}" if good.size else ""
        found.append(f"{info} -> {list(output.shape)}{span}")
    return ", ".join(found)
