"""Where people walked on the ground, in a run that goes on: a way by track, for as long as the run remembers who it
was."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

import numpy as np

from streamreid.sinks import FinalIdentities
from streamreid.sinks.base import SinkContext
from streamreid.types import FrameResult, IdentityEvent, TrackKey

__all__ = ["PathBoard", "Way"]

_STEP_SECONDS = 0.4
"""Between two points of a way: half a step of somebody who walks."""

_GAP_SECONDS = 2.0
"""Without an observation, from which a way is interrupted: where they were meanwhile is not known."""

_MOST_TRACKS = 2000
"""Of which ways are kept, the newest."""

_MOST_POINTS = 600
"""Of a way, four minutes of walking; of a longer one every second point goes."""

Way = list[tuple[float, float, float]]
"""Capture time in seconds, x and y in metres, in the order of time; NaN where it is interrupted."""


class PathBoard(SinkContext):
    """A sink that remembers where tracks of calibrated cameras were on the ground. Memory is bounded, and what is kept
    of somebody goes when the run forgets them."""

    output = "ways"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ways: OrderedDict[TrackKey, Way] = OrderedDict()
        self._who: dict[TrackKey, int] = {}

    def write(self, result: FrameResult) -> None:
        """Take a frame."""
        if result.world is None or not len(result.tracks):
            return
        time, camera = float(result.frame.time), result.frame.camera
        known = np.isfinite(result.world).all(1)
        ids = result.global_ids[known].tolist()
        rows = zip(result.tracks.ids[known].tolist(), ids, result.world[known].astype(float).tolist(), strict=True)
        with self._lock:
            for track, who, (x, y) in rows:
                self._add((camera, track), time, x, y)
                self._who[camera, track] = who
            self._who = self._who if len(self._who) <= 2 * _MOST_TRACKS else {k: self._who[k] for k in self._ways}

    def _add(self, key: TrackKey, time: float, x: float, y: float) -> None:
        way = self._ways.setdefault(key, [])
        since = time - way[-1][0] if way else np.inf
        if since < _STEP_SECONDS:
            return
        if way and since > _GAP_SECONDS:
            way.append((time, float("nan"), float("nan")))
        way.append((time, x, y))
        if len(way) > _MOST_POINTS:
            del way[1:-1:2]
        if len(self._ways) > _MOST_TRACKS:
            self._ways.popitem(last=False)

    def event(self, event: IdentityEvent) -> None:
        """Let go of whom the run lets go of."""
        with self._lock:
            if event.kind == "merge" and event.other_id:
                for key in [key for key, who in self._who.items() if who == event.other_id]:
                    self._who[key] = event.global_id
            elif event.kind == "expire":
                mine = [key for key, who in self._who.items() if who == event.global_id]
                for key in {*mine, *event.members}:
                    self._ways.pop(key, None)
                    self._who.pop(key, None)

    def ways(self, tracks: Iterable[TrackKey]) -> dict[TrackKey, Way]:
        """The ways of some tracks, of those that have one."""
        with self._lock:
            return {key: list(self._ways[key]) for key in tracks if key in self._ways}

    def close(self, identities: FinalIdentities) -> None:
        """Nothing is written."""

    def abort(self) -> None:
        """Nothing is written."""
