"""The pipeline: frames in, people with identities out. The only place that knows all rooms."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from streamreid.association import Associator
from streamreid.config import Config, load_config
from streamreid.detection import Detector, open_detector
from streamreid.errors import ConfigError, SourceError, StreamReIDError
from streamreid.pipeline.cameras import Cameras
from streamreid.pipeline.roi import inside
from streamreid.pipeline.statistics import CameraCount, Statistics
from streamreid.reid import Embedder, open_embedder
from streamreid.tracking import Tracker
from streamreid.tracking.tracker import occlusion
from streamreid.types import Detections, Frame, FrameResult, IdentityEvent, PartFeatures, Tracklet

__all__ = ["Pipeline", "camera_name"]


@dataclass(slots=True)
class _Seen:
    """One frame after detection and embedding."""

    frame: Frame
    detections: Detections
    features: PartFeatures


class Pipeline:
    """Follow people across cameras.

    Iterate to get one :class:`FrameResult` per used frame, in the order of capture time (files) or arrival (live)::

        with Pipeline.from_sources("a.mp4", "b.mp4") as pipeline:
            for result in pipeline:
                print(result.frame.camera, result.frame.time, result.global_ids)

    Args:
        config: Cameras and settings.
        detector: Used instead of the configured one.
        embedder: Used instead of the configured one.

    Raises:
        ConfigError, WeightsError, DetectorError, EngineError: Something needed cannot be had. A camera that cannot be opened does not raise here:
            it is noted in ``statistics`` and the others go on.
    """

    def __init__(self, config: Config, *, detector: Detector | None = None, embedder: Embedder | None = None) -> None:
        self.config = config
        self.detector = detector or open_detector(config.detector)
        self.embedder = embedder or open_embedder(config.engine)
        self.statistics = Statistics({c.name: CameraCount() for c in config.cameras})
        self._cameras = Cameras(config.cameras, self.statistics.cameras, batch=config.detector.batch)
        calibration = self.embedder.calibration
        self._rois = {c.name: c.roi for c in config.cameras}
        self._trackers = {c.name: Tracker(config.tracker, calibration) for c in config.cameras}
        self._associator = Associator(config.association, calibration)
        self._events: list[IdentityEvent] = []
        self._identities: dict[tuple[str, int], tuple[int, float]] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._used = False
        self.interrupted = False

    @classmethod
    def from_yaml(cls, path: str | Path) -> Pipeline:
        """A pipeline from a cameras file."""
        return cls(load_config(path))

    @classmethod
    def from_sources(cls, *sources: str | Path, **sections: Any) -> Pipeline:
        """A pipeline for videos, folders or addresses with default settings; ``sections`` are those of the YAML (``engine={"model": "none"}``)."""
        if not sources:
            raise ConfigError("no source given: pass at least one video, folder of images, address or webcam number")
        names: list[str] = []
        cameras = [{"name": camera_name(str(s), names), "uri": str(s)} for s in sources]
        return cls(Config.from_dict({"cameras": cameras, **sections}))

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading and release threads. Safe to call twice."""
        self._cameras.close()
        self._pool.shutdown(wait=True)

    def stop(self) -> None:
        """End the iteration after the frames in work; for signal handlers and other threads."""
        self.interrupted = True
        self._cameras.stop()

    def drain_events(self) -> list[IdentityEvent]:
        """Identity events since the last call."""
        events, self._events = self._events, []
        return events

    @property
    def identities(self) -> dict[tuple[str, int], tuple[int, float]]:
        """``{(camera, track_id): (global_id, link probability)}`` as believed now, of every track of the run."""
        return {**self._identities, **self._associator.links}

    @property
    def tracklets(self) -> list[Tracklet]:
        """The tracks of the association window (the last minute by default) with their part features."""
        return self._associator.tracklets

    @property
    def live(self) -> bool:
        """Whether any camera is live, so that only its newest frame counts."""
        return self._cameras.live

    @property
    def failed(self) -> dict[str, str]:
        """Cameras that failed, with the reason."""
        return {name: c.error for name, c in self.statistics.cameras.items() if c.error is not None}

    def _reasons(self) -> str:
        return "\n".join(f"  {name}: {why}" for name, why in self.failed.items())

    def __iter__(self) -> Iterator[FrameResult]:
        if self._used:
            raise RuntimeError("a Pipeline runs once: make a new one")
        self._used = True
        self.statistics.started = time.perf_counter()
        try:
            if len(self.failed) == len(self.config.cameras):
                raise SourceError("no camera could be opened:\n" + self._reasons())
            for batch in self._look_ahead():
                for seen in batch:
                    yield self._follow(seen)
            self._note(self._associator.finish())
            if len(self.failed) == len(self.config.cameras) and not self.statistics.frames:
                raise SourceError("no camera gave a frame that could be used:\n" + self._reasons())
        finally:
            self.statistics.ended = time.perf_counter()
            self.close()

    def _look_ahead(self) -> Iterator[list[_Seen]]:
        """Detection and embedding of the next batch run while this one is tracked and written."""
        pending: Future[list[_Seen]] | None = None
        batches = iter(self._cameras)
        while True:
            with self.statistics.stage("wait"):
                batch = next(batches, None)
            upcoming = self._pool.submit(self._look, batch) if batch else None
            if pending is not None:
                yield pending.result()
            if upcoming is None:
                return
            pending = upcoming
            if self._cameras.live:
                yield pending.result()
                pending = None

    def _look(self, frames: list[Frame]) -> list[_Seen]:
        """Detect and embed. What cannot be done for one camera (boxes that are not in its file) ends that camera, not the others."""
        try:
            return self._infer(frames)
        except StreamReIDError as error:
            names = sorted({f.camera for f in frames})
            if len(names) > 1:
                return [seen for name in names for seen in self._look([f for f in frames if f.camera == name])]
            self._cameras.fail(names[0], error)
            return []

    def _infer(self, frames: list[Frame]) -> list[_Seen]:
        with self.statistics.stage("detect"):
            found = self.detector(frames)
            found = [d[inside(d.boxes, self._rois[f.camera], f.size)] for f, d in zip(frames, found, strict=True)]
        with self.statistics.stage("embed"):
            sure = [np.flatnonzero(d.scores >= self.config.tracker.high_score) for d in found]
            looks = self.embedder(frames, [d[rows] for d, rows in zip(found, sure, strict=True)])
        return [_Seen(f, d, _spread(p, rows, len(d))) for f, d, rows, p in zip(frames, found, sure, looks, strict=True)]

    def _follow(self, seen: _Seen) -> FrameResult:
        frame, count = seen.frame, self.statistics.cameras[seen.frame.camera]
        with self.statistics.stage("track"):
            tracks = self._trackers[frame.camera].update(seen.detections, seen.features, frame.time, size=frame.size)
            features = _rows(seen.features, tracks.rows)
        with self.statistics.stage("associate"):
            found = tracks.rows >= 0
            quality = (1.0 - occlusion(seen.detections.boxes)[tracks.rows[found]]) * tracks.scores[found]
            self._associator.observe(frame.camera, frame.time, tracks[found], features[found], quality.astype(np.float32))
            self._note(self._associator.step())
            links = [self._associator.link(frame.camera, i) for i in tracks.ids.tolist()]
        count.frames += 1
        count.boxes += len(tracks)
        count.last_time = frame.time
        fresh = [i for i in tracks.ids.tolist() if (frame.camera, i) not in self._identities]
        for i in fresh:
            self._identities[frame.camera, i] = (0, 0.0)
        count.tracks += len(fresh)
        ids = np.array([g for g, _ in links], np.int64)
        probabilities = np.array([p for _, p in links], np.float32)
        return FrameResult(frame, tracks, ids, probabilities, features.visibility)

    def _note(self, events: list[IdentityEvent]) -> None:
        self._events += events
        for event in events:
            if event.track_id:
                self._identities[event.camera, event.track_id] = (event.global_id, event.probability)


def _rows(features: PartFeatures, rows: np.ndarray) -> PartFeatures:
    """Features by row; -1 is a person who was not seen."""
    result = PartFeatures.unseen(len(rows), *features.shape)
    seen = rows >= 0
    result.parts[seen] = features.parts[rows[seen]]
    result.visibility[seen] = features.visibility[rows[seen]]
    return result


def _spread(features: PartFeatures, rows: np.ndarray, count: int) -> PartFeatures:
    """Put the features of some detections back at their rows; the others were not looked at."""
    result = PartFeatures.unseen(count, *features.shape)
    result.parts[rows] = features.parts
    result.visibility[rows] = features.visibility
    return result


def camera_name(uri: str, taken: list[str]) -> str:
    """A readable unique name for a source, appended to ``taken``: the file's stem, the host of an address, or webcam<N>."""
    if uri.isdigit():
        base = f"webcam{uri}"
    elif "://" in uri:
        base = uri.split("://", 1)[1].split("/")[0].rsplit("@", 1)[-1].split(":")[0]
    else:
        base = Path(uri).stem or Path(uri).name
    base = "".join(c if c.isalnum() or c in "_.-" else "_" for c in base).strip("_.-")[:56] or "camera"
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    taken.append(name)
    return name
