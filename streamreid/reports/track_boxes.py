"""Where the tracks of one camera were at any moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from streamreid.runs.finished_run import FinishedRun
from streamreid.sinks.result_reader import Observations
from streamreid.types import Float64Array, FloatArray, IntArray, TrackKey

__all__ = ["BoxesAt", "TrackBoxes", "boxes_of"]

_GAP = 1.0
"""Seconds between two observations of a track up to which the box in between is taken from both."""


class BoxesAt(NamedTuple):
    """The tracks at one moment: ``[N]`` ids and ``[N, 4]`` xyxy boxes in pixels."""

    ids: IntArray
    boxes: FloatArray


class TrackBoxes:
    """The boxes of tracks of one camera.

    Args:
        tracks: ``[N]`` times, rising, and ``[N, 4]`` xyxy boxes by track id.
    """

    def __init__(self, tracks: Mapping[int, tuple[Float64Array, FloatArray]]) -> None:
        self.tracks = dict(tracks)

    def at(self, time: float) -> BoxesAt:
        """The boxes at a capture time, between observations that are close on the straight line."""
        ids, boxes = [], []
        for track, (times, seen) in self.tracks.items():
            after = int(np.searchsorted(times, time))
            if after < len(times) and abs(times[after] - time) < 1e-4:
                box = seen[after]
            elif 0 < after < len(times) and times[after] - times[after - 1] <= _GAP:
                share = (time - times[after - 1]) / (times[after] - times[after - 1])
                box = (1 - share) * seen[after - 1] + share * seen[after]
            else:
                continue
            ids.append(track)
            boxes.append(box)
        return BoxesAt(np.array(ids, np.int64), np.array(boxes, np.float32).reshape(-1, 4))


def boxes_of(
    run: FinishedRun, keys: Collection[TrackKey] | None = None, *, until: float = float("inf")
) -> dict[str, TrackBoxes]:
    """The boxes of tracks, by camera.

    Args:
        run: The run.
        keys: Only these tracks; default all.
        until: Only up to this capture time.
    """
    rows: dict[TrackKey, list[tuple[float, FloatArray]]] = defaultdict(list)

    def take(seen: Observations) -> None:
        for key, time, box in zip(
            zip(seen.cameras, seen.track_ids.tolist(), strict=True), seen.times.tolist(), seen.boxes, strict=True
        ):
            if time <= until and (keys is None or key in keys):
                rows[key].append((time, box))

    run.observations(take)
    found: dict[str, dict[int, tuple[Float64Array, FloatArray]]] = defaultdict(dict)
    for (camera, track), seen in rows.items():
        seen.sort(key=lambda row: row[0])
        found[camera][track] = np.array([time for time, _ in seen]), np.array([box for _, box in seen], np.float32)
    return {camera: TrackBoxes(tracks) for camera, tracks in found.items()}
