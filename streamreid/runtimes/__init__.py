"""Runtimes: the same graph on OpenVINO or on ONNX Runtime."""

from streamreid.runtimes.base import GraphFiles, ImageInput, Runtime, TensorInfo
from streamreid.runtimes.loading import load_runtime
from streamreid.runtimes.onnx_runtime import OnnxRuntimeRuntime
from streamreid.runtimes.openvino_runtime import OpenVINORuntime

__all__ = ["GraphFiles", "ImageInput", "OnnxRuntimeRuntime", "OpenVINORuntime", "Runtime", "TensorInfo", "load_runtime"]
