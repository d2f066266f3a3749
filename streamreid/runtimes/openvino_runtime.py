"""OpenVINO on the CPU: one compiled graph per input shape, because fixed shapes run clearly faster than dynamic
ones."""

from __future__ import annotations

import io
import logging
import math
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid._startup import starting
from streamreid.errors import EngineError
from streamreid.runtimes.base import ImageInput, PictureAxes, available_threads, split_batch
from streamreid.runtimes.compile_cache import CompiledGraphs
from streamreid.runtimes.graph_description import GraphDescription
from streamreid.runtimes.graph_files import graph_sha256
from streamreid.runtimes.openvino_graph import graph_metadata, port_info, short_reason, with_pictures
from streamreid.runtimes.openvino_module import openvino_module
from streamreid.types import FloatArray

__all__ = ["OpenVINORuntime"]

log = logging.getLogger(__name__)

_PIECES = (4, 1)
"""Rows per request: a batch is cut into these, so that two sizes of graph are enough."""

_PIXELS = 4 * 256 * 128
"""Pixels per request at most (four crops of 256x128): larger requests wait longer for one another."""

_COMPILED = 16
"""Compiled shapes kept; those unused for longest go first."""

_PARITY = 1e-2
"""Mean difference, as a share of the spread, within which two forms of a graph count as the same."""

_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


class OpenVINORuntime:
    """An .onnx file or an OpenVINO IR (.xml beside its .bin) on the CPU.

    Batches are cut into pieces of a few fixed sizes, each size and picture shape compiled once (about 0.2 s) and kept
    while it is in use. Several pieces run side by side with few threads each, which loses less to waiting than one
    piece on all threads; a single one gets all. Graphs made for a fixed batch are widened if that provably gives the
    same results, else run one row at a time.

    Args:
        model_path: The .onnx or .xml file.
        precision: "fp32", "bf16", "int8" for a graph with Q/DQ pairs, or "auto" for what the graph has, with bf16 where
            the CPU computes it in hardware. What the CPU cannot do is computed in fp32, with a warning.
        threads: Threads of one run; all available cores by default.
        image: Take uint8 BGR pictures and convert them inside the graph.
        mode: "throughput" as above, or "latency": all threads on every piece.
        cache: Where compiled graphs are kept for the next start.

    Raises:
        EngineError: The file is missing, damaged, not a graph that OpenVINO can run, or has no int8 layers where they
            are asked for.
    """

    name = "openvino"

    def __init__(
        self,
        model_path: Path,
        *,
        precision: str = "auto",
        threads: int | None = None,
        image: ImageInput | None = None,
        mode: str = "throughput",
        cache: CompiledGraphs | None = None,
    ) -> None:
        self._path = model_path
        self._core = openvino_module().Core()
        self._kept = cache
        self._threads = threads or available_threads()
        self._streams = 1 if mode == "latency" else self._threads if self._threads <= 4 else max(4, self._threads // 2)
        self._image = image
        self._as_read: Any = None
        self._to_compile: Any = None
        self._reading = threading.Lock()
        self._identity = "" if cache is None else graph_sha256(model_path)
        known = self._describe()
        self.precision, rest = self._found_precision(precision, known.quantised)
        self._settings = {"INFERENCE_PRECISION_HINT": _HINTS[rest], "INFERENCE_NUM_THREADS": self._threads}
        self.inputs, self.outputs, self.metadata = known.inputs, known.outputs, dict(known.metadata)
        if len(self.inputs) != 1:
            raise EngineError(f"{model_path}: expected one input, got {', '.join(map(str, self.inputs))}")
        if image is not None:
            image.check(self.inputs[0], model_path)
        if self._as_read is not None:
            self._model()  # what is wrong with it is said now
        self._picture = image is not None
        self._dtype = np.dtype(np.uint8 if self._picture else self.inputs[0].dtype)
        self._requests: OrderedDict[tuple[int, ...], list[Any]] = OrderedDict()
        self._ahead: dict[tuple[int, ...], Future[list[Any]]] = {}
        self._expected: tuple[int, ...] | None = None
        self._lock = threading.Lock()
        fixed = self.inputs[0].shape[0]
        # None: batches of any size are known to be right. A number: not yet tried (or found impossible, see _widen).
        self._fixed: int | None = fixed
        self._widened = fixed is None

    def __call__(self, batch: NDArray[Any]) -> list[FloatArray]:
        """See ``Runtime``."""
        if len(batch) == 0:
            return [np.zeros((0, *(axis or 0 for axis in o.shape[1:])), np.float32) for o in self.outputs]
        data = np.ascontiguousarray(batch, self._dtype)
        with self._lock:
            if self._fixed is not None and not self._widened and len(data) > self._fixed:
                self._widen(data)
            pieces: list[list[FloatArray]] = []
            for rows in self._cut(data):
                pieces += self._infer_many([data[r] for r in rows])
            done = len(data) if self._fixed is None else len(data) // self._fixed * self._fixed
            self._check_rows(pieces, len(data), done)
            if done < len(data):  # only for a graph fixed at a batch above 1
                pieces.append(self._infer_padded(data[done:]))
        if len(pieces) == 1:
            return pieces[0]
        return [np.concatenate(column) for column in zip(*pieces, strict=True)]

    def prepare(self, row: tuple[int, ...]) -> None:
        """Compile what batches of any length need, in threads of their own; who needs one of these graphs before waits
        for it, and for no other.

        Args:
            row: Shape of one row of a batch.
        """
        if self._fixed is not None:
            return
        sizes = self._sizes(row)
        keys = [(self._streams, size, *row) for size in sizes]
        if self._streams > 1:
            keys.append((1, 1, *row))
        with self._lock:
            keys = [key for key in keys if key not in self._requests]
            worker = ThreadPoolExecutor(2, thread_name_prefix="compile")
            with suppress(RuntimeError):  # no thread is left: they are compiled when they are needed
                self._ahead |= {key: worker.submit(self._open, key[1:], key[0]) for key in keys}
            worker.shutdown(wait=False)

    def expect(self) -> None:
        """Compile, beside whatever comes next, what the first batch of the last start needed: mostly the pictures are
        as large as then. If they are not, that graph is let go."""
        known = None if self._kept is None or self._fixed is not None else self._kept.get(self._first_key)
        if known is None:
            return
        key = tuple(np.frombuffer(known, np.int64).tolist())
        self._expected = key
        with self._lock, suppress(RuntimeError):
            worker = ThreadPoolExecutor(1, thread_name_prefix="compile")
            self._ahead[key] = worker.submit(self._open, key[1:], key[0])
            worker.shutdown(wait=False)

    def proven(self, what: str) -> bool:
        """Whether :meth:`prove` was called for the same graph by an earlier start."""
        return self._kept is not None and self._kept.get(f"{self._identity} {what}") is not None

    def prove(self, what: str) -> None:
        """Remember for the next start that a graph does what was asked of it."""
        if self._kept is not None:
            self._kept.put(f"{self._identity} {what}", b"proven")

    @property
    def _first_key(self) -> str:
        return f"{self._identity} {self._image} first"

    def _met(self, key: tuple[int, ...]) -> None:
        """The first graph that a batch needs is known: the next start expects it."""
        if key == self._expected:
            return
        if self._expected is not None:
            self._ahead.pop(self._expected, None)
        if self._kept is not None and not self._requests:
            self._kept.put(self._first_key, np.array(key, np.int64).tobytes())

    def _describe(self) -> GraphDescription:
        """What the graph is: as an earlier start found it, else from the file."""
        key = f"{self._identity} description"
        data = None if self._kept is None else self._kept.get(key)
        known = None if data is None else GraphDescription.from_bytes(data)
        if known is None:
            model = self._read_file()
            quantised = any(op.get_type_name() == "FakeQuantize" for op in model.get_ops())
            inputs, outputs = (tuple(map(port_info, ports)) for ports in (model.inputs, model.outputs))
            known = GraphDescription(inputs, outputs, graph_metadata(model), quantised)
            if self._kept is not None:
                self._kept.put(key, known.to_bytes())
        return known

    def _read_file(self) -> Any:
        """The graph of the file, read when it is first needed: a start that finds it compiled needs no more than its
        description."""
        if self._as_read is None:
            try:
                with starting(f"reading {self._path.name}"):
                    self._as_read = self._core.read_model(str(self._path))
            except Exception as error:
                raise EngineError(f"{self._path}: OpenVINO cannot read it: {short_reason(error)}") from None
        return self._as_read

    def _model(self) -> Any:
        """The graph with its input as it was asked for, to be compiled."""
        with self._reading:
            if self._to_compile is None:
                model = self._read_file()
                self._to_compile = model if self._image is None else with_pictures(model, self._image, self._path)
            return self._to_compile

    def _check_rows(self, pieces: list[list[FloatArray]], count: int, done: int) -> None:
        """The first axis of every output has to be the picture, else the pieces cannot be put together."""
        for number, info in enumerate(self.outputs):
            rows = sum(len(piece[number]) for piece in pieces)
            if count > 1 and rows != done:
                raise EngineError(
                    f"{self._path}: output {info} gave {rows} rows for {done} pictures; its first axis has to be the "
                    "batch. Export the model so"
                )

    def _cut(self, data: NDArray[Any]) -> list[list[slice]]:
        """Groups of pieces of one size: as many as keep all streams busy, so that none waits for another while a core
        idles, and last what is less.

        Pieces are small enough that what one computes stays in the cache; what is left is fewer rows than streams.
        """
        if self._fixed is not None:
            rows = list(split_batch(len(data), (self._fixed,)))
            return [rows] if rows else []
        groups: list[list[slice]] = []
        start = 0
        for size in self._sizes(data.shape[1:]):
            count = (len(data) - start) // (size * self._streams) * self._streams
            if count:
                groups.append([slice(start + size * i, start + size * (i + 1)) for i in range(count)])
                start += size * count
        if start < len(data):
            groups.append([slice(row, row + 1) for row in range(start, len(data))])
        return groups

    @staticmethod
    def _sizes(row: tuple[int, ...]) -> list[int]:
        """Rows of a piece, the most first."""
        pixels = max(1, math.prod(row) // 3)
        return [size for size in _PIECES if size * pixels <= max(_PIXELS, pixels)]

    def _infer_many(self, pieces: list[NDArray[Any]]) -> list[list[FloatArray]]:
        if len(pieces) == 1 or 2 * len(pieces) < self._streams:
            return [self._infer(piece) for piece in pieces]
        requests = self._compiled(pieces[0].shape, self._streams)
        results: list[list[FloatArray]] = []
        try:
            for number, piece in enumerate(pieces):
                request = requests[number % len(requests)]
                if number >= len(requests):
                    request.wait()
                    results.append(self._read(request))
                request.start_async([piece], share_inputs=True)
            for number in range(len(results), len(pieces)):
                request = requests[number % len(requests)]
                request.wait()
                results.append(self._read(request))
        except RuntimeError as error:
            raise EngineError(
                f"{self._path}: OpenVINO failed on an input of shape {list(pieces[0].shape)}: {short_reason(error)}"
            ) from None
        return results

    def _infer(self, data: NDArray[Any]) -> list[FloatArray]:
        (request,) = self._compiled(data.shape, 1)
        try:
            request.infer([data], share_inputs=True)
            return self._read(request)
        except RuntimeError as error:
            raise EngineError(
                f"{self._path}: OpenVINO failed on an input of shape {list(data.shape)}: {short_reason(error)}"
            ) from None

    def _read(self, request: Any) -> list[FloatArray]:
        # Copies: the request's own memory is overwritten by the next run.
        return [np.array(request.get_output_tensor(i).data, np.float32) for i in range(len(self.outputs))]

    def _infer_padded(self, data: NDArray[Any]) -> list[FloatArray]:
        padded = np.zeros((self._fixed or 1, *data.shape[1:]), data.dtype)
        padded[: len(data)] = data
        return [o[: len(data)] for o in self._infer(padded)]

    def _compiled(self, shape: tuple[int, ...], streams: int) -> list[Any]:
        """Requests, one per stream, of the graph compiled for that input shape."""
        key = (streams, *shape)
        requests = self._requests.get(key)
        if requests is not None:
            self._requests.move_to_end(key)
            return requests
        self._met(key)
        ahead = self._ahead.pop(key, None)
        self._requests[key] = self._open(shape, streams) if ahead is None else ahead.result()
        while len(self._requests) > _COMPILED:
            self._requests.popitem(last=False)
        return self._requests[key]

    def _open(self, shape: tuple[int, ...], streams: int) -> list[Any]:
        self._check_shape(shape)
        try:
            with starting(f"compiling {self._path.name} for input {'x'.join(map(str, shape))}"):
                compiled = self._compile(list(shape), self._settings | {"NUM_STREAMS": streams})
            return [compiled.create_infer_request() for _ in range(streams)]
        except RuntimeError as error:
            raise EngineError(
                f"{self._path}: the graph ({self.inputs[0]}) cannot take an input of shape {list(shape)}: "
                f"{short_reason(error)}"
            ) from None

    def _compile(self, shape: list[int], settings: dict[str, Any]) -> Any:
        """Compile for one shape, or take what an earlier start compiled."""
        key = f"{self._identity} {self._image} {shape} {sorted(settings.items())}"
        data = None if self._kept is None else self._kept.get(key)
        if data is not None:
            try:
                return self._core.import_model(io.BytesIO(data), "CPU", settings)
            except RuntimeError as error:
                log.info(
                    "%s: an earlier start's compiled graph does not load (%s); it is compiled again",
                    self._path.name,
                    short_reason(error),
                )
        model = self._model().clone()
        model.reshape(shape)
        compiled = self._core.compile_model(model, "CPU", settings)
        if self._kept is not None:
            self._kept.put(key, compiled.export_model().getvalue())
        return compiled

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        """OpenVINO would bend a graph made for one picture size to any other; its weights were not trained for that."""
        axes = PictureAxes.of(self.inputs[0])
        wanted = axes.shape(*shape[:3]) if self._picture and axes is not None and len(shape) == 4 else shape
        known = self.inputs[0].shape
        if known and (
            len(known) != len(wanted)
            or any(k is not None and k != w for k, w in zip(known[1:], wanted[1:], strict=True))
        ):
            raise EngineError(
                f"{self._path}: the graph ({self.inputs[0]}) cannot take an input of shape {list(wanted)}"
            )

    def _widen(self, data: NDArray[Any]) -> None:
        """Decide, on real data, whether a graph made for a fixed batch gives the same results with a larger one.

        Exporters bake the batch into Reshape constants; such a graph may fail, mix rows, or be right.
        """
        self._widened = True
        fixed = self._fixed or 1
        count = min(len(data), 2 * fixed)
        try:
            wide = self._infer(data[:count])
            rows = [self._infer_padded(data[i : min(i + fixed, count)]) for i in range(0, count, fixed)]
            single = [np.concatenate(column) for column in zip(*rows, strict=True)]
            same = all(w.shape == s.shape and _close(w, s) for w, s in zip(wide, single, strict=True))
        except EngineError:
            same = False
        if same:
            self._fixed = None
        else:
            log.info("%s: made for batches of %d only; larger ones run piece by piece", self._path.name, fixed)

    def _found_precision(self, wanted: str, quantised: bool) -> tuple[str, str]:
        """What the graph computes in here, and what its layers without Q/DQ do."""
        can = set(self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
        if wanted == "int8" and not quantised:
            raise EngineError(
                f"{self._path}: has no int8 layers; build a graph that has: streamreid build-engine ... --precision "
                "int8"
            )
        if quantised:  # what rounding to bf16 adds is far less than what int8 costs
            return "int8", "bf16" if "BF16" in can else "fp32"
        if wanted == "auto":
            wanted = "bf16" if "BF16" in can else "fp32"
        if wanted != "fp32" and wanted.upper() not in can:
            log.warning("%s: this CPU has no %s arithmetic; OpenVINO computes in fp32", self._path.name, wanted)
            wanted = "fp32"
        return wanted, wanted

    def __repr__(self) -> str:
        return f"OpenVINORuntime({self._path.name}, {self.precision})"


def _close(a: FloatArray, b: FloatArray) -> bool:
    # Wide and narrow graphs may round differently (more so in bf16); mixed rows differ by the size of the values
    # themselves.
    spread = float(np.abs(b).max()) + 1e-6
    return float(np.abs(a - b).mean()) <= _PARITY * spread
