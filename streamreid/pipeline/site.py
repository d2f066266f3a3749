"""The people's half of a run: track updates in, frames with identities and events out. It needs no picture, no detector
and no engine.

In one process it is fed by perception or by a replay. Elsewhere it takes updates that came as bytes; the results are
the same to the last digit::

    site = Site(config, engine)
    for data in received:
        for result in site.process(TrackUpdate.from_bytes(data)):
            ...
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from streamreid.association import TrackLinks
from streamreid.association.identity_view import IdentityEntry, IdentityView
from streamreid.association.learnt_cameras import LearntCameras
from streamreid.cameras.statistics import CameraCount, Statistics
from streamreid.config import Config
from streamreid.features.similarity import SiteCalibration
from streamreid.pipeline.clock_monitor import ClockMonitor
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.pipeline.frame_faults import FrameFaults
from streamreid.pipeline.ground_plane import load_calibrations
from streamreid.pipeline.kept_learning import begin_with
from streamreid.pipeline.live_corrections import LiveCorrections
from streamreid.pipeline.run_state import RunState
from streamreid.pipeline.second_looks import FurtherPictures
from streamreid.pipeline.site_parts import associator_of, gallery_of, ground_of, places_of, second_looks_of
from streamreid.places.records import PlaceEvent
from streamreid.sinks import FinalIdentities, PeopleCount
from streamreid.sources import SystemClock
from streamreid.track_update import TrackedFrame, TrackObservation, TrackUpdate
from streamreid.types import Frame, FrameResult, IdentityEvent, Tracklet

if TYPE_CHECKING:
    from streamreid.ground.camera_model import GroundCamera
    from streamreid.pipeline.gallery_sync import GallerySync
    from streamreid.pipeline.hourly_counts import HourlyCounts, RunSnapshot

__all__ = ["Site"]

_MANY_TRACKS = 2_000
"""Tracks from which those of expired identities are let go: each takes half a KB, and to look for them milliseconds."""


class Site:
    """Identities across the cameras of a site.

    Args:
        config: Cameras and settings.
        engine: Which made the features.
        live: Whether any camera is live: what is over is then let go, so that memory does not grow.
        begin: Where the ids of an earlier run end.
        statistics: Where frames and tracks are counted.
        faults: Keeps what no code expected to the camera it came from.
        calibrated: Calibrated cameras by name; default those of ``config``, which are then read.
        pictures: Where further pictures of doubtful tracks come from, if ``association.second_looks`` wants any.

    Attributes:
        associator: Which tracks are one person.
        ground: Where people stand, if cameras are calibrated.
        clocks: Whether the cameras' clocks agree.
        gallery: The gallery beside this run, if there is one.
        places: Who is at which zone, who crossed which line.
        corrections: Takes what people correct.
        view: What is believed about identities, as their events leave it.
        calibration: The engine's calibration as it follows the site.

    Raises:
        ConfigError: A calibration or the topology cannot be used, or a gallery is wanted without an engine.
        GalleryError: The gallery cannot be opened.
        EngineMismatchError: It holds features of another engine.
    """

    def __init__(
        self,
        config: Config,
        engine: EngineDescription,
        *,
        live: bool = False,
        begin: RunState | None = None,
        statistics: Statistics | None = None,
        faults: FrameFaults | None = None,
        calibrated: Mapping[str, GroundCamera] | None = None,
        pictures: FurtherPictures | None = None,
    ) -> None:
        self.config = config
        self.engine = engine
        self.begin = begin or RunState()
        self.statistics = statistics or Statistics({c.name: CameraCount() for c in config.cameras})
        self.live = live
        self._faults = faults or FrameFaults.counted(self.statistics)
        self._clock = SystemClock()
        self._lock = threading.RLock()
        self.calibration = SiteCalibration(engine.calibration)
        if calibrated is None:
            calibrated = load_calibrations(config)
        self.ground = ground_of(config, calibrated, live=live)
        # The clock of a recording on its own can be compared with no other.
        several = live or len(config.cameras) != 1
        self.clocks = ClockMonitor(config.association.clock if several else "off", calibrated, live=live)
        opened = gallery_of(config, engine, self.calibration, self.begin.global_id)
        self.associator = associator_of(config, engine, self.calibration, self.begin, opened, self.ground, live=live)
        begin_with(self.associator, self.begin.learnt, engine, [c.name for c in config.cameras])
        self._second_looks = second_looks_of(config, self.associator, self.statistics, pictures, live=live)
        self.view = IdentityView()
        self.gallery = None if opened is None else opened.beside(config, self.associator, self.view, engine)
        self.corrections = LiveCorrections(
            self.associator,
            self.view,
            lock=self._lock,
            note=self._note,
            gallery=None if self.gallery is None else self.gallery.corrections,
        )
        self.places = places_of(config, engine, calibrated, live=live)
        self.hours = None if self.gallery is None else self._count_hours(self.gallery)
        self._idle_since: float | None = None
        self._events: list[IdentityEvent] = []
        self._settled = FinalIdentities()
        self._settle_at = _MANY_TRACKS
        self._sizes: dict[str, tuple[int, int]] = {}

    def __repr__(self) -> str:
        return f"Site(cameras={len(self.config.cameras)}, {self.associator!r})"

    def close(self) -> None:
        """Write what is still to be written to the gallery and release it. Safe to call twice."""
        if self._second_looks is not None:
            self._second_looks.close()
        if self.hours is not None:
            self.hours.finish()
        if self.gallery is not None:
            self.gallery.close()

    # ---------------------------------------------------------------- updates in, results out

    def process(self, update: TrackUpdate) -> list[FrameResult]:
        """Take the next update, in the order in which perception made them.

        Returns:
            The frames that it releases, with identities and probabilities as known now.
        """
        with self._lock:
            released = update.released
            if update.removed:
                self._remove(update)
            elif update.last:
                self._finish(update)
            elif update.frame is None:
                if self.gallery is not None:
                    self.gallery.idle()
            elif not self._associate(update.frame, update):
                failed = update.frame.camera, update.frame.index
                released = tuple([item for item in released if (item.frame.camera, item.frame.index) != failed])
            results = self._results(released)
            self._follow_places(update)
            if self.hours is not None and update.frame is not None:
                self.hours.at(update.frame.time)
            return results

    def _follow_places(self, update: TrackUpdate) -> None:
        """What needs no result: cameras that are gone, time that passes, the end."""
        for camera in update.removed:
            self.places.remove(camera)
        if update.last:
            self.places.finish()
        if update.frame is not None:
            self._idle_since = None
        elif self.live and not update.last:
            now = monotonic()
            if self._idle_since is not None:
                self.places.idle(now - self._idle_since)
            self._idle_since = now

    def _associate(self, frame: Frame, update: TrackUpdate) -> bool:
        """Take what was seen in a frame; whether that could be done."""
        if self._second_looks is not None:  # before this frame, as it has stages of its own
            self._note(self._second_looks.due(frame.time))
        with self.statistics.stage("associate"):
            if not self._faults.guard(frame, lambda: self._place(frame, update)):
                return False
            if self.gallery is not None:
                self.gallery.before(frame.time)
            fresh = self._faults.guard(frame, lambda: self._observe(update.observations))
            if self._second_looks is not None:
                self._second_looks.observe(update)
            # Who was held back until their id was final is shown next: they are not to wait for the next regular step
            # as well.
            self._note(self.associator.step(force=bool(fresh) and self.config.tracker.lag > 0))
            if self.gallery is not None:
                self.gallery.after(frame, update.observations, update.blur_boxes)
        return True

    def _place(self, frame: Frame, update: TrackUpdate) -> bool:
        """What needs no identity: the similarity of different people, boxes on the ground, clocks."""
        self._sizes[frame.camera] = frame.size
        if update.impostors is not None:
            self.calibration.add(update.impostors)
        if self.ground is not None and update.detections is not None:
            self.ground.observe_boxes(
                frame.camera, frame.time, update.detections.boxes, update.detections.scores, frame.size
            )
        # Asking for all links in every frame would cost more the longer a run is.
        if (
            self.clocks.due(frame.time)
            and self.clocks.update(frame.time, self.associator.links)
            and self.ground is not None
        ):
            self.ground.set_clock_shift(self.clocks.shift)
        return True

    def _observe(self, observations: Iterable[TrackObservation]) -> bool:
        """Hand observations to the association; whether any is of somebody new."""
        fresh = False
        for seen in observations:
            self.clocks.observe(seen.camera, seen.time, seen.tracks, self._sizes[seen.camera])
            time = seen.time + self.clocks.shift.get(seen.camera, 0.0)
            self.associator.observe(
                seen.camera, time, seen.tracks, seen.features, seen.quality, self._sizes[seen.camera]
            )
            known = self.view.links
            for track_id in seen.tracks.ids.tolist():
                key = seen.camera, track_id
                if key not in known and self.view.register(key):
                    fresh = True
                    self.statistics.of(seen.camera).tracks += 1
        return fresh

    def _observe_held(self, observations: Iterable[TrackObservation]) -> None:
        """The same where no frame comes any more: what fails of one camera stops nothing else."""
        for seen in observations:
            self._faults.guard_held(seen.camera, partial(self._observe, [seen]))

    def _remove(self, update: TrackUpdate) -> None:
        """Keep nothing but identities of cameras that were taken out for good."""
        self._observe_held(update.observations)
        for camera in update.removed:
            self._sizes.pop(camera, None)
            self.clocks.forget(camera)

    def _finish(self, update: TrackUpdate) -> None:
        with self.statistics.stage("associate"):
            self._observe_held(update.observations)
        if self._second_looks is not None:
            self._second_looks.observe(update)
            self._note(self._second_looks.finish())
        with self.statistics.stage("associate"):
            self._note(self.associator.finish())
            self.clocks.finish(self.identities)

    def _results(self, released: Iterable[TrackedFrame]) -> list[FrameResult]:
        results = []
        for item in released:
            result = self._faults.guard(item.frame, partial(self._result, item))
            if result is not None:
                self._faults.passed(item.frame)
                results.append(result)
        return results

    def _result(self, item: TrackedFrame) -> FrameResult:
        frame = item.frame
        links = [self.associator.link(frame.camera, i) for i in item.tracks.ids.tolist()]
        ids = np.array([g for g, _ in links], np.int64)
        probabilities = np.array([p for _, p in links], np.float32)
        if (kept := item.one_box_each(ids)) is not None:
            item, ids, probabilities = item[kept], ids[kept], probabilities[kept]
        tracks = item.tracks
        count = self.statistics.of(frame.camera)
        count.frames += 1
        count.boxes += len(tracks)
        count.first_time = frame.time if count.first_time is None else count.first_time
        count.last_time = frame.time
        count.size = count.size or frame.size
        count.clocks[frame.clock] = count.clocks.get(frame.clock, 0) + 1
        if count.live:
            count.ages.add(self._clock.now() - frame.time)
        calibrated = self.ground is not None and frame.camera in self.ground
        world = (
            self.ground.positions(frame.camera, frame.time, tracks.rows)
            if self.ground is not None and calibrated
            else None
        )
        who = ids.tolist()
        self.view.observe(frame.camera, frame.time, who)
        known = self.view.names
        names = {g: known[g] for g in who if g in known} if known else {}
        result = FrameResult(
            frame, tracks, ids, probabilities, item.visibility, world, item.blur_boxes, names, item.colours
        )
        if self.gallery is not None:
            self.gallery.take_colours(frame.camera, tracks.ids.tolist(), item.colours)
        with self.statistics.stage("associate"):
            self.places.observe(result, confirmed=self.view.confirmed)
        return result

    # ---------------------------------------------------------------- what is believed

    def drain_events(self) -> list[IdentityEvent]:
        """Identity events since the last call."""
        events, self._events = self._events, []
        return events

    def drain_place_events(self) -> list[PlaceEvent]:
        """What happened at zones and lines since the last call."""
        return self.places.drain_events()

    @property
    def identities(self) -> FinalIdentities:
        """``{(camera, track_id): (global_id, link probability)}`` as believed now, of every track of the run but those
        that are settled.

        May be asked from any thread."""
        with self._lock:
            links = {**self.view.links, **self.associator.links}
            return FinalIdentities(
                links,
                confirmed=self.view.confirmed | self.associator.confirmed,
                unlinked=self.view.unlinked | self.associator.unlinked,
                names=self.view.names,
                staff=self.view.staff,
            )

    def pair_links(self) -> TrackLinks:
        """Which tracks may be one person, for counts with intervals; from any thread."""
        with self._lock:
            return self.associator.pair_links()

    def _seen(self) -> RunSnapshot:
        """What hours are counted from."""
        from streamreid.pipeline.hourly_counts import RunSnapshot

        return RunSnapshot(self.places.log(), self.identities, self.pair_links())

    def _count_hours(self, gallery: GallerySync) -> HourlyCounts:
        from streamreid.pipeline.hourly_counts import HourlyCounts  # only a gallery keeps hours

        return HourlyCounts(gallery.run, self._seen, gallery.put_counts, live=self.live)

    @property
    def entries(self) -> dict[int, IdentityEntry]:
        """Identities that are searched, with their names and when and where this run showed them; from any thread."""
        with self._lock:
            return self.view.copies()

    @property
    def people_count(self) -> PeopleCount:
        """People, confirmed people and unlinked tracks of the run so far, with those that are no longer listed in
        ``identities``."""
        return self.identities.count() + self.statistics.settled_people

    def drain_settled(self) -> FinalIdentities:
        """Tracks of identities that are no longer searched, once: in runs without end they leave ``identities``, so
        that memory does not grow."""
        if not self._settled:
            return self._settled
        settled, self._settled = self._settled, FinalIdentities()
        return settled

    def learnt(self) -> LearntCameras:
        """What was learnt of how the cameras relate, for the next run."""
        with self._lock:
            return self.associator.learnt(self.engine.fingerprint)

    @property
    def tracklets(self) -> list[Tracklet]:
        """The tracks of the association window (the last five minutes by default) with their part features."""
        return self.associator.tracklets

    def _note(self, events: list[IdentityEvent]) -> None:
        """Follow what was decided. Events of tracks that were seen too little to be a person are not handed on."""
        of_people = [event for event in events if self.view.apply(event)]
        self._events += of_people
        for event in of_people:
            self.places.identity(event)
        if self.gallery is not None:
            self.gallery.note(of_people)
        if self.hours is not None:
            self.hours.note(of_people)
        if len(self.view.links) > self._settle_at and self.live:
            self._release_expired()

    def _release_expired(self) -> None:
        """Let go of tracks whose identity has expired."""
        if self.gallery is not None:
            self.gallery.collect()  # events of those who are let go
        before, known = self.identities, self.associator.links
        if self.hours is not None:
            self.hours.remember(before)
        gone = {key: found for key, found in self.view.links.items() if key not in known and found[0]}
        self.view.release(gone)
        self._settled = FinalIdentities(
            {**self._settled, **gone},
            confirmed=before.confirmed,
            unlinked=before.unlinked,
            names={**self._settled.names, **before.names},
            staff=self._settled.staff | before.staff,
        )
        found = FinalIdentities(gone, confirmed=before.confirmed, unlinked=before.unlinked)
        self.statistics.settled += len(found.people)
        self.statistics.settled_people += found.count()
        self._settle_at = max(_MANY_TRACKS, 2 * len(self.view.links))
