"""Runs in which the detector does not look at every frame."""

import json

import numpy as np
import pytest

from streamreid import Config, Pipeline, Replay
from streamreid.config import DetectorConfig
from streamreid.detection import open_detector
from streamreid.errors import ConfigError
from streamreid.runs import run

ADAPTIVE = {"schedule": "adaptive"}


class CountingDetector:
    """Exact boxes, and how many frames they were asked for."""

    name = fingerprint = "counting"

    def __init__(self, scene):
        self._boxes = open_detector(DetectorConfig(model=f"mot:{scene.boxes}"))
        self.frames = 0

    def __call__(self, frames):
        self.frames += len(frames)
        return self._boxes(frames)


def follow(scene, embedder, *videos, out=None, cache=None, **sections):
    sections = {"detector": ADAPTIVE, **sections}
    detector = CountingDetector(scene)
    with Pipeline(scene.config(*videos, **sections), detector=detector, embedder=embedder, cache=cache) as pipeline:
        results = run(pipeline, out) if out else list(pipeline)
    return results, pipeline, detector


def rows(results):
    return [
        (r.frame.camera, r.frame.index, r.tracks.ids.tolist(), r.global_ids.tolist(), r.tracks.boxes.tolist())
        for r in results
    ]


def groups(pipeline):
    found = {}
    for key, (gid, _) in pipeline.identities.items():
        found.setdefault(gid, set()).add(key)
    return sorted(map(sorted, found.values()))


@pytest.mark.parametrize("delay", [0, 1])
def test_the_same_tracks_and_identities_with_fewer_runs_of_the_detector(scene, colours, delay):
    videos = scene.camera("left", [0, 1, 2]), scene.camera("right", [2, 0, 3])
    every = follow(scene, colours, *videos, detector={"schedule": "every"}, tracker={"delay": delay})
    fewer = follow(scene, colours, *videos, tracker={"delay": delay})
    assert every[2].frames == 80
    assert fewer[2].frames <= 32
    assert groups(fewer[1]) == groups(every[1])
    for a, b in zip(every[0], fewer[0], strict=True):
        assert a.frame.index == b.frame.index
        assert a.tracks.ids.tolist() == b.tracks.ids.tolist()
        np.testing.assert_allclose(a.tracks.boxes, b.tracks.boxes, atol=1.5)
    detected = [r for r in fewer[0] if len(r.tracks) and (r.tracks.scores > 0).all()]
    carried = [r for r in fewer[0] if len(r.tracks) and (r.tracks.scores == 0).all()]
    assert len(detected) + len(carried) == sum(len(r.tracks) > 0 for r in fewer[0])
    assert len(carried) > len(detected)
    assert all((r.tracks.rows >= 0).all() for r in carried)


def test_what_is_seen_of_people_who_are_carried_on_counts_by_their_interpolated_score(scene, colours, tmp_path):
    video, updates = scene.camera("left", [0, 1]), []
    follow(scene, colours, video, cache=tmp_path / "cache", engine={"embedding_interval": 0})
    with Replay(tmp_path / "cache", observers=[updates.append]) as replay:
        list(replay)
    seen = [item for update in updates for item in update.observations if len(item.tracks)]
    carried = [item for item in seen if (item.tracks.scores == 0).all()]
    assert len(carried) > 10
    assert all((item.quality > 0.5).all() and item.features.visibility.any(1).all() for item in carried)


def test_it_is_the_same_whatever_else_is_read_and_however_many_frames_the_detector_takes(scene, colours):
    videos = scene.camera("left", [0, 1, 2]), scene.camera("right", [2, 0, 3], rate=7)
    one = rows(follow(scene, colours, videos[0])[0])
    both = rows(follow(scene, colours, *videos, detector={**ADAPTIVE, "batch": 3})[0])
    assert [r[:3] + r[4:] for r in both if r[0] == "left"] == [r[:3] + r[4:] for r in one]


def test_a_replay_is_the_run_that_was_stored(scene, colours, tmp_path):
    video = scene.camera("left", [0, 1, 2])
    results, pipeline, _ = follow(scene, colours, video, cache=tmp_path / "cache")
    with Replay(tmp_path / "cache") as replay:
        again = list(replay)
    assert rows(again) == rows(results)
    assert [r.tracks.scores.tolist() for r in again] == [r.tracks.scores.tolist() for r in results]
    assert replay.statistics.cameras["left"].detected == pipeline.statistics.cameras["left"].detected
    with Replay(tmp_path / "cache", replay.config.with_settings({"engine.embedding_interval": 0.3})) as other:
        assert len(list(other)) == len(results)


def test_the_summary_says_how_many_frames_were_detected(scene, colours, tmp_path):
    _, _, detector = follow(scene, colours, scene.camera("left", [0, 1]), out=tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["cameras"]["left"]["frames"] == 40
    assert summary["cameras"]["left"]["frames_detected"] == detector.frames < 16


def test_cameras_that_move_are_detected_in_every_frame(scene, colours):
    video = scene.camera("left", [0, 1])
    config = scene.config(video, detector=ADAPTIVE)
    moving = config.model_copy(update={"cameras": [c.model_copy(update={"motion": "flow"}) for c in config.cameras]})
    detector = CountingDetector(scene)
    with Pipeline(moving, detector=detector, embedder=colours) as pipeline:
        assert len(list(pipeline)) == detector.frames == 40


def test_boxes_from_files_are_read_in_every_frame(scene, colours):
    video = scene.camera("left", [0, 1])
    config = scene.config(video, detector={"model": f"mot:{scene.boxes}", **ADAPTIVE})
    with Pipeline(config, embedder=colours) as pipeline:
        list(pipeline)
    assert pipeline.statistics.cameras["left"].detected == 40


def test_where_people_are_blurred_every_frame_is_detected(scene, colours):
    _, pipeline, detector = follow(scene, colours, scene.camera("left", [0, 1]), output={"blur": "people"})
    assert detector.frames == pipeline.statistics.cameras["left"].detected == 40


def test_a_frame_on_which_the_detector_fails_is_left_out_and_the_others_are_followed(scene, colours):
    class Failing(CountingDetector):
        def __call__(self, frames):
            if any(f.index == 19 and f.size == (320, 240) for f in frames):
                raise ValueError("no")
            return super().__call__(frames)

    config = scene.config(scene.camera("left", [0, 1]), detector=ADAPTIVE)
    with Pipeline(config, detector=Failing(scene), embedder=colours) as pipeline:
        results = list(pipeline)
    assert [r.frame.index for r in results] == [i for i in range(40) if i != 19]
    assert {tuple(r.tracks.ids.tolist()) for r in results[5:]} == {(1, 2)}


def test_a_schedule_that_does_not_exist_is_an_error():
    with pytest.raises(ConfigError, match=r"detector.schedule.*every.*adaptive"):
        Config.from_dict({"cameras": [{"name": "a", "uri": "a.mp4"}], "detector": {"schedule": "sometimes"}})
