"""The tracker of one camera.

Life of a track: tentative (seen fewer than ``confirm_frames`` times) -> confirmed -> lost (not seen) -> found again, or
ended after ``lost_seconds`` (after ``exit_seconds`` if it walked out of the picture). Each frame: (1) sure boxes are
assigned to confirmed and lost tracks by overlap and looks together, (2) unsure boxes get a second chance with tracks
that were seen a moment ago (ByteTrack, Zhang et al., ECCV 2022), (3) lost tracks that nobody overlaps are found again
by looks within reach, (4) tentative tracks take what is left, (5) the rest begins new tracks, (6) a new track about to
be reported takes the id of a lost one if it looks like it.

Who is hidden by somebody nearer is compared by looks only as far as visible, and not learnt.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from streamreid.boxes import cover_matrix, iou_matrix
from streamreid.config import TrackerConfig
from streamreid.features.prototype_bank import PrototypeBank
from streamreid.features.similarity import Calibration, SiteCalibration, part_similarity
from streamreid.tracking.assignment import assign
from streamreid.tracking.gating import (
    buffered_overlap,
    leaving,
    place_odds,
    second_boxes,
    span_overlap,
    walked,
    within_reach,
)
from streamreid.tracking.motion import MotionFilter, MotionNoise
from streamreid.tracking.occlusion import occlusion
from streamreid.tracking.smoothing import MotionStep
from streamreid.tracking.track_table import TrackTable
from streamreid.types import BoolArray, Detections, FloatArray, IntArray, PartFeatures, Tracks

__all__ = ["Tracker", "occlusion"]

Rows = NDArray[np.intp]

FARTHEST = 1e6
"""Pixels from the origin beyond which a box is taken for an error of the detector."""
CONTEST_SECONDS = 3.0
"""How long a hidden person is taken to be still where they are expected."""
OUTAGE_PEOPLE = 3
"""That many people do not hide in one and the same moment."""


_MOMENT = 1.0
"""Seconds since a track was seen for which an unsure box may be it; at slower frame rates, whoever was in the last
frame."""

_SLOW = 0.5
"""Seconds between frames from which somebody who walks may have left their own box behind: half a body height at 1 m/s
is wider than the box."""

_UNEVEN = 1.5
"""How many times longer than the one before an interval between two frames of a camera may be; more is an
interruption."""

_SET_BACK = 1.0
"""Seconds by which times must go back for the clock to have been set; less is disorder among frames."""


class Tracker:
    """Tracks of one camera. No global state: ids count from ``first_id`` in every object, and the same input gives the
    same tracks.

    Example:
        >>> from streamreid import Detections, Tracker
        >>> tracker = Tracker()
        >>> for number in range(5):  # 10 frames a second; somebody walks to the right
        ...     left = 10 + 2 * number
        ...     found = Detections.from_arrays([[left, 20, left + 50, 170]], scores=[0.9])
        ...     tracks = tracker.update(found, None, number / 10)  # None: motion only, else their PartFeatures
        >>> tracks.ids.tolist(), tracks.rows.tolist()
        ([1], [0])

    Args:
        config: Thresholds.
        calibration: Turns the engine's part similarity into a probability.
        first_id: The first track id to give.
    """

    def __init__(
        self,
        config: TrackerConfig | None = None,
        calibration: Calibration | SiteCalibration | None = None,
        *,
        first_id: int = 1,
    ) -> None:
        self.config = config or TrackerConfig()
        self._calibration = calibration or Calibration()
        noise = MotionNoise() if self.config.truncation else MotionNoise(truncation=(np.inf, np.inf))
        self._motion = MotionFilter(noise, history=self.config.delay > 0)
        # Two views are the same prototype while their similarity is nearer to certainty than to the toss of a coin.
        self._appearance = PrototypeBank(prototypes=self.config.prototypes, join=(1.0 + self._coin()) / 2)
        self._book = TrackTable.empty()
        self._next_id = first_id
        self._time: float | None = None
        self._interval: float | None = None  # seconds between the last two frames
        self._pace = 0.0
        self._shift = 0.0
        self._size: tuple[int, int] | None = None
        self._renamed: dict[int, int] = {}
        self._hidden: FloatArray | None = None
        self._latest: tuple[Tracks, BoolArray] = Tracks.empty(), np.zeros(0, bool)

    def __repr__(self) -> str:
        return f"Tracker(tracks={len(self._book)}, next_id={self._next_id})"

    @property
    def next_id(self) -> int:
        """The id that the next new track will get."""
        return self._next_id

    @property
    def appearance(self) -> PartFeatures:
        """One row per track that is followed, also of those not reported: the mean of what was learnt of it."""
        return self._appearance.features

    @property
    def renamed(self) -> dict[int, int]:
        """``{id: older id}`` of reported tracks that the last update found to be older ones (only if results are
        delayed)."""
        return dict(self._renamed)

    def ids_are_final(self, ids: IntArray) -> BoolArray:
        """``[N]`` which of the reported ``ids`` [N] can no longer turn out to be older ones (see :attr:`renamed`)."""
        if self._time is None:
            return np.ones(len(ids), bool)
        return ~np.isin(ids, self._book.ids[self._young()])

    def _young(self) -> BoolArray:
        assert self._time is not None
        return np.asarray(self._time - self._book.begun < self.config.rejoin - 1e-6)

    def motion(self, camera: FloatArray | None = None) -> MotionStep:
        """The last frame for a smoother (only if ``TrackerConfig.delay`` > 0); ``camera`` as given to
        :meth:`update`."""
        return self._motion.step(self._book.ids, camera)

    @property
    def hidden(self) -> FloatArray | None:
        """``[N]`` how much of each of the last update's detections is hidden by the others, in [0, 1]; None where not
        all of them were usable."""
        return self._hidden

    @property
    def tentative(self) -> Tracks:
        """Tracks seen in the last update and not confirmed yet."""
        everybody, rows = self._latest
        return everybody[rows]

    @property
    def everybody(self) -> tuple[Tracks, FloatArray]:
        """All tracks after the last update, also lost, tentative and unmoving ones, where they are or are expected
        (``rows`` -1), and the standard deviation ``[T]`` of each place in pixels."""
        return self._latest[0], self._motion.deviations

    def update(
        self,
        detections: Detections,
        features: PartFeatures | None,
        time: float,
        *,
        size: tuple[int, int] | None = None,
        camera: FloatArray | None = None,
    ) -> Tracks:
        """Take the people found in one frame.

        Args:
            detections: N boxes. Boxes that are not finite, have no area or lie a million pixels away are ignored.
            features: N rows, or None for motion only. A part that is not finite counts as not seen.
            time: Capture time in seconds. A time before the last one counts as no time passed; by more than a second,
                as a clock that was set back, on which times go on.
            size: Width and height of the frame. If given, a person missed for less than ``coast_seconds`` inside the
                frame is reported where the motion predicts them, and one who left through the border ends after
                ``exit_seconds``.
            camera: ``[2, 3]`` affine map from pixels of the previous frame to pixels of this one, for a moving camera
                (see :class:`streamreid.tracking.camera_motion.CameraMotion`).

        Returns:
            Confirmed tracks; boxes are the filter's, which jitter less than the detector's. ``rows`` refers to
            ``detections``, -1 for a predicted box (with score 0).

        Raises:
            ValueError: ``features`` and ``detections`` differ in length, or ``time`` or ``camera`` is not finite.
            EngineMismatchError: ``features`` come from another engine than before.
        """
        if features is None:
            features = PartFeatures.unseen(len(detections), *self._appearance.shape)
        if len(features) != len(detections):
            raise ValueError(f"{len(detections)} detections but {len(features)} rows of features")
        if not np.isfinite(time):
            raise ValueError(f"capture time must be finite, got {time}")
        if camera is not None and (np.shape(camera) != (2, 3) or not np.isfinite(camera).all()):
            raise ValueError(f"camera motion must be a finite [2, 3] affine map, got {camera}")
        rows = _in_order(detections.boxes, detections.scores, self.config.low_score)
        self._size = size or self._size
        self._renamed = {}
        confirmed = self._advance(time, camera)
        boxes = detections.boxes[rows]
        hidden = occlusion(boxes)
        self._hidden = None
        if len(rows) == len(detections):
            self._hidden = np.empty_like(hidden)
            self._hidden[rows] = hidden
        clear = 1.0 - hidden if self.config.occlusion else np.ones(len(boxes), np.float32)
        matched = self._match(boxes, detections.scores[rows], _finite(features, rows), clear, confirmed)
        return self._report(matched, rows, detections, size)

    def _advance(self, time: float, camera: FloatArray | None) -> BoolArray:
        """Move all tracks to ``time`` and end those that are gone. Returns which of the others are confirmed."""
        time += self._shift
        last = self._time if self._time is not None else time
        if time < last - _SET_BACK:
            self._shift += last - time
            time = last
        self._time = max(time, last)
        c, book = self.config, self._book
        if camera is not None:
            self._motion.warp(camera)
            book.warp(camera)
        # "Unseen" are tracks that had no box in the previous frame, though others had: where all vanish at once, nobody
        # hides.
        self._motion.predict(self._time - last, book.seen < self._outage(last))
        gap = self._time - book.seen
        patience = np.full(len(book), c.lost_seconds)
        if self._size is not None:
            patience[leaving(self._motion.boxes, self._size)] = min(c.exit_seconds, c.lost_seconds)
        there = book.seen >= last
        # At one frame per second whoever was in the last frame has not left yet, though that is longer ago than the
        # time to leave.
        self._pace = self._usual(self._time - last)
        patience[there] = np.maximum(patience[there], min(self._pace, c.lost_seconds))
        # A lost track is kept while it could still be seen; a tentative one must be seen in every frame or be forgotten
        # soon.
        confirmed = book.confirmed(c)
        kept = (gap <= patience) & (confirmed | there)
        self._keep(kept)
        return confirmed[kept]

    def _usual(self, interval: float) -> float:
        """How much of ``interval``, the seconds since the frame before, is due to the frame rate, and not to an
        interruption."""
        before = self._interval
        if interval > 0:
            self._interval = interval
        return interval if before is None else min(interval, _UNEVEN * before)

    def _outage(self, last: float) -> float:
        """The time of the last frame before ``last``, included, that did not lose several people all at once."""
        newest = self._book.seen.max(initial=-np.inf)
        together = np.count_nonzero(self._book.seen >= newest)
        return newest if newest < last and together >= OUTAGE_PEOPLE else last

    def _keep(self, mask: BoolArray) -> None:
        if np.count_nonzero(mask) < len(mask):
            self._book.keep(mask)
            self._motion.keep(mask)
            self._appearance.keep(mask)

    def _match(
        self, boxes: FloatArray, scores: FloatArray, features: PartFeatures, clear: FloatArray, confirmed: BoolArray
    ) -> IntArray:
        """Assign, correct and begin tracks. Returns for every track row the detection row, or -1."""
        assert self._time is not None
        c = self.config
        predicted = self._motion.boxes
        taken = np.full(len(predicted), -1, np.int64)
        free = np.ones(len(boxes), bool)
        iou = self._overlap(predicted, boxes)
        looks, rank, weight = self._alikeness(features, clear)
        sure = scores >= c.high_score

        def run(
            rows: BoolArray, columns: BoolArray, judge: Callable[[Rows, Rows], tuple[FloatArray, BoolArray]]
        ) -> None:
            d = (columns & free).nonzero()[0]
            if not len(d):
                return
            t = (rows & (taken < 0)).nonzero()[0]
            if len(t):
                i, j = assign(*judge(t[:, None], d))
                taken[t[i]] = d[j]
                free[d[j]] = False

        gap = (self._time - self._book.seen)[:, None]
        both = np.asarray((1 - weight) * iou + weight * rank, np.float32)
        # The longer somebody was away, the more likely is a stranger in the same place: looks must speak for the old
        # track, and after a while without looks nothing does.
        gate = c.appearance_gate + (0.5 - c.appearance_gate) * np.minimum(gap / 0.5, 1.0)
        first = (iou >= c.match_iou) & np.where(weight > 0, looks >= gate, gap <= c.motion_only_seconds)
        run(confirmed, sure, lambda t, d: (both[t, d], first[t, d]))
        run(
            confirmed & (gap[:, 0] <= max(_MOMENT, self._pace)),
            ~sure,
            lambda t, d: (iou[t, d], iou[t, d] >= c.second_match_iou),
        )
        if c.recover_probability < 1.0:
            run(confirmed, sure, lambda t, d: (rank[t, d], self._found_again(looks[t, d], t[:, 0], boxes[d])))
        run(~confirmed, sure, lambda t, d: (iou[t, d], iou[t, d] >= c.match_iou))
        if self._pace >= _SLOW:
            run(~confirmed, sure, lambda t, d: walked(predicted[t[:, 0]], boxes[d], self._pace, looks[t, d] >= 0.5))
        return self._apply(taken, boxes, scores, features, clear, confirmed)

    def _found_again(self, looks: FloatArray, rows: Rows, boxes: FloatArray) -> BoolArray:
        """Whether ``boxes`` [N] can show the lost tracks ``rows`` [M], without overlap: ``looks`` [M, N] and places
        together must make it probable."""
        assert self._time is not None
        least = self.config.recover_probability
        if not np.count_nonzero(looks >= least):
            return np.zeros(looks.shape, bool)
        predicted, gap = self._motion.boxes[rows], self._time - self._book.seen[rows]
        odds = _log_odds(looks) + place_odds(predicted, boxes, self._motion.deviations[rows])
        return np.asarray(
            (looks >= least) & (odds >= np.log(least / (1.0 - least))) & within_reach(predicted, boxes, gap)
        )

    def _overlap(self, predicted: FloatArray, boxes: FloatArray) -> FloatArray:
        doubt = self._motion.deviations - self._motion.noise.measurement * (predicted[:, 3] - predicted[:, 1])
        iou = buffered_overlap(predicted, boxes, np.asarray(self.config.overlap_buffer * doubt, np.float32))
        return iou * span_overlap(predicted, boxes) if self.config.height_overlap else iou

    def _alikeness(self, features: PartFeatures, clear: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """What looks say of tracks and people, each ``[T, N]``: the probability that they are one, drawn to 1/2 as far
        as the person is hidden; a rank in [0, 1] to choose between candidates, 1/2 where nothing is known; and the
        weight of looks against overlap.

        The rank is the similarity from the toss of a coin (0) to certainty (1). Probabilities would not do: they are
        all 1 among people who look somewhat alike, and the choice between them would be left to overlap.
        """
        shape = len(self._book), len(features)
        looks, rank, weight = (
            np.full(shape, 0.5, np.float32),
            np.full(shape, 0.5, np.float32),
            np.zeros(shape, np.float32),
        )
        seen = (features.visibility != 0).any(1).nonzero()[0]
        if len(seen) and len(self._book):
            similarity, common = self._appearance.similarity(slice(None), features[seen])
            known = common > 0
            looks[:, seen] += np.where(known, self._calibration.probability(similarity) - 0.5, 0.0) * clear[seen]
            rank[:, seen] = np.where(known, self._rank(similarity), 0.5)
            weight[:, seen] = self.config.appearance_weight * np.sqrt(common * clear[seen])
        return looks, rank, weight

    def _rank(self, similarity: FloatArray) -> FloatArray:
        coin = self._coin()
        return np.asarray(np.minimum(np.maximum((similarity - coin) / max(1.0 - coin, 1e-6), 0.0), 1.0), np.float32)

    def _coin(self) -> float:
        """Similarity from which two people are rather one than two."""
        now = self._calibration.calibration if isinstance(self._calibration, SiteCalibration) else self._calibration
        return min(max(-now.intercept / max(now.slope, 1e-6), -1.0), 1.0)

    def _apply(
        self,
        taken: IntArray,
        boxes: FloatArray,
        scores: FloatArray,
        features: PartFeatures,
        clear: FloatArray,
        confirmed: BoolArray,
    ) -> IntArray:
        assert self._time is not None
        hit = (taken >= 0).nonzero()[0]
        rows = taken[hit]
        found, sure = boxes[rows], scores[rows]
        own = clear[rows] * self._uncontested(taken, found, confirmed)
        self._motion.update(hit, found, sure)
        self._appearance.update(hit, features, np.where(own > 0.5, own * sure, 0.0).astype(np.float32), rows)
        self._book.observe(hit, self._time, self._motion.boxes[hit], sure, sure >= self.config.high_score)
        new = self._newcomers(boxes, scores, features, taken)
        if len(new):
            self._motion.add(boxes[new])
            self._appearance.add(features[new], clear[new] * scores[new])
            ids = np.arange(self._next_id, self._next_id + len(new))
            self._next_id += len(new)
            self._book.add(ids, self._time, boxes[new], scores[new])
        return self._rejoin(np.concatenate([taken, new]))

    def _uncontested(self, taken: IntArray, boxes: FloatArray, confirmed: BoolArray) -> FloatArray:
        """How far each of ``boxes`` [M] shows surely its track alone: where somebody lost a moment ago is expected, the
        box may show either of them."""
        assert self._time is not None
        absent = (taken < 0) & (self._time - self._book.seen <= CONTEST_SECONDS) & confirmed
        if not self.config.occlusion or not np.count_nonzero(absent):
            return np.ones(len(boxes), np.float32)
        return np.asarray(1.0 - cover_matrix(boxes, self._motion.boxes[absent]).max(1), np.float32)

    def _newcomers(self, boxes: FloatArray, scores: FloatArray, features: PartFeatures, taken: IntArray) -> Rows:
        """Sure boxes that nobody claimed and that are no second box of somebody."""
        c = self.config
        free = np.ones(len(boxes), bool)
        free[taken[taken >= 0]] = False
        new = (free & (scores >= c.new_score)).nonzero()[0]
        if not len(new):
            return new
        owners = (taken >= 0).nonzero()[0]
        alike = self._alike(*self._appearance.similarity(owners, features[new])).T
        new = new[~second_boxes(boxes[new], boxes[taken[owners]], alike, iou=c.duplicate_iou, cover=c.duplicate_cover)]
        # Boxes come in order of score: of two newcomers in one place the better one stays, of two that look alike the
        # outer one.
        better = np.tril(iou_matrix(boxes[new], boxes[new]) > c.duplicate_iou, -1)
        cover = cover_matrix(boxes[new], boxes[new])
        inside = (cover > c.duplicate_cover) & (cover > cover.T)
        return new[~(better | (inside & self._alike(*part_similarity(features[new], features[new])))).any(1)]

    def _alike(self, similarity: FloatArray, common: FloatArray) -> BoolArray:
        return np.asarray((common > 0) & (self._calibration.probability(similarity) >= 0.5))

    def _rejoin(self, matched: IntArray) -> IntArray:
        """A track that is to be reported for the first time, or was less than ``TrackerConfig.rejoin`` ago, and looks
        like one that was lost before it began, is that one: several looks tell more than the single one that recovery
        had."""
        assert self._time is not None
        c, book = self.config, self._book
        confirmed = book.confirmed(c)
        young = ~book.reported | self._young()
        new = ((matched >= 0) & confirmed & young).nonzero()[0]
        if not len(new) or c.recover_probability >= 1.0:
            return matched
        old = ((matched < 0) & confirmed & book.reported).nonzero()[0]
        if not len(old):
            return matched
        similarity, common = self._appearance.similarity(old, self._appearance.summary(new))
        looks = np.where(common > 0, self._calibration.probability(similarity), 0.0).astype(np.float32)
        allowed = self._found_again(looks, old, self._motion.boxes[new])
        i, j = assign(
            np.maximum(self._rank(similarity), 1e-3), allowed & (book.seen[old][:, None] < book.begun[new][None])
        )
        old, new = old[i], new[j]
        if not len(old):
            return matched
        self._renamed = {
            int(a): int(b)
            for a, b in zip(book.ids[new], book.ids[old], strict=True)
            if book.reported[new][book.ids[new] == a].all()
        }
        book.adopt(new, old)
        self._appearance.merge(new, old)
        kept = np.ones(len(book), bool)
        kept[old] = False
        self._keep(kept)
        return matched[kept]

    def _report(self, matched: IntArray, rows: Rows, detections: Detections, size: tuple[int, int] | None) -> Tracks:
        seen = matched >= 0
        confirmed = self._book.confirmed(self.config)
        shown = seen & confirmed & ~self._book.ghosts(self.config)
        self._book.reported |= shown
        boxes = self._motion.boxes
        if size is not None:
            shown |= ~seen & self._coasting(boxes, size)
        source = np.full(len(matched), -1, np.int64)
        source[seen] = rows[matched[seen]]
        scores = np.zeros(len(matched), np.float32)
        scores[seen] = detections.scores[source[seen]]
        everybody = Tracks(self._book.ids, boxes, scores, source)
        self._latest = everybody, seen & ~confirmed
        order = shown.nonzero()[0]
        return everybody[order[np.argsort(self._book.ids[order])]]

    def _coasting(self, boxes: FloatArray, size: tuple[int, int]) -> BoolArray:
        """Tracks of a settled person, wholly inside the frame, missed only just now."""
        assert self._time is not None
        gap = self._time - self._book.seen
        corners = (boxes[:, :2] > 2) & (boxes[:, 2:] < np.asarray(size, np.float32) - 2)
        inside = corners[:, 0] & corners[:, 1]
        settled = (
            self._book.reported & (self._book.hits >= 3 * self.config.confirm_frames) & ~self._book.ghosts(self.config)
        )
        return np.asarray(settled & (gap <= self.config.coast_seconds + 1e-6) & inside)


def _in_order(boxes: FloatArray, scores: FloatArray, least: float) -> Rows:
    """Rows of the usable boxes, the best first. A fixed order makes the result independent of the detector's."""
    usable = _usable(boxes, scores, least)
    rows = usable.nonzero()[0]
    chosen = scores if len(rows) == len(scores) else scores[rows]
    if np.count_nonzero(chosen[1:] < chosen[:-1]) == len(rows) - 1:  # as most detectors give them
        return rows
    return rows[np.lexsort((*boxes[rows].T, -chosen))]


def _usable(boxes: FloatArray, scores: FloatArray, least: float) -> BoolArray:
    near = np.abs(boxes) < FARTHEST  # false for what is not finite
    good = near[:, :2] & near[:, 2:] & (boxes[:, 2:] > boxes[:, :2])
    return np.asarray(good[:, 0] & good[:, 1] & (scores >= least) & (scores < np.inf))


def _log_odds(probability: FloatArray) -> FloatArray:
    """Log-odds, bounded: no look is surer than 500 to 1."""
    p = np.clip(probability, 0.002, 0.998)
    return np.asarray(np.log(p / (1.0 - p)), np.float32)


def _finite(features: PartFeatures, rows: Rows) -> PartFeatures:
    """Some of the features; a part that is not finite is not seen."""
    features = features[rows]
    parts, visibility = np.isfinite(features.parts), np.isfinite(features.visibility)
    if np.count_nonzero(parts) == parts.size and np.count_nonzero(visibility) == visibility.size:
        return features
    good = parts.all(2) & visibility
    return PartFeatures(np.where(good[..., None], features.parts, 0.0), np.where(good, features.visibility, 0.0))
