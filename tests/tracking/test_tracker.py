"""The tracker as its users see it: ids that last, time that may jump, input in any order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamreid.config import TrackerConfig
from streamreid.similarity import Calibration
from streamreid.tracking import Tracker
from streamreid.tracking.tracker import occlusion
from streamreid.types import Detections, PartFeatures

CALIBRATION = Calibration(slope=12.0, intercept=-6.0, source="test")


def walker(t, x0, v, y=300.0, h=100.0, w=40.0):
    cx = x0 + v * t
    return [cx - w / 2, y - h, cx + w / 2, y]


def looks(*codes, dim=8):
    """One-part features: code i is the i-th axis."""
    parts = np.eye(dim, dtype=np.float32)[list(codes)][:, None]
    return PartFeatures(parts, np.ones((len(codes), 1), np.float32))


def run(tracker, frames):
    """frames: (time, boxes, scores, features or None) -> list of {id: box}"""
    result = []
    for time, boxes, scores, features in frames:
        tracks = tracker.update(Detections.from_arrays(boxes, scores), features, time)
        result.append(dict(zip(tracks.ids.tolist(), tracks.boxes.tolist(), strict=True)))
    return result


def test_two_walkers_keep_their_ids():
    times = np.arange(40) * 0.1
    out = run(Tracker(), [(t, [walker(t, 0, 60), walker(t, 400, -20)], [0.9, 0.8], looks(0, 1)) for t in times])
    assert all(set(o) == {1, 2} for o in out[2:])


def test_confirmed_only_after_enough_observations():
    out = run(Tracker(TrackerConfig(confirm_frames=4)), [(i * 0.1, [walker(i * 0.1, 0, 10)], [0.9], None) for i in range(6)])
    assert [len(o) for o in out] == [0, 0, 0, 1, 1, 1]


def test_a_ghost_of_one_frame_is_never_reported():
    frames = [(i * 0.1, [walker(i * 0.1, 0, 10)] + ([[700, 10, 740, 110]] if i == 10 else []), None, None) for i in range(20)]
    assert {i for o in run(Tracker(), frames) for i in o} == {1}


def test_low_scores_keep_a_track_alive_but_begin_none():
    frames = [(i * 0.1, [walker(i * 0.1, 0, 10), [600, 100, 640, 200]], [0.9 if i < 5 else 0.2, 0.2], None) for i in range(15)]
    out = run(Tracker(), frames)
    assert all(set(o) == {1} for o in out[2:])


def test_crossing_people_are_told_apart_by_looks():
    """Two people meet, stop for a while in one spot and turn back: motion alone predicts that they pass."""

    def position(i):
        return min(i, 20) - max(i - 20, 0)

    frames = [(i * 0.1, [walker(0, position(i) * 10, 0), walker(0, 420 - position(i) * 10, 0)], None, looks(0, 1)) for i in range(41)]
    out = run(Tracker(calibration=CALIBRATION), frames)
    assert out[-1][1][0] < out[-1][2][0]
    assert set(out[-1]) == {1, 2}


def test_a_hidden_person_is_found_again_by_looks_and_a_stranger_is_not():
    def frames(code):
        seen = [(i * 0.1, [walker(i * 0.1, 0, 80)], None, looks(0)) for i in range(20)]
        gone = [(i * 0.1, [], None, looks()) for i in range(20, 30)]
        back = [(i * 0.1, [walker(3.0, 60, 0)], None, looks(code)) for i in range(30, 36)]
        return seen + gone + back

    same = run(Tracker(calibration=CALIBRATION), frames(0))
    other = run(Tracker(calibration=CALIBRATION), frames(3))
    assert set(same[-1]) == {1}
    assert set(other[-1]) == {2}


def test_a_track_ends_after_lost_seconds_of_capture_time():
    config = TrackerConfig(lost_seconds=1.0)
    frames = [(i * 0.1, [walker(0, 100, 0)], None, looks(0)) for i in range(5)]
    soon = run(Tracker(config, CALIBRATION), [*frames, *[(0.4 + 0.9 + i * 0.1, [walker(0, 100, 0)], None, looks(0)) for i in range(4)]])
    late = run(Tracker(config, CALIBRATION), [*frames, *[(0.4 + 5.0 + i * 0.1, [walker(0, 100, 0)], None, looks(0)) for i in range(4)]])
    assert set(soon[-1]) == {1}
    assert set(late[-1]) == {2}


@pytest.mark.parametrize("rate", [3.0, 10.0, 60.0])
def test_frame_rate_does_not_matter(rate):
    times = np.arange(int(4 * rate)) / rate
    out = run(Tracker(), [(t, [walker(t, 0, 100), walker(t, 600, -50)], None, None) for t in times])
    assert set(out[-1]) == {1, 2}


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_detections_does_not_matter(random):
    rng = np.random.default_rng(5)
    base = rng.uniform(50, 600, 6)
    a, b = Tracker(calibration=CALIBRATION), Tracker(calibration=CALIBRATION)
    for i in range(12):
        boxes = [walker(i * 0.1, float(x), 30.0, y=250 + 20 * k) for k, x in enumerate(base)]
        scores = rng.uniform(0.3, 1, 6)
        codes = list(range(6))
        order = list(range(6))
        random.shuffle(order)
        left = a.update(Detections.from_arrays(boxes, scores), looks(*codes), i * 0.1)
        right = b.update(Detections.from_arrays([boxes[k] for k in order], scores[order]), looks(*order), i * 0.1)
        assert left.ids.tolist() == right.ids.tolist()
        assert np.allclose(left.boxes, right.boxes)
        assert [order[r] for r in right.rows] == left.rows.tolist()


def test_bad_boxes_are_ignored():
    bad = [[np.nan, 0, 10, 10], [0, 0, np.inf, 10], [10, 10, 10, 50], [50, 50, 40, 60]]
    frames = [(i * 0.1, [*bad, walker(i * 0.1, 0, 10)], None, None) for i in range(5)]
    out = run(Tracker(), frames)
    assert set(out[-1]) == {1}


def test_duplicate_boxes_make_one_track():
    frames = [(i * 0.1, [walker(i * 0.1, 0, 10), walker(i * 0.1, 1, 10)], [0.9, 0.8], None) for i in range(8)]
    assert set(run(Tracker(), frames)[-1]) == {1}


def test_time_that_stands_still_or_goes_back_is_no_time_passed():
    tracker = Tracker()
    for time in (0.0, 0.1, 0.1, 0.05, 0.2, 0.3):
        tracks = tracker.update(Detections.from_arrays([walker(0, 100, 0)]), None, time)
    assert tracks.ids.tolist() == [1]


def test_wrong_input_is_named():
    tracker = Tracker()
    with pytest.raises(ValueError, match="2 detections but 1 rows"):
        tracker.update(Detections.from_arrays([walker(0, 0, 0), walker(0, 90, 0)]), looks(0), 0.0)
    with pytest.raises(ValueError, match="finite"):
        tracker.update(Detections.empty(), None, float("nan"))


def test_two_trackers_share_nothing():
    a, b = Tracker(), Tracker()
    for i in range(5):
        first = a.update(Detections.from_arrays([walker(0, 100, 0)]), None, i * 0.1)
    for i in range(5):
        second = b.update(Detections.from_arrays([walker(0, 100, 0)]), None, i * 0.1)
    assert first.ids.tolist() == second.ids.tolist() == [1]


def test_occlusion_is_by_the_nearer_person():
    boxes = np.array([[0, 0, 40, 100], [20, 10, 60, 120], [200, 0, 240, 100]], np.float32)
    assert occlusion(boxes) == pytest.approx([0.5 * 0.9, 0.0, 0.0])


def test_five_hundred_people():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 4000, (500, 2))
    tracker = Tracker()
    for i in range(4):
        boxes = np.concatenate([low + i, low + i + [20, 50]], 1)
        tracks = tracker.update(Detections.from_arrays(boxes), None, i * 0.1)
    assert len(tracks) > 450


@pytest.mark.parametrize(("code", "people"), [(0, {1}), (1, {1, 2})])
def test_a_box_inside_another_is_a_person_only_if_it_looks_like_somebody_else(code, people):
    """An upper body with a box of its own against a child in front of somebody."""
    frames = [(i * 0.1, [[100, 100, 180, 300], [110, 105, 170, 200]], [0.9, 0.8], looks(0, code)) for i in range(8)]
    assert set(run(Tracker(calibration=CALIBRATION), frames)[-1]) == people


def test_a_person_missed_for_a_moment_is_reported_where_motion_predicts_them():
    frames = [(i * 0.1, [walker(i * 0.1, 100, 50)], None, None) for i in range(20)]
    tracker = Tracker()
    run(tracker, frames)
    missed = tracker.update(Detections.empty(), None, 2.0, size=(800, 600))
    assert missed.ids.tolist() == [1]
    assert missed.rows.tolist() == [-1]
    assert missed.boxes[0] == pytest.approx(walker(2.0, 100, 50), abs=3.0)
    assert len(tracker.update(Detections.empty(), None, 2.5, size=(800, 600))) == 0


def test_a_person_who_left_the_frame_is_not_predicted():
    frames = [(i * 0.1, [[max(0.0, 60 - 4 * i), 100, 100 - 4 * i, 200]], None, None) for i in range(20)]
    tracker = Tracker()
    run(tracker, frames)
    assert len(tracker.update(Detections.empty(), None, 2.0, size=(800, 600))) == 0
