"""Smoothed boxes: equal to the textbook smoother in matrices, better than the filter, and right where tracks begin,
vanish or are renamed."""

import numpy as np
import pytest

from streamreid.tracking.motion import MotionFilter, MotionNoise
from streamreid.tracking.smoothing import smoothed_boxes


def centre(boxes):
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def walk(count, rng, deviation=3.0, step=0.1):
    """A person on a curve: true boxes and noisy ones."""
    t = np.arange(count) * step
    at = np.stack([100 + 40 * t, 200 + 20 * np.sin(t)], 1)
    size = np.array([20.0, 50.0])
    truth = np.concatenate([at - size, at + size], 1).astype(np.float32)
    return truth, (truth + rng.normal(0, deviation, truth.shape)).astype(np.float32)


def filtered(measured, missing=(), step=0.1):
    motion = MotionFilter(history=True)
    steps, boxes = [], []
    for i, box in enumerate(measured):
        motion.predict(step if i else 0.0, np.array([i - 1 in missing] * len(motion)))
        if not i:
            motion.add(box[None])
        elif i not in missing:
            motion.update(np.array([0]), box[None], np.array([1.0], np.float32))
        steps.append(motion.step(np.array([7])))
        boxes.append(motion.boxes[0])
    return steps, np.array(boxes)


def textbook(steps, row=0, coordinate=0):
    """Rauch-Tung-Striebel with 2 x 2 matrices, one coordinate."""

    def matrix(p):
        return np.array([[p[0], p[1]], [p[1], p[2]]])

    later = None
    places = []
    for i in range(len(steps) - 1, -1, -1):
        s = steps[i]
        x = np.array([s.place[row, coordinate], s.speed[row, coordinate]])
        if later is not None:
            n = steps[i + 1]
            f = np.array([[1.0, n.travel[row, coordinate]], [0.0, n.decay[row, coordinate]]])
            prior = np.array([n.prior[0][row, coordinate], n.prior[1][row, coordinate]])
            gain = matrix(s.spread[row, coordinate]) @ f.T @ np.linalg.inv(matrix(n.prior[2][row, coordinate]))
            x = x + gain @ (later - prior)
        places.append(x[0])
        later = x
    return np.array(places[::-1])


@pytest.mark.parametrize("missing", [(), (10, 11, 12)])
def test_it_is_the_textbook_smoother(missing):
    _, measured = walk(30, np.random.default_rng(0))
    steps, _ = filtered(measured, missing)
    boxes = np.concatenate([b for _, b in smoothed_boxes(steps, 30)])
    for coordinate in (0, 1):
        np.testing.assert_allclose(centre(boxes)[:, coordinate], textbook(steps, coordinate=coordinate), atol=1e-3)
    np.testing.assert_allclose(boxes[:, 3] - boxes[:, 1], textbook(steps, coordinate=3), atol=1e-3)


def test_smoothed_boxes_are_nearer_to_the_truth_than_filtered_ones():
    rng = np.random.default_rng(1)
    errors = np.zeros((20, 3))
    for trial in range(20):
        truth, measured = walk(60, rng)
        steps, boxes = filtered(measured)
        smooth = np.concatenate([b for _, b in smoothed_boxes(steps, 60)])
        errors[trial] = [np.abs(b - truth)[5:-5].mean() for b in (measured, boxes, smooth)]
    measured, causal, smooth = errors.mean(0)
    assert smooth < 0.85 * causal < 0.85 * measured


def test_a_gap_is_crossed_on_the_curve_that_both_sides_tell():
    truth, _ = walk(40, np.random.default_rng(0))
    steps, boxes = filtered(truth, missing=range(15, 25))
    smooth = np.concatenate([b for _, b in smoothed_boxes(steps, 40)])
    assert np.abs(centre(smooth) - centre(truth))[15:25].max() < 2.0
    assert np.abs(centre(boxes) - centre(truth))[15:25].max() > 4.0


def test_only_the_oldest_are_given_and_the_newest_is_the_filters():
    _, measured = walk(12, np.random.default_rng(0))
    steps, boxes = filtered(measured)
    few, everything = smoothed_boxes(steps, 3), smoothed_boxes(steps, 12)
    assert len(few) == 3
    for (ids, some), (_, same) in zip(few, everything, strict=False):
        assert ids.tolist() == [7]
        np.testing.assert_array_equal(some, same)
    np.testing.assert_allclose(everything[-1][1][0], boxes[-1], atol=1e-3)
    assert smoothed_boxes([], 0) == []


def test_tracks_that_begin_or_end_leave_the_others_alone():
    _, measured = walk(12, np.random.default_rng(0))
    alone = smoothed_boxes(filtered(measured)[0], 12)
    motion = MotionFilter(history=True)
    steps, ids = [], np.zeros(0, np.int64)
    for i, box in enumerate(measured):
        if i == 9:  # the companion is forgotten
            keep = ids == 7
            motion.keep(keep)
            ids = ids[keep]
        motion.predict(0.1 if i else 0.0, np.zeros(len(motion), bool))
        motion.update(
            np.flatnonzero(ids == 7), box[None][: int((ids == 7).sum())], np.ones(int((ids == 7).sum()), np.float32)
        )
        for who, begins in ((3, 4), (7, 0)):
            if i == begins:
                motion.add(box[None] + (300 if who == 3 else 0))
                ids = np.append(ids, who)
        steps.append(motion.step(ids))
    for (there, boxes), (_, expected) in zip(smoothed_boxes(steps, 12), alone, strict=True):
        np.testing.assert_allclose(boxes[there == 7], expected, atol=1e-4)
    assert [len(there) for there, _ in smoothed_boxes(steps, 12)] == [1] * 4 + [2] * 5 + [1] * 3


def test_a_renamed_track_takes_the_place_of_what_was_only_predicted():
    motion = MotionFilter(history=True)
    motion.add(np.array([[0, 0, 40, 100], [300, 0, 340, 100]], np.float32))
    step = motion.step(np.array([1, 2]))
    renamed = step.renamed({2: 1})
    assert renamed.ids.tolist() == [1]
    assert renamed.place[0, 0] == pytest.approx(320)
    assert step.renamed({9: 1}) is step


def test_a_turning_and_zooming_camera_changes_nothing():
    """The same walk seen by a fixed and by a moving camera, mapped back."""
    _, measured = walk(20, np.random.default_rng(3))
    fixed = np.concatenate([b for _, b in smoothed_boxes(filtered(measured)[0], 20)])
    scale, shift = 1.02, np.array([5.0, -3.0])
    affine = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
    motion = MotionFilter(MotionNoise(), history=True)
    steps, maps, at = [], [], (1.0, np.zeros(2))
    for i, box in enumerate(measured):
        if i:
            at = (at[0] * scale, at[1] * scale + shift)
            motion.warp(affine)
        motion.predict(0.1 if i else 0.0, np.zeros(len(motion), bool))
        seen = (box * at[0] + np.tile(at[1], 2)).astype(np.float32)
        if i:
            motion.update(np.array([0]), seen[None], np.array([1.0], np.float32))
        else:
            motion.add(seen[None])
        steps.append(motion.step(np.array([7]), affine if i else None))
        maps.append(at)
    moving = np.concatenate([b for _, b in smoothed_boxes(steps, 20)])
    back = np.array([(b - np.tile(o, 2)) / s for b, (s, o) in zip(moving, maps, strict=True)])
    np.testing.assert_allclose(back, fixed, atol=0.05)
