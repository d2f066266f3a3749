"""Tiny detectors with every output layout: each cell's score is how red (class 0) or blue (class 1) the picture is
there, so results are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

STRIDES = (8, 16, 32)


class _Graph:
    def __init__(self) -> None:
        self.nodes: list = []
        self.constants: list = []

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=f"n{len(self.nodes)}", **attributes))
        return name

    def value(self, value: object, kind: type = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name


def _cells(g: _Graph, stride: int, layout: str) -> str:
    """``[B, channels, h, w]`` of one grid."""
    mean = g.op("AveragePool", "images", kernel_shape=[stride, stride], strides=[stride, stride])
    first = g.op("Gather", mean, g.value([0], np.int64), axis=1)
    last = g.op("Gather", mean, g.value([2], np.int64), axis=1)
    one = g.op("Add", g.op("Mul", first, g.value(0.0)), g.value(1.0))
    if layout == "yolox":  # blue, green, red from 0 to 255; centre half a cell in, one cell large
        red, blue = g.op("Div", last, g.value(255.0)), g.op("Div", first, g.value(255.0))
        half, zero = g.op("Mul", one, g.value(0.5)), g.op("Mul", one, g.value(0.0))
        return g.op("Concat", half, half, zero, zero, one, red, blue, axis=1)
    half = g.value(-0.5)
    cx = g.op("Mul", g.op("Add", g.op("CumSum", one, g.value(3, np.int64)), half), g.value(float(stride)))
    cy = g.op("Mul", g.op("Add", g.op("CumSum", one, g.value(2, np.int64)), half), g.value(float(stride)))
    side = g.op("Mul", one, g.value(float(stride)))
    extra = [one] if layout == "yolov5" else []
    return g.op("Concat", cx, cy, side, side, *extra, first, last, axis=1)


def write_yolo(
    path: Path, layout: str = "yolov8", *, shape: tuple = ("batch", 3, "height", "width"), metadata: dict | None = None
) -> Path:
    """Write a detector with the output layout ``yolov8``, ``yolov5`` or ``yolox``."""
    g = _Graph()
    channels = 6 if layout == "yolov8" else 7
    grids = []
    for stride in STRIDES:
        grids.append(g.op("Reshape", _cells(g, stride, layout), g.value([0, channels, -1], np.int64)))
    g.op("Concat", *grids, axis=2)
    if layout != "yolov8":
        g.op("Transpose", g.nodes[-1].output[0], perm=[0, 2, 1])
    g.nodes[-1].output[0] = "output0"
    out = ["batch", channels, "cells"] if layout == "yolov8" else ["batch", "cells", channels]
    return write_graph(path, g, shape, {"output0": out}, metadata)


def write_nms(path: Path, rows: list) -> Path:
    """Write a detector with suppression inside that always finds ``rows`` (xyxy, score, class)."""
    g = _Graph()
    zero = g.op("Mul", g.op("ReduceMean", "images", axes=[1, 2, 3], keepdims=0), g.value(0.0))
    zero = g.op("Reshape", zero, g.value([-1, 1, 1], np.int64))
    g.op("Add", zero, g.value(np.asarray(rows, np.float32)[None]))
    g.nodes[-1].output[0] = "output0"
    return write_graph(path, g, ("batch", 3, 320, 320), {"output0": ["batch", len(rows), 6]}, None)


def write_features(path: Path) -> Path:
    """Write a ReID model: one vector per picture."""
    g = _Graph()
    g.op("ReduceMean", "images", axes=[2, 3], keepdims=0)
    g.nodes[-1].output[0] = "features"
    return write_graph(path, g, ("batch", 3, 256, 128), {"features": ["batch", 3]}, None)


def write_graph(path: Path, g: _Graph, shape: tuple, outputs: dict, metadata: dict | None) -> Path:
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, list(shape))]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, axes) for name, axes in outputs.items()]
    graph = helper.make_graph(g.nodes, "g", inputs, results, g.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    if metadata:
        helper.set_model_props(model, metadata)
    save(model, path)
    return path


@pytest.fixture
def yolo() -> Callable[..., Path]:
    return write_yolo


@pytest.fixture
def nms_graph() -> Callable[..., Path]:
    return write_nms


@pytest.fixture
def reid_graph() -> Callable[..., Path]:
    return write_features
