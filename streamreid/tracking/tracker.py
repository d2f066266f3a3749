"""The tracker of one camera.

Life of a track: tentative (seen fewer than ``confirm_frames`` times) -> confirmed -> lost (not seen) -> found again, or
ended after ``lost_seconds`` (after ``exit_seconds`` if it walked out of the picture). Each frame: (1) sure boxes are
assigned to confirmed and lost tracks by overlap and looks together, (2) unsure boxes get a second chance with tracks
that were seen a moment ago (ByteTrack, Zhang et al., ECCV 2022), (3) lost tracks that nobody overlaps are found again
by looks within reach, (4) tentative tracks take what is left, (5) the rest begins new tracks, (6) a new track about to
be reported takes the id of a lost one if it looks like it, (7) a track that has looked like somebody else since it met
others ends, and a new one goes on there; whatever the ended one would take there later is the new one's.

Who is hidden by somebody nearer is compared by looks only as far as visible, and not learnt.
"""

from __future__ import annotations

from math import isfinite

import numpy as np
from numpy.typing import NDArray

from streamreid.config import TrackerConfig
from streamreid.features.prototype_bank import PrototypeBank
from streamreid.features.similarity import Calibration, SiteCalibration
from streamreid.tracking.assignment import assign
from streamreid.tracking.candidates import Candidates, FramePeople, usable_people
from streamreid.tracking.gating import leaving, place_odds, within_reach
from streamreid.tracking.looks import Looks, coin, probable
from streamreid.tracking.matching import FrameMatcher
from streamreid.tracking.motion import MotionFilter, MotionNoise
from streamreid.tracking.occlusion import occlusion
from streamreid.tracking.owner_changes import OwnerChanges, Successors
from streamreid.tracking.smoothing import MotionStep
from streamreid.tracking.track_table import TrackTable, filled
from streamreid.types import BoolArray, Detections, FloatArray, IntArray, PartFeatures, Tracks

__all__ = ["Tracker", "occlusion"]

Rows = NDArray[np.intp]

_NOBODY = np.zeros(0, np.intp)

OUTAGE_PEOPLE = 3
"""That many people do not hide in one and the same moment."""

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
        self._motion = MotionFilter(noise, history=self.config.lag > 0)
        # Two views are the same prototype while their similarity is nearer to certainty than to the toss of a coin.
        join = (1.0 + coin(self._calibration)) / 2
        self._appearance = PrototypeBank(prototypes=self.config.prototypes, join=join)
        self._looks = Looks(self._appearance, self._calibration, self.config.appearance_weight)
        self._changes = OwnerChanges(self._appearance, self._calibration, self.config.split_probability)
        self._book = TrackTable.empty()
        self._matcher = FrameMatcher(self.config, self._book, self._motion, self._appearance, self._looks)
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

    def doubted(self, ids: IntArray) -> BoolArray:
        """``[N]`` which of the tracks ``ids`` [N] look like somebody else since they met others, so that nothing is to
        be learnt of them until that is decided (``TrackerConfig.split_probability``)."""
        return self._changes.doubted(ids)

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
        detected: bool = True,
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
            detected: False where the boxes lie between detections of earlier and later frames; they are followed more
                closely.

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
        if not isfinite(time):
            raise ValueError(f"capture time must be finite, got {time}")
        if camera is not None and (np.shape(camera) != (2, 3) or not np.isfinite(camera).all()):
            raise ValueError(f"camera motion must be a finite [2, 3] affine map, got {camera}")
        c = self.config
        people = usable_people(detections, features, least=c.low_score, sure=c.high_score, occlusion=c.occlusion)
        self._size = size or self._size
        self._renamed = {}
        confirmed = self._advance(time, camera)
        self._hidden = None
        if len(people) == len(detections):
            self._hidden = np.empty(len(people), np.float32)
            self._hidden[people.rows] = people.hidden
        return self._report(self._match(people, confirmed, detected), people, size)

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
        there = book.seen >= last
        # Where somebody was seen in the last frame, there was no outage.
        unseen = ~there if np.count_nonzero(there) else book.seen < self._outage(last)
        self._motion.predict(self._time - last, unseen)
        self._pace = self._usual(self._time - last)
        # A lost track is kept while it could still be seen; a tentative one must be seen in every frame or be forgotten
        # soon.
        confirmed = book.confirmed(c)
        kept = (confirmed | there) & self._patient(there)
        if self._keep(kept):
            confirmed = confirmed[kept]
        return confirmed

    def _patient(self, there: BoolArray) -> BoolArray:
        """Which tracks were seen lately enough to be kept; ``there`` [T] are those of the frame before."""
        assert self._time is not None
        c, gap = self.config, self._time - self._book.seen
        soonest = min(c.exit_seconds, c.lost_seconds)
        soon = gap <= soonest
        if np.count_nonzero(soon) == len(gap):
            return soon
        patience = np.full(len(gap), c.lost_seconds)
        if self._size is not None:
            patience[leaving(self._motion.boxes, self._size)] = soonest
        # At one frame per second whoever was in the last frame has not left yet, though that is longer ago than the
        # time to leave.
        patience[there] = np.maximum(patience[there], min(self._pace, c.lost_seconds))
        return np.asarray(gap <= patience)

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

    def _keep(self, mask: BoolArray) -> bool:
        """Only the tracks of the ``mask`` [T] are followed on. Returns whether any is not."""
        if np.count_nonzero(mask) == len(mask):
            return False
        self._book.keep(mask)
        self._motion.keep(mask)
        self._appearance.keep(mask)
        self._changes.forget(self._book.ids.tolist())
        return True

    def _match(self, people: FramePeople, confirmed: BoolArray, detected: bool) -> IntArray:
        """Assign, correct and begin tracks. Returns for every track row the person's number, or -1."""
        assert self._time is not None
        near = self._matcher.candidates(people)
        taken, alike = self._matcher.match(people, near, confirmed, time=self._time, pace=self._pace)
        return self._apply(taken, people, near, confirmed, alike, detected)

    def _apply(
        self,
        taken: IntArray,
        people: FramePeople,
        near: Candidates,
        confirmed: BoolArray,
        alike: FloatArray,
        detected: bool,
    ) -> IntArray:
        assert self._time is not None
        self._undo(taken, people, alike)
        hit = (taken >= 0).nonzero()[0]
        found = taken.take(hit)
        boxes, scores = people.boxes.take(found, 0), people.scores.take(found)
        own = people.clear.take(found)
        self._matcher.contest(own, taken, hit, people, near, confirmed, self._time)
        quality = own * scores
        quality *= own > 0.5
        if self._changes.enabled and self._appearance.shape[1] > 1:  # else nobody was ever looked at
            taken, hit = self._part(taken, hit, people, quality, alike)
        self._motion.update(hit, boxes, scores, detected=detected)
        if people.looked:
            self._appearance.update(hit, people.features, quality, people.rows.take(found))
        self._book.observe(hit, self._time, self._motion.boxes.take(hit, 0), scores, people.sure.take(found))
        new = self._matcher.newcomers(people, taken)
        if len(new):
            self._motion.add(people.boxes[new])
            self._appearance.add(people.features_of(new), people.clear[new] * people.scores[new])
            ids = np.arange(self._next_id, self._next_id + len(new))
            self._next_id += len(new)
            self._book.add(ids, self._time, people.boxes[new], people.scores[new])
            taken = np.concatenate([taken, new])
        return self._rejoin(taken)

    def _part(
        self, taken: IntArray, hit: Rows, people: FramePeople, quality: FloatArray, alike: FloatArray
    ) -> tuple[IntArray, Rows]:
        """End the tracks among ``hit`` [M] that are somebody else by now, as lost ones, and begin others in their
        place. Lowers ``quality`` [M] where nothing may be learnt. Returns ``taken`` with the new tracks, and ``hit``
        with these in the place of the old ones."""
        assert self._time is not None
        book, now, found = self._book, self._time, taken.take(hit)
        met = now - book.seen.take(hit) > (self._interval or 0.0) + 1e-6  # back after a while
        if len(people.near.one):
            beside = np.zeros(len(people), bool)
            beside[people.near.one] = True
            met |= beside.take(found)
        if np.count_nonzero(met):
            book.met[hit[met]] = now
        if not people.looked:
            return taken, hit
        rows = people.rows.take(found)
        new = self._changes.watch(book, hit, people.features, rows, quality, alike.take(hit), now)
        if new is None:
            return taken, hit
        old = hit[new.numbers]
        begun = self._succeed(old, new)
        taken = np.concatenate([taken, found[new.numbers]])
        taken[old] = -1
        hit = hit.copy()
        hit[new.numbers] = begun
        return taken, hit

    def _succeed(self, old: Rows, new: Successors) -> Rows:
        """Append tracks that move and are known as ``old`` [M] but show somebody else; returns their rows."""
        book, count = self._book, len(self._book)
        assert self._time is not None
        ids = np.arange(self._next_id, self._next_id + len(old))
        self._next_id += len(old)
        self._changes.part(book.ids[old], ids, new.begun - new.before)
        self._motion.repeat(old)
        self._appearance.add(new.features, new.looks)
        book.add(ids, self._time, self._motion.boxes[old], book.score[old].astype(np.float32))
        rows = np.arange(count, len(book))
        book.travel[rows], book.begun[rows] = book.travel[old], new.begun
        book.hits[rows] = np.maximum(new.hits, self.config.confirm_frames)
        book.seen[old] = new.before
        return rows

    def _undo(self, taken: IntArray, people: FramePeople, alike: FloatArray) -> None:
        """Give the boxes of ended tracks to those that went on for them where these are the same people; changes
        ``taken`` and ``alike``."""
        assert self._time is not None
        newer, older = self._changes.undone(self._book, taken, self._motion.boxes, people.boxes, self._time)
        if len(newer):
            taken[newer], alike[newer] = taken[older], alike[older]
            taken[older] = -1
            self._appearance.absorb(newer, older)
            self._book.seen[older] = -np.inf  # the next frame drops them

    def _rejoin(self, matched: IntArray) -> IntArray:
        """A track that is to be reported for the first time, or was less than ``TrackerConfig.rejoin`` ago, and looks
        like one that was lost before it began, is that one: several looks tell more than the single one that recovery
        had."""
        assert self._time is not None
        c, book = self.config, self._book
        young = ~book.reported
        if c.rejoin:
            young |= self._young()
        if not np.count_nonzero(young) or c.recover_probability >= 1.0:
            return matched
        young &= matched >= 0
        confirmed = book.confirmed(c)
        new = (young & confirmed).nonzero()[0]
        if not len(new):
            return matched
        old = ((matched < 0) & confirmed & book.reported).nonzero()[0]
        if not len(old):
            return matched
        similarity, common = self._appearance.similarity(old, self._appearance.summary(new))
        looks = np.where(common > 0, self._calibration.probability(similarity), 0.0).astype(np.float32)
        there, here = self._motion.boxes[old], self._motion.boxes[new]
        allowed = within_reach(there, here, self._time - book.seen[old])
        allowed &= probable(
            self.config.recover_probability, looks, place_odds(there, here, self._motion.deviations[old])
        )
        allowed &= self._changes.allowed(book.ids[old], book.ids[new])
        i, j = assign(
            np.maximum(self._looks.rank(similarity), 1e-3), allowed & (book.seen[old][:, None] < book.begun[new][None])
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

    def _report(self, matched: IntArray, people: FramePeople, size: tuple[int, int] | None) -> Tracks:
        book = self._book
        seen, confirmed = matched >= 0, book.confirmed(self.config)
        believed = confirmed & ~book.ghosts(self.config)
        shown = seen & believed
        book.reported |= shown
        boxes = self._motion.boxes
        if size is not None:
            shown |= self._coasting(~seen & book.reported & believed, boxes, size)
        source, scores = filled(-1, len(matched), np.int64), np.zeros(len(matched), np.float32)
        numbers = matched[seen]
        source[seen], scores[seen] = people.rows.take(numbers), people.scores.take(numbers)
        self._latest = Tracks(book.ids, boxes, scores, source), seen & ~confirmed
        order = shown.nonzero()[0]
        order = order.take(book.ids.take(order).argsort())
        return Tracks(book.ids.take(order), boxes.take(order, 0), scores.take(order), source.take(order))

    def _coasting(self, missed: BoolArray, boxes: FloatArray, size: tuple[int, int]) -> BoolArray:
        """Which of the ``missed`` [T], people that were reported, are settled, wholly inside the frame and missed only
        just now."""
        assert self._time is not None
        if not np.count_nonzero(missed):
            return missed
        late = self._time - self._book.seen <= self.config.coast_seconds + 1e-6
        missed = missed & late & (self._book.hits >= 3 * self.config.confirm_frames)
        if np.count_nonzero(missed):
            corners = (boxes[:, :2] > 2) & (boxes[:, 2:] < np.asarray(size, np.float32) - 2)
            missed &= corners[:, 0]
            missed &= corners[:, 1]
        return missed
