"""The tracker as its users see it: ids that last, time that may jump, input in any order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streamreid.config import TrackerConfig
from streamreid.features.similarity import Calibration
from streamreid.tracking import Tracker, botsort, bytetrack
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
    out = run(
        Tracker(TrackerConfig(confirm_frames=4)), [(i * 0.1, [walker(i * 0.1, 0, 10)], [0.9], None) for i in range(6)]
    )
    assert [len(o) for o in out] == [0, 0, 0, 1, 1, 1]


def test_a_ghost_of_one_frame_is_never_reported():
    frames = [
        (i * 0.1, [walker(i * 0.1, 0, 10)] + ([[700, 10, 740, 110]] if i == 10 else []), None, None) for i in range(20)
    ]
    assert {i for o in run(Tracker(), frames) for i in o} == {1}


def test_low_scores_keep_a_track_alive_but_begin_none():
    frames = [
        (i * 0.1, [walker(i * 0.1, 0, 10), [600, 100, 640, 200]], [0.9 if i < 5 else 0.2, 0.2], None) for i in range(15)
    ]
    out = run(Tracker(), frames)
    assert all(set(o) == {1} for o in out[2:])


def test_crossing_people_are_told_apart_by_looks():
    """Two people meet, stop for a while in one spot and turn back: motion alone predicts that they pass."""

    def position(i):
        return min(i, 20) - max(i - 20, 0)

    frames = [
        (i * 0.1, [walker(0, position(i) * 10, 0), walker(0, 420 - position(i) * 10, 0)], None, looks(0, 1))
        for i in range(41)
    ]
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
    soon = run(
        Tracker(config, CALIBRATION),
        [*frames, *[(0.4 + 0.9 + i * 0.1, [walker(0, 100, 0)], None, looks(0)) for i in range(4)]],
    )
    late = run(
        Tracker(config, CALIBRATION),
        [*frames, *[(0.4 + 5.0 + i * 0.1, [walker(0, 100, 0)], None, looks(0)) for i in range(4)]],
    )
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
    bad = [[np.nan, 0, 10, 10], [0, 0, 1e30, 1e30], [0, 0, np.inf, 10], [10, 10, 10, 50], [50, 50, 40, 60]]
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


def test_hidden_shares_are_told_in_the_order_of_the_detections():
    boxes = np.array([[100, 100, 140, 200], [110, 150, 150, 250], [400, 100, 440, 200]], np.float32)
    tracker = Tracker()
    tracker.update(Detections.from_arrays(boxes, [0.5, 0.9, 0.7]), None, 0.0)
    assert np.array_equal(tracker.hidden, occlusion(boxes))
    assert tracker.hidden[0] > 0.3
    assert not tracker.hidden[1:].any()
    tracker.update(Detections.from_arrays([*boxes, [0, 0, 0, 0]], [0.5, 0.9, 0.7, 0.8]), None, 0.1)
    assert tracker.hidden is None


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


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(-1e4, 1e4, allow_nan=False),
            arrays(np.float32, st.tuples(st.integers(0, 6), st.just(4)), elements=st.floats(width=32)),
            st.integers(0, 2**32 - 1),
        ),
        max_size=8,
    )
)
def test_whatever_comes_ids_are_unique_and_boxes_finite(frames):
    tracker = Tracker()
    for time, boxes, seed in frames:
        scores = np.random.default_rng(seed).uniform(-0.5, 1.5, len(boxes))
        tracks = tracker.update(Detections.from_arrays(boxes, scores), None, time, size=(640, 480))
        assert len(set(tracks.ids.tolist())) == len(tracks)
        assert np.isfinite(tracks.boxes).all()


def test_after_a_thousand_seconds_everybody_is_new_and_no_id_repeats():
    frames = [
        (t + i * 0.1, [walker(0, 100, 0), walker(0, 300, 0)], None, looks(0, 1))
        for t in (0.0, 1000.0, 2000.0)
        for i in range(5)
    ]
    out = run(Tracker(calibration=CALIBRATION), frames)
    assert [set(out[i]) for i in (4, 9, 14)] == [{1, 2}, {3, 4}, {5, 6}]


def test_who_left_through_the_border_is_not_taken_for_the_next_who_enters():
    """The same looks, at the same side, a second later: inside the picture it would be the same person."""

    def frames(x):
        seen = [(i * 0.1, [walker(i * 0.1, x, 40)], None, looks(0)) for i in range(20)]
        return seen + [(3.0 + i * 0.1, [walker(0, x + 60, 0)], None, looks(0)) for i in range(5)]

    def ids(x):
        tracker = Tracker(calibration=CALIBRATION)
        return [
            tracker.update(Detections.from_arrays(b), f, t, size=(800, 600)).ids.tolist() for t, b, _, f in frames(x)
        ][-1]

    assert ids(300) == [1]
    assert ids(715) == [2]


def test_a_plant_is_no_person_but_somebody_who_stands_still_is():
    rng = np.random.default_rng(0)
    tracker = Tracker()
    for i in range(60):
        boxes = np.array([[100, 100, 130, 190], [300, 100, 330, 190]]) + rng.normal(0, 1, (2, 4))
        tracks = tracker.update(Detections.from_arrays(boxes, [0.53, 0.8]), None, i * 0.1)
    assert len(tracks) == 1
    assert tracks.boxes[0, 0] == pytest.approx(300, abs=5)


def test_a_person_behind_a_table_keeps_legs_and_place():
    tracker = Tracker()
    for i in range(40):
        box = walker(i * 0.1, 100, 40)
        if i >= 15:
            box[3] -= 45  # the lower half is hidden from here on
        tracks = tracker.update(Detections.from_arrays([box]), None, i * 0.1)
        if 15 <= i < 20:
            assert tracks.boxes[0] == pytest.approx(walker(i * 0.1, 100, 40), abs=20)
    assert tracks.ids.tolist() == [1]


def test_looks_are_not_learnt_where_they_may_be_somebody_elses():
    """One box for two people who stand in each other's way: neither becomes the other."""
    tracker = Tracker(calibration=CALIBRATION)
    for i in range(20):
        tracker.update(Detections.from_arrays([walker(0, 100, 0), walker(0, 150 - i, 0, y=296)]), looks(0, 1), i * 0.1)
    before = tracker.appearance.parts
    for i in range(20, 28):
        tracker.update(Detections.from_arrays([walker(0, 115, 0)]), looks(2), i * 0.1)
    assert np.array_equal(tracker.appearance.parts[:2], before)


def test_the_best_of_several_look_alikes_is_chosen():
    """Both are surely the same person as far as a probability can tell; overlap speaks for the wrong one."""
    tracker = Tracker(calibration=Calibration(slope=30.0, intercept=-9.0, source="test"))
    a, b = np.array([1.0, 0.0]), np.array([0.75, 0.66])
    for i in range(10):
        parts = np.stack([a, b])[:, None].astype(np.float32)
        tracker.update(
            Detections.from_arrays([walker(0, 100, 0), walker(0, 120, 0)]),
            PartFeatures(parts, np.ones((2, 1), np.float32)),
            i * 0.1,
        )
    swapped = PartFeatures(np.stack([b, a])[:, None].astype(np.float32), np.ones((2, 1), np.float32))
    tracks = tracker.update(Detections.from_arrays([walker(0, 107, 0), walker(0, 113, 0)]), swapped, 1.0)
    assert tracks.rows.tolist() == [1, 0]


@pytest.mark.parametrize("config", [bytetrack(), botsort()])
def test_well_known_trackers_of_the_same_parts_track(config):
    times = np.arange(40) * 0.1
    out = run(
        Tracker(config, CALIBRATION),
        [(t, [walker(t, 0, 60), walker(t, 400, -20)], [0.9, 0.8], looks(0, 1)) for t in times],
    )
    assert all(set(o) == {1, 2} for o in out[2:])


def test_features_that_are_no_numbers_count_as_not_seen():
    tracker = Tracker(calibration=CALIBRATION)
    for i in range(8):
        features = looks(0, 1)
        if i > 3:
            features.parts[1] = np.nan
        tracks = tracker.update(Detections.from_arrays([walker(0, 100, 0), walker(0, 300, 0)]), features, i * 0.1)
    assert tracks.ids.tolist() == [1, 2]
    assert np.isfinite(tracker.appearance.parts).all()


@pytest.mark.parametrize("seconds", [0.1, 0.5, 1.0, 2.0])
def test_somebody_who_stands_at_the_border_is_followed_at_any_frame_rate(seconds):
    tracker, small = Tracker(TrackerConfig(blind_seconds=10)), [4, 300, 12, 320]
    out = [
        tracker.update(Detections.from_arrays([small]), None, i * seconds, size=(1920, 1080)).ids.tolist()
        for i in range(12)
    ]
    assert out == [[], []] + [[1]] * 10


def test_who_left_through_the_border_still_ends_soon():
    tracker = Tracker()
    for i in range(10):
        tracker.update(Detections.from_arrays([[4, 300, 44, 400]]), None, i * 0.1, size=(1920, 1080))
    tracker.update(Detections.empty(), None, 1.0, size=(1920, 1080))
    tracker.update(Detections.empty(), None, 1.6, size=(1920, 1080))
    assert len(tracker.everybody[0]) == 0


@pytest.mark.parametrize(("across", "down"), [(0.7, 0.0), (0.5, 0.4), (0.0, 0.6)])
def test_people_who_walk_are_followed_at_one_frame_per_second(across, down):
    start = np.array([[300, 100, 340, 200], [900, 600, 940, 700]], np.float32)
    way = 100 * np.array([across, down, across, down], np.float32)
    frames = [(float(i), start + i * way * np.array([[1], [-1]], np.float32), None, None) for i in range(10)]
    out = run(Tracker(), frames)
    assert all(set(o) == {1, 2} for o in out[2:])


def test_unsure_boxes_keep_a_track_at_one_frame_per_second():
    times = [0.0, 1.0, 2.0, 3.0, 4.02, 5.04, 6.06, 7.08]  # a camera is never quite even
    out = run(Tracker(), [(t, [[300, 100, 340, 200]], [0.9 if t < 3.5 else 0.3], None) for t in times])
    assert all(set(o) == {1} for o in out[2:])
