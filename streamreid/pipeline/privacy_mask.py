"""Which parts of a camera's pictures may show a person, so that they are blurred in every picture that leaves the
program.

A tracker reports who is surely there; blurring must also hide who may be there. In every frame the mask covers

- every box of the detector, whatever its score, also outside the region of interest,
- every track that is not seen at the moment, where its motion predicts it, grown by twice the doubt about the place,
- where frames are known that come later (delayed results, films drawn after the run): where somebody was between two
  observations, and where somebody who appears was before.

Boxes of any score are followed by a tracker of their own, which reports a person from the first box on, so that one who
is missed by the detector for a moment stays hidden although no track was ever confirmed.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamreid.boxes import iou_matrix
from streamreid.config import TrackerConfig
from streamreid.pipeline.mask_geometry import MOST_GROWTH, SURE_SCORE, MaskMoment, cut_off, grown, inner_boxes
from streamreid.tracking import Tracker
from streamreid.tracking.assignment import assign
from streamreid.types import Detections, FloatArray, Frame, Tracks

__all__ = ["MaskMoment", "PrivacyMask", "PrivacyMasks"]

HOLD_SECONDS = 1.2
"""How long somebody whom the detector lost, or has not found yet, stays hidden: longer than a detector misses a person
who is in view."""
DEVIATIONS = 2.0
"""Standard deviations of the place by which a predicted box grows: 95 of 100 people are inside."""
SPEED = 1.0
"""Body heights per second by which a box grows sideways where the velocity is not known: a brisk walk (1.7 m/s)."""
DRIFT = 0.25
"""The same where the velocity is known, or the place is between two observations."""
LOST_SECONDS = 5.0
"""How long a track that is not seen is hidden where it is expected: nobody's place is known for longer. Who then
appears is hidden by the box of the detector, and in films of recordings also where they were in between."""
LONG_LOST_GROWTH = 0.1
"""Body heights by which a box grows at most once its track is lost for longer than `HOLD_SECONDS`: it hides who stands
still, and whoever walked on may be anywhere."""
GAP_SECONDS = 2 * HOLD_SECONDS
"""How long before somebody appears another may have been lost who may be the same person."""
FASTEST = 2.0
"""Body heights per second at which they may have walked from there: a run (3.4 m/s)."""
FOLLOWS = 0.3
"""IoU from which a box follows from one of the frame before."""
RETURNS = 0.5
"""IoU from which a box that was gone for a moment is the same one again."""
HEIGHTS = 500
"""Of how many boxes the median counts: those of about a minute."""
SURE_OBSERVATIONS = 3
"""Observations after which the velocity of somebody new is known."""

_ANY_SCORE = TrackerConfig(
    high_score=0.0,
    low_score=0.0,
    new_score=0.0,
    confirm_frames=1,
    confirm_seconds=0.0,
    lost_seconds=HOLD_SECONDS,
    exit_seconds=HOLD_SECONDS,
    motion_only_seconds=HOLD_SECONDS,
    appearance_weight=0.0,
    recover_probability=1.0,
    split_probability=0.0,
    static_score=0.0,
    duplicate_iou=1.0,
    duplicate_cover=1.0,
)


class _Observation(NamedTuple):
    time: float
    box: NDArray[np.float64]


class _Held(NamedTuple):
    """A box that the next frame's boxes did not follow, the height of the body by which it grows, in pixels,
    and ``[1, 2]`` what the box may have cut off."""

    number: int
    seen: _Observation
    height: float
    cut: FloatArray


class PrivacyMask:
    """The mask of one camera, frame by frame.

    Args:
        ahead: Seconds of later frames that are waited for before a moment is drained; 0 keeps a moment only until its
            frame is released.
        faces: Only heads are to be hidden: boxes are no larger than the places where heads may be, for `pixelate` with
            "head".
    """

    def __init__(self, *, ahead: float = 0.0, faces: bool = False) -> None:
        self._ahead, self._faces = ahead, faces
        self._tracker = Tracker(_ANY_SCORE)
        self._moments: deque[MaskMoment] = deque()
        self._history: dict[int, list[_Observation]] = {}
        self._before = np.zeros((0, 4), np.float32)
        self._before_cut = np.zeros((0, 2), np.float32)
        self._inner = np.zeros(0, bool)
        self._before_time = -np.inf
        self._held: list[_Held] = []
        self._lost: list[_Held] = []
        self._numbers = itertools.count()
        self._heights: deque[float] = deque(maxlen=HEIGHTS)

    def __repr__(self) -> str:
        return f"PrivacyMask(ahead={self._ahead}, moments={len(self._moments)})"

    def push(
        self,
        index: int,
        time: float,
        found: Detections,
        followed: tuple[Tracks, FloatArray],
        *,
        size: tuple[int, int],
        camera: FloatArray | None = None,
    ) -> None:
        """Take the next frame. Moments before it are completed by what it shows.

        Args:
            index: Its number in the source.
            time: Capture time in seconds.
            found: Every box of the detector, also those outside the region of interest.
            followed: All tracks of the camera's tracker, also lost ones, and the standard deviation of each place in
                pixels (``Tracker.everybody``).
            size: Width and height in pixels.
            camera: The camera's motion, as for ``Tracker.update``.
        """
        self._tracker.update(found, None, time, size=size, camera=camera)
        now = MaskMoment(index, time)
        cut = cut_off(found)
        now.areas.append(self._grown(found.boxes, 0.0, cut=cut))
        self._heights.extend((found.boxes[:, 3] - found.boxes[:, 1])[found.scores >= SURE_SCORE].tolist())
        fine = np.isfinite(found.boxes).all(axis=1)
        self._hold(now, found.boxes[fine], cut[fine])
        for sign, (tracks, doubt) in ((-1, self._tracker.everybody), (1, followed)):
            away = np.array([time - self._last_time(sign * who, time) for who in tracks.ids.tolist()], np.float64)
            recent = away <= LOST_SECONDS
            most = np.where(away > HOLD_SECONDS, LONG_LOST_GROWTH, MOST_GROWTH) * (
                tracks.boxes[:, 3] - tracks.boxes[:, 1]
            )
            lost = tracks.rows < 0
            margin, tall = np.where(lost, np.minimum(DEVIATIONS * doubt, most), 0.0), np.where(lost, self._usual, 0.0)
            areas = self._grown(tracks.boxes, margin, height=tall)
            now.areas.append(areas[recent & (tracks.rows >= 0)])
            for row in np.flatnonzero(recent & (tracks.rows < 0)).tolist():
                now.held["track", sign * int(tracks.ids[row])] = areas[row : row + 1]
            for who, box, row in zip(tracks.ids.tolist(), tracks.boxes, tracks.rows.tolist(), strict=True):
                if row >= 0:
                    self._observe(sign * who, _Observation(time, box.astype(np.float64)))
        self._moments.append(now)
        known = set((-self._tracker.everybody[0].ids).tolist()) | set(followed[0].ids.tolist())
        self._history = {who: seen for who, seen in self._history.items() if who in known}

    def boxes(self, index: int) -> FloatArray:
        """``[M, 4]`` what is to be blurred in a frame that was pushed, as known now; the frame counts as released."""
        for moment in reversed(self._moments):
            if moment.index == index and not moment.released:
                moment.released = True
                return moment.boxes
        return np.zeros((0, 4), np.float32)

    @property
    def newest(self) -> FloatArray:
        """``[M, 4]`` what is to be blurred in the frame that was pushed last."""
        return self._moments[-1].boxes

    def drain(self, *, rest: bool = False) -> Iterator[MaskMoment]:
        """Moments to which nothing will be added any more, oldest first, once.

        Args:
            rest: All of them, at the end of the run.
        """
        newest = self._moments[-1].time if self._moments else 0.0
        while self._moments and (rest or (self._moments[0].released and newest - self._moments[0].time >= self._ahead)):
            yield self._moments.popleft()

    def _hold(self, now: MaskMoment, boxes: FloatArray, cut: FloatArray) -> None:
        """Boxes that do not follow from one of the frame before, or are followed by none, whatever the tracker makes of
        them: it may have taken one person for another."""
        overlap = iou_matrix(self._before, boxes)
        followed, follows = np.zeros(len(self._before), bool), np.zeros(len(boxes), bool)
        rows, columns = assign(overlap, overlap >= FOLLOWS)  # one to one: who steps out from behind somebody is new
        followed[rows], follows[columns] = True, True
        self._held = [held for held in self._held if now.time - held.seen.time <= HOLD_SECONDS]
        inner = inner_boxes(boxes)
        again = self._return(boxes, cut, ~follows & ~inner)
        last, cuts = self._before_time, self._before_cut
        gone = np.flatnonzero(~followed & ~self._inner).tolist()
        fresh = [self._lose(last, self._before[row], cuts[row]) for row in gone]
        self._held += fresh
        self._lost = [lost for lost in self._lost if now.time - lost.seen.time <= GAP_SECONDS] + fresh
        for held in self._held:
            now.held["box", held.number] = self._swept(held, now.time)
        new_ones = np.flatnonzero(~follows & ~again & ~inner).tolist() if self._moments else []
        for row in new_ones:
            new = self._lose(now.time, boxes[row], cut[row])
            self._join(new)
            for moment in reversed(self._moments):
                if now.time - moment.time > HOLD_SECONDS:
                    break
                moment.areas.append(self._swept(new, moment.time))
        self._before, self._before_cut, self._before_time, self._inner = boxes, cut, now.time, inner

    def _lose(self, time: float, box: FloatArray, cut: FloatArray) -> _Held:
        seen = _Observation(time, box.astype(np.float64))
        return _Held(next(self._numbers), seen, self._body(seen.box), cut[None])

    def _join(self, new: _Held) -> None:
        """Cover the straight line from whoever was lost nearest by, if they may have walked it."""

        def speed(lost: _Held) -> float:
            feet = [(one.box[[0, 3]] + one.box[[2, 3]]) / 2 for one in (lost.seen, new.seen)]
            return float(np.linalg.norm(feet[1] - feet[0])) / max(new.seen.time - lost.seen.time, 1e-9) / new.height

        nearest = min(self._lost, key=speed, default=None)
        if nearest is not None and speed(nearest) <= FASTEST:
            self._fill(nearest.seen.time, new.seen, (nearest.seen, new.seen))
            self._lost = [lost for lost in self._lost if lost is not nearest]
            for moment in self._moments:  # where they were is known better than where they were expected
                moment.held.pop(("box", nearest.number), None)

    def _return(self, boxes: FloatArray, cut: FloatArray, new: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which of the new boxes are where a held one was: whoever was lost for a moment stood still, and need not be
        looked for around."""
        again = np.zeros(len(boxes), bool)
        if not self._held or not new.any():
            return again
        overlap = iou_matrix(np.array([h.seen.box for h in self._held], np.float32), boxes[new])
        rows, columns = assign(overlap, overlap >= RETURNS)
        again[np.flatnonzero(new)[columns]] = True
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            held, box = self._held[row], boxes[new][column]
            both = np.concatenate([np.minimum(held.seen.box[:2], box[:2]), np.maximum(held.seen.box[2:], box[2:])])
            for moment in reversed(self._moments):
                if moment.time <= held.seen.time:
                    break
                if moment.held.pop(("box", held.number), None) is not None:
                    most = np.maximum(held.cut, cut[new][column])
                    moment.areas.append(self._grown(both[None].astype(np.float32), 0.0, cut=most))
        back = {self._held[row].number for row in rows.tolist()}
        self._held = [held for held in self._held if held.number not in back]
        self._lost = [lost for lost in self._lost if lost.number not in back]
        return again

    def _grown(
        self,
        boxes: FloatArray,
        margin: FloatArray | NDArray[np.float64] | float,
        *,
        cut: FloatArray | None = None,
        height: FloatArray | NDArray[np.float64] | float = 0.0,
    ) -> FloatArray:
        return grown(boxes, margin, cut=cut, height=height, faces=self._faces)

    def _swept(self, held: _Held, time: float) -> FloatArray:
        """``[1, 4]`` where somebody seen at one moment may be at another."""
        margin = SPEED * abs(time - held.seen.time) * held.height
        return self._grown(held.seen.box[None].astype(np.float32), margin, cut=held.cut, height=held.height)

    def _body(self, box: NDArray[np.float64]) -> float:
        """Height by which a box grows: of a body that is seen in part, that of others."""
        return max(float(box[3] - box[1]), self._usual)

    @property
    def _usual(self) -> float:
        """How tall people are here, in pixels."""
        return float(np.median(self._heights)) if self._heights else 0.0

    def _last_time(self, who: int, default: float) -> float:
        seen = self._history.get(who)
        return seen[-1].time if seen else default

    def _observe(self, who: int, now: _Observation) -> None:
        """Fill the moments before that lack somebody who is seen now."""
        seen = self._history.setdefault(who, [])
        if not self._moments:  # nothing that could still be completed
            seen[:] = [*seen[-1:], now]
            return
        if seen and seen[-1].time < self._moments[-1].time:
            self._fill(seen[-1].time, now, (seen[-1], now))
            for moment in reversed(self._moments):  # where they were is known better than where they were expected
                if moment.time <= seen[-1].time:
                    break
                moment.held.pop(("track", who), None)
        seen.append(now)
        if len(seen) == SURE_OBSERVATIONS:
            first = seen[0]
            self._fill(first.time - HOLD_SECONDS, first, (first, now))
        if len(seen) > SURE_OBSERVATIONS:
            del seen[:-SURE_OBSERVATIONS]

    def _fill(self, since: float, until: _Observation, ends: tuple[_Observation, _Observation]) -> None:
        """Cover the moments after ``since`` and before ``until`` on the straight line through two observations."""
        first, last = ends
        span = max(last.time - first.time, 1e-9)
        for moment in reversed(self._moments):
            if moment.time <= since:
                return
            if moment.time >= until.time:
                continue
            box = first.box + (moment.time - first.time) / span * (last.box - first.box)
            box[2:] = np.maximum(box[2:], box[:2] + 1.0)
            distance = min(abs(moment.time - first.time), abs(moment.time - last.time))
            height = min(float(box[3] - box[1]), 2 * float(until.box[3] - until.box[1]))
            moment.areas.append(self._grown(box[None].astype(np.float32), DRIFT * distance * height))


class PrivacyMasks:
    """The masks of all cameras of a run.

    Args:
        wanted: Whether anything is blurred; otherwise nothing is computed.
        faces: Whether only heads are.

    Attributes:
        record: Called with a camera's name and each of its moments when nothing more will be known of it; for films
            drawn after the run.
    """

    def __init__(self, *, wanted: bool, faces: bool = False) -> None:
        self.wanted, self._faces = wanted, faces
        self.record: Callable[[str, MaskMoment], None] | None = None
        self._masks: dict[str, PrivacyMask] = {}
        self._ahead = 0.0

    def record_to(self, record: Callable[[str, MaskMoment], None], *, ahead: float) -> None:
        """Have every moment told, ``ahead`` seconds of capture time later. Before the first frame."""
        self.record, self._ahead = record, max(ahead, HOLD_SECONDS)

    def push(
        self, frame: Frame, found: Sequence[Detections | None], tracker: Tracker, camera: FloatArray | None
    ) -> None:
        """Take a frame after it was tracked.

        Args:
            frame: The frame.
            found: What the detector found: inside the region of interest, outside.
            tracker: Of the frame's camera.
            camera: The camera's motion.
        """
        if not self.wanted:
            return
        mask = self._masks.setdefault(frame.camera, PrivacyMask(ahead=self._ahead, faces=self._faces))
        boxes = [d for d in found if d is not None and len(d)]
        everything = Detections.concatenate(boxes) if boxes else Detections.empty()
        mask.push(frame.index, frame.time, everything, tracker.everybody, size=frame.size, camera=camera)

    def boxes(self, frame: Frame) -> FloatArray | None:
        """``[M, 4]`` what is to be blurred in a frame that is handed out now; None where nothing is blurred."""
        if not self.wanted:
            return None
        mask = self._masks.get(frame.camera)
        found = np.zeros((0, 4), np.float32) if mask is None else mask.boxes(frame.index)
        self._tell(frame.camera, rest=False)
        return found

    def newest(self, frame: Frame) -> FloatArray | None:
        """The same for a frame that was just tracked, as known now; it stays to be handed out."""
        return self._masks[frame.camera].newest if self.wanted else None

    def finish(self) -> None:
        """Tell the moments that are left."""
        for camera in self._masks:
            self._tell(camera, rest=True)

    def forget(self, camera: str) -> None:
        """A camera was taken out for good."""
        self._masks.pop(camera, None)

    def _tell(self, camera: str, *, rest: bool) -> None:
        for moment in self._masks[camera].drain(rest=rest) if camera in self._masks else ():
            if self.record is not None:
                self.record(camera, moment)
