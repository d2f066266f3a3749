"""The examples of how to run as a service are accepted by those who run services, and call commands that exist."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from streamreid.cli import app

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


def options(words):
    """Parse a command line of streamreid without running it."""
    group = get_command(app)
    command = group.get_command(None, words[0])
    assert command is not None, words[0]
    with command.make_context(words[0], list(words[1:]), resilient_parsing=True) as context:
        return context.params


def test_the_unit_is_valid_and_calls_what_exists(tmp_path):
    text = (CONFIGS / "streamreid.service").read_text()
    lines = [line.partition("=")[2] for line in text.splitlines() if line.startswith("ExecStart=")]
    (started,) = [shlex.split(line) for line in lines]
    found = options(started[1:])
    assert (found["rotate"], found["keep"]) == ("1d", 30)
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "streamreid.service"
    unit.write_text(text.replace("/opt/streamreid/bin/streamreid", sys.executable))
    checked = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("name", ["head", "worker"])
def test_the_units_of_a_cluster_are_valid_and_call_what_exists(tmp_path, name):
    start = pytest.importorskip("ray.scripts.scripts").start
    text = (CONFIGS / f"streamreid-ray-{name}.service").read_text()
    (line,) = [line.partition("=")[2] for line in text.splitlines() if line.startswith("ExecStart=")]
    words = shlex.split(line)
    assert words[:2] == ["/opt/streamreid/bin/ray", "start"]
    with start.make_context("start", words[2:], resilient_parsing=True) as context:
        found = context.params
    assert found["block"]
    assert (found["port"], found["num_cpus"]) == ((6379, 0) if name == "head" else (None, None))
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / f"streamreid-ray-{name}.service"
    unit.write_text(text.replace("/opt/streamreid/bin/ray", sys.executable))
    checked = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_container_calls_what_exists():
    text = (CONFIGS / "Containerfile").read_text()
    (command,) = [yaml.safe_load(line.removeprefix("CMD ")) for line in text.splitlines() if line.startswith("CMD ")]
    found = options(command)
    assert found["listen"] == "0.0.0.0:8080"
    assert str(found["out"]) == "/data/results"


def test_what_the_examples_install_is_a_checkout():
    """No package index has streamreid: a name would install nothing, or somebody else's package."""
    for file in CONFIGS.iterdir():
        installed = [line for line in file.read_text().splitlines() if "pip install" in line]
        assert all("'.[" in line or "/src[" in line for line in installed), installed
