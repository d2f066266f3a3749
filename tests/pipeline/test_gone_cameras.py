"""Cameras that were taken out for good: nothing but numbers is kept of them, and their track ids go on."""

import itertools
from types import SimpleNamespace

import numpy as np

from streamreid.cameras.statistics import CameraCount, Statistics
from streamreid.config import Config, TrackerConfig
from streamreid.pipeline.camera_tracking import CameraTracking
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.pipeline.frame_faults import FrameFaults
from streamreid.pipeline.run import Run
from streamreid.pipeline.site import Site
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


class Script:
    """One camera after the other shows two people for three seconds and is taken out."""

    live = stay = True
    detector_name = "none"

    def __init__(self, names, statistics):
        self.names, self.statistics = names, statistics
        self.configs = []
        self.ended = []

    def stop(self):
        pass

    def close(self):
        pass

    def forget(self, camera):
        self.ended.append(camera)

    def __iter__(self):
        for turn, name in enumerate(self.names):
            self.statistics.cameras.setdefault(name, CameraCount(live=True)).removed = False
            for step in range(16):
                yield EmbeddedFrame(*look(name, step, 4.0 * turn))
            self.statistics.cameras[name].removed = True
            yield None


def script(names):
    """A run of such cameras; how many have trackers after each update is noted."""
    config = Config.from_dict(
        {"cameras": [{"name": names[0], "uri": "rtsp://127.0.0.1/1"}], "detector": {"model": "none"}}
    )
    statistics = Statistics({})
    faults, engine = FrameFaults.counted(statistics), EngineDescription()
    tracking = CameraTracking(config, engine, live=True, statistics=statistics, faults=faults)
    kept = []
    site = Site(config, engine, live=True, statistics=statistics, faults=faults)
    return Run(
        Script(names, statistics), tracking, site, observers=[lambda _: kept.append(len(tracking.trackers))]
    ), kept


def test_of_cameras_that_are_gone_numbers_are_kept(monkeypatch):
    hours = itertools.count()
    monkeypatch.setattr(
        "streamreid.pipeline.camera_tracking.time", SimpleNamespace(monotonic=lambda: 3600 * next(hours))
    )
    names = [*(f"cam{n}" for n in range(12)), "cam0"]
    run, kept = script(names)
    ids = [(r.frame.camera, r.frame.time, i) for r in run for i in r.tracks.ids.tolist()]
    assert max(kept) == 1
    assert set(run.tracking.trackers) == {"cam0"}
    assert run.perception.ended == names[:-1]
    first = {i for name, when, i in ids if name == "cam0" and when < 1e9 + 10}
    again = {i for name, when, i in ids if name == "cam0" and when > 1e9 + 10}
    assert first
    assert min(again) > max(first)
    assert run.statistics.cameras["cam3"].frames == 16
    assert len([key for key, (who, _) in run.identities.items() if key[0] == "cam5" and who]) == 2


def test_what_was_held_back_of_people_is_not_lost():
    config = TrackerConfig(delay=5.0)
    holding = TrackingStage({"a": Tracker(config)}, ordered=False)
    seen = [item for step in range(6) for item in holding.update(*look("a", step))]
    assert not sum(len(item.tracks) for item in seen)  # all are so young that they may yet turn out to be somebody else
    waited = holding.remove("a")
    assert {item.camera for item in waited} == {"a"}
    assert sum(len(item.tracks) for item in waited) >= 2
    assert holding.due() == []
    assert holding.remove("a") == []
    holding.add("a", Tracker(config, first_id=7))
    holding.update(*look("a", 7))


def test_a_camera_that_comes_back_soon_has_the_tracks_it_had():
    run, kept = script(["a", "b", "a"])
    for _ in run:
        pass
    assert set(run.tracking.trackers) == {"a", "b"}
    assert kept == [1] * 17 + [2] * 35
    assert run.perception.ended == []
