"""The tracker of one camera.

Life of a track: tentative (seen fewer than ``confirm_frames`` times) -> confirmed -> lost (not seen) -> found again, or ended after ``lost_seconds``.
Each frame: (1) sure boxes are assigned to confirmed and lost tracks by overlap and looks together, (2) unsure boxes get a second chance with tracks
that were seen a moment ago (ByteTrack, Zhang et al., ECCV 2022), (3) lost tracks that nobody overlaps are found again by looks within reach,
(4) tentative tracks take what is left, (5) the rest begins new tracks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreid.config import TrackerConfig
from streamreid.similarity import Calibration, SiteCalibration, part_similarity
from streamreid.tracking.appearance import AppearanceBank
from streamreid.tracking.assignment import assign, cover_matrix, iou_matrix, iou_pairs
from streamreid.tracking.motion import MotionFilter
from streamreid.types import Detections, FloatArray, PartFeatures, Tracks

__all__ = ["Tracker", "occlusion"]

Rows = NDArray[np.intp]


def occlusion(boxes: FloatArray) -> FloatArray:
    """How much of each person is hidden by others: the greatest share of the box covered by one whose foot point is lower, so nearer.

    Args:
        boxes: ``[N, 4]`` xyxy.

    Returns:
        ``[N]`` float32 in [0, 1].
    """
    if len(boxes) < 2:
        return np.zeros(len(boxes), np.float32)
    cover = cover_matrix(boxes, boxes)
    nearer = boxes[None, :, 3] > boxes[:, None, 3]
    return np.asarray(np.where(nearer, cover, 0).max(1), np.float32)


@dataclass(slots=True)
class _Book:
    """Per-track bookkeeping, rows aligned with the motion filter and the appearance bank."""

    ids: NDArray[np.int64]
    hits: NDArray[np.int64]
    begun: NDArray[np.float64]
    seen: NDArray[np.float64]

    def keep(self, rows: NDArray[np.bool_]) -> None:
        self.ids, self.hits, self.begun, self.seen = self.ids[rows], self.hits[rows], self.begun[rows], self.seen[rows]

    def add(self, ids: NDArray[np.int64], time: float) -> None:
        self.ids = np.concatenate([self.ids, ids])
        self.hits = np.concatenate([self.hits, np.ones(len(ids), np.int64)])
        self.begun = np.concatenate([self.begun, np.full(len(ids), time)])
        self.seen = np.concatenate([self.seen, np.full(len(ids), time)])

    def confirmed(self, config: TrackerConfig) -> NDArray[np.bool_]:
        """Seen often and long enough not to be a ghost."""
        return (self.hits >= config.confirm_frames) & (self.seen - self.begun >= config.confirm_seconds - 1e-6)


class Tracker:
    """Tracks of one camera. No global state: ids count from 1 in every object, and the same input gives the same tracks.

    Args:
        config: Thresholds.
        calibration: Turns the engine's part similarity into a probability.
    """

    def __init__(self, config: TrackerConfig | None = None, calibration: Calibration | SiteCalibration | None = None) -> None:
        self.config = config or TrackerConfig()
        self._calibration = calibration or Calibration()
        self._motion = MotionFilter()
        self._looks = AppearanceBank()
        self._book = _Book(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
        self._next_id = 1
        self._time: float | None = None

    def __repr__(self) -> str:
        return f"Tracker(tracks={len(self._book.ids)}, next_id={self._next_id})"

    def update(
        self, detections: Detections, features: PartFeatures | None, time: float, *, size: tuple[int, int] | None = None
    ) -> Tracks:
        """Take the people found in one frame.

        Args:
            detections: N boxes. Boxes that are not finite or have no area are ignored.
            features: N rows, or None for motion only.
            time: Capture time in seconds. A time before the last one counts as no time passed.
            size: Width and height of the frame. If given, a person missed for less than ``coast_seconds`` inside the frame is reported where the
                motion predicts them.

        Returns:
            Confirmed tracks; boxes are the filter's, which jitter less than the detector's. ``rows`` refers to ``detections``, -1 for a
            predicted box (with score 0).

        Raises:
            ValueError: ``features`` and ``detections`` differ in length, or ``time`` is not finite.
        """
        if features is None:
            k, d = self._looks.features.shape
            features = PartFeatures.unseen(len(detections), k, d)
        if len(features) != len(detections):
            raise ValueError(f"{len(detections)} detections but {len(features)} rows of features")
        if not np.isfinite(time):
            raise ValueError(f"capture time must be finite, got {time}")
        boxes, scores = detections.boxes, detections.scores
        usable = np.isfinite(boxes).all(1) & np.isfinite(scores) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        rows = np.flatnonzero(usable & (scores >= self.config.low_score))
        # A fixed order makes the result independent of the detector's.
        rows = rows[np.lexsort((*boxes[rows].T, -scores[rows]))]
        self._advance(time)
        matched = self._match(boxes[rows], scores[rows], features[rows])
        return self._report(matched, rows, detections, size)

    def _advance(self, time: float) -> None:
        last = self._time if self._time is not None else time
        self._time = max(time, last)
        # "Unseen" are tracks that had no box in the previous frame.
        self._motion.predict(self._time - last, self._book.seen < last)
        # A lost track is kept while it could still be seen; a tentative one must be seen in every frame or be forgotten soon.
        confirmed = self._book.confirmed(self.config)
        self._keep((self._time - self._book.seen <= self.config.lost_seconds) & (confirmed | (self._book.seen >= last)))

    def _keep(self, mask: NDArray[np.bool_]) -> None:
        if not mask.all():
            self._book.keep(mask)
            self._motion.keep(mask)
            self._looks.keep(mask)

    def _match(self, boxes: FloatArray, scores: FloatArray, features: PartFeatures) -> NDArray[np.int64]:
        """Assign, correct and begin tracks. Returns for every track row the detection row, or -1."""
        assert self._time is not None
        c = self.config
        predicted = self._motion.boxes
        tracks = np.arange(len(predicted))
        taken = np.full(len(predicted), -1, np.int64)
        free = np.ones(len(boxes), bool)
        iou = self._overlap(predicted, boxes)
        similarity, common = self._looks.similarity(tracks, features)
        looks = np.where(common > 0, self._calibration.probability(similarity), 0.5)
        confirmed = self._book.confirmed(c)
        sure = scores >= c.high_score

        def run(rows: NDArray[np.bool_], columns: NDArray[np.bool_], score: FloatArray, allowed: NDArray[np.bool_]) -> None:
            t, d = np.flatnonzero(rows & (taken < 0)), np.flatnonzero(columns & free)
            i, j = assign(score[np.ix_(t, d)], allowed[np.ix_(t, d)])
            taken[t[i]] = d[j]
            free[d[j]] = False

        w = c.appearance_weight * np.sqrt(common)
        both = np.asarray((1 - w) * iou + w * looks, np.float32)
        gap = (self._time - self._book.seen)[:, None]
        # The longer somebody was away, the more likely is a stranger in the same place: looks must speak for the old track, and
        # after a second without looks nothing does.
        gate = c.appearance_gate + (0.5 - c.appearance_gate) * np.minimum(gap / 0.5, 1.0)
        run(confirmed, sure, both, (iou >= c.match_iou) & np.where(common > 0, looks >= gate, gap <= 1.0))
        recent = confirmed & (gap[:, 0] <= 1.0)
        run(recent, ~sure, iou, iou >= c.second_iou)
        run(confirmed, sure, looks, (looks >= c.recover_probability) & self._reach(predicted, boxes))
        run(~confirmed, sure, iou, iou >= c.match_iou)
        return self._apply(taken, boxes, scores, features)

    def _overlap(self, predicted: FloatArray, boxes: FloatArray) -> FloatArray:
        """IoU ``[T, N]`` of boxes that are both enlarged by the filter's doubt (half a deviation, at most half a width), so that a person of unknown
        velocity, or a low frame rate, still overlaps (buffered IoU, Yang et al., "C-BIoU", WACV 2023, with the buffer from the covariance)."""
        if not len(predicted) or not len(boxes):
            return np.zeros((len(predicted), len(boxes)), np.float32)
        sure = self._motion.noise.measurement * (predicted[:, 3] - predicted[:, 1])
        margin = np.minimum(0.5 * np.maximum(self._motion.deviations - sure, 0.0), 0.5 * (predicted[:, 2] - predicted[:, 0]))
        grown = predicted + margin[:, None] * np.array([-1, -1, 1, 1], np.float32)
        other = boxes[None] + margin[:, None, None] * np.array([-1, -1, 1, 1], np.float32)
        return iou_pairs(grown, other)

    def _reach(self, predicted: FloatArray, boxes: FloatArray) -> NDArray[np.bool_]:
        """Which box a lost person can have walked to: within the filter's doubt and 2 body heights per second, and of a similar height."""
        assert self._time is not None
        height = (predicted[:, 3] - predicted[:, 1])[:, None]
        other = (boxes[:, 3] - boxes[:, 1])[None]
        centre = (predicted[:, None, :2] + predicted[:, None, 2:] - boxes[None, :, :2] - boxes[None, :, 2:]) / 2
        gap = (self._time - self._book.seen)[:, None]
        limit = height * (0.5 + np.minimum(2.0 * gap, 4.0))
        ratio = other / np.maximum(height, 1.0)
        return np.asarray((np.hypot(centre[..., 0], centre[..., 1]) <= limit) & (ratio > 0.6) & (ratio < 1.67))

    def _apply(
        self, taken: NDArray[np.int64], boxes: FloatArray, scores: FloatArray, features: PartFeatures
    ) -> NDArray[np.int64]:
        assert self._time is not None
        hit = np.flatnonzero(taken >= 0)
        rows = taken[hit]
        quality = 1.0 - occlusion(boxes)
        self._motion.update(hit, boxes[rows], scores[rows])
        self._looks.update(hit, features[rows], quality[rows] * scores[rows])
        self._book.hits[hit] += 1
        self._book.seen[hit] = self._time
        new = self._newcomers(boxes, scores, features, taken)
        if len(new):
            self._motion.add(boxes[new])
            self._looks.add(features[new], quality[new] * scores[new])
            ids = np.arange(self._next_id, self._next_id + len(new))
            self._next_id += len(new)
            self._book.add(ids, self._time)
        return np.concatenate([taken, new])

    def _newcomers(self, boxes: FloatArray, scores: FloatArray, features: PartFeatures, taken: NDArray[np.int64]) -> Rows:
        """Sure boxes that nobody claimed and that are no second box of somebody: one that mostly coincides with a claimed box, or lies inside
        one and looks like its owner (detectors like to give a person's upper body a box of its own)."""
        free = np.ones(len(boxes), bool)
        free[taken[taken >= 0]] = False
        new = np.flatnonzero(free & (scores >= self.config.new_score))
        if not len(new):
            return new
        owners = np.flatnonzero(taken >= 0)
        claimed = boxes[taken[owners]]
        double = iou_matrix(boxes[new], claimed) > self.config.duplicate_iou
        inside = cover_matrix(boxes[new], claimed) > self.config.duplicate_cover
        double |= inside & self._alike(*self._looks.similarity(owners, features[new])).T
        new = new[~double.any(1)]
        # Boxes come in order of score: of two newcomers in one place the better one stays, of two that look alike the outer one.
        better = np.tril(iou_matrix(boxes[new], boxes[new]) > self.config.duplicate_iou, -1)
        cover = cover_matrix(boxes[new], boxes[new])
        inside = (cover > self.config.duplicate_cover) & (cover > cover.T)
        return new[~(better | (inside & self._alike(*part_similarity(features[new], features[new])))).any(1)]

    def _alike(self, similarity: FloatArray, common: FloatArray) -> NDArray[np.bool_]:
        return np.asarray((common > 0) & (self._calibration.probability(similarity) >= 0.5))

    def _report(self, matched: NDArray[np.int64], rows: Rows, detections: Detections, size: tuple[int, int] | None) -> Tracks:
        seen = matched >= 0
        shown = seen & self._book.confirmed(self.config)
        boxes = self._motion.boxes
        if size is not None:
            shown |= ~seen & self._coasting(boxes, size)
        order = np.flatnonzero(shown)
        order = order[np.argsort(self._book.ids[order])]
        source = np.full(len(order), -1, np.int64)
        scores = np.zeros(len(order), np.float32)
        hit = seen[order]
        source[hit] = rows[matched[order[hit]]]
        scores[hit] = detections.scores[source[hit]]
        return Tracks(self._book.ids[order], boxes[order], scores, source)

    def _coasting(self, boxes: FloatArray, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Tracks of a settled person, wholly inside the frame, missed only just now."""
        assert self._time is not None
        gap = self._time - self._book.seen
        inside = (boxes[:, :2] > 2).all(1) & (boxes[:, 2:] < np.asarray(size, np.float32) - 2).all(1)
        settled = self._book.confirmed(self.config) & (self._book.hits >= 3 * self.config.confirm_frames)
        return np.asarray(settled & (gap <= self.config.coast_seconds + 1e-6) & inside)
