"""``streamreid --help``: quick, and the verbs that are used most come first."""

import re
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from streamreid.cli import app

HEAVY = {
    *("numpy", "cv2", "openvino", "onnxruntime", "torch", "pandas", "scipy", "supervision", "pydantic", "av", "yaml"),
    *("markdown_it", "pygments", "email", "ssl"),
}


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


NOT_FOR_A_PLAIN_RUN = {
    *("supervision", "scipy", "pandas", "matplotlib", "PIL", "torch", "onnx", "onnxruntime", "ray", "pyarrow"),
    *("ssl", "sqlite3", "xml.etree", "http.client", "openvino.tools.ovc", "markdown_it", "pygments"),
    *("streamreid.cluster", "streamreid.serving", "streamreid.web", "streamreid.training", "streamreid.evaluation"),
    *("streamreid.gallery.gallery", "streamreid.messages.message_sink", "streamreid.compiling.build"),
    *("streamreid.ground.tracker", "streamreid.sinks.video", "streamreid.sinks.parquet", "streamreid.replay"),
}
"""What only some runs need is imported by those."""


def test_a_plain_run_imports_nothing_that_it_does_not_need(scene, tmp_path):
    """What is imported before the first frame is waited for by everybody."""
    clip = scene.camera("left", [0, 1])
    code = (
        "import sys\nfrom streamreid.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\nprint('modules:', *sys.modules)"
    )
    words = ["run", str(clip), "--detector", f"mot:{scene.boxes}", "--out", str(tmp_path / "out"), "--quiet"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "results.jsonl").is_file()
    modules = set(done.stdout.rpartition("modules:")[2].split())
    assert {"openvino", "av", "streamreid.tracking.tracker"} <= modules  # it is a run with an engine
    assert not {name for name in NOT_FOR_A_PLAIN_RUN if name in modules}
