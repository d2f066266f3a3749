"""Cameras that were taken out for good: nothing but numbers is kept of them, and their track ids go on."""

import itertools
import time
from types import SimpleNamespace

import numpy as np

from streamreid.cameras.statistics import CameraCount
from streamreid.config import Config, TrackerConfig
from streamreid.features.similarity import Calibration
from streamreid.pipeline.frame_processor import FrameProcessor
from streamreid.pipeline.tracking_stage import TrackingStage
from streamreid.tracking import Tracker
from streamreid.types import Detections, EmbeddedFrame, Frame, PartFeatures

IMAGE = np.zeros((120, 320, 3), np.uint8)


def look(camera, step, begin=0.0):
    """A frame, the two people in it, what they look like."""
    x = np.array([20.0, 200.0]) + step
    boxes = np.stack([x, x * 0 + 10, x + 40, x * 0 + 110], 1).astype(np.float32)
    people = Detections(boxes, np.full(2, 0.9, np.float32), np.zeros(2, np.int64))
    features = PartFeatures(np.eye(2, 16, dtype=np.float32)[:, None], np.ones((2, 1), np.float32))
    return Frame(camera, step, 1e9 + begin + step / 5, IMAGE, "pts"), people, features


class Script(FrameProcessor):
    """One camera after the other shows two people for three seconds and is taken out."""

    def __init__(self, names, **tracker):
        config = {
            "cameras": [{"name": names[0], "uri": "rtsp://127.0.0.1/1"}],
            "detector": {"model": "none"},
            "tracker": tracker,
        }
        super().__init__(Config.from_dict(config), Calibration(), ("none", "none"))
        self.names = names
        self.kept = []

    live = True
    patient = True

    def close(self):
        pass

    def _frames(self):
        for turn, name in enumerate(self.names):
            self.statistics.cameras.setdefault(name, CameraCount(live=True)).removed = False
            for step in range(16):
                yield EmbeddedFrame(*look(name, step, 4.0 * turn))
            self.statistics.cameras[name].removed = True
            self.kept.append(len(self._trackers))
            yield None


def test_of_cameras_that_are_gone_numbers_are_kept(monkeypatch):
    hours = itertools.count()
    monkeypatch.setattr(
        "streamreid.pipeline.frame_processor.time",
        SimpleNamespace(monotonic=lambda: 3600 * next(hours), perf_counter=time.perf_counter),
    )
    run = Script([*(f"cam{n}" for n in range(12)), "cam0"])
    ids = [(r.frame.camera, r.frame.time, i) for r in run for i in r.tracks.ids.tolist()]
    assert run.kept == [1] * 13
    assert set(run._trackers) == set(run._sizes) == {camera for camera, _ in run.clocks._watch._seen} == {"cam0"}
    first = {i for name, when, i in ids if name == "cam0" and when < 1e9 + 10}
    again = {i for name, when, i in ids if name == "cam0" and when > 1e9 + 10}
    assert first
    assert min(again) > max(first)
    assert run.statistics.cameras["cam3"].frames == 16
    assert len([key for key, (who, _) in run.identities.items() if key[0] == "cam5" and who]) == 2


def test_what_was_held_back_of_people_is_not_lost():
    config = TrackerConfig(delay=5.0)
    holding = TrackingStage({"a": Tracker(config)}, ordered=False)
    seen = [item for step in range(6) for item in holding.follow(*look("a", step))]
    assert not sum(len(item.tracks) for item in seen)  # all are so young that they may yet turn out to be somebody else
    waited = holding.remove("a")
    assert {item.camera for item in waited} == {"a"}
    assert sum(len(item.tracks) for item in waited) >= 2
    assert holding.due() == []
    assert holding.remove("a") == []
    holding.add("a", Tracker(config, first_id=7))
    holding.follow(*look("a", 7))


def test_a_camera_that_comes_back_soon_has_the_tracks_it_had():
    run = Script(["a", "b", "a"])
    for _ in run:
        pass
    assert set(run._trackers) == {"a", "b"}
    assert run.kept == [1, 2, 2]
