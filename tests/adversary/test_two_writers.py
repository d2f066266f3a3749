"""Nothing is deleted before all is open, and nobody touches a folder that another process writes to."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from streamreid import Pipeline
from streamreid._folders import FolderLock, Replacement
from streamreid.errors import ConfigError, FolderBusy, OutputError
from streamreid.runs import run
from streamreid.runs.result_folder import ResultsFolder
from streamreid.synth.scene_folder import fresh_scene

_HOLD = """
import sys, time
from pathlib import Path
from streamreid._folders import FolderLock
sys.argv = ["streamreid", "run", "rtsp://viewer:verysecret@camera/1"]
with FolderLock(Path(FOLDER), name=NAME):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def hold():
    """Another process that holds a folder's lock."""
    running = []

    def start(folder, name=".lock"):
        code = _HOLD.replace("FOLDER", repr(str(folder))).replace("NAME", repr(name))
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()


def _contents(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


@pytest.fixture
def results(call, scene, tmp_path):
    """Results of a run, the arguments that made them, and their folder."""
    video = scene.camera("a", [0])
    options = [
        "run",
        video,
        "--detector",
        f"mot:{scene.boxes}",
        "--engine",
        "none",
        "--quiet",
        "--out",
        tmp_path / "out",
    ]
    assert call(*options)[0] == 0
    return options, tmp_path / "out"


def test_the_second_writer_is_refused_at_once_and_told_who_and_since_when(call, results, hold):
    options, out = results
    before = _contents(out)
    process = hold(out)
    for more in (["--overwrite"], []):
        code, _, err = call(*options, *more)
        assert code == 2
        if more:
            assert "another run is writing" in " ".join(err.split())
            assert f"process {process.pid}" in err
            assert "since 20" in err
            assert "streamreid run" in err
        assert "verysecret" not in err
    assert _contents(out) == before
    process.kill()  # the lock ends with the process, however that ends
    process.wait()
    assert call(*options, "--overwrite")[0] == 0


def test_a_run_of_recordings_respects_a_lock_too(scene, tmp_path, hold):
    config = scene.config(scene.camera("a", [0]))
    hold(tmp_path / "out")
    with Pipeline(config) as pipeline, pytest.raises(FolderBusy):
        run(pipeline, tmp_path / "out")


@pytest.mark.parametrize(
    "mistake", [["--engine", "no-such-engine"], ["--detector", "no-such.onnx"], ["--set", "cameras.uri=gone.mp4"]]
)
def test_what_cannot_be_opened_loses_no_results(call, results, mistake, tmp_path):
    options, out = results
    before = _contents(out)
    assert call(*options, "--overwrite", *mistake)[0] in (2, 3)
    assert _contents(out) == before
    assert not list(out.glob(".*"))


def test_a_video_that_gives_no_frame_loses_no_results(call, results, tmp_path):
    options, out = results
    before = _contents(out)
    assert call(*options, "--overwrite", "--set", "cameras.start=1000")[0] == 3
    assert _contents(out) == before


def test_overwriting_replaces_all_of_the_old_and_nothing_else(call, results):
    options, out = results
    (out / "notes.txt").write_text("mine")
    (out / "mot" / "gone.txt").write_text("")
    assert call(*options, "--overwrite", "--set", "cameras.frames=5")[0] == 0
    assert (out / "notes.txt").read_text() == "mine"
    assert not (out / "mot" / "gone.txt").exists()
    assert json.loads((out / "summary.json").read_text())["frames"] == 5
    assert not list(out.glob(".*"))


def test_a_folder_that_was_made_for_nothing_goes(call, results, tmp_path, monkeypatch):
    options, _ = results
    monkeypatch.chdir(tmp_path)
    assert call(*options[:-2], "--engine", "no-such-engine")[0] == 2
    assert not (tmp_path / "runs").exists()


def test_a_cache_is_replaced_when_there_are_frames(call, results, tmp_path):
    pytest.importorskip("pyarrow")
    options, _ = results
    cache = tmp_path / "cache"
    assert call(*options, "--overwrite", "--cache", cache)[0] == 0
    before = _contents(cache)
    assert call(*options, "--overwrite", "--cache", cache, "--engine", "no-such-engine")[0] == 2
    assert call(*options, "--overwrite", "--cache", cache, "--set", "cameras.uri=gone.mp4")[0] == 3
    assert _contents(cache) == before
    assert call(*options, "--overwrite", "--cache", cache, "--set", "cameras.frames=5")[0] == 0
    assert json.loads((cache / "manifest.json").read_text())["cameras"]["a"]["parts"] == [5]
    assert not [p for p in cache.iterdir() if p.name.startswith(".")]


def test_two_runs_never_store_one_cache(call, results, tmp_path, hold):
    pytest.importorskip("pyarrow")
    options, _ = results
    hold(tmp_path / "cache", ".cache.lock")
    code, _, err = call(*options, "--overwrite", "--cache", tmp_path / "cache")
    assert code == 2
    assert "--cache" in err


@pytest.mark.parametrize("moved", ["some", "all", "all and new"])
def test_a_process_killed_while_replacing_loses_nothing(tmp_path, moved):
    old = {"results.jsonl": "old", "summary.json": "old", "mot/a.txt": "old"}
    for name, text in old.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    if moved == "some":
        aside = tmp_path / ".replaced.moving"
        aside.mkdir()
        os.rename(tmp_path / "results.jsonl", aside / "results.jsonl")
    else:
        ResultsFolder(tmp_path, overwrite=True).begin()
        assert not (tmp_path / "results.jsonl").exists()
    if moved == "all and new":
        (tmp_path / "results.jsonl").write_text("new")
        (tmp_path / "results.parquet").write_text("new")
    with ResultsFolder(tmp_path):
        pass
    assert {name: text.decode() for name, text in _contents(tmp_path).items()} == old


def test_what_was_committed_never_comes_back(tmp_path):
    (tmp_path / "a").write_text("old")
    replacement = Replacement(tmp_path, lambda folder: [p for p in [folder / "a"] if p.exists()])
    replacement.begin()
    (tmp_path / "a").write_text("new")
    shutil.copytree(tmp_path / ".replaced", tmp_path / ".replaced.delete")
    shutil.rmtree(tmp_path / ".replaced")  # killed in the middle of commit
    Replacement(tmp_path, lambda folder: [folder / "a"]).recover()
    assert _contents(tmp_path) == {"a": b"new"}


def test_sources_are_never_replaced_by_results(call, scene, tmp_path):
    """Films are written to videos/: so is what is in there already, perhaps the very sources."""
    (tmp_path / "videos").mkdir()
    video = tmp_path / "videos" / "a.mp4"
    shutil.copy(scene.camera("a", [0]), video)
    before = video.read_bytes()
    options = ["run", video, "--detector", f"mot:{scene.boxes}", "--engine", "none", "-q", "--video", "-o", tmp_path]
    for more in ([], ["--overwrite"]):
        code, _, err = call(*options, *more)
        assert code == 2
        assert "which no run wrote" in " ".join(err.split())
    (tmp_path / "results.jsonl").write_text(
        ""
    )  # an earlier run wrote here, so that results may be replaced, but not sources
    code, _, err = call(*options, "--overwrite")
    assert code == 2
    assert "source of this run" in " ".join(err.split())
    assert video.read_bytes() == before


def test_a_batch_goes_on_beside_a_busy_folder_and_two_batches_do_not_mix(call, scene, tmp_path, hold):
    for name in ("a", "b"):
        scene.camera(name, [0])
    options = [
        "batch",
        scene.folder,
        "--out",
        tmp_path / "out",
        "--detector",
        f"mot:{scene.boxes}",
        "--engine",
        "none",
        "-q",
    ]
    process = hold(tmp_path / "out" / "a")
    assert call(*options)[0] == 3
    ended = {r["name"]: r["status"] for r in json.loads((tmp_path / "out" / "batch.json").read_text())["recordings"]}
    assert ended == {"a": "failed", "b": "done"}
    process.kill()
    process.wait()
    hold(tmp_path / "out")
    assert call(*options)[0] == 2


def test_two_scenes_are_not_made_in_one_folder(tmp_path, hold):
    hold(tmp_path / "scene")
    with pytest.raises(FolderBusy), fresh_scene(tmp_path / "scene", overwrite=True):
        pass
    with fresh_scene(tmp_path / "other", overwrite=False) as folder:
        (folder / "scene.json").write_text('{"cameras": []}')
        (folder / "cams.yaml").write_text("")
    assert not list((tmp_path / "other").glob(".*"))


def test_a_lock_that_was_removed_meanwhile_is_none(tmp_path):
    with FolderLock(tmp_path):
        with pytest.raises(FolderBusy), FolderLock(tmp_path):
            pass
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
    assert not (tmp_path / ".lock").exists()
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(OutputError), FolderLock(file):
        pass


def test_results_in_a_folder_without_a_summary_are_results(tmp_path, call, scene):
    (tmp_path / "out" / "mot" / "global").mkdir(parents=True)
    with pytest.raises(ConfigError, match="already holds results"):
        ResultsFolder.claim(tmp_path / "out", "x")
    assert Path(tmp_path / "out" / "mot").is_dir()
