"""Which frames the detector looks at, and where people are in the others."""

import numpy as np
import pytest

from streamreid.cameras.detection_scheduler import CALM_SECONDS, DOUBTFUL_SECONDS, LOOKAHEAD, DetectionScheduler
from streamreid.types import Detections, Frame

RATE = 10


def person(left, top=100.0):
    return [left, top, left + 40, top + 100]


def follow(boxes, *, rate=RATE, scores=None, times=None, sizes=None):
    """Run the schedule over frames with the given boxes: people and whether each frame was detected."""
    times = [i / rate for i in range(len(boxes))] if times is None else times
    frames = [
        Frame.without_image("a", i, t, size=(640, 480) if sizes is None else sizes[i]) for i, t in enumerate(times)
    ]
    asked = []

    def detect(some):
        asked.extend(f.index for f in some)
        return [Detections.from_arrays(boxes[f.index], None if scores is None else scores[f.index]) for f in some]

    schedule, people, looked = DetectionScheduler(0.5), [], []
    for start in range(0, len(frames), LOOKAHEAD):
        found, mask = schedule.find(frames[start : start + LOOKAHEAD], detect)
        people += found
        looked += mask.tolist()
    assert sorted(asked) == np.flatnonzero(looked).tolist()  # each once, and what is said is what happened
    return people, looked


def test_calm_people_are_detected_in_every_fourth_frame_and_carried_on_exactly_in_between():
    boxes = [[person(100 + 8.0 * i), person(400 - 6.0 * i, 200)] for i in range(24)]
    people, looked = follow(boxes)
    # Until something was seen of a camera, it is taken to be restless.
    assert np.flatnonzero(looked).tolist() == [0, 1, 2, 3, 7, 11, 15, 19, 23]
    for found, true in zip(people, boxes, strict=True):
        np.testing.assert_allclose(found.boxes, true, atol=1e-3)


def test_an_empty_scene_is_calm():
    people, looked = follow([[]] * 16)
    assert np.flatnonzero(looked).tolist() == [0, 1, 2, 3, 7, 11, 15]
    assert not any(map(len, people))


@pytest.mark.parametrize("appears", range(8, 16))
def test_somebody_who_appears_is_found_within_the_bound_and_detected_more_often_until_then(appears):
    boxes = [[person(50)] + [person(300)] * (i >= appears) for i in range(24)]
    people, looked = follow(boxes)
    first = next(i for i, found in enumerate(people) if len(found) == 2)
    assert first / RATE - appears / RATE <= DOUBTFUL_SECONDS
    assert looked[first]
    assert sum(looked) < 12


@pytest.mark.parametrize("appears", range(8, 16))
@pytest.mark.parametrize("unsure", [False, True])
def test_somebody_who_comes_out_from_behind_another_is_known_from_the_first_frame_and_so_is_the_last_before(
    appears, unsure
):
    boxes = [[person(100)] + [person(132)] * (i >= appears) for i in range(24)]
    scores = [[0.9] + [0.4 if unsure else 0.9] * (i >= appears) for i in range(24)]
    people, looked = follow(boxes, scores=scores)
    assert [len(found) for found in people] == [1 + (i >= appears) for i in range(24)]
    assert looked[appears - 1 : appears + 1] == [True, True]


def test_people_who_meet_are_detected_more_often_than_before_and_after():
    boxes = [[person(100 + 8.0 * i), person(420 - 8.0 * i)] for i in range(40)]
    _, looked = follow(boxes)
    gaps = np.diff(np.flatnonzero(looked))
    assert gaps.max() == 4
    meeting = [i for i in range(40) if abs((100 + 8 * i) - (420 - 8 * i)) < 40]
    assert all(any(looked[i - 1 : i + 1]) for i in meeting)


def test_detected_frames_are_no_further_apart_than_the_bounds_at_any_rate():
    for rate in (1, 2, 4, 5, 8, 15, 30):
        _, looked = follow([[person(50)] for _ in range(32)], rate=rate)
        rows = np.flatnonzero(looked)
        apart = np.diff(rows) / rate
        assert ((apart <= CALM_SECONDS + 1e-9) | (np.diff(rows) == 1)).all()


def test_two_who_could_be_taken_for_each_other_are_not_carried_over_a_long_gap():
    rng = np.random.default_rng(0)
    boxes = [[person(100 + x), person(130 + y)] for x, y in rng.uniform(-2, 2, (24, 2))]
    _, looked = follow(boxes)
    assert np.diff(np.flatnonzero(looked)).max() <= 2


def test_unsure_boxes_that_flicker_cause_no_detection():
    boxes = [[person(50)] + [person(300)] * (i % 3 == 0) for i in range(24)]
    scores = [[0.9] + [0.2] * (i % 3 == 0) for i in range(24)]
    _, looked = follow(boxes, scores=scores)
    assert sum(looked) == 9


def flickering(count, *, until):
    """Five people who stand apart, three of whom are not found in half of the frames until frame ``until``."""
    people = [person(60 + 110 * k) for k in range(5)]
    return [people if i >= until or i // 4 % 2 == 0 else people[:2] for i in range(count)]


def test_where_people_come_and_go_all_the_time_every_frame_is_detected_until_it_is_calm_again():
    _, looked = follow(flickering(160, until=80))
    assert all(looked[:80])
    calm = np.flatnonzero(~np.array(looked))[0] - 80
    assert 10 < calm < 70
    assert sum(looked[-32:]) == 8


def test_a_restless_scene_takes_two_calls_of_the_detector_for_eight_frames():
    boxes, calls = flickering(24, until=24), []

    def detect(some):
        calls.append([f.index for f in some])
        return [Detections.from_arrays(boxes[f.index]) for f in some]

    schedule = DetectionScheduler(0.5)
    frames = [Frame.without_image("a", i, i / RATE, size=(640, 480)) for i in range(24)]
    for start in range(0, 24, LOOKAHEAD):
        schedule.find(frames[start : start + LOOKAHEAD], detect)
    assert calls[-2:] == [[19, 23], [16, 17, 18, 20, 21, 22]]


def test_one_person_who_comes_and_goes_among_many_leaves_the_others_calm():
    many = [person(10 + 60 * k) for k in range(10)]
    _, looked = follow([many[: 9 + (i // 8 % 2)] for i in range(160)])
    assert 40 <= sum(looked) < 80


def test_times_that_go_back_and_other_sizes_are_bridged_by_nothing():
    times = [0.0, 0.1, 0.2, 0.3, 0.0, 0.1, 0.2, 0.3]
    people, looked = follow([[person(50)]] * 8, times=times)
    assert looked[3:5] == [True, True]
    sizes = [(640, 480)] * 5 + [(320, 240)] * 3
    people, looked = follow([[person(50)]] * 5 + [[person(20, 40)]] * 3, sizes=sizes)
    assert looked[3]
    assert looked[5]
    assert all(len(found) <= 1 for found in people)


def test_boxes_that_are_no_numbers_harm_nobody():
    people, _ = follow([[person(50), [np.nan] * 4]] * 8)
    assert all(len(found) >= 1 for found in people)


def test_what_failed_did_not_happen():
    boxes = [[person(100 + 8.0 * i)] for i in range(16)]
    frames = [Frame.without_image("a", i, i / RATE, size=(640, 480)) for i in range(16)]
    schedule = DetectionScheduler(0.5)

    def detect(some):
        return [Detections.from_arrays(boxes[f.index]) for f in some]

    schedule.find(frames[:8], detect)
    before = schedule.checkpoint()
    once = schedule.find(frames[8:], detect)
    schedule.restore(before)
    again = schedule.find(frames[8:], detect)
    assert once[1].tolist() == again[1].tolist()
    assert all((a.boxes == b.boxes).all() for a, b in zip(once[0], again[0], strict=True))
    schedule.forget("a")
    assert schedule.find(frames[8:], detect)[1].tolist()[0]
