"""Results a fixed time later, and better for it: gaps are filled, people are shown from their first appearance, ids are
as known then."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from streamreid.tracking.smoothing import MotionStep, smoothed_boxes
from streamreid.tracking.tracker import Tracker
from streamreid.types import FloatArray, IntArray, Tracks

__all__ = ["SAME_MOMENT", "FixedLagTracks"]

SAME_MOMENT = 1e-9
"""Seconds; capture times that differ by no more are equal but for rounding."""


class _Entry(NamedTuple):
    box: FloatArray
    score: float
    row: int

    @property
    def predicted(self) -> bool:
        return self.row < 0 and self.score == 0


_NOBODY = _Entry(np.zeros(4, np.float32), 0.0, -1)


@dataclass(slots=True)
class _Moment:
    """One buffered frame: ``people`` id -> (box, score, row), ``unsure`` the same for tracks not confirmed then."""

    time: float
    step: MotionStep
    people: dict[int, _Entry] = field(default_factory=dict)
    unsure: dict[int, _Entry] = field(default_factory=dict)

    def tracks(self, smooth: tuple[IntArray, FloatArray]) -> Tracks:
        ids = sorted(self.people)
        if not ids:
            return Tracks.empty()
        place = dict(zip(smooth[0].tolist(), smooth[1], strict=True))
        boxes = [place.get(i, self.people[i].box) for i in ids]
        _, scores, rows = zip(*(self.people[i] for i in ids), strict=True)
        return Tracks(np.array(ids, np.int64), np.stack(boxes), np.array(scores, np.float32), np.array(rows, np.int64))


class FixedLagTracks:
    """A tracker whose results come ``delay`` seconds of capture time later.

    Boxes are smoothed by what was seen later (:mod:`streamreid.tracking.smoothing`). Within the delay a person missed
    and seen again is filled in (``rows`` -1, score 0), a person who is confirmed is also shown in the frames before,
    and a new id found to be an old one (see ``TrackerConfig.delay``) is renamed in the frames before.

    Args:
        tracker: Of one camera; its ``TrackerConfig.delay`` counts.
    """

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self.delay = tracker.config.lag
        self._buffer: deque[_Moment] = deque()

    def __repr__(self) -> str:
        return f"FixedLagTracks(delay={self.delay}, buffered={len(self._buffer)})"

    def push(self, tracks: Tracks, time: float, camera: FloatArray | None = None) -> None:
        """Hold back one frame. Call after every :meth:`Tracker.update` of ``tracker``.

        Args:
            tracks: What it said.
            time: Capture time in seconds.
            camera: The camera's motion that it was told.
        """
        time = max([time, *(moment.time for moment in list(self._buffer)[-1:])])
        self._rename(self.tracker.renamed)
        now = _Moment(time, self.tracker.motion(camera), _table(tracks), _table(self.tracker.tentative))
        self._fill(now)
        self._buffer.append(now)

    def due(self, until: float | None = None) -> list[tuple[float, Tracks]]:
        """Release frames; every frame comes out once.

        Args:
            until: Their latest capture time; default ``delay`` seconds before the newest frame.

        Returns:
            ``(capture time, tracks)``, oldest first.
        """
        if until is None:
            until = self._buffer[-1].time - self.delay if self._buffer else -np.inf
        count = sum(moment.time <= until + SAME_MOMENT for moment in self._buffer)
        if not count:
            return []
        smooth = smoothed_boxes([moment.step for moment in self._buffer], count)
        ready = [self._buffer.popleft() for _ in range(count)]
        return [(moment.time, moment.tracks(boxes)) for moment, boxes in zip(ready, smooth, strict=True)]

    def flush(self) -> list[tuple[float, Tracks]]:
        """The frames still held back, oldest first. For the end of a source."""
        return self.due(np.inf)

    def _rename(self, names: dict[int, int]) -> None:
        for moment in self._buffer if names else ():
            moment.step = moment.step.renamed(names)
            for table in (moment.people, moment.unsure):
                for new, old in names.items():
                    if new in table:
                        table[old] = table.pop(new)

    def _fill(self, now: _Moment) -> None:
        """Show the people seen ``now`` in the buffered frames that lack them, back to where they were last seen."""
        for who, (box, _, row) in now.people.items():
            if row < 0:
                continue
            later, missing = (now.time, box), list[_Moment]()
            for moment in reversed(self._buffer):
                entry = moment.people.get(who, _NOBODY)
                settled = not entry.predicted
                if not settled:
                    entry = moment.unsure.get(who, _NOBODY)
                if entry.predicted:
                    missing.append(moment)
                    continue
                moment.people[who] = entry
                for between in missing:
                    between.people[who] = _Entry(_between((moment.time, entry.box), later, between.time), 0.0, -1)
                if settled:
                    break
                later, missing = (moment.time, entry.box), []


def _between(first: tuple[float, FloatArray], last: tuple[float, FloatArray], time: float) -> FloatArray:
    share = np.clip((time - first[0]) / max(last[0] - first[0], 1e-9), 0.0, 1.0)
    return np.asarray(first[1] + share * (last[1] - first[1]), np.float32)


def _table(tracks: Tracks) -> dict[int, _Entry]:
    return {
        int(i): _Entry(b, float(s), int(r))
        for i, b, s, r in zip(tracks.ids, tracks.boxes, tracks.scores, tracks.rows, strict=True)
    }
