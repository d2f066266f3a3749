"""The cameras' half of a run: frames are read, people detected and embedded. What comes out needs no camera and no
engine any more."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamreid.cache.store import CacheWriter
from streamreid.cameras.camera_motion import CameraMotionEstimators
from streamreid.cameras.detection_scheduler import LOOKAHEAD, DetectionScheduler
from streamreid.cameras.embedding_scheduler import EmbeddingScheduler
from streamreid.cameras.region_of_interest import inside
from streamreid.cameras.registry import Cameras
from streamreid.cameras.statistics import Statistics
from streamreid.config import CameraConfig, Config
from streamreid.detection import Detector
from streamreid.errors import EngineError, OutputError, StreamReIDError
from streamreid.pipeline.frame_faults import FrameFaults
from streamreid.pipeline.recordings_again import RecordingsAgain
from streamreid.pipeline.warm_up import warm_up
from streamreid.reid import Embedder
from streamreid.secrets import redact
from streamreid.types import BoolArray, Detections, EmbeddedFrame, FloatArray, Frame, PartFeatures

__all__ = ["EmbeddedFrames", "Perception"]

log = logging.getLogger(__name__)


class EmbeddedFrames(Protocol):
    """Where the embedded frames of a run come from: cameras (:class:`Perception`) or a cache
    (:class:`streamreid.replay.CachedFrames`)."""

    @property
    def detector_name(self) -> str:
        """Of the detector that found the people."""

    @property
    def configs(self) -> Sequence[CameraConfig]:
        """The cameras as they are now."""

    @property
    def live(self) -> bool:
        """Whether any camera is live, so that only its newest frame counts and no picture can be had again."""

    @property
    def stay(self) -> bool:
        """Whether a run without any camera goes on, because some may come."""

    def __iter__(self) -> Iterator[EmbeddedFrame | None]:
        """The frames in the order in which they are to be tracked; None where live cameras gave nothing for a while."""

    def forget(self, camera: str) -> None:
        """A camera was taken out for good."""

    def stop(self) -> None:
        """End the iteration after the frames in work; for signal handlers and other threads."""

    def close(self) -> None:
        """Release what is open. Safe to call twice."""


class Perception:
    """Reads all cameras, detects and embeds people: in batches across live cameras, camera by camera in recordings.
    Iterate once.

    Args:
        config: Cameras and settings.
        detector: Finds people.
        embedder: Turns them into part features.
        statistics: Where frames are counted and stages timed.
        numbers: First frame number by camera, where an earlier run is continued.
        stay: Go on without any camera, because cameras may be added to ``cameras``.
        cache: Stores the frames, for a replay. All people are then embedded; closed with this.

    Attributes:
        cameras: The cameras being read; they may come, go and change.
        faults: Keeps what no code expected to the camera it came from.
    """

    def __init__(
        self,
        config: Config,
        detector: Detector,
        embedder: Embedder,
        *,
        statistics: Statistics,
        numbers: dict[str, int] | None = None,
        stay: bool = False,
        cache: CacheWriter | None = None,
    ) -> None:
        self.detector, self.embedder = detector, embedder
        self._largest_batch = config.detector.batch
        self._embedded_at_once = config.engine.batch
        self._statistics = statistics
        self._scheduler = EmbeddingScheduler(config)
        self._detections = None if stay else DetectionScheduler.of(config)
        self._cache = cache
        self._stopped = False
        self.cameras = Cameras(
            config.cameras,
            statistics,
            batch=config.detector.batch if self._detections is None else LOOKAHEAD,
            live=config.live,
            numbers=numbers,
            stay=stay,
            window=config.association.window,
        )
        self.faults = FrameFaults(
            lambda frame, reason: self.cameras.drop([frame], reason), self.cameras.fail, live=lambda: self.live
        )
        self._motion = CameraMotionEstimators(self.cameras.motion)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._pool.submit(int).result()  # its thread, while there are threads

    def __repr__(self) -> str:
        return f"Perception(cameras={len(self.cameras.configs)}, models=({self.detector.name}, {self.embedder.name}))"

    @property
    def detector_name(self) -> str:
        """Name of the detector, as results state it."""
        return self.detector.name

    @property
    def configs(self) -> Sequence[CameraConfig]:
        """The cameras as they are now: some may have come, gone or changed."""
        return self.cameras.configs

    @property
    def live(self) -> bool:
        """Whether any camera is live, so that only its newest frame counts."""
        return self.cameras.live

    @property
    def stay(self) -> bool:
        """Whether cameras may still be added."""
        return self.cameras.stay

    @property
    def best_scores(self) -> Mapping[str, float]:
        """The best score of a person so far, by camera, where the detector says so."""
        return getattr(self.detector, "best_scores", {})

    def forget(self, camera: str) -> None:
        """A camera was taken out for good."""
        self._scheduler.forget(camera)
        if self._detections is not None:
            self._detections.forget(camera)
        self._motion.forget(camera)

    def again(self) -> RecordingsAgain:
        """The recordings once more, for further pictures of people in them; until this is stopped."""

        def embed(frames: Sequence[Frame], people: Sequence[Detections]) -> list[PartFeatures]:
            return self._pool.submit(self.embedder, frames, people).result()  # an engine is run by one thread

        return RecordingsAgain(self.cameras.configs, embed, stopped=lambda: self._stopped, batch=self._embedded_at_once)

    def stop(self) -> None:
        """End the iteration after the frames in work; for signal handlers and other threads."""
        self._stopped = True
        self.cameras.stop()

    def close(self) -> None:
        """Stop reading and release threads. Safe to call twice."""
        self.cameras.close()
        self._pool.shutdown(wait=True)
        self._end_cache(complete=False)

    def __iter__(self) -> Iterator[EmbeddedFrame | None]:
        for batch in self._newest() if self.live else self._ahead():
            if not batch:
                yield None
            for item in batch:
                self._store(item)
                yield item
        self._end_cache(complete=not self._stopped)

    def _store(self, item: EmbeddedFrame) -> None:
        """Put a frame into the cache. One that cannot be written is given up; the run goes on."""
        if self._cache is None:
            return
        try:
            with self._statistics.stage("write"):
                self._cache.write(item)
        except OutputError as error:
            self._cache = None
            self._give_up_cache(error)

    def _end_cache(self, *, complete: bool) -> None:
        if self._cache is None:
            return
        try:
            self._cache.close({name: c.error for name, c in self._statistics.cameras.items()}, complete=complete)
        except OutputError as error:
            self._give_up_cache(error)

    def _give_up_cache(self, error: OutputError) -> None:
        self._statistics.outputs["cache"] = redact(error)
        log.error("output 'cache' is given up, everything else goes on: %s", redact(error))

    def _ahead(self) -> Iterator[list[EmbeddedFrame]]:
        """Recordings: detection and embedding of the next batch run while earlier ones are tracked and written."""
        waiting = _CaptureOrder()
        pending: Future[list[EmbeddedFrame]] | None = None
        batches = iter(self.cameras)
        while True:
            with self._statistics.stage("wait"):
                batch = next(batches, None)
            upcoming = self._pool.submit(self._embed_frames, batch) if batch else None
            if pending is not None:
                waiting.add(pending.result())
            # Every frame that is still to be read comes after the first one of this batch.
            yield waiting.before((batch[0].time, batch[0].camera) if batch else None)
            if upcoming is None:
                return
            pending = upcoming

    def _newest(self) -> Iterator[list[EmbeddedFrame]]:
        """The same for live cameras: frames are taken when inference is free for them, never before. Empty where
        nothing came for a while."""
        batches = iter(self.cameras)
        pending: Future[list[EmbeddedFrame]] | None = None
        warm = False
        while True:
            if pending is None:
                with self._statistics.stage("wait"):
                    batch = next(batches, None)
                if batch is None:
                    return
                if batch and not warm:
                    batch, warm = self._pool.submit(self._warm_up, batch).result(), True
                    if not batch:
                        continue
                pending = self._pool.submit(self._embed_frames, batch) if batch else None
                if pending is None:
                    yield []
                continue
            done = pending.result()
            batch = [] if self._stopped else self.cameras.poll()
            pending = self._pool.submit(self._embed_frames, batch) if batch else None
            yield done

    def _warm_up(self, frames: list[Frame]) -> list[Frame]:
        """On frames, of which those of recordings are returned: those of live cameras have become old meanwhile and are
        thrown away."""
        warm_up(self.detector, self.embedder, frames, batch=self._largest_batch)
        old = [frame for frame in frames if self._statistics.of(frame.camera).live]
        self.cameras.drop(old, "warming up")
        return [frame for frame in frames if frame not in old]

    def _embed_frames(self, frames: list[Frame]) -> list[EmbeddedFrame]:
        """Detect and embed. What cannot be done for one camera (boxes that are not in its file) ends that camera, not
        the others, and what no code expected
        of one frame passes over that frame."""
        before = None if self._detections is None else self._detections.checkpoint()
        try:
            return self._infer(frames)
        except Exception as error:
            if self._detections is not None and before is not None:
                self._detections.restore(before)
            names = sorted({f.camera for f in frames})
            if len(names) > 1:
                return [item for name in names for item in self._embed_frames([f for f in frames if f.camera == name])]
            if len(frames) > 1:
                return [item for frame in frames for item in self._embed_frames([frame])]
            if not isinstance(error, StreamReIDError) and not self.faults.passing(error):
                self._check_models(frames[0])
            self.faults.failed(frames[0], error)
            return []

    def _check_models(self, frame: Frame) -> None:
        """A frame failed: is it the frame, or do detector and engine fail on everything?

        Raises:
            EngineError: They do, so that no camera is to blame and none can go on.
        """
        grey = replace(frame, image=np.full((480, 640, 3), 114, np.uint8), extent=None)
        try:
            self.detector([grey])
            self.embedder([grey], [Detections.from_arrays([[200, 100, 300, 400]])])
        except StreamReIDError:
            return
        except Exception as error:
            raise EngineError(
                f"detector or engine fails on any picture ({type(error).__name__}: {redact(error)}); start again, "
                "on another runtime if it lasts"
            ) from error

    def _infer(self, frames: list[Frame]) -> list[EmbeddedFrame]:
        began = perf_counter()
        with self._statistics.stage("detect"):
            everybody, looked = self._find(frames)
            counted = [
                inside(d.boxes, self.cameras.roi(f.camera), f.size) for f, d in zip(frames, everybody, strict=True)
            ]
            found = [d[rows] for d, rows in zip(everybody, counted, strict=True)]
            ignored = [d[~rows] for d, rows in zip(everybody, counted, strict=True)]
        middle = perf_counter()
        with self._statistics.stage("embed"):
            embedded, rows, features = self._embed(frames, found, looked)
        end = perf_counter()
        self.cameras.turns.record_inference(len(frames), end - began)
        self.cameras.turns.record_embedding(len(frames), middle - began, sum(map(len, rows)), end - middle)
        with self._statistics.stage("detect"):
            # Here and not above: who is tried again must not be taken for the next frame of a camera that moves.
            moved = [
                self.faults.guard(frame, partial(self._moved, frame, people))
                for frame, people in zip(frames, found, strict=True)
            ]
        seen = zip(frames, found, features, rows, moved, embedded, ignored, looked.tolist(), strict=True)
        return [
            EmbeddedFrame(f, d, _spread(p, r, len(d)), motion[0], mask, out, detected)
            for f, d, p, r, motion, mask, out, detected in seen
            if motion is not None
        ]

    def _find(self, frames: list[Frame]) -> tuple[list[Detections], BoolArray]:
        """The people of each frame, and which frames the detector looked at."""
        still = all(f.has_image and self.cameras.motion(f.camera) == "none" for f in frames)
        if self._detections is None or not still:
            return self.detector(frames), np.ones(len(frames), bool)
        return self._detections.find(frames, self.detector)

    def _moved(self, frame: Frame, people: Detections) -> tuple[FloatArray | None]:
        return (self._motion(frame, people.boxes),)

    def _embed(
        self, frames: list[Frame], found: list[Detections], looked: BoolArray
    ) -> tuple[list[BoolArray], list[NDArray[np.intp]], list[PartFeatures]]:
        """Per frame: who counts as embedded, the rows that went through the engine (for a cache all), and their
        features."""
        before = self._scheduler.checkpoint()
        try:
            embedded = []
            # A batch may hold several frames of one camera.
            for frame, people in zip(frames, found, strict=True):
                if not frame.has_image:  # of a camera that has boxes only
                    embedded.append(np.zeros(len(people), bool))
                    continue
                due = self._scheduler.due(frame.camera, people, frame.time, frame.size)
                # Who is stored is embedded whether due or not, so there is nothing to save.
                chosen = due if self._cache is not None else self.cameras.turns.limit_crops(due)
                embedded.append(self._scheduler.record(frame.camera, chosen))
            everyone = [self._cache is not None and f.has_image and d for f, d in zip(frames, looked, strict=True)]
            rows = [
                np.arange(len(d)) if e else np.flatnonzero(m) for d, m, e in zip(found, embedded, everyone, strict=True)
            ]
            return embedded, rows, self.embedder(frames, [d[r] for d, r in zip(found, rows, strict=True)])
        except BaseException:
            self._scheduler.restore(before)
            raise


class _CaptureOrder:
    """Frames of recordings that were embedded by camera, put into the order of capture time over all cameras."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[EmbeddedFrame]] = {}

    def add(self, items: list[EmbeddedFrame]) -> None:
        """Take the next frames of one camera or more."""
        for item in items:
            self._waiting.setdefault(item.frame.camera, deque()).append(item)

    def before(self, moment: tuple[float, str] | None) -> list[EmbeddedFrame]:
        """Hand out those that come before a frame of that capture time and camera; all where it is None."""
        ordered = []
        while self._waiting:
            name = min(self._waiting, key=lambda n: (self._waiting[n][0].frame.time, n))
            if moment is not None and (self._waiting[name][0].frame.time, name) >= moment:
                break
            ordered.append(self._waiting[name].popleft())
            if not self._waiting[name]:
                del self._waiting[name]
        return ordered


def _spread(features: PartFeatures, rows: NDArray[np.intp], count: int) -> PartFeatures:
    """Put the features of some detections back at their rows; the others were not looked at."""
    result = PartFeatures.unseen(count, *features.shape)
    result.parts[rows] = features.parts
    result.visibility[rows] = features.visibility
    return result
