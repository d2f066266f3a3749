"""What happens after inference: tracks inside each camera, identities across cameras, bookkeeping.

A live pipeline and the replay of a cache differ only in where detections and features come from; both are a :class:`Following`.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

import numpy as np

from streamreid.association import Associator
from streamreid.config import Config
from streamreid.errors import SourceError
from streamreid.pipeline.looking import LookSchedule
from streamreid.pipeline.statistics import CameraCount, Statistics
from streamreid.similarity import Calibration, SiteCalibration
from streamreid.tracking import Tracker
from streamreid.tracking.tracker import occlusion
from streamreid.types import BoolArray, Detections, Frame, FrameResult, IdentityEvent, PartFeatures, Tracklet

__all__ = ["Following", "Seen"]

_Self = TypeVar("_Self", bound="Following")


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One frame after detection and embedding.

    Args:
        frame: The frame; in a replay it has no image.
        detections: N people.
        features: N rows; visibility 0 where a person was not looked at.
    """

    frame: Frame
    detections: Detections
    features: PartFeatures


class Following(ABC):
    """Turns frames with detections and features into results. Iterate once; ``stop`` ends the iteration early.

    Args:
        config: Cameras and settings.
        calibration: Of the engine that made the features.
        models: Names of detector and engine.
    """

    def __init__(self, config: Config, calibration: Calibration, models: tuple[str, str]) -> None:
        self.config = config
        self.models = models
        self.statistics = Statistics({c.name: CameraCount() for c in config.cameras})
        self.interrupted = False
        self._schedule = LookSchedule(config)
        self._calibration = SiteCalibration(calibration)
        self._trackers = {c.name: Tracker(config.tracker, self._calibration) for c in config.cameras}
        self._associator = Associator(config.association, self._calibration)
        self._events: list[IdentityEvent] = []
        self._identities: dict[tuple[str, int], tuple[int, float]] = {}
        self._used = False

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @abstractmethod
    def _frames(self) -> Iterator[Seen]:
        """The frames in the order in which they are to be followed."""

    @abstractmethod
    def close(self) -> None:
        """Release what is open. Safe to call twice."""

    @property
    @abstractmethod
    def live(self) -> bool:
        """Whether any camera is live, so that only its newest frame counts and no picture can be had again."""

    def stop(self) -> None:
        """End the iteration after the frames in work; for signal handlers and other threads."""
        self.interrupted = True

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
    def failed(self) -> dict[str, str]:
        """Cameras that failed, with the reason."""
        return {name: c.error for name, c in self.statistics.cameras.items() if c.error is not None}

    def __iter__(self) -> Iterator[FrameResult]:
        if self._used:
            raise RuntimeError(f"a {type(self).__name__} runs once: make a new one")
        self._used = True
        self.statistics.started = time.perf_counter()
        try:
            self._require_camera("no camera could be opened")
            for seen in self._frames():
                yield self._follow(seen)
            self._note(self._associator.finish())
            if not self.statistics.frames:
                self._require_camera("no camera gave a frame that could be used")
        finally:
            self.statistics.ended = time.perf_counter()
            self.close()

    def _require_camera(self, what: str) -> None:
        failed = self.failed
        if len(failed) == len(self.config.cameras):
            raise SourceError(f"{what}:\n" + "\n".join(f"  {name}: {why}" for name, why in failed.items()))

    def _follow(self, seen: Seen) -> FrameResult:
        frame, count = seen.frame, self.statistics.cameras[seen.frame.camera]
        with self.statistics.stage("track"):
            # A cache holds the features of everybody: those that a run would not have made are hidden, so that both give the same result.
            looks = _hide(seen.features, ~self._schedule.choose(frame.camera, seen.detections, frame.time))
            self._calibration.observe(looks, seen.detections.boxes)
            tracks = self._trackers[frame.camera].update(seen.detections, looks, frame.time, size=frame.size)
            features = _rows(looks, tracks.rows)
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


def _hide(features: PartFeatures, rows: BoolArray) -> PartFeatures:
    """Features in which some people were not looked at."""
    if not features.visibility[rows].any():
        return features
    keep = ~rows
    return PartFeatures(features.parts * keep[:, None, None], features.visibility * keep[:, None])
