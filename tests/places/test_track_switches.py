"""Lines that are crossed between two tracks of one person."""

import numpy as np
import pytest

from streamreid.config import LineConfig
from streamreid.places.monitor import PlaceMonitor
from streamreid.types import IdentityEvent
from tests.support.places import path, walk

BEFORE, BEHIND = np.linspace(0.2, 0.45, 20), np.linspace(0.55, 0.8, 20)
LOST = [{}] * 8


def line(**more):
    return LineConfig.model_validate({"name": "door", "camera": "a", "from": [0.5, 1], "to": [0.5, 0], **more})


def crossed(frames, monitor=None, **more):
    monitor = monitor or PlaceMonitor([], [line()])
    walk(monitor, frames, **more)
    return [(c.track_id, c.direction, round(c.time, 2)) for c in monitor.log().crossings]


def test_a_line_between_two_tracks_of_one_person_was_crossed():
    monitor = PlaceMonitor([], [line()])
    events = walk(monitor, path(1, 7, BEFORE) + LOST + path(2, 7, BEHIND), probability=0.8)
    (crossing,) = monitor.log().crossings
    assert (crossing.track_id, crossing.direction, crossing.time) == (2, "in", pytest.approx(2.8))
    assert (crossing.probability, crossing.before) == (pytest.approx(0.8), 1)
    assert crossing.point == (pytest.approx(500), pytest.approx(400))
    (event,) = [e for e in events if e.kind == "line_crossed"]
    assert (event.global_id, event.to_dict()["probability"]) == (7, pytest.approx(0.8))
    assert event.to_dict()["track_before"] == 1
    assert next(s for s in monitor.states if s.name == "door").entries == 1


def test_it_counts_when_it_turns_out_later_who_the_second_track_is():
    late = path(2, 0, BEHIND[:10]) + path(2, 7, BEHIND[10:])
    assert crossed(path(1, 7, BEFORE) + LOST + late) == [(2, "in", 2.8)]
    other = path(2, 9, BEHIND[:10]) + path(2, 7, BEHIND[10:])
    assert crossed(path(1, 7, BEFORE) + LOST + other) == [(2, "in", 2.8)]


def test_it_counts_when_two_people_turn_out_to_be_one():
    monitor = PlaceMonitor([], [line()])
    walk(monitor, path(1, 7, BEFORE) + LOST + path(2, 9, BEHIND[:10]))
    monitor.identity(IdentityEvent("merge", 3.8, 7, other_id=9))
    assert crossed(path(2, 7, BEHIND[10:]), monitor, start=3.8, first=38) == [(2, "in", 2.8)]


def test_it_counts_once_and_both_ways():
    back = LOST + path(3, 7, BEFORE[::-1])
    assert crossed(path(1, 7, BEFORE) + LOST + path(2, 7, BEHIND) + back) == [(2, "in", 2.8), (3, "out", 5.6)]


def test_a_track_that_is_forgotten_meanwhile_is_still_the_one_before():
    monitor = PlaceMonitor([], [line()], forget_after=0.5)
    late = path(2, 0, BEHIND) + path(2, 7, [0.8] * 10)
    assert crossed(path(1, 7, BEFORE) + LOST + late, monitor) == [(2, "in", 2.8)]


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(path(1, 7, BEFORE) + LOST + path(2, 9, BEHIND), id="somebody else"),
        pytest.param(path(1, 7, BEFORE) + [{}] * 30 + path(2, 7, BEHIND), id="too late"),
        pytest.param(path(1, 7, BEFORE) + LOST + path(2, 7, BEFORE[::-1]), id="the same side"),
        pytest.param(path(1, 7, BEFORE, y=0.8) + LOST + path(2, 7, [0.501] * 20), id="on the line"),
        pytest.param(path(1, 7, BEFORE) + LOST + path(2, 0, BEHIND) + path(2, 0, [0.8] * 90) + path(2, 7, [0.8] * 9),
                     id="known too late"),
    ],
)  # fmt: skip
def test_it_does_not_count(frames):
    assert crossed(frames) == []


def test_it_does_not_count_where_the_way_passes_the_end_of_the_line_or_the_link_is_unlikely():
    frames = path(1, 7, BEFORE) + LOST + path(2, 7, BEHIND)
    short = PlaceMonitor([], [line(**{"from": [0.5, 0.6], "to": [0.5, 0]})])
    assert crossed(frames, short) == []
    assert crossed(frames, probability=0.4) == []


def test_two_tracks_at_once_are_no_switch():
    both = [{1: (7, x, 0.8), 2: (7, y, 0.8)} for x, y in zip(BEFORE, BEHIND, strict=True)]
    assert crossed(path(1, 7, [0.2] * 5) + both) == []
