"""Weights that take little room in the file; what is computed stays the same, because runtimes unfold constants when
they load a graph.

What an int8 graph keeps in float is most of its file otherwise: float16 is exact for weights that were trained to be
stored so, and the few largest tensors are stored as int8 with one scale per column, which costs less than bf16
arithmetic does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from streamreid.types import FloatArray

__all__ = ["small_graph"]

_SMALLEST = 1 << 10  # values; below it the node that unfolds them takes as much room as is saved
_LARGE = 1 << 18
"""Values from which a matrix is worth storing in a narrower type."""

_QUANTISED = ("QuantizeLinear", "DequantizeLinear")
_HALF = 65504.0
"""The largest finite float16."""


def small_graph(model: Any) -> Any:
    """A copy of a graph whose float32 weights are stored as float16, and the largest as int8 with scales, each with the
    nodes that unfold it.

    Weights of convolutions stay in float16 at least, and the scales of quantised layers stay as they are: runtimes look
    for those patterns. Notes of the exporter and shapes that follow from the rest are left out.

    Args:
        model: An ``onnx.ModelProto`` of opset 13 or newer; not changed.

    Returns:
        A new ``onnx.ModelProto`` with the same inputs and outputs.
    """
    import onnx
    from onnx import TensorProto, numpy_helper

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    readers: dict[str, set[str]] = {}
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
        for name in node.input:
            readers.setdefault(name, set()).add(node.op_type)
    outputs = {o.name for o in graph.output}
    kept: list[Any] = []
    unfolding: list[Any] = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor) if tensor.data_type == TensorProto.FLOAT else np.zeros(0, np.float32)
        used = readers.get(tensor.name, set())
        fits = values.size >= _SMALLEST and float(np.abs(values).max()) <= _HALF
        if not fits or used & set(_QUANTISED) or tensor.name in outputs:
            kept.append(tensor)
            continue
        large = values.size >= _LARGE and values.ndim >= 2 and "Conv" not in used
        parts, nodes = _as_int8(tensor.name, values) if large else _as_half(tensor.name, values)
        kept += parts
        unfolding += nodes
    nodes = [*unfolding, *(type(n).FromString(n.SerializeToString()) for n in graph.node)]
    del graph.initializer[:]
    del graph.node[:]
    del graph.value_info[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    return copy


def _as_half(name: str, values: FloatArray) -> tuple[list[Any], list[Any]]:
    from onnx import TensorProto, helper, numpy_helper

    stored = numpy_helper.from_array(values.astype(np.float16), f"{name}_half")
    return [stored], [helper.make_node("Cast", [stored.name], [name], name=f"{name}_unfold", to=TensorProto.FLOAT)]


def _as_int8(name: str, values: FloatArray) -> tuple[list[Any], list[Any]]:
    """One scale for each column, that is along the last axis but one: what a matrix product sums over.

    Through int32, because OpenVINO takes a Cast of int8 and a product behind it for weights that it should unfold while
    it runs, and does so wrongly after every few loads once it is compiled for several streams (2026.4). What comes from
    int32 it folds when it loads.
    """
    from onnx import TensorProto, helper, numpy_helper

    scales = np.maximum(np.abs(values).max(axis=-2, keepdims=True), 1e-3) / np.float32(127)
    half = scales.astype(np.float16)
    whole = np.clip(np.rint(values / half.astype(np.float32)), -127, 127).astype(np.int8)
    stored, factor = numpy_helper.from_array(whole, f"{name}_int8"), numpy_helper.from_array(half, f"{name}_scale_half")
    nodes = [
        helper.make_node("Cast", [stored.name], [f"{name}_whole"], name=f"{name}_widen", to=TensorProto.INT32),
        helper.make_node("Cast", [f"{name}_whole"], [f"{name}_steps"], name=f"{name}_float", to=TensorProto.FLOAT),
        helper.make_node("Cast", [factor.name], [f"{name}_scale"], name=f"{name}_scale_unfold", to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}_steps", f"{name}_scale"], [name], name=f"{name}_unfold"),
    ]
    return [stored, factor], nodes
