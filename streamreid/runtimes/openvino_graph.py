"""What OpenVINO says of a graph, and a graph that takes pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from streamreid.errors import EngineError
from streamreid.runtimes.base import ImageInput, PictureAxes, TensorInfo
from streamreid.runtimes.openvino_module import openvino_module

__all__ = ["graph_metadata", "port_info", "short_reason", "with_pictures"]


def with_pictures(model: Any, image: ImageInput, path: Path) -> Any:
    """The graph with the conversion from uint8 BGR pictures in front, where it is compiled together with the rest."""
    ov = openvino_module()
    preprocess = ov.preprocess
    axes = PictureAxes.of(port_info(model.inputs[0]))
    try:
        builder = preprocess.PrePostProcessor(model)
        tensor = builder.input()
        tensor.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC")).set_color_format(
            preprocess.ColorFormat.BGR
        )
        tensor.model().set_layout(ov.Layout("NHWC" if axes is not None and axes.channels_last else "NCHW"))
        steps = tensor.preprocess().convert_element_type(ov.Type.f32)
        if image.color == "rgb":
            steps = steps.convert_color(preprocess.ColorFormat.RGB)
        if not image.identity:  # x * scale + bias, written as (x - mean) / deviation
            steps.mean([-b / s for s, b in zip(image.scale, image.bias, strict=True)]).scale(
                [1 / s for s in image.scale]
            )
        return builder.build()
    except RuntimeError as error:
        raise EngineError(f"{path}: expected pictures [N, 3, H, W] as input: {short_reason(error)}") from None


def port_info(port: Any) -> TensorInfo:
    """Name, shape and type of an input or output."""
    shape = port.partial_shape
    axes = () if shape.rank.is_dynamic else tuple(axis.get_length() if axis.is_static else None for axis in shape)
    return TensorInfo(_name(port), axes, _dtype(port))


def _dtype(port: Any) -> str:
    try:
        return str(np.dtype(port.element_type.to_dtype()).name)
    except (RuntimeError, TypeError, ValueError):  # bf16 and types of a few bits have no NumPy name
        return "float32"


def _name(port: Any) -> str:
    return str(port.any_name if port.names else port.node.friendly_name)


def graph_metadata(model: Any) -> dict[str, str]:
    """What the exporter wrote into the .xml: ``framework`` by Ultralytics, ``model_info`` (``labels``, ...) by
    OpenVINO's Model API and Geti."""
    found: dict[str, str] = {}
    for section in ("framework", "model_info"):
        value = model.get_rt_info(section).value if model.has_rt_info(section) else None
        if isinstance(value, dict):
            found |= {str(k): str(v) for k, v in value.items()}
    return found


def short_reason(error: Exception) -> str:
    """OpenVINO's messages are pages of C++ places; the last line that says something is the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [
        line for line in lines if not line.startswith(("Exception from", "Check '", "While ", "Shape inference"))
    ]
    return (telling or lines or [type(error).__name__])[-1][:300]
