"""The tracks of one camera at its zones and lines: who is inside since when, who crossed, all people in one pass.

A track changes sides when ``inertia`` frames in a row say so and it is clearly beyond the boundary; the change is dated
back to the first of them. Where a track begins is not an entry: whoever is first shown inside has not crossed the
boundary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.places.camera_geometry import CameraGeometry, PlacedPeople
from streamreid.places.records import Crossing, Direction, TrackSpan, Visit
from streamreid.places.redrawing import INSIDE, OUTSIDE, UNKNOWN, Redrawing
from streamreid.places.track_switches import TrackSwitches
from streamreid.types import FloatArray, IntArray

__all__ = ["TrackChanges", "TrackTable"]


@dataclass(slots=True)
class Opened:
    """A visit that begins.

    Args:
        track_id: Of the camera.
        place: Name of the zone.
        start: Capture time of the first frame inside.
        entered: Whether the track came in over the boundary.
    """

    track_id: int
    place: str
    start: float
    entered: bool


@dataclass(slots=True)
class TrackChanges:
    """What changed with a frame or with time.

    Args:
        begun: Track ids that are new.
        opened: Visits that begin.
        closed: Visits that are over.
        crossings: Of lines.
        ended: Tracks that are not shown any more, each with the site time of its last frame.
        renamed: Tracks whose identity changed: track id, global id before and now.
    """

    begun: list[int] = field(default_factory=list)
    opened: list[Opened] = field(default_factory=list)
    closed: list[Visit] = field(default_factory=list)
    crossings: list[Crossing] = field(default_factory=list)
    ended: list[tuple[TrackSpan, float]] = field(default_factory=list)
    renamed: list[tuple[int, int, int]] = field(default_factory=list)


class TrackTable:
    """State of every track of a camera at every zone and line. A row per track, a column per zone or line.

    Args:
        camera: Name of the camera.
        geometry: Its zones and lines.
        forget_after: Seconds after which a track that is not shown any more is forgotten.
    """

    def __init__(self, camera: str, geometry: CameraGeometry, *, forget_after: float) -> None:
        self.camera = camera
        self._shortest = forget_after
        self._follow(geometry)
        self._switches = TrackSwitches(camera, geometry)
        self._rows: dict[int, int] = {}
        self._free: list[int] = []
        self._columns: dict[str, NDArray[Any]] = {}
        self._capacity = 0
        self._grow(32)

    def __len__(self) -> int:
        return len(self._rows)

    def _follow(self, geometry: CameraGeometry) -> None:
        """Take the settings of zones and lines."""
        self._geometry = geometry
        self._zones, self._lines = geometry.zone_names, geometry.line_names
        self._zone_inertia = np.array(geometry.zone_inertia, np.int32)
        self._line_inertia = np.array(geometry.line_inertia, np.int32)
        self._lost = np.array(geometry.lost_seconds, np.float64)
        self._forget_after = max([self._shortest, *geometry.lost_seconds])

    def redraw(self, geometry: CameraGeometry) -> TrackChanges:
        """Zones and lines are others from now on. What is unchanged goes on as it was. Where an outline is another, a
        visit goes on as long as the track is inside the new one; whoever is outside of it has not left over the
        boundary, and whoever is inside of it has not entered.

        Returns:
            Visits of zones that are gone, as not left.
        """
        change, c = Redrawing(self._geometry, geometry), self._columns
        closed = [
            self._visit(row, z, float(c["last_in"][row, z]), left=False)
            for row, z in self._inside()
            if z not in change.zones_before
        ]
        self._columns = change.columns(c)
        self._switches.redraw(geometry, change)
        self._follow(geometry)
        return TrackChanges(closed=closed)

    def _grow(self, capacity: int) -> None:
        z, n = len(self._zones), len(self._lines)
        shapes: dict[str, tuple[tuple[int, ...], Any]] = {
            "id": ((), np.int64),
            "who": ((), np.int64),
            "first": ((), np.float64),
            "last": ((), np.float64),
            "clock": ((), np.float64),
            "count": ((), np.int64),
            "ratio": ((), np.float64),
            "feet": ((), np.float64),
            "feet_at": ((), np.float64),
            "top": ((), np.float64),
            "bottom": ((), np.float64),
            "cut": ((), np.bool_),
            "state": ((z,), np.int8),
            "against": ((z,), np.int32),
            "since": ((z,), np.float64),
            "start": ((z,), np.float64),
            "last_in": ((z,), np.float64),
            "entered": ((z,), np.bool_),
            "redrawn": ((z,), np.bool_),
            "side": ((n,), np.int8),
            "over": ((n,), np.int32),
            "over_at": ((n,), np.float64),
            "over_point": ((n, 2), np.float64),
            "line_from": ((n, 2), np.float64),
            "born": ((n, 2), np.float64),
            "matched": ((), np.int64),
        }
        for name, (shape, kind) in shapes.items():
            column = np.zeros((capacity, *shape), kind)
            if self._capacity:
                column[: self._capacity] = self._columns[name]
            self._columns[name] = column
        self._free += range(capacity - 1, self._capacity - 1, -1)
        self._capacity = capacity

    def enter(self, ids: IntArray, time: float, begun: list[int]) -> NDArray[np.intp]:
        """The rows ``[N]`` of tracks; new ones get a row, and their ids go into ``begun``."""
        return np.array([self._row(i, time, begun) for i in ids.tolist()], np.intp)

    def column(self, name: str) -> NDArray[Any]:
        """A column with a value per row: those from ``ratio`` to ``cut`` belong to the caller."""
        return self._columns[name]

    def _row(self, track_id: int, time: float, begun: list[int]) -> int:
        row = self._rows.get(track_id)
        if row is None:
            if not self._free:
                self._grow(2 * self._capacity)
            row = self._rows[track_id] = self._free.pop()
            for column in self._columns.values():
                column[row] = 0
            self._columns["line_from"][row] = self._columns["born"][row] = np.nan
            self._columns["id"][row], self._columns["first"][row] = track_id, time
            begun.append(track_id)
        return row

    # ---------------------------------------------------------------- a frame

    def observe(
        self,
        time: float,
        clock: float,
        rows: NDArray[np.intp],
        global_ids: IntArray,
        probabilities: FloatArray,
        placed: PlacedPeople | None,
        changes: TrackChanges,
    ) -> None:
        """Take a frame.

        Args:
            time: Capture time.
            clock: Time of the site, which does not jump.
            rows: ``[N]`` of the tracks, from ``enter``.
            global_ids: ``[N]``, 0 where nothing is decided.
            probabilities: ``[N]`` of the links.
            placed: Where the people are; None says nothing, as where there is no zone or line.
            changes: What changes is added here.
        """
        if not len(rows):
            return
        c = self._columns
        c["last"][rows], c["clock"][rows] = time, clock
        c["count"][rows] += 1
        before = c["who"][rows]
        for k in np.flatnonzero(before != global_ids).tolist():
            changes.renamed.append((int(c["id"][rows[k]]), int(before[k]), int(global_ids[k])))
        c["who"][rows] = global_ids
        if placed is None:
            return
        if len(self._zones):
            self._observe_zones(time, rows, placed, changes)
        if len(self._lines):
            self._observe_lines(time, rows, placed, changes)
            tracked = np.fromiter(self._rows.values(), np.intp, len(self._rows))
            changes.crossings += self._switches.observe(c, tracked, rows, time, placed, probabilities)

    def _observe_zones(self, time: float, rows: NDArray[np.intp], placed: PlacedPeople, changes: TrackChanges) -> None:
        inside, known = placed.inside, placed.known
        c = self._columns
        state, against = c["state"][rows], c["against"][rows]
        within, outside = known & inside, known & ~inside
        state[outside & (state == UNKNOWN)] = OUTSIDE
        contrary = (within & (state != INSIDE)) | (outside & (state == INSIDE))
        against = np.where(contrary, against + 1, np.where(known, 0, against))
        since = np.where(contrary & (against == 1), time, c["since"][rows])
        c["since"][rows] = since
        staying = within & (state == INSIDE)
        last_in = np.where(staying, time, c["last_in"][rows])
        c["redrawn"][rows] &= ~staying
        start = c["start"][rows]
        c["start"][rows] = np.where(staying & np.isnan(start), time, start)
        flips = contrary & (against >= self._zone_inertia)
        for k, z in zip(*(found.tolist() for found in np.nonzero(flips)), strict=True):
            row = int(rows[k])
            if state[k, z] != UNKNOWN and not self._geometry.clear_of_zone(z, placed, k):
                continue
            if state[k, z] == INSIDE:
                left = not c["redrawn"][row, z]  # else the boundary moved, and not the person
                changes.closed.append(self._visit(row, z, float(last_in[k, z]), left=left))
                c["redrawn"][row, z] = False
                state[k, z] = OUTSIDE
            else:
                entered = bool(state[k, z] == OUTSIDE)
                c["start"][row, z], c["entered"][row, z] = since[k, z], entered
                changes.opened.append(Opened(int(c["id"][row]), self._zones[z], float(since[k, z]), entered))
                state[k, z], last_in[k, z] = INSIDE, time
            against[k, z] = 0
        c["state"][rows], c["against"][rows], c["last_in"][rows] = state, against, last_in

    def _observe_lines(self, time: float, rows: NDArray[np.intp], placed: PlacedPeople, changes: TrackChanges) -> None:
        points, sides = placed.points, placed.sides
        c = self._columns
        side, over = c["side"][rows], c["over"][rows]
        side = np.where(side == 0, sides, side).astype(np.int8)
        contrary = (sides != 0) & (sides != side)
        over = np.where(contrary, over + 1, np.where(sides != 0, 0, over))
        for k, line in zip(*(found.tolist() for found in np.nonzero(contrary & (over == 1))), strict=True):
            row = int(rows[k])
            at = self._geometry.passed(line, c["line_from"][row, line], points[k, line])
            c["over_at"][row, line] = time
            c["over_point"][row, line] = (np.nan, np.nan) if at is None else at
        for k, line in zip(
            *(found.tolist() for found in np.nonzero(contrary & (over >= self._line_inertia))), strict=True
        ):
            row = int(rows[k])
            if not self._geometry.clear_of_line(line, placed, k):
                continue
            side[k, line], over[k, line] = sides[k, line], 0
            x, y = c["over_point"][row, line].tolist()
            if np.isfinite(x):
                direction: Direction = "in" if sides[k, line] > 0 else "out"
                when = float(c["over_at"][row, line])
                name = self._lines[line]
                changes.crossings.append(Crossing(name, self.camera, int(c["id"][row]), when, direction, (x, y)))
        c["side"][rows], c["over"][rows] = side, over
        finite = np.isfinite(points)
        c["line_from"][rows] = np.where(finite, points, c["line_from"][rows])
        born = c["born"][rows]
        c["born"][rows] = np.where(np.isnan(born) & finite, points, born)

    def _visit(self, row: int, zone: int, end: float, *, left: bool) -> Visit:
        c = self._columns
        start = float(c["start"][row, zone])
        return Visit(
            self._zones[zone],
            self.camera,
            int(c["id"][row]),
            start,
            end if np.isnan(start) else max(start, end),
            entered=bool(c["entered"][row, zone]),
            left=left,
        )

    def merge(self, other: int, person: int) -> None:
        """Two people are one.

        Args:
            other: Global id that is given up.
            person: Global id of both from now on.
        """
        who = self._columns["who"]
        who[who == other] = person
        self._switches.merge(other, person)

    # ---------------------------------------------------------------- time

    def restamp(self) -> list[Visit]:
        """The camera's clock jumped: visits end at the last moment before, and go on as others at the next frame.

        Returns:
            The visits until then. One that ends before that frame comes again, with a start that is NaN.
        """
        visits = list(self.open_visits())
        for row, z in self._inside():
            self._columns["start"][row, z] = np.nan
            self._columns["entered"][row, z] = False
        self._columns["against"][:] = 0
        self._columns["over"][:] = 0
        return visits

    def _inside(self) -> list[tuple[int, int]]:
        rows = list(self._rows.values())
        found = np.nonzero(self._columns["state"][rows] == INSIDE) if rows else (np.zeros(0, int),) * 2
        return [(rows[k], z) for k, z in zip(found[0].tolist(), found[1].tolist(), strict=True)]

    def expire(self, clock: float) -> TrackChanges:
        """Close the visits of tracks that have not been shown for ``lost_seconds`` of a zone, and forget tracks.

        Args:
            clock: Time of the site.
        """
        changes = TrackChanges()
        if not self._rows:
            return changes
        c = self._columns
        rows = np.fromiter(self._rows.values(), np.intp, len(self._rows))
        gone = clock - c["clock"][rows]
        if not (gone > 0).any():
            return changes
        lost = (c["state"][rows] == INSIDE) & (gone[:, None] > self._lost)
        for k, z in zip(*(found.tolist() for found in np.nonzero(lost)), strict=True):
            row = int(rows[k])
            changes.closed.append(self._visit(row, z, float(c["last_in"][row, z]), left=False))
            c["state"][row, z] = UNKNOWN
        for row in rows[gone > self._forget_after].tolist():
            changes.ended.append((self._span(row), float(c["clock"][row])))
            self._switches.end(c, row)
            del self._rows[int(c["id"][row])]
            self._free.append(row)
        return changes

    def finish(self) -> TrackChanges:
        """The camera is gone or the run ends: visits that are open end as not left."""
        visits = [self._visit(row, z, float(self._columns["last_in"][row, z]), left=False) for row, z in self._inside()]
        spans = [(self._span(row), float(self._columns["clock"][row])) for row in self._rows.values()]
        self._free += self._rows.values()
        self._rows.clear()
        return TrackChanges(closed=visits, ended=spans)

    def last_shown(self, track_id: int) -> float:
        """Site time of a track's last frame; -inf for one that is forgotten."""
        row = self._rows.get(track_id)
        return -np.inf if row is None else float(self._columns["clock"][row])

    def _span(self, row: int) -> TrackSpan:
        c = self._columns
        return TrackSpan(
            self.camera, int(c["id"][row]), float(c["first"][row]), float(c["last"][row]), int(c["count"][row])
        )

    def spans(self) -> list[TrackSpan]:
        """Of the tracks that are followed now."""
        return [self._span(row) for row in self._rows.values()]

    def open_visits(self) -> Sequence[Visit]:
        """The visits that go on, as far as they are known."""
        return [self._visit(row, z, float(self._columns["last_in"][row, z]), left=False) for row, z in self._inside()]
