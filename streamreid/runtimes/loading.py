"""Choose a runtime for a model file."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

from streamreid.errors import EngineError
from streamreid.runtimes.base import ImageInput, Runtime
from streamreid.runtimes.onnx_runtime import OnnxRuntimeRuntime
from streamreid.runtimes.openvino_runtime import OpenVINORuntime

__all__ = ["load_runtime"]

log = logging.getLogger(__name__)


def load_runtime(
    model_path: str | Path,
    *,
    runtime: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    image: ImageInput | None = None,
) -> Runtime:
    """Load a graph.

    Args:
        model_path: An .onnx file, or the .xml of an OpenVINO IR (its .bin beside it).
        runtime: "openvino", "onnxruntime", or "auto": OpenVINO if it is installed and can load the graph, else ONNX Runtime.
        precision: "fp32", "bf16", or "auto": bf16 where the CPU computes it in hardware and the runtime can use it.
        threads: Threads of one run; all cores available to the process by default.
        image: Take uint8 BGR pictures ``[N, H, W, 3]`` and convert them so.

    Returns:
        The runtime; its ``precision`` says what is really used.

    Raises:
        EngineError: Missing or damaged file, unknown runtime, or a graph that the runtime cannot run.
    """
    path = Path(model_path)
    if runtime not in ("auto", "openvino", "onnxruntime"):
        raise EngineError(f"unknown runtime '{runtime}'; known: auto, openvino, onnxruntime")
    if precision not in ("auto", "fp32", "bf16"):
        raise EngineError(f"unknown precision '{precision}'; known: auto, fp32, bf16")
    _check_file(path)
    if runtime == "onnxruntime":
        return _onnx(path, precision, threads, image)
    if importlib.util.find_spec("openvino") is None:
        if runtime == "openvino" or path.suffix.lower() == ".xml":
            raise EngineError(f"{path}: needs the package 'openvino', which is not installed here. Install it with: pip install openvino")
        log.info("%s: ONNX Runtime, because OpenVINO is not installed", path.name)
        return _onnx(path, precision, threads, image)
    try:
        loaded = OpenVINORuntime(path, precision=precision, threads=threads, image=image)
    except EngineError as error:
        if runtime == "openvino" or path.suffix.lower() == ".xml":
            raise
        log.info("%s: ONNX Runtime, because OpenVINO cannot load it (%s)", path.name, error)
        return _onnx(path, precision, threads, image)
    log.info("%s: OpenVINO in %s", path.name, loaded.precision)
    return loaded


def _onnx(path: Path, precision: str, threads: int | None, image: ImageInput | None) -> Runtime:
    if precision == "bf16":
        log.warning("%s: ONNX Runtime has no bf16 on the CPU and computes in fp32; use runtime 'openvino' for bf16", path.name)
    return OnnxRuntimeRuntime(path, threads=threads, image=image)


def _check_file(path: Path) -> None:
    if path.suffix.lower() not in (".onnx", ".xml"):
        raise EngineError(f"{path}: expected an .onnx file or the .xml of an OpenVINO IR")
    if not path.is_file():
        raise EngineError(f"{path}: no such file")
    if path.suffix.lower() == ".xml" and not path.with_suffix(".bin").is_file():
        raise EngineError(f"{path}: the weights of this OpenVINO IR are missing; expected {path.with_suffix('.bin').name} beside it")
