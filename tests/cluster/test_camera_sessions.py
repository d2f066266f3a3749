"""Live cameras of one worker do not wait for one that comes."""

import threading

from streamreid.cluster.camera_sessions import LiveSession, Models
from streamreid.cluster.shared_models import SharedDetector, SharedEmbedder
from streamreid.pipeline.detectors import open_detectors
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

    def prepare(self, camera):
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
