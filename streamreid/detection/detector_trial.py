"""How a detector is to be fed and read, decided on a picture of drawn people before it is trusted with others."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from streamreid.config import DetectorConfig
from streamreid.detection.heads import LAYOUTS, Head
from streamreid.detection.inputs import FORMATS, PixelFormat, class_names, format_name, is_ultralytics, person_classes
from streamreid.detection.recognition import PROVEN, Reading, candidates, describe_outputs, read_trial
from streamreid.errors import DetectorError
from streamreid.runtimes import TensorInfo
from streamreid.types import FloatArray

__all__ = ["DECISION", "STORED", "Decision", "Trial", "decide", "stored_decision"]

log = logging.getLogger(__name__)

STORED = "streamreid.reading"
"""Key of a detector bundle's metadata under which the decision is kept."""

Resize = Literal["letterbox", "corner", "stretch"]

_MARGIN = 0.03
"""The usual input is taken unless another one's mean score at the drawn people is higher by this: less is chance."""

_NEAR = 0.6
"""Of several heads that fit, the likeliest by its shape is taken if its mean score is at least this share of the
highest."""

_CUSTOMARY = {("yolov8", "rgb", "unit"), ("yolov5", "rgb", "unit"), ("nms", "rgb", "unit"), ("yolox", "bgr", "byte")}
_SAY = (
    "detector: {head: ..., boxes: ..., color: rgb or bgr, pixels: unit, byte, imagenet or signed, resize: ..., "
    "classes: [...]}"
)


@dataclass(frozen=True, slots=True)
class Decision:
    """How to feed and read a detector.

    Args:
        head: What its outputs mean.
        form: Colours and range of its input.
        classes: Class numbers of people.
        resize: How frames are fitted into its input.
        people: How well it finds the drawn people, in [0, 1].
    """

    head: Head
    form: PixelFormat
    classes: tuple[int, ...]
    resize: Resize
    people: float = 0.0

    @property
    def customary(self) -> bool:
        """Whether it is what earlier versions took for granted: then it is no part of a fingerprint."""
        head, plain = self.head, "xyxy" if self.head.layout == "nms" else "cxcywh"
        usual = head.boxes == plain and not head.unit and head.suppressed == (head.layout == "nms")
        resize = "corner" if head.layout == "yolox" else "letterbox"
        return usual and (head.layout, *self.form) in _CUSTOMARY and self.resize == resize

    def text(self) -> str:
        """The decision as JSON text, kept in a bundle's metadata."""
        data = asdict(self)
        if self.head.strides == Head("yolox", 1, (0,)).strides:
            del data["head"]["strides"]  # what earlier versions did not know leaves fingerprints as they were
        return json.dumps(data, sort_keys=True)

    def __str__(self) -> str:
        return (
            f"{self.head}, input {format_name(self.form)}, {self.resize}, people are class "
            f"{', '.join(map(str, self.classes))}"
        )


DECISION = TypeAdapter(Decision)
"""Checks a decision that was kept."""


def stored_decision(metadata: Mapping[str, str], config: DetectorConfig) -> Decision | None:
    """What was decided when a bundle was built; None without that, or where the configuration says otherwise."""
    chosen = (config.head, config.boxes, config.color, config.pixels, config.resize)
    if STORED not in metadata or any(value != "auto" for value in chosen):
        return None
    try:
        found = DECISION.validate_json(metadata[STORED])
    except ValidationError:
        return None
    return found if config.classes is None else replace(found, classes=config.classes)


@dataclass(frozen=True, slots=True)
class Trial:
    """The picture that a detector is tried on.

    Args:
        where: The file, for messages.
        size: Width and height of the network's input.
        people: ``[P, 4]`` where the drawn people are in it, xyxy.
        info: The graph's input.
        outputs: The graph's outputs.
        run: Gives the outputs for the picture, fed in some colours and range.
    """

    where: str
    size: tuple[int, int]
    people: FloatArray
    info: TensorInfo
    outputs: Sequence[TensorInfo]
    run: Callable[[PixelFormat], list[FloatArray]]


def decide(trial: Trial, metadata: Mapping[str, str], config: DetectorConfig) -> Decision:
    """Try every likely way, and take the usual one of those that find the drawn people.

    Raises:
        DetectorError: No way fits; says what was seen and what can be set.
    """
    where, names = trial.where, class_names(metadata)
    task = metadata.get("task", "detect")
    if task not in ("detect", "segment", "pose"):
        raise DetectorError(
            f"{where}: an Ultralytics model for the task '{task}' has no upright boxes; use one for detect, segment "
            "or pose"
        )
    classes = _classes(where, names, config)
    forms = _forms(config, metadata, trial.info)
    found: list[tuple[PixelFormat, Reading]] = []
    refused: list[Reading] = []
    first: list[FloatArray] = []
    while forms:
        form = forms.pop(0)
        outputs = trial.run(form)
        first = first or outputs
        readings = _readings(trial, outputs, names, classes, config)
        refused += [r for r in readings if r.problem]
        good = [r for r in readings if not r.problem]
        if not good:
            continue
        best = _best(good)
        found.append((form, best))
        if best.head.layout == "yolox" and ("bgr", "byte") in forms:  # nobody else has this head
            forms = [("bgr", "byte"), *(f for f in forms if f != ("bgr", "byte"))]
        if best.proven and (
            (form == ("rgb", "unit") and is_ultralytics(metadata))
            or (form == ("bgr", "byte") and best.head.layout == "yolox")
        ):
            break
    if not found:
        raise DetectorError(_refusal(trial, first, refused, config))
    form, reading = _choice(found)
    decision = Decision(
        reading.head, form, _person(reading, classes), _resize(reading.head, form, config), reading.people
    )
    _check_classes(where, decision, names)
    _tell(trial, decision, reading, names, config)
    return decision


def _readings(
    trial: Trial,
    outputs: list[FloatArray],
    names: Mapping[int, str] | None,
    classes: tuple[int, ...] | None,
    config: DetectorConfig,
) -> list[Reading]:
    layout = None if config.head == "auto" else config.head
    boxes = None if config.boxes == "auto" else config.boxes
    heads = candidates(outputs, trial.size, None if names is None else max(names) + 1, layout, boxes)
    return [read_trial(outputs, head, trial.size, trial.people, classes) for head in heads]


def _classes(where: str, names: Mapping[int, str] | None, config: DetectorConfig) -> tuple[int, ...] | None:
    """The classes of people that are asked for or named; None where nobody says."""
    if config.classes is not None or names is None:
        return config.classes
    found = person_classes(names)
    if not found:
        listed = ", ".join(f"{number} '{name}'" for number, name in sorted(names.items())[:12]) + (
            ", ..." if len(names) > 12 else ""
        )
        raise DetectorError(
            f"{where}: none of its classes is people: {listed}. Use a detector of people, or say which of them to "
            f"follow: detector: {{classes: [...]}}"
        )
    return found


def _forms(config: DetectorConfig, metadata: Mapping[str, str], info: TensorInfo) -> list[PixelFormat]:
    """Colours and ranges to try, the usual first."""
    forms: list[PixelFormat] = list(FORMATS)
    if config.color != "auto" and config.pixels != "auto":
        forms = [(config.color, config.pixels)]
    elif config.color != "auto":
        forms = [f for f in forms if f[0] == config.color]
    elif config.pixels != "auto":
        forms = [f for f in forms if f[1] == config.pixels] or [("bgr", config.pixels)]
    elif is_ultralytics(metadata) and not info.whole:
        forms = [("rgb", "unit")]
    if info.whole:  # a graph of bytes normalises them itself
        kept = [f for f in forms if f[1] == "byte"]
        return sorted(kept, reverse=True) if kept else [("rgb", "byte")]
    return forms


def _best(readings: list[Reading]) -> Reading:
    """The likeliest of those that find the drawn people.

    Not simply the highest: read without it, objectness is a class that every person has with a higher score than the
    right one.
    """
    most = max(reading.people for reading in readings)
    return next(reading for reading in readings if reading.people >= _NEAR * most)


def _choice(found: list[tuple[PixelFormat, Reading]]) -> tuple[PixelFormat, Reading]:
    """The usual one of those that do best; where none finds the drawn people, the one that its head is known for."""
    best = max(reading.people for _, reading in found)
    if best >= PROVEN:
        return next((form, reading) for form, reading in found if reading.people >= best - _MARGIN)
    for form, reading in found:
        if reading.head.layout in ("yolox", "ssd") and form == ("bgr", "byte"):
            return form, reading
    return found[0]


def _person(reading: Reading, classes: tuple[int, ...] | None) -> tuple[int, ...]:
    if classes is not None:
        return classes
    if reading.proven:
        return reading.person
    return (1,) if reading.head.layout == "ssd" else (0,)  # class 0 of an SSD is the background


def _resize(head: Head, form: PixelFormat, config: DetectorConfig) -> Resize:
    if config.resize != "auto":
        return config.resize
    if head.layout == "yolox" or (head.layout == "yolov5" and form[1] == "byte"):
        return "corner"  # YOLOX, also decoded
    return "stretch" if head.unit else "letterbox"


def _check_classes(where: str, decision: Decision, names: Mapping[int, str] | None) -> None:
    known = decision.head.classes or (0 if names is None else max(names) + 1)
    if known and max(decision.classes) >= known:
        raise DetectorError(
            f"{where}: classes {list(decision.classes)} were asked for, but this model knows {known} (0 to {known - 1})"
        )


def _tell(
    trial: Trial, decision: Decision, reading: Reading, names: Mapping[int, str] | None, config: DetectorConfig
) -> None:
    called = "" if names is None else f" ({', '.join(names.get(c, '?') for c in decision.classes)})"
    if reading.proven:
        log.info(
            "%s: read as %s%s; finds the drawn people with a mean score of %.2f",
            trial.where,
            decision,
            called,
            reading.people,
        )
        return
    other = read_trial(trial.run(decision.form), reading.head, trial.size, trial.people, None)
    if other.proven and names is not None:
        log.warning(
            "%s: finds the drawn people as class %d ('%s'), not as class %s%s; if that is wrong, set detector.classes",
            trial.where,
            other.person[0],
            names.get(other.person[0], "?"),
            ", ".join(map(str, decision.classes)),
            called,
        )
        return
    log.warning(
        "%s: does not find the drawn people, so it is not proven how it is to be read. It is read as %s%s. If it "
        "finds nobody in your pictures, or things that are not there, say how: %s",
        trial.where,
        decision,
        called,
        _SAY,
    )


def _refusal(trial: Trial, outputs: list[FloatArray], refused: Sequence[Reading], config: DetectorConfig) -> str:
    width, height = trial.size
    seen = describe_outputs(trial.outputs, outputs)
    text = f"{trial.where}: not a known detector: for a picture of {width}x{height} its outputs are {seen}. "
    if config.head != "auto" and not refused:
        text += f"They cannot be read as '{config.head}', which was asked for. "
    reasons = list(dict.fromkeys(f"as {r.head}, {r.problem}" for r in refused))
    if reasons:
        text += f"Their values do not fit: {'; '.join(reasons[:4])}. "
    return (
        f"{text}Known layouts: {LAYOUTS}. If it is one of these, say how it is to be read: {_SAY}. A ReID model "
        "belongs under 'engine', and other detectors can be read from boxes on disk ('mot:FOLDER')."
    )
