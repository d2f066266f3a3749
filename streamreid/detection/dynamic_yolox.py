"""YOLOX graphs that were exported for one input size, made to take any.

YOLOX (Ge et al., arXiv 2107.08430) is fully convolutional; its published ONNX files are not, because the export wrote
the input's size into the shapes of input and output and a batch of one into three Reshape constants. With these
symbolic, the same weights run at any multiple of 32 pixels and any batch. The few fields are changed in the protobuf
wire format (https://protobuf.dev/programming-guides/encoding/), because the package ``onnx`` is only needed to build
engines. Field numbers are those of onnx.proto.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
from pathlib import Path

from streamreid.files import atomic_write
from streamreid.runtimes.protobuf import Field, encode_bytes, encode_varint, fields
from streamreid.weights import cache_folder

__all__ = ["dynamic_yolox", "dynamic_yolox_file"]

_MODEL_GRAPH = 7
"""Of ModelProto."""
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO = 1, 5, 11, 12, 13
"""Of GraphProto; inner shapes (value_info) are left out: they are those of the one size, and every runtime infers its
own."""
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR = 1, 2, 4
"""Of NodeProto."""
_DIMS, _TYPE, _NAME, _RAW = 1, 2, 8, 9
"""Of TensorProto."""
_VALUE_NAME, _VALUE_TYPE, _TENSOR_TYPE, _ELEMENT_TYPE, _SHAPE, _DIMENSION = 1, 2, 1, 1, 2, 1
"""Of ValueInfoProto, TypeProto, TypeProto.Tensor and TensorShapeProto."""
_DIMENSION_VALUE, _DIMENSION_NAME = 1, 2
"""Of TensorShapeProto.Dimension."""
_INT64 = 7
"""TensorProto.DataType."""

_GRIDS = 3
"""Grids of a YOLOX head, each flattened by one Reshape."""


def dynamic_yolox(model: bytes) -> tuple[bytes, tuple[int, int]] | None:
    """A YOLOX graph of a fixed input size as one of any size and batch.

    Args:
        model: An ONNX file's bytes.

    Returns:
        The changed file, always the same, and the width and height that it was exported for; None if it is no such
        graph: one input ``[1, 3, H, W]`` of fixed size, one
        output ``[1, N, C]``, which is three Reshapes to the constant shape ``[1, C, -1]``, joined and transposed.
    """
    try:
        top = list(fields(memoryview(model)))
        graph = next(list(fields(v)) for n, v in top if n == _MODEL_GRAPH and not isinstance(v, int))
        changed = _dynamic_graph(graph)
    except (ValueError, IndexError, StopIteration, struct.error):
        return None
    if changed is None:
        return None
    parts, size = changed
    return b"".join(encode_bytes(n, parts) if n == _MODEL_GRAPH else _encoded(n, v) for n, v in top), size


def dynamic_yolox_file(path: Path) -> tuple[Path, tuple[int, int]] | None:
    """The file that `dynamic_yolox` makes of another one, kept in the cache folder.

    It is made anew at every call and written only where it is missing or differs, so what is in the cache is never
    trusted. Where the cache cannot be written, a temporary folder holds it.

    Returns:
        The file, and the width and height that the graph was exported for; None if it is no YOLOX graph of a fixed
        size.
    """
    if path.suffix.lower() != ".onnx" or not path.is_file():
        return None
    changed = dynamic_yolox(path.read_bytes())
    if changed is None:
        return None
    model, size = changed
    # A folder of its own: files of one name are not always one file.
    target = cache_folder() / "dynamic" / hashlib.sha256(model).hexdigest()[:16] / path.name
    try:
        if not target.is_file() or target.read_bytes() != model:
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(target, part=target.with_name(f".{target.name}.{os.getpid()}")) as part:
                part.write_bytes(model)
    except OSError:
        target = Path(tempfile.mkdtemp(prefix="streamreid-")) / path.name
        target.write_bytes(model)
    return target, size


def _dynamic_graph(graph: list[Field]) -> tuple[bytes, tuple[int, int]] | None:
    inputs = [_shape(v) for n, v in graph if n == _INPUT and not isinstance(v, int)]
    outputs = [_shape(v) for n, v in graph if n == _OUTPUT and not isinstance(v, int)]
    if len(inputs) != 1 or len(outputs) != 1:
        return None
    (image, size), (output, rows) = inputs[0], outputs[0]
    if len(size) != 4 or size[:2] != [1, 3] or len(rows) != 3 or rows[0] != 1 or rows[2] is None:
        return None
    height, width = size[2:]
    if height is None or width is None:
        return None
    old = struct.pack("<3q", 1, rows[2], -1)
    reshapes = _reshape_constants([v for n, v in graph if n == _NODE and not isinstance(v, int)], output)
    constants = [v for n, v in graph if n == _INITIALIZER and not isinstance(v, int) and _is_shape(v, old) in reshapes]
    if len(constants) != _GRIDS or len(reshapes) != _GRIDS:
        return None
    parts: list[bytes] = []
    for number, value in graph:
        if number == _VALUE_INFO:
            continue
        if number == _INPUT:
            parts.append(encode_bytes(number, _value_info(image, ["batch", 3, "height", "width"])))
        elif number == _OUTPUT:
            parts.append(encode_bytes(number, _value_info(output, ["batch", "anchors", rows[2]])))
        elif number == _INITIALIZER and not isinstance(value, int) and _is_shape(value, old) in reshapes:
            # 0 takes the length from the input: whatever the batch is.
            parts.append(encode_bytes(number, bytes(value).replace(old, struct.pack("<3q", 0, rows[2], -1))))
        else:
            parts.append(_encoded(number, value))
    return b"".join(parts), (width, height)


def _reshape_constants(nodes: list[memoryview], output: str) -> set[str]:
    """Names of the shapes of the Reshape nodes whose results, joined and transposed, are the graph's output.

    Empty where anything else comes between, such as the grids of one size of a head that decodes its boxes itself.
    """
    makers: dict[str, tuple[str, list[str]]] = {}
    for node in nodes:
        parts = [(n, v) for n, v in fields(node) if n in (_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR)]
        texts = [(n, bytes(_bytes(v)).decode()) for n, v in parts]
        operator = next((text for n, text in texts if n == _NODE_OPERATOR), "")
        inputs = [text for n, text in texts if n == _NODE_INPUT]
        makers.update({text: (operator, inputs) for n, text in texts if n == _NODE_OUTPUT})
    names = [output]
    for wanted in ("Transpose", "Concat", "Reshape"):
        made = [makers.get(name, ("", [])) for name in names]
        if any(operator != wanted for operator, _ in made):
            return set()
        names = [name for _, inputs in made for name in (inputs[1:] if wanted == "Reshape" else inputs)]
    return set(names)


def _is_shape(tensor: memoryview, raw: bytes) -> str | None:
    """The name of a constant of three int64 with these bytes; None for any other tensor."""
    if len(tensor) > 256:  # weights
        return None
    parts = dict(fields(tensor))
    name, content = parts.get(_NAME), parts.get(_RAW)
    if parts.get(_TYPE) != _INT64 or name is None or content is None or bytes(_bytes(content)) != raw:
        return None
    return bytes(_bytes(name)).decode()


def _shape(value: memoryview) -> tuple[str, list[int | None]]:
    """Name of an input or output, and its dimensions; None for one that is symbolic."""
    info = dict(fields(value))
    tensor = dict(fields(_bytes(dict(fields(_bytes(info[_VALUE_TYPE])))[_TENSOR_TYPE])))
    dimensions: list[int | None] = []
    for number, dimension in fields(_bytes(tensor[_SHAPE])):
        if number == _DIMENSION:
            length = dict(fields(_bytes(dimension))).get(_DIMENSION_VALUE)
            dimensions.append(length if isinstance(length, int) else None)
    return bytes(_bytes(info[_VALUE_NAME])).decode(), dimensions


def _value_info(name: str, dimensions: list[int | str]) -> bytes:
    shape = b"".join(
        encode_bytes(
            _DIMENSION,
            encode_bytes(_DIMENSION_NAME, d.encode()) if isinstance(d, str) else encode_varint(_DIMENSION_VALUE, d),
        )
        for d in dimensions
    )
    tensor = encode_varint(_ELEMENT_TYPE, 1) + encode_bytes(_SHAPE, shape)
    return encode_bytes(_VALUE_NAME, name.encode()) + encode_bytes(_VALUE_TYPE, encode_bytes(_TENSOR_TYPE, tensor))


def _encoded(number: int, value: memoryview | int) -> bytes:
    return encode_varint(number, value) if isinstance(value, int) else encode_bytes(number, bytes(value))


def _bytes(value: memoryview | int) -> memoryview:
    if isinstance(value, int):
        raise ValueError("no protobuf message")
    return value
