"""TensorRT 10, 11 and TensorRT for RTX on pycuda, without torch.

Two slots, each with its own stream, execution context, pinned host memory and device memory, take turns: while the GPU
works on one piece of a batch, the host prepares the next and reads the one before. Pictures, or boxes of whole frames,
go up as bytes; one kernel cuts, resizes, converts and normalises them straight into the engine's input (see
``crop_kernel``).
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import EngineError
from streamreid.runtimes.base import GraphFiles, ImageInput, TensorInfo
from streamreid.runtimes.crop_kernel import KERNEL, compile_kernel
from streamreid.runtimes.crop_packing import Packing, pack_boxes, pack_pictures
from streamreid.runtimes.cuda_device import CudaDevice
from streamreid.types import FloatArray

__all__ = ["TensorRTRuntime"]

log = logging.getLogger(__name__)

_MODULES = {"tensorrt": ("tensorrt", "tensorrt_bindings"), "tensorrt_rtx": ("tensorrt_rtx", "tensorrt_rtx_bindings")}
_SLOTS = 2
"""Batches in flight: one is copied while the other computes."""

_BLOCK = (32, 8, 1)
"""Threads per block of the crop kernel: one warp along a row."""


class TensorRTRuntime:
    """A TensorRT plan on the first GPU.

    Args:
        files: The graph; its plan was built for this machine.
        image: Take uint8 BGR pictures and convert them on the GPU.
        device: The GPU; the first one by default.

    Attributes:
        takes_frames: Whether `from_frames` works: with ``image``, and where the crop kernel could be compiled.

    Raises:
        EngineError: No GPU or library, or the plan does not load here.
    """

    name = "tensorrt"

    def __init__(self, files: GraphFiles, *, image: ImageInput | None = None, device: CudaDevice | None = None) -> None:
        if files.plan is None:
            raise EngineError(f"{files.model}: no TensorRT plan beside it")
        self._path, self._image = files.plan, image
        self._trt, self._logger = _bindings(files.library or "tensorrt", files)
        self._device = device or CudaDevice()
        self.precision = files.plan_precision or "fp32"
        self.metadata: dict[str, str] = {}
        self._lock = threading.Lock()
        self._slots: list[_Slot] = []
        with self._device.active():
            self._engine = self._deserialise()
            self._read_io()
            self._least, self._most = self._profile(files.max_batch)
            self._kernel = self._make_kernel() if image is not None else None
            self._slots = [_Slot(self) for _ in range(_SLOTS)]
        self.takes_frames = self._kernel is not None

    def __call__(self, batch: NDArray[Any]) -> list[FloatArray]:
        """See ``Runtime``."""
        wanted = (*self._size, 3) if self._image is not None else (3, *self._size)
        if batch.shape[1:] != wanted:
            raise EngineError(
                f"{self._path}: the plan ({self.inputs[0]}) cannot take an input of shape {list(batch.shape)}"
            )
        if self._image is not None and self._kernel is None:
            batch = self._image.apply(batch)
        if self._kernel is None:
            data = np.ascontiguousarray(batch, np.float32)
            return self._run(len(data), lambda slot, rows: slot.put(data[rows]))
        pictures = np.ascontiguousarray(batch, np.uint8)
        return self._run(len(pictures), lambda slot, rows: slot.cut(pack_pictures(pictures[rows])))

    def from_frames(
        self, frames: Sequence[NDArray[np.uint8]], which: NDArray[np.int64], boxes: NDArray[np.int64]
    ) -> list[FloatArray]:
        """Cut people out of frames on the GPU and run the engine on them.

        Args:
            frames: ``[H, W, 3]`` uint8 BGR, any sizes.
            which: ``[M]`` number of each box's frame.
            boxes: ``[M, 4]`` xyxy in whole pixels inside their frame, at least 1 x 1.

        Returns:
            One float32 array per output, each with M rows: the same as of crops made by ``reid.crops``.
        """
        if self._kernel is None:
            raise EngineError(f"{self._path}: frames cannot be cut on the GPU here; cut them on the CPU and pass crops")
        return self._run(len(boxes), lambda slot, rows: slot.cut(pack_boxes(frames, which[rows], boxes[rows])))

    def close(self) -> None:
        """Free the GPU's memory; the runtime cannot be used afterwards."""
        with self._lock, self._device.active():
            for slot in self._slots:
                slot.close()
            self._slots = []
            self._engine = None

    def __del__(self) -> None:
        if getattr(self, "_slots", None):
            with suppress(Exception):  # at interpreter exit half of it may be gone already
                self.close()

    def __repr__(self) -> str:
        return (
            f"TensorRTRuntime({self._path.name}, {self.precision}, {self._device.name}, batches of {self._least} to "
            f"{self._most})"
        )

    def _run(self, count: int, fill: Callable[[_Slot, slice], None]) -> list[FloatArray]:
        """All rows in pieces of at most the plan's largest batch, with two pieces under way."""
        results = [np.zeros((count, *shape), np.float32) for shape in self._shapes]
        with self._lock, self._device.active():
            if not self._slots:
                raise EngineError(f"{self._path}: this runtime was closed")
            waiting: deque[tuple[_Slot, slice]] = deque()
            try:
                for number, start in enumerate(range(0, count, self._most)):
                    rows = slice(start, min(start + self._most, count))
                    if len(waiting) == _SLOTS:
                        _collect(*waiting.popleft(), results)
                    slot = self._slots[number % _SLOTS]
                    fill(slot, rows)
                    slot.execute(rows.stop - rows.start)
                    waiting.append((slot, rows))
                while waiting:
                    _collect(*waiting.popleft(), results)
            except BaseException:  # nothing may still write into, or read from, memory that is used again
                for slot in self._slots:
                    with suppress(Exception):
                        slot.stream.synchronize()
                raise
        return results

    def _deserialise(self) -> Any:
        try:
            data = self._path.read_bytes()
        except OSError as error:
            raise EngineError(f"{self._path}: cannot be read: {error}") from None
        self._runtime = self._trt.Runtime(self._logger)
        engine = self._runtime.deserialize_cuda_engine(data)
        if engine is None:
            raise EngineError(
                f"{self._path}: {self._trt.__name__} {self._trt.__version__} cannot load this plan on "
                f"{self._device.name}: {self._logger.last or 'it gave no reason'}. Build it again on this machine: "
                "streamreid build-engine"
            )
        return engine

    def _read_io(self) -> None:
        engine, trt = self._engine, self._trt
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        infos = [
            TensorInfo(n, tuple(None if axis < 0 else int(axis) for axis in engine.get_tensor_shape(n))) for n in names
        ]
        is_input = [engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT for n in names]
        self.inputs = tuple(info for info, i in zip(infos, is_input, strict=True) if i)
        self.outputs = tuple(info for info, i in zip(infos, is_input, strict=True) if not i)
        if len(self.inputs) != 1:
            raise EngineError(f"{self._path}: expected one input, got {', '.join(map(str, self.inputs))}")
        shape = self.inputs[0].shape
        if len(shape) != 4 or shape[1] != 3 or shape[2] is None or shape[3] is None:
            raise EngineError(
                f"{self._path}: expected pictures [N, 3, H, W] of a fixed size as input, the plan has {self.inputs[0]}"
            )
        if np.dtype(trt.nptype(engine.get_tensor_dtype(self.inputs[0].name))) != np.float32:
            raise EngineError(
                f"{self._path}: expected a float32 input; build the plan from a graph whose inputs and outputs are "
                "float32"
            )
        self._size: tuple[int, int] = (shape[2], shape[3])
        self._types = [np.dtype(trt.nptype(engine.get_tensor_dtype(o.name))) for o in self.outputs]
        self._shapes = [tuple(axis or 0 for axis in o.shape[1:]) for o in self.outputs]
        if any(0 in shape for shape in self._shapes):
            raise EngineError(f"{self._path}: outputs of unknown size: {', '.join(map(str, self.outputs))}")

    def _profile(self, limit: int | None) -> tuple[int, int]:
        if self.inputs[0].shape[0] is not None:
            return self.inputs[0].shape[0], self.inputs[0].shape[0]
        least, _, most = self._engine.get_tensor_profile_shape(self.inputs[0].name, 0)
        return int(least[0]), max(int(least[0]), min(int(most[0]), limit or int(most[0])))

    def _make_kernel(self) -> Any:
        try:
            return self._device.kernel(compile_kernel(self._device.capability), KERNEL)
        except EngineError as error:
            log.warning("%s: pictures are cut and converted on the CPU, because %s", self._path.name, error)
            return None


class _Slot:
    """Everything that one piece of a batch needs while it is under way."""

    def __init__(self, owner: TensorRTRuntime) -> None:
        device, most = owner._device, owner._most
        self._owner, self._device = owner, device
        self.stream = device.stream()
        self._context = owner._engine.create_execution_context()
        if self._context is None:
            raise EngineError(
                f"{owner._path}: no memory for an execution context on {device.name}; build the plan for smaller "
                "batches"
            )
        self._input = device.memory(most * 3 * owner._size[0] * owner._size[1] * 4)
        self._host = [
            device.pinned((most, *shape), dtype) for shape, dtype in zip(owner._shapes, owner._types, strict=True)
        ]
        self._outputs = [device.memory(host.nbytes) for host in self._host]
        self._floats: NDArray[np.float32] | None = None
        self._pixels: NDArray[np.uint8] | None = None
        self._pixels_there: Any = None
        if owner._kernel is not None:
            self._starts, self._table = device.pinned((most,), np.int64), device.pinned((most, 5), np.int32)
            self._starts_there, self._table_there = (
                device.memory(self._starts.nbytes),
                device.memory(self._table.nbytes),
            )
        self._context.set_tensor_address(owner.inputs[0].name, int(self._input))
        for info, memory in zip(owner.outputs, self._outputs, strict=True):
            self._context.set_tensor_address(info.name, int(memory))

    def put(self, data: FloatArray) -> None:
        """Queue the upload of finished inputs."""
        if self._floats is None:
            self._floats = self._device.pinned((self._owner._most, 3, *self._owner._size), np.float32)
        self._floats[: len(data)] = data
        self._device.upload(self._input, self._floats[: len(data)], self.stream)

    def cut(self, packing: Packing) -> None:
        """Queue the upload of pixels and the kernel that makes inputs of them."""
        owner, device, count = self._owner, self._device, len(packing.starts)
        self._reserve(packing.size)
        assert self._pixels is not None
        assert owner._image is not None
        packing.write(self._pixels)
        self._starts[:count], self._table[:count] = packing.starts, packing.table
        device.upload(self._pixels_there, self._pixels[: packing.size], self.stream)
        device.upload(self._starts_there, self._starts[:count], self.stream)
        device.upload(self._table_there, self._table[:count], self.stream)
        height, width = owner._size
        numbers = [
            count,
            height,
            width,
            int(owner._image.color == "rgb"),
            *map(float, (*owner._image.scale, *owner._image.bias)),
        ]
        grid = (-(-width // _BLOCK[0]), -(-height // _BLOCK[1]), count)
        memory = [self._pixels_there, self._starts_there, self._table_there, self._input]
        device.launch(owner._kernel, [*memory, *numbers], grid, _BLOCK, self.stream)

    def execute(self, count: int) -> None:
        """Queue the engine and the download of its outputs; rows below the plan's smallest batch are computed and
        thrown away."""
        owner = self._owner
        rows = max(count, owner._least)
        name = owner.inputs[0].name
        if not self._context.set_input_shape(name, (rows, 3, *owner._size)):
            raise EngineError(
                f"{owner._path}: the plan refuses a batch of {rows}: {owner._logger.last or 'it gave no reason'}"
            )
        if not self._context.execute_async_v3(self.stream.handle):
            raise EngineError(
                f"{owner._path}: failed on a batch of {rows}: {owner._logger.last or 'it gave no reason'}"
            )
        for host, there in zip(self._host, self._outputs, strict=True):
            self._device.download(host[:count], there, self.stream)

    def read(self, rows: slice, results: list[FloatArray]) -> None:
        """Wait for the piece and copy it to its place."""
        self.stream.synchronize()
        for host, result in zip(self._host, results, strict=True):
            result[rows] = host[: rows.stop - rows.start]

    def close(self) -> None:
        """Wait for what is in flight, then free all memory on the device."""
        self.stream.synchronize()
        self._context = None
        optional = [getattr(self, name, None) for name in ("_pixels_there", "_starts_there", "_table_there")]
        for memory in [self._input, *self._outputs, *optional]:
            if memory is not None:
                self._device.free(memory)

    def _reserve(self, size: int) -> None:
        """Room for so many bytes of pixels; the slot is idle when this is called."""
        if self._pixels is None or len(self._pixels) < size:
            room = max(size, 0 if self._pixels is None else 2 * len(self._pixels))
            if self._pixels_there is not None:
                self._device.free(self._pixels_there)
            self._pixels, self._pixels_there = self._device.pinned((room,), np.uint8), self._device.memory(room)


def _collect(slot: _Slot, rows: slice, results: list[FloatArray]) -> None:
    slot.read(rows, results)


def _bindings(library: str, files: GraphFiles) -> tuple[Any, Any]:
    """The module of the library that made the plan, and a logger that keeps what it complains about."""
    for name in _MODULES.get(library, (library,)):
        if importlib.util.find_spec(name) is None:
            continue
        try:
            trt: Any = importlib.import_module(name)
        except Exception as error:  # missing libraries show as ImportError, OSError, RuntimeError or FileNotFoundError
            raise EngineError(
                f"'{name}' is installed but cannot be loaded: {str(error).splitlines()[0] if str(error) else error!r}"
            ) from None
        return trt, _logger(trt)
    raise EngineError(f"{files.plan}: needs the package '{library}', which is not installed here")


def _logger(trt: Any) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc]
        last = ""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
                self.last = message.strip()
                log.debug("TensorRT: %s", message)

    return Logger()
