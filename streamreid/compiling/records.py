"""What ``bundle.json`` says about every compiled form of a graph: how, where and from what it was made, and how near it
is to the reference."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from streamreid._sections import Strict

__all__ = [
    "PLAN_TARGETS",
    "TARGETS",
    "BuildKey",
    "BuildRecord",
    "DeviceFingerprint",
    "FileName",
    "ParityReport",
    "PrecisionFound",
    "PrecisionName",
    "Sha256",
    "TargetName",
    "Thresholds",
    "VariantKey",
    "default_thresholds",
]

TargetName = Literal["tensorrt", "tensorrt-rtx", "openvino", "onnxruntime"]
PrecisionName = Literal["fp32", "fp16", "bf16", "int8"]
TARGETS: tuple[TargetName, ...] = ("tensorrt", "tensorrt-rtx", "openvino", "onnxruntime")
PLAN_TARGETS: tuple[TargetName, ...] = ("tensorrt", "tensorrt-rtx")
"""Targets whose result is a file of its own; the others compile when they load."""

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
VariantKey = Annotated[str, Field(pattern=r"^((openvino|onnxruntime)/)?(fp32|fp16|bf16|int8)$")]
"""Precision of an ONNX graph, with the runtime that it was made for where they want different ones."""
BuildKey = Annotated[str, Field(pattern=r"^(tensorrt|tensorrt-rtx|openvino|onnxruntime)/(fp32|fp16|bf16|int8)$")]


class DeviceFingerprint(Strict):
    """What a compiled graph depends on. An empty text means: does not matter, or was not there when it was built."""

    library: str
    library_version: str = ""
    driver: str = ""
    device: str = ""
    compute_capability: str = ""
    system: str = ""


class PrecisionFound(Strict):
    """What a compiled graph really computes in.

    Args:
        precision: The lowest precision that does real work.
        counts: Values (or layers, or weights) by element type.
        source: Where that was read: "inspector", "plan", "network", "graph" or "runtime".
    """

    precision: PrecisionName
    counts: dict[str, int] = Field(default_factory=dict)
    source: Literal["inspector", "plan", "network", "graph", "runtime"]


class Thresholds(Strict):
    """What a compiled graph must reach against its reference. Not asked for: None."""

    cosine_median: float | None = Field(default=None, ge=-1, le=1, description="Of every part.")
    cosine_p01: float | None = Field(default=None, ge=-1, le=1, description="1st percentile, of every part.")
    visibility_error: float | None = Field(default=None, ge=0, description="99th percentile of |difference|.")
    rank_agreement: float | None = Field(
        default=None, ge=0, le=1, description="Share of the nearest others that are the same."
    )
    r1_drop: float | None = Field(default=None, ge=-1, le=1, description="Of rank-1 accuracy, on a labelled probe set.")
    map_drop: float | None = Field(default=None, ge=-1, le=1, description="Of mAP, on a labelled probe set.")
    matched_boxes: float | None = Field(
        default=None, ge=0, le=1, description="Detectors: F1 of its boxes against the reference's."
    )


class ParityReport(Strict):
    """How near a compiled graph was to its reference, on one machine.

    Args:
        probe: What it was shown.
        count: How many pictures.
        batches: Sizes of batch that were tried; every number below is the worst of them.
        worst_batch: The one with the lowest cosine.
        cosine_median: Per part.
        cosine_p01: 1st percentile, per part.
        visibility_error: 99th percentile of |difference|.
        rank_agreement: Share of the nearest others that are the same.
        r1: Rank-1 accuracy of reference and engine on a labelled probe set.
        map: The same for mAP.
        matched_boxes: Detectors: F1 of its boxes against the reference's.
        machine: Where.
        reference: What it was compared with.
        created: Date.
        failures: One sentence per threshold that was missed.
    """

    probe: str
    count: int = Field(ge=0)
    batches: tuple[int, ...] = ()
    worst_batch: int = 0
    cosine_median: tuple[float, ...] = ()
    cosine_p01: tuple[float, ...] = ()
    visibility_error: float | None = None
    rank_agreement: float | None = None
    r1: tuple[float, float] | None = None
    map: tuple[float, float] | None = None
    matched_boxes: float | None = None
    machine: DeviceFingerprint
    reference: str
    created: str = ""
    failures: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every threshold was reached."""
        return not self.failures


class BuildRecord(Strict):
    """One compiled form of a graph.

    Args:
        target: What runs it.
        precision: What was asked for.
        found: What was found in it afterwards.
        graph: The ONNX file it was compiled from.
        plan: The compiled file; none where the target compiles when it loads.
        max_batch: Largest batch of the profile; larger ones are split.
        weights: SHA-256 of the reference graph.
        fingerprint: What it was built with and for.
        calibration: What int8 was calibrated on.
        thresholds: What it must reach.
        parity: What it reached; none if it could not run where it was built.
        created: Date.
        seconds: How long compiling took.
    """

    target: TargetName
    precision: PrecisionName
    found: PrecisionFound
    graph: FileName
    plan: FileName | None = None
    max_batch: int = Field(ge=1, le=4096)
    size: tuple[int, int] | None = None
    weights: Sha256
    fingerprint: DeviceFingerprint
    calibration: str = ""
    thresholds: Thresholds = Thresholds()
    parity: ParityReport | None = None
    created: str = ""
    seconds: float = Field(default=0.0, ge=0)

    @property
    def key(self) -> str:
        """Its name in the bundle: target and precision."""
        return f"{self.target}/{self.precision}"


_DEFAULTS: dict[PrecisionName, Thresholds] = {
    "fp32": Thresholds(
        cosine_median=0.9999,
        cosine_p01=0.999,
        visibility_error=0.01,
        rank_agreement=0.98,
        r1_drop=0.005,
        map_drop=0.002,
        matched_boxes=0.99,
    ),
    "fp16": Thresholds(
        cosine_median=0.999,
        cosine_p01=0.995,
        visibility_error=0.02,
        rank_agreement=0.95,
        r1_drop=0.01,
        map_drop=0.005,
        matched_boxes=0.97,
    ),
    "bf16": Thresholds(
        cosine_median=0.995,
        cosine_p01=0.98,
        visibility_error=0.05,
        rank_agreement=0.85,
        r1_drop=0.01,
        map_drop=0.005,
        matched_boxes=0.93,
    ),
    "int8": Thresholds(
        cosine_median=0.95,
        cosine_p01=0.85,
        visibility_error=0.15,
        rank_agreement=0.7,
        r1_drop=0.02,
        map_drop=0.01,
        matched_boxes=0.85,
    ),
}


def default_thresholds(precision: PrecisionName) -> Thresholds:
    """What an engine of that precision must reach if the user asks for nothing else.

    The half precisions allow what rounding of 11 and 8 bits explains; int8 is held to what it does to the ranking
    rather than to the cosine.
    """
    return _DEFAULTS[precision]
