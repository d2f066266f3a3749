"""Tracks inside each camera: embedded frames in, track updates out. The last step of perception; a replay begins
here."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from streamreid.cameras.statistics import Statistics
from streamreid.config import Config
from streamreid.features.part_colours import PartColours
from streamreid.features.similarity import SiteCalibration
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.pipeline.frame_faults import FrameFaults
from streamreid.pipeline.plausibility import PlausibilityChecks
from streamreid.pipeline.privacy_mask import PrivacyMasks
from streamreid.pipeline.tracking_stage import TrackingStage
from streamreid.track_update import TrackedFrame, TrackObservation, TrackUpdate
from streamreid.tracking import Tracker
from streamreid.types import BoolArray, EmbeddedFrame, PartFeatures, SimilaritySums

if TYPE_CHECKING:
    from streamreid.ground.camera_model import GroundCamera

__all__ = ["CameraTracking"]

log = logging.getLogger(__name__)

_REMOVED_SECONDS = 60.0
"""How long a camera that was taken out may come back to the tracks it had; a cable that is changed takes less."""


class CameraTracking:
    """The trackers of all cameras, and what is judged frame by frame beside them.

    Args:
        config: Cameras and settings.
        engine: Which made the features.
        live: Whether any camera is live, so that only its newest frame counts.
        statistics: Where tracks are timed and findings noted.
        faults: Keeps what no code expected to the camera it came from.
        calibrated: Calibrated cameras by name, whose calibrations are judged.
        first_ids: First track id by camera, where an earlier run is continued.
        best_scores: The best score of a person so far, by camera, where the detector says so.

    Attributes:
        trackers: By camera.
        masks: What is to be blurred in pictures that leave the program.
    """

    def __init__(
        self,
        config: Config,
        engine: EngineDescription,
        *,
        live: bool,
        statistics: Statistics,
        faults: FrameFaults,
        calibrated: Mapping[str, GroundCamera] | None = None,
        first_ids: Mapping[str, int] | None = None,
        best_scores: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        self._config = config
        self._statistics = statistics
        self._faults = faults
        self._best_scores = best_scores
        self._first_ids = dict(first_ids or {})
        self._engine_calibration = engine.calibration
        # One per camera: light and lens are the camera's, and tracks do not depend on which other cameras there are.
        self._calibrations: dict[str, SiteCalibration] = {}
        self.trackers = {c.name: self._tracker(c.name) for c in config.cameras}
        self._stage = TrackingStage(self.trackers, ordered=not live, eight_bits=config.engine.feature_bits == 8)
        self._checks = PlausibilityChecks(config.tracker.high_score, engine.name, calibrated)
        hidden = {config.output.blur, config.page_blur} - {"none"}
        self.masks = PrivacyMasks(wanted=bool(hidden), faces=hidden == {"faces"})
        shows = config.output.part_colours and config.output.blur != "people"
        self._colours = PartColours(engine.parts) if shows else None
        self._crops = config.gallery.store is not None and config.gallery.crops
        self._removed: dict[str, float] = {}

    @property
    def held(self) -> int:
        """Frames that wait until ``tracker.delay`` is over."""
        return self._stage.held

    def updates(self, frames: Iterable[EmbeddedFrame | None]) -> Iterator[TrackUpdate]:
        """Track all frames.

        Args:
            frames: In the order in which they are to be tracked; None where live cameras gave nothing for a while.

        Yields:
            An update for each item, one for each camera that was taken out for good, and the last one.
        """
        for item in frames:
            now = self._statistics.beat = time.monotonic()
            yield from self._removals(now)
            yield self.idle() if item is None else self.update(item)
        yield self._finish()

    def idle(self) -> TrackUpdate:
        """What is released where live cameras gave nothing for a while."""
        return TrackUpdate(released=self._due())

    def restart(self, camera: str, first_id: int) -> None:
        """Forget what was tracked in a camera, which another process may have tracked meanwhile.

        Args:
            camera: Its name.
            first_id: The least track id to give.
        """
        if camera in self.trackers:
            self._remove(camera)
        self._first_ids[camera] = max(first_id, self._first_ids.get(camera, 1))

    def update(self, item: EmbeddedFrame) -> TrackUpdate:
        """Track the people of one frame."""
        frame = item.frame
        # What is hidden in frames that are released now must not depend on this frame either.
        self._stage.advance(frame)
        due = self._due()
        if self._faults.too_late(frame) and self._statistics.of(frame.camera).error is not None:
            return TrackUpdate(released=due)
        found = self._faults.guard(frame, lambda: self._track(item))
        # Before the frame is released: what is known of a released frame may be let go.
        blur_boxes = self.masks.newest(frame) if self._crops and found is not None else None
        due += self._due()
        if found is None:
            return TrackUpdate(released=due)
        observations, impostors = found
        return TrackUpdate(frame, item.detections, tuple(observations), due, impostors, blur_boxes)

    def _track(self, item: EmbeddedFrame) -> tuple[list[TrackObservation], SimilaritySums | None]:
        frame, detections = item.frame, item.detections
        if frame.camera not in self.trackers:
            self.trackers[frame.camera] = self._tracker(frame.camera)
            self._stage.add(frame.camera, self.trackers[frame.camera])
        self._statistics.of(frame.camera).detected += item.detected
        with self._statistics.stage("track"):
            # A cache holds the features of everybody: those that a run would not have made are hidden, so that both
            # give the same result.
            features = item.features if item.embedded is None else _only(item.features, item.embedded)
            best = self._best_scores().get(frame.camera)
            self._report(
                self._checks.observe(
                    frame.camera,
                    frame.time,
                    detections,
                    features,
                    frame.size,
                    best_score=best,
                    image=frame.image if frame.has_image else None,
                )
            )
            impostors = self._calibrations[frame.camera].observe(features, detections.boxes)
            observations = self._stage.update(frame, detections, features, item.motion, detected=item.detected)
            self.masks.push(frame, (detections, item.ignored), self.trackers[frame.camera], item.motion)
        return observations, impostors

    def _due(self) -> tuple[TrackedFrame, ...]:
        return self.masked(self._stage.due())

    def _coloured(self, item: TrackedFrame) -> TrackedFrame:
        frame, tracks = item.frame, item.tracks
        if self._colours is None or not len(tracks) or not frame.has_image:
            return item
        colours = self._colours(
            frame.camera, frame.time, frame.image, tracks.ids.tolist(), tracks.boxes, item.visibility
        )
        return item if colours is None else replace(item, colours=colours)

    def masked(self, frames: list[TrackedFrame]) -> tuple[TrackedFrame, ...]:
        frames = [self._coloured(item) for item in frames]
        if not self.masks.wanted:
            return tuple(frames)
        # A frame whose mask fails has no result: it is never shown without.
        masked = [self._faults.guard(item.frame, partial(self._mask, item)) for item in frames]
        return tuple([item for item in masked if item is not None])

    def _mask(self, item: TrackedFrame) -> TrackedFrame:
        return replace(item, blur_boxes=self.masks.boxes(item.frame))

    def _finish(self) -> TrackUpdate:
        with self._statistics.stage("track"):
            observations, frames = self._stage.rest()
            self._report(self._checks.finish(self._best_scores()))
            released = self.masked(frames)
            self.masks.finish()
        return TrackUpdate(observations=tuple(observations), released=released, last=True)

    def _tracker(self, camera: str) -> Tracker:
        self._calibrations[camera] = SiteCalibration(self._engine_calibration)
        return Tracker(self._config.tracker, self._calibrations[camera], first_id=self._first_ids.get(camera, 1))

    def _removals(self, now: float) -> list[TrackUpdate]:
        """Keep nothing but numbers of cameras that were taken out for good."""
        removed = [
            name for name, count in list(self._statistics.cameras.items()) if count.removed and name in self.trackers
        ]
        self._removed = {name: self._removed.get(name, now) for name in removed}
        patience = max(_REMOVED_SECONDS, self._config.tracker.lost_seconds, 3 * self._config.tracker.lag)
        return [self._remove(name) for name in [n for n, since in self._removed.items() if now - since >= patience]]

    def _remove(self, camera: str) -> TrackUpdate:
        self._first_ids[camera] = self.trackers.pop(camera).next_id
        self._calibrations.pop(camera, None)
        self.masks.forget(camera)
        return TrackUpdate(observations=tuple(self._stage.remove(camera)), removed=(camera,))

    def _report(self, findings: list[tuple[str, str]]) -> None:
        """Log what was noticed, and keep it for the summary."""
        for camera, sentence in findings:
            log.warning("%s%s", f"camera '{camera}': " if camera else "", sentence)
            if not camera:
                self._statistics.findings.append(sentence)
            elif camera in self._statistics.cameras:
                self._statistics.cameras[camera].findings.append(sentence)


def _only(features: PartFeatures, rows: BoolArray) -> PartFeatures:
    """Features in which only some people were embedded: zero for the others, as a site in another process gets
    them."""
    embedded = rows.nonzero()[0]
    if len(embedded) == len(rows) or not np.count_nonzero(features.visibility[~rows]):
        return features
    shown = PartFeatures.unseen(len(rows), *features.shape)
    shown.parts[embedded], shown.visibility[embedded] = features.parts[embedded], features.visibility[embedded]
    return shown
