"""torch: the last resort, and the reference of a trained network. Imported only when asked for or when nothing else
runs.

It runs programs, not weights: a ``torch.export`` program (.pt2) or TorchScript (.pt, .ts). Converting an ONNX graph
back into torch modules is not done: the converters that exist do not know all operators of part networks, and a nearly
right graph is worse than none.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import EngineError, MissingExtraError
from streamreid.runtimes.base import ImageInput, TensorInfo, available_threads
from streamreid.types import FloatArray

__all__ = ["TorchRuntime"]


class TorchRuntime:
    """A torch program on the GPU if torch has one, else on the CPU.

    Args:
        path: The .pt2, .pt or .ts file.
        precision: "fp32", or "bf16"/"fp16" by autocast; "auto" is fp32.
        threads: Threads of one run on the CPU; all available cores by default.
        image: Take uint8 BGR pictures and convert them so.
        names: Names of the outputs, in order; those of the product by default.

    Raises:
        MissingExtraError: torch is not installed.
        EngineError: The file is missing or no program that this torch can load.
    """

    name = "torch"

    def __init__(
        self,
        path: Path,
        *,
        precision: str = "auto",
        threads: int | None = None,
        image: ImageInput | None = None,
        names: tuple[str, ...] = ("parts", "visibility"),
    ) -> None:
        if importlib.util.find_spec("torch") is None:
            raise MissingExtraError("torch", "train", "The torch runtime")
        # By name, because the light install has no torch and nothing but this class may need it.
        self._torch: Any = importlib.import_module("torch")
        if precision == "int8":
            raise EngineError(
                f"{path}: the torch runtime does not compute in int8; use runtime 'openvino', 'onnxruntime' or "
                "'tensorrt'"
            )
        self.precision = "fp32" if precision == "auto" else precision
        self._path, self._image = path, image
        self._device = "cuda" if self._torch.cuda.is_available() else "cpu"
        if self._device == "cpu":
            self._torch.set_num_threads(threads or available_threads())
        self._program = self._load(path)
        self._lock = threading.Lock()
        self.metadata: dict[str, str] = {}
        self.inputs = (TensorInfo("images", (None, 3, None, None)),)
        self.outputs = tuple(TensorInfo(name, (None,)) for name in names)
        self._names = names

    def __call__(self, batch: NDArray[Any]) -> list[FloatArray]:
        """See ``Runtime``; an empty batch gives empty arrays without further axes until the first run has shown
        them."""
        if len(batch) == 0:
            return [np.zeros((0, *(axis or 0 for axis in o.shape[1:])), np.float32) for o in self.outputs]
        torch = self._torch
        data = self._image.apply(batch) if self._image is not None else np.ascontiguousarray(batch, np.float32)
        kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        with self._lock, torch.inference_mode(), torch.autocast(self._device, dtype=kind, enabled=kind is not None):
            try:
                images = torch.from_numpy(data).to(self._device).contiguous(memory_format=torch.channels_last)
                found = self._program(images)
            except RuntimeError as error:
                raise EngineError(
                    f"{self._path}: torch failed on an input of shape {list(data.shape)}: {_first(error)}"
                ) from None
        arrays = [o.float().cpu().numpy() for o in (found if isinstance(found, (tuple, list)) else [found])]
        names = (*self._names, *(f"output{i}" for i in range(len(self._names), len(arrays))))
        self.outputs = tuple(TensorInfo(name, (None, *a.shape[1:])) for name, a in zip(names, arrays, strict=False))
        return arrays

    def _load(self, path: Path) -> Any:
        torch = self._torch
        if not path.is_file():
            raise EngineError(f"{path}: no such file")
        try:
            if path.suffix.lower() == ".pt2":
                return torch.export.load(str(path)).module().to(self._device)
            return torch.jit.load(str(path), map_location=self._device).eval()
        except Exception as error:  # torch raises many unrelated classes
            raise EngineError(
                f"{path}: not a program that torch {torch.__version__} can load ({_first(error)}); it takes "
                "torch.export programs (.pt2) and TorchScript, not checkpoints of weights"
            ) from None

    def __repr__(self) -> str:
        return f"TorchRuntime({self._path.name}, {self._device}, {self.precision})"


def _first(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
