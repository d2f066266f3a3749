"""An engine bundle's graph in torch: the same features, and the same graph with other weights when it is written."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")
onnx = pytest.importorskip("onnx")

from streamreid.config import EngineConfig  # noqa: E402
from streamreid.errors import EngineError  # noqa: E402
from streamreid.reid.bundle import load_bundle, write_bundle  # noqa: E402
from streamreid.reid.embedder import EngineEmbedder  # noqa: E402
from streamreid.reid.factory import shipped_engines  # noqa: E402
from streamreid.training.graph_module import EngineModule  # noqa: E402
from tests.support.small_engine import small_engine  # noqa: E402


def pictures(size):
    return np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)


def in_torch(module, crops):
    with torch.no_grad():
        found = module(torch.from_numpy(crops.transpose(0, 3, 1, 2).copy()).float())
    return [value.numpy() for value in found]


def test_the_shipped_engine_gives_the_features_of_the_product():
    bundle = load_bundle(shipped_engines()["pab-osnet-small"])
    crops = pictures((256, 128))
    expected = EngineEmbedder(bundle, EngineConfig(precision="fp32")).embed(crops)
    parts, visibility = in_torch(EngineModule(bundle), crops)
    np.testing.assert_allclose(parts, expected.parts, atol=1e-4)
    np.testing.assert_allclose(visibility, expected.visibility, atol=1e-4)


def test_only_the_last_layers_are_trained_and_what_maps_the_body_is_not():
    module = EngineModule(load_bundle(shipped_engines()["pab-osnet-small"]))
    chosen = module.train_last(0.25)
    layers = module.graph.weighted_layers()
    assert 0 < len(chosen) < sum(map(len, layers))
    assert not layers[0][0].requires_grad
    assert layers[-1][0].requires_grad
    names = [n for n in module.graph._keys if n.startswith("network.predictor.")]
    kept = [getattr(module.graph, module.graph._keys[n]) for n in names]
    assert names
    assert not any(isinstance(value, torch.nn.Parameter) for value in kept)


def written_again(module, bundle, folder):
    """The bundle that a module's weights make."""
    (folder / "files").mkdir()
    manifest = bundle.manifest.model_copy(update={"variants": {}, "builds": {}, "features": None})
    return write_bundle(folder / "again", manifest, module.write(folder / "files"))


def test_changed_weights_are_written_into_the_same_graph(tmp_path):
    bundle = small_engine(tmp_path / "engine")
    module = EngineModule(bundle)
    with torch.no_grad():
        module.train_last(0.5)[0].mul_(-1.5)
    again = written_again(module, bundle, tmp_path)
    crops = pictures((64, 32))
    before = EngineEmbedder(bundle, EngineConfig(precision="fp32")).embed(crops)
    found = EngineEmbedder(again, EngineConfig(precision="fp32")).embed(crops)
    np.testing.assert_allclose(found.parts, in_torch(module, crops)[0], atol=1e-4)
    assert np.abs(found.parts - before.parts).max() > 0.01
    assert again.fingerprint != bundle.fingerprint  # galleries of the old engine are refused
    names = [[n.op_type for n in onnx.load(str(b.model)).graph.node] for b in (bundle, again)]
    assert names[0] == names[1]


def test_changed_weights_of_an_openvino_model_are_written(tmp_path, shared):
    from streamreid.training.openvino_ir import read_ir

    xml = Path(shared) / "data" / "weights" / "person-reidentification-retail-0277.xml"
    network = read_ir(xml)
    last = network.weighted_layers()[-1]
    with torch.no_grad():
        for parameter in last:
            parameter.mul_(0.5)
    files = network.write(xml, tmp_path)
    crops = torch.from_numpy(pictures((256, 128)).transpose(0, 3, 1, 2).copy()).float()
    with torch.no_grad():
        expected, found, old = network(crops), read_ir(files["model.xml"])(crops), read_ir(xml)(crops)
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, old)


def test_a_graph_that_cannot_be_trained_is_refused(tmp_path):
    bundle = small_engine(tmp_path / "engine", last="HardSwish")
    with pytest.raises(EngineError, match="cannot be trained further \\(HardSwish\\)"):
        EngineModule(bundle)
