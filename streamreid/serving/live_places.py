"""People at places, counts and flows of a live run, as they are now."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from streamreid._threads import Thread
from streamreid.config.output import duration
from streamreid.pipeline import Pipeline
from streamreid.places import CountsTable, FlowsTable, PlaceLog, count_flows, count_people
from streamreid.places.link_graph import who_may_be_who
from streamreid.places.partition_sampling import PartitionSamples
from streamreid.runs.questions import asked_places, moment
from streamreid.runs.recent_counts import SettledTracks, counts_of_last_hour
from streamreid.sinks import FinalIdentities

__all__ = ["LivePlaces"]

_Interval = tuple[int, int, int]
"""How many more people the estimate says than were decided, and both ends of the interval."""

log = logging.getLogger(__name__)

_FRESH = 15.0
"""Seconds for which the gauge's numbers are taken again: several servers may ask for them."""

_SAMPLES_FRESH = 60.0
"""Seconds for which these samples are taken again."""

_REST = 20.0
"""Times as long as the gauge's intervals took until they are worked out again: a twentieth of a core at most."""


class LivePlaces:
    """Answers to questions about places; may be asked from any thread.

    Args:
        pipeline: The run.
        settled: Who the tracks were that it no longer lists.
    """

    def __init__(self, pipeline: Pipeline, settled: SettledTracks) -> None:
        self._pipeline, self._settled = pipeline, settled
        self._lock = threading.Lock()
        self._recent: tuple[float, CountsTable | None] = (-_FRESH, None)
        self._intervals: dict[str, _Interval] = {}
        self._due = self._stale = 0.0
        self._working_out = False
        self._sampling = threading.Lock()
        self._samples: tuple[float, PartitionSamples | None] = (-_SAMPLES_FRESH, None)

    def zones(self) -> list[dict[str, Any]]:
        """Zones, lines, cameras and the site, and who is there now."""
        return [state.to_dict() for state in self._pipeline.places.states]

    def counts(self, every: str | None = None, *, interval: bool = False, **asked: Any) -> CountsTable:
        """Counts per place and period.

        Args:
            every: Length of the periods ("1h"); None: one period.
            interval: Whether to work out the 90 % interval of ``unique``, which takes some seconds.
            asked: See `_question`.

        Raises:
            ConfigError: No such place or time.
        """
        log = self._pipeline.places.log()
        seconds = None if every is None else duration(every, "every")
        who = self._who()
        samples = self._who_may_be_who(log, who) if interval else None
        return count_people(log, who, every=seconds, samples=samples, **self._question(log, **asked))

    def flows(self, **asked: Any) -> FlowsTable:
        """Moves between places.

        Raises:
            ConfigError: No such place or time.
        """
        log = self._pipeline.places.log()
        return count_flows(log, self._who(), **self._question(log, **asked))

    def recent(self) -> CountsTable:
        """Counts of the last hour, one row per place; counted anew after a while. Intervals are worked out meanwhile
        and follow: there are none at first, nor where nobody asked for a long time."""
        with self._lock:
            since, table = self._recent
            if table is None or time.monotonic() - since >= _FRESH:
                table = counts_of_last_hour(self._pipeline, self._settled)
                self._recent = time.monotonic(), table
            now = time.monotonic()
            if now >= self._due and not self._working_out:
                self._working_out = True
                Thread(target=self._work_out_intervals, name="unique-people", daemon=True).start()
            found = self._intervals if now < self._stale else {}
            return replace(table, rows=tuple(_with_interval(row, found) for row in table))

    def _work_out_intervals(self) -> None:
        begun = time.monotonic()
        found: dict[str, _Interval] = {}
        try:
            decided = {row["place"]: row["unique"] for row in counts_of_last_hour(self._pipeline, self._settled)}
            for row in counts_of_last_hour(self._pipeline, self._settled, interval=True):
                if row["unique_low"] is not None:
                    more = row["unique"] - (decided.get(row["place"]) or 0)
                    found[row["place"]] = more, row["unique_low"], row["unique_high"]
        except Exception:
            log.exception("the interval of the different people of the last hour could not be worked out")
        with self._lock:
            now = time.monotonic()
            rest = max(_SAMPLES_FRESH, _REST * (now - begun))
            self._intervals, self._due, self._stale = found, now + rest, now + 2 * rest
            self._working_out = False

    def _who_may_be_who(self, log: PlaceLog, who: FinalIdentities) -> PartitionSamples:
        with self._sampling:
            since, samples = self._samples
            if samples is None or time.monotonic() - since >= _SAMPLES_FRESH:
                links = self._pipeline.site.pair_links()
                tracks = [track.key for track in links.tracks]
                samples = who_may_be_who(tracks, links.pairs, links.log_odds, who, log.spans)
                self._samples = time.monotonic(), samples
            return samples

    def _who(self) -> FinalIdentities:
        return self._settled.with_current(self._pipeline.identities)

    def _question(
        self,
        log: Any,
        *,
        places: Sequence[str] = (),
        since: str | None = None,
        until: str | None = None,
        min_people: int = 0,
    ) -> Mapping[str, Any]:
        """What was asked for, as counts and flows take it."""
        begin = min((first for first, _ in log.watched.values()), default=None)
        names, groups = asked_places(log, places)
        return {
            "places": names,
            "groups": groups,
            "start": None if since is None else moment(since, begin, "from"),
            "end": None if until is None else moment(until, begin, "to"),
            "min_people": min_people,
        }


def _with_interval(row: Mapping[str, Any], found: Mapping[str, _Interval]) -> Mapping[str, Any]:
    """A row with estimate and interval of a moment ago, which hold the number of now."""
    if row["unique"] is None or row["place"] not in found:
        return row
    more, low, high = found[row["place"]]
    unique = max(row["unique"] + more, row["occupancy_max"] or 0, 0)
    return {**row, "unique": unique, "unique_low": min(low, unique), "unique_high": max(high, unique)}
