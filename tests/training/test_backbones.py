"""Backbones by name: sizes, normalisation, weights files, and what is said when they are wrong."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from streamreid.errors import ConfigError, WeightsError  # noqa: E402
from streamreid.training.backbones import ImageNetInput, make_backbone  # noqa: E402
from streamreid.training.heads import PooledHead  # noqa: E402
from streamreid.training.network import PartNetwork  # noqa: E402
from streamreid.training.recipe import NetworkConfig  # noqa: E402


@pytest.mark.parametrize(
    ("name", "channels", "size", "package"),
    [
        ("resnet50", 2048, (8, 4), "torchvision"),
        ("mobilenet_v2", 1280, (8, 4), "torchvision"),
        ("tf_efficientnet_lite0", 320, (4, 2), "timm"),
        ("hrnet_w18_small", 128 + 256 + 512 + 1024, (32, 16), "timm"),
    ],
)
def test_maps_of_named_backbones(name: str, channels: int, size: tuple[int, int], package: str) -> None:
    pytest.importorskip(package)
    found = make_backbone(name)
    with torch.no_grad():
        features = found.module.eval()(torch.rand(1, 3, 128, 64) * 255)
    assert features.shape == (1, found.channels, *size)
    assert found.channels == channels


def test_pictures_are_turned_to_normalised_rgb() -> None:
    bgr = torch.tensor([0.406 * 255, 0.456 * 255, 0.485 * 255 + 0.229 * 255]).view(1, 3, 1, 1)
    found = ImageNetInput(torch.nn.Identity())(bgr)
    assert found.flatten().tolist() == pytest.approx([1.0, 0.0, 0.0], abs=1e-4)


def test_weights_files_are_checked(tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    network = torchvision.models.mobilenet_v2()
    state = {k: v for k, v in network.state_dict().items() if not k.startswith("classifier")}
    torch.save(state, tmp_path / "good.pt")
    loaded = make_backbone("mobilenet_v2", str(tmp_path / "good.pt")).module.state_dict()
    torch.testing.assert_close(loaded["network.0.0.weight"], state["features.0.0.weight"])
    torch.save({"other": torch.zeros(3)}, tmp_path / "bad.pt")
    with pytest.raises(WeightsError, match="does not fit"):
        make_backbone("mobilenet_v2", str(tmp_path / "bad.pt"))
    with pytest.raises(WeightsError, match="does not exist"):
        make_backbone("mobilenet_v2", str(tmp_path / "none.pt"))


def test_unknown_names_and_freezing_are_refused() -> None:
    pytest.importorskip("timm")
    with pytest.raises(ConfigError, match="unknown to timm"):
        make_backbone("resnet_of_dreams")
    with pytest.raises(ConfigError, match="OpenVINO IR"):
        make_backbone("resnet50", freeze=1)


def test_pooled_head_by_hand() -> None:
    head = PooledHead(2, 2).eval()
    for reduction in (head.whole, head.parts):
        reduction[0].weight.data.copy_(torch.eye(2))
    features = torch.tensor([[[[1.0, 3.0]], [[2.0, 4.0]]]])
    attention = torch.tensor([[[[0.0, 0.5]], [[0.75, 0.5]], [[0.25, 0.0]]]])
    found = head(features, attention)[0] * (1 + 1e-5) ** 0.5  # BatchNorm's eps
    # Whole: mean of (0.75 * 1, 0.5 * 3); first part: (0.75 * 1 + 0.5 * 3) / 1.25; second part: the first pixel.
    expected = [[1.125, (0.75 * 2 + 0.5 * 4) / 2], [1.8, (0.75 * 2 + 0.5 * 4) / 1.25], [1.0, 2.0]]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-4, rtol=1e-4)


def test_a_part_network_on_any_backbone() -> None:
    pytest.importorskip("torchvision")
    network = PartNetwork(NetworkConfig(backbone="mobilenet_v2", dim=64, focuser="maps"), (128, 64))
    assert (network.map_size, network.shape) == ((8, 4), (6, 64))
    output = network(torch.rand(2, 3, 128, 64) * 255)
    assert output.embeddings.shape == (2, 6, 64)
    assert output.attention.shape == (2, 6, 8, 4)
    output.embeddings.sum().backward()
    assert network.predictor.classify.weight.grad is not None
