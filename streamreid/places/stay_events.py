"""Stays of people at places, and what is told of them: entered and left, first and last seen, loitering, crowds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from math import inf
from typing import Any

from streamreid.config import AlertConfig, ZoneConfig
from streamreid.places.alerts import Alerts
from streamreid.places.presence import Presence, Presences
from streamreid.places.records import EVERYWHERE, Crossing, PlaceEvent
from streamreid.places.site_clock import SiteClock
from streamreid.types import TrackKey

__all__ = ["ABSENT", "StayEvents"]

_UNDECIDED = 2.0
"""Seconds for which somebody who was first shown inside waits to be told until it is known who it is: mostly a person
who was there already and was lost for a moment."""

ABSENT = 30.0
"""Seconds after which a person whom no camera shows was last seen: the ways between two cameras mostly take less."""

_CAMERA_LOST = 5.0
"""The same for a camera's picture as a place: as a zone's ``lost_seconds``."""


class StayEvents:
    """Follows who is where, and tells of it.

    Args:
        alerts: Rules about places.
        clock: Of the site.
        last_shown: When a track was shown last, on that clock.

    Attributes:
        presences: Who is where.
        alerts: The rules, as they stand.
        names: Given to people, by global id.
        confirmed: Global ids of confirmed people, of whom first and last seen are told; None for all.
        passed: How many people came in and out, by place and direction.
        events: What was told.
        time: Capture time of the newest frame.
    """

    def __init__(
        self, alerts: Sequence[AlertConfig], clock: SiteClock, last_shown: Callable[[TrackKey], float]
    ) -> None:
        self.presences = Presences()
        self.alerts = Alerts(alerts, self.presences)
        self.names: dict[int, str] = {}
        self.confirmed: Collection[int] | None = None
        self.passed: dict[tuple[str, str], int] = {}
        self.events: list[PlaceEvent] = []
        self.time = 0.0
        self._clock = clock
        self._last_shown = last_shown
        self._zone_of: dict[str, ZoneConfig] = {}
        self._waiting: list[Presence] = []
        self._crowded: set[str] = set()

    def __repr__(self) -> str:
        return f"StayEvents(events={len(self.events)}, waiting={len(self._waiting)})"

    def redraw(self, zones: Sequence[ZoneConfig], gone: Iterable[str]) -> None:
        """Zones are others from now on.

        Args:
            zones: All of them.
            gone: Places that are no more: whoever is there has not left.
        """
        for name in gone:
            for presence in list(self.presences.at(name).values()):
                self.end(presence, left=False)
            self.passed = {key: count for key, count in self.passed.items() if key[0] != name}
            self._crowded.discard(name)
        self._zone_of = {zone.name: zone for zone in reversed(zones)}
        for name in self._zone_of:
            self.compare_occupancy(name)

    def tick(self, clock: float) -> None:
        """What time alone brings about.

        Args:
            clock: Seconds on the site's clock.
        """
        for presence in list(self._waiting):
            self._tell_waiting(presence)
        for presence in self.presences:
            if presence.empty_since is not None and clock - presence.empty_since > self._patience(presence.place):
                self.end_unseen(presence)
            elif presence.place in self._zone_of:
                self._loiters(presence)
        self.events += self.alerts.on_time(self.time, clock, self.names)

    def announce_waiting(self) -> None:
        """Tell who is inside, as far as that waited: most of the undecided are somebody who is inside already."""
        for presence in list(self._waiting):
            self._waiting.remove(presence)
            if presence.person > 0 and presence.place in self._zone_of and not presence.told:
                self._begin(presence)

    def finish(self) -> None:
        """The run is over: nobody has left."""
        for presence in self.presences:
            self.end_unseen(presence)
        self._waiting.clear()

    def crossed(self, crossing: Crossing) -> None:
        """A line was crossed."""
        key = crossing.line, crossing.direction
        self.passed[key] = self.passed.get(key, 0) + 1
        person = self.presences.person(crossing.key)
        self._tell(
            PlaceEvent(
                "line_crossed",
                crossing.time,
                crossing.line,
                crossing.camera,
                crossing.track_id,
                max(person, 0),
                self.names.get(person, ""),
                direction=crossing.direction,
                point=crossing.point,
                probability=crossing.probability,
                track_before=crossing.before,
            )
        )

    def open(self, place: str, key: TrackKey, start: float, since: float, *, entered: bool) -> None:
        """A track is at a place.

        Args:
            place: Name of the place.
            key: The track.
            start: Capture time from which it is there.
            since: The same on the site's clock.
            entered: Whether it came in; else it was first shown there.
        """
        presence = self.presences.open(place, key, start, since, entered=entered)
        if presence.told or presence in self._waiting:
            return
        if place in self._zone_of and (entered or presence.person > 0):
            self._begin(presence)
        else:
            self._waiting.append(presence)

    def _tell(self, *events: PlaceEvent) -> None:
        self.events += events
        self.events += self.alerts.on_events(events, self._clock.now)

    def _event(self, kind: Any, presence: Presence, time: float, *, left: bool = False) -> PlaceEvent:
        # The beginning is counted back, so that a stay lasts as long as it did whatever the clocks did meanwhile.
        dwell = self._clock.now - presence.since - max(self.time - time, 0.0)
        return PlaceEvent(
            kind,
            time,
            presence.place,
            presence.camera,
            presence.track_id,
            presence.global_id,
            self.names.get(presence.person, ""),
            start=time - max(dwell, 0.0),
            entered=presence.entered,
            left=left,
            occupancy=self.presences.occupancy(presence.place),
        )

    def _begin(self, presence: Presence) -> None:
        """A stay is told."""
        presence.told = True
        if presence.place in self._zone_of:
            if presence.entered:
                self.passed[presence.place, "in"] = self.passed.get((presence.place, "in"), 0) + 1
            self._tell(self._event("zone_entered", presence, presence.start))
            self.compare_occupancy(presence.place, presence.camera)
        elif presence.place == EVERYWHERE:
            self._tell(self._event("first_seen", presence, presence.start))

    def end(self, presence: Presence, *, left: bool, time: float | None = None) -> None:
        """A stay is over."""
        if presence in self._waiting:
            self._waiting.remove(presence)
            if presence.place in self._zone_of:
                self._begin(presence)
        self.presences.end(presence)
        if not presence.told:
            return
        time = self.time if time is None else time
        if presence.place in self._zone_of:
            if left:
                self.passed[presence.place, "out"] = self.passed.get((presence.place, "out"), 0) + 1
            self._tell(self._event("zone_left", presence, time, left=left))
            self.compare_occupancy(presence.place, presence.camera)
        elif presence.place == EVERYWHERE:
            self._tell(self._event("last_seen", presence, time))

    def joined(self, presence: Presence) -> None:
        """Two people at a place turned out to be one."""
        if presence.place in self._zone_of:
            self.compare_occupancy(presence.place, presence.camera)

    def compare_occupancy(self, place: str, camera: str = "") -> None:
        """Whether a zone holds as many people as are too many, and was not told so."""
        limit, people = self._zone_of[place].occupancy, self.presences.occupancy(place)
        if (people >= limit) == (place in self._crowded):
            return
        reached = people >= limit
        (self._crowded.add if reached else self._crowded.discard)(place)
        kind: Any = "occupancy_reached" if reached else "occupancy_ended"
        self._tell(PlaceEvent(kind, self.time, place, camera, occupancy=people))

    def end_unseen(self, presence: Presence) -> None:
        """A stay is over that ended when the person was shown last."""
        unseen = 0.0 if presence.empty_since is None else self._clock.now - presence.empty_since
        self.end(presence, left=False, time=self.time - unseen)

    def _tell_waiting(self, presence: Presence) -> None:
        """Whether a stay that began inside, or at the site, can be told now."""
        if presence.place not in self._zone_of:
            known = presence.person > 0 and (self.confirmed is None or presence.person in self.confirmed)
            ready = known or presence.place != EVERYWHERE
        else:
            ready = presence.person > 0 or self._clock.now - presence.since >= _UNDECIDED
        current = self.presences.at(presence.place).get(presence.person)
        if current is not presence:  # it is one with another by now
            self._waiting.remove(presence)
        elif ready:
            self._waiting.remove(presence)
            if not presence.told:
                self._begin(presence)

    def _patience(self, place: str) -> float:
        if place in self._zone_of:
            return 0.0
        return ABSENT if place == EVERYWHERE else _CAMERA_LOST

    def _loiters(self, presence: Presence) -> None:
        limit = self._zone_of[presence.place].loitering_time
        if not limit or not presence.told or "loitering" in presence.marks:
            return
        shown = max((self._last_shown(key) for key in presence.tracks), default=-inf)
        if shown - presence.since >= limit:  # and not somebody who was lost meanwhile
            presence.marks.add("loitering")
            self._tell(self._event("loitering", presence, self.time))
