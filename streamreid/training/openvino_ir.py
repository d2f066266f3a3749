"""Read an OpenVINO IR (model.xml + model.bin) into a torch module that can be trained further.

Only the operations of small convolutional networks are known (OSNet and the like). Constants become parameters; a
convolution and the addition of its bias, and a normalisation and its scale and shift, become one call each, which is
what makes training on a CPU bearable.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streamreid.errors import WeightsError
from streamreid.files import atomic_write

__all__ = ["IRModule", "read_ir"]

_DTYPES = {"f32": np.float32, "f16": np.float16, "i64": np.int64, "i32": np.int32, "u8": np.uint8, "boolean": np.bool_}


@dataclass
class _Node:
    """One operation: where its inputs come from and what its constants are."""

    name: str
    kind: str
    attributes: dict[str, str]
    inputs: list[str] = field(default_factory=list)


@dataclass
class _Step:
    """One executed call: ``function(*tensors)`` with tensors looked up by name, parameters included."""

    output: str
    function: Callable[..., Tensor]
    inputs: list[str]
    parameters: list[str]
    kind: str = ""


class IRModule(nn.Module):
    """A network read from an IR, executed operation by operation.

    Args:
        steps: Calls in execution order.
        parameters: Trainable constants by name.
        input_name: Name of the input operation.
        output_name: Name of the operation whose result is returned.
    """

    def __init__(self, steps: list[_Step], parameters: dict[str, Tensor], input_name: str, output_name: str) -> None:
        super().__init__()
        self._steps = steps
        self._input, self._output = input_name, output_name
        self._keys = {name: f"p{i}" for i, name in enumerate(parameters)}
        for name, value in parameters.items():
            self.register_parameter(self._keys[name], nn.Parameter(value.clone()))

    def forward(self, x: Tensor) -> Tensor:
        """Run the network on ``x`` (``[N, C, H, W]``)."""
        values = {self._input: x}
        for step in self._steps:
            weights = [getattr(self, self._keys[p]) for p in step.parameters]
            values[step.output] = step.function(*(values[i] for i in step.inputs), *weights)
        return values[self._output]

    def parameter_of(self, name: str) -> nn.Parameter:
        """The parameter made from the constant called ``name`` in the IR."""
        parameter: nn.Parameter = getattr(self, self._keys[name])
        return parameter

    def constants_of(self, step: str) -> list[Tensor]:
        """Values of the parameters of one executed operation.

        Raises:
            WeightsError: There is no such operation.
        """
        for candidate in self._steps:
            if candidate.output == step:
                return [self.parameter_of(name).detach() for name in candidate.parameters]
        raise WeightsError(
            f"the network has no operation named '{step}'; only person-reidentification-retail-0277 is known as a "
            "backbone so far"
        )

    def freeze(self, pools: int) -> None:
        """Keep every parameter that is used before the ``pools``-th average pooling as it is (0 freezes nothing)."""
        marks = [i for i, s in enumerate(self._steps) if s.kind == "AvgPool"]
        for step in self._steps[: marks[pools - 1] if 0 < pools <= len(marks) else 0]:
            for name in step.parameters:
                self.parameter_of(name).requires_grad_(False)

    def weighted_layers(self) -> list[list[nn.Parameter]]:
        """Parameters of each operation that has any, in the order of execution."""
        return [[self.parameter_of(p) for p in step.parameters] for step in self._steps if step.parameters]

    def write(self, xml: Path, folder: Path) -> dict[str, Path]:
        """Write the IR ``xml`` with these weights into a folder, in the precision it stores them in.

        Returns:
            The files by their names.
        """
        root = _root(xml)
        layers = dict(_named(root))
        nodes, blob = _parse(xml), bytearray(xml.with_suffix(".bin").read_bytes())
        for name in self._keys:
            parameter = self.parameter_of(name)
            if not parameter.requires_grad:
                continue
            data = layers[name if nodes[name].kind == "Const" else nodes[name].inputs[0]].find("data")
            assert data is not None
            kind = np.dtype(_DTYPES[data.attrib["element_type"]])
            data.attrib["offset"] = str(len(blob))  # several constants may share one place
            blob += parameter.detach().numpy().astype(kind).tobytes()
        files = {"model.xml": folder / "model.xml", "model.bin": folder / "model.bin"}
        for path, content in zip(files.values(), (ElementTree.tostring(root), bytes(blob)), strict=True):
            with atomic_write(path) as part:
                part.write_bytes(content)
        return files

    def step_names(self) -> list[str]:
        """Names of the executed operations, in order."""
        return [s.output for s in self._steps]


def read_ir(xml: str | Path, *, output: str | None = None) -> IRModule:
    """Read an IR into a trainable module.

    Args:
        xml: The ``.xml`` file; the ``.bin`` file lies beside it.
        output: Name of the operation to end at; default the network's own output.

    Raises:
        WeightsError: A file is missing or not an IR, or an operation is not known.
    """
    xml = Path(xml)
    nodes = _parse(xml)
    constants = _constants(nodes, xml.with_suffix(".bin"))
    if output is None:
        output = next(n.inputs[0] for n in nodes.values() if n.kind == "Result")
    if output not in nodes:
        raise WeightsError(f"{xml}: there is no operation named '{output}'")
    start = next(n.name for n in nodes.values() if n.kind == "Parameter")
    steps, parameters = _Builder(xml, nodes, constants).build(_order(nodes, output))
    return IRModule(steps, parameters, start, output)


def _root(xml: Path) -> ElementTree.Element:
    if not xml.is_file() or not xml.with_suffix(".bin").is_file():
        raise WeightsError(f"{xml}: the IR needs both {xml.name} and {xml.with_suffix('.bin').name} in {xml.parent}")
    try:
        # Weights files are trusted by checksum, and expat expands no external entity.
        return ElementTree.parse(xml).getroot()  # noqa: S314
    except ElementTree.ParseError as error:
        raise WeightsError(f"{xml}: not an OpenVINO IR ({error})") from error


def _named(root: ElementTree.Element) -> Iterator[tuple[str, ElementTree.Element]]:
    """Layers by name. Names are made unique: an IR may hold several constants of one name."""
    names: set[str] = set()
    for layer in root.iter("layer"):
        name = layer.attrib["name"]
        if name in names:
            name = f"{name}#{layer.attrib['id']}"
        names.add(name)
        yield name, layer


def _parse(xml: Path) -> dict[str, _Node]:
    root = _root(xml)
    by_id: dict[str, _Node] = {}
    for name, layer in _named(root):
        data = layer.find("data")
        by_id[layer.attrib["id"]] = _Node(name, layer.attrib["type"], dict(data.attrib) if data is not None else {})
    edges = sorted((e.attrib for e in root.iter("edge")), key=lambda e: (int(e["to-layer"]), int(e["to-port"])))
    for edge in edges:
        by_id[edge["to-layer"]].inputs.append(by_id[edge["from-layer"]].name)
    return {n.name: n for n in by_id.values()}


def _constants(nodes: dict[str, _Node], path: Path) -> dict[str, np.ndarray[Any, Any]]:
    blob = path.read_bytes()
    values: dict[str, np.ndarray[Any, Any]] = {}
    for node in nodes.values():
        if node.kind == "Const":
            a = node.attributes
            shape = [int(v) for v in a["shape"].split(",") if v.strip()]
            dtype = np.dtype(_DTYPES[a["element_type"]])
            offset, size = int(a["offset"]), int(a["size"])
            if offset + size > len(blob):
                raise WeightsError(f"{path}: shorter than its .xml says (truncated?)")
            values[node.name] = np.frombuffer(blob[offset : offset + size], dtype).reshape(shape).copy()
    for node in nodes.values():
        if node.kind == "Convert" and node.inputs[0] in values:
            values[node.name] = values[node.inputs[0]].astype(np.float32)
    return values


def _order(nodes: dict[str, _Node], output: str) -> list[_Node]:
    order: list[_Node] = []
    done: set[str] = set()
    stack = [(output, False)]
    while stack:
        name, ready = stack.pop()
        if name in done:
            continue
        if ready:
            done.add(name)
            order.append(nodes[name])
        else:
            stack.append((name, True))
            stack.extend((i, False) for i in reversed(nodes[name].inputs))
    return order


class _Builder:
    """Turns operations into steps, joining the pairs that belong together."""

    def __init__(self, xml: Path, nodes: dict[str, _Node], constants: dict[str, np.ndarray[Any, Any]]) -> None:
        self.xml, self.nodes, self.constants = xml, nodes, constants
        self.consumers: dict[str, list[_Node]] = {}
        for node in nodes.values():
            for name in node.inputs:
                self.consumers.setdefault(name, []).append(node)
        self.parameters: dict[str, Tensor] = {}

    def build(self, order: list[_Node]) -> tuple[list[_Step], dict[str, Tensor]]:
        steps: list[_Step] = []
        joined: set[str] = set()
        shapes: set[str] = set()
        wanted = {n.name for n in order}
        for node in order:
            if node.name in self.constants or node.name in joined or node.kind in ("Parameter", "Result"):
                continue
            if node.kind == "ShapeOf" or (node.kind in ("Gather", "Concat") and any(i in shapes for i in node.inputs)):
                shapes.add(node.name)
                continue
            chain = [n for n in self._chain(node) if n.name in wanted]
            steps.append(self._step(node, chain))
            joined.update(n.name for n in chain)
        return steps, self.parameters

    def _chain(self, node: _Node) -> list[_Node]:
        """The constant multiplications and additions that follow ``node`` and can be part of the same call."""
        pattern = {
            "Convolution": ["Add"],
            "GroupConvolution": ["Add"],
            "MatMul": ["Add"],
            "MVN": ["Multiply", "Add"],
        }.get(node.kind, [])
        chain: list[_Node] = []
        last = node
        if node.kind == "MVN" and self._grouped(node):
            last = next(n for n in self.consumers[node.name] if n.kind == "Reshape")
            chain.append(last)
        for kind in pattern:
            users = self.consumers.get(last.name, [])
            if len(users) != 1 or users[0].kind != kind or self._constant_input(users[0]) is None:
                return [] if node.kind == "MVN" else chain
            last = users[0]
            chain.append(last)
        return chain

    def _grouped(self, node: _Node) -> bool:
        return self.nodes[node.inputs[0]].kind == "Reshape"

    def _constant_input(self, node: _Node) -> str | None:
        return next((i for i in node.inputs if i in self.constants), None)

    def _use(self, name: str, shape: tuple[int, ...] | None = None) -> str:
        value = torch.from_numpy(self.constants[name].astype(np.float32))
        self.parameters.setdefault(name, value if shape is None else value.reshape(shape))
        return name

    def _step(self, node: _Node, chain: list[_Node]) -> _Step:
        kind, tensors = node.kind, [i for i in node.inputs if i not in self.constants]
        output = chain[-1].name if chain else node.name
        weights = [w for w in (self._constant_input(n) for n in chain if n.kind != "Reshape") if w is not None]
        if kind in ("Convolution", "GroupConvolution"):
            return self._convolution(node, output, tensors, weights)
        if kind == "MVN":
            return self._normalisation(node, output, tensors, weights)
        if kind == "MatMul":
            names = [self._use(node.inputs[1]), *(self._use(w, (-1,)) for w in weights)]
            return _Step(output, F.linear, tensors, names)
        if kind == "PReLU":
            return _Step(
                output, lambda x, a: torch.where(x >= 0, x, x * a), tensors, [self._use(node.inputs[1], (-1,))]
            )
        if kind in ("Add", "Multiply", "Subtract"):
            known: dict[str, Callable[..., Tensor]] = {"Add": torch.add, "Multiply": torch.mul, "Subtract": torch.sub}
            constant = self._constant_input(node)
            return _Step(output, known[kind], tensors, [self._use(constant)] if constant else [])
        return _Step(output, self._plain(node), tensors[:1], [], kind)

    def _convolution(self, node: _Node, output: str, tensors: list[str], bias: list[str]) -> _Step:
        weight = self.constants[node.inputs[1]]
        groups = weight.shape[0] if node.kind == "GroupConvolution" else 1
        shape = (weight.shape[0] * weight.shape[1], *weight.shape[2:]) if groups > 1 else weight.shape
        stride, padding = _pair(node, "strides"), _pair(node, "pads_begin")
        if padding != _pair(node, "pads_end"):
            raise WeightsError(f"{self.xml}: convolution '{node.name}' is padded unevenly, which is not supported")
        names = [self._use(node.inputs[1], shape), *(self._use(b, (-1,)) for b in bias)]

        def convolve(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
            return F.conv2d(x, w, b, stride=stride, padding=padding, groups=groups)

        return _Step(output, convolve, tensors, names)

    def _normalisation(self, node: _Node, output: str, tensors: list[str], weights: list[str]) -> _Step:
        eps = float(node.attributes["eps"])
        names = [self._use(w, (-1,)) for w in weights]
        if self._grouped(node):
            reshape = self.nodes[node.inputs[0]]
            groups = int(self.constants[reshape.inputs[1]][1])
            return _Step(
                output, lambda x, w=None, b=None: F.group_norm(x, groups, w, b, eps), [reshape.inputs[0]], names
            )
        return _Step(
            output,
            lambda x, w=None, b=None: F.instance_norm(x, None, None, w, b, use_input_stats=True, eps=eps),
            tensors,
            names,
        )

    def _plain(self, node: _Node) -> Callable[..., Tensor]:
        """The function of a node that has no trainable constants."""
        a = node.attributes
        if node.kind == "ReLU":
            return F.relu
        if node.kind == "Sigmoid":
            return torch.sigmoid
        if node.kind == "ReduceMean":
            axes = [int(v) for v in np.atleast_1d(self.constants[node.inputs[1]])]
            return lambda x: x.mean(dim=axes, keepdim=a.get("keep_dims", "true") == "true")
        if node.kind in ("MaxPool", "AvgPool"):
            kernel, stride, padding = (_pair(node, key) for key in ("kernel", "strides", "pads_begin"))
            if node.kind == "MaxPool":
                return lambda x: F.max_pool2d(x, kernel, stride, padding)
            return lambda x: F.avg_pool2d(x, kernel, stride, padding)
        if node.kind == "Gather":
            index, axis = self.constants[node.inputs[1]], int(self.constants[node.inputs[2]].item())
            if axis == 1 and index.tolist() == [2, 1, 0]:
                return lambda x: x.flip(1)
            return lambda x: x.index_select(axis, torch.as_tensor(index.reshape(-1), device=x.device, dtype=torch.long))
        if node.kind == "Reshape":
            # The first dimension is the batch; the IR was written for a batch of one.
            target = self.constants.get(node.inputs[1])
            rest = (
                [int(v) for v in target[1:]] if target is not None else [-1, 1]
            )  # no constant: [N, C] becomes [N, C, 1]
            return lambda x: x.reshape(x.shape[0], *rest)
        raise WeightsError(
            f"{self.xml}: operation '{node.name}' of type {node.kind} is not supported when reading an IR for training"
        )


def _pair(node: _Node, key: str) -> tuple[int, int]:
    a, b = (int(v) for v in node.attributes[key].split(","))
    return a, b
