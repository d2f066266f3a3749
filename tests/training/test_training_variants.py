"""Training with several processes, with a teacher, of some modules alone, with other parts; TensorBoard. On a tiny
network."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")
pytest.importorskip("lightning", reason="training needs the train extra")
pytest.importorskip("timm", reason="training needs the train extra")

from streamreid.datasets.part_grouping import GROUPINGS, write_parts  # noqa: E402
from streamreid.errors import ConfigError, DataError  # noqa: E402
from streamreid.training import loop  # noqa: E402
from streamreid.training.checkpoint import load_network  # noqa: E402
from streamreid.training.losses import teacher_loss  # noqa: E402
from streamreid.training.optimizer import make_optimizer  # noqa: E402
from streamreid.training.papers.imitation import imitation_loss  # noqa: E402
from streamreid.training.recipe import NetworkConfig, ScheduleConfig, TrainConfig, load_recipe  # noqa: E402
from tests.support.training_data import make_folder  # noqa: E402


@pytest.fixture
def recipe(tmp_path: Path) -> TrainConfig:
    data = make_folder(tmp_path / "data", people=5)
    return TrainConfig.model_validate(
        {
            "data": [data.model_dump()],
            "network": {"backbone": "test_resnet", "dim": 16},
            "out": str(tmp_path / "out"),
            "size": (64, 32),
            "schedule": {"steps": 2, "people": 4, "pictures": 2},
            "compile": False,
            "imprint": False,
            "precision": "32-true",
            "save_every": 1,
        }
    )


def changed(recipe: TrainConfig, **changes: object) -> TrainConfig:
    """The recipe with some sections changed, checked again."""
    found = recipe.model_dump()
    for key, value in changes.items():
        found[key] = {**found[key], **value} if isinstance(value, dict) else value
    found["network"].pop("parts")
    return TrainConfig.model_validate(found)


def weights(path: Path) -> dict[str, "torch.Tensor"]:
    return torch.load(path, weights_only=True)["network"]  # type: ignore[no-any-return]


def logged(out: str, term: str) -> list[float]:
    rows = [line.split(",") for line in (Path(out) / "log.csv").read_text().splitlines()[1:]]
    return [float(value) for _, name, value in rows if name == term]


@pytest.mark.slow
def test_two_processes_learn_as_one(recipe: TrainConfig, tmp_path: Path, shared: Path) -> None:
    # retail-0277 and its head have no normalisation over the batch, and these losses are means over pictures: two
    # shares must give what one process gives.
    retail = str(shared / "data" / "weights" / "person-reidentification-retail-0277.xml")
    single = changed(
        recipe,
        network={"backbone": retail},
        size=(128, 64),
        schedule={"only": ["head"], "warmup": 0.0},
        augmentation={"crop": 4},
        losses={"part_triplet": 0, "whole_triplet": 0, "agreement": 0},
    )
    both = changed(single, devices=2, out=str(tmp_path / "both"))
    config = tmp_path / "recipe.yaml"
    config.write_text(both.model_dump_json(exclude={"network": {"parts"}}))
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--rdzv-backend=c10d",
        "--rdzv-endpoint=localhost:0",
        "-m",
        "streamreid",
        "train",
        str(config),
        "--quiet",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("next: streamreid export") == 1  # one of them speaks
    loop.train(single)
    for term in ("identity", "identity_parts", "pixels", "loss"):
        assert len(logged(both.out, term)) == 2
        assert logged(both.out, term) == pytest.approx(logged(single.out, term), rel=2e-3)


def test_people_must_be_divisible(recipe: TrainConfig) -> None:
    with pytest.raises(ConfigError, match="3 processes"):
        loop.train(changed(recipe, devices=3))


def test_shares_of_a_batch_are_the_batch(recipe: TrainConfig, tmp_path: Path) -> None:
    split = loop.split_people(recipe.data)
    cache = loop.PictureCache(split.train, tmp_path / "cache", recipe.size)
    whole = loop.prepare_batch(cache, recipe, 3, (4, 2), (0, 1))
    shares = [loop.prepare_batch(cache, recipe, 3, (4, 2), (rank, 2)) for rank in (0, 1)]
    for rank, share in enumerate(shares):
        for person in range(2):  # people of a share are every second one of the batch
            mine, all_ = slice(2 * person, 2 * person + 2), slice(2 * (2 * person + rank), 2 * (2 * person + rank) + 2)
            assert (share.pictures[mine] == whole.pictures[all_]).all()
            assert (share.pictures[share.whole :][mine] == whole.pictures[whole.whole :][all_]).all()


@pytest.mark.parametrize(
    ("network", "keys"),
    [
        ({"focuser": "maps"}, {"focuser.scale"}),
        ({"focuser": "features", "focuser_width": 24}, {"feature_focuser.scale", "feature_focuser.reduce.weight"}),
        ({"mask": "rgas", "grader": True, "predictor": "context"}, {"masker.weigh.0.0.weight", "grader.score.weight"}),
    ],
)
def test_every_head_trains(recipe: TrainConfig, network: dict[str, object], keys: set[str]) -> None:
    before = {}

    def look(numbers: dict[str, float]) -> None:
        if numbers["step"] == 0:
            before.update(weights(Path(recipe.out) / "last.pt"))

    loop.train(changed(recipe, network=network, schedule={"steps": 3, "warmup": 0.0}), None, look)
    after = weights(Path(recipe.out) / "last.pt")
    assert keys <= set(after)
    assert all((after[k] != before[k]).any() for k in keys)


def test_pooled_heads_learn_who_it_is_in_three_places(recipe: TrainConfig) -> None:
    heard: list[dict[str, float]] = []
    network, _, _ = load_network(loop.train(recipe, None, heard.append))
    # Classifiers start almost at zero: each of the three cross-entropies is log(5 people).
    assert [heard[0][k] for k in ("identity", "identity_parts", "identity_overall")] == pytest.approx(
        [np.log(5)] * 3, rel=0.05
    )
    assert network(torch.zeros(1, 3, 64, 32)).overall is None  # not in use


def test_a_checkpoint_needs_no_imagenet_weights(recipe: TrainConfig, tmp_path: Path) -> None:
    import timm

    weights_file = tmp_path / "imagenet.pt"
    torch.save(timm.create_model("test_resnet", features_only=True).state_dict(), weights_file)
    last = loop.train(changed(recipe, network={"weights": str(weights_file)}, schedule={"steps": 1}))
    weights_file.unlink()
    network, config, _ = load_network(last)
    assert config.network.weights == str(weights_file)
    assert network.shape == (6, 16)


def test_training_some_modules_leaves_all_others(recipe: TrainConfig, tmp_path: Path) -> None:
    loop.train(changed(recipe, network={"grader": True}))
    first = Path(recipe.out) / "last.pt"
    second = changed(
        recipe,
        network={"grader": True},
        start=str(first),
        out=str(tmp_path / "second"),
        schedule={"only": ["grader"], "steps": 2},
    )
    loop.train(second)
    before = torch.load(first, weights_only=True)["average"]["state"]
    after = weights(Path(second.out) / "last.pt")
    moved = {k.split(".")[0] for k in after if k != "usual" and not torch.equal(after[k], before[k])}
    assert moved == {"grader"}
    with pytest.raises(ConfigError, match="none of masker"):
        loop.train(changed(second, schedule={"only": ["masker"]}, out=str(tmp_path / "third")))


def test_eight_parts_come_from_the_labels(recipe: TrainConfig) -> None:
    labels = Path(recipe.data[0].labels)
    for path in labels.glob("*.png"):
        path.rename(path.with_suffix(".tmp"))
    write_parts(labels, GROUPINGS["eight"].names)
    for path in labels.glob("*.tmp"):
        path.rename(path.with_suffix(".png"))
    last = loop.train(recipe)
    network, config, _ = load_network(last)
    assert network.shape == (9, 16)
    assert config.network.parts == GROUPINGS["eight"].names
    wrong = TrainConfig.model_validate(
        recipe.model_dump() | {"network": {"backbone": "test_resnet", "parts": ["head"]}, "out": recipe.out + "2"}
    )
    with pytest.raises(ConfigError, match=r"network\.parts"):
        loop.train(wrong)


def test_labels_of_other_parts_cannot_be_mixed(recipe: TrainConfig, tmp_path: Path) -> None:
    other = make_folder(tmp_path / "other", people=3)
    (Path(other.labels) / "parts.json").write_text('{"parts": ["body"]}')
    with pytest.raises(DataError, match="same --parts for all"):
        loop.train(recipe.model_copy(update={"data": (*recipe.data, other)}))


def test_teacher_loss_by_hand() -> None:
    teacher = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    student = torch.tensor([[1.0, 0, 0], [1.0, 0, 0], [0, 1.0, 0], [0, 0, 3.0]])  # two pictures, then their copies
    # Wanted [[1, 0], [0, 1]] twice; found [[1, 1], [1, 1]] and [[0, 0], [0, 0]]: 2 + 2 wrong of 8.
    assert float(teacher_loss(student, teacher)) == pytest.approx(4 / 8)
    assert float(teacher_loss(torch.eye(2), teacher)) == 0


def test_imitation_loss_by_hand() -> None:
    teacher = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    student = torch.tensor(
        [[3.0, 0.0], [0.0, 1.0], [0.6, 0.8], [-1.0, 0.0]]
    )  # two pictures as the teacher sees them, then their copies
    assert float(imitation_loss(student, teacher)) == pytest.approx((0 + 0 + (1 - 0.6) + 1) / 4)
    with pytest.raises(ConfigError, match=r"3 values, the teacher's 2"):
        imitation_loss(torch.ones(2, 3), teacher)


def test_imitation_needs_a_teacher(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "data: [{images: a, labels: b}]\nnetwork: {backbone: resnet50}\nlosses: {imitation: 2}\nout: runs/x\n"
    )
    with pytest.raises(ConfigError, match=r"losses\.imitation needs a teacher"):
        load_recipe(recipe)


def test_the_whole_person_can_do_without_its_classifier(recipe: TrainConfig) -> None:
    heard: list[dict[str, float]] = []
    loop.train(changed(recipe, schedule={"steps": 1}, losses={"identity_whole": 0.0}), None, heard.append)
    assert "identity" not in heard[0]
    assert heard[0]["identity_parts"] > 0


@pytest.mark.slow
def test_a_teacher_is_learnt_from(recipe: TrainConfig, shared: Path) -> None:
    retail = shared / "data" / "weights" / "person-reidentification-retail-0277.xml"
    with pytest.raises(ConfigError, match="no OpenVINO IR"):
        loop.train(changed(recipe, teacher="teacher.onnx"))
    heard: list[dict[str, float]] = []
    taught = changed(
        recipe,
        network={"dim": 256},
        teacher=str(retail),
        size=(128, 64),
        schedule={"steps": 1},
        losses={"imitation": 2.0},
    )
    loop.train(taught, None, heard.append)
    assert heard[0]["teacher"] > 0
    assert 0 < heard[0]["imitation"] < 4


def test_tensorboard_holds_what_the_csv_holds(recipe: TrainConfig) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    heard: list[dict[str, float]] = []
    loop.train(changed(recipe, tensorboard=True), None, heard.append)
    events = EventAccumulator(str(Path(recipe.out) / "tensorboard"))
    events.Reload()
    assert [s.value for s in events.Scalars("loss")] == pytest.approx([n["loss"] for n in heard], rel=1e-5)


def test_rates_of_frozen_modules_are_left_out() -> None:
    network, heads = (
        torch.nn.ModuleDict({"head": torch.nn.Linear(2, 2), "grader": torch.nn.Linear(2, 3)}),
        torch.nn.ModuleDict({"whole": torch.nn.Linear(2, 4)}),
    )
    optimizer = make_optimizer(network, heads, ScheduleConfig(only=("grader",)))
    assert sum(p.numel() for g in optimizer.param_groups for p in g["params"]) == 9


def test_defaults_name_five_parts() -> None:
    assert NetworkConfig(backbone="resnet50").parts == GROUPINGS["five"].names
    assert np.isclose(ScheduleConfig().rate, 4e-3)


@pytest.mark.gpu
def test_training_on_a_gpu_goes_on_and_exports(recipe: TrainConfig, tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    from streamreid.training.export import export_onnx

    config = changed(recipe, precision="bf16-mixed", compile=True, imprint=True, workers=4, schedule={"steps": 4})
    devices: list[str] = []

    def validate(network: torch.nn.Module, pictures: object) -> dict[str, float]:
        devices.append(next(network.parameters()).device.type)
        return {"score": 0.5}

    data = config.data[0].model_copy(update={"validation": 1})
    config = config.model_copy(update={"data": (data,), "validate_every": 2})
    loop.train(config.model_copy(update={"schedule": config.schedule.model_copy(update={"steps": 2})}), validate)
    last = loop.train(config, validate)
    assert set(devices) == {"cuda"}
    assert len(logged(config.out, "loss")) == 4
    network, _, step = load_network(last)
    assert step == 4
    export_onnx(network, tmp_path / "model.onnx", config.size)
