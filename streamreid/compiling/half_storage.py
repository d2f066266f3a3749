"""Weights of an ONNX graph stored as float16, which halves the file; everything is still computed in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["store_half"]


def store_half(model: Any, least: int = 256) -> Any:
    """Store float32 initialisers of at least ``least`` values as float16 with a Cast behind each; runtimes fold the
    Casts when they load the graph."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or int(np.prod(tensor.dims)) < least:
            continue
        values, name = numpy_helper.to_array(tensor), tensor.name
        if np.abs(values).max() > 6e4:
            continue
        half = numpy_helper.from_array(values.astype(np.float16), f"{name}_half")
        casts.append(helper.make_node("Cast", [half.name], [name], name=f"{name}_cast", to=TensorProto.FLOAT))
        tensor.CopyFrom(half)
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(casts + nodes)
    return model
