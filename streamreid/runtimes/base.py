"""What every runtime offers: one call from a batch to the output arrays, whatever executes the graph."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import EngineError
from streamreid.types import FloatArray

__all__ = [
    "FrameRuntime",
    "GraphFiles",
    "ImageInput",
    "PictureAxes",
    "Runtime",
    "TensorInfo",
    "available_threads",
    "limit_threads",
    "split_batch",
]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Name, shape and type of one input or output.

    Args:
        name: Its name in the graph.
        shape: Its axes; None where the graph accepts any length.
        dtype: NumPy's name of the type of its values.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"

    @property
    def whole(self) -> bool:
        """Whether its values are whole numbers: a graph with such an input takes pixels from 0 to 255 and normalises
        them itself."""
        return np.issubdtype(np.dtype(self.dtype), np.integer)

    def __str__(self) -> str:
        shape = f"{self.name} [{', '.join('?' if axis is None else str(axis) for axis in self.shape)}]"
        return shape if self.dtype == "float32" else f"{shape} {self.dtype}"


@dataclass(frozen=True, slots=True)
class PictureAxes:
    """How a graph's input holds pictures.

    Args:
        height: Rows; None where the graph accepts any number.
        width: Columns; likewise.
        channels_last: ``[N, H, W, 3]`` instead of ``[N, 3, H, W]``.
    """

    height: int | None
    width: int | None
    channels_last: bool = False

    @classmethod
    def of(cls, info: TensorInfo) -> PictureAxes | None:
        """Of a graph's input; None if that takes no pictures of three channels."""
        if len(info.shape) != 4:
            return None
        _, second, third, last = info.shape
        if last == 3 and second != 3:
            return cls(second, third, True)
        return cls(third, last) if second in (3, None) else None

    def shape(self, count: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Shape of so many pictures of that size."""
        return (count, height, width, 3) if self.channels_last else (count, 3, height, width)


@dataclass(frozen=True, slots=True)
class ImageInput:
    """How pictures become the graph's input: ``input = pixel * scale + bias`` per channel, in the graph's colour order.

    A runtime loaded with this takes uint8 BGR ``[N, H, W, 3]`` pictures instead of the graph's own input, ``[N, 3, H,
    W]`` or ``[N, H, W, 3]`` of any type.

    Args:
        color: Channel order of the graph.
        scale: Three factors, not 0, in that order.
        bias: Three summands, in that order.
    """

    color: Literal["rgb", "bgr"] = "rgb"
    scale: tuple[float, float, float] = (1 / 255, 1 / 255, 1 / 255)
    bias: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if not np.isfinite([*self.scale, *self.bias]).all() or 0.0 in self.scale:
            raise ValueError(
                f"ImageInput: scale and bias must be finite and scale not 0; got scale {self.scale}, bias {self.bias}"
            )

    @property
    def identity(self) -> bool:
        """Whether pixels are taken as they are, from 0 to 255."""
        return self.scale == (1.0, 1.0, 1.0) and self.bias == (0.0, 0.0, 0.0)

    def check(self, info: TensorInfo, where: Path) -> None:
        """Raise an EngineError if a graph's input cannot take such pictures."""
        if PictureAxes.of(info) is None:
            raise EngineError(f"{where}: expected pictures [N, 3, H, W] or [N, H, W, 3] as input, the graph has {info}")
        if info.whole and not self.identity:
            raise EngineError(
                f"{where}: its input {info} takes whole pixels from 0 to 255, so they cannot be normalised before it; "
                "the graph has to do that itself"
            )

    def graph_input(self, pictures: NDArray[np.uint8], info: TensorInfo) -> NDArray[Any]:
        """Pictures as a graph's own input, in its axes and type; for a runtime that was loaded without an
        ``ImageInput``.

        Args:
            pictures: ``[N, H, W, 3]`` uint8 BGR.
            info: The graph's input.
        """
        axes = PictureAxes.of(info)
        data = self.apply(pictures)
        return np.ascontiguousarray(
            data.transpose(0, 2, 3, 1) if axes is not None and axes.channels_last else data, info.dtype
        )

    def apply(self, pictures: NDArray[np.uint8]) -> FloatArray:
        """Pictures as the graph's input, for runtimes that cannot do it inside the graph.

        Args:
            pictures: ``[N, H, W, 3]`` uint8 BGR.

        Returns:
            ``[N, 3, H, W]`` float32.
        """
        n, height, width, _ = pictures.shape
        result = np.empty((n, 3, height, width), np.float32)
        for channel in range(3):
            source = 2 - channel if self.color == "rgb" else channel
            np.multiply(pictures[..., source], np.float32(self.scale[channel]), out=result[:, channel])
            if self.bias[channel]:
                result[:, channel] += np.float32(self.bias[channel])
        return result


@dataclass(frozen=True, slots=True)
class GraphFiles:
    """The files of one graph in the forms that it was built in.

    Args:
        model: The reference: an .onnx file in fp32, or the .xml of an OpenVINO IR.
        variants: Precision ("fp16", "int8"), or runtime and precision ("openvino/int8"), -> an .onnx file with that
            precision inside and the same float32 inputs and outputs. Runtimes want Q/DQ pairs in different places.
        plan: A TensorRT plan that fits this machine.
        library: Bindings that made the plan: "tensorrt" or "tensorrt_rtx".
        plan_precision: What the plan computes in.
        checkpoint: The network as a torch.export program (.pt2) or TorchScript (.pt, .ts).
        verified: "runtime/precision" -> whether its accuracy was found to be good enough. A precision that needs a
            graph of its own is taken by itself only if it was.
        max_batch: Largest batch of the plan; larger ones are split.
        identity: Hash of all that changes results; what was measured with it is remembered under it. Empty: nothing is
            remembered.
    """

    model: Path
    variants: Mapping[str, Path] = field(default_factory=dict)
    plan: Path | None = None
    library: str | None = None
    plan_precision: str = ""
    checkpoint: Path | None = None
    verified: Mapping[str, bool] = field(default_factory=dict)
    max_batch: int | None = None
    identity: str = ""

    def graph(self, runtime: str, precision: str) -> Path | None:
        """The form that was made for a runtime and precision, or for that precision on any; None without one."""
        return self.variants.get(f"{runtime}/{precision}") or self.variants.get(precision)


@runtime_checkable
class Runtime(Protocol):
    """A loaded graph with one input.

    Attributes:
        name: "tensorrt", "openvino", "onnxruntime" or "torch".
        precision: What it really computes in: "fp32", "fp16", "bf16" or "int8".
        inputs: The graph's inputs (with pictures as input: the graph's own, before the conversion).
        outputs: The graph's outputs.
        metadata: What the exporter wrote into the file, for example Ultralytics' "task" and "names".
    """

    @property
    def name(self) -> str: ...

    @property
    def precision(self) -> str: ...

    @property
    def inputs(self) -> tuple[TensorInfo, ...]: ...

    @property
    def outputs(self) -> tuple[TensorInfo, ...]: ...

    @property
    def metadata(self) -> dict[str, str]: ...

    def __call__(self, batch: NDArray[Any]) -> list[FloatArray]:
        """Run the graph.

        Args:
            batch: ``[N, ...]``: uint8 BGR ``[N, H, W, 3]`` if loaded with an ``ImageInput``, else the graph's own
                input. N may be 0.

        Returns:
            One float32 array per output, each with N rows.
        """
        ...


@runtime_checkable
class FrameRuntime(Protocol):
    """A runtime that can also cut people out of frames by itself, where the frames' pixels are cheaper to move than
    finished inputs.

    Attributes:
        takes_frames: Whether it can do so here.
    """

    @property
    def takes_frames(self) -> bool: ...

    def from_frames(
        self, frames: Sequence[NDArray[np.uint8]], which: NDArray[np.int64], boxes: NDArray[np.int64]
    ) -> list[FloatArray]:
        """Run the graph on boxes of frames.

        Args:
            frames: ``[H, W, 3]`` uint8 BGR, any sizes.
            which: ``[M]`` number of each box's frame.
            boxes: ``[M, 4]`` xyxy in whole pixels inside their frame, at least 1 x 1.

        Returns:
            One float32 array per output, each with M rows.
        """
        ...


_most_threads: int | None = None
"""Of `limit_threads`."""


def limit_threads(count: int | None) -> None:
    """Share the machine: graphs that are opened from now on use at most so many threads, each.

    Args:
        count: At least 1; None for all cores that this process may use.
    """
    global _most_threads
    _most_threads = count


def available_threads() -> int:
    """CPU cores that this process may use, at most as many as `limit_threads` said."""
    cores = _cores()
    return cores if _most_threads is None else max(1, min(cores, _most_threads))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def split_batch(count: int, sizes: tuple[int, ...]) -> Iterator[slice]:
    """Cut ``count`` rows into pieces of the given sizes, the largest first, without padding.

    Args:
        count: Rows, from 0.
        sizes: Allowed sizes in falling order; the last is 1.
    """
    start = 0
    for size in sizes:
        while count - start >= size:
            yield slice(start, start + size)
            start += size
