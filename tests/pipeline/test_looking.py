"""Who is looked at, and when."""

import numpy as np
import pytest

from streamreid.config import Config
from streamreid.pipeline.looking import LookSchedule
from streamreid.types import Detections


def schedule(interval=0.5):
    return LookSchedule(Config.from_dict({"cameras": [{"name": "a", "uri": "a"}], "engine": {"look_interval": interval}}))


def person(left, top=100.0):
    return [left, top, left + 40, top + 100]


def looks(frames, interval=0.5, rate=10):
    s = schedule(interval)
    return [s.choose("a", Detections.from_arrays(boxes), i / rate).tolist() for i, boxes in enumerate(frames)]


def test_a_lone_walker_is_looked_at_ever_less_and_then_at_intervals():
    chosen = [c[0] for c in looks([[person(5.0 * i)] for i in range(16)])]
    assert [i for i, c in enumerate(chosen) if c] == [0, 1, 3, 7, 12]


def test_without_interval_everybody_in_every_frame():
    assert all(c == [True, True] for c in looks([[person(0), person(200)]] * 5, interval=0))


def test_crossing_people_are_looked_at_and_others_are_not():
    frames = [[person(100 + 6.0 * i), person(250 - 6.0 * i), person(600)] for i in range(24)]
    chosen = np.array(looks(frames, interval=100))
    touching = [i for i in range(24) if abs((100 + 6 * i) - (250 - 6 * i)) < 25]
    assert chosen[touching][:, :2].all()
    assert np.flatnonzero(chosen[:, 2]).tolist() == [0, 1, 3, 7, 15]


def test_a_jump_or_a_newcomer_is_looked_at():
    chosen = looks([[person(0)]] * 5 + [[person(36)], [person(36), person(300)]], interval=100)
    assert chosen[4] == [False]
    assert chosen[5] == [True]
    assert chosen[6][1] is True


def test_low_scores_and_broken_boxes_are_not_looked_at():
    found = Detections.from_arrays([person(0), person(200), [np.nan] * 4], [0.9, 0.2, 0.9])
    assert schedule().choose("a", found, 0.0).tolist() == [True, False, False]


def test_cameras_do_not_know_each_other():
    s = schedule(100)
    for i in range(6):
        a = s.choose("a", Detections.from_arrays([person(0)]), i / 10)
        b = s.choose("b", Detections.from_arrays([person(0)]), i / 10)
        assert a.tolist() == b.tolist() == [i in (0, 1, 3)]


@pytest.mark.parametrize("times", [[0.0, 0.1, 0.2, 0.3, 0.25, 0.35], [5.0, 5.1, 5.2, 1.0]])
def test_time_that_goes_back_makes_a_look(times):
    s = schedule(100)
    chosen = [s.choose("a", Detections.from_arrays([person(0)]), t).tolist() for t in times]
    assert chosen[:2] == [[True]] * 2
    if times[-1] < times[2]:
        assert chosen[-1] == [True]
