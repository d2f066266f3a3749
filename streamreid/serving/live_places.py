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
from streamreid.sinks import FinalIdentities
from streamreid.types import TrackKey

__all__ = ["LivePlaces", "SettledTracks"]

_MOST_TRACKS = 500_000
"""Settled tracks that are remembered: as many records as a live run keeps of places."""

_WINDOW = 3600.0
"""Seconds of capture time that the gauge of different people looks back."""

_FRESH = 15.0
"""Seconds for which the gauge's numbers are taken again: several servers may ask for them."""


class SettledTracks:
    """Who the tracks were that the run no longer lists, because nobody searches for these people any more. Counts of
    the day still need them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tracks: dict[TrackKey, tuple[int, float]] = {}
        self._unlinked: set[int] = set()
        self._names: dict[int, str] = {}

    def add(self, identities: FinalIdentities) -> None:
        """Remember tracks that will not be named again."""
        with self._lock:
            self._tracks |= identities
            self._unlinked |= identities.unlinked
            self._names |= identities.names
            for key in list(self._tracks)[: max(0, len(self._tracks) - _MOST_TRACKS)]:
                who, _ = self._tracks.pop(key)
                self._unlinked.discard(who)

    def with_current(self, identities: FinalIdentities) -> FinalIdentities:
        """These and the tracks that the run lists."""
        with self._lock:
            return FinalIdentities(
                {**self._tracks, **identities},
                confirmed=identities.confirmed,
                unlinked=identities.unlinked | self._unlinked,
                names={**self._names, **identities.names},
            )


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
                log = self._pipeline.places.log()
                newest = max((last for _, last in log.watched.values()), default=0.0)
                table = count_people(log, self._who(), start=newest - _WINDOW, end=newest + 1e-3)
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
