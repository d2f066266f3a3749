"""Follows people at the zones and lines of a run: results in, events and stored records out.

It needs results only, no picture, and so works the same live, over recordings, in replays, and afterwards over the
lines of a run's ``results.jsonl``.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import inf
from typing import Any

from streamreid.config import AlertConfig, LineConfig, ZoneConfig
from streamreid.ground.camera_model import GroundCamera
from streamreid.places.alerts import Alerts
from streamreid.places.camera_places import CameraPlaces
from streamreid.places.place_history import PlaceHistory
from streamreid.places.place_state import PlaceState
from streamreid.places.presence import Presence, Presences
from streamreid.places.record_store import RecordStore
from streamreid.places.records import (
    EVERYWHERE,
    Crossing,
    PlaceEvent,
    PlaceLog,
    Visit,
    camera_place,
    places_of,
)
from streamreid.places.site_clock import SiteClock
from streamreid.places.track_table import Opened, TrackChanges
from streamreid.types import FrameResult, IdentityEvent, TrackKey

__all__ = ["PlaceMonitor", "PlaceState"]

_TICK = 0.5
"""Seconds between looks at what time alone brings about: loitering, alerts, people who were lost."""

_UNDECIDED = 2.0
"""Seconds for which somebody who was first shown inside waits to be told until it is known who it is: mostly a person
who was there already and was lost for a moment."""

_ABSENT = 30.0
"""Seconds after which a person whom no camera shows was last seen: the ways between two cameras mostly take less."""

_CAMERA_LOST = 5.0
"""The same for a camera's picture as a place: as a zone's ``lost_seconds``."""


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
        forget_after: float = _ABSENT,
        live: bool = False,
    ) -> None:
        self._draw(zones, lines)
        self.history = PlaceHistory()
        self._calibrated = calibrated or {}
        self._feet = parts.index("feet") if "feet" in parts else None
        self._forget_after = forget_after
        self._lock = threading.RLock()
        self._clock = SiteClock()
        self._cameras: dict[str, CameraPlaces] = {}
        self._presences = Presences()
        self._alerts = Alerts(alerts, self._presences)
        self._names: dict[int, str] = {}
        self._confirmed: Collection[int] | None = None
        self._waiting: list[Presence] = []
        self._crowded: set[str] = set()
        self._passed: dict[tuple[str, str], int] = {}
        self._records = RecordStore(live=live)
        self._events: list[PlaceEvent] = []
        self._next_tick = 0.0
        self._time = 0.0

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
            before = len(self._events)
            frame = result.frame
            camera, time = frame.camera, float(frame.time)
            self._confirmed = confirmed
            self._names.update(result.names)
            self._time = time
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
            return self._events[before:]

    def identity(self, event: IdentityEvent) -> None:
        """Follow what is believed of who is who: two people who are one are once at a place."""
        with self._lock:
            if event.kind == "merge":
                self._presences.merge(event.other_id, event.global_id, self._joined)
                self._alerts.merge(event.other_id, event.global_id)
                for places in self._cameras.values():
                    places.table.merge(event.other_id, event.global_id)
            if event.kind == "rename" and event.summary is not None:
                self._names[event.global_id] = event.name

    def idle(self, seconds: float) -> None:
        """No camera gave a frame for so long."""
        with self._lock:
            self._clock.pass_by(seconds)
            self._time += seconds
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
            for presence in list(self._waiting):  # most of the undecided are somebody who is inside already
                self._waiting.remove(presence)
                if presence.person > 0 and presence.place in self._zone_of and not presence.told:
                    self._begin(presence)
            for camera in list(self._cameras):
                self.remove(camera)
            for presence in self._presences:
                self._end_unseen(presence)
            self._waiting.clear()

    def change(self, zones: Sequence[ZoneConfig], lines: Sequence[LineConfig]) -> None:
        """Zones and lines are others from now on; from any thread. What is unchanged goes on as if nothing had
        happened. In a new zone whoever is there is first shown inside, and has not entered. Where an outline moves over
        somebody, they have neither entered nor left. Records of places that are taken out stay.

        Args:
            zones: All of them, checked.
            lines: All of them, checked.
        """
        with self._lock:
            time = self._time if self._records.watched else None
            self.history.follow([*self._zones, *self._lines], [*zones, *lines], sorted(self._records.watched), time)
            for camera, places in self._cameras.items():
                self._apply(camera, places.redraw(zones, lines))
            for name in _names(self._zones, self._lines) - _names(zones, lines):
                for presence in list(self._presences.at(name).values()):
                    self._end(presence, left=False)
                self._passed = {key: count for key, count in self._passed.items() if key[0] != name}
                self._crowded.discard(name)
            self._draw(zones, lines)
            for name in self._zone_of:
                self._compare_occupancy(name)

    def _draw(self, zones: Sequence[ZoneConfig], lines: Sequence[LineConfig]) -> None:
        self._zones, self._lines = tuple(zones), tuple(lines)
        self._zone_of = {zone.name: zone for zone in reversed(self._zones)}

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
            events, self._events = self._events, []
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
        told = [p for p in self._presences.at(name).values() if p.told] if kind != "line" else []
        people = {p.person: p.start for p in told if p.person > 0}
        entries, exits = (self._passed.get((name, direction), 0) for direction in ("in", "out"))
        return PlaceState(name, kind, cameras, len(told), people, entries, exits, since, redrawn)

    # ---------------------------------------------------------------- tracks

    def _apply(self, camera: str, changes: TrackChanges) -> None:
        """What changed of a camera's tracks, as changes of people."""
        clock, everywhere = self._clock.now, (camera_place(camera), EVERYWHERE)
        for track_id, _, who in changes.renamed:
            if who > 0:
                self._presences.rename((camera, track_id), who, self._joined)
        for track_id in changes.begun:
            for place in everywhere:
                self._open(place, (camera, track_id), self._time, clock, entered=False)
        for opened in changes.opened:
            self._open_visit(camera, opened, clock)
        for crossing in changes.crossings:
            self._cross(crossing)
        self._records.keep_visits(changes.closed)
        for visit in changes.closed:
            presence = self._presences.close(visit.place, visit.key, clock)
            if presence is not None:
                self._end(presence, left=visit.left, time=visit.end)
        for span, last in changes.ended:
            self._records.spans.append(span)
            for place in everywhere:
                self._presences.close(place, span.key, last)
            self._presences.forget(span.key)

    def _open_visit(self, camera: str, opened: Opened, clock: float) -> None:
        since = clock - min(max(self._time - opened.start, 0.0), clock)
        self._open(opened.place, (camera, opened.track_id), opened.start, since, entered=opened.entered)

    def _open(self, place: str, key: TrackKey, start: float, since: float, *, entered: bool) -> None:
        presence = self._presences.open(place, key, start, since, entered=entered)
        if presence.told or presence in self._waiting:
            return
        if place in self._zone_of and (entered or presence.person > 0):
            self._begin(presence)
        else:
            self._waiting.append(presence)

    def _cross(self, crossing: Crossing) -> None:
        self._records.keep_crossing(crossing)
        key = crossing.line, crossing.direction
        self._passed[key] = self._passed.get(key, 0) + 1
        person = self._presences.person(crossing.key)
        self._tell(
            PlaceEvent(
                "line_crossed",
                crossing.time,
                crossing.line,
                crossing.camera,
                crossing.track_id,
                max(person, 0),
                self._names.get(person, ""),
                direction=crossing.direction,
                point=crossing.point,
                probability=crossing.probability,
                track_before=crossing.before,
            )
        )

    # ---------------------------------------------------------------- people

    def _tell(self, *events: PlaceEvent) -> None:
        self._events += events
        self._events += self._alerts.on_events(events, self._clock.now)

    def _event(self, kind: Any, presence: Presence, time: float, *, left: bool = False) -> PlaceEvent:
        # The beginning is counted back, so that a stay lasts as long as it did whatever the clocks did meanwhile.
        dwell = self._clock.now - presence.since - max(self._time - time, 0.0)
        return PlaceEvent(
            kind,
            time,
            presence.place,
            presence.camera,
            presence.track_id,
            presence.global_id,
            self._names.get(presence.person, ""),
            start=time - max(dwell, 0.0),
            entered=presence.entered,
            left=left,
            occupancy=self._presences.occupancy(presence.place),
        )

    def _begin(self, presence: Presence) -> None:
        """A stay is told."""
        presence.told = True
        if presence.place in self._zone_of:
            if presence.entered:
                self._passed[presence.place, "in"] = self._passed.get((presence.place, "in"), 0) + 1
            self._tell(self._event("zone_entered", presence, presence.start))
            self._compare_occupancy(presence.place, presence.camera)
        elif presence.place == EVERYWHERE:
            self._tell(self._event("first_seen", presence, presence.start))

    def _end(self, presence: Presence, *, left: bool, time: float | None = None) -> None:
        """A stay is over."""
        if presence in self._waiting:
            self._waiting.remove(presence)
            if presence.place in self._zone_of:
                self._begin(presence)
        self._presences.end(presence)
        if not presence.told:
            return
        time = self._time if time is None else time
        if presence.place in self._zone_of:
            if left:
                self._passed[presence.place, "out"] = self._passed.get((presence.place, "out"), 0) + 1
            self._tell(self._event("zone_left", presence, time, left=left))
            self._compare_occupancy(presence.place, presence.camera)
        elif presence.place == EVERYWHERE:
            self._tell(self._event("last_seen", presence, time))

    def _joined(self, presence: Presence) -> None:
        """Two people at a place turned out to be one."""
        if presence.place in self._zone_of:
            self._compare_occupancy(presence.place, presence.camera)

    def _compare_occupancy(self, place: str, camera: str = "") -> None:
        limit, people = self._zone_of[place].occupancy, self._presences.occupancy(place)
        if (people >= limit) == (place in self._crowded):
            return
        reached = people >= limit
        (self._crowded.add if reached else self._crowded.discard)(place)
        kind: Any = "occupancy_reached" if reached else "occupancy_ended"
        self._tell(PlaceEvent(kind, self._time, place, camera, occupancy=people))

    # ---------------------------------------------------------------- time

    def _tick(self) -> None:
        """What time alone brings about."""
        clock = self._clock.now
        self._next_tick = clock + _TICK
        for camera, places in self._cameras.items():
            self._apply(camera, places.table.expire(clock))
        for presence in list(self._waiting):
            self._tell_waiting(presence)
        for presence in self._presences:
            if presence.empty_since is not None and clock - presence.empty_since > self._patience(presence.place):
                self._end_unseen(presence)
            elif presence.place in self._zone_of:
                self._loiters(presence)
        self._events += self._alerts.on_time(self._time, clock, self._names)
        self._records.drop_old(self._time)

    def _end_unseen(self, presence: Presence) -> None:
        """A stay is over that ended when the person was shown last."""
        unseen = 0.0 if presence.empty_since is None else self._clock.now - presence.empty_since
        self._end(presence, left=False, time=self._time - unseen)

    def _tell_waiting(self, presence: Presence) -> None:
        """Whether a stay that began inside, or at the site, can be told now."""
        if presence.place not in self._zone_of:
            known = presence.person > 0 and (self._confirmed is None or presence.person in self._confirmed)
            ready = known or presence.place != EVERYWHERE
        else:
            ready = presence.person > 0 or self._clock.now - presence.since >= _UNDECIDED
        current = self._presences.at(presence.place).get(presence.person)
        if current is not presence:  # it is one with another by now
            self._waiting.remove(presence)
        elif ready:
            self._waiting.remove(presence)
            if not presence.told:
                self._begin(presence)

    def _patience(self, place: str) -> float:
        if place in self._zone_of:
            return 0.0
        return _ABSENT if place == EVERYWHERE else _CAMERA_LOST

    def _loiters(self, presence: Presence) -> None:
        limit = self._zone_of[presence.place].loitering_time
        if not limit or not presence.told or "loitering" in presence.marks:
            return
        shown = max((self._last_shown(key) for key in presence.tracks), default=-inf)
        if shown - presence.since >= limit:  # and not somebody who was lost meanwhile
            presence.marks.add("loitering")
            self._tell(self._event("loitering", presence, self._time))

    def _last_shown(self, key: TrackKey) -> float:
        camera = self._cameras.get(key[0])
        return -inf if camera is None else camera.table.last_shown(key[1])


def _names(zones: Iterable[ZoneConfig], lines: Iterable[LineConfig]) -> set[str]:
    return {zone.name for zone in zones} | {line.name for line in lines}
