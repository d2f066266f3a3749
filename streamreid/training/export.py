"""A trained network as one ONNX graph: batch of any size, weights stored as float16, everything computed in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streamreid.compiling.half_storage import store_half
from streamreid.errors import EngineError
from streamreid.files import atomic_write
from streamreid.training.network import PartNetwork
from streamreid.training.papers.oamn.unification import Unified

__all__ = ["UNIFIED", "Exportable", "export_onnx", "export_program", "export_unified", "strip"]

INPUT, PARTS, VISIBILITY, OCCLUSION = "images", "parts", "visibility", "occlusion"
UNIFIED = "unified.onnx"  # name of the second graph in a bundle


class Exportable(nn.Module):
    """The network with the product's outputs: L2-normalised parts and visibilities.

    Args:
        network: A trained network.
    """

    def __init__(self, network: PartNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """From BGR pictures ``[N, 3, H, W]`` in 0..255 to parts ``[N, K, D]``, visibility ``[N, K]`` and, with a
        grader, occlusion ``[N, 4]``."""
        output = self.network(images)
        found = F.normalize(output.embeddings, dim=-1), output.visibility.clamp(0, 1)
        return found if output.occlusion is None else (*found, output.occlusion)


def export_onnx(network: PartNetwork, path: str | Path, size: tuple[int, int] = (256, 128)) -> Path:
    """Write the graph; the normalisation of the pictures is inside it.

    Args:
        network: A trained network.
        path: The ``.onnx`` file to write.
        size: Height and width of the input.

    Raises:
        EngineError: The graph does not reproduce the network.
    """
    outputs = [PARTS, VISIBILITY, *([OCCLUSION] if network.grader is not None else [])]
    return _write(Exportable(network), outputs, Path(path), size)


def export_program(network: PartNetwork, path: str | Path, size: tuple[int, int] = (256, 128)) -> Path:
    """Write the network as a torch program with the product's inputs and outputs, for the torch runtime.

    Args:
        network: A trained network.
        path: The ``.pt2`` file to write.
        size: Height and width of the input.
    """
    path = Path(path)
    shapes = ({0: torch.export.Dim("batch", min=1, max=4096)},)
    torch.export.save(
        torch.export.export(
            Exportable(network).eval().float(), (torch.rand(2, 3, *size) * 255,), dynamic_shapes=shapes
        ),
        str(path),
    )
    return path


def export_unified(network: PartNetwork, path: str | Path, size: tuple[int, int] = (256, 128)) -> Path:
    """Write the graph of the nine gallery variants of occlusion unification: ``parts`` ``[N, 9, K, D]`` and
    ``visibility`` ``[N, 9, K]``.

    Args:
        network: A trained network with an occlusion grader.
        path: The ``.onnx`` file to write.
        size: Height and width of the input.

    Raises:
        EngineError: The network has no grader, or the graph does not reproduce the network.
    """
    if network.grader is None:
        raise EngineError(
            "unified gallery variants are chosen by the occlusion grader, which this network lacks; train with "
            "network.grader"
        )
    return _write(Unified(network, size), [PARTS, VISIBILITY], Path(path), size)


def _write(model: nn.Module, outputs: list[str], path: Path, size: tuple[int, int]) -> Path:
    """Export, check against the network, then put in place."""
    import onnx

    model = model.eval().float()
    program = torch.onnx.export(
        model,
        (torch.rand(2, 3, *size) * 255,),
        input_names=[INPUT],
        output_names=outputs,
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
        opset_version=18,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    assert program is not None
    proto = strip(store_half(program.model_proto))
    onnx.checker.check_model(proto)
    with atomic_write(path) as part:
        onnx.save(proto, str(part))
        difference = _difference(model, part, torch.rand(3, 3, *size) * 255)
        if not difference < 0.02:
            raise EngineError(
                f"{path}: the exported graph differs from the network by {difference:.3g}; it was not written"
            )
    return path


def strip(model: Any) -> Any:
    """Remove what no runtime reads: torch's notes of which source line, in which folder, made each node. A graph of
    many small nodes becomes several per cent smaller.

    Shapes of values between nodes stay: ONNX Runtime optimises by them, and without them computes features that differ
    in the last bit.
    """
    model.metadata_props.clear()
    model.doc_string = ""
    graph = model.graph
    graph.metadata_props.clear()
    graph.doc_string = ""
    for thing in (*graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info):
        thing.metadata_props.clear()
        thing.doc_string = ""
    return model


def _difference(model: nn.Module, path: Path, images: Tensor) -> float:
    """Largest difference between the torch network and the written graph on ONNX Runtime."""
    import onnxruntime as ort

    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    found = session.run(None, {INPUT: images.numpy()})
    with torch.no_grad():
        expected = model(images)
    return max(float(np.abs(np.asarray(f) - e.numpy()).max()) for f, e in zip(found, expected, strict=True))
