"""The commands and examples of the README and of the pages in docs/ work as written."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamreid._yaml import read_yaml
from streamreid.cli import app
from streamreid.config import Config, load_config

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language, page=README):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def commands():
    lines = [
        line.split("#")[0].strip() for page in PAGES for block in blocks("bash", page) for line in block.splitlines()
    ]
    found = [part.strip() for line in lines for part in line.split("&&") if part.strip().startswith("streamreid")]
    return list(dict.fromkeys(found))


def other_yaml():
    texts = [text for page in PAGES for text in blocks("yaml", page)[page == README :]]
    return list(dict.fromkeys(texts))


def test_the_readme_is_one_screen():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 160


def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", README.read_text(encoding="utf-8")):
        assert "://" in target or (ROOT / target).exists(), target


@pytest.mark.parametrize("command", commands())
def test_every_verb_and_option_exists(command):
    words = command.split()[1:]
    verb = [w for w in words if re.fullmatch(r"[a-z-]+", w) and not w.startswith("-")]
    for depth in (2, 1):
        done = CliRunner().invoke(app, [*verb[:depth], "--help"], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})
        if done.exit_code == 0:
            break
    assert done.exit_code == 0, done.output
    for option in (w for w in words if w.startswith("--")):
        assert option in done.output, f"{option} is not an option of {' '.join(verb[:depth])}"


def test_the_yaml_is_valid(tmp_path, monkeypatch):
    monkeypatch.setenv("CAM1_PASSWORD", "x" * 8)
    text = blocks("yaml")[0]
    path = tmp_path / "cams.yaml"
    path.write_text(text)
    config = load_config(path)
    assert [c.name for c in config.cameras] == ["entrance", "hall"]


@pytest.mark.parametrize("text", other_yaml())
def test_other_yaml_is_a_valid_part_of_a_configuration(text, tmp_path, monkeypatch):
    for name in ("CAM1_PASSWORD", "STREAMREID_TOKEN", "STREAMREID_VIEWER_TOKEN"):
        monkeypatch.setenv(name, "a0" * 16)
    path = tmp_path / "cams.yaml"
    path.write_text(text)
    part, _ = read_yaml(path)
    data = {"cameras": [{"name": n, "uri": f"{n}.mp4"} for n in ("entrance", "hall", "yard")], **part}
    config = Config.from_dict(data)
    assert part.keys() <= config.model_dump(exclude_unset=True).keys()
    if "calibration" in text:
        assert all(camera.calibration for camera in config.cameras)


def test_the_python_example_runs(scene, tmp_path, monkeypatch, capsys):
    text = blocks("python")[0]
    for name in ("entrance", "hall"):
        shutil.move(scene.camera(name, [0, 1], frames=6), tmp_path / f"{name}.mp4")
    monkeypatch.setenv("STREAMREID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("STREAMREID_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    exec(compile(text, "README.md", "exec"), {})
    assert "entrance 0.50 []" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(1200)
def test_the_first_command_on_a_fresh_machine(tmp_path):
    first = blocks("bash")[0].strip()
    probe = subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(tmp_path), "six"],
        capture_output=True,
        text=True,
    )
    if probe.returncode:
        pytest.skip("needs the package index, which cannot be reached")
    venv.create(tmp_path / "venv", with_pip=True)
    source = tmp_path / "checkout"
    built = shutil.ignore_patterns(".git", ".venv*", "*.egg-info", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, source, ignore=lambda at, names: {*built(at, names), *(["runs"] if Path(at) == ROOT else [])})
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {
        "PATH": f"{tmp_path / 'venv' / 'bin'}:{os.environ['PATH']}",
        "STREAMREID_CACHE": str(tmp_path / "cache"),
        "PIP_NO_COMPILE": "0",  # pip takes it for the value of "compile": what is not imported need not be compiled
    }
    done = subprocess.run(["bash", "-c", first], cwd=source, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert "detector person-nano (Apache-2.0)" in done.stderr
    assert "AGPL" not in done.stdout + done.stderr
    assert "seen by more than one camera" in done.stdout
    results = source / "runs" / "demo"
    for name in ("mosaic.mp4", "results.jsonl", "summary.json", "mot/cam01.txt", "mot/global/cam04.txt"):
        assert (results / name).stat().st_size > 0, name
    summary = json.loads((results / "summary.json").read_text())
    assert summary["frames"] == 400
    assert summary["shared"] >= 2
