"""ONNX Runtime on the CPU: runs everywhere, computes in fp32."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import EngineError
from streamreid.runtimes.base import ImageInput, TensorInfo, available_threads
from streamreid.types import FloatArray

__all__ = ["OnnxRuntimeRuntime"]


class OnnxRuntimeRuntime:
    """An .onnx file on ONNX Runtime's CPU provider.

    Args:
        model_path: The .onnx file.
        threads: Threads of one run; all available cores by default.
        image: Take uint8 BGR pictures and convert them so.

    Raises:
        EngineError: The file is missing, is not ONNX, or ONNX Runtime cannot run it.
    """

    name = "onnxruntime"
    precision = "fp32"

    def __init__(self, model_path: Path, *, threads: int | None = None, image: ImageInput | None = None) -> None:
        import onnxruntime as ort

        if model_path.suffix.lower() == ".xml":
            raise EngineError(f"{model_path}: ONNX Runtime cannot read OpenVINO IR; use runtime 'openvino' or export the model as .onnx")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or available_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(str(model_path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise EngineError(f"{model_path}: ONNX Runtime cannot load it: {reason}") from None
        self._image = image
        self._lock = threading.Lock()
        self.inputs = tuple(TensorInfo(i.name, _axes(i.shape)) for i in self._session.get_inputs())
        self.outputs = tuple(TensorInfo(o.name, _axes(o.shape)) for o in self._session.get_outputs())
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        if len(self.inputs) != 1:
            raise EngineError(f"{model_path}: expected one input, got {', '.join(map(str, self.inputs))}")
        batch = self.inputs[0].shape[0] if self.inputs[0].shape else None
        self._fixed = batch
        self._path = model_path

    def __call__(self, batch: NDArray[Any]) -> list[FloatArray]:
        """See ``Runtime``."""
        if len(batch) == 0:
            return self._empty()
        data = self._image.apply(batch) if self._image is not None else np.ascontiguousarray(batch, np.float32)
        with self._lock:
            if self._fixed is None:
                return self._run(data)
            pieces = [self._run_fixed(data[i : i + self._fixed]) for i in range(0, len(data), self._fixed)]
        return [np.concatenate(column) for column in zip(*pieces, strict=True)]

    def _run(self, data: FloatArray) -> list[FloatArray]:
        try:
            return [np.asarray(o, np.float32) for o in self._session.run(None, {self.inputs[0].name: data})]
        except Exception as error:
            raise EngineError(f"{self._path}: ONNX Runtime failed on an input of shape {list(data.shape)}: {error}") from None

    def _run_fixed(self, data: FloatArray) -> list[FloatArray]:
        missing = (self._fixed or 1) - len(data)
        if not missing:
            return self._run(data)
        padded = np.concatenate([data, np.zeros((missing, *data.shape[1:]), np.float32)])
        return [o[: len(data)] for o in self._run(padded)]

    def _empty(self) -> list[FloatArray]:
        return [np.zeros((0, *(axis or 0 for axis in o.shape[1:])), np.float32) for o in self.outputs]

    def __repr__(self) -> str:
        return f"OnnxRuntimeRuntime({self._path.name}, {self.precision})"


def _axes(shape: list[Any]) -> tuple[int | None, ...]:
    return tuple(axis if isinstance(axis, int) and axis > 0 else None for axis in shape)
