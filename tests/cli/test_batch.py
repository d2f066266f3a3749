"""Many recordings: resumable, and a broken one does not stop the others."""

import json

import pytest

from streamreid.errors import ConfigError
from streamreid.runs.batch import find_recordings


@pytest.fixture
def videos(scene):
    """Two independent videos and one recording of two cameras."""
    scene.camera("one", [0])
    scene.camera("two", [1, 2])
    (scene.folder / "mall").mkdir()
    for name in ("east", "west"):
        scene.camera(name, [0, 1]).rename(scene.folder / "mall" / f"{name}.mp4")
    return scene


def options(scene, out):
    return [scene.folder, "--out", out, "--detector", f"mot:{scene.boxes}", "--engine", "none"]


def test_a_folder_of_recordings(call, videos, tmp_path):
    out = tmp_path / "results"
    code, text, err = call("batch", *options(videos, out))
    assert code == 0, err
    assert "3 recordings: 3 done" in text
    assert json.loads((out / "mall" / "summary.json").read_text())["cameras"].keys() == {"east", "west"}
    assert {r["name"]: r["status"] for r in json.loads((out / "batch.json").read_text())["recordings"]} == {
        "one": "done",
        "two": "done",
        "mall": "done",
    }


def test_what_is_finished_is_not_done_again(call, videos, tmp_path):
    out = tmp_path / "results"
    call("batch", *options(videos, out))
    before = (out / "one" / "results.jsonl").stat().st_mtime_ns
    code, text, _ = call("batch", *options(videos, out))
    assert code == 0
    assert "3 skipped" in text
    assert (out / "one" / "results.jsonl").stat().st_mtime_ns == before
    (out / "two" / "done.json").unlink()
    assert "1 done, 2 skipped" in call("batch", *options(videos, out))[1]
    changed = call("batch", *options(videos, out), "--set", "tracker.confirm_frames=4")[1]
    assert "3 done" in changed


def test_a_broken_video_does_not_stop_the_others(call, videos, tmp_path):
    (videos.folder / "one.mp4").write_bytes(b"")
    out = tmp_path / "results"
    code, text, _ = call("batch", *options(videos, out))
    assert code == 3
    assert "2 done, 1 failed" in text
    assert any(
        line.startswith("one: ") and "one.mp4" in line for line in text.splitlines()
    )  # below the table, never cut
    results = {r["name"]: r for r in json.loads((out / "batch.json").read_text())["recordings"]}
    assert results["one"]["status"] == "failed"
    assert "one.mp4" in results["one"]["reason"]
    assert results["two"]["frames"] == 40


def test_settings_file(call, videos, tmp_path):
    settings = tmp_path / "settings.yaml"
    settings.write_text("tracker:\n  confirm_frames: 7\n")
    assert call("batch", *options(videos, tmp_path / "r"), "--settings", settings)[0] == 0
    assert (
        json.loads((tmp_path / "r" / "one" / "summary.json").read_text())["configuration"]["tracker"]["confirm_frames"]
        == 7
    )
    settings.write_text("tracker:\n  confirm_framez: 7\n")
    code, _, err = call("batch", *options(videos, tmp_path / "r"), "--settings", settings)
    assert code == 2
    assert "settings.yaml:2" in err.replace("\n", "")


def test_settings_of_cameras_belong_into_their_file(call, videos, tmp_path):
    code, _, err = call("batch", *options(videos, tmp_path / "r"), "--set", "cameras.frames=3")
    assert code == 2
    assert "cams.yaml" in err.replace("\n", "")


def test_what_counts_as_a_recording(videos):
    folder = videos.folder
    assert [(r.name, [c.name for c in r.cameras]) for r in find_recordings([folder])] == [
        ("one", ["one"]),
        ("two", ["two"]),
        ("mall", ["east", "west"]),
    ]
    assert [r.name for r in find_recordings([folder], independent=True)] == ["one", "two", "mall-east", "mall-west"]
    together = find_recordings([folder / "one.mp4", folder / "two.mp4"], together=True)
    assert [[c.name for c in r.cameras] for r in together] == [["one", "two"]]
    (folder / "mall" / "cams.yaml").write_text(
        "cameras:\n  - {name: gate, uri: east.mp4, offset: 3}\nengine: {model: none}\n"
    )
    mall = find_recordings([folder])[-1]
    assert [(c.name, c.offset) for c in mall.cameras] == [("gate", 3.0)]
    assert mall.settings == {"engine": {"model": "none"}}


def test_nothing_to_do_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"no video in .*known endings"):
        find_recordings([tmp_path])
    with pytest.raises(ConfigError, match="does not exist"):
        find_recordings([tmp_path / "nowhere"])
