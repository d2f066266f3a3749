"""The loop: learns, goes on identically after an interruption, and stops at NaN without harm."""

import csv
import itertools
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")
pytest.importorskip("lightning", reason="training needs the train extra")

from streamreid.errors import ConfigError, DataError, StreamReIDError  # noqa: E402
from streamreid.training import loop, objective  # noqa: E402
from streamreid.training.optimizer import MovingAverage, rate_factor  # noqa: E402
from streamreid.training.recipe import TrainConfig  # noqa: E402
from tests.support.training_data import make_folder  # noqa: E402


@pytest.fixture
def recipe(tmp_path: Path, shared: Path) -> TrainConfig:
    data = make_folder(tmp_path / "data", people=5).model_copy(update={"validation": 1})
    weights = shared / "data" / "weights" / "person-reidentification-retail-0277.xml"
    return TrainConfig.model_validate(
        {
            "data": [data.model_dump()],
            "network": {"backbone": str(weights), "freeze": 2},
            "out": str(tmp_path / "out"),
            "cache": str(tmp_path / "cache"),
            "size": (128, 64),
            "schedule": {"steps": 4, "people": 2, "pictures": 2},
            "compile": False,
            "precision": "32-true",
            "save_every": 2,
            "validate_every": 2,
        }
    )


def rows(out: str) -> list[tuple[str, str, str]]:
    with (Path(out) / "log.csv").open() as file:
        return [(r["step"], r["name"], r["value"]) for r in csv.DictReader(file) if r["name"] != "seconds"]


@pytest.mark.slow
def test_an_interrupted_training_goes_on_identically(recipe: TrainConfig, tmp_path: Path) -> None:
    loop.train(recipe, lambda network, pictures: {"score": float(len(pictures))})
    whole = torch.load(Path(recipe.out) / "last.pt", weights_only=True)

    class Stop(Exception):
        pass

    def stop(numbers: dict[str, float]) -> None:
        if numbers["step"] == 2:  # one step after the checkpoint of step 2
            raise Stop

    second = recipe.model_copy(update={"out": str(tmp_path / "second")})
    with pytest.raises(Stop):
        loop.train(second, None, stop)
    loop.train(second, lambda network, pictures: {"score": float(len(pictures))})
    resumed = torch.load(Path(second.out) / "last.pt", weights_only=True)
    for key, value in whole["network"].items():
        torch.testing.assert_close(resumed["network"][key], value, rtol=0, atol=0)
    for key, value in whole["average"]["state"].items():
        torch.testing.assert_close(resumed["average"]["state"][key], value, rtol=0, atol=0)
    assert [r for r in rows(second.out) if r[1] == "loss"] == [r for r in rows(recipe.out) if r[1] == "loss"]
    assert (Path(recipe.out) / "best.pt").exists()
    network, config, step = loop.load_network(Path(recipe.out) / "last.pt")
    assert (step, config.out, network.shape) == (4, recipe.out, (6, 256))
    with pytest.raises(ConfigError, match="another recipe"):
        loop.train(recipe.model_copy(update={"seed": 2}))


@pytest.mark.slow
def test_a_loss_that_is_not_finite_names_the_batch(recipe: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objective.losses, "identity_loss", lambda logits, *_: logits.sum() * float("nan"))
    with pytest.raises(StreamReIDError, match=r"step 0.*not finite.*\.png"):
        loop.train(recipe)
    assert not (Path(recipe.out) / "last.pt").exists()


def test_a_file_that_is_no_checkpoint_is_named(recipe: TrainConfig) -> None:
    Path(recipe.out).mkdir()
    path = Path(recipe.out) / "last.pt"
    path.write_bytes(b"something else")
    with pytest.raises(DataError, match="not a checkpoint"):
        loop.train(recipe)
    assert path.read_bytes() == b"something else"


def test_rates_rise_then_fall() -> None:
    factors = [rate_factor(s, 100, 0.1) for s in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == 1.0
    assert all(a >= b for a, b in itertools.pairwise(factors[10:]))
    assert factors[99] == pytest.approx(0.01, abs=2e-3)


def test_moving_average_by_hand() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(0.0)
    average = MovingAverage(layer, 0.9)
    layer.weight.data.fill_(1.0)
    average.update(layer)  # decay min(0.9, 1 / 10)
    assert float(average.state["weight"]) == pytest.approx(0.9)
    average.update(layer)  # decay min(0.9, 2 / 11)
    assert float(average.state["weight"]) == pytest.approx(1 - 0.1 * 2 / 11)
