"""A YOLOX graph of many classes (Ge et al., arXiv 2107.08430) as one that knows a single class, with half the bytes.

What is left gives the same boxes and scores of that class. It is how the detector was made that comes with streamreid.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from streamreid.compiling.half_storage import store_half
from streamreid.detection.dynamic_yolox import dynamic_yolox
from streamreid.errors import DetectorError, MissingExtraError

__all__ = ["one_class"]

_LEAST_HALF = 64
"""Values from which a constant is stored as float16."""

_GRIDS = 3
"""Grids of a YOLOX head, each with weights and biases of its class scores."""

_BEFORE = 5
"""Values of a box before its class scores."""


def one_class(path: Path, number: int = 0) -> bytes:
    """Cut a detector down.

    Args:
        path: An ONNX file as YOLOX's exporter writes it, of one fixed input size.
        number: The class that stays; 0 is COCO's person.

    Returns:
        An ONNX file for any batch and size, with weights stored as float16.

    Raises:
        DetectorError: It is no such file, or has no such class.
        MissingExtraError: The package onnx is not installed.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise MissingExtraError("onnx", "build", "Cutting a detector down") from error
    dynamic = dynamic_yolox(path.read_bytes())
    if dynamic is None:
        raise DetectorError(f"{path}: not a YOLOX graph of a fixed input size, as its exporter writes it")
    model = onnx.load_from_string(dynamic[0])
    width = model.graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    if not 0 <= number < width - _BEFORE:
        raise DetectorError(f"{path}: has {width - _BEFORE} classes, numbered from 0; there is no class {number}")
    cut = 0
    for constant in model.graph.initializer:
        values = numpy_helper.to_array(constant)
        if "cls_preds" in constant.name and len(values) == width - _BEFORE:
            cut += 1
            constant.CopyFrom(numpy_helper.from_array(values[number : number + 1].copy(), constant.name))
        elif values.dtype == np.int64 and values.tolist() == [0, width, -1]:
            constant.CopyFrom(numpy_helper.from_array(np.array([0, _BEFORE + 1, -1], np.int64), constant.name))
    if cut != 2 * _GRIDS:
        raise DetectorError(f"{path}: its class scores do not come from three layers 'cls_preds', as YOLOX's do")
    model.graph.output[0].type.tensor_type.shape.dim[-1].dim_value = _BEFORE + 1
    return bytes(store_half(model, least=_LEAST_HALF).SerializeToString())
