"""The command line as a user meets it: exit codes, messages, signals, what a kill leaves behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.fixture
def cams(scene):
    """A cameras file for two generated cameras."""
    for name, people in (("left", [0, 1]), ("right", [1, 2])):
        scene.camera(name, people)
    path = scene.folder / "cams.yaml"
    path.write_text(
        "cameras:\n  - name: left\n    uri: left.mp4\n  - name: right\n    uri: right.mp4\n"
        f"detector:\n  model: mot:{scene.boxes}\nengine:\n  model: none\n"
    )
    return path


def test_run_with_yaml(call, cams, tmp_path):
    code, out, err = call("run", "--sources", cams, "--out", tmp_path / "out")
    assert code == 0, err
    assert "left" in out
    assert "80 frames" in out
    assert "ms/frame" in out
    assert (tmp_path / "out" / "mot" / "left.txt").exists()


def test_a_run_says_which_detector_it_uses_on_which_terms(call, scene, tmp_path):
    video, few = scene.camera("a", [0], frames=2), ["--set", "detector.runtime=onnxruntime", "-o", tmp_path / "out"]
    code, _, err = call("run", video, "--detector", "auto", "--engine", "none", *few)
    assert code == 0, err
    assert "detector person-nano (Apache-2.0), engine none" in err


def test_run_with_videos_and_settings(call, monkeypatch, scene, tmp_path):
    a, b = scene.camera("a", [0]), scene.camera("b", [0])
    monkeypatch.chdir(tmp_path)
    options = ["--detector", f"mot:{scene.boxes}", "--engine", "none", "--set", "tracker.confirm_frames=5"]
    code, _, err = call("run", a, b, *options)
    assert code == 0, err
    summary = json.loads((tmp_path / "runs" / "run" / "summary.json").read_text())
    assert summary["configuration"]["tracker"]["confirm_frames"] == 5
    call("run", a, b, *options)
    assert (tmp_path / "runs" / "run-2" / "summary.json").exists()


def test_a_setting_of_all_cameras(call, cams, tmp_path):
    assert call("run", "-s", cams, "-o", tmp_path / "out", "-q", "--set", "cameras.frames=12")[0] == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert {c["frames"] for c in summary["cameras"].values()} == {12}


def test_quiet_says_nothing(call, cams, tmp_path):
    assert call("run", "-s", cams, "-o", tmp_path / "out", "--quiet") == (0, "", "")


def test_results_are_not_overwritten_unasked(call, cams, tmp_path):
    out = tmp_path / "out"
    assert call("run", "-s", cams, "-o", out, "-q")[0] == 0
    before = (out / "results.jsonl").read_bytes()
    code, _, err = call("run", "-s", cams, "-o", out, "-q")
    assert code == 2
    assert "already holds results" in err
    assert (out / "results.jsonl").read_bytes() == before
    assert call("run", "-s", cams, "-o", out, "-q", "--overwrite")[0] == 0


@pytest.mark.parametrize("more", [(), ("--overwrite",)])
@pytest.mark.parametrize(
    ("name", "beside", "said"),
    [
        ("world.txt", "scene.json", "holds a scene, whose world.txt is the truth"),
        ("world.txt", "notes.txt", "holds world.txt, which no run wrote"),
        ("mot/left.txt", "notes.txt", "holds mot, which no run wrote"),
        ("videos/holiday.mp4", "notes.txt", "holds videos, which no run wrote"),
    ],
)
def test_what_no_run_wrote_is_never_written_over(call, cams, tmp_path, name, beside, said, more):
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    for path in (out / name, out / beside):
        path.write_text("mine")
    code, _, err = call("run", "-s", cams, "-o", out, "-q", *more)
    assert code == 2
    assert said in " ".join(err.split())
    assert {p.relative_to(out).as_posix(): p.read_text() for p in out.rglob("*") if p.is_file()} == {
        name: "mine",
        beside: "mine",
    }
    (out / beside).rename(out / "notes.txt")
    (out / name.partition("/")[0]).rename(out / "something-else")
    assert call("run", "-s", cams, "-o", out, "-q", *more)[0] == 0


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (("uri: right.mp4", "uri: right.mp4\n    stryde: 2"), ["cams.yaml:6", "stryde", "'stride'"]),
        (("model: none", "modell: none"), ["cams.yaml:9", "engine.modell", "'model'"]),
        (("name: right", "name: left"), ["unique", "left"]),
        (("model: none", "model: no-such-engine"), ["no-such-engine"]),
        (("uri: right.mp4", "uri: ${NO_SUCH_VARIABLE}"), ["cams.yaml:5", "NO_SUCH_VARIABLE", "export"]),
        (("cameras:", "cameras: ["), ["cams.yaml", "not valid YAML"]),
    ],
)
def test_mistakes_in_the_yaml_are_named(call, cams, tmp_path, change, parts):
    cams.write_text(cams.read_text().replace(*change))
    code, _, err = call("run", "-s", cams, "-o", tmp_path / "out")
    assert code == 2
    for part in parts:
        assert part in err.replace("\n", "")
    assert not (tmp_path / "out").exists()


def test_neither_or_both_sources(call, cams):
    assert call("run")[0] == 2
    code, _, err = call("run", "a.mp4", "-s", cams)
    assert code == 2
    assert "either" in err


def test_a_failed_camera_gives_exit_code_3_and_full_results_of_the_others(call, cams, tmp_path):
    (cams.parent / "right.mp4").write_bytes(b"")
    code, out, _ = call("run", "-s", cams, "-o", tmp_path / "out")
    assert code == 3
    assert "right" in out
    assert "failed" in out
    assert len((tmp_path / "out" / "mot" / "left.txt").read_text().splitlines()) > 60


def test_config_check_and_schema(call, cams):
    code, out, _ = call("config", "check", cams)
    assert code == 0
    assert "2 cameras" in out
    code, out, _ = call("config", "schema")
    assert code == 0
    assert json.loads(out)["properties"]["cameras"]
    assert json.loads(out)["$defs"]["CameraConfig"]["required"] == ["uri"]  # a name that is left out is made
    cams.write_text("cameras: {left: x}")
    code, _, err = call("config", "check", cams)
    assert code == 2
    assert "- name" in err


def test_secrets_never_appear(call, monkeypatch, cams, tmp_path):
    monkeypatch.setenv("CAM1_PASSWORD", "hunter2secret")
    text = cams.read_text().replace(
        "uri: right.mp4",
        "uri: rtsp://admin:${CAM1_PASSWORD}@127.0.0.1:9/live?token=${CAM1_PASSWORD}\n    timeout: 1\n    reconnect: 0",
    )
    cams.write_text(
        text.replace("uri: left.mp4", "uri: left.mp4\n    live: true")
    )  # a recording beside live cameras is refused
    code, out, err = call("run", "-s", cams, "-o", tmp_path / "out", "--verbose")
    assert code == 3
    _, checked, _ = call("config", "check", cams)
    written = "".join(p.read_text(errors="replace") for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert "127.0.0.1" in out + err
    for text in (out, err, checked, written):
        assert "hunter2secret" not in text


def start(cams, out, *more):
    command = [sys.executable, "-m", "streamreid", "run", "-s", str(cams), "-o", str(out), *more]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_results(process, out, count=20):
    deadline = time.monotonic() + 60
    path = out / "mot" / "left.txt"
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists() and path.read_text().count("\n") >= count:
            return
        time.sleep(0.05)
    process.kill()
    pytest.fail(f"no results: {process.communicate()}")


@pytest.fixture
def endless(cams):
    """The same cameras, played so often that a run does not end by itself."""
    cams.write_text(
        cams.read_text()
        .replace("left.mp4", "left.mp4\n    repeat: 100000")
        .replace("right.mp4", "right.mp4\n    repeat: 100000")
    )
    return cams


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_outputs(endless, tmp_path, number):
    out = tmp_path / "out"
    process = start(endless, out)
    wait_for_results(process, out)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "interrupted" in stdout
    summary = json.loads((out / "summary.json").read_text())
    assert summary["interrupted"] is True
    last = json.loads((out / "results.jsonl").read_text().splitlines()[-1])
    assert last["type"] == "end"
    assert (out / "mot" / "global" / "left.txt").read_text().count("\n") == (
        out / "mot" / "left.txt"
    ).read_text().count("\n")


@pytest.mark.slow
def test_a_kill_leaves_readable_files(endless, tmp_path):
    out = tmp_path / "out"
    process = start(endless, out)
    wait_for_results(process, out, 60)
    process.kill()
    process.communicate()
    lines = (out / "results.jsonl").read_text().splitlines()
    people = [json.loads(line) for line in lines]
    assert sum(p["type"] == "person" for p in people) >= 60
    rows = [line.split(",") for line in (out / "mot" / "left.txt").read_text().splitlines()]
    assert {len(r) for r in rows} == {10}
