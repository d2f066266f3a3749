"""Runtimes: the same graph on TensorRT, OpenVINO, ONNX Runtime or torch."""

from streamreid.runtimes.base import FrameRuntime, GraphFiles, ImageInput, Runtime, TensorInfo
from streamreid.runtimes.loading import load_runtime, remeasure
from streamreid.runtimes.onnx_runtime import OnnxRuntimeRuntime
from streamreid.runtimes.openvino_runtime import OpenVINORuntime

__all__ = [
    "FrameRuntime",
    "GraphFiles",
    "ImageInput",
    "OnnxRuntimeRuntime",
    "OpenVINORuntime",
    "Runtime",
    "TensorInfo",
    "load_runtime",
    "remeasure",
]
