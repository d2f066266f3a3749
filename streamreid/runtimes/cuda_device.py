"""The GPU, through pycuda and without torch: memory, streams, copies and the crop kernel."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import EngineError

__all__ = ["CudaDevice"]


class CudaDevice:
    """The first GPU and its primary context, which torch and others in this process share.

    All methods but `active` are to be called inside ``with device.active():``.

    Raises:
        EngineError: pycuda is not installed or does not load, or there is no GPU.
    """

    def __init__(self) -> None:
        if importlib.util.find_spec("pycuda") is None:
            raise EngineError(
                "TensorRT needs the package 'pycuda', which is not installed here. Install it with: pip install "
                "'streamreid[cuda]'"
            )
        try:
            self._driver: Any = importlib.import_module("pycuda.driver")
            self._driver.init()
            count = self._driver.Device.count()
        except (
            Exception
        ) as error:  # a missing driver library shows as ImportError, a driver without GPU as pycuda's own error
            raise EngineError(f"pycuda finds no NVIDIA GPU or driver: {_first(error)}") from None
        if count < 1:
            raise EngineError("pycuda finds no NVIDIA GPU")
        device = self._driver.Device(0)
        self.name = str(device.name())
        self.capability: tuple[int, int] = device.compute_capability()
        self._context = device.retain_primary_context()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make the GPU's context current for this thread, and nobody's afterwards."""
        self._context.push()
        try:
            yield
        finally:
            self._context.pop()

    def stream(self) -> Any:
        """A new stream; its ``handle`` goes to TensorRT."""
        return self._driver.Stream()

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Host memory that copies at full speed, and while the GPU computes."""
        array: NDArray[Any] = self._driver.pagelocked_empty(shape, dtype)
        return array

    def memory(self, size: int) -> Any:
        """Device memory of so many bytes, zeroed, so that rows nobody wrote are numbers."""
        found = self._driver.mem_alloc(max(size, 1))
        self._driver.memset_d8(found, 0, max(size, 1))
        return found

    def free(self, memory: Any) -> None:
        """Give device memory back now."""
        memory.free()

    def upload(self, target: Any, source: NDArray[Any], stream: Any) -> None:
        """Queue a copy to the GPU; ``source`` is pinned and stays as it is until the stream has done it."""
        self._driver.memcpy_htod_async(target, source, stream)

    def download(self, target: NDArray[Any], source: Any, stream: Any) -> None:
        """Queue a copy from the GPU into pinned memory."""
        self._driver.memcpy_dtoh_async(target, source, stream)

    def kernel(self, code: bytes, name: str) -> Any:
        """Load compiled code.

        Raises:
            EngineError: The driver does not take it.
        """
        try:
            return self._driver.module_from_buffer(code).get_function(name)
        except Exception as error:
            raise EngineError(
                f"{self.name}: the driver does not take the compiled crop kernel: {_first(error)}"
            ) from None

    def launch(
        self, kernel: Any, arguments: list[Any], grid: tuple[int, int, int], block: tuple[int, int, int], stream: Any
    ) -> None:
        """Queue a kernel; whole numbers go as int32, real ones as float32, memory as its address."""
        packed = [
            np.int32(a) if isinstance(a, int) else np.float32(a) if isinstance(a, float) else np.intp(int(a))
            for a in arguments
        ]
        kernel(*packed, grid=grid, block=block, stream=stream)


def _first(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
