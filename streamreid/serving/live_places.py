"""People at places, counts and flows of a live run, as they are now."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from streamreid.config.output import duration
from streamreid.pipeline import Pipeline
from streamreid.places import CountsTable, FlowsTable, count_flows, count_people
from streamreid.runs.questions import asked_places, moment
from streamreid.runs.recent_counts import SettledTracks, counts_of_last_hour
from streamreid.sinks import FinalIdentities

__all__ = ["LivePlaces"]

_FRESH = 15.0
"""Seconds for which the gauge's numbers are taken again: several servers may ask for them."""


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

    def zones(self) -> list[dict[str, Any]]:
        """Zones, lines, cameras and the site, and who is there now."""
        return [state.to_dict() for state in self._pipeline.places.states]

    def counts(self, every: str | None = None, **asked: Any) -> CountsTable:
        """Counts per place and period.

        Args:
            every: Length of the periods ("1h"); None: one period.
            asked: See `_question`.

        Raises:
            ConfigError: No such place or time.
        """
        log = self._pipeline.places.log()
        seconds = None if every is None else duration(every, "every")
        return count_people(log, self._who(), every=seconds, **self._question(log, **asked))

    def flows(self, **asked: Any) -> FlowsTable:
        """Moves between places.

        Raises:
            ConfigError: No such place or time.
        """
        log = self._pipeline.places.log()
        return count_flows(log, self._who(), **self._question(log, **asked))

    def recent(self) -> CountsTable:
        """Counts of the last hour, one row per place; counted anew after a while."""
        with self._lock:
            since, table = self._recent
            if table is None or time.monotonic() - since >= _FRESH:
                table = counts_of_last_hour(self._pipeline, self._settled)
                self._recent = time.monotonic(), table
            return table

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
