"""Feature maps that the ablation keeps between its rows."""

import importlib.util
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")
pytest.importorskip("lightning", reason="training needs the train extra")

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "_frozen.py"


@pytest.fixture(scope="module")
def frozen():  # type: ignore[no-untyped-def]
    spec = importlib.util.spec_from_file_location("_frozen", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Counting(torch.nn.Module):
    """Counts the pictures it looks at."""

    def __init__(self) -> None:
        super().__init__()
        self.looked = 0

    def forward(self, pictures):  # type: ignore[no-untyped-def]
        self.looked += len(pictures)
        return pictures[:, :2, ::4, ::4] / 255


def test_every_map_is_computed_once_and_survives_an_interruption(frozen, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    pictures = torch.randint(0, 256, (5, 3, 16, 8)).float()
    first = frozen.Remembered(Counting(), tmp_path, at_once=3)
    wanted = first(pictures[:3])
    assert first.backbone.looked == 3
    assert first(pictures[[2, 0, 3, 3]]).shape == (4, 2, 4, 2)
    again = frozen.Remembered(Counting(), tmp_path)  # the fourth map was not written yet
    torch.testing.assert_close(again(pictures[:3]), wanted, rtol=0, atol=0)
    assert again.backbone.looked == 0
    again(pictures)
    assert again.backbone.looked == 2
    again.save()
    last = frozen.Remembered(Counting(), tmp_path)
    last(pictures)
    assert last.backbone.looked == 0
    assert not list(tmp_path.glob("*.part*"))


@pytest.mark.parametrize("frozen_stages", [1, 2, None])
def test_both_pieces_of_a_backbone_are_the_whole(frozen, shared: Path, frozen_stages: int | None) -> None:  # type: ignore[no-untyped-def]
    from streamreid.training.network import PartNetwork
    from streamreid.training.recipe import NetworkConfig

    retail = shared / "data" / "weights" / "person-reidentification-retail-0277.xml"
    backbone = PartNetwork(NetworkConfig(backbone=str(retail)), (64, 32)).backbone.eval()
    stem, rest = frozen.split_backbone(backbone, frozen_stages)
    pictures = torch.rand(2, 3, 64, 32) * 255
    with torch.no_grad():
        torch.testing.assert_close(rest(stem(pictures)), backbone(pictures), rtol=0, atol=0)
    next(iter(rest.parameters())).data.add_(1)
    assert torch.equal(next(iter(rest.parameters())), next(iter(backbone.parameters())))
