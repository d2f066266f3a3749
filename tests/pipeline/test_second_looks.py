"""Recordings that are read once more for further pictures of doubtful tracks."""

import json
import logging
import os

import numpy as np
import pytest

from streamreid import Pipeline, run
from streamreid.config import CameraConfig
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.pipeline.recordings_again import RecordingsAgain, read_once
from streamreid.pipeline.site import Site
from streamreid.replay import Replay
from streamreid.runs.doctor import examine
from streamreid.track_update import TrackUpdate
from streamreid.types import PartFeatures

FIRST = {0, 1, 3, 7, 15, 31}
"""Numbers of the frames in which a run embeds somebody who walks through a picture at ten frames per second."""


class DoubtfulEmbedder:
    """Colours, but in the frames that a run embeds half of what it says is what everybody looks like in that camera."""

    name, parts, dim, fingerprint = "doubtful", ("whole",), 5, "doubtful"

    def __init__(self, colours):
        self.calibration = colours.calibration
        self.seen, self.share, self.later = [], 0.724, 1.0
        self._colours = colours
        self.again = lambda: None

    def __call__(self, frames, detections):
        result = []
        for frame, found, plain in zip(frames, detections, self._colours(frames, detections), strict=True):
            parts = np.zeros((len(found), 1, 5), np.float32)
            share = self.share if frame.index in FIRST else self.later
            parts[:, :, :3] = plain.parts * share
            parts[:, :, 3 if frame.camera == "left" else 4] = np.sqrt(1 - share**2)
            result.append(PartFeatures(parts, plain.visibility))
            if len(found) and frame.index not in FIRST:
                self.again()
                self.seen += [(frame.camera, frame.index)] * len(found)
        return result


@pytest.fixture
def engine(colours):
    return DoubtfulEmbedder(colours)


@pytest.fixture
def recording(scene):
    """One person in two cameras."""
    videos = scene.camera("left", [0]), scene.camera("right", [0])

    def config(share, **sections):
        return scene.config(*videos, association={"second_looks": share, **sections.pop("association", {})}, **sections)

    return config


def people(pipeline):
    return len({gid for gid, _ in pipeline.identities.values()})


def followed(config, engine):
    with Pipeline(config, embedder=engine) as pipeline:
        list(pipeline)
    return pipeline


def test_further_pictures_settle_a_doubt_and_the_results_say_so(recording, engine, tmp_path, caplog):
    assert people(followed(recording(0), engine)) == 2
    assert engine.seen == []
    caplog.set_level(logging.INFO)
    with Pipeline(recording(1), embedder=engine) as pipeline:
        summary = run(pipeline, tmp_path / "out")
    assert people(pipeline) == 1
    looks = json.loads((tmp_path / "out" / "summary.json").read_text())["second_looks"]
    assert looks == {"embedded": 8, "pairs": 1, "settled": 1, "crops": 8, "changed": 1, "why_not": ""}
    assert summary.second_looks.sentence() in caplog.text
    assert len(engine.seen) == 8
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    changed = [line for line in lines if line.get("reasons", {}).get("second_looks")]
    assert [(line["kind"], line["global_id"], line["other_id"]) for line in changed] == [
        ("link", 1, 2),
        ("merge", 1, 2),
    ]
    final = [line["members"] for line in lines if line["type"] == "identity"]
    assert final == [[["left", 1], ["right", 1]]]


@pytest.mark.parametrize("delay", [0.0, 1.0])
def test_people_are_cut_out_where_the_detector_saw_them(recording, engine, scene, delay):
    boxes = {}
    embed = RecordingsAgain._described

    def described(self, frames, pictures):
        boxes.update({(p.camera, round(p.time * 10)): p.box for people in pictures for p in people})
        return embed(self, frames, pictures)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecordingsAgain, "_described", described)
        followed(recording(1, tracker={"delay": delay}), engine)
    assert len(boxes) == 8
    for (_, index), box in boxes.items():
        assert box == (10 + 2 * index, 30, 42 + 2 * index, 120)


@pytest.mark.parametrize(("share", "crops"), [(0.1, 0), (0.125, 1), (0.4, 3), (0.6, 4), (10, 8)])
def test_no_more_crops_than_the_budget_are_embedded(recording, engine, share, crops):
    pipeline = followed(recording(share), engine)
    assert len(engine.seen) == pipeline.statistics.second_looks.crops == crops


def test_results_are_the_same_twice_and_however_frames_are_batched(recording, engine, tmp_path):
    found = []
    for batch in (8, 8, 1):
        with Pipeline(
            recording(0.6, detector={"model": recording(0).detector.model, "batch": batch}), embedder=engine
        ) as p:
            run(p, tmp_path / str(len(found)))
        found.append((tmp_path / str(len(found)) / "results.jsonl").read_bytes().split(b"\n")[1:])
    assert found[0] == found[1] == found[2]


def test_recordings_that_cannot_be_read_again_are_left_as_they_are(recording, engine, caplog):
    config = recording(1)
    with Pipeline(config, embedder=engine) as pipeline:
        for number, _ in enumerate(pipeline):
            if number == 5:
                for camera in config.cameras:
                    os.unlink(camera.uri)
    assert people(pipeline) == 2
    assert engine.seen == []
    said = [r.getMessage() for r in caplog.records if "second looks" in r.getMessage()]
    assert len(said) == 2
    assert all("is not what it was when the run began" in line for line in said)
    assert "left" in pipeline.statistics.second_looks.why_not


def test_a_camera_that_cannot_be_read_again_does_not_keep_others_from_it(recording, engine):
    config = recording(1)
    with Pipeline(config, embedder=engine) as pipeline:
        for number, _ in enumerate(pipeline):
            if number == 5:
                os.truncate(config.cameras[0].uri, 1000)
    assert {camera for camera, _ in engine.seen} == {"right"}
    assert pipeline.statistics.second_looks.crops == 4


def test_an_engine_that_fails_leaves_everything_as_it_was(recording, engine, caplog):
    def fail():
        raise RuntimeError("out of memory")

    engine.again = fail
    pipeline = followed(recording(1), engine)
    assert people(pipeline) == 2
    assert [r.getMessage() for r in caplog.records if "RuntimeError: out of memory" in r.getMessage()]


def test_a_run_that_is_stopped_meanwhile_has_complete_results(recording, engine, tmp_path):
    with Pipeline(recording(1, engine={"model": "none", "batch": 1}), embedder=engine) as pipeline:
        engine.again = pipeline.stop
        summary = run(pipeline, tmp_path / "out")
    assert summary.interrupted
    assert summary.frames == 80
    assert len(engine.seen) == 1
    assert json.loads((tmp_path / "out" / "results.jsonl").read_text().splitlines()[-1])["type"] == "end"


def test_long_recordings_are_looked_at_in_rounds(recording, engine):
    engine.later = engine.share  # further pictures say no more than the first ones
    pipeline = followed(recording(10, association={"window": 2.0}), engine)
    times = [index for camera, index in engine.seen if camera == "left"]
    assert times == sorted(times)  # front to back over all rounds
    assert len(times) > 4  # more than one round gives
    assert max(times) > 20
    assert people(pipeline) == 2


def test_a_replay_takes_further_pictures_from_its_cache(recording, engine, tmp_path):
    pytest.importorskip("pyarrow")
    with Pipeline(recording(1), embedder=engine, cache=tmp_path / "cache") as pipeline:
        list(pipeline)
    assert people(pipeline) == 1
    with Replay(tmp_path / "cache") as replay:
        list(replay)
    assert replay.identities == pipeline.identities
    assert replay.statistics.second_looks == pipeline.statistics.second_looks
    with Replay(tmp_path / "cache", replay.config.with_settings({"association.second_looks": 0})) as plain:
        list(plain)
    assert people(plain) == 2


def test_what_can_be_read_only_once_is_known_beforehand(recording, tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    assert read_once(CameraConfig(name="a", uri=str(tmp_path / "pipe.mp4"))) == "a pipe can be read only once"
    assert "live" in read_once(CameraConfig(name="a", uri="rtsp://camera/1"))
    assert read_once(recording(1).cameras[0]) == ""
    config = recording(1)
    live = config.model_copy(update={"cameras": [c.model_copy(update={"live": True}) for c in config.cameras]})
    said = [w for camera in examine(live, seconds=0.2).cameras for w in camera.warnings]
    assert "no second looks (association.second_looks): some cameras are live" in said


@pytest.mark.parametrize(("live", "why"), [(True, "cameras are live"), (False, "no recording is at hand")])
def test_a_site_without_recordings_says_so_once(recording, colours, caplog, live, why):
    site = Site(recording(1), EngineDescription.of(colours), live=live)
    site.process(TrackUpdate(last=True))
    assert why in site.statistics.second_looks.why_not
    assert len([r for r in caplog.records if why in r.getMessage()]) == 1
    assert Site(recording(0), EngineDescription.of(colours), live=live).statistics.second_looks is None
