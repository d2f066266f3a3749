"""What is known of each track besides motion and looks: one array per fact, one row per track."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.config import TrackerConfig
from streamreid.types import BoolArray, FloatArray

__all__ = ["TrackTable", "filled"]

SCORE_MEMORY = 100
"""Observations over which the mean score is taken."""


@dataclass(slots=True)
class TrackTable:
    """Bookkeeping of T tracks.

    Args:
        ids: Track ids.
        hits: Number of observations.
        begun: Capture time of the first one.
        seen: Capture time of the last one.
        score: Mean score of the sure detections: the unsure ones tell of hiding, not of ghosts.
        origin: ``[T, 2]`` foot point at the first observation, pixels.
        travel: Greatest distance of the foot point from there, in body heights.
        reported: Whether the track was ever reported.
        met: Capture time when it was last near others, or back after it had been missed.
        sure: Capture time of the last clear look that was like it.
    """

    ids: NDArray[np.int64]
    hits: NDArray[np.int64]
    begun: NDArray[np.float64]
    seen: NDArray[np.float64]
    score: NDArray[np.float64]
    origin: NDArray[np.float64]
    travel: NDArray[np.float64]
    reported: NDArray[np.bool_]
    met: NDArray[np.float64]
    sure: NDArray[np.float64]

    @classmethod
    def empty(cls) -> TrackTable:
        """A table that holds no tracks yet."""
        zero = np.zeros(0)
        number, place, no = zero.astype(np.int64), np.zeros((0, 2)), zero.astype(bool)
        return cls(number, number, zero, zero, zero, place, zero, no, zero, zero)

    def __len__(self) -> int:
        return len(self.ids)

    def keep(self, rows: BoolArray) -> None:
        """Drop every track that is not in the mask ``rows`` [T]."""
        for name in _COLUMNS:
            setattr(self, name, getattr(self, name)[rows])

    def add(self, ids: NDArray[np.int64], time: float, boxes: FloatArray, scores: FloatArray) -> None:
        """Append tracks first seen at ``time`` as ``boxes`` [M, 4] with ``scores`` [M]."""
        n = len(ids)
        now = np.full(n, time)
        one, zero, no = np.ones(n, np.int64), np.zeros(n), np.zeros(n, bool)
        new = TrackTable(ids, one, now, now, scores.astype(float), _feet(boxes), zero, no, now, now)
        for name in _COLUMNS:
            setattr(self, name, np.concatenate([getattr(self, name), getattr(new, name)]))

    def observe(
        self, rows: NDArray[np.intp], time: float, boxes: FloatArray, scores: FloatArray, sure: BoolArray
    ) -> None:
        """Tracks ``rows`` [M] were seen as ``boxes`` [M, 4] (the filter's, which do not jitter) with ``scores`` [M], of
        which some are ``sure`` [M]."""
        # Most often all were seen, in their order: then nothing has to be gathered.
        at = slice(None) if len(rows) == len(self) and rows.tolist() == list(range(len(rows))) else rows
        hits, score = self.hits[at] + 1, self.score[at]
        self.hits[at], self.seen[at] = hits, time
        change = scores - score
        change /= np.minimum(hits, SCORE_MEMORY)
        change *= sure
        self.score[at] = score + change
        way = _feet(boxes) - self.origin[at]
        far = np.hypot(way[:, 0], way[:, 1]) / np.maximum(boxes[:, 3] - boxes[:, 1], 1.0)
        self.travel[at] = np.maximum(self.travel[at], far)

    def adopt(self, rows: NDArray[np.intp], older: NDArray[np.intp]) -> None:
        """Tracks ``rows`` [M] turn out to be ``older`` [M]: they take their ids and their past."""
        self.hits[rows] += self.hits[older]
        self.travel[rows] = np.maximum(self.travel[rows], self.travel[older])
        for name in ("ids", "begun", "origin"):
            getattr(self, name)[rows] = getattr(self, name)[older]

    def warp(self, affine: FloatArray) -> None:
        """Follow the camera by ``affine`` [2, 3], pixels of the previous frame to pixels of this one."""
        self.origin = self.origin @ np.asarray(affine, np.float64)[:, :2].T + np.asarray(affine, np.float64)[:, 2]

    def confirmed(self, config: TrackerConfig) -> BoolArray:
        """``[T]`` seen often and long enough."""
        return (self.hits >= config.confirm_frames) & (self.seen - self.begun >= config.confirm_seconds - 1e-6)

    def ghosts(self, config: TrackerConfig) -> BoolArray:
        """``[T]`` boxes that never moved and about which the detector was never sure: rather a plant or a poster than a
        person."""
        return (self.travel < config.static_travel) & (self.score < config.static_score)


def filled(value: float, count: int, kind: Any) -> NDArray[Any]:
    """``[count]`` times the same value; three times as fast as np.full of a few."""
    result = np.empty(count, kind)
    result.fill(value)
    return result


def _feet(boxes: FloatArray) -> NDArray[np.float64]:
    feet = boxes[:, 2:].astype(np.float64)
    feet[:, 0] += boxes[:, 0]
    feet[:, 0] /= 2
    return feet


_COLUMNS = tuple(field.name for field in fields(TrackTable))
