"""From a reference graph to one compiled form of it: the typed graph, the plan, and the record of both."""

from __future__ import annotations

import datetime
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamreid.compiling.machine import fingerprint
from streamreid.compiling.mixed_precision import half_graph, unfold_weights
from streamreid.compiling.quantization import quantised_graph
from streamreid.compiling.records import (
    PLAN_TARGETS,
    BuildRecord,
    PrecisionFound,
    PrecisionName,
    TargetName,
    Thresholds,
    VariantKey,
    default_thresholds,
)
from streamreid.compiling.tensorrt_builder import build_plan, profile_of
from streamreid.compiling.weight_storage import small_graph
from streamreid.errors import EngineError, MissingExtraError
from streamreid.types import FloatArray

__all__ = ["BuildOptions", "Built", "build_form", "graph_precision"]


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What to build.

    Args:
        target: What will run it.
        precision: What it shall compute in.
        max_batch: Largest batch; larger ones are split.
        size: Height and width of a plan's input, where the graph leaves them open.
        thresholds: What it must reach against the reference; the precision's defaults otherwise.
    """

    target: TargetName
    precision: PrecisionName
    max_batch: int = 32
    size: tuple[int, int] | None = None
    thresholds: Thresholds | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """One compiled form.

    Args:
        record: What it is.
        files: Name in the bundle -> file to copy, beyond the reference.
        variant: Key of the ONNX graph that the runtime takes instead of the reference; None if it needs none.
    """

    record: BuildRecord
    files: dict[str, Path]
    variant: VariantKey | None = None


def build_form(
    model: Path,
    weights: str,
    options: BuildOptions,
    scratch: Path,
    *,
    inputs: Callable[[], tuple[FloatArray, str]] | None = None,
) -> Built:
    """Compile.

    Args:
        model: The reference, an .onnx file.
        weights: Its SHA-256.
        options: What to build.
        scratch: Folder for the files.
        inputs: Gives real inputs of the graph and a description of them, for int8.

    Raises:
        EngineError: The combination does not exist, the library is missing, or the compiled form is not in the
            precision asked for.
        MissingExtraError: The package ``onnx`` is missing.
    """
    if model.suffix.lower() != ".onnx":
        raise EngineError(f"{model}: engines are built from ONNX graphs; an OpenVINO IR runs as it is, on OpenVINO")
    here = fingerprint(options.target)
    began = time.perf_counter()
    typed, calibration = _typed(model, options, inputs)
    target = options.target
    name, plan = model.name, None
    files: dict[str, Path] = {}
    if typed is not None:
        name = f"model.{target}.{options.precision}.onnx"
        files[name] = _saved(typed, scratch / name)
    source = files.get(name, model)
    if target in PLAN_TARGETS:
        plan = f"model.{target}.{options.precision}.plan"
        made = build_plan(source, target, profile_of(source, options.max_batch, options.size))
        found = made.found
        (scratch / plan).write_bytes(made.data)
        files[plan] = scratch / plan
        if found.precision != options.precision:
            raise EngineError(
                f"{target}: {options.precision} was asked for, but the plan computes in {found.precision} "
                f"({', '.join(f'{n} tensors in {p}' for p, n in sorted(found.counts.items()))}); nothing was written"
            )
    else:
        found = graph_precision(typed, options.precision)
        if found.precision != options.precision:
            raise EngineError(
                f"{model.name}: {options.precision} was asked for, but most layers stay in {found.precision} "
                f"({', '.join(f'{n} in {p}' for p, n in sorted(found.counts.items()))}); nothing was written"
            )
    record = BuildRecord(
        target=target,
        precision=options.precision,
        found=found,
        graph=name,
        plan=plan,
        max_batch=options.max_batch,
        size=options.size,
        weights=weights,
        fingerprint=here,
        calibration=calibration,
        thresholds=options.thresholds or default_thresholds(options.precision),
        created=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        seconds=round(time.perf_counter() - began, 2),
    )
    return Built(record, files, record.key if typed is not None and target not in PLAN_TARGETS else None)


def graph_precision(model: Any, asked: PrecisionName) -> PrecisionFound:
    """What an ONNX graph says that it computes in, by its convolutions and matrix products.

    Without a graph of its own the runtime decides about the precision when it loads: that is checked when it is opened.
    """
    if model is None:
        return PrecisionFound(precision=asked, source="runtime")
    makers = {o: n.op_type for n in model.graph.node for o in n.output}
    counts: Counter[str] = Counter()
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul"):
            quantised = makers.get(node.input[0]) == "DequantizeLinear"
            half = next((p for p in ("fp16", "bf16") if node.input[0].endswith(f"__{p}")), None)
            counts["int8" if quantised else half or "fp32"] += 1
    known: tuple[PrecisionName, ...] = ("int8", "fp16", "bf16", "fp32")
    # Depthwise and last layers may stay as they were; a graph of which three quarters did is not what its name says.
    lowest: PrecisionName = next((p for p in known if 4 * counts[p] >= sum(counts.values()) > 0), "fp32")
    return PrecisionFound(precision=lowest, counts=dict(counts), source="graph")


def _typed(model: Path, options: BuildOptions, inputs: Callable[[], tuple[FloatArray, str]] | None) -> tuple[Any, str]:
    """The graph with the precision inside, None where the reference itself is compiled; and what int8 was calibrated
    on."""
    plan = options.target in PLAN_TARGETS
    if plan and options.size is not None and options.precision == "fp32":
        return _fixed(model, options.size), ""
    if options.precision == "fp32" or (options.precision == "bf16" and not plan):
        return None, ""  # bf16 on CPUs is arithmetic of the runtime on the reference graph
    try:
        import onnx
    except ImportError:
        raise MissingExtraError("onnx", "build", "building an engine") from None
    _check_input(model, onnx.load(str(model), load_external_data=False))
    graph = onnx.load(str(model)) if not plan or options.size is None else _fixed(model, options.size)
    if options.precision != "int8":
        return half_graph(graph, options.precision), ""
    if inputs is None:
        raise EngineError("int8 needs real pictures to measure its ranges on; pass --calibration-crops FOLDER")
    pictures, source = inputs()
    quantised = quantised_graph(unfold_weights(graph), pictures, symmetric=plan, fused=options.target == "openvino")
    return (half_graph(quantised, "fp16") if plan else small_graph(quantised)), source


def _check_input(path: Path, model: Any) -> None:
    """Lower precision is put into graphs of float32 pictures [N, 3, H, W] only."""
    made = {value.name for value in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in made]
    kind = inputs[0].type.tensor_type if len(inputs) == 1 else None
    dims = [] if kind is None else list(kind.shape.dim)
    if (
        kind is None or kind.elem_type != 1 or (len(dims) == 4 and dims[3].dim_value == 3 and dims[1].dim_value != 3)
    ):  # 1: float32
        raise EngineError(
            f"{path}: forms of lower precision are made from graphs with one float32 input [N, 3, H, W]; export the "
            "model so, or use it as it is"
        )


def _fixed(model: Path, size: tuple[int, int]) -> Any:
    """The graph for pictures of one size: plans know no other."""
    import onnx

    graph = onnx.load(str(model))
    dims = graph.graph.input[0].type.tensor_type.shape.dim
    for dim, length in zip(dims[2:4], size, strict=False):
        if not dim.dim_value:
            dim.ClearField("dim_param")
            dim.dim_value = length
    for output in graph.graph.output:  # their sizes follow; what was written there may not
        for dim in output.type.tensor_type.shape.dim[1:]:
            if not dim.dim_value:
                dim.ClearField("dim_param")
    del graph.graph.value_info[:]
    return graph


def _saved(model: Any, path: Path) -> Path:
    import onnx

    onnx.save(model, str(path))
    return path
