"""Weights between before and after a training."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from streamreid.errors import ConfigError  # noqa: E402
from streamreid.training.network import PartNetwork  # noqa: E402
from streamreid.training.recipe import TrainConfig  # noqa: E402
from streamreid.training.weight_interpolation import blend  # noqa: E402


def test_backbone_and_head_move_back_and_the_predictor_stays(shared: Path) -> None:
    retail = str(shared / "data" / "weights" / "person-reidentification-retail-0277.xml")
    config = TrainConfig.model_validate(
        {"data": [{"images": "i", "labels": "l"}], "network": {"backbone": retail}, "out": "o"}
    )
    torch.manual_seed(0)
    network = PartNetwork(config.network)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    for parameter in network.parameters():
        parameter.data.add_(1.0)
    after = blend(network, config, 0.25).state_dict()
    moved = {k: float((after[k] - before[k]).mean()) for k, v in before.items() if v.is_floating_point() and v.numel()}
    assert moved["head.weight"] == pytest.approx(0.75, abs=1e-5)
    assert moved["predictor.classify.weight"] == pytest.approx(1.0, abs=0.02)
    trained = [k for k, _ in network.named_parameters() if k.startswith("backbone.")]
    assert trained
    assert all(moved[k] == pytest.approx(0.75, abs=1e-4) for k in trained)


@pytest.mark.parametrize(
    ("network", "base", "message"),
    [({"backbone": "x.xml"}, 1.5, r"0\.\.1"), ({"backbone": "resnet50"}, 0.5, "from noise")],
)
def test_what_cannot_be_blended_is_refused(network: dict[str, str], base: float, message: str) -> None:
    config = TrainConfig.model_validate({"data": [{"images": "i", "labels": "l"}], "network": network, "out": "o"})
    with pytest.raises(ConfigError, match=message):
        blend(torch.nn.Identity(), config, base)  # type: ignore[arg-type]
