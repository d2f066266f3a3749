"""Counts per hour and place for the gallery: they name nobody, and stay when the people are forgotten.

A live run counts an hour when it is over, in a thread of its own, and once more when tracks of it were given to
somebody else since; a recording is counted when it is over. Times that are no dates have no hours, and no counts.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

import numpy as np

from streamreid._threads import Thread
from streamreid.association import TrackLinks
from streamreid.gallery.records import HOUR, HourlyCount
from streamreid.places import PlaceLog, TrackSpan, count_people
from streamreid.places.link_graph import who_may_be_who
from streamreid.places.partition_sampling import PartitionSamples
from streamreid.places.records import EARLIEST_DATE
from streamreid.places.stays import people_of, visits_at
from streamreid.sinks import FinalIdentities
from streamreid.types import IdentityEvent, TrackKey

__all__ = ["HourlyCounts", "RunSnapshot", "samples_between"]

log = logging.getLogger(__name__)

_LATE = 60.0
"""Seconds after which an hour is counted: longer than tracks wait for their final id and cameras differ."""

_REVISION = 600.0
"""Least seconds between two looks at earlier hours, in which merges and splits gather."""

_REVISED = 23 * HOUR
"""Seconds after which an hour of a live run is not counted again: the records of places reach back for a day."""

_MOST_TRACKS = 500_000
"""Tracks whose identity is remembered: as many records as a live run keeps of places."""

_MOST_SAMPLED = 2000
"""Tracks of an hour for which there is an interval: sampling who may be who takes up to 20 s of a core then."""

_PATIENCE = 60.0
"""Seconds that intervals may take when a run is over; hours that are counted after that have none."""

Counts = dict[tuple[str, float], HourlyCount]


@dataclass(frozen=True, slots=True)
class RunSnapshot:
    """What counts are made of.

    Args:
        places: What tracks did at places.
        identities: Who is who.
        links: Which tracks may be one person.
    """

    places: PlaceLog
    identities: FinalIdentities
    links: TrackLinks


class HourlyCounts:
    """The counts of one run. All methods are called by the thread that follows people.

    Args:
        run: Name of the run.
        look: Gives what was seen so far.
        put: Takes counts by place and hour.
        live: Whether hours are counted while the run goes on.
    """

    def __init__(self, run: str, look: Callable[[], RunSnapshot], put: Callable[[Counts], None], *, live: bool) -> None:
        self._run, self._look, self._put, self._live = run, look, put, live
        self._known: dict[TrackKey, tuple[int, float]] = {}
        self._changed: set[int] = set()
        self._over, self._newest, self._looked = math.inf, -math.inf, -math.inf
        self._thread: threading.Thread | None = None
        self._finished = False

    def __repr__(self) -> str:
        return f"HourlyCounts({self._run!r}, live={self._live})"

    def note(self, events: Iterable[IdentityEvent]) -> None:
        """Take what was decided: tracks that are now somebody else's change the hours in which they were seen."""
        for event in events:
            if event.other_id and event.other_id != event.global_id:
                self._changed |= {event.global_id, event.other_id}

    def remember(self, identities: FinalIdentities) -> None:
        """Remember who tracks are: those who leave the search, or are forgotten, have been counted and stay so."""
        for key, (who, probability) in identities.items():
            self._known.pop(key, None)
            self._known[key] = (0 if who in identities.unlinked else who), probability
        for key in list(self._known)[: max(0, len(self._known) - _MOST_TRACKS)]:
            del self._known[key]

    def at(self, time: float) -> None:
        """While a live run goes on: count the hours that are over, and those that have changed.

        Args:
            time: Capture time of a frame.
        """
        if not self._live or time < EARLIEST_DATE:
            return
        self._newest = max(self._newest, time)
        over = _hour(self._newest - _LATE)
        if math.isinf(self._over):
            self._over, self._looked = _hour(time), time
        due = over > self._over or (self._changed and self._newest >= self._looked + _REVISION)
        if not due or (self._thread is not None and self._thread.is_alive()):
            return
        begun, self._over, self._looked = self._over, max(over, self._over), self._newest
        seen, changed = self._take()
        hours = _hours(seen.places.spans, begin=begun, end=self._over) | self._revised(seen, changed, begun)
        if hours:
            self._thread = Thread(target=self._count, args=(seen, hours), name="hourly-counts", daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """When the run is over: count what was not counted yet, and what has changed. Safe to call twice."""
        if self._finished:
            return
        self._finished = True
        if self._thread is not None:
            self._thread.join()
        seen, changed = self._take()
        begun = -math.inf if math.isinf(self._over) else self._over
        hours = _hours(seen.places.spans, begin=begun) | self._revised(seen, changed, begun)
        self._count(seen, hours, _PATIENCE)

    def _take(self) -> tuple[RunSnapshot, set[int]]:
        seen = self._look()
        self.remember(seen.identities)
        who = FinalIdentities(self._known, unlinked=seen.identities.unlinked | {0}, staff=seen.identities.staff)
        changed, self._changed = self._changed, set()
        return replace(seen, identities=who), changed

    def _revised(self, seen: RunSnapshot, changed: set[int], end: float) -> set[float]:
        """The hours before ``end`` in which somebody was seen who was taken for somebody else."""
        if not changed or math.isinf(end):
            return set()
        who = seen.identities
        spans = [s for s in seen.places.spans if who.get(s.key, (0, 0.0))[0] in changed]
        return _hours(spans, begin=self._newest - _REVISED, end=end)

    def _count(self, seen: RunSnapshot, hours: Iterable[float], patience: float = math.inf) -> None:
        """Count some hours, the latest first, and hand them on; whatever goes wrong, the run goes on."""
        begun = monotonic()
        try:
            for hour in sorted(hours, reverse=True):
                self._put(count_hour(self._run, seen, hour, sampled=monotonic() - begun < patience))
        except Exception:
            log.exception("hours could not be counted for the gallery; the run goes on")


def _hour(time: float) -> float:
    return time // HOUR * HOUR


def _hours(spans: Iterable[TrackSpan], *, begin: float = -math.inf, end: float = math.inf) -> set[float]:
    """When the hours began in which somebody was seen, from ``begin`` to before ``end``."""
    found: set[float] = set()
    for span in spans:
        if span.start >= EARLIEST_DATE:
            found.update(np.arange(_hour(span.start), span.end + 1e-6, HOUR).tolist())
    return {hour for hour in found if begin <= hour < end}


def count_hour(run: str, seen: RunSnapshot, hour: float, *, sampled: bool = True) -> Counts:
    """Counts of all places in an hour, nothing withheld.

    Args:
        run: Name of the run.
        seen: Of the run.
        hour: When it began, UTC seconds.
        sampled: Whether there are intervals, if the hour has not too many tracks.
    """
    told = seen.places
    dated = [times for times in told.watched.values() if times[0] >= EARLIEST_DATE]
    times = [*dated, *((s.start, s.end) for s in told.spans if s.start >= EARLIEST_DATE)]
    begin = max(hour, min(first for first, _ in times))
    end = min(hour + HOUR, math.nextafter(max(last for _, last in times), math.inf))
    everything = {name: replace(place, min_people=0) for name, place in told.places.items()}
    samples = samples_between(seen, begin, end) if sampled else None
    table = count_people(replace(told, places=everything), seen.identities, samples, start=begin, end=end)
    least = {name: place.min_people for name, place in told.places.items()}
    people = people_of(seen.identities)

    def tracks(place: str) -> int:
        return len({v.key for v in visits_at(told, (place,)) if v.start < end and v.end >= begin} & people.keys())

    return {
        (row["place"], hour): _record(run, hour, row, least.get(row["place"], 0), tracks(row["place"])) for row in table
    }


def samples_between(seen: RunSnapshot, begin: float, end: float) -> PartitionSamples | None:
    """Who may be who among the tracks of a period: whoever was not there does not change how many were.

    Args:
        seen: Of the run.
        begin: Capture time, seconds.
        end: After the last moment.

    Returns:
        None of more than 2,000 tracks.
    """
    spans = [s for s in seen.places.spans if s.start < end and s.end >= begin]
    if len(spans) > _MOST_SAMPLED:
        return None
    there = {s.key for s in spans}
    links = seen.links
    rows = [row for row, track in enumerate(links.tracks) if track.key in there]
    number = np.full(len(links.tracks) + 1, -1)
    number[rows] = np.arange(len(rows))
    pairs = number[links.pairs.reshape(-1, 2)]
    inside = (pairs >= 0).all(1)
    who = {key: found for key, found in seen.identities.items() if key in there}
    identities = FinalIdentities(who, unlinked=seen.identities.unlinked)
    tracks = [links.tracks[row].key for row in rows]
    return who_may_be_who(tracks, pairs[inside], links.log_odds[inside], identities, spans)


def _record(run: str, hour: float, row: Mapping[str, Any], least: int, tracks: int) -> HourlyCount:
    return HourlyCount(
        (run,),
        row["place"],
        hour,
        row["end"] - row["start"],
        row["visits"],
        row["entries"],
        row["exits"],
        row["re_entries"],
        row["passers_by"],
        row["occupancy_mean"],
        row["occupancy_max"],
        row["dwell_median"],
        row["dwell_p90"],
        row["unique"],
        row["unique_low"],
        row["unique_high"],
        least,
        tracks,
    )
