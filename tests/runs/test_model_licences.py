"""What `streamreid weights list` says about licences, and that a run without settings needs nothing that forbids
commercial use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from streamreid.cli import app
from streamreid.cli import weights as weights_command
from streamreid.config import DetectorConfig, EngineConfig
from streamreid.detection.auto_detector import ALTERNATIVE, PREFERRED
from streamreid.runs.model_licences import COMMERCIAL_LICENCES, detector_licence


@pytest.fixture(scope="module")
def listed() -> list[dict[str, object]]:
    done = CliRunner().invoke(app, ["weights", "list", "--json"])
    assert done.exit_code == 0, done.output
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


def test_every_file_of_a_default_run_and_of_the_demo_allows_commercial_use(listed: list[dict[str, object]]) -> None:
    loaded = [row for row in listed if row["used"] in ("default", "demo")]
    assert {row["kind"] for row in loaded} == {"detector", "engine", "sample"}
    for row in loaded:
        assert {row["code_licence"], row["weights_licence"]} <= COMMERCIAL_LICENCES, row["name"]
        assert row["commercial_use"] is True


NOT_FREE = {
    "pab-osnet-clean": "its base was trained by its makers on MSMT17, which is for research, and on private pictures",
}
"""Files of a run without settings that a company cannot just ship, and why: the whole list. Whoever takes one away
takes it out here; another one is a fault."""


def test_the_files_of_a_default_run_that_are_not_free_are_those_that_are_known(
    listed: list[dict[str, object]],
) -> None:
    loaded = [row for row in listed if row["used"] == "default"]
    assert {row["kind"] for row in loaded} == {"detector", "engine"}
    found = {row["name"] for row in loaded if not row["commercial_use"] or row["research_data"]}
    assert found == set(NOT_FREE)


def test_what_does_not_allow_it_is_marked(listed: list[dict[str, object]]) -> None:
    rows = {row["name"]: row for row in listed}
    assert (EngineConfig().model, DetectorConfig().model) == ("auto", "auto")
    assert [name for name, row in rows.items() if row["used"] == "default"] == [PREFERRED, "pab-osnet-clean"]
    assert [name for name, row in rows.items() if not row["commercial_use"]] == [ALTERNATIVE, "pab-osnet-small"]
    assert rows["pab-osnet-small"]["weights_licence"] == "Apache-2.0"  # the terms of its training data bind it
    assert rows[ALTERNATIVE]["weights_licence"] == "AGPL-3.0"


def test_a_detector_is_known_by_its_content(shared: Path, tmp_path: Path) -> None:
    named_otherwise = tmp_path / "mine.onnx"
    named_otherwise.symlink_to(shared / "data" / "weights" / "yolo11n.onnx")
    assert detector_licence(DetectorConfig(model="auto")) == "Apache-2.0"
    assert detector_licence(DetectorConfig(model=str(named_otherwise))) == "AGPL-3.0"
    for unknown in (shared / "data" / "weights" / "osnet_x0_25_msmt17.onnx", tmp_path / "none.onnx", "mot:boxes"):
        assert detector_licence(DetectorConfig(model=str(unknown))) == ""


def test_training_data_is_told_apart_from_the_licence(listed: list[dict[str, object]]) -> None:
    for row in listed:
        if row["kind"] == "sample":
            continue
        assert row["training_data"], row["name"]
        assert row["training_terms"], row["name"]
    (engine,) = [row for row in listed if row["kind"] == "engine" and row["used"] == "default"]
    assert "generated" in str(engine["training_data"])
    assert "research" in str(engine["training_terms"])
    (trained_on_people,) = [row for row in listed if row["name"] == "pab-osnet-small"]
    assert "CUHK" in str(trained_on_people["training_data"])


def test_the_table_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_command, "output", Console(width=200))
    done = CliRunner().invoke(app, ["weights", "list"])
    assert done.exit_code == 0
    for word in (PREFERRED, ALTERNATIVE, "AGPL-3.0", "Apache-2.0", "COCO", "research"):
        assert word in done.stdout


def test_a_narrow_table_leaves_paths_out_and_says_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_command, "output", Console(width=80))
    done = CliRunner().invoke(app, ["weights", "list"])
    assert done.exit_code == 0
    assert "AGPL-3.0" in done.stdout
    assert ".onnx" not in done.stdout
    assert "--json" in done.stdout


def test_a_very_narrow_table_keeps_names_and_licences_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_command, "output", Console(width=60))
    done = CliRunner().invoke(app, ["weights", "list"])
    assert done.exit_code == 0
    table = done.stdout.partition("where they are")[0]
    assert "…" not in table
    assert "pab-osnet-clean" in table
    assert "training data" not in table
