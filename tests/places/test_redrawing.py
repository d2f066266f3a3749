"""Zones and lines that change while people are followed: who is where goes on correctly, and since when is told."""

import pytest

from streamreid.config import LineConfig, ZoneConfig
from streamreid.places import count_people
from streamreid.places.monitor import PlaceMonitor
from streamreid.sinks import FinalIdentities
from tests.support.places import kinds, path, walk

LEFT = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
RIGHT = [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]
WHO = FinalIdentities({("a", 1): (7, 1.0), ("a", 2): (8, 1.0)}, unlinked=[])


def zone(name="shop", **more):
    return ZoneConfig.model_validate({"name": name, "camera": "a", "polygon": LEFT, **more})


def line(name="door", x=0.5):
    return LineConfig.model_validate({"name": name, "camera": "a", "from": [x, 1], "to": [x, 0]})


def states(monitor):
    return {state.name: state for state in monitor.states}


def test_a_zone_drawn_around_somebody_holds_them_without_an_entry():
    monitor = PlaceMonitor()
    walk(monitor, path(1, 7, [0.3] * 20))
    monitor.change([zone()], [])
    events = walk(monitor, path(1, 7, [0.3] * 10 + [0.7] * 10), start=2.0, first=20)
    assert kinds(events) == ["zone_entered", "occupancy_reached", "zone_left", "occupancy_ended"]
    entered, left = (e for e in events if e.kind in ("zone_entered", "zone_left"))
    assert (entered.entered, left.left) == (False, True)
    assert (states(monitor)["shop"].since, states(monitor)["shop"].entries) == (pytest.approx(1.9), 0)
    assert states(monitor)["shop"].exits == 1


def test_what_is_unchanged_goes_on_as_if_nothing_had_happened():
    monitor, same = PlaceMonitor([zone()], [line()]), PlaceMonitor([zone()], [line()])
    frames = path(1, 7, [0.6, 0.6, 0.6, 0.4, 0.4, 0.4, 0.4, 0.4] + [0.6] * 8)
    expected = [e.to_dict() for e in walk(same, frames)]
    told = walk(monitor, frames[:5])  # in the midst of an entry: two of three frames
    monitor.change([zone("other", polygon=RIGHT), zone()], [line("other", 0.9), line()])
    told += walk(monitor, frames[5:10], start=0.5, first=5)
    monitor.change([zone()], [line()])
    told += walk(monitor, frames[10:], start=1.0, first=10)
    assert [e.to_dict() for e in told if e.place in ("shop", "door", "everywhere")] == expected
    shop = states(monitor)["shop"]
    assert (shop.since, shop.redrawn, shop.entries, shop.exits) == (None, None, 1, 1)


def test_a_boundary_that_moves_over_people_counts_nobody_in_or_out():
    monitor = PlaceMonitor([zone()], [line()])
    walk(monitor, [{1: (7, 0.3, 0.8), 2: (8, 0.7, 0.8)}] * 10)
    monitor.change([zone(polygon=RIGHT)], [line(x=0.1)])
    events = walk(monitor, [{1: (7, 0.3, 0.8), 2: (8, 0.7, 0.8)}] * 10, start=1.0, first=10)
    assert {e.kind for e in events} == {"zone_entered", "zone_left"}
    assert not any(e.entered or e.left for e in events)
    shop, door = states(monitor)["shop"], states(monitor)["door"]
    assert (set(shop.people), shop.entries, shop.exits) == ({8}, 0, 0)
    assert (door.entries, door.exits) == (0, 0)
    assert (shop.since, shop.redrawn) == (None, pytest.approx(0.9))


def test_who_stays_inside_a_redrawn_zone_goes_on_with_the_visit():
    monitor = PlaceMonitor([zone()])
    walk(monitor, path(1, 7, [0.7] * 5 + [0.3] * 10))
    monitor.change([zone(polygon=[[0.2, 0], [0.6, 0], [0.6, 1], [0.2, 1]])], [])
    events = walk(monitor, path(1, 7, [0.3] * 10 + [0.75] * 5), start=1.5, first=15)
    assert kinds(events) == ["zone_left", "occupancy_ended"]
    (visit,) = monitor.log().visits
    assert (visit.entered, visit.left, visit.start) == (True, True, pytest.approx(0.5))


def test_a_zone_that_is_taken_out_ends_its_visits_and_keeps_its_records():
    monitor = PlaceMonitor([zone(), zone("other", polygon=RIGHT)])
    walk(monitor, path(1, 7, [0.7] * 5 + [0.3] * 10))
    monitor.change([zone("other", polygon=RIGHT)], [])
    assert kinds(monitor.drain_events(), "shop") == [
        "zone_entered", "occupancy_reached", "zone_left", "occupancy_ended",
    ]  # fmt: skip
    walk(monitor, path(1, 7, [0.3] * 20), start=1.5, first=15)
    assert "shop" not in states(monitor)
    (visit,) = [v for v in monitor.log().visits if v.place == "shop"]
    assert (visit.entered, visit.left) == (True, False)
    (row,) = count_people(monitor.log(), WHO, places=["shop"])
    assert (row["unique"], row["end"]) == (1, pytest.approx(1.4))  # and not until the end of the run
    monitor.change([zone(), zone("other", polygon=RIGHT)], [])  # another of the same name counts from nothing
    assert states(monitor)["shop"].entries == 0


def test_rows_of_counts_begin_when_a_place_was_drawn():
    monitor = PlaceMonitor()
    walk(monitor, path(1, 7, [0.3] * 30))
    monitor.change([zone()], [])
    walk(monitor, path(1, 7, [0.3] * 20), start=3.0, first=30)
    rows = list(count_people(monitor.log(), WHO, places=["shop"], every=2))
    assert [(row["start"], row["unique"]) for row in rows] == [(2.9, 1), (4.0, 1)]
    assert rows[0]["occupancy_mean"] == pytest.approx(1.0, abs=0.3)  # of the time that it existed, not of the period
    assert [row["start"] for row in count_people(monitor.log(), WHO, places=["everywhere"], every=2)] == [0, 2, 4]


def test_places_changed_before_the_first_frame_were_never_otherwise():
    monitor = PlaceMonitor()
    monitor.change([zone()], [line()])
    walk(monitor, path(1, 7, [0.3] * 5))
    assert {s.since for s in monitor.states} == {None}


def test_a_threshold_that_is_changed_holds_at_once():
    monitor = PlaceMonitor([zone(occupancy=2)])
    walk(monitor, [{1: (7, 0.3, 0.8), 2: (8, 0.4, 0.8)}] * 10)
    monitor.drain_events()
    monitor.change([zone(occupancy=3)], [])
    assert kinds(monitor.drain_events()) == ["occupancy_ended"]
    monitor.change([zone(occupancy=1)], [])
    assert kinds(monitor.drain_events()) == ["occupancy_reached"]


def test_places_in_pixels_and_on_new_cameras_can_be_drawn_any_time():
    monitor = PlaceMonitor()
    walk(monitor, path(1, 7, [0.3] * 5))
    monitor.change([zone(polygon=[[0, 0], [500, 0], [500, 500], [0, 500]]), zone(camera="b")], [])
    walk(monitor, path(1, 7, [0.3] * 5), start=0.5, first=5)
    walk(monitor, path(1, 7, [0.3] * 5), camera="b", start=0.5)
    assert set(states(monitor)["shop"].people) == {7}
