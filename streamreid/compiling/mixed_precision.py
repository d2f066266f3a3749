"""Half precision written into the graph itself, which is the only kind that TensorRT 11 knows and that nobody can
silently ignore.

Convolutions and matrix products compute in fp16 or bf16. What loses by it stays in float32: normalisations, softmax,
sums and means, powers, roots, quotients, and what is computed from those alone. That keeps the sums of the visibilities
and the L2 normalisation of the parts exact.

Own pass, because the kept libraries do not fit: onnxconverter-common (and its copy in ONNX Runtime) has no bf16 and
chooses by kind of operator only, ModelOpt's AutoCast needs torch and runs the graph on sample data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from streamreid.errors import EngineError

__all__ = ["HalfName", "half_graph", "unfold_weights"]

HalfName = Literal["fp16", "bf16"]

_HEAVY = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum", "DequantizeLinear"})
# These keep the precision of what they are given.
_LIGHT = frozenset(
    [
        "Relu",
        "LeakyRelu",
        "PRelu",
        "Elu",
        "Selu",
        "Gelu",
        "Sigmoid",
        "HardSigmoid",
        "HardSwish",
        "Tanh",
        "Erf",
        "Softplus",
        "Mish",
        "Clip",
        "Neg",
        "Abs",
        "Add",
        "Sub",
        "Mul",
        "Min",
        "Max",
        "Where",
        "MaxPool",
        "AveragePool",
        "Concat",
        "Reshape",
        "Transpose",
        "Slice",
        "Split",
        "Squeeze",
        "Unsqueeze",
        "Flatten",
        "Pad",
        "Resize",
        "Upsample",
        "Expand",
        "Identity",
        "Gather",
        "Tile",
        "DepthToSpace",
        "SpaceToDepth",
        "Dropout",
        "QuantizeLinear",
    ]
)
# A difference of a half and a full value is the centring inside a normalisation; a sum or product of the two is a
# residual or a gate.
_FULL_IF_MIXED = frozenset({"Sub"})
_KEEP_INPUTS = {"Resize": (1, 2, 3), "Upsample": (1,)}
_LARGEST = {"fp16": 65504.0, "bf16": 3.38e38}


@dataclass
class _Graph:
    """A graph under conversion: what is written so far, and which values exist in which precision."""

    kind: HalfName
    types: dict[str, int]
    constants: dict[str, Any]
    half: set[str] = field(default_factory=set)
    nodes: list[Any] = field(default_factory=list)
    made: set[str] = field(default_factory=set)
    new_constants: dict[str, Any] = field(default_factory=dict)

    @property
    def element(self) -> int:
        from onnx import TensorProto

        return int(TensorProto.FLOAT16 if self.kind == "fp16" else TensorProto.BFLOAT16)

    def is_float(self, name: str) -> bool:
        from onnx import TensorProto

        return bool(name) and self.types.get(name) == TensorProto.FLOAT

    def wants_half(self, node: Any) -> bool:
        """Whether a node computes in half precision, given its inputs."""
        if node.op_type in _HEAVY:
            return True
        if node.op_type not in _LIGHT:
            return False
        values = [
            n for i, n in enumerate(node.input) if self.is_float(n) and n not in self.constants and not _kept(node, i)
        ]
        below = [n for n in values if n in self.half]
        return bool(below) and not (node.op_type in _FULL_IF_MIXED and len(below) < len(values))

    def as_half(self, name: str) -> str:
        """Name of the half version of a value; writes the constant or the Cast that makes it."""
        target = f"{name}__{self.kind}"
        if name in self.constants:
            if target not in self.new_constants:
                self.new_constants[target] = _half_tensor(self.constants[name], target, self.kind)
        elif name not in self.half and target not in self.made:
            self._cast(name, target, self.element)
        return target

    def as_full(self, name: str) -> str:
        """Name of the float32 version of a value; writes the Cast that makes it."""
        from onnx import TensorProto

        if name in self.half and name not in self.made:
            self._cast(f"{name}__{self.kind}", name, TensorProto.FLOAT)
        return name

    def _cast(self, source: str, target: str, to: int) -> None:
        from onnx import helper

        self.made.add(target)
        self.nodes.append(helper.make_node("Cast", [source], [target], name=f"{target}_cast", to=to))


def half_graph(model: Any, kind: HalfName) -> Any:
    """The graph with half precision inside; inputs and outputs stay float32 and keep their names.

    Args:
        model: An ``onnx.ModelProto`` that computes in float32; not changed.
        kind: "fp16" or "bf16".

    Returns:
        A new ``onnx.ModelProto``.

    Raises:
        EngineError: A weight is too large for fp16, or the graph's types cannot be told.
    """
    import onnx

    result = _modern(unfold_weights(model), kind)
    try:
        known = onnx.shape_inference.infer_shapes(result, check_type=False, strict_mode=False)
    except Exception as error:  # onnx raises several unrelated classes
        raise EngineError(
            f"the types of this graph cannot be told, so it cannot be written in {kind}: {str(error)[:200]}"
        ) from None
    graph = result.graph
    constants = {t.name: t for t in graph.initializer}
    types = {
        v.name: v.type.tensor_type.elem_type for v in [*known.graph.value_info, *known.graph.input, *known.graph.output]
    }
    types |= {t.name: t.data_type for t in graph.initializer}
    state = _Graph(kind, types, constants)
    for node in graph.node:
        if node.op_type == "Constant" and _constant(node) is not None:
            state.constants[node.output[0]] = _constant(node)
            state.types[node.output[0]] = state.constants[node.output[0]].data_type
        _convert(state, node)
    for output in graph.output:
        state.as_full(output.name)
    _replace(graph, state)
    return result


def unfold_weights(model: Any) -> Any:
    """A copy whose weights that are stored as float16 with a Cast behind them (see compiling.half_storage) are float32
    again."""
    import onnx
    from onnx import TensorProto, numpy_helper

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    stored = {t.name: t for t in copy.graph.initializer if t.data_type == TensorProto.FLOAT16}
    kept: list[Any] = []
    for node in copy.graph.node:
        wide = node.op_type == "Cast" and node.input[0] in stored and _attribute(node, "to") == TensorProto.FLOAT
        if wide:
            values = numpy_helper.to_array(stored[node.input[0]]).astype(np.float32)
            copy.graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
        else:
            kept.append(node)
    used = set(_names(kept)) | {o.name for o in copy.graph.output}
    weights = [t for t in copy.graph.initializer if t.name in used]
    del copy.graph.node[:]
    del copy.graph.initializer[:]
    copy.graph.node.extend(kept)
    copy.graph.initializer.extend(weights)
    return copy


def _modern(model: Any, kind: HalfName) -> Any:
    """The graph in the oldest ONNX version that allows what is about to be written: half Q/DQ from 19 on, bf16
    convolutions from 22 on."""
    import onnx

    quantised = any(node.op_type == "DequantizeLinear" for node in model.graph.node)
    least = 22 if kind == "bf16" else 21 if quantised else 0
    if max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0) >= least:
        return model
    try:
        return onnx.version_converter.convert_version(model, least)
    except Exception as error:  # onnx raises several unrelated classes
        raise EngineError(
            f"this graph cannot be written for ONNX opset {least}, which {kind} needs here: {str(error)[:200]}"
        ) from None


def _convert(state: _Graph, node: Any) -> None:
    """Write one node in the precision it should have, with the Casts it needs in front."""
    import onnx

    written = onnx.NodeProto()
    written.CopyFrom(node)
    low = state.wants_half(node)
    for i, name in enumerate(node.input):
        if state.is_float(name):
            written.input[i] = state.as_half(name) if low and not _kept(node, i) else state.as_full(name)
    for name in _names(g for a in node.attribute for g in [a.g, *a.graphs] for g in g.node):
        state.as_full(name)
    if low:
        for i, name in enumerate(node.output):
            if state.is_float(name):
                written.output[i] = f"{name}__{state.kind}"
                state.half.add(name)
    state.nodes.append(written)


def _replace(graph: Any, state: _Graph) -> None:
    used = set(_names(state.nodes)) | {o.name for o in graph.output}
    weights = [t for t in graph.initializer if t.name in used] + [
        t for t in state.new_constants.values() if t.name in used
    ]
    del graph.node[:]
    del graph.initializer[:]
    del graph.value_info[:]  # their types are no longer right
    graph.node.extend(n for n in state.nodes if n.op_type != "Constant" or set(n.output) & used)
    graph.initializer.extend(weights)


def _names(nodes: Iterable[Any]) -> Iterable[str]:
    """Every value that nodes read, also inside their branches."""
    for node in nodes:
        yield from node.input
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                yield from _names(inner.node)
                yield from (o.name for o in inner.output)


def _kept(node: Any, position: int) -> bool:
    return position in _KEEP_INPUTS.get(node.op_type, ())


def _attribute(node: Any, name: str) -> Any:
    from onnx import helper

    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), None)


def _constant(node: Any) -> Any:
    from onnx import TensorProto, numpy_helper

    value = _attribute(node, "value")
    if isinstance(value, TensorProto):
        return value
    number = _attribute(node, "value_float")
    return None if number is None else numpy_helper.from_array(np.float32(number))


def _half_tensor(tensor: Any, name: str, kind: HalfName) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    values = numpy_helper.to_array(tensor).astype(np.float32)
    finite = values[np.isfinite(values)]
    if finite.size and float(np.abs(finite).max()) > _LARGEST[kind]:
        # The bounds of a Clip or a mask of attention: as large as possible means the same.
        if tensor.dims and int(np.prod(tensor.dims)) > 1:
            raise EngineError(
                f"the weight '{tensor.name}' holds {float(np.abs(finite).max()):.3g}, more than fp16 can say; use "
                "--precision bf16 or fp32"
            )
        values = np.clip(values, -_LARGEST[kind], _LARGEST[kind])
    if kind == "fp16":
        return numpy_helper.from_array(values.astype(np.float16), name)
    return helper.make_tensor(name, TensorProto.BFLOAT16, tensor.dims, to_bf16(values).tobytes(), raw=True)


def to_bf16(values: Any) -> Any:
    """float32 as the 16 bits of the nearest bfloat16, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)
