"""Tuning from the command line, on caches of generated recordings."""

import pytest
import yaml

from streamreid.errors import ConfigError, DataError
from streamreid.pipeline import Pipeline
from streamreid.replay.trials import load_recordings, score_recordings, split

pytest.importorskip("pyarrow")
pytest.importorskip("optuna")
pytest.importorskip("trackeval")


def store(scene, folder, *cameras, embedder=None, **sections):
    """A cache of generated cameras, and ground truth files beside the videos; people are reported late, so there is
    something to gain."""
    tracker = {"delay": 0, "confirm_frames": 8, **sections.pop("tracker", {})}
    videos = [scene.camera(name, people) for name, people in cameras]
    with Pipeline(scene.config(*videos, tracker=tracker, **sections), embedder=embedder, cache=folder) as pipeline:
        list(pipeline)
    for name, people in cameras:
        # the generator writes the people of a frame in the order of their lanes
        lines = (scene.boxes / f"{name}.txt").read_text().splitlines()
        rows = [line.replace(",-1,", f",{people[i % len(people)] + 1},", 1) for i, line in enumerate(lines)]
        (scene.folder / f"gt_{name}.txt").write_text("\n".join(rows) + "\n")
    return folder


def test_tune_finds_what_is_there_and_writes_settings(scene, call, tmp_path):
    cache = store(scene, tmp_path / "cache", ("left", [0, 1]))
    out = tmp_path / "tuned.yaml"
    arguments = [
        "tune",
        cache,
        "--truth",
        f"left={scene.folder / 'gt_left.txt'}",
        "--trials",
        "12",
        "--out",
        out,
        "--only",
        "tracker.confirm",
    ]
    code, text, err = call(*arguments)
    assert code == 0, err
    assert "tracker.confirm_frames" in text
    assert "validation hota+idf1" in text
    assert "warning" not in err
    settings = yaml.safe_load(out.read_text())
    assert settings["tracker"]["confirm_frames"] < 8
    header = [line for line in out.read_text().splitlines() if line.startswith("#")]
    assert "on cache (local ids)" in header[0]
    assert any("validation: " in line for line in header)
    assert call("replay", cache, "--settings", out, "--out", tmp_path / "again", "-q")[0] == 0
    first = (tmp_path / "again" / "mot" / "left.txt").read_text().splitlines()[0]
    assert int(first.split(",")[0]) < 8
    code, _, err = call(*arguments)
    assert code == 2
    assert "--overwrite" in err
    before = out.read_text()
    assert call(*arguments, "--overwrite", "-q")[0] == 0
    assert out.read_text() == before, "the same seed finds the same"


def test_a_search_without_gain_warns(scene, call, tmp_path):
    cache = store(scene, tmp_path / "cache", ("left", [0, 1]), tracker={"confirm_frames": 1, "confirm_seconds": 0.0})
    out = tmp_path / "tuned.yaml"
    code, _, err = call(
        "tune",
        cache,
        "-t",
        f"left={scene.folder / 'gt_left.txt'}",
        "--trials",
        "4",
        "-o",
        out,
        "--only",
        "tracker.confirm_frames",
    )
    assert code == 0
    assert "warning" in err
    assert "not better than the present settings in validation" in out.read_text()


def test_several_caches_and_global_ids(scene, colours, call, tmp_path):
    one = store(scene, tmp_path / "one", ("left", [0, 1]), ("right", [1, 0]), embedder=colours)
    two = store(scene, tmp_path / "two", ("left", [2, 1]), embedder=colours)
    truth = [
        *("-t", f"one/left={scene.folder / 'gt_left.txt'}", "-t", f"right={scene.folder / 'gt_right.txt'}"),
        *("-t", f"two/left={scene.folder / 'gt_left.txt'}"),
    ]
    # boxes on disk are those of the second run now; a cache that cannot be compared is taken as it is
    for path in scene.boxes.glob("*.txt"):
        path.unlink()
    scene.boxes.rmdir()
    out = tmp_path / "tuned.yaml"
    code, text, err = call("tune", one, two, *truth, "--hold-out", two, "--trials", "3", "-o", out)
    assert code == 0, err
    assert "association.probability" in text
    assert "(global ids)" in out.read_text()
    assert set(yaml.safe_load(out.read_text())) == {"tracker", "association"}


def test_halves_do_not_overlap_and_scores_are_of_their_frames(scene, tmp_path):
    cache = store(scene, tmp_path / "cache", ("left", [0, 1]), tracker={"confirm_frames": 1, "confirm_seconds": 0.0})
    (whole,) = load_recordings([cache], [f"left={scene.folder / 'gt_left.txt'}"])
    (first,), (second,) = split([whole], [])
    assert first.scored["left"] == list(range(1, 21))
    assert second.scored["left"] == list(range(21, 41))
    assert len(first.truth["left"]) == len(second.truth["left"]) == 40
    scores = score_recordings([first], {}, "local")
    assert (scores.steps, scores.truth_boxes, scores.fn) == (20, 40, 0)
    assert scores.idf1 == pytest.approx(1.0)
    # reported from the 6th observation on: 5 frames of 2 people are missed
    assert score_recordings([second], {"tracker.confirm_frames": 6}, "local").fn == 10


def test_frames_with_nobody_count_and_frames_that_were_not_used_do_not(scene, tmp_path):
    video = scene.camera("left", [0], frames=30, hole=range(10, 20))
    text = (scene.boxes / "left.txt").read_text()
    truth = tmp_path / "gt.txt"
    truth.write_text(text.replace(",-1,", ",1,"))
    config = scene.config(video)
    thinned = config.model_copy(update={"cameras": (config.cameras[0].model_copy(update={"stride": 2}),)})
    with Pipeline(thinned, cache=tmp_path / "cache") as pipeline:
        list(pipeline)
    (whole,) = load_recordings([tmp_path / "cache"], [f"left={truth}"])
    assert whole.scored["left"] == list(range(1, 31, 2)), "empty frames of the hole are scored"
    assert whole.truth["left"].frames.tolist() == [*range(1, 11, 2), *range(21, 31, 2)]


@pytest.mark.parametrize(
    ("truth", "error", "message"),
    [
        (["gt.txt"], ConfigError, "write CAMERA=FILE"),
        (["middle=gt.txt"], ConfigError, "'middle' fits 0 cameras of cache/left"),
        (["left=nowhere.txt"], DataError, "does not exist"),
        ([], DataError, "has no ground truth"),
    ],
)
def test_wrong_truth(scene, tmp_path, truth, error, message):
    cache = store(scene, tmp_path / "cache", ("left", [0]))
    with pytest.raises(error, match=message):
        load_recordings([cache], truth)


def test_wrong_options(scene, call, tmp_path):
    cache = store(scene, tmp_path / "cache", ("left", [0]))
    base = ["tune", cache, "-t", f"left={scene.folder / 'gt_left.txt'}", "-o", tmp_path / "t.yaml"]
    for options, message in (
        (["--objective", "speed"], "--objective 'speed'"),
        (["--ids", "some"], "--ids 'some'"),
        (["--only", "tracker.colour"], "no such setting"),
        (["--hold-out", cache], "no cache is left to train on"),
        (["--hold-out", tmp_path / "other"], "'other' is not one of the caches"),
    ):
        code, _, err = call(*base, *options)
        assert code == 2
        assert message in err
    assert not (tmp_path / "t.yaml").exists()
