"""The pipeline: frames in, people with identities out. The only place that knows all rooms."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid._startup import starting
from streamreid.cache.manifest import describe
from streamreid.cache.store import CacheWriter
from streamreid.camera_names import camera_name
from streamreid.cameras.camera_motion import CameraMotionEstimators
from streamreid.cameras.capture_times import check_mixed
from streamreid.cameras.embedding_scheduler import EmbeddingScheduler
from streamreid.cameras.region_of_interest import inside
from streamreid.cameras.registry import Cameras
from streamreid.config import CameraConfig, Config, load_config
from streamreid.detection import Detector
from streamreid.errors import EngineError, OutputError, StreamReIDError
from streamreid.pipeline.detectors import open_detectors
from streamreid.pipeline.frame_processor import FrameProcessor
from streamreid.pipeline.gallery_sync import GallerySync, stamp_of
from streamreid.pipeline.run_state import RunState
from streamreid.reid import Embedder, open_embedder
from streamreid.secrets import redact
from streamreid.sources import with_kinds
from streamreid.types import BoolArray, Detections, EmbeddedFrame, Frame, PartFeatures

__all__ = ["Pipeline", "camera_name"]

log = logging.getLogger(__name__)


class Pipeline(FrameProcessor):
    """Follow people across cameras.

    Iterate to get one :class:`FrameResult` per used frame, in the order of capture time (files) or arrival (live)::

        with Pipeline.from_sources("a.mp4", "b.mp4") as pipeline:
            for result in pipeline:
                print(result.frame.camera, result.frame.time, result.global_ids)

    Args:
        config: Cameras and settings.
        detector: Used instead of the configured one.
        embedder: Used instead of the configured one.
        begin: Where the ids and frame numbers of an earlier run end, to go on from there.
        stay: Go on without any camera, because cameras may be added to ``cameras``.
        cache: Folder in which detections and features are stored for ``Replay``. All people are then looked at, not
            only those of high score, so that every tracker setting can be tried; the results are the same.
        overwrite: Replace a cache that is in the folder, once there are frames to be stored.

    Raises:
        ConfigError: Recordings beside live cameras whose capture times have nothing in common with theirs.
        WeightsError, DetectorError, EngineError, GalleryError: Something needed cannot be had. A camera that cannot be
            opened does not raise here: it is noted in ``statistics`` and the others go on.
        DataError: ``cache`` holds a cache already.
        FolderBusy: Another process stores a cache there.
        MissingExtraError: ``cache`` without pyarrow.
    """

    def __init__(
        self,
        config: Config,
        *,
        detector: Detector | None = None,
        embedder: Embedder | None = None,
        cache: Path | None = None,
        overwrite: bool = False,
        begin: RunState | None = None,
        stay: bool = False,
    ) -> None:
        config = config.model_copy(update={"cameras": with_kinds(config.cameras)})
        check_mixed(config.cameras, window=config.association.window, serving=stay)
        with ThreadPoolExecutor(1) as opener:  # both compile their graphs, mostly on one core each
            opening = opener.submit(lambda: embedder or open_embedder(config.engine))
            self.detector = detector or open_detectors(config)
            self.embedder = opening.result()
        names = self.detector.name, self.embedder.name
        super().__init__(config, self.embedder.calibration, names, begin=begin, parts=self.embedder.parts)
        own = None if detector is not None else config.detector
        self._scheduler = EmbeddingScheduler(config)
        self._cache = (
            None
            if cache is None
            else CacheWriter(
                cache,
                describe(config, self.detector, self.embedder, own),
                overwrite=overwrite,
                private=config.gallery.private,
            )
        )
        numbers = self.begin.frames
        self.cameras = Cameras(
            config.cameras,
            self.statistics,
            batch=config.detector.batch,
            live=config.live,
            numbers=numbers,
            stay=stay,
            window=config.association.window,
        )
        self._moving = CameraMotionEstimators(self.cameras.motion)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._pool.submit(int).result()  # its thread, while there are threads
        if config.gallery.store is not None:
            try:
                self.memory = GallerySync(
                    config, stamp_of(self.embedder), self._associator, self._calibration, first_id=self.begin.global_id
                )
                if cache is not None:  # it holds features of whoever is forgotten later
                    self.memory.store.note_copy("cache", cache, [])
            except BaseException:
                self.close()
                raise

    @classmethod
    def from_yaml(cls, path: str | Path) -> Pipeline:
        """A pipeline from a cameras file."""
        return cls(load_config(path))

    @classmethod
    def from_sources(cls, *sources: str | Path, **sections: Any) -> Pipeline:
        """A pipeline for videos, folders or addresses with default settings; ``sections`` are those of the YAML
        (``engine={"model": "none"}``)."""
        return cls(Config.from_sources(*sources, **sections))

    def close(self) -> None:
        """Stop reading and release threads. Safe to call twice."""
        self.cameras.close()
        self._pool.shutdown(wait=True)
        self._end_cache(complete=False)
        if self.memory is not None:
            self.memory.close()

    def stop(self) -> None:
        """End the iteration after the frames in work; for signal handlers and other threads."""
        super().stop()
        self.cameras.stop()

    @property
    def live(self) -> bool:
        """Whether any camera is live, so that only its newest frame counts."""
        return self.cameras.live

    @property
    def camera_configs(self) -> Sequence[CameraConfig]:
        """The cameras as they are now: some may have come, gone or changed."""
        return self.cameras.configs

    @property
    def patient(self) -> bool:
        """Whether cameras may still be added."""
        return self.cameras.stay

    def _fail(self, camera: str, error: StreamReIDError) -> None:
        self.cameras.fail(camera, error)

    def _drop(self, frame: Frame, reason: str) -> None:
        self.cameras.drop([frame], reason)

    def _best_scores(self) -> Mapping[str, float]:
        return getattr(self.detector, "best_scores", {})

    def _forget(self, camera: str) -> None:
        super()._forget(camera)
        self._scheduler.forget(camera)
        self._moving.forget(camera)

    def _frames(self) -> Iterator[EmbeddedFrame | None]:
        for batch in self._look_newest() if self.live else self._look_ahead():
            if not batch:
                yield None
            for seen in batch:
                self._store(seen)
                yield seen
        self._end_cache(complete=not self.interrupted)

    def _store(self, seen: EmbeddedFrame) -> None:
        """Put a frame into the cache. One that cannot be written is given up; the run goes on."""
        if self._cache is None:
            return
        try:
            with self.statistics.stage("write"):
                self._cache.write(seen)
        except OutputError as error:
            self._cache = None
            self._give_up_cache(error)

    def _end_cache(self, *, complete: bool) -> None:
        if self._cache is None:
            return
        try:
            self._cache.close({name: c.error for name, c in self.statistics.cameras.items()}, complete=complete)
        except OutputError as error:
            self._give_up_cache(error)

    def _give_up_cache(self, error: OutputError) -> None:
        self.statistics.outputs["cache"] = redact(error)
        log.error("output 'cache' is given up, everything else goes on: %s", redact(error))

    def _look_ahead(self) -> Iterator[list[EmbeddedFrame]]:
        """Detection and embedding of the next batch run while this one is tracked and written."""
        pending: Future[list[EmbeddedFrame]] | None = None
        batches = iter(self.cameras)
        while True:
            with self.statistics.stage("wait"):
                batch = next(batches, None)
            upcoming = self._pool.submit(self._look, batch) if batch else None
            if pending is not None:
                yield pending.result()
            if upcoming is None:
                return
            pending = upcoming

    def _look_newest(self) -> Iterator[list[EmbeddedFrame]]:
        """The same for live cameras: frames are taken when inference is free for them, never before. Empty where
        nothing came for a while."""
        batches = iter(self.cameras)
        pending: Future[list[EmbeddedFrame]] | None = None
        warm = False
        while True:
            if pending is None:
                with self.statistics.stage("wait"):
                    batch = next(batches, None)
                if batch is None:
                    return
                if batch and not warm:
                    self._pool.submit(self._warm_up, batch).result()
                    warm = True
                    continue
                pending = self._pool.submit(self._look, batch) if batch else None
                if pending is None:
                    yield []
                continue
            seen = pending.result()
            batch = [] if self.interrupted else self.cameras.poll()
            pending = self._pool.submit(self._look, batch) if batch else None
            yield seen

    def _warm_up(self, frames: list[Frame]) -> None:
        """The first runs compile graphs, which takes seconds: they are done on frames that are then thrown away, for
        they have become old."""
        with (
            starting("first inference of detector and engine"),
            suppress(Exception),
        ):  # what fails here fails again, and is then told
            # One, one per core, and enough people for the runtime to group them.
            for count in (1, 2, 8):
                some = [frames[i % len(frames)] for i in range(min(count, 2, self.config.detector.batch))]
                self.detector(some)
                width, height = some[0].size
                boxes = Detections.from_arrays([[0, 0, width / 4, height / 2]] * count)
                self.embedder(some[:1], [boxes])
        self.cameras.drop(frames, "warming up")

    def _look(self, frames: list[Frame]) -> list[EmbeddedFrame]:
        """Detect and embed. What cannot be done for one camera (boxes that are not in its file) ends that camera, not
        the others, and what no code expected of one frame passes over that frame."""
        try:
            return self._infer(frames)
        except Exception as error:
            names = sorted({f.camera for f in frames})
            if len(names) > 1:
                return [seen for name in names for seen in self._look([f for f in frames if f.camera == name])]
            if len(frames) > 1:
                return [seen for frame in frames for seen in self._look([frame])]
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
                f"detector or engine fails on any picture ({type(error).__name__}: {redact(error)}); start again, on "
                "another runtime if it lasts"
            ) from error

    def _infer(self, frames: list[Frame]) -> list[EmbeddedFrame]:
        began = perf_counter()
        with self.statistics.stage("detect"):
            everybody = self.detector(frames)
            counted = [
                inside(d.boxes, self.cameras.roi(f.camera), f.size) for f, d in zip(frames, everybody, strict=True)
            ]
            found = [d[rows] for d, rows in zip(everybody, counted, strict=True)]
            ignored = [d[~rows] for d, rows in zip(everybody, counted, strict=True)]
        middle = perf_counter()
        with self.statistics.stage("embed"):
            embedded, rows, features = self._embed(frames, found)
        end = perf_counter()
        self.cameras.turns.spent(len(frames), end - began)
        self.cameras.turns.looked(len(frames), middle - began, sum(map(len, rows)), end - middle)
        with self.statistics.stage("detect"):
            # Here and not above: who is tried again must not be taken for the next frame of a camera that moves.
            moved = [
                self.faults.guard(f, lambda f=f, d=d: (self._moving(f, d.boxes),))  # type: ignore[misc]
                for f, d in zip(frames, found, strict=True)
            ]
        seen = zip(frames, found, features, rows, moved, embedded, ignored, strict=True)
        return [
            EmbeddedFrame(f, d, _spread(p, r, len(d)), motion[0], mask, out)
            for f, d, p, r, motion, mask, out in seen
            if motion is not None
        ]

    def _embed(
        self, frames: list[Frame], found: list[Detections]
    ) -> tuple[list[BoolArray], list[NDArray[np.intp]], list[PartFeatures]]:
        """Per frame: who counts as embedded, the rows that went through the engine (for a cache all), and their
        features."""
        before = self._scheduler.checkpoint()
        try:
            embedded = []
            for frame, people in zip(frames, found, strict=True):  # a batch may hold several frames of one camera
                if not frame.has_image:  # of a camera that has boxes only
                    embedded.append(np.zeros(len(people), bool))
                    continue
                due = self._scheduler.due(frame.camera, people, frame.time, frame.size)
                # Who is stored is embedded whether due or not, so there is nothing to save.
                chosen = due if self._cache is not None else self.cameras.turns.limit_crops(due)
                embedded.append(self._scheduler.record(frame.camera, chosen))
            everyone = [self._cache is not None and f.has_image for f in frames]
            rows = [
                np.arange(len(d)) if e else np.flatnonzero(m) for d, m, e in zip(found, embedded, everyone, strict=True)
            ]
            return embedded, rows, self.embedder(frames, [d[r] for d, r in zip(found, rows, strict=True)])
        except BaseException:
            self._scheduler.restore(before)
            raise


def _spread(features: PartFeatures, rows: NDArray[np.intp], count: int) -> PartFeatures:
    """Put the features of some detections back at their rows; the others were not looked at."""
    result = PartFeatures.unseen(count, *features.shape)
    result.parts[rows] = features.parts
    result.visibility[rows] = features.visibility
    return result
