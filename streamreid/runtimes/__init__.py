"""Runtimes: the same graph on TensorRT, OpenVINO, ONNX Runtime or torch."""

from streamreid.runtimes.base import FrameRuntime, GraphFiles, ImageInput, PictureAxes, Runtime, TensorInfo
from streamreid.runtimes.factory import load_runtime, remeasure
from streamreid.runtimes.graph_files import check_graph_files, external_data, graph_files, graph_sha256, output_sources
from streamreid.runtimes.onnx_runtime import OnnxRuntimeRuntime
from streamreid.runtimes.openvino_runtime import OpenVINORuntime

__all__ = [
    "FrameRuntime",
    "GraphFiles",
    "ImageInput",
    "OnnxRuntimeRuntime",
    "OpenVINORuntime",
    "PictureAxes",
    "Runtime",
    "TensorInfo",
    "check_graph_files",
    "external_data",
    "graph_files",
    "graph_sha256",
    "load_runtime",
    "output_sources",
    "remeasure",
]
