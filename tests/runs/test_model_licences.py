"""What `streamreid weights list` says about licences, and that a default run needs nothing that forbids commercial
use."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from streamreid.cli import app
from streamreid.config import DetectorConfig, EngineConfig
from streamreid.detection.default_detector import ALTERNATIVE, AUTO, DEFAULT
from streamreid.runs.model_licences import COMMERCIAL_LICENCES


@pytest.fixture(scope="module")
def listed() -> list[dict[str, object]]:
    done = CliRunner().invoke(app, ["weights", "list", "--json"])
    assert done.exit_code == 0, done.output
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


def test_every_file_of_a_default_run_allows_commercial_use(listed: list[dict[str, object]]) -> None:
    assert (DetectorConfig().model, EngineConfig().model) == (AUTO, "auto")
    loaded = [row for row in listed if row["used"] in ("default", "demo")]
    assert {row["kind"] for row in loaded} == {"detector", "engine", "sample"}
    for row in loaded:
        assert {row["code_licence"], row["weights_licence"]} <= COMMERCIAL_LICENCES, row["name"]
        assert row["commercial_use"] is True


def test_the_fallback_is_named_as_what_it_is(listed: list[dict[str, object]]) -> None:
    used = {row["name"]: row for row in listed}
    assert (used[DEFAULT]["used"], used[ALTERNATIVE]["used"]) == ("default", "fallback")
    assert used[ALTERNATIVE]["weights_licence"] == "AGPL-3.0"
    assert used[ALTERNATIVE]["commercial_use"] is False


def test_training_data_is_told_apart_from_the_licence(listed: list[dict[str, object]]) -> None:
    for row in listed:
        if row["kind"] == "sample":
            continue
        assert row["training_data"], row["name"]
        assert row["training_terms"], row["name"]
    (engine,) = [row for row in listed if row["kind"] == "engine" and row["used"] == "default"]
    assert "CUHK" in str(engine["training_data"])
    assert "research" in str(engine["training_terms"])


def test_the_table_says_the_same() -> None:
    done = CliRunner().invoke(app, ["weights", "list"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    for word in (DEFAULT, ALTERNATIVE, "AGPL-3.0", "Apache-2.0", "COCO", "research"):
        assert word in done.stdout
