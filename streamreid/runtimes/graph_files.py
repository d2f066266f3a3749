"""Which files a graph consists of: an ONNX graph may keep its weights in files beside it, an OpenVINO IR always does.

``torch.onnx.export`` writes ``model.onnx.data`` by default since torch 2.9. Whoever copies, hashes or remembers a graph
needs all of its files. The few fields that name them are read from the protobuf wire format
(https://protobuf.dev/programming-guides/encoding/), because the package ``onnx`` is only needed to build engines. Field
numbers are those of onnx.proto.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from streamreid.errors import EngineError
from streamreid.runtimes.protobuf import fields
from streamreid.weights import sha256_file

__all__ = ["check_graph_files", "external_data", "graph_files", "graph_sha256", "output_sources"]

_MODEL_GRAPH, _MODEL_FUNCTIONS = 7, 25
"""Field numbers of ModelProto in ONNX's onnx.proto; below, those of the messages named."""

_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_OUTPUT, _GRAPH_SPARSE = 1, 5, 12, 15
"""Of GraphProto."""

_FUNCTION_NODE = 7
"""Of FunctionProto."""

_NODE_INPUT, _NODE_OUTPUT, _NODE_ATTRIBUTE = 1, 2, 5
"""Of NodeProto."""

_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
"""Of AttributeProto."""

_TENSOR_EXTERNAL = 13
"""Of TensorProto."""

_SPARSE_VALUES, _SPARSE_INDICES = 1, 2
"""Of SparseTensorProto."""

_VALUE_NAME = 1
"""Of ValueInfoProto."""

_KEY, _VALUE = 1, 2
"""Of StringStringEntryProto."""


def external_data(path: str | Path) -> tuple[str, ...]:
    """Names of the files that hold an ONNX graph's weights, as the graph writes them: relative to its folder, sorted.

    Returns:
        Empty for a graph in one file, for an OpenVINO IR, and for a file that is no ONNX graph (whoever loads it says
        so).
    """
    path = Path(path)
    if path.suffix.lower() != ".onnx":
        return ()
    found: set[str] = set()
    try:
        with _opened(path) as model:
            for number, value in fields(model):
                if isinstance(value, int):
                    continue
                if number == _MODEL_GRAPH:
                    _collect_graph(value, found)
                elif number == _MODEL_FUNCTIONS:
                    for inner, node in fields(value):
                        if inner == _FUNCTION_NODE and not isinstance(node, int):
                            _collect_node(node, found)
    except (OSError, ValueError, IndexError):
        return ()
    return tuple(sorted(found))


def graph_files(path: str | Path) -> dict[str, Path]:
    """All files of a graph: the name that it is known by inside its folder -> where it lies. The graph itself comes
    first.

    Raises:
        EngineError: It names a file outside its folder.
    """
    path = Path(path)
    files = {path.name: path}
    if path.suffix.lower() == ".xml":
        weights = path.with_suffix(".bin")
        return files | ({weights.name: weights} if weights.is_file() else {})
    for name in external_data(path):
        place = PurePosixPath(name.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts:
            raise EngineError(
                f"{path}: keeps weights outside its folder, in '{name}'. Save the model again with its data beside it"
            )
        files[name] = path.parent / place
    return files


def check_graph_files(path: str | Path) -> dict[str, Path]:
    """``graph_files``, all of which must be there.

    Raises:
        EngineError: One is missing, or lies outside the graph's folder.
    """
    files = graph_files(path)
    missing = [name for name, place in files.items() if not place.is_file()]
    if missing:
        raise EngineError(
            f"{path}: its weights are in a file of their own, '{missing[0]}', which is missing in "
            f"{Path(path).parent}; copy it there too"
        )
    return files


def graph_sha256(path: str | Path) -> str:
    """SHA-256 of all files of a graph; of a graph in one file that of the file.

    Raises:
        EngineError: A file is missing.
    """
    files = check_graph_files(path)
    if len(files) == 1:
        return sha256_file(path)
    # An IR's .bin bears the graph's own name, which does not count: a renamed model is the same model.
    _, *weights = files
    parts = [
        sha256_file(path),
        *(f"{'' if name.endswith('.bin') else name} {sha256_file(files[name])}" for name in weights),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def output_sources(path: str | Path) -> dict[str, set[str]]:
    """For every output of an ONNX graph, which of the other outputs it is computed from.

    Returns:
        Empty for anything but an ONNX graph.
    """
    path = Path(path)
    if path.suffix.lower() != ".onnx":
        return {}
    outputs: list[str] = []
    makers: dict[str, list[str]] = {}
    try:
        with _opened(path) as model:
            graph = next(v for n, v in fields(model) if n == _MODEL_GRAPH and not isinstance(v, int))
            for number, value in fields(graph):
                if isinstance(value, int):
                    continue
                if number == _GRAPH_OUTPUT:
                    outputs += [_text(v) for n, v in fields(value) if n == _VALUE_NAME and not isinstance(v, int)]
                elif number == _GRAPH_NODE:
                    node = [(n, v) for n, v in fields(value) if not isinstance(v, int)]
                    needs = [_text(v) for n, v in node if n == _NODE_INPUT]
                    makers.update({_text(v): needs for n, v in node if n == _NODE_OUTPUT})
    except (OSError, ValueError, IndexError, StopIteration):
        return {}
    found = {}
    for output in outputs:
        before: set[str] = set()
        open_names = list(makers.get(output, []))
        while open_names:
            name = open_names.pop()
            if name not in before:
                before.add(name)
                open_names += makers.get(name, [])
        found[output] = (before & set(outputs)) - {output}
    return found


@contextmanager
def _opened(path: Path) -> Iterator[memoryview]:
    """A file's bytes without reading them all. The map is closed when the last slice of it is gone."""
    with path.open("rb") as file:
        yield memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _text(data: memoryview) -> str:
    return bytes(data).decode("utf-8")


def _collect_graph(graph: memoryview, found: set[str]) -> None:
    for number, value in fields(graph):
        if isinstance(value, int):
            continue
        if number == _GRAPH_INITIALIZER:
            _collect_tensor(value, found)
        elif number == _GRAPH_NODE:
            _collect_node(value, found)
        elif number == _GRAPH_SPARSE:
            for inner, tensor in fields(value):
                if inner in (_SPARSE_VALUES, _SPARSE_INDICES) and not isinstance(tensor, int):
                    _collect_tensor(tensor, found)


def _collect_node(node: memoryview, found: set[str]) -> None:
    for number, attribute in fields(node):
        if number != _NODE_ATTRIBUTE or isinstance(attribute, int):
            continue
        for inner, value in fields(attribute):
            if isinstance(value, int):
                continue
            if inner in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
                _collect_tensor(value, found)
            elif inner in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                _collect_graph(value, found)


def _collect_tensor(tensor: memoryview, found: set[str]) -> None:
    for number, entry in fields(tensor):
        if number != _TENSOR_EXTERNAL or isinstance(entry, int):
            continue
        pair = {n: _text(v) for n, v in fields(entry) if not isinstance(v, int)}
        if pair.get(_KEY) == "location" and pair.get(_VALUE):
            found.add(pair[_VALUE])
