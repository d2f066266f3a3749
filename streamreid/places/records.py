"""What is stored of tracks at places, and what is told of people there.

Times are capture times in seconds. A place is a zone, which may lie in several cameras under one name, a camera
(``camera:hall``) or the whole site (``everywhere``); the last two need no configuration and follow from the spans of
the tracks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from streamreid.config import LineConfig, ZoneConfig
from streamreid.types import TrackKey

__all__ = [
    "EARLIEST_DATE",
    "EVERYWHERE",
    "Crossing",
    "PlaceEvent",
    "PlaceEventKind",
    "PlaceInfo",
    "PlaceKind",
    "PlaceLog",
    "TrackSpan",
    "Visit",
    "camera_place",
    "places_of",
]

EVERYWHERE = "everywhere"
"""The name of the place that is the whole site."""

EARLIEST_DATE = 1e8
"""Capture times from which they are dates; smaller ones are seconds of recordings."""

_CAMERA = "camera:"

PlaceKind = Literal["zone", "line"]

Direction = Literal["in", "out"]

PlaceEventKind = Literal[
    "zone_entered",
    "zone_left",
    "line_crossed",
    "occupancy_reached",
    "occupancy_ended",
    "loitering",
    "first_seen",
    "last_seen",
    "alert",
]


def camera_place(camera: str) -> str:
    """The name of the place that is all of one camera's picture: ``camera:hall``."""
    return _CAMERA + camera


@dataclass(frozen=True, slots=True)
class PlaceInfo:
    """A zone or line as it was configured; what counts need to know of it.

    Args:
        name: In all cameras that show it.
        kind: Zone or line.
        cameras: That show it.
        queue: Whether the people in a zone wait in line.
        loitering_time: Seconds from which a stay in a zone is loitering; 0 for never.
        min_people: Counts of fewer people than this are withheld; 0 for none.
        since: Capture time from which it exists; None where it was there from the beginning of the run.
        redrawn: Capture time of the last change of its outline; None where there was none.
        until: Capture time at which it was taken out; None where it is still there.
    """

    name: str
    kind: PlaceKind
    cameras: tuple[str, ...]
    queue: bool = False
    loitering_time: float = 0.0
    min_people: int = 0
    since: float | None = None
    redrawn: float | None = None
    until: float | None = None


def places_of(zones: Sequence[ZoneConfig], lines: Sequence[LineConfig], cameras: Sequence[str]) -> dict[str, PlaceInfo]:
    """The places that are configured, by name.

    Args:
        zones: Of all cameras.
        lines: Of all cameras.
        cameras: Those that show what lies on the ground and names no camera.
    """
    found: dict[str, PlaceInfo] = {}
    for zone in zones:
        own = cameras if zone.camera is None else (zone.camera,)
        known = found[zone.name].cameras if zone.name in found else ()
        shown = tuple(dict.fromkeys([*known, *own]))
        found[zone.name] = PlaceInfo(zone.name, "zone", shown, zone.queue, zone.loitering_time, zone.min_people)
    for line in lines:
        own = cameras if line.camera is None else (line.camera,)
        known = found[line.name].cameras if line.name in found else ()
        found[line.name] = PlaceInfo(line.name, "line", tuple(dict.fromkeys([*known, *own])))
    return found


@dataclass(frozen=True, slots=True)
class TrackSpan:
    """From when to when a camera followed a track.

    Args:
        camera: Name of the camera.
        track_id: In that camera.
        start: First capture time.
        end: Last capture time.
        observations: Frames that show the track.
    """

    camera: str
    track_id: int
    start: float
    end: float
    observations: int = 1

    @property
    def key(self) -> TrackKey:
        """Camera and track id."""
        return self.camera, self.track_id

    def joined(self, later: TrackSpan) -> TrackSpan:
        """The span of a track that was forgotten and came back."""
        start, end = min(self.start, later.start), max(self.end, later.end)
        return TrackSpan(self.camera, self.track_id, start, end, self.observations + later.observations)


@dataclass(frozen=True, slots=True)
class Visit:
    """From when to when a track was in a zone.

    Args:
        place: Name of the zone; ``camera_place(...)`` or ``EVERYWHERE`` for visits that follow from track spans.
        camera: Name of the camera.
        track_id: In that camera.
        start: Capture time of the first frame inside.
        end: Capture time of the last frame inside.
        entered: Whether the track came in over the boundary; False where it began inside.
        left: Whether it went out over the boundary; False where it was lost, or the run ended, inside.
    """

    place: str
    camera: str
    track_id: int
    start: float
    end: float
    entered: bool = False
    left: bool = False

    @property
    def key(self) -> TrackKey:
        """Camera and track id."""
        return self.camera, self.track_id

    @property
    def dwell(self) -> float:
        """Seconds from the first to the last frame inside."""
        return self.end - self.start

    def to_dict(self) -> dict[str, Any]:
        """As JSON can say it."""
        return {
            "place": self.place,
            "camera": self.camera,
            "track_id": self.track_id,
            "start": round(self.start, 6),
            "end": round(self.end, 6),
            "entered": self.entered,
            "left": self.left,
        }


@dataclass(frozen=True, slots=True)
class Crossing:
    """A track crossed a line.

    Args:
        line: Name of the line.
        camera: Name of the camera.
        track_id: In that camera.
        time: Capture time at which the track was first on the other side.
        direction: Looking from the line's first point to its second, ``in`` leads to the right-hand side.
        point: Where the track crossed, in pixels of the camera (metres where the line is on the ground).
        probability: That this person crossed: 1 where one track shows it, that of the link where one track ended before
            the line and the person's next one began behind it.
        before: Track id of the one that ended before the line, where this is so; else 0. The crossing counts only while
            both are one person.
    """

    line: str
    camera: str
    track_id: int
    time: float
    direction: Direction
    point: tuple[float, float] = (float("nan"), float("nan"))
    probability: float = 1.0
    before: int = 0

    @property
    def key(self) -> TrackKey:
        """Camera and track id."""
        return self.camera, self.track_id


@dataclass(frozen=True, slots=True)
class PlaceEvent:
    """Something happened at a place, told of a person as known at that time.

    ``zone_entered``: a person came into a zone. ``zone_left``: left it, after ``dwell`` seconds. ``line_crossed``.
    ``occupancy_reached``: so many people are in the zone as its ``occupancy`` says; ``occupancy_ended``: fewer again.
    ``loitering``: a person has been in the zone for its ``loitering_time``. ``first_seen``: a person comes into view of
    the site; ``last_seen``: no camera has shown them for a while; ``time`` is when one last did, ``dwell`` for how long
    they were there. ``alert``: a rule holds.

    Args:
        kind: What happened.
        time: Capture time in seconds.
        place: Zone, line, ``EVERYWHERE`` for first and last seen.
        camera: That showed it; '' where several or none did.
        track_id: 0 where no single track is meant.
        global_id: Who, as believed then; 0 where that is not decided, or nobody in particular is meant.
        name: Of the identity; '' if it has none.
        start: When the visit began; None where there is none.
        entered: Whether the visit began at the boundary.
        left: Whether the visit ended at the boundary.
        direction: Of a crossing: ``in`` or ``out``; else ''.
        point: Of a crossing, in pixels (metres on the ground); else None.
        probability: Of a crossing: below 1 where it lies between two tracks of the person.
        track_before: Of such a crossing, the first of both tracks; else 0.
        occupancy: People in the zone after the event; None where it has none.
        rule: Of an alert, its text; else ''.
        alert: Of an alert, its name; else ''.
        value: Of an alert, what was measured; else None.
        suppressed: Of an alert, how many times it held since it was last told, and was not told because of its rate
            limit.
    """

    kind: PlaceEventKind
    time: float
    place: str = ""
    camera: str = ""
    track_id: int = 0
    global_id: int = 0
    name: str = ""
    start: float | None = None
    entered: bool = False
    left: bool = False
    direction: str = ""
    point: tuple[float, float] | None = None
    occupancy: int | None = None
    rule: str = ""
    alert: str = ""
    value: float | None = None
    suppressed: int = 0
    probability: float = 1.0
    track_before: int = 0

    @property
    def dwell(self) -> float | None:
        """Seconds from the beginning of the visit to the event; None where there is no visit."""
        return None if self.start is None else self.time - self.start

    def to_dict(self) -> dict[str, Any]:
        """As JSON can say it: what the event's kind has, and no more. What is not known is None."""
        values: dict[str, Any] = {"kind": self.kind, "time": round(self.time, 6), "place": self.place}
        if self.alert:
            values |= {"alert": self.alert, "rule": self.rule, "suppressed": self.suppressed}
            values["value"] = None if self.value is None else round(self.value, 3)
        values["camera"] = self.camera or None
        if self.kind in ("occupancy_reached", "occupancy_ended"):
            return {**values, "occupancy": self.occupancy}
        values |= {"track_id": self.track_id or None, "global_id": self.global_id or None}
        if self.name:
            values["name"] = self.name
        if self.direction:
            values["direction"] = self.direction
        if self.point is not None:
            values["point"] = [round(self.point[0], 3), round(self.point[1], 3)]
        if self.probability < 1.0:
            values["probability"] = round(self.probability, 4)
        if self.track_before:
            values["track_before"] = self.track_before
        if self.start is not None and self.dwell is not None:
            values |= {"start": round(self.start, 6), "dwell": round(self.dwell, 3)}
        if self.kind in ("zone_entered", "zone_left"):
            values["entered"] = self.entered
        if self.kind == "zone_left":
            values["left"] = self.left
        if self.occupancy is not None:
            values["occupancy"] = self.occupancy
        return values


@dataclass(frozen=True, slots=True)
class PlaceLog:
    """What a run stored of tracks at places. Nothing in it depends on who is who.

    A run that goes on has one in ``Run.places.log()``; ``streamreid.runs.place_log.read_place_log(folder)`` reads that
    of a run folder, or makes it anew for other zones than those of the run.

    Args:
        visits: Of zones, by their end.
        crossings: Of lines, by time.
        spans: Of all tracks.
        places: The zones and lines as configured, by name.
        watched: First and last capture time of each camera, also where it showed nobody.
    """

    visits: tuple[Visit, ...] = ()
    crossings: tuple[Crossing, ...] = ()
    spans: tuple[TrackSpan, ...] = ()
    places: Mapping[str, PlaceInfo] = field(default_factory=dict)
    watched: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def place_names(self) -> tuple[str, ...]:
        """Everything that can be counted: zones, cameras, the whole site."""
        zones = [name for name, place in self.places.items() if place.kind == "zone"]
        cameras = sorted({*self.watched, *(span.camera for span in self.spans)})
        return (*zones, *map(camera_place, cameras), EVERYWHERE)

    def visits_of(self, place: str) -> Iterator[Visit]:
        """The visits of a zone; of a camera or the site those that follow from the spans of the tracks.

        Raises:
            KeyError: There is no such place.
        """
        if place == EVERYWHERE or (place.startswith(_CAMERA) and place in self.place_names):
            camera = place.removeprefix(_CAMERA)
            for span in self.spans:
                if place == EVERYWHERE or span.camera == camera:
                    yield Visit(place, span.camera, span.track_id, span.start, span.end)
        elif place in self.places:
            yield from (visit for visit in self.visits if visit.place == place)
        else:
            raise KeyError(place)
