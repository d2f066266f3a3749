"""The scripts of the page: their types hold, and what they say is there."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from streamreid import web
from streamreid.places import PlaceEventKind
from streamreid.sources.status import StateName
from streamreid.types import EventKind
from streamreid.web.rendering import _between

STATIC = Path(web.__file__).parent / "static"
TRANSLATIONS = Path(web.__file__).parent / "translations"
TSC = "STREAMREID_TSC"
"""Environment variable: bin/tsc of the npm package typescript."""


def test_types_hold():
    compiler = os.environ.get(TSC, "")
    if not Path(compiler).is_file() or shutil.which("node") is None:
        pytest.skip(f"needs node and the npm package typescript (set {TSC} to its bin/tsc)")
    options = "--noEmit --allowJs --checkJs --strict --target es2022 --module es2022 --moduleResolution bundler"
    command = ["node", compiler, *options.split(), "--lib", "es2023,dom,dom.iterable", *map(str, STATIC.glob("*.js"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout


def texts():
    """English texts by key, each file's apart."""
    return {path.name: json.loads(path.read_text()) for path in (TRANSLATIONS / "en").glob("*.json")}


def test_each_text_is_in_one_file():
    keys = [key for file in texts().values() for key in file]
    assert len(keys) == len(set(keys))


def test_what_scripts_and_templates_say_is_there():
    known = {key for file in texts().values() for key in file}
    for path in STATIC.glob("*.js"):
        said = re.findall(r'\btext\("([a-z_.]+)"', path.read_text())
        assert {f"js.{key}" for key in said if not key.endswith(".")} <= known, path.name
    for path in (STATIC.parent / "templates").glob("*.html"):
        said = re.findall(r"""\bt\(["']([a-z_.]+)["']""", path.read_text())
        assert {key for key in said if not key.endswith(".")} <= known, path.name  # those are put together


def test_every_event_and_state_has_words():
    known = {key for file in texts().values() for key in file}
    kinds = (*get_args(EventKind), *get_args(PlaceEventKind), "places_changed")
    states = (*get_args(StateName), "paused", "removed", "reading", "finished")
    assert {f"event.{kind}" for kind in kinds} | {f"state.{state}" for state in states} <= known


def test_a_span_of_time_says_its_day_once():
    assert _between(1.0, 62.5) == "00:01.0 – 01:02.5"
    assert _between(None, None) == "–"
    noon = 1_767_268_800.0
    assert _between(noon, noon + 5) == "2026-01-01 12:00:00.0 – 12:00:05.0 UTC"
    assert _between(noon, noon + 86_400) == "2026-01-01 12:00:00.0 UTC – 2026-01-02 12:00:00.0 UTC"
