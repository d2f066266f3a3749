"""adapt --fine-tune on the command line: from a stored run to a new engine, judged and refused."""

import json
import re

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="fine-tuning needs the train extra")
pytest.importorskip("onnx")
pytest.importorskip("pyarrow")

from streamreid.association.site_adaptation import load_adaptation
from streamreid.cli import fine_tune
from streamreid.config import Config
from streamreid.pipeline import Pipeline
from streamreid.reid.bundle import load_bundle
from streamreid.replay import site_tuning
from streamreid.replay.site_fitting import Judgement
from streamreid.replay.site_tuning import Judged
from streamreid.runs import run
from tests.support.small_engine import small_engine

PEOPLE, STAY, GAP = 30, 6, 4
BOX = 24, 48
PLACES = ((10, 20), (60, 20), (110, 20))


def tried(kept, log_loss, separation):
    none = np.zeros(0, np.float32)
    return fine_tune._Tried(kept, None, None, Judged(Judgement(log_loss, separation), None, none, none, none))


def test_a_candidate_that_is_better_in_every_figure_is_taken():
    before = tried(1.0, 0.1, 2.0).judged
    wide, better = tried(0.0, 0.2, 3.0), tried(0.5, 0.05, 2.5)
    assert fine_tune._best([wide, better], before) is better
    assert fine_tune._best([wide, tried(0.5, 0.3, 2.5)], before) is wide  # none is: the report shows the nearest


def film(folder, camera, looks, light):
    """Three people at a time stand still for six frames, then nobody is there; each camera has colours of its own."""
    rng = np.random.default_rng(len(camera))
    (folder / camera).mkdir(parents=True)
    rows = []
    for frame in range(PEOPLE // 3 * (STAY + GAP)):
        image = np.full((96, 160, 3), 90, np.uint8)
        turn, since = divmod(frame, STAY + GAP)
        for place, (x, y) in enumerate(PLACES if since < STAY else ()):
            person = 3 * turn + place
            look = looks[person] + rng.normal(size=looks[person].shape) * 45  # every look differs a little
            crop = np.kron(look, np.ones((12, 12, 1))) * light + rng.normal(size=(48, 24, 3)) * 6
            image[y : y + 48, x : x + 24] = np.clip(crop, 0, 255)
            rows.append(f"{frame + 1},-1,{x},{y},{BOX[0]},{BOX[1]},0.9,-1,-1,-1\n")
        cv2.imwrite(str(folder / camera / f"{frame:04d}.png"), image)
    (folder / "boxes").mkdir(exist_ok=True)
    (folder / "boxes" / f"{camera}.txt").write_text("".join(rows))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A cache of two cameras of thirty people, and its engine."""
    folder = tmp_path_factory.mktemp("site")
    looks = np.random.default_rng(0).integers(0, 256, (PEOPLE, 4, 2, 3))
    film(folder, "hall", looks, np.array([1.0, 1.0, 1.0]))
    film(folder, "yard", looks, np.array([0.8, 1.0, 1.15]))
    small_engine(folder / "engine")
    config = Config.from_dict(
        {
            "cameras": [{"name": c, "uri": str(folder / c), "fps": 5} for c in ("hall", "yard")],
            "detector": {"model": f"mot:{folder / 'boxes'}"},
            "engine": {"model": str(folder / "engine"), "min_height": 0, "embedding_interval": 0.2},
            "tracker": {"lost_seconds": 0.3},
        }
    )
    with Pipeline(config, cache=folder / "cache") as pipeline:
        run(pipeline, folder / "run")
    return folder


@pytest.fixture
def tuned(call, recorded, monkeypatch):
    """Fine-tune on what was recorded."""

    def run(out, *more):
        return call("adapt", recorded / "cache", "--fine-tune", "--out", out, "--steps", 4, *more)

    return run


def test_a_new_engine_that_a_run_takes(recorded, tuned, call, tmp_path, monkeypatch):
    monkeypatch.setattr(site_tuning.Judged, "better_than", lambda *_: True)  # four steps teach this engine little
    page, out = tmp_path / "page.html", tmp_path / "site"
    code, said, err = tuned(out, "--report", page)
    assert code == 0, err
    assert f"use it with: streamreid run ... --engine {out / 'engine'}" in said.replace("\n", " ")
    bundle = load_bundle(out / "engine")
    assert bundle.fingerprint != load_bundle(recorded / "engine").fingerprint
    assert bundle.manifest.description == "small, fine-tuned on a site"
    assert sorted(p.name for p in out.iterdir()) in (["engine"], ["engine", "site.npz"])
    text = page.read_text()
    assert text.count("part colours") == 2
    assert "It is better and was written" in text
    assert "<img" not in text
    cameras = [{"name": c, "uri": str(recorded / c), "fps": 5, "frames": 12} for c in ("hall", "yard")]
    sections = {"detector": {"model": f"mot:{recorded / 'boxes'}"}, "engine": {"model": str(out / "engine")}}
    if (out / "site.npz").exists():
        assert load_adaptation(out / "site.npz").engine == bundle.fingerprint
        sections["association"] = {"adaptation": str(out / "site.npz")}
    with Pipeline(Config.from_dict({"cameras": cameras, **sections})) as pipeline:
        assert sum(len(result.tracks) for result in pipeline) > 0
    code, _, err = tuned(out)
    assert code == 2
    assert "exists; pass --overwrite" in err


def test_what_is_not_better_is_not_written(recorded, tuned, tmp_path, monkeypatch):
    monkeypatch.setattr(site_tuning, "BETTER", 0.5)  # by half more
    out, figures = tmp_path / "site", tmp_path / "figures.json"
    code, said, err = tuned(out, "--report", figures)
    assert code == 0, err
    assert "nothing is written" in said
    assert not (out / "engine").exists()
    assert not (out / "tuning.pt").exists()
    found = json.loads(figures.read_text())
    assert found["taken"] is None
    assert set(found["after"]) == {"0", "0.5"}
    assert found["learnt_from"]["tracks"] < sum(found["tracks"].values())


def test_an_interrupted_training_keeps_what_it_has(recorded, tuned, tmp_path, monkeypatch):
    out = tmp_path / "site"

    judged = []

    def interrupted(*given, **also):
        if judged:
            raise KeyboardInterrupt  # after the training
        judged.append(site_tuning.judge_features(*given, **also))
        return judged[0]

    monkeypatch.setattr("streamreid.cli.fine_tune.judge_features", interrupted)
    code, _, err = tuned(out)
    assert code == 130, err
    assert not (out / "engine").exists()
    assert (out / "tuning.pt").exists()  # what was trained
    assert not list(out.glob(".draft-*"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("gone", "a folder that is gone, so nothing can be learnt from pictures"),
        ("engine", "which is not at"),
        ("other", "the caches are of engine 'small' .* is another"),
        ("file", "writes a folder"),
        ("few", "nobody was described twice"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(recorded, call, tmp_path, change, said):
    cache, more, out = recorded / "cache", [], tmp_path / "site"
    if change == "engine":
        more = ["--engine", tmp_path / "nowhere"]
    elif change == "other":
        small_engine(tmp_path / "other", seed=1)
        more = ["--engine", tmp_path / "other"]
    elif change == "file":
        out = tmp_path / "site.npz"
    elif change == "few":
        more = ["--set", "tracker.confirm_frames=50"]
    elif change == "gone":
        (recorded / "hall").rename(recorded / "moved")
    try:
        code, _, err = call("adapt", cache, "--fine-tune", "--out", out, "-q", *more)
    finally:
        if change == "gone":
            (recorded / "moved").rename(recorded / "hall")
    assert code == 2, err
    assert re.search(said, err.replace("\n", " ")), err
    assert not (out / "engine").exists()
