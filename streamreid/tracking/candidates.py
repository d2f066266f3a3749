"""The usable people of one frame, and which of them can be which track by overlap, as lists of pairs: of many people
few are near any one."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamreid.boxes import pair_intersection, touching
from streamreid.types import BoolArray, Detections, FloatArray, PartFeatures

__all__ = ["Candidates", "FramePeople", "Touching", "candidates", "usable_people"]

Rows = NDArray[np.intp]

FARTHEST = 1e6
"""Pixels from the origin beyond which a box is taken for an error of the detector."""

_LEAST_AREA = np.float32(1e-30)

_NOBODY = np.zeros(0, np.intp)


class Touching(NamedTuple):
    """Pairs of people of one frame whose boxes overlap, both ways round, ordered by the first.

    Args:
        one: ``[P]`` the first person.
        two: ``[P]`` the other.
        shared: ``[P]`` area that both boxes have in common.
        area: ``[N]`` area of each box.
    """

    one: Rows
    two: Rows
    shared: FloatArray
    area: FloatArray

    @classmethod
    def of(cls, boxes: FloatArray) -> Touching:
        """The pairs of ``boxes`` [N, 4]."""
        sides = boxes[:, 2:] - boxes[:, :2]
        area = np.maximum(sides[:, 0] * sides[:, 1], _LEAST_AREA)
        low, high = boxes.T[:2, None], boxes.T[2:, :, None]
        near = np.logical_and(*(high > low))
        near &= near.T
        if np.count_nonzero(near) == len(boxes):  # each only itself, as in most frames of most cameras
            return cls(_NOBODY, _NOBODY, area[:0], area)
        np.fill_diagonal(near, False)
        one, two = near.nonzero()
        return cls(one, two, pair_intersection(boxes.take(one, 0), boxes.take(two, 0)), area)

    def pick(self, pairs: BoolArray | Rows) -> Touching:
        """Some of the pairs."""
        return Touching(self.one[pairs], self.two[pairs], self.shared[pairs], self.area)

    @property
    def cover(self) -> FloatArray:
        """``[P]`` share of the first box that lies inside the other."""
        return self.shared / self.area[self.one]

    @property
    def overlap(self) -> FloatArray:
        """``[P]`` intersection over union."""
        return self.shared / (self.area[self.one] + self.area[self.two] - self.shared)

    def inside(self, cover: float) -> BoolArray:
        """``[P]`` whether more than the share ``cover`` of the first box lies in the other, and less of that in it."""
        share = self.cover
        return np.asarray((share > cover) & (share > self.shared / self.area[self.two]))

    def hidden(self, boxes: FloatArray) -> FloatArray:
        """``[N]`` how much of each is hidden by the others; see :func:`streamreid.tracking.occlusion.occlusion`."""
        hidden = np.zeros(len(self.area), np.float32)
        if len(self.one):
            foot = boxes[:, 3]
            nearer = (foot.take(self.two) > foot.take(self.one)).nonzero()[0]
            one = self.one.take(nearer)
            np.maximum.at(hidden, one, self.shared.take(nearer) / self.area.take(one))
        return hidden


@dataclass(slots=True, eq=False)
class FramePeople:
    """N usable people of one frame, the best first.

    Args:
        rows: ``[N]`` their rows in the detections.
        boxes: ``[N, 4]`` xyxy.
        scores: ``[N]``.
        sure: ``[N]`` who are assigned first.
        features: Of all detections; a part that is not finite is not seen.
        seen: ``[N]`` of whom anything was seen.
        looked: Whether anything of anybody was seen.
        all_sure: Whether all are sure.
        near: Whose boxes overlap.
        hidden: ``[N]`` how much of each is hidden by the others.
        clear: ``[N]`` how much counts as not hidden.
    """

    rows: Rows
    boxes: FloatArray
    scores: FloatArray
    sure: BoolArray
    features: PartFeatures
    seen: BoolArray
    looked: bool
    all_sure: bool
    near: Touching
    hidden: FloatArray
    clear: FloatArray

    def __len__(self) -> int:
        return len(self.rows)

    def features_of(self, people: Rows) -> PartFeatures:
        """The features of some of them."""
        return self.features[self.rows[people]]


def usable_people(
    detections: Detections, features: PartFeatures, *, least: float, sure: float, occlusion: bool
) -> FramePeople:
    """The people of a frame in an order that does not depend on the detector's.

    Args:
        detections: M boxes; those that are not finite, have no area or lie a million pixels away are left out.
        features: M rows.
        least: Score from which a box is usable.
        sure: Score from which it is sure.
        occlusion: Whether people count less as far as they are hidden.
    """
    rows = _in_order(detections.boxes, detections.scores, least)
    boxes, scores = detections.boxes.take(rows, 0), detections.scores.take(rows)
    features = _finite(features)
    seen = np.logical_or.reduce(features.visibility, 1).take(rows)
    near = Touching.of(boxes)
    hidden = near.hidden(boxes)
    clear = 1.0 - hidden if occlusion else np.ones_like(hidden)
    certain = scores >= sure
    return FramePeople(
        rows,
        boxes,
        scores,
        certain,
        features,
        seen,
        bool(np.count_nonzero(seen)),
        bool(np.count_nonzero(certain) == len(rows)),
        near,
        hidden,
        clear,
    )


class Candidates(NamedTuple):
    """Pairs of tracks with people of a frame whose boxes overlap, ordered by track.

    Args:
        track: ``[P]`` row of the track.
        person: ``[P]`` number of the person.
        overlap: ``[P]`` in [0, 1].
    """

    track: Rows
    person: Rows
    overlap: FloatArray

    def pick(self, pairs: Rows) -> Candidates:
        """Some of the pairs."""
        return Candidates(self.track.take(pairs), self.person.take(pairs), self.overlap.take(pairs))


def candidates(
    predicted: FloatArray, boxes: FloatArray, doubt: FloatArray, *, spans: bool, everybody: bool = False
) -> Candidates:
    """Which box can be which track, and how much both overlap: the intersection over union of boxes that are both
    enlarged by the doubt about the prediction (half a deviation, at most half a width), so that a person of unknown
    velocity, or a low frame rate, still overlaps (buffered IoU, Yang et al., "C-BIoU", WACV 2023, with the buffer from
    the covariance), times that of their vertical spans, in which people at different depths differ (height-modulated
    IoU, Yang et al., "Hybrid-SORT", AAAI 2024).

    Args:
        predicted: ``[T, 4]`` xyxy of the tracks.
        boxes: ``[N, 4]`` xyxy found.
        doubt: ``[T]`` pixels by which the deviation of a prediction exceeds that of a detection.
        spans: Whether vertical spans count.
        everybody: Also pairs that do not overlap.
    """
    wide = predicted[:, 2:] - predicted[:, :2]
    margin = np.minimum(np.maximum(0.5 * doubt, 0.0), 0.5 * wide[:, 0])
    if everybody:
        track, person = np.ones((len(predicted), len(boxes)), bool).nonzero()
    else:
        track, person = touching(predicted, boxes, margin)
    twice = (2 * margin).take(track)[:, None]
    a, b = predicted.take(track, 0), boxes.take(person, 0)
    least, most = np.minimum(a, b), np.maximum(a, b)
    common = least[:, 2:] - most[:, :2]
    # Of what both have in common, of the tracks and of the people, [P, 2] each.
    sides = np.concatenate([common, wide.take(track, 0), b[:, 2:] - b[:, :2]])
    sides = sides.reshape(3, len(track), 2)
    sides += twice
    np.maximum(sides, 0, out=sides)
    shared, one, two = sides[:, :, 0] * sides[:, :, 1]
    union = one + two - shared
    overlap = shared / np.maximum(union, _LEAST_AREA)
    if spans:
        either = most[:, 3] - least[:, 1]
        overlap *= np.maximum(common[:, 1], 0) / np.maximum(either, 1e-6)
    return Candidates(track, person, overlap)


def _in_order(boxes: FloatArray, scores: FloatArray, least: float) -> Rows:
    """Rows of the usable boxes, the best first. A fixed order makes the result independent of the detector's."""
    order = (-scores).argsort(kind="stable")
    falling = scores[order]
    near = np.abs(boxes) < FARTHEST  # false for what is not finite
    wide = boxes[:, 2:] > boxes[:, :2]
    count = len(order)
    if (
        count
        and falling[-1] >= least
        and falling[0] < np.inf
        and np.count_nonzero(falling[1:] < falling[:-1]) == count - 1
        and np.count_nonzero(near) == near.size
        and np.count_nonzero(wide) == wide.size
    ):
        return order
    usable = near.all(1) & wide.all(1) & (scores >= least) & (scores < np.inf)
    rows = usable.nonzero()[0]
    return rows[np.lexsort((*boxes[rows].T, -scores[rows]))]


def _finite(features: PartFeatures) -> PartFeatures:
    """The features; a part that is not finite is not seen."""
    # One pass over the values; what is too large to be squared is looked at more closely.
    parts, visibility = features.parts, features.visibility
    if isfinite(np.vdot(parts, parts)) and isfinite(np.vdot(visibility, visibility)):
        return features
    good = np.isfinite(features.parts).all(2) & np.isfinite(features.visibility)
    return PartFeatures(np.where(good[..., None], features.parts, 0.0), np.where(good, features.visibility, 0.0))
