"""Lines that were crossed while a track was lost: a person's track ends on one side, and the same person's next track
in this camera begins on the other.

No track shows such a crossing, so it is as likely as the link between the two tracks; `Crossing.probability` says it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.places.camera_geometry import CameraGeometry, PlacedPeople
from streamreid.places.records import Crossing, Direction
from streamreid.places.redrawing import Redrawing
from streamreid.types import FloatArray

__all__ = ["TrackSwitches"]

_SWITCH_SECONDS = 2.0
"""Seconds between two tracks at most: within them nobody walks round a line, or over it and back, unseen."""

_DECIDED_SECONDS = 10.0
"""Seconds after its beginning within which a track must turn out to be the same person: later, the crossing would be
told long after it happened."""

_LEAST_PROBABILITY = 0.5
"""A link that is less likely than this is rather none."""

_Columns = Mapping[str, NDArray[Any]]


@dataclass(slots=True)
class _TrackEnd:
    """How a track ended.

    Args:
        track_id: Of the camera.
        person: Global id.
        last: Capture time of its last frame.
        side: ``[lines]`` -1, 0 (never known) or 1.
        point: ``[lines, 2]`` where it was last.
    """

    track_id: int
    person: int
    last: float
    side: NDArray[np.int8]
    point: NDArray[np.float64]


class TrackSwitches:
    """Of one camera.

    Args:
        camera: Its name.
        geometry: Its lines.
    """

    def __init__(self, camera: str, geometry: CameraGeometry) -> None:
        self._camera = camera
        self._geometry = geometry
        self._ends: deque[_TrackEnd] = deque()
        self._before: dict[int, _TrackEnd] = {}

    def redraw(self, geometry: CameraGeometry, change: Redrawing) -> None:
        """Zones and lines are others from now on."""
        self._geometry = geometry
        for end in (*self._ends, *self._before.values()):
            end.side, end.point = change.of_lines(end.side), change.of_lines(end.point, np.nan)

    def end(self, columns: _Columns, row: int) -> None:
        """A track is forgotten; it may still turn out to be the one before another.

        Args:
            columns: Of the table of tracks.
            row: Of the track.
        """
        self._before.pop(int(columns["id"][row]), None)
        if self._geometry.line_names and columns["who"][row] > 0:
            self._ends.append(_end_of(columns, row))

    def merge(self, other: int, person: int) -> None:
        """Two people are one."""
        for end in self._ends:
            if end.person == other:
                end.person = person

    def observe(
        self,
        columns: _Columns,
        tracked: NDArray[np.intp],
        rows: NDArray[np.intp],
        time: float,
        placed: PlacedPeople,
        probabilities: FloatArray,
    ) -> list[Crossing]:
        """Crossings between two tracks that are known now.

        Args:
            columns: Of the table of tracks, with what this frame showed.
            tracked: Rows of all tracks.
            rows: ``[N]`` of the tracks in this frame.
            time: Capture time.
            placed: Where the people are.
            probabilities: ``[N]`` of the links.
        """
        while self._ends and time - self._ends[0].last > _SWITCH_SECONDS + _DECIDED_SECONDS:
            self._ends.popleft()
        who, first = columns["who"][rows], columns["first"][rows]
        young = time - first <= _DECIDED_SECONDS
        for k in np.flatnonzero(young & (who > 0) & (who != columns["matched"][rows])).tolist():
            row = int(rows[k])
            columns["matched"][row] = who[k]
            before = self._track_before(columns, tracked, row)
            self._before.pop(int(columns["id"][row]), None)
            if before is not None:
                self._before[int(columns["id"][row])] = before
        found: list[Crossing] = []
        if self._before:
            for k in np.flatnonzero([int(i) in self._before for i in columns["id"][rows]]).tolist():
                if young[k]:
                    found += self._crossings(columns, int(rows[k]), k, placed, float(probabilities[k]))
                else:
                    del self._before[int(columns["id"][rows[k]])]
        return found

    def _track_before(self, columns: _Columns, tracked: NDArray[np.intp], row: int) -> _TrackEnd | None:
        """The end of the same person's last track, where this one begins soon after it."""
        person, first = int(columns["who"][row]), float(columns["first"][row])
        live = tracked[(columns["who"][tracked] == person) & (tracked != row)]
        ends = [_end_of(columns, other) for other in live.tolist()]
        ends += [end for end in self._ends if end.person == person]
        ends = [end for end in ends if end.track_id != columns["id"][row]]
        last = max(ends, key=lambda end: end.last, default=None)
        return last if last is not None and 0.0 < first - last.last <= _SWITCH_SECONDS else None

    def _crossings(
        self, columns: _Columns, row: int, k: int, placed: PlacedPeople, probability: float
    ) -> list[Crossing]:
        """The lines between the end of the track before and the beginning of this one, as soon as this one is clearly
        on the other side."""
        track_id = int(columns["id"][row])
        before = self._before[track_id]
        found: list[Crossing] = []
        side = columns["side"][row]
        for line in np.flatnonzero((before.side != 0) & (side != 0) & (side != before.side)).tolist():
            settled = columns["count"][row] >= self._geometry.line_inertia[line] and placed.sides[k, line] == side[line]
            if not settled or not self._geometry.clear_of_line(line, placed, k):
                continue
            before.side[line] = 0  # looked at
            at = self._geometry.passed(line, before.point[line], columns["born"][row, line])
            if at is not None and probability >= _LEAST_PROBABILITY:
                direction: Direction = "in" if side[line] > 0 else "out"
                name, first = self._geometry.line_names[line], float(columns["first"][row])
                sure = min(probability, 1.0)
                found.append(Crossing(name, self._camera, track_id, first, direction, at, sure, before=before.track_id))
        if not (before.side != 0).any():
            del self._before[track_id]
        return found


def _end_of(columns: _Columns, row: int) -> _TrackEnd:
    return _TrackEnd(
        int(columns["id"][row]),
        int(columns["who"][row]),
        float(columns["last"][row]),
        columns["side"][row].copy(),
        columns["line_from"][row].copy(),
    )
