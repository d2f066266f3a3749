"""Who is looked at: a person who is followed without doubt need not be described anew in every frame.

Describing people is the dearest stage on a CPU. A box that follows clearly from one of the frame before (they are each other's best overlap, and nobody
else comes near) is looked at after .1, .2, .4, ... and in the end every ``look_interval`` seconds; everybody new, crossing somebody, or moving far between frames is looked at at once,
because then looks decide. The choice depends on boxes and capture times only, so it is the same however frames were batched, and in a replay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreid.config import Config
from streamreid.tracking.assignment import iou_matrix
from streamreid.types import BoolArray, Detections, FloatArray

__all__ = ["LookSchedule"]

_SURE = 0.3
_APART = 0.2
_FIRST_SECONDS = 0.1
_MOST_LOOKS = 21  # after that many the wait grows no more


@dataclass(slots=True)
class _Last:
    """Boxes of a camera's previous frame: when each was looked at last, and how often."""

    boxes: FloatArray
    time: NDArray[np.float64]
    looks: NDArray[np.int64]


class LookSchedule:
    """Chooses the detections to describe, camera by camera, in the order of their frames.

    Args:
        config: ``tracker.high_score`` is the least score of a person worth a look, ``engine.look_interval`` the time between looks.
    """

    def __init__(self, config: Config) -> None:
        self._score = config.tracker.high_score
        self._interval = config.engine.look_interval
        # By the number of looks: somebody new is looked at often, then ever less: a few looks at once would all show the same moment.
        self._waits = np.minimum(self._interval, _FIRST_SECONDS * 2.0 ** (np.arange(_MOST_LOOKS + 1) - 1.0))
        self._last: dict[str, _Last] = {}

    def choose(self, camera: str, found: Detections, time: float) -> BoolArray:
        """``[N]``: which of the people in a camera's next frame are to be looked at.

        Args:
            camera: The camera.
            found: N people.
            time: Capture time in seconds.
        """
        worth = np.asarray((found.scores >= self._score) & _finite(found.boxes))
        if self._interval <= 0:
            return worth
        rows = worth.nonzero()[0]
        boxes = found.boxes[rows]
        when, looks = self._inherit(self._last.get(camera), boxes)
        wait = self._waits[np.minimum(looks, _MOST_LOOKS)]
        due = (looks == 0) | (time - when >= wait - 1e-6) | (time < when)
        self._last[camera] = _Last(boxes, np.where(due, time, when), looks + due)
        chosen = np.zeros(len(found), bool)
        chosen[rows[due]] = True
        return chosen

    def forget(self, camera: str) -> None:
        """A camera is gone; should it come back, everybody in it is new."""
        self._last.pop(camera, None)

    def _inherit(self, last: _Last | None, boxes: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """When each box was looked at last and how often; (-inf, 0) where it does not clearly follow from a box of the frame before."""
        when, looks = np.full(len(boxes), -np.inf), np.zeros(len(boxes), np.int64)
        if last is None or not len(boxes) or not len(last.boxes):
            return when, looks
        overlap = iou_matrix(boxes, last.boxes)
        # A sure overlap that is the only one near, from both sides, is the best of both.
        mine, theirs = (overlap > _APART).nonzero()
        alone = (np.bincount(mine, minlength=len(boxes))[mine] == 1) & (np.bincount(theirs)[theirs] == 1)
        clear = alone & (overlap[mine, theirs] >= _SURE)
        mine, theirs = mine[clear], theirs[clear]
        when[mine], looks[mine] = last.time[theirs], last.looks[theirs]
        return when, looks


def _finite(boxes: FloatArray) -> BoolArray:
    good = np.isfinite(boxes)
    return np.asarray(good.all(1)) if np.count_nonzero(good) < good.size else np.ones(len(boxes), bool)
