"""Choose a runtime for a graph: TensorRT, OpenVINO, ONNX Runtime, torch, in that order, from what is installed and
works."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

from streamreid._startup import starting
from streamreid.errors import EngineError
from streamreid.runtimes.autoselect import Choice, Settings, candidates, measure, recall
from streamreid.runtimes.base import GraphFiles, ImageInput, Runtime
from streamreid.runtimes.compile_cache import CompiledGraphs
from streamreid.runtimes.graph_files import check_graph_files, graph_files
from streamreid.runtimes.machine import machine_key
from streamreid.runtimes.onnx_runtime import OnnxRuntimeRuntime
from streamreid.runtimes.openvino_runtime import OpenVINORuntime
from streamreid.weights import cache_folder

__all__ = ["load_runtime", "remeasure"]

log = logging.getLogger(__name__)

_WORTHWHILE = 1 << 20
"""Bytes of a graph from which keeping its compiled form saves time."""

_RUNTIMES = ("auto", "tensorrt", "openvino", "onnxruntime", "torch")
_PRECISIONS = ("auto", "fp32", "fp16", "bf16", "int8")


def load_runtime(
    model: str | Path | GraphFiles,
    *,
    runtime: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    image: ImageInput | None = None,
    choose: str = "cached",
    mode: str = "throughput",
) -> Runtime:
    """Load a graph.

    Args:
        model: An .onnx file, the .xml of an OpenVINO IR (its .bin beside it), or a graph in several forms.
        runtime: "tensorrt", "openvino", "onnxruntime", "torch", or "auto" for the first of them that is installed and
            can run the graph.
        precision: "fp32", "fp16", "bf16", "int8", or "auto": the fastest whose results are known to be right (see
            ``choosing``).
        threads: Threads of one run on a CPU; all cores available to the process by default.
        image: Take uint8 BGR pictures ``[N, H, W, 3]`` and convert them so.
        choose: How "auto" decides on a CPU: "cached" takes what was measured before, else a rule; "measure" measures if
            it was not (some seconds, once); "rule" never looks.
        mode: "throughput" or "latency", on a CPU.

    Returns:
        The runtime; its ``precision`` says what is really used.

    Raises:
        EngineError: Missing or damaged file, unknown runtime, or a graph that the runtime cannot run.
    """
    files = model if isinstance(model, GraphFiles) else GraphFiles(Path(model))
    if runtime not in _RUNTIMES:
        raise EngineError(f"unknown runtime '{runtime}'; known: {', '.join(_RUNTIMES)}")
    if precision not in _PRECISIONS:
        raise EngineError(f"unknown precision '{precision}'; known: {', '.join(_PRECISIONS)}")
    if runtime == "torch":
        return _torch(files, precision, threads, image)
    if runtime == "tensorrt" or (runtime == "auto" and files.plan is not None):
        try:
            return _tensorrt(files, precision, image)
        except EngineError as error:
            if runtime == "tensorrt":
                raise
            log.info("%s: not TensorRT (%s)", files.model.name, error)
    settings = Settings(threads, mode, image is not None)
    return _on_cpu(files, runtime, precision, settings, image, choose)


def remeasure(
    model: str | Path | GraphFiles,
    *,
    threads: int | None = None,
    image: ImageInput | None = None,
    mode: str = "throughput",
) -> str:
    """Measure anew what "auto" takes for a graph on this CPU, and remember it.

    Args:
        model: As for `load_runtime`.
        threads: Threads of one run.
        image: As the graph will be loaded.
        mode: "throughput" or "latency".

    Returns:
        What it takes, in words; '' where there is nothing to choose or to measure.

    Raises:
        EngineError: Missing or damaged file.
    """
    files = model if isinstance(model, GraphFiles) else GraphFiles(Path(model))
    _check_file(files.model)
    settings, choices = Settings(threads, mode, image is not None), candidates(files)
    if len(choices) < 2:
        return ""
    found = measure(files, choices, settings, lambda choice: _open(choice, files, settings, image))
    return "" if found is None else str(found)


def _on_cpu(
    files: GraphFiles, runtime: str, precision: str, settings: Settings, image: ImageInput | None, choose: str
) -> Runtime:
    _check_file(files.model)
    name = files.model.name
    choices = candidates(files, runtime, precision)
    if not choices or (runtime == "openvino" and importlib.util.find_spec("openvino") is None):
        raise EngineError(
            f"{files.model}: needs the package 'openvino', which is not installed here. Install it with: pip install "
            "openvino"
        )
    first, why = choices[0], "the first that is installed"
    if choose != "rule" and len(choices) > 1:
        known = recall(files, choices, settings)
        if known is None and choose == "measure":
            with starting(f"measuring which runtime is fastest for {name}"):
                known = measure(files, choices, settings, lambda choice: _open(choice, files, settings, image))
        if known is not None:
            first, why = known, "measured as the fastest on this machine"
    errors: list[EngineError] = []
    for choice in [first, *(c for c in choices if c != first)]:
        try:
            loaded = _open(choice, files, settings, image)
        except EngineError as error:
            if runtime != "auto" and precision != "auto":
                raise
            log.info("%s: not %s (%s)", name, choice, error)
            errors.append(error)
            continue
        reason = why if not errors else "because what comes before it cannot load it"
        if runtime == "auto" and loaded.name != "openvino" and importlib.util.find_spec("openvino") is None:
            reason = "because OpenVINO is not installed"
        log.info("%s: %s in %s, %s", name, loaded.name, loaded.precision, reason)
        return loaded
    if runtime == "auto" and files.checkpoint is not None:
        try:
            return _torch(files, precision, settings.threads, image)
        except EngineError as error:
            log.info("%s: not torch (%s)", name, error)
    raise errors[-1]


def _open(choice: Choice, files: GraphFiles, settings: Settings, image: ImageInput | None) -> Runtime:
    # Half precision needs no graph of its own on CPUs: OpenVINO lowers it by itself, ONNX Runtime has none.
    path = (files.graph(choice.runtime, "int8") if choice.precision == "int8" else None) or files.model
    _check_file(path)
    if choice.runtime == "onnxruntime":
        return OnnxRuntimeRuntime(
            path, precision=choice.precision, threads=settings.threads, image=image, mode=settings.mode
        )
    # Small graphs are compiled as fast as they are read back.
    worthwhile = (
        files.identity and max(f.stat().st_size for f in graph_files(path).values() if f.is_file()) >= _WORTHWHILE
    )
    root = cache_folder() / "openvino"
    cache = CompiledGraphs(root / machine_key(), root=root) if worthwhile else None
    return OpenVINORuntime(
        path, precision=choice.precision, threads=settings.threads, image=image, mode=settings.mode, cache=cache
    )


def _tensorrt(files: GraphFiles, precision: str, image: ImageInput | None) -> Runtime:
    if files.plan is None:
        raise EngineError(
            f"{files.model}: no TensorRT plan beside it; build one with: streamreid build-engine ... --target tensorrt"
        )
    if precision not in ("auto", files.plan_precision or precision):
        raise EngineError(f"{files.plan}: computes in {files.plan_precision}, not in {precision}")
    from streamreid.runtimes.tensorrt_runtime import TensorRTRuntime

    with starting(f"loading {files.plan.name} in TensorRT"):
        return TensorRTRuntime(files, image=image)


def _torch(files: GraphFiles, precision: str, threads: int | None, image: ImageInput | None) -> Runtime:
    if files.checkpoint is None:
        raise EngineError(
            f"{files.model}: no torch program beside it, so the torch runtime has nothing to run; use another runtime"
        )
    from streamreid.runtimes.torch_runtime import TorchRuntime

    with starting(f"loading {files.checkpoint.name} in torch"):
        return TorchRuntime(files.checkpoint, precision=precision, threads=threads, image=image)


def _check_file(path: Path) -> None:
    if path.suffix.lower() not in (".onnx", ".xml"):
        raise EngineError(f"{path}: expected an .onnx file or the .xml of an OpenVINO IR")
    if not path.is_file():
        raise EngineError(f"{path}: no such file")
    if path.suffix.lower() == ".xml" and not path.with_suffix(".bin").is_file():
        raise EngineError(
            f"{path}: the weights of this OpenVINO IR are missing; expected {path.with_suffix('.bin').name} beside it"
        )
    check_graph_files(path)
