"""TensorRT plans from a strongly typed graph: one path for TensorRT 10, TensorRT 11 and TensorRT for RTX.

The graph alone decides what is computed in which precision; no flag of the builder is asked for half precision, because
TensorRT 11 has none and older ones treat it as a wish. TensorRT for RTX builds ahead of time without a GPU; TensorRT
needs the GPU it builds for.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamreid.compiling.machine import find_gpu, import_bindings
from streamreid.compiling.records import PrecisionFound, PrecisionName, TargetName
from streamreid.errors import EngineError
from streamreid.runtimes import external_data

__all__ = ["Plan", "Shapes", "build_plan", "profile_of", "read_precision"]

log = logging.getLogger(__name__)

_WORKSPACE = 4 << 30
"""Bytes of GPU memory that the builder may use for trying kernels."""

_NAMES = {
    "float": "fp32", "fp32": "fp32", "half": "fp16", "fp16": "fp16", "bf16": "bf16", "bfloat16": "bf16", "int8": "int8",
}  # fmt: skip
_DESCRIPTOR = re.compile(rb"tensor=\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\btype=([a-z0-9]+) ?\}")
_LOWEST: tuple[PrecisionName, ...] = ("int8", "fp16", "bf16", "fp32")
_WORK = ("CONVOLUTION", "MATRIX_MULTIPLY", "DECONVOLUTION")


@dataclass(frozen=True, slots=True)
class Shapes:
    """The optimisation profile of the graph's one input.

    Args:
        least: Smallest shape.
        usual: The one it is tuned for.
        most: Largest shape.
    """

    least: tuple[int, ...]
    usual: tuple[int, ...]
    most: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled graph.

    Args:
        data: The file's bytes.
        found: The precision that is really in it.
    """

    data: bytes
    found: PrecisionFound


def build_plan(
    graph: Path, target: TargetName, shapes: Mapping[str, Shapes] | Shapes, *, workspace: int = _WORKSPACE
) -> Plan:
    """Compile an ONNX graph.

    Args:
        graph: The typed graph.
        target: "tensorrt" or "tensorrt-rtx".
        shapes: Profile of its input.
        workspace: Most memory for scratch, in bytes.

    Returns:
        The plan and the precision found in it.

    Raises:
        EngineError: The library or its GPU is missing, or it cannot compile the graph; with the library's own reason.
    """
    trt = import_bindings(target)
    if target == "tensorrt" and find_gpu() is None:
        raise EngineError(
            "tensorrt: compiles only on the GPU that will run the engine, and there is none here (or no driver for "
            "it). Build on that machine, or use --target tensorrt-rtx, which builds ahead of time"
        )
    logger = _logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(_typed(trt))
    parser = trt.OnnxParser(network, logger)
    # The path is only of use where weights lie beside the graph.
    if not (parser.parse(graph.read_bytes(), str(graph)) if external_data(graph) else parser.parse(graph.read_bytes())):
        reasons = "; ".join(str(parser.get_error(i).desc()) for i in range(min(3, parser.num_errors)))
        raise EngineError(f"{target} cannot read {graph.name}: {reasons or logger.last or 'unknown reason'}")
    if network.num_inputs != 1:
        raise EngineError(f"{graph.name}: expected one input, got {network.num_inputs}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace)
    config.profiling_verbosity = (
        trt.ProfilingVerbosity.DETAILED
    )  # keeps the types of all layers in the plan, where they are read back
    if hasattr(trt.BuilderFlag, "TF32"):
        config.clear_flag(trt.BuilderFlag.TF32)  # what is float32 in the graph shall be float32
    profile = builder.create_optimization_profile()
    wanted = shapes if isinstance(shapes, Shapes) else shapes[network.get_input(0).name]
    profile.set_shape(network.get_input(0).name, wanted.least, wanted.usual, wanted.most)
    config.add_optimization_profile(profile)
    in_network = _network_types(trt, network)
    serialised = builder.build_serialized_network(network, config)
    if serialised is None:
        raise EngineError(f"{target} cannot compile {graph.name}: {logger.last or 'it gave no reason'}")
    data = bytes(serialised)
    return Plan(data, read_precision(data, target, in_network))


def read_precision(data: bytes, target: TargetName, network: Mapping[str, int] | None = None) -> PrecisionFound:
    """Tell the precision of a plan from the plan itself.

    By the engine inspector where a GPU can load it, else by the tensor descriptions that the compiler left in it.

    Args:
        data: The plan.
        target: Which library made it.
        network: Types of the layers that do the work as the parser understood them, for plans that hold neither.
    """
    counts = _inspect(data, target) if find_gpu() is not None else {}
    if counts:
        return PrecisionFound(precision=_lowest(counts), counts=counts, source="inspector")
    counts = _described(data)
    # Scratch memory is described as int8 bytes in every plan: whether int8 does work is seen in the network only.
    scratch = counts.pop("int8", 0)
    if network and network.get("int8"):
        counts["int8"] = scratch
    if counts:
        return PrecisionFound(precision=_lowest(counts), counts=counts, source="plan")
    return PrecisionFound(precision=_lowest(network or {"fp32": 1}), counts=dict(network or {}), source="network")


def _typed(trt: Any) -> int:
    """Flags of a strongly typed network; newer versions know no other kind and may have dropped the flag."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _logger(trt: Any) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc, name-defined, unused-ignore]
        """Passes messages on, and remembers the last error for the exception."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last = ""

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.last = message
            level = (
                logging.DEBUG if severity in (trt.ILogger.Severity.VERBOSE, trt.ILogger.Severity.INFO) else logging.INFO
            )
            log.log(level, "%s", message)

    return Logger()


def _network_types(trt: Any, network: Any) -> dict[str, int]:
    """Element types of the convolutions and matrix products, as the parser and type inference understood the graph."""
    counts: Counter[str] = Counter()
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.type == trt.LayerType.QUANTIZE:
            counts["int8"] += 1
        elif layer.type.name in _WORK and layer.num_outputs:
            kind = _NAMES.get(layer.get_output_type(0).name.lower())
            if kind:
                counts[kind] += 1
    return dict(counts)


def _described(data: bytes) -> dict[str, int]:
    """Tensors by element type, as described inside the plan."""
    counts = Counter(_NAMES.get(match.group(1).decode(), "") for match in _DESCRIPTOR.finditer(data))
    counts.pop("", None)
    return dict(counts)


def _inspect(data: bytes, target: TargetName) -> dict[str, int]:
    """Outputs of layers by element type, from the engine inspector; nothing if the plan cannot be loaded here."""
    trt = import_bindings(target)
    engine = trt.Runtime(_logger(trt)).deserialize_cuda_engine(data)
    if engine is None:
        return {}
    text = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    counts: Counter[str] = Counter()
    try:
        layers = json.loads(text)["Layers"]
    except (ValueError, KeyError, TypeError):
        return {}
    for layer in layers:
        for output in layer.get("Outputs", []) if isinstance(layer, dict) else []:
            words = re.findall(r"[a-z0-9]+", str(output.get("Format/Datatype", output.get("Datatype", ""))).lower())
            kind = next((_NAMES[w] for w in words if w in _NAMES), None)
            if kind:
                counts[kind] += 1
    return dict(counts)


def _lowest(counts: Mapping[str, int]) -> PrecisionName:
    """The lowest precision that is not an exception: at least one in twenty."""
    total = max(1, sum(counts.values()))
    return next((p for p in _LOWEST if counts.get(p, 0) >= max(1, total / 20)), "fp32")


def profile_of(graph: Path, max_batch: int, size: tuple[int, int] | None = None) -> Shapes:
    """The profile of a graph of pictures: batches of 1 to ``max_batch``, tuned for half of that.

    Args:
        graph: An ONNX file with one input ``[N, 3, H, W]``.
        max_batch: Largest batch.
        size: Height and width, where the graph leaves them open (detectors).

    Raises:
        EngineError: Another kind of input, or a size is needed and not given.
    """
    import onnx

    inputs = onnx.load(str(graph), load_external_data=False).graph.input
    axes = [d.dim_value or None for d in inputs[0].type.tensor_type.shape.dim] if len(inputs) == 1 else []
    if len(axes) != 4 or axes[1] != 3:
        raise EngineError(
            f"{graph}: expected one input of pictures [N, 3, H, W], the graph has {axes or [i.name for i in inputs]}"
        )
    if axes[0] is not None and axes[0] != max_batch:
        raise EngineError(
            f"{graph}: made for batches of {axes[0]} only; pass --max-batch {axes[0]}, or export it with a free batch"
        )
    if (axes[2] is None or axes[3] is None) and size is None:
        raise EngineError(f"{graph}: leaves the size of its pictures open; pass --size")
    sides: list[int] = []
    for position in (2, 3):
        fixed = axes[position]
        sides.append(fixed or (size or (0, 0))[position - 2])
    first = axes[0] or 1
    usual = axes[0] or max(1, max_batch // 2)
    return Shapes((first, 3, *sides), (usual, 3, *sides), (max_batch, 3, *sides))
