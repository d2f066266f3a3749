"""Where people stood and walked: foot points of all tracks, gathered in one pass over the results."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from streamreid.runs.finished_run import FinishedRun
from streamreid.sinks.result_reader import Observations
from streamreid.types import Float64Array, TrackKey

__all__ = ["GROUND", "Footprints", "Surface", "gather_footprints"]

GROUND = ""
"""Key of the ground plan among the surfaces; no camera can have this name."""

_STEP = 0.2
"""Seconds between two points of a path that are kept."""

_GAP = 1.0
"""Longest time, in seconds, that an observation counts in the heat map; and from which a path is interrupted."""

_MOST_PATHS = 2000
"""Paths that are kept per camera, the latest: more cannot be told apart, and a month's would fill the memory."""

_CELL = {True: 0.25, False: 8.0}
"""Side of a cell of the heat map: metres on the ground, else pixels."""


@dataclass
class Surface:
    """A camera's picture in pixels, or the ground in metres.

    Args:
        metric: Whether it is the ground.
        cells: Seconds that people stood in each cell, by column and row.
        paths: ``[N, 3]`` time, x, y by track, in the order of time; NaN where a path is interrupted.
        left_out: Paths that were too many to be kept.
    """

    metric: bool = False
    cells: dict[tuple[int, int], float] = field(default_factory=dict)
    paths: OrderedDict[TrackKey, list[tuple[float, float, float]]] = field(default_factory=OrderedDict)
    left_out: int = 0
    _last: dict[TrackKey, float] = field(default_factory=dict)

    @property
    def cell(self) -> float:
        """Side of a cell."""
        return _CELL[self.metric]

    @property
    def seconds(self) -> float:
        """Person-seconds in all cells."""
        return sum(self.cells.values())

    def add(self, key: TrackKey, time: float, x: float, y: float) -> None:
        """Take an observation; those of a track come in the order of time."""
        path = self.paths.get(key)
        if path is None:
            path = self.paths[key] = []
            if len(self.paths) > _MOST_PATHS:
                self._last.pop(self.paths.popitem(last=False)[0], None)
                self.left_out += 1
        else:
            since = time - self._last[key]
            cell = int(np.floor(x / self.cell)), int(np.floor(y / self.cell))
            self.cells[cell] = self.cells.get(cell, 0.0) + min(max(since, 0.0), _GAP)
            if since > _GAP:
                path.append((time, float("nan"), float("nan")))
        self._last[key] = time
        if not path or path[-1][0] + _STEP <= time + 1e-6 or math.isnan(path[-1][1]):
            path.append((time, x, y))

    def grid(self, low: tuple[float, float], high: tuple[float, float]) -> Float64Array:
        """``[rows, columns]`` float64 seconds per cell of a rectangle.

        Args:
            low: Its smallest x and y.
            high: Its greatest x and y.
        """
        first = np.floor(np.array(low) / self.cell).astype(int)
        size = np.maximum(1, np.ceil(np.array(high) / self.cell).astype(int) - first)
        grid = np.zeros((size[1], size[0]))
        for (column, row), seconds in self.cells.items():
            x, y = column - first[0], row - first[1]
            if 0 <= x < size[0] and 0 <= y < size[1]:
                grid[y, x] += seconds
        return grid


@dataclass
class Footprints:
    """Where people stood, on every surface.

    Args:
        surfaces: By camera; ``GROUND`` where cameras are calibrated.
        extent: Width and height in pixels that the boxes of each camera reach.
    """

    surfaces: dict[str, Surface] = field(default_factory=dict)
    extent: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, seen: Observations) -> None:
        """Take observations in the order of the results."""
        feet = np.stack([(seen.boxes[:, 0] + seen.boxes[:, 2]) / 2, seen.boxes[:, 3]], 1)
        placed = np.isfinite(seen.world[:, 0]) & np.isfinite(seen.world[:, 1])
        rows = zip(seen.cameras, seen.track_ids.tolist(), seen.times.tolist(), feet.tolist(), strict=True)
        for number, (camera, track, time, (x, y)) in enumerate(rows):
            if not np.isfinite(x + y):
                continue
            self.surfaces.setdefault(camera, Surface()).add((camera, track), time, x, y)
            if placed[number].item():
                ground = self.surfaces.setdefault(GROUND, Surface(metric=True))
                ground.add((camera, track), time, float(seen.world[number, 0]), float(seen.world[number, 1]))
        for camera in dict.fromkeys(seen.cameras):
            own = seen.boxes[np.array([name == camera for name in seen.cameras])]
            reach = np.nanmax(np.concatenate([own[:, 2:], np.ones((1, 2), np.float32)]), axis=0)
            before = self.extent.get(camera, (1.0, 1.0))
            self.extent[camera] = max(before[0], float(reach[0])), max(before[1], float(reach[1]))


def gather_footprints(run: FinishedRun) -> Footprints:
    """The foot points of all tracks of a run. Memory grows with the area and with the number of paths, up to a limit,
    and not with the length of the run."""
    footprints = Footprints()
    run.observations(footprints.take)
    return footprints
