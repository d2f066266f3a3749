"""The graph of an engine bundle as a torch module that can be trained further, and written back: the same graph with
other weights, so that whatever runs the engine runs the trained one.

Networks are known to a bundle as a graph only (ONNX, or the IR of an imported OpenVINO model); the checkpoint they were
exported from need not be at hand, and for imported ones there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streamreid.errors import EngineError
from streamreid.files import atomic_write
from streamreid.reid.bundle import Bundle
from streamreid.training.openvino_ir import IRModule, read_ir

__all__ = ["EngineModule", "OnnxModule"]

_KEPT = ("network.predictor.", "network.grader.")
"""Initialisers of our own exports that stay: where parts are and what covers a person was learnt from labels, which a
site does not have."""

_TYPES = {1: torch.float32, 7: torch.int64, 10: torch.float16, 11: torch.float64, 6: torch.int32, 9: torch.bool}
_WEIGHTS = {"Conv": (1, 2), "Gemm": (1, 2), "MatMul": (0, 1), "InstanceNormalization": (1, 2)}
"""Inputs that are weights, where they are constants."""


class EngineModule(nn.Module):
    """A bundle's network: from BGR pictures to parts and visibilities.

    Args:
        bundle: Whose graph is read.

    Raises:
        EngineError: The graph has operations that cannot be trained.
    """

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        self.bundle = bundle
        form = bundle.manifest.input
        self.size = form.height, form.width
        self._rgb = form.color == "rgb"
        self.scale: Tensor
        self.bias: Tensor
        self.register_buffer("scale", torch.tensor(form.scale).view(1, 3, 1, 1))
        self.register_buffer("bias", torch.tensor(form.bias).view(1, 3, 1, 1))
        self.graph: OnnxModule | IRModule = (
            read_ir(bundle.model) if bundle.model.suffix == ".xml" else OnnxModule(bundle.model)
        )

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """L2-normalised parts ``[N, K, D]`` and visibilities ``[N, K]`` of pictures ``[N, 3, H, W]``, BGR in 0..255."""
        x = (pictures.flip(1) if self._rgb else pictures) * self.scale + self.bias
        names = self.bundle.manifest.outputs
        if isinstance(self.graph, IRModule):
            parts, visibility = self.graph(x), None
        else:
            wanted = [names.parts, *([names.visibility] if names.visibility else [])]
            parts, *rest = self.graph(x, wanted)
            visibility = rest[0] if rest else None
        parts = parts.float().flatten(1) if len(self.bundle.manifest.parts) == 1 else parts.float()
        parts = F.normalize(parts.reshape(len(x), len(self.bundle.manifest.parts), -1), dim=-1)
        return parts, torch.ones(parts.shape[:2]) if visibility is None else visibility.float().clamp(0, 1)

    def train_last(self, share: float) -> list[nn.Parameter]:
        """Only the last layers are trained: this share of those with weights. Returns their parameters."""
        layers = self.graph.weighted_layers()
        first = len(layers) - round(share * len(layers))
        chosen = list(dict.fromkeys(p for layer in layers[first:] for p in layer))  # layers may share weights
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        for parameter in chosen:
            parameter.requires_grad_(True)
        return chosen

    def write(self, folder: Path) -> dict[str, Path]:
        """Write the graph with the weights as they are. Returns the files by their names in a bundle."""
        return self.graph.write(self.bundle.model, folder)


class OnnxModule(nn.Module):
    """An ONNX graph, executed operation by operation. Constants that layers multiply and add are parameters.

    Args:
        path: The ``.onnx`` file.

    Raises:
        EngineError: It cannot be read, or an operation is not known.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        from onnx import load, numpy_helper

        try:
            graph = load(str(path)).graph
        except Exception as error:  # protobuf fails in many ways
            raise EngineError(f"{path}: cannot be read as an ONNX graph ({error})") from error
        unknown = sorted({n.op_type for n in graph.node} - set(_OPERATIONS))
        if unknown:
            raise EngineError(
                f"{path}: has operations that cannot be trained further ({', '.join(unknown)}); train an engine of "
                "your own with `streamreid train`"
            )
        values = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self._nodes = [(n.op_type, _attributes(n), list(n.input), list(n.output)) for n in graph.node]
        self._input = next(i.name for i in graph.input if i.name not in values)
        direct = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Cast" and n.input[0] in values}
        self._layers: list[list[str]] = []
        for kind, _, inputs, _ in self._nodes:
            names = [inputs[i] for i in _WEIGHTS.get(kind, ()) if i < len(inputs)]
            names = [direct.get(n, n) for n in names if direct.get(n, n) in values]
            if names and not names[0].startswith(_KEPT):
                self._layers.append(names)
        trained = {n for names in self._layers for n in names}
        self._keys = {name: f"p{i}" for i, name in enumerate(values)}
        for name, value in values.items():
            tensor = torch.from_numpy(np.array(value))
            if name in trained:
                self.register_parameter(self._keys[name], nn.Parameter(tensor.float()))
            else:
                self.register_buffer(self._keys[name], tensor.float() if tensor.is_floating_point() else tensor)

    def forward(self, x: Tensor, wanted: Sequence[str]) -> list[Tensor]:
        """Values of the graph called ``wanted``."""
        values = {name: getattr(self, key) for name, key in self._keys.items()} | {self._input: x}
        missing = set(wanted)
        for kind, attributes, inputs, outputs in self._nodes:
            values[outputs[0]] = _OPERATIONS[kind](attributes, *(values[i] if i else None for i in inputs))
            missing.discard(outputs[0])
            if not missing:
                break
        return [values[name] for name in wanted]

    def weighted_layers(self) -> list[list[nn.Parameter]]:
        """Parameters of each layer, in the order of execution."""
        return [[getattr(self, self._keys[n]) for n in names] for names in self._layers]

    def write(self, model: Path, folder: Path) -> dict[str, Path]:
        """Write the graph of ``model`` with these weights, in the precision it stores them in."""
        import onnx
        from onnx import numpy_helper

        found = onnx.load(str(model))
        for tensor in found.graph.initializer:
            value = getattr(self, self._keys[tensor.name])
            if isinstance(value, nn.Parameter):
                kind = numpy_helper.to_array(tensor).dtype
                tensor.CopyFrom(numpy_helper.from_array(value.detach().numpy().astype(kind), tensor.name))
        with atomic_write(folder / "model.onnx") as part:
            onnx.save(found, str(part))
        return {"model.onnx": folder / "model.onnx"}


Attributes = dict[str, Any]


def _attributes(node: Any) -> Attributes:
    from onnx import helper

    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _conv(a: Attributes, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    pads = list(a.get("pads", [0] * 4))
    if pads[:2] != pads[2:]:
        x, pads = F.pad(x, (pads[1], pads[3], pads[0], pads[2])), [0] * 4
    return F.conv2d(
        x, w, b, tuple(a.get("strides", (1, 1))), tuple(pads[:2]), tuple(a.get("dilations", (1, 1))), a.get("group", 1)
    )


def _pool(kind: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def pool(a: Attributes, x: Tensor) -> Tensor:
        pads = list(a.get("pads", [0] * 4))
        found: Tensor = kind(x, tuple(a["kernel_shape"]), tuple(a.get("strides", (1, 1))), tuple(pads[:2]))
        return found

    return pool


def _gemm(a: Attributes, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    x, w = x.T if a.get("transA") else x, w.T if a.get("transB") else w
    found: Tensor = a.get("alpha", 1.0) * (x @ w)
    return found if b is None else found + a.get("beta", 1.0) * b


def _reshape(a: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    sizes = shape.tolist()
    return x.reshape([x.shape[i] if s == 0 and not a.get("allowzero") else s for i, s in enumerate(sizes)])


def _slice(
    _: Attributes, x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None
) -> Tensor:
    where = list(range(len(starts))) if axes is None else axes.tolist()
    strides = [1] * len(starts) if steps is None else steps.tolist()
    for axis, start, end, step in zip(where, starts.tolist(), ends.tolist(), strides, strict=True):
        index = range(x.shape[axis])[slice(start, None if step < 0 and end < -x.shape[axis] else end, step)]
        x = x.index_select(axis, torch.tensor(list(index)))
    return x


def _clip(_: Attributes, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    x = x if low is None else torch.maximum(x, low)
    return x if high is None else torch.minimum(x, high)


def _reduced(kind: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def reduce(a: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
        over = a.get("axes") if axes is None else axes.tolist()
        return kind(x, list(range(x.ndim)) if over is None else list(over), bool(a.get("keepdims", 1)))

    return reduce


def _instance_norm(a: Attributes, x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    # By hand: torch's own refuses maps of one value per channel, of which a graph written for group norm has none.
    over = list(range(2, x.ndim))
    shape = (1, -1, *([1] * (x.ndim - 2)))
    mean = x.mean(over, keepdim=True)
    spread = ((x - mean) ** 2).mean(over, keepdim=True)
    return (x - mean) * torch.rsqrt(spread + a.get("epsilon", 1e-5)) * w.view(shape) + b.view(shape)


def _batch_norm(a: Attributes, x: Tensor, w: Tensor, b: Tensor, mean: Tensor, var: Tensor) -> Tensor:
    return F.batch_norm(x, mean, var, w, b, False, 0.0, a.get("epsilon", 1e-5))


def _transpose(a: Attributes, x: Tensor) -> Tensor:
    order: list[int] = list(a.get("perm", range(x.ndim)[::-1]))
    return x.permute(order)


def _unsqueeze(a: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
    for axis in sorted(a["axes"] if axes is None else axes.tolist()):
        x = x.unsqueeze(axis)
    return x


def _squeeze(a: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
    over = a.get("axes") if axes is None else axes.tolist()
    return x.squeeze() if over is None else x.squeeze(tuple(over))


def _gather(a: Attributes, x: Tensor, index: Tensor) -> Tensor:
    axis = a.get("axis", 0)
    found = x.index_select(axis, index.reshape(-1).long())
    return found.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def _shape(a: Attributes, x: Tensor) -> Tensor:
    return torch.tensor(list(x.shape)[slice(a.get("start", 0), a.get("end"))])


def _two(kind: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda a, x, y: kind(x, y)


def _one(kind: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda a, x: kind(x)


_OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "Add": _two(torch.add),
    "AveragePool": _pool(F.avg_pool2d),
    "BatchNormalization": _batch_norm,
    "Cast": lambda a, x: x.to(_TYPES[a["to"]]),
    "Clip": _clip,
    "Concat": lambda a, *x: torch.cat(x, a["axis"]),
    "Constant": lambda a: torch.from_numpy(np.array(_constant(a["value"]))),
    "Conv": _conv,
    "Div": _two(torch.div),
    "Expand": lambda a, x, shape: x * torch.ones(shape.tolist(), dtype=x.dtype),
    "Flatten": lambda a, x: x.flatten(a.get("axis", 1)),
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda a, x: x.mean(tuple(range(2, x.ndim)), keepdim=True),
    "GreaterOrEqual": _two(torch.ge),
    "Identity": lambda a, x: x,
    "InstanceNormalization": _instance_norm,
    "MatMul": _two(torch.matmul),
    "Max": _two(torch.maximum),
    "MaxPool": _pool(F.max_pool2d),
    "Min": _two(torch.minimum),
    "Mul": _two(torch.mul),
    "PRelu": lambda a, x, slope: torch.where(x >= 0, x, x * slope),
    "Reciprocal": _one(torch.reciprocal),
    "ReduceL2": _reduced(lambda x, over, keep: x.square().sum(over, keepdim=keep).clamp(min=1e-24).sqrt()),
    "ReduceMax": _reduced(lambda x, over, keep: x.amax(over, keepdim=keep)),
    "ReduceMean": _reduced(lambda x, over, keep: x.mean(over, keepdim=keep)),
    "ReduceSum": _reduced(lambda x, over, keep: x.sum(over, keepdim=keep)),
    "Relu": _one(F.relu),
    "Reshape": _reshape,
    "Shape": _shape,
    "Sigmoid": _one(torch.sigmoid),
    "Slice": _slice,
    "Softmax": lambda a, x: x.softmax(a.get("axis", -1)),
    "Sqrt": _one(torch.sqrt),
    "Squeeze": _squeeze,
    "Sub": _two(torch.sub),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": lambda a, c, x, y: torch.where(c, x, y),
}


def _constant(value: Any) -> np.ndarray[Any, Any]:
    from onnx import numpy_helper

    return np.asarray(numpy_helper.to_array(value))
