"""Follows people at the zones and lines of a run: results in, events and stored records out.

It needs results only, no picture, and so works the same live, over recordings, in replays, and afterwards over the
lines of a run's ``results.jsonl``.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import inf

from streamreid.config import AlertConfig, LineConfig, ZoneConfig
from streamreid.ground.camera_model import GroundCamera
from streamreid.places.camera_places import CameraPlaces
from streamreid.places.place_history import PlaceHistory
from streamreid.places.place_state import PlaceState
from streamreid.places.record_store import RecordStore
from streamreid.places.records import (
    EVERYWHERE,
    PlaceEvent,
    PlaceLog,
    Visit,
    camera_place,
    places_of,
)
from streamreid.places.site_clock import SiteClock
from streamreid.places.stay_events import ABSENT, StayEvents
from streamreid.places.track_table import Opened, TrackChanges
from streamreid.types import FrameResult, IdentityEvent, TrackKey

__all__ = ["PlaceMonitor", "PlaceState"]

_TICK = 0.5
"""Seconds between looks at what time alone brings about: loitering, alerts, people who were lost."""


class PlaceMonitor:
    """Zones, lines and alerts of a run.

    Example:
        >>> from streamreid import Config, Pipeline
        >>> zone = {"name": "left", "camera": "entrance", "polygon": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}
        >>> with Pipeline(Config.from_sources("entrance.mp4", zones=[zone])) as pipeline:
        ...     for result in pipeline:
        ...         events = pipeline.drain_place_events()
        >>> pipeline.places.log().place_names
        ('left', 'camera:entrance', 'everywhere')

    Args:
        zones: Of all cameras.
        lines: Of all cameras.
        alerts: Rules about them.
        calibrated: Calibrated cameras, for places on the ground.
        parts: Names of the engine's parts: those of the feet tell where feet are hidden.
        forget_after: Seconds after which a track that is not shown comes back no more.
        live: Whether the run has no end: old records are then not kept in memory.

    Attributes:
        history: Since when places are as they are; one of an earlier run in the same folder may be put in its place.
    """

    def __init__(
        self,
        zones: Sequence[ZoneConfig] = (),
        lines: Sequence[LineConfig] = (),
        alerts: Sequence[AlertConfig] = (),
        *,
        calibrated: Mapping[str, GroundCamera] | None = None,
        parts: Sequence[str] = (),
        forget_after: float = ABSENT,
        live: bool = False,
    ) -> None:
        self._zones, self._lines = tuple(zones), tuple(lines)
        self.history = PlaceHistory()
        self._calibrated = calibrated or {}
        self._feet = parts.index("feet") if "feet" in parts else None
        self._forget_after = forget_after
        self._lock = threading.RLock()
        self._clock = SiteClock()
        self._cameras: dict[str, CameraPlaces] = {}
        self._stays = StayEvents(alerts, self._clock, self._last_shown)
        self._stays.redraw(self._zones, ())
        self._records = RecordStore(live=live)
        self._next_tick = 0.0

    def __repr__(self) -> str:
        return f"PlaceMonitor(zones={len(self._zones)}, lines={len(self._lines)}, cameras={len(self._cameras)})"

    # ---------------------------------------------------------------- in

    def observe(self, result: FrameResult, *, confirmed: Collection[int] | None = None) -> list[PlaceEvent]:
        """Take a frame; of one camera in the order of their times.

        Args:
            result: People with identities.
            confirmed: Global ids of confirmed people, of whom first and last seen are told; None for all.

        Returns:
            What happened, also what ``drain_events`` gives.
        """
        with self._lock:
            before = len(self._stays.events)
            frame = result.frame
            camera, time = frame.camera, float(frame.time)
            self._stays.confirmed = confirmed
            self._stays.names.update(result.names)
            self._stays.time = time
            jumped = self._clock.frame(camera, time)
            self._records.watch(camera, time)
            places = self._cameras.get(camera)
            if places is None:
                places = self._cameras[camera] = CameraPlaces(
                    camera,
                    self._zones,
                    self._lines,
                    frame.size,
                    calibrated=self._calibrated.get(camera),
                    feet=self._feet,
                    forget_after=self._forget_after,
                )
            if jumped:
                self._records.keep_visits(places.table.restamp())
            self._apply(camera, places.observe(result, self._clock.now))
            if self._clock.now >= self._next_tick:
                self._tick()
            return self._stays.events[before:]

    def identity(self, event: IdentityEvent) -> None:
        """Follow what is believed of who is who: two people who are one are once at a place."""
        with self._lock:
            if event.kind == "merge":
                self._stays.presences.merge(event.other_id, event.global_id, self._stays.joined)
                self._stays.alerts.merge(event.other_id, event.global_id)
                for places in self._cameras.values():
                    places.table.merge(event.other_id, event.global_id)
            if event.kind == "rename" and event.summary is not None:
                self._stays.names[event.global_id] = event.name

    def idle(self, seconds: float) -> None:
        """No camera gave a frame for so long."""
        with self._lock:
            self._clock.pass_by(seconds)
            self._stays.time += seconds
            if self._clock.now >= self._next_tick:
                self._tick()

    def remove(self, camera: str) -> None:
        """A camera was taken out: whoever it showed is lost there."""
        with self._lock:
            places = self._cameras.pop(camera, None)
            if places is not None:
                self._apply(camera, places.table.finish())
            self._clock.forget(camera)

    def finish(self) -> None:
        """The run ends: whoever is inside is closed as not left."""
        with self._lock:
            self._stays.announce_waiting()
            for camera in list(self._cameras):
                self.remove(camera)
            self._stays.finish()

    def change(self, zones: Sequence[ZoneConfig], lines: Sequence[LineConfig]) -> None:
        """Zones and lines are others from now on; from any thread. What is unchanged goes on as if nothing had
        happened. In a new zone whoever is there is first shown inside, and has not entered. Where an outline moves over
        somebody, they have neither entered nor left. Records of places that are taken out stay.

        Args:
            zones: All of them, checked.
            lines: All of them, checked.
        """
        with self._lock:
            time = self._stays.time if self._records.watched else None
            self.history.follow([*self._zones, *self._lines], [*zones, *lines], sorted(self._records.watched), time)
            for camera, places in self._cameras.items():
                self._apply(camera, places.redraw(zones, lines))
            gone = _names(self._zones, self._lines) - _names(zones, lines)
            self._zones, self._lines = tuple(zones), tuple(lines)
            self._stays.redraw(self._zones, gone)

    # ---------------------------------------------------------------- out

    @property
    def zones(self) -> tuple[ZoneConfig, ...]:
        """As they are drawn now."""
        return self._zones

    @property
    def lines(self) -> tuple[LineConfig, ...]:
        """As they are drawn now."""
        return self._lines

    def drain_events(self) -> list[PlaceEvent]:
        """Events since the last call."""
        with self._lock:
            events, self._stays.events = self._stays.events, []
            return events

    def drain_visits(self) -> list[Visit]:
        """Visits of tracks that ended since the last call."""
        with self._lock:
            return self._records.drain_visits()

    def log(self) -> PlaceLog:
        """The records so far; visits that go on end now, as not left. Of a run without end those of the last day."""
        with self._lock:
            tables = [places.table for places in self._cameras.values()]
            cameras = {*self._records.watched, *(z.camera for z in self._zones if z.camera is not None)}
            return self._records.log(
                [visit for table in tables for visit in table.open_visits()],
                [span for table in tables for span in table.spans()],
                self.history.dated(places_of(self._zones, self._lines, sorted(cameras))),
            )

    @property
    def states(self) -> list[PlaceState]:
        """All places as they are now: zones, lines, cameras, the site. From any thread."""
        with self._lock:
            cameras = tuple(sorted(self._records.watched))
            known = places_of(self._zones, self._lines, cameras)
            dated = [place for place in self.history.dated(known).values() if place.until is None]
            states = [self._state(p.name, p.kind, p.cameras, p.since, p.redrawn) for p in dated]
            states += [self._state(camera_place(c), "camera", (c,)) for c in cameras]
            return [*states, self._state(EVERYWHERE, "site", cameras)]

    def _state(
        self, name: str, kind: str, cameras: tuple[str, ...], since: float | None = None, redrawn: float | None = None
    ) -> PlaceState:
        told = [p for p in self._stays.presences.at(name).values() if p.told] if kind != "line" else []
        people = {p.person: p.start for p in told if p.person > 0}
        entries, exits = (self._stays.passed.get((name, direction), 0) for direction in ("in", "out"))
        return PlaceState(name, kind, cameras, len(told), people, entries, exits, since, redrawn)

    # ---------------------------------------------------------------- tracks

    def _apply(self, camera: str, changes: TrackChanges) -> None:
        """What changed of a camera's tracks, as changes of people."""
        clock, everywhere = self._clock.now, (camera_place(camera), EVERYWHERE)
        for track_id, _, who in changes.renamed:
            if who > 0:
                self._stays.presences.rename((camera, track_id), who, self._stays.joined)
        for track_id in changes.begun:
            for place in everywhere:
                self._stays.open(place, (camera, track_id), self._stays.time, clock, entered=False)
        for opened in changes.opened:
            self._open_visit(camera, opened, clock)
        for crossing in changes.crossings:
            self._records.keep_crossing(crossing)
            self._stays.crossed(crossing)
        self._records.keep_visits(changes.closed)
        for visit in changes.closed:
            presence = self._stays.presences.close(visit.place, visit.key, clock)
            if presence is not None:
                self._stays.end(presence, left=visit.left, time=visit.end)
        for span, last in changes.ended:
            self._records.spans.append(span)
            for place in everywhere:
                self._stays.presences.close(place, span.key, last)
            self._stays.presences.forget(span.key)

    def _open_visit(self, camera: str, opened: Opened, clock: float) -> None:
        since = clock - min(max(self._stays.time - opened.start, 0.0), clock)
        self._stays.open(opened.place, (camera, opened.track_id), opened.start, since, entered=opened.entered)

    def _tick(self) -> None:
        """What time alone brings about."""
        clock = self._clock.now
        self._next_tick = clock + _TICK
        for camera, places in self._cameras.items():
            self._apply(camera, places.table.expire(clock))
        self._stays.tick(clock)
        self._records.drop_old(self._stays.time)

    def _last_shown(self, key: TrackKey) -> float:
        camera = self._cameras.get(key[0])
        return -inf if camera is None else camera.table.last_shown(key[1])


def _names(zones: Iterable[ZoneConfig], lines: Iterable[LineConfig]) -> set[str]:
    return {zone.name for zone in zones} | {line.name for line in lines}
