"""``streamreid --help``: quick, and the verbs that are used most come first."""

import re
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from streamreid.cli import app

HEAVY = {"numpy", "cv2", "openvino", "onnxruntime", "torch", "pandas", "scipy", "supervision", "pydantic", "av"}


def modules_after(*words):
    """The top-level modules that one call of the command line imports."""
    code = (
        "import sys\nfrom streamreid.cli import app\n"
        "try:\n    app(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code\n"
        "print('modules:', *{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    text, _, names = done.stdout.rpartition("modules:")
    return text, set(names.split())


@pytest.mark.parametrize("option", ["--help", "-h", "--version"])
def test_it_imports_no_library_of_the_work(option):
    text, modules = modules_after(option)
    assert "streamreid" in text or "across many cameras" in text
    assert not modules & HEAVY


def test_the_verbs_used_most_come_first():
    text = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "120"}).output
    listed = re.findall(r"^│ ([a-z-]+) +[A-Z]", text[text.index("--help") :], re.MULTILINE)
    assert listed[:6] == ["run", "serve", "batch", "replay", "demo", "doctor"]
    assert listed[6:11] == ["train", "parse-labels", "export", "build-engine", "engine"]
    assert set(listed[11:]) == {
        *(
            "detector",
            "gallery",
            "search",
            "clip",
            "report",
            "view",
            "review",
            "adapt",
            "calibrate",
            "learn-topology",
            "tune",
            "evaluate",
            "events",
            "synth",
            "weights",
            "cluster",
            "config",
        ),
    }


def test_every_verb_can_be_imported_and_explains_itself():
    group = typer.main.get_command(app)
    assert {verb.name for verb in group.verbs} == set(group.list_commands(None))
    for verb in group.verbs:
        command = group.get_command(None, verb.name)
        assert command.name == verb.name
        assert command.help
        assert 20 < len(verb.summary) < 70


def test_search_is_a_verb_of_the_gallery_too():
    runner = CliRunner()
    one, two = (
        runner.invoke(app, [*words, "--help"], env={"COLUMNS": "120"}) for words in (["search"], ["gallery", "search"])
    )
    assert one.exit_code == two.exit_code == 0
    assert one.output.partition("\n\n")[2] == two.output.partition("\n\n")[2]


def test_a_run_imports_nothing_that_only_drawing_needs():
    code = "import sys, streamreid.cli.run; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"supervision", "scipy", "pandas", "matplotlib", "torch", "onnxruntime"}
