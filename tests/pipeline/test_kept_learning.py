"""What a run learnt of how its cameras relate is there when it goes on, with its results and with a gallery."""

import json
import logging

import numpy as np
import pytest

from streamreid import Pipeline
from streamreid.association.learnt_cameras import LearntCameras
from streamreid.association.time_relations import RELATIONS, KnownRelations
from streamreid.gallery import Gallery
from streamreid.pipeline.kept_learning import LEARNT, write_learnt
from streamreid.pipeline.run_state import RunState, read_begin
from streamreid.runs import run
from streamreid.runs.result_writer import begin_state


def ways(colours, *pairs):
    """Something learnt of pairs of cameras, such that what was read back is the same again."""
    cameras = tuple(sorted({camera for pair in pairs for camera in pair}))
    counts = np.stack([np.linspace(0, 2, RELATIONS), np.linspace(40, 0, RELATIONS)])
    return LearntCameras(colours.fingerprint, KnownRelations(cameras, dict.fromkeys(pairs, counts)))


def pairs_of(text):
    data = json.loads(text)
    return {tuple(data["cameras"][i] for i in pair["cameras"]) for pair in data["pairs"]}


def test_a_run_that_goes_on_begins_with_what_was_learnt(scene, colours, tmp_path):
    config = scene.config(scene.camera("a", [0, 1], frames=12))
    config = config.model_copy(update={"cameras": tuple(c.model_copy(update={"live": True}) for c in config.cameras)})
    folder = tmp_path / "out"
    folder.mkdir()
    begin_state(folder, RunState())
    there = ways(colours, ("a", "a"))
    write_learnt(folder, there)
    with Pipeline(config, embedder=colours, begin=read_begin(folder)) as pipeline:
        assert pipeline.site.learnt().to_json() == there.to_json()
        run(pipeline, folder)
    assert pairs_of((folder / LEARNT).read_text()) == {("a", "a")}
    assert read_begin(folder).learnt
    (folder / LEARNT).write_text("{")
    assert read_begin(folder).learnt is None


def test_a_gallery_keeps_what_runs_of_several_cameras_learnt(scene, colours, tmp_path):
    path = tmp_path / "people.db"
    config = scene.config(scene.camera("left", [0, 1], frames=12), gallery={"store": str(path)})
    with Pipeline(config, embedder=colours) as pipeline:
        list(pipeline)
    there = ways(colours, ("left", "left"), ("left", "yard"), ("shed", "yard"))
    with Gallery.open(path) as store:
        assert store.learnt_cameras() == ""
        store.set_learnt_cameras(there.to_json())
    with Pipeline(config, embedder=colours) as pipeline:
        assert pipeline.site.learnt().cameras == {"left"}
        list(pipeline)
    with Gallery.open(path) as store:
        assert pairs_of(store.learnt_cameras()) == {("left", "left"), ("left", "yard"), ("shed", "yard")}


@pytest.mark.parametrize("what", ["learnt", "means"])
def test_a_gallery_with_damaged_numbers_is_used_without_them(scene, colours, tmp_path, caplog, monkeypatch, what):
    monkeypatch.setattr(logging.getLogger("streamreid"), "propagate", True)
    path = tmp_path / "people.db"
    config = scene.config(scene.camera("left", [0, 1], frames=12), gallery={"store": str(path)})
    with Gallery.open(path) as store:
        if what == "learnt":
            store.set_learnt_cameras("nothing that can be read")
        else:
            store.set_camera_means(b"nothing that can be read")
    with Pipeline(config, embedder=colours) as pipeline:
        list(pipeline)
    assert "learnt anew" in caplog.text
    assert "people.db" in caplog.text
