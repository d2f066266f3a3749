"""Tracks of one camera: those of a frame, and what is known of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from streamreid.types.arrays import FloatArray, IntArray
from streamreid.types.frames import PartFeatures

__all__ = ["Tracklet", "Tracks"]


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """The people that a tracker reports for one frame of one camera.

    Args:
        ids: ``[N]`` int64 track ids, from 1, unique in the frame.
        boxes: ``[N, 4]`` float32 xyxy in pixels.
        scores: ``[N]`` float32, the detector's score; 0 where the person was not detected in this frame.
        rows: ``[N]`` int64, row of the matched detection in this frame's ``Detections``; -1 for a predicted box.
    """

    ids: IntArray
    boxes: FloatArray
    scores: FloatArray
    rows: IntArray

    def __post_init__(self) -> None:
        n = len(self.ids)
        if self.boxes.shape != (n, 4) or self.scores.shape != (n,) or self.rows.shape != (n,):
            raise ValueError(
                f"Tracks: expected ids [N], boxes [N, 4], scores [N], rows [N]; got {self.ids.shape}, "
                f"{self.boxes.shape}, {self.scores.shape}, {self.rows.shape}"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Any) -> Tracks:
        """Rows by slice, integer array or boolean mask."""
        return Tracks(self.ids[rows], self.boxes[rows], self.scores[rows], self.rows[rows])

    def __repr__(self) -> str:
        return f"Tracks(ids={self.ids.tolist()})"

    @classmethod
    def empty(cls) -> Tracks:
        """A frame in which nobody is tracked."""
        return cls(np.zeros(0, np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Tracklet:
    """What is known of one track of one camera: the raw material of identities.

    Args:
        camera: Name of the camera.
        track_id: Its id in that camera.
        start: Capture time of the first observation.
        end: Capture time of the last observation.
        observations: How many observations went into ``features``.
        features: One row: per-part average, weighted by visibility and quality.
    """

    camera: str
    track_id: int
    start: float
    end: float
    observations: int
    features: PartFeatures

    def __post_init__(self) -> None:
        if len(self.features) != 1:
            raise ValueError(
                f"Tracklet {self.camera}/{self.track_id}: expected one row of features, got {len(self.features)}"
            )
        if self.end < self.start:
            raise ValueError(
                f"Tracklet {self.camera}/{self.track_id}: ends at {self.end} before it starts at {self.start}"
            )
