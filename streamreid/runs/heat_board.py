"""Where people stand in a run that goes on: seconds per cell of each camera's picture."""

from __future__ import annotations

import threading

import numpy as np

from streamreid.sinks import FinalIdentities
from streamreid.sinks.base import SinkContext
from streamreid.types import Float64Array, FrameResult, IdentityEvent

__all__ = ["HEAT_CELLS", "HeatBoard"]

HEAT_CELLS = (32, 18)
"""Columns and rows of a heat map: a cell is about as wide as somebody some metres away."""

_GAP_SECONDS = 1.0
"""Of a pause between two frames, at most so much counts."""


class HeatBoard(SinkContext):
    """A sink that adds up how long feet were where, since the run began. Memory does not grow."""

    output = "heat"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._grids: dict[str, Float64Array] = {}
        self._last: dict[str, float] = {}

    def write(self, result: FrameResult) -> None:
        """Take a frame."""
        frame, boxes = result.frame, result.tracks.boxes
        columns, rows = HEAT_CELLS
        with self._lock:
            passed = min(max(frame.time - self._last.get(frame.camera, frame.time), 0.0), _GAP_SECONDS)
            self._last[frame.camera] = frame.time
            grid = self._grids.setdefault(frame.camera, np.zeros((rows, columns)))
            if len(boxes) and passed:
                x = np.clip((boxes[:, 0] + boxes[:, 2]) / 2 / frame.size[0] * columns, 0, columns - 1).astype(int)
                y = np.clip(boxes[:, 3] / frame.size[1] * rows, 0, rows - 1).astype(int)
                np.add.at(grid, (y, x), passed)

    def grid(self, camera: str) -> Float64Array | None:
        """``[rows, columns]`` seconds; None of a camera that showed nothing."""
        with self._lock:
            grid = self._grids.get(camera)
            return None if grid is None else grid.copy()

    def event(self, event: IdentityEvent) -> None:
        """Nothing is kept of events."""

    def close(self, identities: FinalIdentities) -> None:
        """Nothing is written."""

    def abort(self) -> None:
        """Nothing is written."""
