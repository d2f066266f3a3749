"""The stored records of a run that goes on: visits, crossings and spans of tracks, in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from math import isfinite

from streamreid.places.records import Crossing, PlaceInfo, PlaceLog, TrackSpan, Visit
from streamreid.types import TrackKey

__all__ = ["RecordStore", "merged_spans"]

_KEPT_SECONDS = 86_400.0
"""Of runs without end the records of the last day are kept in memory; the files have all."""

_MOST_KEPT = 500_000
"""Records at most: about 100 MB."""


class RecordStore:
    """Records by time.

    Args:
        live: Whether the run has no end: old records are then dropped.

    Attributes:
        watched: First and last capture time of each camera.
        spans: Of tracks that are over.
    """

    def __init__(self, *, live: bool) -> None:
        most = _MOST_KEPT if live else None
        self._live = live
        self._visits: deque[Visit] = deque(maxlen=most)
        self._crossings: deque[Crossing] = deque(maxlen=most)
        self.spans: deque[TrackSpan] = deque(maxlen=most)
        self.watched: dict[str, tuple[float, float]] = {}
        self._undrained: list[Visit] = []

    def watch(self, camera: str, time: float) -> None:
        """A camera gave a frame."""
        first, last = self.watched.get(camera, (time, time))
        self.watched[camera] = min(first, time), max(last, time)

    def keep_visits(self, visits: Iterable[Visit]) -> None:
        """Visits that are over; those without a beginning are no visits."""
        for visit in visits:
            if isfinite(visit.start):
                self._visits.append(visit)
                self._undrained.append(visit)

    def keep_crossing(self, crossing: Crossing) -> None:
        """A line was crossed."""
        self._crossings.append(crossing)

    def drain_visits(self) -> list[Visit]:
        """Visits since the last call."""
        visits, self._undrained = self._undrained, []
        return visits

    def drop_old(self, time: float) -> None:
        """Of a run without end: records of the day before yesterday are in the files."""
        if not self._live:
            return
        limit = time - _KEPT_SECONDS
        while self._visits and self._visits[0].end < limit:
            self._visits.popleft()
        while self._crossings and self._crossings[0].time < limit:
            self._crossings.popleft()
        while self.spans and self.spans[0].end < limit:
            self.spans.popleft()

    def log(self, open_visits: Iterable[Visit], spans: Iterable[TrackSpan], places: dict[str, PlaceInfo]) -> PlaceLog:
        """The records so far.

        Args:
            open_visits: That go on.
            spans: Of tracks that go on.
            places: As configured.
        """
        return PlaceLog(
            tuple(sorted([*self._visits, *open_visits], key=lambda v: v.end)),
            tuple(sorted(self._crossings, key=lambda c: c.time)),
            tuple(merged_spans([*self.spans, *spans])),
            places,
            dict(self.watched),
        )


def merged_spans(spans: Iterable[TrackSpan]) -> list[TrackSpan]:
    """One span per track, of a track that was forgotten and came back from its first to its last frame."""
    found: dict[TrackKey, TrackSpan] = {}
    for span in spans:
        known = found.get(span.key)
        found[span.key] = span if known is None else known.joined(span)
    return sorted(found.values(), key=lambda s: (s.start, s.camera, s.track_id))
