"""Delayed results: every frame once, gaps filled, beginnings shown, late finds renamed."""

import numpy as np
import pytest
from pydantic import ValidationError

from streamreid.config import TrackerConfig
from streamreid.features.similarity import Calibration
from streamreid.tracking import FixedLagTracks, Tracker
from streamreid.types import Detections, PartFeatures

CALIBRATION = Calibration(slope=12.0, intercept=-6.0, source="test")


def walker(t, x0, v, y=300.0):
    return [x0 + v * t - 20, y - 100, x0 + v * t + 20, y]


def looks(*vectors):
    parts = np.array(vectors, np.float32).reshape(len(vectors), 1, -1)
    return PartFeatures(parts / np.linalg.norm(parts, axis=2, keepdims=True), np.ones((len(vectors), 1), np.float32))


def late_tracks(delay, **settings):
    return FixedLagTracks(Tracker(TrackerConfig(delay=delay, **settings), CALIBRATION))


def step(late, boxes, features, time):
    late.push(late.tracker.update(Detections.from_arrays(boxes), features, time), time)
    return late.due()


def run(late, frames):
    out = []
    for time, boxes, features in frames:
        out += step(late, boxes, features, time)
    return out + late.flush()


@pytest.mark.parametrize("delay", [0.0, 0.25, 1.0])
def test_every_frame_comes_out_once_in_order_and_in_time(delay):
    late = late_tracks(delay)
    times = [i * 0.1 for i in range(30)]
    came = []
    for t in times:
        due = step(late, [walker(t, 0, 50)], None, t)
        assert all(then <= t - delay + 1e-6 for then, _ in due)
        came += [then for then, _ in due]
    came += [then for then, _ in late.flush()]
    assert came == pytest.approx(times)
    assert late.due() == []


def test_a_gap_is_filled_by_interpolation_and_the_beginning_is_shown():
    frames = [(i * 0.1, [] if 10 <= i < 16 else [walker(i * 0.1, 0, 100)], None) for i in range(30)]
    at_once = run(late_tracks(0.0), frames)
    late = run(late_tracks(1.0), frames)
    assert [len(t) for _, t in at_once[:3]] == [0, 0, 1]
    assert all(t.ids.tolist() == [1] for _, t in late)
    for i in range(10, 16):
        assert late[i][1].rows.tolist() == [-1]
        assert late[i][1].boxes[0] == pytest.approx(walker(i * 0.1, 0, 100), abs=4.0)


def test_a_gap_longer_than_the_delay_stays():
    frames = [(i * 0.1, [] if 10 <= i < 18 else [walker(i * 0.1, 0, 30)], None) for i in range(30)]
    late = run(late_tracks(0.3), frames)
    assert any(len(t) == 0 for _, t in late[10:18])


def test_a_ghost_of_two_frames_is_shown_nowhere():
    frames = [
        (i * 0.1, [walker(i * 0.1, 0, 50)] + ([[600, 10, 640, 110]] if i in (10, 11) else []), None) for i in range(25)
    ]
    assert {k for _, t in run(late_tracks(1.0), frames) for k in t.ids.tolist()} == {1}


def test_a_new_track_found_to_be_an_old_one_gets_its_id_in_the_frames_before_too():
    """Nobody looked at them until they had been reported for a while."""
    frames = [(i * 0.1, [walker(i * 0.1, 100, 20)], looks([1, 0])) for i in range(20)]
    frames += [(i * 0.1, [], PartFeatures.unseen(0, 1, 2)) for i in range(20, 40)]
    frames += [
        (i * 0.1, [walker(i * 0.1, 250, 20)], looks([1, 0]) if i >= 46 else PartFeatures.unseen(1, 1, 2))
        for i in range(40, 60)
    ]
    out = run(late_tracks(1.5), frames)
    assert {k for _, t in out for k in t.ids.tolist()} == {1}
    without = run(late_tracks(1.5, rejoin_seconds=0.0), frames)
    assert {k for _, t in without for k in t.ids.tolist()} == {1, 2}


@pytest.mark.parametrize("delay", [-1.0, float("nan"), float("inf")])
def test_a_delay_that_makes_no_sense_is_refused(delay):
    with pytest.raises(ValidationError, match="delay"):
        late_tracks(delay)


def test_time_that_goes_back_loses_no_frame():
    late = late_tracks(0.5)
    times = [0.0, 0.1, 0.2, 0.05, 0.3, 0.4]
    out = run(late, [(t, [walker(0, 100, 0)], None) for t in times])
    assert len(out) == len(times)
    assert [t for t, _ in out] == sorted(t for t, _ in out)
