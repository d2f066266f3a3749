"""Which detections are embedded in which frame.

Embedding is the most expensive stage on a CPU, and a person who is tracked without ambiguity does not need a new
embedding in every frame. A box that clearly continues a box of the previous frame (each is the other's only overlap) is
due .1, .2, .4, ... seconds after its last embedding, at most ``engine.embedding_interval``. A new person, one who
overlaps another, and one who moves far between frames are due at once, because appearance decides there.

In a crowd that is most of the cost, and it is not to be had for less: where people who overlap wait between embeddings
(however clearly their boxes go on), where they wait after an overlap has ended, where the first waits are longer, or
where a frame has a limit, tracks in crowds exchange their people, or too little is known of them in other cameras.

There are two steps. :meth:`EmbeddingScheduler.due` says who is due, the longest waiting first;
:meth:`EmbeddingScheduler.record` takes who was really embedded. Under overload fewer are embedded than are due: the
others stay due, move to the front, and so nobody is left out for long. While everybody who is due is embedded, the
choice depends on boxes and capture times only, however frames were batched.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreid.boxes import iou_matrix
from streamreid.config import Config
from streamreid.reid.crops import embeddable
from streamreid.types import BoolArray, Detections, FloatArray

__all__ = ["EmbeddingScheduler"]

Times = NDArray[np.float64]

_CLEAR_IOU = 0.3
"""Overlap from which a box continues one of the previous frame, if no other overlaps either of them."""

_NEAR_IOU = 0.2
"""Overlap from which two boxes may be taken for each other."""

_FIRST_WAIT = 0.1
"""Seconds between the first and the second embedding of a person; every further wait is twice as long."""

_MOST_COUNTED = 21
"""Embeddings after which the wait grows no more: .1 s doubled so often is longer than any interval."""

_HEAD_START = 1.0
"""Seconds of waiting that a new person is credited with under overload. Without an embedding a newcomer can only be
followed by motion, so newcomers come first; but a box that flickers is new again and again, and must not hold up people
who have waited longer than this."""


@dataclass(slots=True)
class _CameraState:
    """The people of a camera's previous frame who score high enough.

    Args:
        boxes: ``[N, 4]``.
        embedded_at: ``[N]`` capture time of the last embedding; -inf if there is none, or if the box did not clearly
            continue an earlier one.
        count: ``[N]`` embeddings since then.
        waiting_since: ``[N]`` capture time of the last embedding, or of the first appearance less the head start, by
            greatest overlap, clear or not: it orders people who are due, nothing else.
        turn: Embeddings in this camera so far: people who have waited equally long (all of them, where nobody overlaps
            with anybody of the frame before) take turns.
    """

    boxes: FloatArray
    embedded_at: Times
    count: NDArray[np.int64]
    waiting_since: Times
    turn: int = 0


@dataclass(slots=True)
class _Pending:
    """A frame between ``due`` and ``record``."""

    rows: NDArray[np.intp]
    time: float
    total: int
    state: _CameraState


class EmbeddingScheduler:
    """Chooses the detections to embed, camera by camera, in the order of their frames.

    Args:
        config: ``tracker.high_score`` is the least score and ``engine.min_height`` the least height of a person who is
            embedded, ``engine.embedding_interval`` the longest time between two embeddings in seconds (0: every frame).
    """

    def __init__(self, config: Config) -> None:
        self._score = config.tracker.high_score
        self._height = config.engine.min_height
        self._interval = config.engine.embedding_interval
        # By the number of embeddings: several within a moment would all show the same pose, so the waits grow.
        self._waits = np.minimum(self._interval, _FIRST_WAIT * 2.0 ** (np.arange(_MOST_COUNTED + 1) - 1.0))
        self._cameras: dict[str, _CameraState] = {}
        self._pending: dict[str, _Pending] = {}

    def due(self, camera: str, detections: Detections, time: float, size: tuple[int, int]) -> NDArray[np.intp]:
        """Who is due in a camera's next frame. Nothing counts as done until :meth:`record` is called.

        Args:
            camera: Name of the camera.
            detections: N people.
            time: Capture time in seconds.
            size: Width and height of the frame in pixels.

        Returns:
            Row numbers, those who have waited longest first.
        """
        rows = ((detections.scores >= self._score) & _finite(detections.boxes)).nonzero()[0]
        boxes = detections.boxes[rows]
        # Who is too small to be embedded is not due: recorded as done they would wait when they come nearer, left due
        # they would hold up others.
        possible = embeddable(boxes, size, self._height)
        state = self._continued(self._cameras.get(camera), boxes, time)
        self._pending[camera] = _Pending(rows, time, len(detections), state)
        wait = self._waits[np.minimum(state.count, _MOST_COUNTED)]
        late = (state.count == 0) | (time - state.embedded_at >= wait - 1e-6) | (time < state.embedded_at)
        chosen = (possible & (late | (self._interval <= 0))).nonzero()[0]
        chosen = np.roll(chosen, -state.turn)
        ordered: NDArray[np.intp] = rows[chosen[np.argsort(state.waiting_since[chosen], kind="stable")]]
        return ordered

    def record(self, camera: str, rows: NDArray[np.intp]) -> BoolArray:
        """Who was embedded in the frame that :meth:`due` was last asked about.

        Args:
            camera: Name of the camera.
            rows: Row numbers of those who were embedded; the others stay due.

        Returns:
            ``[N]`` the same as a mask over all people of the frame.
        """
        pending = self._pending.pop(camera)
        mask = np.zeros(pending.total, bool)
        mask[rows] = True
        state, done = pending.state, mask[pending.rows]
        self._cameras[camera] = _CameraState(
            state.boxes,
            np.where(done, pending.time, state.embedded_at),
            state.count + done,
            np.where(done, pending.time, state.waiting_since),
            state.turn + len(rows),
        )
        return mask

    def counts(self, camera: str) -> NDArray[np.int64]:
        """``[N]`` embeddings of the people in a camera's last recorded frame, those whose score is high enough, in the
        order of its detections."""
        state = self._cameras.get(camera)
        return np.zeros(0, np.int64) if state is None else state.count.copy()

    def checkpoint(self) -> dict[str, _CameraState]:
        """The state before a batch, for :meth:`restore` should its embedding fail."""
        return dict(self._cameras)

    def restore(self, checkpoint: dict[str, _CameraState]) -> None:
        """Return to a checkpoint: what was recorded since did not happen."""
        self._cameras = dict(checkpoint)
        self._pending.clear()

    def forget(self, camera: str) -> None:
        """Drop a camera; should it come back, everybody in it is new."""
        self._cameras.pop(camera, None)

    def _continued(self, last: _CameraState | None, boxes: FloatArray, time: float) -> _CameraState:
        """What the boxes of this frame carry over from those of the previous one."""
        state = _CameraState(
            boxes, np.full(len(boxes), -np.inf), np.zeros(len(boxes), np.int64), np.full(len(boxes), time - _HEAD_START)
        )
        if last is None:
            return state
        state.turn = last.turn
        if not len(boxes) or not len(last.boxes):
            return state
        overlap = iou_matrix(boxes, last.boxes)
        nearest = overlap.argmax(1)
        known = overlap[np.arange(len(boxes)), nearest] > _NEAR_IOU
        # Time that goes back (a recording that begins anew) must not leave anybody waiting in the future.
        state.waiting_since[known] = np.minimum(last.waiting_since[nearest[known]], time)
        # An overlap that is the only one for both boxes is the best of both.
        now, before = (overlap > _NEAR_IOU).nonzero()
        alone = (np.bincount(now, minlength=len(boxes))[now] == 1) & (np.bincount(before)[before] == 1)
        clear = alone & (overlap[now, before] >= _CLEAR_IOU)
        now, before = now[clear], before[clear]
        state.embedded_at[now], state.count[now] = last.embedded_at[before], last.count[before]
        return state


def _finite(boxes: FloatArray) -> BoolArray:
    good = np.isfinite(boxes)
    return np.asarray(good.all(1)) if np.count_nonzero(good) < good.size else np.ones(len(boxes), bool)
