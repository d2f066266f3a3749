"""Live cameras of one worker do not wait for one that comes."""

import threading

import pytest

from streamreid.cluster.camera_sessions import LiveSession, Models
from streamreid.cluster.leases import SiteLeases
from streamreid.cluster.shared_models import SharedDetector, SharedEmbedder
from streamreid.cluster.site_service import SiteService
from streamreid.cluster.worker import PerceptionWorker
from streamreid.pipeline.detectors import open_detectors
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.reid import open_embedder


class Preparing:
    """A detector that is not ready for a second camera before the first one has had more results.

    Args:
        inner: Finds people.
        waits: For what it waits.
    """

    def __init__(self, inner, waits):
        self.inner, self.waits = inner, waits
        self.name, self.fingerprint = inner.name, inner.fingerprint
        self.in_time = {}

    def prepare_camera(self, camera):
        self.in_time[camera] = camera == "a" or self.waits.wait(30)

    def __call__(self, frames):
        return self.inner(frames)


def test_a_camera_that_comes_does_not_stop_the_others(scene):
    config = scene.config(*(scene.camera(name, [0], frames=200) for name in "ab"))
    cameras = [camera.model_copy(update={"live": True, "repeat": 100}) for camera in config.cameras]
    more, second = threading.Event(), threading.Event()
    count = {"a": 0, "b": 0}

    def put(camera, update):
        count[camera] += 1
        if camera == "a" and beginning.is_set() and count["a"] > at + 5:
            more.set()
        if camera == "b":
            second.set()
        return True

    beginning, at = threading.Event(), 0
    lock = threading.Lock()
    detector = Preparing(open_detectors(config), more)
    models = Models(config, SharedDetector(detector, lock), SharedEmbedder(open_embedder(config.engine), lock))
    session = LiveSession(models, put)
    try:
        session.add(cameras[0])
        at = count["a"]
        beginning.set()
        session.add(cameras[1])
        assert second.wait(30)
        assert detector.in_time == {"a": True, "b": True}
    finally:
        session.close()


class Graph:
    """A detector as graphs are: ``prepare`` makes pictures of frames."""

    def __init__(self, inner):
        self.inner = inner
        self.name, self.fingerprint = inner.name, inner.fingerprint

    def prepare(self, frames):
        return [frame.size for frame in frames]

    def __call__(self, frames):
        self.prepare(frames)
        return self.inner(frames)


def live_site(scene, colours, *, leases):
    """A site and a worker in this process, over a live camera that begins again and again."""
    config = scene.config(scene.camera("gate", [0], frames=60, rate=20), engine={"model": "none"})
    camera = config.cameras[0].model_copy(update={"live": True, "repeat": 100})
    config = config.model_copy(update={"cameras": (camera,)})
    service = SiteService(config, EngineDescription.of(colours))
    detector = Graph(open_detectors(config))
    return service, PerceptionWorker(config, "w", leases, service.receive, detector=detector, embedder=colours)


@pytest.mark.parametrize("failures", [0, 2])
def test_a_camera_that_could_not_be_opened_is_told_of_and_tried_again(scene, colours, monkeypatch, failures):
    """Also with a detector that has a graph: whatever else it calls ``prepare`` has nothing to do with cameras."""
    add, left, reasons = LiveSession.add, [failures], set()

    def fail_at_first(self, camera):
        if left[0]:
            left[0] -= 1
            raise ZeroDivisionError("nobody expected this")
        add(self, camera)

    monkeypatch.setattr(LiveSession, "add", fail_at_first)
    service, worker = live_site(scene, colours, leases=SiteLeases(seconds=1.0))
    late, done = threading.Timer(40, service.stop), threading.Event()

    def watch():
        while not done.wait(0.05):
            reasons.add(worker.status().cameras["gate"]["reason"])

    watching = threading.Thread(target=watch)
    try:
        worker.add("gate")
        late.start()
        watching.start()
        seen = 0
        for _ in service.run:
            seen += 1
            if seen > 10:
                service.stop()
        assert seen > 10
    finally:
        done.set()
        late.cancel()
        watching.join()
        worker.close()
        service.close()
    assert left == [0]
    assert any("nobody expected this" in reason for reason in reasons) == bool(failures)
