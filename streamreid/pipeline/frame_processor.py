"""What happens after inference: tracks inside each camera, identities across cameras, bookkeeping.

A live pipeline and the replay of a cache differ only in where detections and features come from; both are a
:class:`FrameProcessor`.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TypeVar

import numpy as np

from streamreid.association import Associator, CameraGraph
from streamreid.cameras.statistics import CameraCount, Statistics
from streamreid.config import CameraConfig, Config
from streamreid.errors import SourceError, StreamReIDError
from streamreid.features.similarity import Calibration, SiteCalibration
from streamreid.pipeline.clock_monitor import ClockMonitor
from streamreid.pipeline.frame_faults import FrameFaults
from streamreid.pipeline.gallery_sync import GallerySync
from streamreid.pipeline.ground_plane import open_ground
from streamreid.pipeline.plausibility import PlausibilityChecks
from streamreid.pipeline.privacy_mask import PrivacyMasks
from streamreid.pipeline.run_state import RunState
from streamreid.pipeline.tracking_stage import TrackedFrame, TrackingStage, TrackObservation
from streamreid.secrets import redact
from streamreid.sinks import FinalIdentities, PeopleCount
from streamreid.sources import Clock, SystemClock
from streamreid.tracking import Tracker
from streamreid.types import BoolArray, EmbeddedFrame, Frame, FrameResult, IdentityEvent, PartFeatures, Tracklet

__all__ = ["FrameProcessor"]

log = logging.getLogger(__name__)

_MANY_TRACKS = 10_000
"""Tracks from which those of expired identities are let go."""

_GONE_SECONDS = 60.0
"""How long a camera that was taken out may come back to the tracks it had."""

_Self = TypeVar("_Self", bound="FrameProcessor")


class FrameProcessor(ABC):
    """Turns frames with detections and features into results. Iterate once; ``stop`` ends the iteration early.

    Args:
        config: Cameras and settings.
        calibration: Of the engine that made the features.
        models: Names of detector and engine.
        begin: Where the ids of an earlier run end.
        clock: Tells how old the frames of live cameras are.
        parts: Names of the engine's parts, for the reasons of identity events.

    Attributes:
        memory: The gallery beside this run, if there is one.
        ground: Where people stand, if cameras are calibrated.
        clocks: Whether the cameras' clocks agree.
        faults: Keeps what no code expected to the camera it came from.
        masks: What is to be blurred in pictures that leave the program.
        idle: Called about twice a second while live cameras give nothing; may be set.
    """

    def __init__(
        self,
        config: Config,
        calibration: Calibration,
        models: tuple[str, str],
        *,
        begin: RunState | None = None,
        clock: Clock | None = None,
        parts: Sequence[str] = (),
    ) -> None:
        self.config = config
        self.models = models
        self.statistics = Statistics({c.name: CameraCount() for c in config.cameras})
        self.interrupted = False
        self.begin = begin or RunState()
        self.idle: Callable[[], None] = lambda: None
        self._clock = clock or SystemClock()
        self.faults = FrameFaults(
            lambda frame, reason: self._drop(frame, reason),
            lambda camera, error: self._fail(camera, error),
            live=lambda: self.live,
        )
        self._lock = threading.RLock()
        self._calibration = SiteCalibration(calibration)
        self._trackers = {c.name: self._tracker(c.name) for c in config.cameras}
        # Where an earlier run is continued, cameras may have been taken out since; ways through them still are ways.
        graph = CameraGraph(config.topology, None if self.begin.runs else [c.name for c in config.cameras])
        self.ground = open_ground(config)
        self._first_minute = PlausibilityChecks(
            config.tracker.high_score, models[1], self.ground.cameras if self.ground is not None else {}
        )
        self.clocks = ClockMonitor(config.association.clock, self.ground.cameras if self.ground is not None else {})
        self._associator = Associator(
            config.association,
            self._calibration,
            first_id=self.begin.global_id,
            graph=graph,
            place=self.ground,
            parts=parts,
        )
        self.memory: GallerySync | None = None
        self._holding = TrackingStage(self._trackers, ordered=True)
        self._events: list[IdentityEvent] = []
        self._identities: dict[tuple[str, int], tuple[int, float]] = {}
        self._settled = FinalIdentities()
        self._confirmed: set[int] = set()
        self._unlinked: set[int] = set()
        self._settle_at = _MANY_TRACKS
        self._sizes: dict[str, tuple[int, int]] = {}
        self._gone: dict[str, float] = {}
        self.masks = PrivacyMasks(wanted=config.output.blur != "none")
        self._used = False

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _frames(self) -> Iterator[EmbeddedFrame | None]:
        """The frames in the order in which they are to be followed; None where live cameras gave nothing for a
        while."""

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
    def identities(self) -> FinalIdentities:
        """``{(camera, track_id): (global_id, link probability)}`` as believed now, of every track of the run but those
        that are settled.

        May be asked from any thread."""
        with self._lock:
            links = {**self._identities, **self._associator.links}
            return FinalIdentities(
                links,
                confirmed=self._confirmed | self._associator.confirmed,
                unlinked=self._unlinked | self._associator.unlinked,
            )

    @property
    def people_count(self) -> PeopleCount:
        """People, confirmed people and unlinked tracks of the run so far, with those that are no longer listed in
        ``identities``."""
        return self.identities.count() + self.statistics.settled_people

    @property
    def people(self) -> int:
        """How many people are remembered, so that who comes back is known."""
        return self._associator.people

    def drain_settled(self) -> FinalIdentities:
        """Tracks of identities that are no longer searched, once: in runs without end they leave ``identities``, so
        that memory does not grow."""
        settled, self._settled = self._settled, FinalIdentities()
        return settled

    @property
    def tracklets(self) -> list[Tracklet]:
        """The tracks of the association window (the last five minutes by default) with their part features."""
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
            self.require_camera()
            self._holding = TrackingStage(self._trackers, ordered=not self.live)
            if self.ground is not None:
                self.ground.keep(not self.live)
            self.clocks.live = self.live
            self._associator.keep_all = self.config.association.offline and not self.live
            for seen in self._frames():
                self.statistics.beat = time.monotonic()
                with self._lock:
                    self._let_go(self.statistics.beat)
                    if seen is not None:
                        self._follow(seen)
                    elif self.memory is not None:
                        self.memory.idle()
                    results = self._results(self._holding.due())
                if not results and seen is None:
                    self.idle()
                yield from results
            yield from self._end()
            if not self.statistics.frames:
                self.require_camera("no camera gave a frame that could be used")
        finally:
            self.statistics.ended = time.perf_counter()
            self.close()

    def require_camera(self, what: str = "no camera could be opened") -> None:
        """Nothing where one camera or more can still give frames, or some may come.

        Raises:
            SourceError: All failed; the message says why.
        """
        failed = self.failed
        if len(failed) == sum(not c.removed for c in self.statistics.cameras.values()) and not self.patient:
            raise SourceError(f"{what}:\n" + "\n".join(f"  {name}: {why}" for name, why in failed.items()))

    @property
    def camera_configs(self) -> Sequence[CameraConfig]:
        """The cameras as they are now."""
        return self.config.cameras

    @property
    def patient(self) -> bool:
        """Whether a run without any camera goes on, because some may come."""
        return False

    def _tracker(self, camera: str) -> Tracker:
        return Tracker(self.config.tracker, self._calibration, first_id=self.begin.tracks.get(camera, 1))

    def _let_go(self, now: float) -> None:
        """Keep nothing but numbers of cameras that were taken out for good."""
        removed = [
            name for name, count in list(self.statistics.cameras.items()) if count.removed and name in self._trackers
        ]
        self._gone = {name: self._gone.get(name, now) for name in removed}
        patience = max(_GONE_SECONDS, self.config.tracker.lost_seconds, 3 * self.config.tracker.delay)
        for name in [n for n, since in self._gone.items() if now - since >= patience]:
            self._forget(name)

    def _forget(self, camera: str) -> None:
        self.begin.seen(camera, track=self._trackers.pop(camera).next_id - 1)
        self._observe(self._holding.remove(camera))
        self._sizes.pop(camera, None)
        self.masks.forget(camera)
        self.clocks.forget(camera)

    def _fail(self, camera: str, error: StreamReIDError) -> None:
        """Give a camera up: nothing of it is followed any more."""
        count = self.statistics.cameras[camera]
        count.error = count.error or redact(error).removeprefix(f"camera '{camera}': ")
        log.error("camera '%s' failed: %s", camera, count.error)

    def _drop(self, frame: Frame, reason: str) -> None:
        """Count a frame that has no result."""
        drops = self.statistics.cameras[frame.camera].drops
        drops[reason] = drops.get(reason, 0) + 1

    def _follow(self, seen: EmbeddedFrame) -> None:
        frame = seen.frame
        if self.faults.too_late(frame) and self.statistics.cameras[frame.camera].error is not None:
            return
        observations = self.faults.guard(frame, lambda: self._track(seen))
        if observations is None:
            return
        with self.statistics.stage("associate"):
            if self.memory is not None:
                self.memory.before(frame.time)
            fresh = self.faults.guard(frame, lambda: self._observe(observations))
            # Who was held back until their id was final is shown next: they are not to wait for the next regular step
            # as well.
            self._note(self._associator.step(force=bool(fresh) and self.config.tracker.delay > 0))
            if self.memory is not None:
                self.memory.after(frame, observations, self.masks.newest(frame))

    def _track(self, seen: EmbeddedFrame) -> list[TrackObservation]:
        """Find the people of a frame again among the tracks of its camera."""
        frame = seen.frame
        self._sizes[frame.camera] = frame.size
        if frame.camera not in self._trackers:
            self._trackers[frame.camera] = self._tracker(frame.camera)
            self._holding.add(frame.camera, self._trackers[frame.camera])
        with self.statistics.stage("track"):
            # A cache holds the features of everybody: those that a run would not have made are hidden, so that both
            # give the same result.
            looks = seen.features if seen.embedded is None else _hide(seen.features, ~seen.embedded)
            best = self._best_scores().get(frame.camera)
            self._tell(
                self._first_minute.observe(
                    frame.camera, frame.time, seen.detections, looks, frame.size, best_score=best
                )
            )
            self._calibration.observe(looks, seen.detections.boxes)
            if self.ground is not None:
                self.ground.look(frame.camera, frame.time, seen.detections.boxes, seen.detections.scores, frame.size)
            self._keep_time(frame.time)
            observations = self._holding.follow(frame, seen.detections, looks, seen.motion)
            self.masks.push(frame, (seen.detections, seen.ignored), self._trackers[frame.camera], seen.motion)
            return observations

    def _best_scores(self) -> Mapping[str, float]:
        """The best score of a person so far, by camera, where the detector says so."""
        return {}

    def _tell(self, findings: list[tuple[str, str]]) -> None:
        """Log what was noticed, and keep it for the summary."""
        for camera, sentence in findings:
            log.warning("%s%s", f"camera '{camera}': " if camera else "", sentence)
            if not camera:
                self.statistics.findings.append(sentence)
            elif camera in self.statistics.cameras:
                self.statistics.cameras[camera].findings.append(sentence)

    def _keep_time(self, time: float) -> None:
        """Compare the cameras' clocks now and then, and put them right if that is wanted."""
        if not self.clocks.due(time):  # asking for all links in every frame would cost more the longer a run is
            return
        if self.clocks.update(time, self._associator.links) and self.ground is not None:
            self.ground.shift = dict(self.clocks.shift)

    def _end(self) -> Iterator[FrameResult]:
        with self.statistics.stage("associate"):
            observations, rest = self._holding.rest()
            self._observe(observations)
            self._note(self._associator.finish())
            self.clocks.finish(self.identities)
            self._tell(self._first_minute.finish(self._best_scores()))
        yield from self._results(rest)
        self.masks.finish()

    def _observe(self, observations: list[TrackObservation]) -> bool:
        """Hand observations to the association; whether any is of somebody new."""
        known = len(self._identities)
        for seen in observations:
            self.clocks.observe(seen.camera, seen.time, seen.tracks, self._sizes[seen.camera])
            time = seen.time + self.clocks.shift.get(seen.camera, 0.0)
            self._associator.observe(
                seen.camera, time, seen.tracks, seen.features, seen.quality, self._sizes[seen.camera]
            )
            for track_id in seen.tracks.ids.tolist():
                if (seen.camera, track_id) not in self._identities:
                    self._identities[seen.camera, track_id] = (0, 0.0)
                    self.statistics.cameras[seen.camera].tracks += 1
        return len(self._identities) > known

    def _results(self, items: Iterable[TrackedFrame]) -> list[FrameResult]:
        results = []
        for item in items:
            result = self.faults.guard(item.frame, partial(self._result, item))
            if result is not None:
                self.faults.passed(item.frame)
                results.append(result)
        return results

    def _result(self, item: TrackedFrame) -> FrameResult:
        """A frame with identities and probabilities as known when it is released."""
        frame, tracks = item.frame, item.tracks
        links = [self._associator.link(frame.camera, i) for i in tracks.ids.tolist()]
        count = self.statistics.cameras[frame.camera]
        count.frames += 1
        count.boxes += len(tracks)
        count.last_time = frame.time
        count.clocks[frame.clock] = count.clocks.get(frame.clock, 0) + 1
        if count.live:
            count.ages.add(self._clock.now() - frame.time)
        ids = np.array([g for g, _ in links], np.int64)
        probabilities = np.array([p for _, p in links], np.float32)
        calibrated = self.ground is not None and frame.camera in self.ground
        world = (
            self.ground.positions(frame.camera, frame.time, tracks.rows)
            if self.ground is not None and calibrated
            else None
        )
        return FrameResult(frame, tracks, ids, probabilities, item.features.visibility, world, self.masks.boxes(frame))

    def _note(self, events: list[IdentityEvent]) -> None:
        for event in events:
            if event.track_id:
                self._identities[event.camera, event.track_id] = (event.global_id, event.probability)
        events = self._of_people(events)
        self._events += events
        if self.memory is not None:
            self.memory.note(events)
        if len(self._identities) > self._settle_at and self.live:
            self._settle()

    def _of_people(self, events: list[IdentityEvent]) -> list[IdentityEvent]:
        """Events without those of tracks that are nobody; who is confirmed is kept."""
        self._unlinked |= {e.global_id for e in events if e.kind == "new"} & self._associator.unlinked
        kept = []
        for event in events:
            if event.kind in ("new", "expire") and event.global_id in self._unlinked:
                continue
            if event.kind == "link":
                self._unlinked.discard(event.global_id)
            if event.kind == "confirm" or (event.kind == "merge" and event.other_id in self._confirmed):
                self._confirmed.add(event.global_id)
            kept.append(event)
        return kept

    def _settle(self) -> None:
        """Let go of tracks whose identity has expired."""
        before, known = self.identities, self._associator.links
        gone = {key: found for key, found in self._identities.items() if key not in known and found[0]}
        for key in gone:
            del self._identities[key]
        settled = FinalIdentities({**self._settled, **gone}, confirmed=before.confirmed, unlinked=before.unlinked)
        self._settled = settled
        found = FinalIdentities(gone, confirmed=before.confirmed, unlinked=before.unlinked)
        self.statistics.settled += len(found.people)
        self.statistics.settled_people += found.count()
        over = {who for who, _ in gone.values()}
        self._confirmed -= over
        self._unlinked -= over
        self._settle_at = max(_MANY_TRACKS, 2 * len(self._identities))


def _hide(features: PartFeatures, rows: BoolArray) -> PartFeatures:
    """Features in which some people were not looked at."""
    if not np.count_nonzero(features.visibility[rows]):
        return features
    keep = ~rows
    return PartFeatures(features.parts * keep[:, None, None], features.visibility * keep[:, None])
