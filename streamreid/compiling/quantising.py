"""int8 as explicit Q/DQ pairs in the graph, with ranges measured on real pictures.

ONNX Runtime's static quantisation does it. Weights are signed, one range per output channel; activations are unsigned for CPUs and signed
and symmetric for TensorRT, which knows nothing else. What decides about visibilities (softmax and everything behind it) is left alone.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from streamreid.compiling.half import unfold_weights
from streamreid.errors import EngineError, MissingExtraError
from streamreid.types import FloatArray

__all__ = ["quantised_graph"]

log = logging.getLogger(__name__)

_OPERATORS = ["Conv", "Gemm"]
_LEAST = 16


def quantised_graph(model: Any, inputs: FloatArray, *, symmetric: bool, batch: int = 16) -> Any:
    """A graph with Q/DQ around its convolutions and fully connected layers.

    Args:
        model: The ``onnx.ModelProto`` that computes in float32; not changed.
        inputs: ``[N, 3, H, W]`` float32, real inputs of the graph, to measure the ranges on.
        symmetric: Signed symmetric activations and float biases, as TensorRT wants them.
        batch: How many of them to run at once.

    Returns:
        A new ``onnx.ModelProto`` with the same inputs and outputs.

    Raises:
        EngineError: Too few inputs, or the graph cannot be quantised.
        MissingExtraError: The package ``onnx`` is missing.
    """
    try:
        import onnx
        from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise MissingExtraError("onnx", "build", "int8") from error
    if len(inputs) < _LEAST:
        raise EngineError(f"int8 needs at least {_LEAST} pictures to measure its ranges on, got {len(inputs)}; pass a larger --calibration-crops FOLDER")
    extra = {"ActivationSymmetric": symmetric, "WeightSymmetric": True, "QuantizeBias": not symmetric}
    with tempfile.TemporaryDirectory() as scratch, _quiet():
        plain, prepared, result = (Path(scratch) / f"{name}.onnx" for name in ("plain", "prepared", "result"))
        onnx.save(unfold_weights(model), str(plain))
        try:
            quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
            excluded = _sensitive(onnx.load(str(prepared)).graph)
            quantize_static(
                str(prepared),
                str(result),
                _Reader(inputs, batch, model.graph.input[0].name),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=_OPERATORS,
                nodes_to_exclude=sorted(excluded),
                per_channel=True,
                activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                extra_options=extra,
            )
        except Exception as error:  # its errors are of many unrelated classes
            raise EngineError(f"the graph cannot be quantised to int8: {str(error).strip()[:300] or type(error).__name__}") from None
        return onnx.load(str(result))


class _Reader:
    """Hands out the inputs, batch by batch (``onnxruntime.quantization.CalibrationDataReader``)."""

    def __init__(self, inputs: FloatArray, batch: int, name: str) -> None:
        self._pieces: Iterator[FloatArray] = iter([inputs[i : i + batch] for i in range(0, len(inputs), batch)])
        self._name = name

    def get_next(self) -> dict[str, FloatArray] | None:
        piece = next(self._pieces, None)
        return None if piece is None else {self._name: np.ascontiguousarray(piece)}


def _sensitive(graph: Any) -> set[str]:
    """Names of the layers that feed a softmax without another layer's rounding between, and of all that follow one.

    A step of 1/256 of the logits' range moves attention weights by several per cent, and everything behind averages over them.
    """
    makers = {output: node for node in graph.node for output in node.output}
    softmaxes = [node for node in graph.node if node.op_type == "Softmax"]
    found: set[str] = set()
    for softmax in softmaxes:
        found |= _back(softmax, makers, depth=4)
    tainted = {o for s in softmaxes for o in s.output}
    for node in graph.node:  # in topological order
        if tainted & set(node.input):
            tainted |= set(node.output)
            found.add(node.name)
    return found


def _back(node: Any, makers: dict[str, Any], depth: int) -> set[str]:
    """The last ``depth`` layers with weights on the way to a node."""
    found: set[str] = set()
    queue = [(node, depth)]
    seen: set[str] = set()
    while queue:
        current, left = queue.pop()
        for name in current.input:
            maker = makers.get(name)
            if maker is None or maker.name in seen:
                continue
            seen.add(maker.name)
            weighty = maker.op_type in _OPERATORS
            if weighty:
                found.add(maker.name)
            if left - weighty > 0:
                queue.append((maker, left - weighty))
    return found


class _quiet:  # noqa: N801 - used as a function
    """Keeps the root logger's warnings of the quantiser away from the user."""

    def __enter__(self) -> None:
        self._level = logging.getLogger().level
        logging.getLogger().setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        logging.getLogger().setLevel(self._level)
