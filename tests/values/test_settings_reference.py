"""Settings by level, by their names of today and of before, and the page that lists them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamreid._sections import level_of
from streamreid.cli import app
from streamreid.config import Config, load_config
from streamreid.errors import ConfigError
from streamreid.settings_reference import markdown, schema, settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"

RENAMED = {
    "engine.look_interval": ("engine.embedding_interval", 1.5),
    "tracker.blind_seconds": ("tracker.motion_only_seconds", 3.0),
    "tracker.second_iou": ("tracker.second_match_iou", 0.3),
    "tracker.ghost_score": ("tracker.static_score", 0.4),
    "tracker.ghost_travel": ("tracker.static_travel", 0.7),
    "ground.share": ("ground.camera_share", 0.6),
    "detector.conf": ("detector.confidence", 0.2),
    "tracker.new_track_thresh": ("tracker.new_score", 0.7),
}
EXPERIMENTAL = {
    "association.unification": "graded",
    "association.visibility": False,
    "tracker.height_overlap": False,
    "tracker.truncation": False,
    "tracker.occlusion": False,
}


def value_of(config, key):
    section, name = key.split(".")
    return getattr(getattr(config, section), name)


def keys(view):
    """Every key that a view of the schema shows, by section."""
    found = schema(view)
    return {
        (section, key)
        for section, value in found["properties"].items()
        for key in found["$defs"].get(value.get("$ref", "").rsplit("/", 1)[-1], {}).get("properties", {})
    }


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == markdown(), "python -m streamreid.settings_reference > docs/settings.md"


def test_basic_numbers_have_a_unit_and_say_what_wrong_values_do():
    basic = [(key, f) for key, f in settings() if level_of(f.json_schema_extra) == "basic"]
    assert 40 < len(basic) < 90
    for key, field in basic:
        assert field.description, key
        if field.annotation in (float, int, float | None, int | None):
            assert {"x-unit", "x-too-low", "x-too-high"} <= set(field.json_schema_extra), key


def test_a_level_shows_what_the_one_before_shows_and_more():
    basic, advanced, everything = keys("basic"), keys("advanced"), keys("all")
    assert basic < advanced < everything
    assert ("tracker", "delay") in basic
    assert ("tracker", "match_iou") in advanced - basic
    assert {f"{section}.{key}" for section, key in everything - advanced} == set(EXPERIMENTAL)


def test_what_is_not_shown_is_not_forbidden():
    assert "additionalProperties" not in schema("advanced")["$defs"]["TrackerConfig"]
    assert schema("all")["$defs"]["TrackerConfig"]["additionalProperties"] is False
    assert schema("all") == Config.model_json_schema()


def test_the_command_prints_a_level():
    shown = CliRunner().invoke(app, ["config", "schema", "--level", "basic"])
    assert json.loads(shown.stdout) == schema("basic")
    assert isinstance(
        CliRunner().invoke(app, ["config", "schema", "--level", "most"]).exception, (ConfigError, SystemExit)
    )


@pytest.mark.parametrize("old", RENAMED)
def test_earlier_names_are_accepted_in_files_and_as_single_settings(tmp_path, old):
    new, value = RENAMED[old]
    section, key = old.split(".")
    file = tmp_path / "cams.yaml"
    file.write_text(f"cameras: [{{name: a, uri: a.mp4}}]\n{section}: {{{key}: {value}}}\n")
    assert value_of(load_config(file), new) == value
    config = Config.from_sources("a.mp4").with_settings({new: value}).with_settings({old: value})
    assert value_of(config, new) == value
    assert value_of(Config.from_sources("a.mp4").with_settings({old: value}), new) == value


@pytest.mark.parametrize("key", EXPERIMENTAL)
def test_switches_for_comparisons_are_accepted_with_a_warning(tmp_path, caplog, key):
    section, name = key.split(".")
    file = tmp_path / "cams.yaml"
    file.write_text(f"cameras: [{{name: a, uri: a.mp4}}]\n{section}: {{{name}: {json.dumps(EXPERIMENTAL[key])}}}\n")
    assert value_of(load_config(file), key) == EXPERIMENTAL[key]
    assert f"{key} is for comparisons only" in caplog.text
    assert f"`{name}`" not in PAGE.read_text(encoding="utf-8")
