"""Stays: for how long a person was at a place, joined from the visits of all tracks that are that person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from streamreid.places.records import EVERYWHERE, PlaceLog, Visit
from streamreid.types import TrackKey

__all__ = ["ABSENCE", "Identities", "Stay", "people_of", "staff_of", "stays_at", "visits_at"]

ABSENCE = 30.0
"""Seconds out of sight after which a person who is back has come anew. Shorter gaps are a head behind a pillar, a track
that broke, or the way between two cameras of one place."""


class Identities(Protocol):
    """Who is who: global id and link probability by track; ``sinks.FinalIdentities`` is one."""

    @property
    def unlinked(self) -> frozenset[int]:
        """Global ids that only number a track."""

    @property
    def names(self) -> Mapping[int, str]:
        """Names by global id."""

    @property
    def staff(self) -> frozenset[int]:
        """Global ids of people of whom somebody said that they work there."""

    def items(self) -> Iterable[tuple[TrackKey, tuple[int, float]]]:
        """Track and (global id, probability), of every track."""


@dataclass(frozen=True, slots=True)
class Stay:
    """A person was at a place.

    Args:
        place: Name of the place, or of the group of places.
        person: Global id.
        start: Capture time in seconds.
        end: Capture time in seconds.
        entered: Whether the person came in over the boundary.
        left: Whether the person went out over the boundary.
    """

    place: str
    person: int
    start: float
    end: float
    entered: bool = False
    left: bool = False

    @property
    def dwell(self) -> float:
        """Seconds."""
        return self.end - self.start


def people_of(identities: Identities) -> dict[TrackKey, int]:
    """The person of every track; tracks that were seen too little to be a person are left out."""
    return {key: who for key, (who, _) in identities.items() if who and who not in identities.unlinked}


def visits_at(log: PlaceLog, places: Iterable[str]) -> list[Visit]:
    """The visits of all of some places.

    Raises:
        KeyError: There is no such place.
    """
    return [visit for place in places for visit in log.visits_of(place)]


def stays_at(
    name: str, visits: Iterable[Visit], person: Mapping[TrackKey, int], *, absence: float = ABSENCE
) -> list[Stay]:
    """The stays of all people, by time.

    Args:
        name: Of the place or group.
        visits: Of tracks; those of nobody are passed over.
        person: Who each track is.
        absence: Seconds between two visits from which they are two stays.
    """
    each: dict[int, list[Visit]] = defaultdict(list)
    for visit in visits:
        who = person.get(visit.key)
        if who is not None:
            each[who].append(visit)
    stays = []
    for who, own in each.items():
        own.sort(key=lambda v: (v.start, v.end))
        first = last = own[0]  # of the stay: the visit that began it, and the one that ended last
        for visit in own[1:]:
            if visit.start - last.end > absence:
                stays.append(Stay(name, who, first.start, last.end, first.entered, last.left))
                first = last = visit
            elif visit.end >= last.end:
                last = visit
        stays.append(Stay(name, who, first.start, last.end, first.entered, last.left))
    return sorted(stays, key=lambda s: (s.start, s.end, s.person))


def staff_of(
    log: PlaceLog, identities: Identities, *, names: Iterable[str | int] = (), longer_than: float | None = None
) -> frozenset[int]:
    """Global ids of the people who work there and are not to be counted.

    Args:
        log: What was seen.
        identities: Who is who, and who was tagged as staff.
        names: Names, or global ids, of people who were named once.
        longer_than: Seconds in view of the site, all stays together, from which somebody is staff; None for no limit.
    """
    wanted = set(names)
    found = {who for who, name in identities.names.items() if name in wanted}
    found |= {who for who in wanted if isinstance(who, int)} | set(identities.staff)
    if longer_than is not None:
        total: dict[int, float] = defaultdict(float)
        for stay in stays_at(EVERYWHERE, log.visits_of(EVERYWHERE), people_of(identities), absence=0.0):
            total[stay.person] += stay.dwell
        found |= {who for who, seconds in total.items() if seconds > longer_than}
    return frozenset(found)
