"""Rules: when they are told, how often, and about whom."""

import pytest

from streamreid.config import AlertConfig, LineConfig, ZoneConfig
from streamreid.places.monitor import PlaceMonitor
from streamreid.types import IdentityEvent
from tests.support.places import path, walk

ZONE = ZoneConfig(name="shop", camera="a", polygon=[[0.4, 0], [0.6, 0], [0.6, 1], [0.4, 1]], queue=True)
LINE = LineConfig.model_validate({"name": "door", "camera": "a", "from": [0.5, 1], "to": [0.5, 0]})
IN, OUT = [0.5] * 10, [0.2] * 10


def alerts(frames, when, *, every=0, names=None, **more):
    monitor = PlaceMonitor([ZONE], [LINE], [AlertConfig(when=when, every=every, name="told")])
    return [e for e in walk(monitor, frames, names=names, **more) if e.kind == "alert"]


def crowd(number, frames):
    return [{k: (k, 0.45 + 0.01 * k, 0.8) for k in range(1, number + 1)}] * frames


@pytest.mark.parametrize("measure", ["occupancy", "queue"])
def test_a_state_is_told_once_when_it_has_lasted_and_again_after_it_ceased(measure):
    frames = crowd(3, 40) + [{}] * 80 + crowd(3, 40)
    found = alerts(frames, f"zone shop {measure} > 2 for 2s")
    assert [round(e.time) for e in found] == [2, 14]
    assert [(e.alert, e.value, e.place, e.global_id) for e in found] == [("told", 3, "shop", 0)] * 2
    assert alerts(crowd(3, 40), f"zone shop {measure} > 3 for 2s") == []
    assert alerts(crowd(3, 15), f"zone shop {measure} > 2 for 2s") == []


def test_an_empty_place_is_a_state_too():
    (found,) = alerts([{}] * 80, "zone shop occupancy = 0 for 5s")
    assert 5.0 <= found.time <= 5.6


def test_the_rate_limit_counts_what_it_holds_back():
    frames = path(1, 7, ([0.45] * 5 + [0.55] * 5) * 8)
    assert len(alerts(frames, "line door crossed")) == 15
    limited = alerts(frames, "line door crossed", every=3)
    assert [e.suppressed for e in limited] == [0, 5, 5]


def test_the_rate_limit_is_per_person():
    frames = [{1: (7, x, 0.8), 2: (8, x, 0.7)} for x in [0.45] * 5 + [0.55] * 5]
    assert sorted(e.global_id for e in alerts(frames, "line door in", every=60)) == [7, 8]
    assert alerts(frames, "line door out") == []


def test_crossings_are_counted_over_a_time():
    frames = path(1, 7, ([0.45] * 5 + [0.55] * 5) * 10)
    (found,) = alerts(frames, "line door in > 3 in 1m")
    assert found.value == 4


def test_dwell_is_told_once_in_a_stay_of_a_person():
    frames = path(1, 7, OUT + IN * 5)
    (found,) = alerts(frames, "zone shop dwell > 3s")
    assert (found.global_id, found.value >= 3.0, found.value < 3.7) == (7, True, True)


def test_different_people_are_counted_over_a_time_as_one_where_they_were_merged():
    frames = [f for k in range(1, 6) for f in path(k, k, OUT + IN + OUT)]
    (found,) = alerts(frames, "zone shop unique > 4 in 1m")
    assert found.value == 5
    assert alerts(frames, "zone shop unique > 4 in 5s") == []
    monitor = PlaceMonitor([ZONE], [], [AlertConfig(when="zone shop unique > 4 in 1m")])
    walk(monitor, frames[:60])
    monitor.identity(IdentityEvent("merge", 6.0, 1, other_id=2))
    assert not [e for e in walk(monitor, frames[60:], start=6.0, first=60) if e.kind == "alert"]


@pytest.mark.parametrize(
    ("when", "count"),
    [
        ("identity Anna seen", 1),
        ("identity 7 seen in zone shop", 1),
        ("identity Anna seen in camera a", 1),
        ("identity Berta seen", 0),
        ("identity 8 seen in zone shop", 0),
    ],
)
def test_a_person_is_told_once_in_a_stay_by_name_or_number(when, count):
    found = alerts(path(1, 7, OUT + IN * 3), when, names={7: "Anna"})
    assert [(e.global_id, e.name) for e in found] == [(7, "Anna")] * count


def test_events_of_zones_are_told():
    frames = path(1, 7, OUT + IN + OUT)
    for measure in ("entered", "left"):
        (found,) = alerts(frames, f"zone shop {measure}")
        assert (found.place, found.global_id) == ("shop", 7)
