"""Ways on the ground of a live run, as they happen: MOT text with world coordinates, ``frame,id,-1,-1,-1,-1,1,x,y,0``.

A frame is a tenth of a second of capture time and counts from 1970, so that what a later run appends needs no common
beginning: time = (frame - 1) / 10 seconds (UTC). Where several cameras place somebody at one moment, it is the mean.
Ids are as believed when the line was written; the JSON lines say who turned out to be somebody else.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np

from streamreid.sinks.base import FinalIdentities, LineFile, SinkContext
from streamreid.types import FrameResult, IdentityEvent

__all__ = ["WorldSink"]

_PER_SECOND = 10
"""Frames per second of ``world.txt``: moments of all cameras on one grid."""

_PATIENCE = 0.8
"""Seconds that a moment waits for other cameras to place the same people."""

_REMEMBERED = 20_000
"""Lines of which it is known that they were written: a camera that is late, or whose clock is behind, must not place
somebody twice."""

Places = dict[int, list[tuple[float, float]]]


class WorldSink(SinkContext):
    """Writes where people stand while the run goes on.

    Args:
        path: The file; a later run goes on behind what is there.
        clock: Seconds that pass.
    """

    output = "world"

    def __init__(self, path: Path | str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = LineFile(Path(path), append=True)
        self._clock = clock
        self._moments: dict[int, tuple[float, Places]] = {}
        self._written: set[tuple[int, int]] = set()
        self._order: deque[tuple[int, int]] = deque()
        self._closed = False

    def write(self, result: FrameResult) -> None:
        """Take the places of one frame's people; those without an identity or a place are left out."""
        now = self._clock()
        if result.world is not None:
            frame = int(np.floor(result.frame.time * _PER_SECOND + 0.5)) + 1
            known = np.isfinite(result.world).all(1) & (result.global_ids > 0)
            for who, (x, y) in zip(result.global_ids[known].tolist(), result.world[known].tolist(), strict=True):
                if (frame, who) not in self._written:
                    self._moments.setdefault(frame, (now, {}))[1].setdefault(who, []).append((x, y))
        self._flush(now - _PATIENCE)

    def _flush(self, until: float) -> None:
        """Write the moments that have waited."""
        due = sorted(frame for frame, (came, _) in self._moments.items() if came <= until)
        lines = []
        for frame in due:
            for who, places in sorted(self._moments.pop(frame)[1].items()):
                x, y = np.mean(places, 0)
                lines.append(f"{frame},{who},-1,-1,-1,-1,1,{x:.3f},{y:.3f},0\n")
                self._written.add((frame, who))
                self._order.append((frame, who))
        while len(self._order) > _REMEMBERED:
            self._written.discard(self._order.popleft())
        if lines:
            self._file.write("".join(lines))

    def event(self, event: IdentityEvent) -> None:
        """Nothing to do: what was written stays as it was believed."""

    def close(self, identities: FinalIdentities) -> None:
        """Write the positions that wait for later frames, then close the file."""
        self.abort()

    def abort(self) -> None:
        """Close as after an orderly end: positions are complete either way."""
        if not self._closed:
            self._closed = True
            try:
                self._flush(np.inf)
            finally:
                self._file.close()
