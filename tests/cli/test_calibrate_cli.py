"""calibrate and learn-topology on the command line: from a stored run to a settings file that a replay takes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from streamreid import Pipeline
from streamreid.association.camera_normalisation import CameraMean
from streamreid.association.site_adaptation import SiteAdaptation
from streamreid.config import Config
from streamreid.evaluation import Table
from streamreid.evaluation.track_labels import name_tracks
from streamreid.runs import run
from tests.support.colours import ColourEmbedder

pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def recorded(new_scene, tmp_path_factory):
    """A cache, its results, and ground truth: person numbers are lanes' colours, the same in both cameras."""
    folder = tmp_path_factory.mktemp("recorded")
    scene = new_scene(tmp_path_factory.mktemp("videos") / "scene")
    config = scene.config(
        scene.camera("left", [0, 1, 2], frames=60),
        scene.camera("right", [2, 0, 3], frames=60),
        engine={"look_interval": 0.2},
    )
    with Pipeline(config, embedder=ColourEmbedder(), cache=folder / "run" / "cache") as pipeline:
        run(pipeline, folder / "run")
    for camera, people in (("left", [0, 1, 2]), ("right", [2, 0, 3])):
        rows = [line.split(",") for line in (scene.boxes / f"{camera}.txt").read_text().splitlines()]
        text = "".join(f"{r[0]},{people[i % 3] + 1},{','.join(r[2:6])},1,1,1\n" for i, r in enumerate(rows))
        (folder / f"{camera}.txt").write_text(text)
    return folder


@pytest.fixture
def stored(recorded, tmp_path):
    """What was recorded, in a folder of the test's own."""
    return Path(shutil.copytree(recorded, tmp_path / "stored"))


def test_from_own_tracks_to_settings_that_a_replay_takes(stored, call):
    code, out, err = call("calibrate", stored / "run", "--out", stored / "cal.yaml", "--report", stored / "cal.html")
    assert code == 0, err
    assert "expected calibration error" in out
    link = yaml.safe_load((stored / "cal.yaml").read_text())["association"]["link"]
    assert link["source"] == "own tracks of cache"
    assert link["looks"] > 0
    assert link["learn_intercept"] is False
    page = (stored / "cal.html").read_text()
    assert "<svg" in page
    assert "http" not in page
    code, _, err = call(
        "replay", stored / "run" / "cache", "--settings", stored / "cal.yaml", "--out", stored / "again", "--offline"
    )
    assert code == 0, err
    config = json.loads((stored / "again" / "summary.json").read_text())["configuration"]
    assert config["association"]["link"]["looks"] == pytest.approx(link["looks"])
    assert config["association"]["offline"] is True


def test_with_ground_truth_and_numbers_as_json(stored, call):
    truth = [f"--truth={c}={stored / c}.txt" for c in ("left", "right")]
    code, _, err = call(
        "calibrate", stored / "run" / "cache", "-o", stored / "c.yaml", "--report", stored / "c.json", "-q", *truth
    )
    assert code == 0, err
    found = json.loads((stored / "c.json").read_text())
    assert found["labelled"] is True
    assert found["pairs"]["one_person"] >= 10
    bins = found["reliability"]["after"]
    error = sum(b["pairs"] * abs(b["said"] - b["true"]) for b in bins) / sum(b["pairs"] for b in bins)
    assert found["expected_calibration_error"]["after"] == pytest.approx(error, abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["calibrate", "{t}"], "is no cache"),
        (["calibrate", "{t}/run", "--truth", "top=x.txt"], "the cameras are left, right"),
        (["calibrate", "{t}/run", "--out", "{t}/left.txt"], "exists; pass --overwrite"),
        (["learn-topology", "{t}"], "neither a cache nor the results of a run"),
        (["learn-topology", "{t}/run", "--out", "{t}/left.txt"], "exists; pass --overwrite"),
    ],
)
def test_what_is_wrong_is_said(stored, call, arguments, message):
    code, _, err = call(*[a.replace("{t}", str(stored)) for a in arguments])
    assert code == 2
    assert message in " ".join(err.split())


def test_results_without_features_say_what_to_do(stored, call):
    (stored / "run" / "cache" / "manifest.json").unlink()
    code, _, err = call("calibrate", stored / "run")
    assert code == 2
    assert "run again with --cache" in " ".join(err.split())


@pytest.mark.parametrize("command", ["calibrate", "adapt"])
def test_a_cache_given_twice_does_not_count_twice(stored, call, command):
    code, _, err = call(command, stored / "run", stored / "run" / "cache", "--out", stored / "twice")
    assert code == 2
    assert "is the same cache as" in err
    assert not (stored / "twice").exists()


@pytest.mark.parametrize("source", ["run", "run/cache"])
def test_the_camera_graph_is_learnt_and_used(stored, call, source):
    code, out, err = call("learn-topology", stored / source, "--out", stored / "t.yaml", "--people", 2)
    assert code == 0, err
    assert "same floor" in out
    topology = yaml.safe_load((stored / "t.yaml").read_text())["topology"]
    assert topology["overlap"] == [["left", "right"]]
    code, _, err = call("replay", stored / "run" / "cache", "--settings", stored / "t.yaml", "--out", stored / "again")
    assert code == 0, err
    config = Config.from_dict(json.loads((stored / "again" / "summary.json").read_text())["configuration"])
    assert config.topology is not None
    assert config.topology.overlap == (("left", "right"),)


def test_tracks_of_several_people_have_no_name():
    def boxes(ids, lefts):
        return Table.build(np.arange(1, len(ids) + 1), ids, [[left, 0, 10, 20] for left in lefts], where="a")

    truth = boxes([7] * 10, [0] * 10)
    assert name_tracks(boxes([1] * 10, [1] * 10), truth) == {1: 7}
    assert name_tracks(boxes([1] * 10, [50] * 10), truth) == {}
    assert name_tracks(boxes([1] * 2, [0] * 2), truth) == {}
    mixed = boxes([7] * 5 + [8] * 5, [0] * 10)
    assert name_tracks(boxes([1] * 10, [0] * 10), mixed) == {}


def test_features_are_not_adapted_by_too_little_or_to_another_site(stored, call):
    code, _, err = call("adapt", stored / "run", "--out", stored / "site.npz")
    assert code == 2
    assert "tracks by camera: left 3, right 3" in " ".join(err.split())
    assert not (stored / "site.npz").exists()
    means = {c: CameraMean(np.zeros((1, 3), np.float32), np.zeros(1, np.float32)) for c in ("door", "yard")}
    fingerprint = json.loads((stored / "run" / "cache" / "manifest.json").read_text())["engine"]["fingerprint"]
    for engine, message in ((fingerprint, "is of another site"), ("other", "features of another engine")):
        SiteAdaptation(engine, means, np.eye(3, dtype=np.float32)[None]).save(stored / "site.npz")
        code, _, err = call(
            "replay", stored / "run" / "cache", "-o", stored / "x", "--set", f"association.adaptation={stored}/site.npz"
        )
        assert code == 2
        assert message in " ".join(err.split())


def test_an_adapted_site_links_by_adapted_features(stored, call):
    """One that takes away what tells people apart leaves nobody linked."""
    (stored / "cams").mkdir()
    means = {c: CameraMean(np.zeros((1, 3), np.float32), np.zeros(1, np.float32)) for c in ("left", "right")}
    manifest = json.loads((stored / "run" / "cache" / "manifest.json").read_text())
    assert manifest["engine"]["dim"] == 3
    people = {}
    for name, offset in (("as_it_is", 0.0), ("nobody", -5.0)):
        made = SiteAdaptation(manifest["engine"]["fingerprint"], means, np.eye(3, dtype=np.float32)[None], 1.0, offset)
        made.save(stored / "cams" / f"{name}.npz")
        settings = stored / "cams" / f"{name}.yaml"  # the file lies beside the settings
        settings.write_text(f"association: {{adaptation: {name}.npz}}")
        out = stored / name
        code, _, err = call("replay", stored / "run" / "cache", "-o", out, "--settings", settings)
        assert code == 0, err
        people[name] = json.loads((out / "summary.json").read_text())["identities"]
    assert people["nobody"] > people["as_it_is"]
