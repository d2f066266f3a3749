"""ONNX Runtime on the CPU: runs everywhere, in fp32 or, from a graph with Q/DQ pairs, in int8."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid._startup import starting
from streamreid.errors import EngineError
from streamreid.runtimes.base import ImageInput, TensorInfo, available_threads
from streamreid.types import FloatArray

__all__ = ["OnnxRuntimeRuntime"]

log = logging.getLogger(__name__)

_DTYPES = {
    "float32",
    "float64",
    "float16",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "bool",
}
_LARGEST = 16  # rows of one piece; larger ones fall out of the cache


class OnnxRuntimeRuntime:
    """An .onnx file on ONNX Runtime's CPU provider.

    Many rows are computed side by side, one thread for each piece, which loses less to waiting than all threads on one
    piece (1.2 to 2 times faster where layers are small); few rows get all threads together.

    Args:
        model_path: The .onnx file.
        precision: "fp32", "int8" for a graph with Q/DQ pairs, or "auto" for what the graph has. Others are computed in
            fp32, with a warning.
        threads: Threads of one run; all available cores by default.
        image: Take uint8 BGR pictures and convert them so.
        mode: "throughput" as above, or "latency": all threads on every piece.

    Raises:
        EngineError: The file is missing, is not ONNX, has no int8 layers where they are asked for, or ONNX Runtime
            cannot run it.
    """

    name = "onnxruntime"

    def __init__(
        self,
        model_path: Path,
        *,
        precision: str = "auto",
        threads: int | None = None,
        image: ImageInput | None = None,
        mode: str = "throughput",
    ) -> None:
        if model_path.suffix.lower() == ".xml":
            raise EngineError(
                f"{model_path}: ONNX Runtime cannot read OpenVINO IR; use runtime 'openvino' or export the model as "
                ".onnx"
            )
        self._path = model_path
        self._threads = threads or available_threads()
        self._session = self._open(self._threads)
        self._single: Any = None
        self._pool: ThreadPoolExecutor | None = None
        self._spread = mode == "throughput" and self._threads > 1
        self._image = image
        self._lock = threading.Lock()
        self.inputs = tuple(TensorInfo(i.name, _axes(i.shape), _dtype(i.type)) for i in self._session.get_inputs())
        self.outputs = tuple(TensorInfo(o.name, _axes(o.shape), _dtype(o.type)) for o in self._session.get_outputs())
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        if len(self.inputs) != 1:
            raise EngineError(f"{model_path}: expected one input, got {', '.join(map(str, self.inputs))}")
        if image is not None:
            image.check(self.inputs[0], model_path)
        self._fixed = self.inputs[0].shape[0] if self.inputs[0].shape else None
        self.precision = self._found_precision(precision)

    def __call__(self, batch: NDArray[Any]) -> list[FloatArray]:
        """See ``Runtime``."""
        if len(batch) == 0:
            return self._empty()
        data = self._prepared(batch)
        with self._lock:
            if self._fixed is not None:
                pieces = [self._run_fixed(data[i : i + self._fixed]) for i in range(0, len(data), self._fixed)]
            elif self._spread and len(data) >= 2 * self._threads:
                pieces = self._run_spread(data)
            else:
                return self._run(self._session, data)
        return [np.concatenate(column) for column in zip(*pieces, strict=True)]

    def _prepared(self, batch: NDArray[Any]) -> NDArray[Any]:
        """The batch as the graph takes it."""
        if self._image is not None:
            return self._image.graph_input(batch, self.inputs[0])
        return np.ascontiguousarray(batch, self.inputs[0].dtype)

    def _open(self, threads: int) -> Any:
        import onnxruntime as ort

        # Without VNNI, fast sums of int8 products saturate at 16 bits. Exact ones cost nothing where there is VNNI; of
        # a few graphs (weights that several nodes share) ONNX Runtime cannot make them, and these run as they always
        # did.
        for exact in ("1", "0"):
            options = ort.SessionOptions()
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
            options.log_severity_level = 3
            options.add_session_config_entry("session.x64quantprecision", exact)
            try:
                with starting(f"loading {self._path.name} in ONNX Runtime"):
                    return ort.InferenceSession(str(self._path), options, providers=["CPUExecutionProvider"])
            except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
                reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EngineError(f"{self._path}: ONNX Runtime cannot load it: {reason}")

    def _run_spread(self, data: NDArray[Any]) -> list[list[FloatArray]]:
        """Pieces of equal size, as many as threads or a multiple of them."""
        if self._single is None:
            self._single = self._open(1)
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="onnxruntime")
        assert self._pool is not None
        rounds = -(-len(data) // (self._threads * _LARGEST))
        ends = np.linspace(0, len(data), rounds * self._threads + 1).round().astype(int)
        return list(self._pool.map(lambda s: self._run(self._single, data[s[0] : s[1]]), pairwise(ends)))

    def _run(self, session: Any, data: NDArray[Any]) -> list[FloatArray]:
        try:
            return [np.asarray(o, np.float32) for o in session.run(None, {self.inputs[0].name: data})]
        except Exception as error:
            raise EngineError(
                f"{self._path}: ONNX Runtime failed on an input of shape {list(data.shape)}: {error}"
            ) from None

    def _run_fixed(self, data: NDArray[Any]) -> list[FloatArray]:
        missing = (self._fixed or 1) - len(data)
        if not missing:
            return self._run(self._session, data)
        padded = np.concatenate([data, np.zeros((missing, *data.shape[1:]), data.dtype)])
        return [o[: len(data)] for o in self._run(self._session, padded)]

    def _empty(self) -> list[FloatArray]:
        return [np.zeros((0, *(axis or 0 for axis in o.shape[1:])), np.float32) for o in self.outputs]

    def _found_precision(self, wanted: str) -> str:
        quantised = b"DequantizeLinear" in self._path.read_bytes()
        if wanted == "int8" and not quantised:
            raise EngineError(
                f"{self._path}: has no int8 layers; build a graph that has: streamreid build-engine ... --precision "
                "int8"
            )
        if wanted in ("bf16", "fp16"):
            log.warning(
                "%s: ONNX Runtime has no %s on the CPU and computes in fp32; use runtime 'openvino' for bf16",
                self._path.name,
                wanted,
            )
        return "int8" if quantised else "fp32"

    def __repr__(self) -> str:
        return f"OnnxRuntimeRuntime({self._path.name}, {self.precision})"


def _axes(shape: list[Any]) -> tuple[int | None, ...]:
    return tuple(axis if isinstance(axis, int) and axis > 0 else None for axis in shape)


def _dtype(kind: str) -> str:
    """NumPy's name for what ONNX Runtime calls "tensor(float16)"."""
    name = kind.removeprefix("tensor(").removesuffix(")")
    name = {"float": "float32", "double": "float64"}.get(name, name)
    return name if name in _DTYPES else "float32"
