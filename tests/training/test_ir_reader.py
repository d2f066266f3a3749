"""Reading an OpenVINO IR into torch."""

from pathlib import Path

import numpy as np
import pytest

from streamreid.errors import WeightsError

torch = pytest.importorskip("torch", reason="training needs the train extra")

from streamreid.training.openvino_ir import read_ir  # noqa: E402


@pytest.fixture(scope="module")
def retail(request: pytest.FixtureRequest) -> Path:
    return Path(request.getfixturevalue("shared")) / "data" / "weights" / "person-reidentification-retail-0277.xml"


def test_reproduces_the_network_for_any_batch(retail: Path) -> None:
    openvino = pytest.importorskip("openvino")
    pictures = np.random.default_rng(0).integers(0, 256, (3, 3, 256, 128)).astype(np.float32)
    compiled = openvino.Core().compile_model(str(retail), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    expected = np.concatenate([np.asarray(next(iter(compiled(p[None]).values()))) for p in pictures])
    with torch.no_grad():
        found = read_ir(retail)(torch.from_numpy(pictures)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_every_constant_gets_a_gradient(retail: Path) -> None:
    network = read_ir(retail)
    network(torch.rand(2, 3, 256, 128) * 255).square().sum().backward()
    missing = [n for n, p in network.named_parameters() if p.grad is None]
    assert not missing
    assert sum(p.numel() for p in network.parameters()) > 2_000_000


def test_ends_at_a_named_operation(retail: Path) -> None:
    with torch.no_grad():
        assert read_ir(retail, output="1126")(torch.rand(2, 3, 256, 128)).shape == (2, 512, 16, 8)


def test_freezing_keeps_the_first_layers(retail: Path) -> None:
    network = read_ir(retail, output="1126")
    network.freeze(1)
    frozen = [p.requires_grad for p in network.parameters()]
    assert not frozen[0]
    assert frozen[-1]


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="needs both"):
        read_ir(tmp_path / "a.xml")
    (tmp_path / "a.xml").write_text("<net>")
    (tmp_path / "a.bin").write_bytes(b"")
    with pytest.raises(WeightsError, match="not an OpenVINO IR"):
        read_ir(tmp_path / "a.xml")


def test_unknown_output_is_named(retail: Path) -> None:
    with pytest.raises(WeightsError, match="no operation named 'nowhere'"):
        read_ir(retail, output="nowhere")


def test_unknown_operation_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"")
    (tmp_path / "a.xml").write_text(
        '<net><layers><layer id="0" name="x" type="Parameter"/><layer id="1" name="y" type="Einsum"/><layer id="2" '
        'name="z" type="Result"/></layers><edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/><edge '
        'from-layer="1" from-port="1" to-layer="2" to-port="0"/></edges></net>'
    )
    with pytest.raises(WeightsError, match="type Einsum"):
        read_ir(tmp_path / "a.xml")
