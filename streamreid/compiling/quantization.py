"""int8 as explicit Q/DQ pairs in the graph, with ranges measured on real pictures.

ONNX Runtime's static quantisation does it. Weights are signed, one range per output channel; activations are unsigned
for CPUs and signed and symmetric for TensorRT, which knows nothing else. What decides about visibilities (softmax and
everything behind it) is left alone.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from streamreid.compiling.mixed_precision import unfold_weights
from streamreid.errors import EngineError, MissingExtraError
from streamreid.types import FloatArray

__all__ = ["quantised_graph"]

log = logging.getLogger(__name__)

_OPERATORS = ["Conv", "Gemm"]
_LEAST = 16
"""Pictures below which measured ranges of activations say little."""

_NARROWEST = 0.016  # of a range: dead channels would get a scale below what float16 can say


def quantised_graph(model: Any, inputs: FloatArray, *, symmetric: bool, fused: bool = False, batch: int = 16) -> Any:
    """A graph with Q/DQ around its convolutions and fully connected layers.

    Args:
        model: The ``onnx.ModelProto`` that computes in float32; not changed.
        inputs: ``[N, 3, H, W]`` float32, real inputs of the graph, to measure the ranges on.
        symmetric: Signed symmetric activations and float biases, as TensorRT wants them.
        fused: For OpenVINO, which computes activation and sum in the layer before it and rounds once, behind them: Q/DQ
            only in front of layers, and none around depthwise ones, whose time goes into memory. ONNX Runtime in turn
            needs Q/DQ behind a layer to compute it in int8.
        batch: How many of them to run at once.

    Returns:
        A new ``onnx.ModelProto`` with the same inputs and outputs.

    Raises:
        EngineError: Too few inputs, or the graph cannot be quantised.
        MissingExtraError: The package ``onnx`` is missing.
    """
    try:
        import onnx
        from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise MissingExtraError("onnx", "build", "int8") from error
    if len(inputs) < _LEAST:
        raise EngineError(
            f"int8 needs at least {_LEAST} pictures to measure its ranges on, got {len(inputs)}; pass a larger "
            "--calibration-crops FOLDER"
        )
    extra: dict[str, Any] = {
        "ActivationSymmetric": symmetric,
        "WeightSymmetric": True,
        "QuantizeBias": not symmetric,
        "MinimumRealRange": _NARROWEST,
    }
    if fused:
        extra["OpTypesToExcludeOutputQuantization"] = [*_OPERATORS, "MatMul"]
    with tempfile.TemporaryDirectory() as scratch, _quiet():
        plain, prepared, result = (Path(scratch) / f"{name}.onnx" for name in ("plain", "prepared", "result"))
        onnx.save(unfold_weights(model), str(plain))
        try:
            quant_pre_process(str(plain), str(prepared), skip_optimization=True, skip_symbolic_shape=True)
            shaped = _sums_as_products(onnx.load(str(prepared)))
            onnx.save(shaped, str(prepared))
            excluded = _sensitive(shaped.graph) | (_depthwise(shaped.graph) if fused else set())
            quantize_static(
                str(prepared),
                str(result),
                _Reader(inputs, batch, model.graph.input[0].name),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=_OPERATORS,
                nodes_to_exclude=sorted(excluded),
                per_channel=True,
                activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                extra_options=extra,
            )
        except Exception as error:  # its errors are of many unrelated classes
            raise EngineError(
                f"the graph cannot be quantised to int8: {str(error).strip()[:300] or type(error).__name__}"
            ) from None
        return onnx.load(str(result))


class _Reader:
    """Hands out the inputs, batch by batch (``onnxruntime.quantization.CalibrationDataReader``)."""

    def __init__(self, inputs: FloatArray, batch: int, name: str) -> None:
        self._pieces: Iterator[FloatArray] = iter([inputs[i : i + batch] for i in range(0, len(inputs), batch)])
        self._name = name

    def get_next(self) -> dict[str, FloatArray] | None:
        piece = next(self._pieces, None)
        return None if piece is None else {self._name: np.ascontiguousarray(piece)}


def _depthwise(graph: Any) -> set[str]:
    """Names of the convolutions with more than one group."""
    return {
        n.name for n in graph.node if n.op_type == "Conv" and any(a.name == "group" and a.i > 1 for a in n.attribute)
    }


def _sensitive(graph: Any) -> set[str]:
    """Names of the layers around a softmax: the last ones before it, and those that read its result.

    A step of 1/256 of the logits' range moves attention weights by several per cent, and everything behind averages
    over them. Behind the last softmax (the parts of a person) nothing evens that out; an attention in the middle of a
    network is followed by other layers. What leads to scores alone (an occlusion grader's) is left alone too, and
    changes nothing about the rest.
    """
    makers = {output: node for node in graph.node for output in node.output}
    scoring = _scoring(graph, makers)
    found = {node.name for node in graph.node if node.name in scoring and node.op_type in _OPERATORS}
    for softmax in (node for node in graph.node if node.op_type == "Softmax" and node.name not in scoring):
        behind = [n for n in _behind(graph, set(softmax.output)) if n.op_type in _OPERATORS and n.name not in scoring]
        found |= _back(softmax, makers, depth=1 if behind else 4)
        found |= {node.name for node in behind if not _back(node, makers, depth=1, until=softmax.name)}
    return found


def _scoring(graph: Any, makers: dict[str, Any]) -> set[str]:
    """Names of the nodes that only outputs made by a softmax depend on, where there are other outputs."""
    queue = [o.name for o in graph.output if o.name in makers and makers[o.name].op_type != "Softmax"]
    needed: set[str] = set()
    while queue:
        maker = makers.get(queue.pop())
        if maker is not None and maker.name not in needed:
            needed.add(maker.name)
            queue += maker.input
    return {node.name for node in graph.node} - needed if needed else set()


def _behind(graph: Any, values: set[str]) -> list[Any]:
    """Nodes that depend on some values."""
    tainted, found = set(values), []
    for node in graph.node:  # in topological order
        if tainted & set(node.input):
            tainted |= set(node.output)
            found.append(node)
    return found


def _sums_as_products(model: Any) -> Any:
    """Sums and means of softmax weights over positions, written as matrix products.

    OpenVINO (2026.4) computes ReduceMean and ReduceSum over the last axis of a reshaped map wrongly in quantised graphs
    as soon as the batch is larger than 1: visibilities were off by up to 1. The product is right on every runtime.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.value_info}
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    behind = {node.name for node in _behind(graph, {o for n in graph.node if n.op_type == "Softmax" for o in n.output})}
    nodes = []
    for node in graph.node:
        shape = shapes.get(node.input[0], []) if node.input else []
        kept = next((a.i for a in node.attribute if a.name == "keepdims"), 1)
        axes = constants.get(node.input[1]) if len(node.input) > 1 else None
        last = (
            axes is not None and axes.size == 1 and len(shape) == 3 and int(axes.ravel()[0]) in (-1, 2) and shape[2] > 0
        )
        if node.op_type not in ("ReduceMean", "ReduceSum") or node.name not in behind or not last:
            nodes.append(node)
            continue
        factor = 1 / shape[2] if node.op_type == "ReduceMean" else 1.0
        column, product = f"{node.name}_column", f"{node.output[0]}_product"
        graph.initializer.append(numpy_helper.from_array(np.full((shape[2], 1), factor, np.float32), column))
        target = node.output[0] if kept else product
        nodes.append(helper.make_node("MatMul", [node.input[0], column], [target], name=f"{node.name}_matmul"))
        if not kept:
            nodes.append(
                helper.make_node("Squeeze", [product, node.input[1]], [node.output[0]], name=f"{node.name}_squeeze")
            )
    copies = [type(n).FromString(n.SerializeToString()) for n in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    return model


def _back(node: Any, makers: dict[str, Any], depth: int, until: str = "") -> set[str]:
    """The last ``depth`` layers with weights on the way to a node; with ``until``, only those behind that node."""
    found: set[str] = set()
    queue, seen = [(node, depth)], {until}
    while queue:
        current, left = queue.pop()
        for name in current.input:
            maker = makers.get(name)
            if maker is None or maker.name in seen:
                continue
            seen.add(maker.name)
            weighty = maker.op_type in _OPERATORS
            if weighty:
                found.add(maker.name)
            if left - weighty > 0:
                queue.append((maker, left - weighty))
    return found


class _quiet:
    """Keeps the root logger's warnings of the quantiser away from the user."""

    def __enter__(self) -> None:
        self._level = logging.getLogger().level
        logging.getLogger().setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        logging.getLogger().setLevel(self._level)
