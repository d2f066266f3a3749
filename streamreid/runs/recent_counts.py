"""Counts of the last hour of a run that goes on; may be asked for from any thread."""

from __future__ import annotations

import threading

from streamreid.pipeline.hourly_counts import RunSnapshot, samples_between
from streamreid.pipeline.run import Run
from streamreid.places import CountsTable, count_people
from streamreid.sinks import FinalIdentities
from streamreid.sinks.base import SinkContext
from streamreid.types import FrameResult, IdentityEvent, TrackKey

__all__ = ["SettledTracks", "SettledTracksSink", "counts_of_last_hour"]

_MOST_TRACKS = 500_000
"""Settled tracks that are remembered: as many records as a live run keeps of places."""

_WINDOW = 3600.0
"""Seconds of capture time that the gauge of different people looks back."""


class SettledTracks:
    """Who the tracks were that the run no longer lists, because nobody searches for these people any more. Counts of
    the day still need them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tracks: dict[TrackKey, tuple[int, float]] = {}
        self._unlinked: set[int] = set()
        self._names: dict[int, str] = {}
        self._staff: set[int] = set()

    def add(self, identities: FinalIdentities) -> None:
        """Remember tracks that will not be named again."""
        with self._lock:
            self._tracks |= identities
            self._unlinked |= identities.unlinked
            self._names |= identities.names
            self._staff |= identities.staff
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
                staff=identities.staff | self._staff,
            )


class SettledTracksSink(SinkContext):
    """Remembers settled tracks of a run.

    Attributes:
        tracks: What it remembers.
    """

    output = "counts"

    def __init__(self) -> None:
        self.tracks = SettledTracks()

    def write(self, result: FrameResult) -> None:
        """Frames are not looked at."""

    def event(self, event: IdentityEvent) -> None:
        """Events are not looked at."""

    def finalize_tracks(self, identities: FinalIdentities) -> None:
        """Remember tracks that will not be named again."""
        self.tracks.add(identities)

    def close(self, identities: FinalIdentities) -> None:
        """Nothing is written."""

    def abort(self) -> None:
        """Nothing is written."""


def counts_of_last_hour(pipeline: Run, settled: SettledTracks, *, interval: bool = False) -> CountsTable:
    """One row per place, of the last hour of capture time.

    Args:
        pipeline: The run.
        settled: Who the tracks were that it no longer lists.
        interval: Whether to work out the 90 % interval of ``unique``, which takes some seconds.
    """
    log, who = pipeline.places.log(), settled.with_current(pipeline.identities)
    newest = max((last for _, last in log.watched.values()), default=0.0)
    begin, end = newest - _WINDOW, newest + 1e-3
    seen = RunSnapshot(log, who, pipeline.site.pair_links()) if interval else None
    samples = None if seen is None else samples_between(seen, begin, end)
    return count_people(log, who, samples=samples, start=begin, end=end)
