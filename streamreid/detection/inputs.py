"""How detectors want their pictures, and what exporters write into their files about it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import yaml

from streamreid.runtimes import ImageInput

__all__ = [
    "FORMATS",
    "PixelFormat",
    "class_names",
    "file_metadata",
    "format_name",
    "image_input",
    "is_ultralytics",
    "person_classes",
]

PixelFormat = tuple[Literal["rgb", "bgr"], Literal["unit", "byte", "imagenet", "signed"]]
"""Colour order, and range of values: 0..1, 0..255, ImageNet's mean and deviation, -1..1."""

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation per channel of ImageNet's RGB pictures in 0..1, which most training code normalises by."""

FORMATS: tuple[PixelFormat, ...] = (
    ("rgb", "unit"),  # Ultralytics, YOLOv5, YOLO-NAS, DeepStream, RT-DETR
    ("bgr", "byte"),  # YOLOX, Open Model Zoo
    ("rgb", "imagenet"),  # DETR, RF-DETR
    ("rgb", "byte"),  # normalisation inside the graph
    ("bgr", "imagenet"),  # MMDetection
    ("bgr", "unit"),
    ("rgb", "signed"),  # TensorFlow
)
"""What is tried on a model that does not say what it wants, the usual first."""

# Words of class names that mean somebody. 'rider' and 'driver' are people too, but in the data sets that have them they
# come beside a class for people.
_PERSON = ("person", "people", "pedestrian", "human", "man", "woman", "men", "women", "boy", "girl", "child", "adult")
_NAMELESS = re.compile(r"(class|object|item|target|label|id)?[ _-]?\d*", re.IGNORECASE)


def image_input(form: PixelFormat) -> ImageInput:
    """As the runtimes want it."""
    color, values = form
    if values == "unit":
        return ImageInput(color)
    if values == "byte":
        return ImageInput(color, scale=(1.0, 1.0, 1.0))
    if values == "signed":
        return ImageInput(color, scale=(1 / 127.5,) * 3, bias=(-1.0,) * 3)
    triples = list(zip(_MEAN, _DEVIATION, strict=True))
    (m1, d1), (m2, d2), (m3, d3) = triples if color == "rgb" else reversed(triples)
    return ImageInput(
        color, scale=(1 / (255 * d1), 1 / (255 * d2), 1 / (255 * d3)), bias=(-m1 / d1, -m2 / d2, -m3 / d3)
    )


def format_name(form: PixelFormat) -> str:
    """For people: "RGB from 0 to 1"."""
    text = {
        "unit": "from 0 to 1",
        "byte": "from 0 to 255",
        "imagenet": "with ImageNet's mean and deviation",
        "signed": "from -1 to 1",
    }
    return f"{form[0].upper()} {text[form[1]]}"


def is_ultralytics(metadata: Mapping[str, str]) -> bool:
    """Whether Ultralytics wrote the file: then pictures are RGB from 0 to 1."""
    return {"names", "stride", "task"} <= set(metadata)


def class_names(metadata: Mapping[str, str]) -> dict[int, str] | None:
    """Names of the classes by number, from what the exporter wrote; None if it wrote none.

    Ultralytics writes a Python dict as ``names``, OpenVINO's model API ``labels`` separated by blanks, others JSON or
    lists with commas or lines.
    """
    for key in ("names", "labels", "classes", "class_names"):
        text = metadata.get(key, "").strip()
        if not text:
            continue
        for read in (ast.literal_eval, json.loads):
            try:
                found = read(text)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
            if isinstance(found, dict) and found:
                with_numbers = {int(k): str(v) for k, v in found.items() if str(k).lstrip("-").isdecimal()}
                if len(with_numbers) == len(found):
                    return with_numbers
            if isinstance(found, (list, tuple)) and found:
                return {number: str(name) for number, name in enumerate(found)}
        pieces = [p.strip() for p in re.split(r"[,;\n]" if re.search(r"[,;\n]", text) else r"\s+", text) if p.strip()]
        if key != "classes" or len(pieces) > 1:
            return dict(enumerate(pieces))
    return None


def person_classes(names: Mapping[int, str]) -> tuple[int, ...]:
    """Numbers of the classes whose names mean people; those that say nothing ("0", "object") count where there is only
    one class."""
    found = tuple(
        number for number, name in sorted(names.items()) if set(re.split(r"[^a-z]+", name.lower())) & _words()
    )
    if found or len(names) > 1:
        return found
    return tuple(number for number, name in names.items() if _NAMELESS.fullmatch(name.strip()))


def _words() -> set[str]:
    return {*_PERSON, *(f"{word}s" for word in _PERSON)}


def file_metadata(model: Path) -> dict[str, str]:
    """What Ultralytics writes into ``metadata.yaml`` beside a model; empty without one."""
    path = model.parent / "metadata.yaml"
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    # Any other file of that name says nothing about the model.
    return (
        {str(k): str(v) for k, v in found.items()}
        if isinstance(found, dict) and {"names", "task"} <= set(found)
        else {}
    )
