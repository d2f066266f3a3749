"""Cameras being read, detected, embedded and tracked by a worker.

Recordings are independent of one another: each has a thread and a pipeline of its own, so that nothing that is known of
one depends on which others the worker has. Live cameras share one pipeline, whose batches cross them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from streamreid._threads import Thread
from streamreid.cameras.statistics import CameraCount, Statistics
from streamreid.cluster.camera_figures import camera_figures
from streamreid.cluster.shared_models import SharedDetector, SharedEmbedder
from streamreid.config import CameraConfig, Config
from streamreid.errors import ConfigError, SourceError, StreamReIDError
from streamreid.pipeline.camera_tracking import CameraTracking
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.pipeline.ground_plane import load_calibrations
from streamreid.pipeline.perception import Perception
from streamreid.secrets import redact
from streamreid.sources import with_kind
from streamreid.track_update import TrackedFrame, TrackUpdate

__all__ = ["LiveSession", "Models", "Put", "RecordingSession"]

log = logging.getLogger(__name__)

Put = Callable[[str, TrackUpdate], bool]
"""Hands on an update of a camera; whether the camera is still wanted."""


@dataclass(frozen=True, slots=True)
class Models:
    """What all cameras of a worker share.

    Args:
        config: Of the run.
        detector: Finds people.
        embedder: Turns them into part features.
    """

    config: Config
    detector: SharedDetector
    embedder: SharedEmbedder


class RecordingSession:
    """One recording, from its first frame to its last.

    Args:
        models: Shared with other cameras.
        camera: The recording.
        put: Takes its updates; may wait.
        ended: Called once, after the last update or when the recording cannot be read.
    """

    def __init__(self, models: Models, camera: CameraConfig, put: Put, ended: Callable[[], None]) -> None:
        self._models, self._camera, self._put, self._ended = models, camera, put, ended
        self.statistics = Statistics({camera.name: CameraCount()})
        self._perception: Perception | None = None
        self._stopped = threading.Event()
        self._thread = Thread(target=self._run, name=f"camera {camera.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Read no more, and wait until the file is closed."""
        self._stopped.set()
        perception = self._perception
        if perception is not None:
            perception.stop()
        self._thread.join()

    def figures(self) -> dict[str, object]:
        """See `camera_figures`."""
        return camera_figures(self.statistics.of(self._camera.name))

    def _run(self) -> None:
        name = self._camera.name
        try:
            self._follow(self._models.config.model_copy(update={"cameras": (with_kind(self._camera),)}))
        except Exception as error:  # whatever it is, the other cameras of this worker go on
            log.exception("camera '%s' cannot be followed", name)
            self.statistics.record_failure(name, SourceError(f"{type(error).__name__}: {error}"))
        if not self._stopped.is_set():
            self._ended()

    def _follow(self, config: Config) -> None:
        models = self._models
        perception = Perception(config, models.detector, models.embedder, statistics=self.statistics)
        self._perception = perception
        try:
            tracking = CameraTracking(
                config,
                EngineDescription.of(models.embedder),
                live=False,
                statistics=self.statistics,
                faults=perception.faults,
                calibrated=load_calibrations(config),
                best_scores=lambda: perception.best_scores,
            )
            for update in tracking.updates(perception):
                if self._stopped.is_set() or not self._put(self._camera.name, update):
                    return
        finally:
            perception.close()


class LiveSession:
    """All live cameras of a worker; they come and go.

    Args:
        models: What finds and describes people.
        put: Takes their updates, and must not wait.
    """

    def __init__(self, models: Models, put: Put) -> None:
        config = models.config.model_copy(update={"cameras": ()})
        self._put, self._detector = put, models.detector
        self.statistics = Statistics({})
        self._perception = Perception(config, models.detector, models.embedder, statistics=self.statistics, stay=True)
        self._tracking = CameraTracking(
            config,
            EngineDescription.of(models.embedder),
            live=True,
            statistics=self.statistics,
            faults=self._perception.faults,
            calibrated=load_calibrations(models.config),
            best_scores=lambda: self._perception.best_scores,
        )
        self._lock = threading.Lock()  # of the trackers
        self._thread = Thread(target=self._run, name="live cameras", daemon=True)
        self._thread.start()

    def prepare(self, name: str, *, track: int, frame: int) -> int:
        """Forget what was tracked in a camera, before it is added.

        Args:
            name: Of the camera.
            track: Least track id to give.
            frame: Least frame number to give.

        Returns:
            The first frame number; frames with lower ones may still be in work.
        """
        with self._lock:
            self._tracking.restart(name, track)
        return self._perception.cameras.number_from(name, frame)

    def add(self, camera: CameraConfig) -> None:
        """Begin to read a camera; one that cannot be opened is noted as failed, and may be added again."""
        self._detector.prepare_camera(camera.name)
        self._perception.cameras.admit(camera)

    def change(self, config: CameraConfig) -> str:
        """Read a camera with other settings, let it rest, or read it again after it failed or rested.

        Returns:
            Why it cannot be done; empty if it is done.
        """
        cameras = self._perception.cameras
        try:
            known = next((c for c in cameras.configs if c.name == config.name), None)
            if known is None:
                cameras.add(config)
            elif not config.paused and known.model_copy(update={"paused": False}) == with_kind(config):
                cameras.resume(config.name)
            else:
                cameras.change(config)
        except StreamReIDError as error:
            return redact(error)
        return ""

    def remove(self, name: str) -> None:
        """Read a camera no more, and forget what was tracked in it."""
        try:
            self._perception.cameras.remove(name)
        except ConfigError:  # it is not read
            return
        self._perception.forget(name)

    def figures(self, name: str) -> dict[str, object]:
        """See `camera_figures`."""
        return camera_figures(self.statistics.of(name))

    def close(self) -> None:
        """Stop reading all cameras. Safe to call twice."""
        self._perception.stop()
        self._perception.close()
        self._thread.join()

    def _run(self) -> None:
        try:
            for item in self._perception:
                with self._lock:
                    update = self._tracking.idle() if item is None else self._tracking.update(item)
                self._hand_on(update)
        except Exception:
            log.exception("the live cameras of this worker cannot be followed any more")
            raise

    def _hand_on(self, update: TrackUpdate) -> None:
        """Each camera has a stream of its own; frames of others may be released with an update."""
        camera = None if update.frame is None else update.frame.camera
        by_camera: dict[str, list[TrackedFrame]] = {}
        for item in update.released:
            by_camera.setdefault(item.frame.camera, []).append(item)
        if camera is not None:
            mine = tuple(by_camera.pop(camera, ()))
            self._put(
                camera,
                TrackUpdate(
                    update.frame, update.detections, update.observations, mine, update.impostors, update.blur_boxes
                ),
            )
        for other, released in by_camera.items():
            self._put(other, TrackUpdate(released=tuple(released)))
