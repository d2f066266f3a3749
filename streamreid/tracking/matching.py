"""Which box of a frame is which track: the rounds of assignment, from the surest pairs to the least sure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamreid.boxes import pair_intersection
from streamreid.config import TrackerConfig
from streamreid.features.prototype_bank import PrototypeBank
from streamreid.features.similarity import similarity_of_pairs
from streamreid.tracking.assignment import assign_pairs
from streamreid.tracking.candidates import Candidates, FramePeople, candidates
from streamreid.tracking.gating import place_odds, walked, within_reach
from streamreid.tracking.looks import Looks, probable
from streamreid.tracking.motion import MotionFilter
from streamreid.tracking.track_table import TrackTable, filled
from streamreid.types import BoolArray, Float64Array, FloatArray, IntArray

__all__ = ["FrameMatcher"]

Rows = NDArray[np.intp]

_NOBODY: Rows = np.zeros(0, np.intp)
_NO_PAIRS = Candidates(_NOBODY, _NOBODY, np.zeros(0, np.float32)), np.zeros(0, np.float32)

CONTEST_SECONDS = 3.0
"""How long a hidden person is taken to be still where they are expected."""

_MOMENT = 1.0
"""Seconds since a track was seen for which an unsure box may be it; at slower frame rates, whoever was in the last
frame."""

_SLOW = 0.5
"""Seconds between frames from which somebody who walks may have left their own box behind: half a body height at 1 m/s
is wider than the box."""


class FrameMatcher:
    """Assigns the people of a frame to the tracks of its camera: sure boxes to confirmed and lost tracks by overlap and
    looks together, unsure ones to tracks that were seen a moment ago, lost tracks that nobody overlaps by looks within
    reach, and what is left to tentative tracks.

    Args:
        config: Thresholds.
        book: The tracks; only read.
        motion: Where they are expected; only read.
        appearance: What is known of their looks; only read.
        looks: Compares these with people.
    """

    def __init__(
        self, config: TrackerConfig, book: TrackTable, motion: MotionFilter, appearance: PrototypeBank, looks: Looks
    ) -> None:
        self._config = config
        self._book = book
        self._motion = motion
        self._appearance = appearance
        self._looks = looks

    def match(
        self, people: FramePeople, near: Candidates, confirmed: BoolArray, *, time: float, pace: float
    ) -> tuple[IntArray, FloatArray]:
        """Assign.

        Args:
            people: N of the frame.
            near: Those that overlap, see `candidates`.
            confirmed: ``[T]`` which tracks are.
            time: Capture time in seconds.
            pace: Usual seconds between two frames.

        Returns:
            ``[T]`` number of the person of each track, -1 for none; and their similarity, infinite where too little was
            seen in common to tell.
        """
        c, gap = self._config, time - self._book.seen
        taken, alike = filled(-1, len(gap), np.int64), filled(np.inf, len(gap), np.float32)
        free = filled(True, len(people), np.bool_)

        def take(pairs: Candidates, score: FloatArray, similarity: FloatArray | None = None) -> None:
            if not len(score):
                return
            made = assign_pairs(pairs.track, pairs.person, score)
            track = pairs.track[made]
            taken[track] = pairs.person[made]
            free[pairs.person[made]] = False
            if similarity is not None:
                alike[track] = similarity[made]

        known, enough = confirmed.take(near.track), near.overlap >= c.match_iou
        of_known = enough & known
        sure = None if people.all_sure else people.sure.take(near.person)
        first = of_known if sure is None else of_known & sure
        settled = np.count_nonzero(first) == len(first)  # no pair is left for the second and third time
        take(*self._by_overlap_and_looks(near if settled else near.pick(first.nonzero()[0]), people, gap))
        second = _NOBODY
        if not settled and sure is not None:
            second = (~sure & (near.overlap >= c.second_match_iou) & known).nonzero()[0]
        if len(second):
            pairs = near.pick(second)
            waiting = (taken[pairs.track] < 0) & (gap[pairs.track] <= max(_MOMENT, pace)) & (pairs.overlap > 0)
            pairs = pairs.pick(waiting.nonzero()[0])
            take(pairs, pairs.overlap)
        if c.recover_probability < 1.0:
            lost = confirmed & (taken < 0)
            if np.count_nonzero(lost):
                take(*self._lost(lost, people, people.sure & free, time))
        third = _NOBODY if settled else (enough & ~known).nonzero()[0]
        if len(third) and sure is not None:
            third = third[sure.take(third)]
        if len(third):
            pairs = near.pick(third)
            pairs = pairs.pick((free[pairs.person] & (pairs.overlap > 0)).nonzero()[0])
            take(pairs, pairs.overlap)
        if pace >= _SLOW:
            take(*self._walked(~confirmed & (taken < 0), people, people.sure & free, pace))
        return taken, alike

    def candidates(self, people: FramePeople) -> Candidates:
        """Which people of a frame overlap which tracks."""
        c, predicted = self._config, self._motion.boxes
        doubt = self._motion.deviations - self._motion.noise.measurement * (predicted[:, 3] - predicted[:, 1])
        buffer = np.asarray(c.overlap_buffer * doubt, np.float32)
        return candidates(predicted, people.boxes, buffer, spans=c.height_overlap, everybody=c.match_iou <= 0)

    def _by_overlap_and_looks(
        self, pairs: Candidates, people: FramePeople, gap: Float64Array
    ) -> tuple[Candidates, FloatArray, FloatArray | None]:
        """The pairs of confirmed tracks and sure people that overlap and may be one person, with their score, and their
        similarity if anybody was looked at: infinite where too little was seen in common to tell."""
        c, gap = self._config, gap.take(pairs.track)
        if not people.looked:
            kept = ((gap <= c.motion_only_seconds) & (pairs.overlap > 0)).nonzero()[0]
            pairs = pairs.pick(kept)
            return pairs, pairs.overlap, None
        looks, rank, weight, similarity = self._looks.of_pairs(pairs.track, people, pairs.person)
        score = np.asarray((1 - weight) * pairs.overlap + weight * rank, np.float32)
        # The longer somebody was away, the more likely is a stranger in the same place: looks must speak for the old
        # track, and after a while without looks nothing does.
        gate = c.appearance_gate + (0.5 - c.appearance_gate) * np.minimum(gap / 0.5, 1.0)
        allowed = np.where(weight > 0, looks >= gate, gap <= c.motion_only_seconds)
        kept = (allowed & (score > 0)).nonzero()[0]
        return pairs.pick(kept), score.take(kept), similarity.take(kept)

    def _lost(
        self, lost: BoolArray, people: FramePeople, free: BoolArray, time: float
    ) -> tuple[Candidates, FloatArray, FloatArray | None]:
        """The pairs of ``lost`` tracks [T] with ``free`` people [N] who can be them without overlap, with their score
        and similarity, see ``_by_overlap_and_looks``."""
        t, d = lost.nonzero()[0], free.nonzero()[0]
        if not len(t) or not len(d):
            return *_NO_PAIRS, None
        predicted, boxes = self._motion.boxes[t], people.boxes[d]
        i, j = within_reach(predicted, boxes, time - self._book.seen[t]).nonzero()
        if not len(i):
            return *_NO_PAIRS, None
        looks, rank, _, similarity = self._looks.of_pairs(t[i], people, d[j])
        places = place_odds(predicted, boxes, self._motion.deviations[t])[i, j]
        kept = (probable(self._config.recover_probability, looks, places) & (rank > 0)).nonzero()[0]
        return Candidates(t[i[kept]], d[j[kept]], rank[kept]), rank[kept], similarity[kept]

    def _walked(
        self, new: BoolArray, people: FramePeople, free: BoolArray, pace: float
    ) -> tuple[Candidates, FloatArray]:
        """The pairs of ``new`` tracks [T] with ``free`` people [N] who may have walked there, with their score."""
        t, d = new.nonzero()[0], free.nonzero()[0]
        if not len(t) or not len(d):
            return _NO_PAIRS
        score, reached = walked(self._motion.boxes[t], people.boxes[d], pace)
        i, j = reached.nonzero()
        looks = self._looks.of_pairs(t[i], people, d[j])[0]
        kept = (looks >= 0.5).nonzero()[0]
        i, j = i[kept], j[kept]
        return Candidates(t[i], d[j], score[i, j]), score[i, j]

    def contest(
        self,
        own: FloatArray,
        taken: IntArray,
        hit: Rows,
        people: FramePeople,
        near: Candidates,
        confirmed: BoolArray,
        time: float,
    ) -> None:
        """Lower ``own`` [M], how far the boxes of the tracks ``hit`` [M] show surely these alone: where somebody lost
        a moment ago is expected, the box may show either of them."""
        if not self._config.occlusion or len(hit) == len(taken):
            return
        absent = (taken < 0) & (time - self._book.seen <= CONTEST_SECONDS) & confirmed
        if not np.count_nonzero(absent):
            return
        pairs = absent[near.track].nonzero()[0]
        if not len(pairs):
            return
        person, predicted = near.person[pairs], self._motion.boxes[near.track[pairs]]
        shared = np.zeros(len(people), np.float32)
        np.maximum.at(shared, person, pair_intersection(people.boxes[person], predicted) / people.near.area[person])
        own *= 1.0 - shared[taken[hit]]

    def newcomers(self, people: FramePeople, taken: IntArray) -> Rows:
        """Sure boxes that nobody claimed and that are no second box of somebody."""
        c, claimed = self._config, filled(-1, len(people), np.int64)
        hit = (taken >= 0).nonzero()[0]
        if len(hit) == len(people):
            return _NOBODY
        claimed[taken.take(hit)] = hit
        new = (claimed < 0) & (people.scores >= c.new_score)
        if not np.count_nonzero(new) or not len(people.near.one):
            return new.nonzero()[0]
        beside = people.near.pick(new[people.near.one])
        owned = beside.pick(claimed[beside.two] >= 0)
        second = owned.overlap > c.duplicate_iou
        inside = owned.inside(c.duplicate_cover).nonzero()[0]
        if len(inside) and people.looked:
            one, two = people.rows[owned.one[inside]], claimed[owned.two[inside]]
            second[inside] |= self._looks.alike(*self._appearance.similarity_of_pairs(two, people.features, one))
        new[owned.one[second]] = False
        # Boxes come in order of score: of two newcomers in one place the better one stays, of two that look alike the
        # outer one.
        both = beside.pick(new[beside.one] & new[beside.two])
        better = (both.overlap > c.duplicate_iou) & (both.two < both.one)
        inside = both.inside(c.duplicate_cover).nonzero()[0]
        if len(inside) and people.looked:
            one, two = people.rows[both.one[inside]], people.rows[both.two[inside]]
            better[inside] |= self._looks.alike(*similarity_of_pairs(people.features, one, two))
        new[both.one[better]] = False
        return new.nonzero()[0]
