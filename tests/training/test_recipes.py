"""The recipes that ship, and those of the ablation, are valid."""

import importlib.util
import json
import sys
from argparse import Namespace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")
pytest.importorskip("lightning", reason="training needs the train extra")

from streamreid.errors import ConfigError, DataError  # noqa: E402
from streamreid.training.checkpoint import load_network  # noqa: E402
from streamreid.training.recipe import load_recipe  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def ablation() -> object:
    folder = ROOT / "benchmarks"
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location("ablation", folder / "ablation.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["ablation"] = module
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(folder))


def options(out: Path, **changes: object) -> Namespace:
    given = {
        "data": Path("data"),
        "labels": Path("labels"),
        "retail": Path("retail.xml"),
        "out": out,
        "steps": 100,
        "workers": 2,
        "freeze": 1,
        "seed": 3,
    }
    return Namespace(**{**given, **changes})


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("train-*.yaml")), ids=lambda p: p.stem)
def test_shipped_recipes_are_valid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REID_DATA", "LABELS", "RETAIL_0277", "IMAGENET", "PEOPLE"):
        monkeypatch.setenv(name, f"some/{name.lower()}")
    config = load_recipe(path)
    pictures = "people" if path.stem == "train-synthetic" else "reid_data/cuhk03"
    assert config.data[0].images == f"some/{pictures}/bounding_box_train"
    assert config.network.backbone in ("some/retail_0277", "hrnet_w32")


def test_every_row_of_the_ablation_changes_something(ablation, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    recipes = {name: ablation.recipe(name, options(tmp_path)).model_dump(exclude={"out"}) for name in ablation.ROWS}
    for name, found in recipes.items():
        assert (found == recipes["full"]) == (name == "full"), name
    assert recipes["teacher"]["teacher"] == "retail.xml"
    assert [d["images"] for d in recipes["cuhk01-only"]["data"]] == ["data/cuhk01/bounding_box_train"]
    assert recipes["rgas-grader"]["network"]["freeze"] == 1


def test_the_table_holds_what_is_finished(ablation, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    score = {"R1": 0.5, "mAP": 0.25}
    scores = {
        d: {g: dict.fromkeys(("clean", "patch", "person"), score) for g in ("parts", "whole", "unified")}
        for d in ("cuhk03", "cuhk01")
    }
    for name in ("full", "rgas-grader"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "scores.json").write_text(json.dumps(scores))
    lines = ablation.table(options(tmp_path)).splitlines()
    assert len(lines) == 2 + 3 + 2
    assert lines[2] == "|  | as shipped |" + " .500 / .250 |" * 6
    assert "occlusions unified" in lines[-1]


def test_shares_are_listed_where_they_were_scored(ablation, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    kinds = {key: {"R1": 0.5, "mAP": 0.25} for key in ("clean", "patch", "person")}
    groups = {"parts": kinds, "whole": kinds, "unified": {}}
    (tmp_path / "cuhk03-only").mkdir()
    (tmp_path / "cuhk03-only" / "scores.json").write_text(json.dumps({"cuhk03": groups, "cuhk01": groups}))
    (tmp_path / "cuhk03-only" / "shares.json").write_text(json.dumps({"0.3": {"cuhk01": groups}}))
    lines = ablation.table(options(tmp_path)).splitlines()
    assert "base share 0.3, whole person alone" in lines[-1]
    assert lines[-1].count(".500 / .250") == 3
    assert sum("base share" in line for line in lines) == 2


def test_what_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.pt does not exist; name best\.pt"):
        load_network(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(DataError, match=r"text\.pt: not a checkpoint of streamreid"):
        load_network(tmp_path / "text.pt")
    torch.save({"weights": 1}, tmp_path / "other.pt")
    with pytest.raises(DataError, match=r"other\.pt: not a checkpoint of streamreid \(KeyError\)"):
        load_network(tmp_path / "other.pt")
