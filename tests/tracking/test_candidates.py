"""Pairs that overlap against all pairs, worked out as matrices."""

import numpy as np
import pytest

from streamreid.boxes import cover_matrix, iou_matrix, pair_intersection, touching
from streamreid.tracking.candidates import Touching, candidates, usable_people
from streamreid.tracking.occlusion import occlusion
from streamreid.types import Detections, PartFeatures


def boxes_at(rng, count):
    low = rng.uniform(0, 150, (count, 2))
    return np.concatenate([low, low + rng.uniform(5, 60, (count, 2))], 1).astype(np.float32)


def loop_overlap(a, b, margin, spans):
    """Of one pair, by hand."""
    a, b = np.float64(a) + margin * np.array([-1, -1, 1, 1]), np.float64(b) + margin * np.array([-1, -1, 1, 1])
    w, h = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    union = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - w * h
    common = min(a[3], b[3]) - max(a[1], b[1]) - 2 * margin
    either = max(a[3], b[3]) - min(a[1], b[1]) - 2 * margin
    return w * h / union * (max(common, 0) / either if spans else 1.0)


@pytest.mark.parametrize("everybody", [False, True])
@pytest.mark.parametrize("spans", [False, True])
def test_overlaps_of_candidates_are_those_of_all_pairs(spans, everybody):
    rng = np.random.default_rng(3)
    tracks, people = boxes_at(rng, 12), boxes_at(rng, 15)
    doubt = rng.uniform(-10, 30, 12).astype(np.float32)
    found = candidates(tracks, people, doubt, spans=spans, everybody=everybody)
    margin = np.minimum(np.maximum(doubt / 2, 0), (tracks[:, 2] - tracks[:, 0]) / 2)
    expected = [[loop_overlap(a, b, m, spans) for b in people] for a, m in zip(tracks, margin, strict=True)]
    told = np.zeros((12, 15))
    told[found.track, found.person] = found.overlap
    assert told == pytest.approx(np.array(expected), abs=1e-5)
    assert len(found.track) == 180 if everybody else (np.array(expected) > 0).sum() <= len(found.track) < 180
    assert (np.diff(found.track) >= 0).all()


def test_people_who_overlap_are_told_with_how_much():
    boxes = boxes_at(np.random.default_rng(5), 30)
    near = Touching.of(boxes)
    iou, cover = iou_matrix(boxes, boxes), cover_matrix(boxes, boxes)
    apart = ~np.eye(30, dtype=bool)
    assert np.array_equal(np.stack([near.one, near.two]), np.stack(((iou > 0) & apart).nonzero()))
    assert np.array_equal(near.overlap, iou[near.one, near.two])
    assert np.array_equal(near.cover, cover[near.one, near.two])
    inside = (cover > 0.5) & (cover > cover.T)
    assert inside[apart].any()
    assert np.array_equal(near.inside(0.5), inside[near.one, near.two])
    assert np.array_equal(near.hidden(boxes), occlusion(boxes))


def test_nobody_touches_anybody():
    nobody = np.zeros((0, 4), np.float32)
    assert len(touching(nobody, nobody)[0]) == len(pair_intersection(nobody, nobody)) == 0
    assert len(candidates(nobody, nobody, np.zeros(0, np.float32), spans=True).track) == 0
    alone = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], np.float32)
    assert len(Touching.of(alone).one) == 0
    assert not Touching.of(alone).hidden(alone).any()


@pytest.mark.parametrize("spoilt", ["nothing", "ties", "a box", "a score"])
def test_people_come_in_one_order_whatever_the_detectors(spoilt):
    rng = np.random.default_rng(7)
    boxes, scores = boxes_at(rng, 8), rng.permutation(np.linspace(0.2, 0.9, 8)).astype(np.float32)
    if spoilt == "ties":
        scores[:] = 0.5
    if spoilt == "a box":
        boxes[3, 2] = np.nan
    if spoilt == "a score":
        scores[3] = np.nan
    order = rng.permutation(8)
    features = PartFeatures(np.ones((8, 2, 3), np.float32), np.ones((8, 2), np.float32))

    def told(rows):
        detections = Detections.from_arrays(boxes[rows], scores[rows])
        return usable_people(detections, features, least=0.1, sure=0.5, occlusion=True)

    one, two = told(np.arange(8)), told(order)
    assert np.array_equal(one.boxes, two.boxes)
    assert np.array_equal(one.rows, order[two.rows])
    assert (np.diff(one.scores) <= 0).all()
    assert len(one) == (7 if spoilt.startswith("a ") else 8)


def test_a_part_that_is_not_finite_is_not_seen_and_large_values_are():
    parts, seen = np.ones((3, 2, 4), np.float32), np.ones((3, 2), np.float32)
    parts[0, 1, 2], seen[1, 0], parts[2] = np.nan, np.inf, 1e30
    found = usable_people(
        Detections.from_arrays([[0, 0, 10, 10]] * 3, [0.9, 0.8, 0.7]),
        PartFeatures(parts, seen),
        least=0.1,
        sure=0.5,
        occlusion=False,
    )
    assert found.features.visibility.tolist() == [[1, 0], [0, 1], [1, 1]]
    assert found.seen.all()
    assert np.isfinite(found.features.parts).all()
    assert (found.features.parts[2] == parts[2]).all()
