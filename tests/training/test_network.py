"""The part network starts as retail-0277, and its graph is the same on every runtime."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from streamreid.training.export import export_onnx, strip  # noqa: E402
from streamreid.training.network import PartNetwork, PixelPredictor, visibility_of  # noqa: E402
from streamreid.training.openvino_ir import read_ir  # noqa: E402
from streamreid.training.papers.focuser import Focuser  # noqa: E402
from streamreid.training.recipe import NetworkConfig  # noqa: E402


@pytest.fixture(scope="module")
def weights(request: pytest.FixtureRequest) -> str:
    return str(Path(request.getfixturevalue("shared")) / "data" / "weights" / "person-reidentification-retail-0277.xml")


@pytest.fixture(scope="module")
def network(weights: str) -> PartNetwork:
    torch.manual_seed(0)
    return PartNetwork(NetworkConfig(backbone=weights, grader=True)).eval()


@torch.no_grad()
def test_every_slot_starts_as_the_pretrained_embedding(network: PartNetwork, weights: str) -> None:
    pictures = torch.rand(2, 3, 256, 128) * 255
    output, expected = network(pictures), read_ir(weights)(pictures)
    torch.testing.assert_close(output.embeddings[:, 0], expected, atol=1e-5, rtol=1e-4)
    # The predictor starts with almost even attention, so parts pool almost everything.
    for slot in range(1, 6):
        assert torch.nn.functional.cosine_similarity(output.embeddings[:, slot], expected).min() > 0.99
    assert output.attention.sum(1) == pytest.approx(1.0, abs=1e-5)


def test_parameter_counts_of_the_reference() -> None:
    # BPBReID's predictor on HRNet-W32; AMD-Net's block without its unused convolution and with our scale.
    count = lambda m: sum(p.numel() for p in m.parameters())  # noqa: E731
    assert count(PixelPredictor(1920, 5)) == 15_366
    assert count(PixelPredictor(1920, 8)) == 21_129
    assert count(Focuser(6)) == 1_449 - 6 + 1
    assert count(Focuser(9)) == 3_198 - 9 + 1


def test_focuser_changes_nothing_at_the_start() -> None:
    logits = torch.randn(2, 6, 16, 8)
    torch.testing.assert_close(Focuser(6)(logits), logits)


def test_visibility_modes_by_hand() -> None:
    attention = torch.zeros(1, 3, 1, 4)
    attention[0, :, 0] = torch.tensor([[0.1, 0.2, 0.9, 0.5], [0.9, 0.8, 0.05, 0.2], [0.0, 0.0, 0.05, 0.3]])
    usual = torch.tensor([0.6, 0.05])
    assert visibility_of(attention, "max", 0.4, usual)[0].tolist() == pytest.approx([0.9, 0.9, 0.3])
    assert visibility_of(attention, "threshold", 0.4, usual)[0].tolist() == [1.0, 1.0, 0.0]
    assert visibility_of(attention, "threshold", 0.25, usual)[0].tolist() == [1.0, 1.0, 1.0]
    assert visibility_of(attention, "argmax", 0.4, usual)[0].tolist() == [1.0, 1.0, 0.0]
    assert visibility_of(attention, "area", 0.4, usual)[0].tolist() == pytest.approx([1.0, 0.4875 / 0.6, 1.0])


@pytest.mark.slow
def test_one_graph_for_every_runtime_and_batch(network: PartNetwork, tmp_path: Path) -> None:
    path = export_onnx(network, tmp_path / "model.onnx")
    assert path.stat().st_size < 12e6
    assert (
        b"network.py" not in path.read_bytes()
    )  # torch notes the source line of every node, with this machine's folders
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 256, 128)).astype(np.float32)
    with torch.no_grad():
        output = network(torch.from_numpy(images))
    assert output.occlusion is not None
    expected = torch.nn.functional.normalize(output.embeddings, dim=-1).numpy(), output.visibility.numpy()
    found = {"onnxruntime": _onnxruntime(path, images), "openvino": _openvino(path, images)}
    for name, (parts, visibility, occlusion) in found.items():
        assert (parts * expected[0]).sum(-1).min() > 0.9995, name
        np.testing.assert_allclose(visibility, expected[1], atol=5e-3, err_msg=name)
        np.testing.assert_allclose(occlusion, output.occlusion.numpy(), atol=5e-3, err_msg=name)
        np.testing.assert_allclose(np.linalg.norm(parts, axis=-1), 1, atol=1e-3)
    np.testing.assert_allclose(found["onnxruntime"][0], found["openvino"][0], atol=1e-3)


def test_notes_are_removed_and_the_graph_stays() -> None:
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("Relu", ["images"], ["parts"], doc_string="line 3")
    node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value='File "/home/someone/network.py", line 3')
    ends = [
        onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [None, 3]) for n in ("images", "parts", "between")
    ]
    graph = onnx.helper.make_graph([node], "main", ends[:1], ends[1:2], value_info=ends[2:])
    graph.metadata_props.add(key="signature", value="images")
    model = strip(onnx.helper.make_model(graph))
    onnx.checker.check_model(model)
    assert b"someone" not in model.SerializeToString()
    assert [v.name for v in model.graph.value_info] == ["between"]
    assert [n.op_type for n in model.graph.node] == ["Relu"]


def _onnxruntime(path: Path, images: np.ndarray) -> tuple[np.ndarray, ...]:
    session = pytest.importorskip("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return tuple(session.run(["parts", "visibility", "occlusion"], {"images": images}))


def _openvino(path: Path, images: np.ndarray) -> tuple[np.ndarray, ...]:
    core = pytest.importorskip("openvino").Core()
    compiled = core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(images)
    return found["parts"], found["visibility"], found["occlusion"]


def test_oamn_heads_can_be_switched_on_and_are_trained() -> None:
    from streamreid.training.heads import identity_heads
    from streamreid.training.objective import compute_losses
    from streamreid.training.recipe import LossConfig

    torch.manual_seed(0)
    network = PartNetwork(NetworkConfig(backbone="mobilenet_v2", dim=16, mask="rgas", grader=True), (128, 64))
    whole, copies = 4, 4
    output = network(torch.rand(whole * (1 + copies), 3, 128, 64) * 255)
    batch = {
        "labels": torch.rand(20, 6, 8, 4).softmax(1),
        "usable": torch.ones(20, dtype=torch.bool),
        "identities": torch.tensor([0, 0, 1, 1]).repeat(5),
        "sides": torch.arange(-1, 4).repeat_interleave(4),
        "shares": torch.tensor([0.0, 0.5, 0.5, 0.5, 0.5]).repeat_interleave(4),
        "usual": torch.full((5,), 0.1),
    }
    terms = compute_losses(output, identity_heads(6, 16, 2), batch, LossConfig(grouped_triplet=1.0), whole)
    names = {
        "identity",
        "identity_parts",
        "part_triplet",
        "whole_triplet",
        "pixels",
        "grouped_triplet",
        "grader",
        "mask",
        "halves",
        "agreement",
    }
    assert set(terms) == names
    torch.stack(list(terms.values())).sum().backward()
    for module in (network.masker, network.grader, network.predictor):
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in module.parameters())
    off = LossConfig(identity=0, part_triplet=0, whole_triplet=0, pixels=0, mask=0, agreement=0, grader=0, halves=0)
    assert compute_losses(output, identity_heads(6, 16, 2), batch, off, whole) == {}
