"""Caches on the command line: run --cache, replay, and what is refused."""

import pytest

pytest.importorskip("pyarrow")


@pytest.fixture
def cache(scene, call, tmp_path):
    videos = scene.camera("left", [0, 1]), scene.camera("right", [1, 2])
    arguments = ["--detector", f"mot:{scene.boxes}", "--engine", "none", "--cache", tmp_path / "cache"]
    code, _, err = call("run", *videos, *arguments, "--out", tmp_path / "run")
    assert code == 0, err
    return tmp_path / "cache"


def test_replay_gives_the_same_files(cache, call, tmp_path):
    code, out, err = call("replay", cache, "--out", tmp_path / "again")
    assert code == 0, err
    assert "80 frames" in out
    for name in ("results.jsonl", "mot/left.txt", "mot/global/right.txt"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


def test_replay_with_settings(cache, call, tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("tracker:\n  confirm_frames: 11\n  delay: 0\n")
    assert call("replay", cache, "-o", tmp_path / "a", "--settings", file, "-q")[0] == 0
    single = "--set", "tracker.confirm_frames=11", "--delay", "0"
    assert call("replay", cache, "-o", tmp_path / "b", *single, "-q")[0] == 0
    one, two = ((tmp_path / n / "mot" / "left.txt").read_text() for n in "ab")
    assert one == two
    assert one.splitlines()[0].startswith("11,")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "detector.confidence=0.5"], "detector.confidence: stored with 0.1, asked for 0.5"),
        (["--engine", "no-such-engine"], "no engine 'no-such-engine'"),
        (["--detector", "no-such.onnx"], "is now not on this machine"),
        (["--set", "tracker.high_scor=0.5"], "did you mean 'high_score'"),
    ],
)
def test_what_does_not_fit_is_refused(cache, call, tmp_path, options, message):
    code, _, err = call("replay", cache, "-o", tmp_path / "again", *options)
    assert code == 2
    assert message in err
    assert not (tmp_path / "again").exists()


def test_a_yaml_must_fit_the_cache(cache, scene, call, tmp_path):
    path = scene.folder / "cams.yaml"
    text = (
        "cameras:\n  - name: left\n    uri: left.mp4\n  - name: right\n    uri: right.mp4\ndetector:\n  model: "
        f"mot:{scene.boxes}\nengine:\n  model: none\n"
    )
    path.write_text(text)
    assert call("replay", cache, "-s", path, "-o", tmp_path / "again", "-q")[0] == 0
    path.write_text(text.replace("uri: left.mp4", "uri: left.mp4\n    stride: 3"))
    code, _, err = call("replay", cache, "-s", path, "-o", tmp_path / "more")
    assert code == 2
    assert "cameras.left.stride: stored with 1, asked for 3" in err


def test_no_cache(call, tmp_path):
    code, _, err = call("replay", tmp_path)
    assert code == 2
    assert "streamreid run ... --cache" in err


def test_a_cache_is_replaced_only_when_asked(cache, scene, call, tmp_path):
    arguments = [
        scene.folder / "left.mp4",
        "--detector",
        f"mot:{scene.boxes}",
        "--engine",
        "none",
        "--cache",
        cache,
        "-q",
    ]
    code, _, err = call("run", *arguments, "-o", tmp_path / "run2")
    assert code == 2
    assert "holds a cache already" in err
    assert call("run", *arguments, "-o", tmp_path / "run2", "--overwrite")[0] == 0
    code, out, _ = call("replay", cache, "-o", tmp_path / "again")
    assert code == 0
    assert "40 frames" in out
