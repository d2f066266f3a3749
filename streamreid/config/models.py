"""The settings of detector and engine; ``config`` hands them on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, NonNegativeInt

from streamreid._sections import Section, basic

__all__ = ["DetectorConfig", "EngineConfig", "HeadName", "Precision", "RuntimeChoice", "RuntimeName"]

RuntimeName = Literal["auto", "tensorrt", "openvino", "onnxruntime", "torch"]
Precision = Literal["auto", "fp32", "fp16", "bf16", "int8"]
RuntimeChoice = Literal["cached", "measure", "rule"]
HeadName = Literal[
    "auto",
    "yolov8",
    "yolov8-rows",
    "yolov5",
    "yolox",
    "nanodet",
    "nms",
    "yolov7-nms",
    "ssd",
    "boxes-scores",
    "boxes-labels",
]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


def _named(model: str) -> str:
    """Refuses an empty name: as a path it would be the current folder."""
    if model.removeprefix("mot:").strip():
        return model
    raise ValueError("write a name, a file or a folder, or leave it out for auto")


Model = Annotated[str, AfterValidator(_named)]


class DetectorConfig(Section):
    """Who is in the frame."""

    model: Model = Field(
        default="auto",
        description=(
            "auto takes person-nano, which comes with streamreid (Apache-2.0). Or: a named detector, such as yolo11n "
            "(AGPL-3.0; see `streamreid weights list`), an .onnx file or OpenVINO .xml (what is recognised: "
            "docs/engines.md), a folder that Ultralytics exported for OpenVINO, the folder of a detector bundle "
            "(`streamreid build-engine --kind detector`), an Ultralytics .pt file, or 'mot:FOLDER' to read boxes from "
            "FOLDER/<camera>.txt. Paths begin where the command runs."
        ),
        json_schema_extra=basic(),
    )
    confidence: Fraction = Field(
        default=0.1,
        description="Boxes below this score are dropped.",
        validation_alias=AliasChoices("confidence", "conf"),
        json_schema_extra=basic(
            "probability",
            low="More boxes of nobody, and slower tracking.",
            high="Partly hidden people are missed, and tracks break.",
        ),
    )
    iou: Fraction = Field(
        default=0.7, description="Boxes that overlap a better one by more than this IoU are dropped (NMS)."
    )
    size: Annotated[int, Field(ge=64, le=4096)] | Literal["auto"] = Field(
        default="auto",
        description=(
            "Longest side of the detector's input in pixels; auto takes what was measured of the detector, by the "
            "source's resolution and the height of the people in it (person-nano: 416 to 832), for others 640."
        ),
        validation_alias=AliasChoices("size", "imgsz"),
        json_schema_extra=basic("pixels", low="Small people are missed.", high="Slower, with the square of the size.")
        | {"x-expected": "write a whole number from 64 to 4096, or auto"},
    )
    classes: tuple[NonNegativeInt, ...] | None = Field(
        default=None,
        description=(
            "Class numbers that count as people; empty: the class that is named so in the model's file, else the one "
            "that finds drawn people, else 0."
        ),
        min_length=1,
        json_schema_extra=basic(),
    )
    head: HeadName = Field(
        default="auto",
        description=(
            "How the outputs of an .onnx or .xml detector are read; auto tells it by their values on a picture of "
            "drawn people. See docs/engines.md."
        ),
    )
    boxes: Literal["auto", "xyxy", "cxcywh", "yxyx"] = Field(
        default="auto", description="Order of a box's four values in the outputs."
    )
    color: Literal["auto", "rgb", "bgr"] = Field(default="auto", description="Colour order of the detector's input.")
    pixels: Literal["auto", "unit", "byte", "imagenet", "signed"] = Field(
        default="auto",
        description=(
            "Range of the input's values: unit is 0 to 1, byte 0 to 255, imagenet ImageNet's mean and deviation, "
            "signed -1 to 1."
        ),
    )
    resize: Literal["auto", "letterbox", "corner", "stretch"] = Field(
        default="auto",
        description=(
            "How a frame is fitted into the input: letterbox puts it in the middle of a grey border, corner at the "
            "top left, stretch changes its proportions."
        ),
    )
    runtime: RuntimeName = Field(default="auto", description="Which runtime executes an .onnx detector.")
    precision: Precision = Field(default="auto", description="auto takes bf16 where the CPU computes it in hardware.")
    batch: int = Field(default=8, ge=1, le=256, description="Largest number of frames in one run of the detector.")
    schedule: Literal["every", "adaptive"] = Field(
        default="adaptive",
        description=(
            "Which frames of recordings the detector looks at: 'every' one, or 'adaptive' as many as are needed where "
            "the camera stands still; people are carried on in between. Live cameras: every frame. See "
            "docs/engines.md."
        ),
        json_schema_extra=basic(),
    )
    on_mismatch: Literal["rebuild", "fallback", "stop"] = Field(
        default="rebuild",
        description=(
            "A TensorRT plan in the detector's bundle that was built for another machine: see engine.on_mismatch."
        ),
    )

    @property
    def longest_side(self) -> int | None:
        """``size`` in pixels; None where it is to be chosen."""
        return None if self.size == "auto" else self.size


class EngineConfig(Section):
    """What people look like: the ReID engine."""

    model: Model = Field(
        default="auto",
        description=(
            "An engine bundle (folder), the name of a bundle that ships with streamreid, 'auto' for the best of "
            "those, or 'none' for motion only."
        ),
        json_schema_extra=basic(),
    )
    runtime: RuntimeName = Field(
        default="auto",
        description="Which runtime executes the engine; auto takes what the bundle has a plan for, else see 'choose'.",
        json_schema_extra=basic(),
    )
    precision: Precision = Field(
        default="auto",
        description=(
            "auto takes the fastest whose accuracy was verified in the bundle: int8 on CPUs with VNNI, bf16 where the "
            "CPU computes it in hardware."
        ),
        json_schema_extra=basic(),
    )
    choose: RuntimeChoice = Field(
        default="cached",
        description=(
            "How auto finds the fastest on a CPU: 'cached' takes what was measured on this machine before, else a "
            "rule; 'measure' measures first if it was not (some seconds, once); 'rule' never looks."
        ),
    )
    mode: Literal["throughput", "latency"] = Field(
        default="throughput",
        description="Cores for several crops side by side, or all for the same crop, which is sooner done.",
    )
    threads: int | None = Field(
        default=None, ge=1, le=1024, description="Threads of the engine; empty: all cores of the process."
    )
    on_mismatch: Literal["rebuild", "fallback", "stop"] = Field(
        default="rebuild",
        description=(
            "A TensorRT plan that was built for another GPU, driver or library version: 'rebuild' it for this machine "
            "(once, kept in the cache), 'fallback' to another runtime, or 'stop'."
        ),
    )
    batch: int = Field(default=32, ge=1, le=1024, description="Largest number of crops in one run of the engine.")
    embedding_interval: float = Field(
        validation_alias=AliasChoices("embedding_interval", "look_interval"),
        default=2.0,
        ge=0,
        description=(
            "Seconds after which a person who is followed without doubt is looked at again; 0 looks at everybody in "
            "every frame."
        ),
        json_schema_extra=basic(
            "s",
            low="More embeddings and fewer frames per second.",
            high="It takes long until a track that went over to somebody else is noticed.",
        ),
    )
    feature_bits: Literal[8, 32] = Field(
        default=8,
        description=(
            "Bits of each value of the features by which tracks are linked. 8 rounds them, in one process as in many; "
            "with 32, a camera of a --cluster sends three times the bytes."
        ),
    )
    min_height: float = Field(
        default=24.0,
        ge=0,
        description="People lower than this many pixels are not looked at (motion only).",
        json_schema_extra=basic(
            "pixels", low="Crops too small to tell people apart are compared.", high="People far away are never linked."
        ),
    )
