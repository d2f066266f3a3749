"""People at zones and lines: what counts as a visit, a crossing, a person."""

import numpy as np
import pytest

from streamreid.config import LineConfig, ZoneConfig
from streamreid.places import EVERYWHERE, camera_place
from streamreid.places.monitor import PlaceMonitor
from streamreid.types import IdentityEvent
from tests.support.places import kinds, path, result, walk

MIDDLE = [[0.4, 0], [0.6, 0], [0.6, 1], [0.4, 1]]
THROUGH = np.linspace(0.2, 0.8, 61)


def zone(**more):
    return ZoneConfig(**{"name": "shop", "camera": "a", "polygon": MIDDLE, **more})


def line(**more):
    return LineConfig.model_validate({"name": "door", "camera": "a", "from": [0.5, 1], "to": [0.5, 0], **more})


def test_who_walks_through_a_zone_enters_and_leaves_once():
    monitor = PlaceMonitor([zone()])
    events = walk(monitor, path(1, 7, THROUGH))
    assert kinds(events) == ["zone_entered", "occupancy_reached", "zone_left", "occupancy_ended"]
    entered, left = (e for e in events if e.kind in ("zone_entered", "zone_left"))
    # x > .4 from frame 21 on, x < .6 until frame 39
    assert (entered.time, left.time) == pytest.approx((2.1, 3.9), abs=0.11)
    assert (entered.entered, left.left, left.global_id, left.dwell) == (True, True, 7, pytest.approx(1.8, abs=0.11))
    (visit,) = monitor.log().visits
    assert (visit.place, visit.camera, visit.track_id, visit.entered, visit.left) == ("shop", "a", 1, True, True)


def test_who_begins_inside_has_not_entered_and_who_is_lost_inside_has_not_left():
    monitor = PlaceMonitor([zone(lost_seconds=1)])
    events = walk(monitor, path(1, 7, [0.5] * 10 + [None] * 30))
    entered, left = (e for e in events if e.kind in ("zone_entered", "zone_left"))
    assert (entered.entered, left.left) == (False, False)
    assert left.time == pytest.approx(0.9, abs=0.01)
    (visit,) = monitor.log().visits
    assert (visit.entered, visit.left, visit.end) == (False, False, pytest.approx(0.9))


@pytest.mark.parametrize(("inertia", "visits"), [(1, 5), (3, 1)])
def test_inertia_holds_flicker_at_the_boundary(inertia, visits):
    monitor = PlaceMonitor([zone(inertia=inertia)])
    trembling = [0.3] * 5 + [0.41, 0.41, 0.41, 0.41, 0.39] * 5 + [0.3] * 5
    walk(monitor, path(1, 7, trembling))
    assert len(monitor.log().visits) == visits


def test_a_track_switch_inside_is_no_new_visit_of_the_person():
    monitor = PlaceMonitor([zone(lost_seconds=2)])
    frames = path(1, 7, np.linspace(0.3, 0.5, 20)) + [{}] * 8
    frames += path(2, 0, [0.5] * 5) + path(2, 7, np.linspace(0.5, 0.7, 30)) + [{}] * 30
    events = walk(monitor, frames)
    assert kinds(events) == ["zone_entered", "occupancy_reached", "zone_left", "occupancy_ended"]
    visits = [(v.track_id, v.entered, v.left) for v in monitor.log().visits]
    assert visits == [(1, True, False), (2, False, True)]
    left = next(e for e in events if e.kind == "zone_left")
    assert left.dwell == pytest.approx(left.time - 1.1, abs=0.2)


def test_two_cameras_that_show_one_place_hold_the_person_once():
    monitor = PlaceMonitor([zone(), zone(camera="b")])
    events = []
    for i in range(60):
        x = 0.3 if i < 10 else 0.5 if i < 40 else 0.7
        late = 0.3 if i < 20 else 0.5 if i < 50 else 0.7
        events += monitor.observe(result("a", i, i * 0.1, {1: (7, x, 0.8)}))
        events += monitor.observe(result("b", i, i * 0.1, {4: (7, late, 0.8)}))
    assert kinds(events) == ["zone_entered", "occupancy_reached", "zone_left", "occupancy_ended"]
    assert next(e for e in events if e.kind == "zone_left").time == pytest.approx(4.9, abs=0.11)
    assert len(monitor.log().visits) == 2  # of tracks


def test_a_merge_takes_one_person_out_of_the_count_without_an_event():
    monitor = PlaceMonitor([zone(occupancy=2)])
    events = walk(monitor, [{1: (7, 0.45, 0.8), 2: (9, 0.55, 0.8)}] * 10)
    assert kinds(events) == ["zone_entered", "zone_entered", "occupancy_reached"]
    monitor.drain_events()
    monitor.identity(IdentityEvent("merge", 1.0, 7, other_id=9))
    assert [e.kind for e in monitor.drain_events()] == ["occupancy_ended"]
    (state,) = [s for s in monitor.states if s.name == "shop"]
    assert (state.occupancy, set(state.people)) == (1, {7})


def test_who_turns_out_to_be_another_while_alone_stays_one_visit():
    monitor = PlaceMonitor([zone()])
    events = walk(monitor, path(1, 7, [0.3] * 5 + [0.5] * 10) + path(1, 9, [0.5] * 10 + [0.7] * 10))
    assert [(e.kind, e.global_id) for e in events if e.kind.startswith("zone")] == [
        ("zone_entered", 7),
        ("zone_left", 9),
    ]


def test_loitering_is_told_once_and_when_it_is_long_enough():
    monitor = PlaceMonitor([zone(loitering_time=3)])
    events = walk(monitor, path(1, 7, [0.3] * 5 + [0.5] * 80))
    (loitering,) = [e for e in events if e.kind == "loitering"]
    assert 3.0 <= loitering.dwell <= 3.6


def test_lines_count_both_directions_and_only_between_their_ends():
    monitor = PlaceMonitor([], [line(), line(name="short", **{"from": [0.5, 0.6], "to": [0.5, 0]})])
    events = walk(monitor, path(1, 7, [*THROUGH, *THROUGH[::-1]]))
    # From the bottom to the top of the picture, the right-hand side is on the right.
    assert [(e.place, e.direction) for e in events if e.kind == "line_crossed"] == [("door", "in"), ("door", "out")]
    first = next(e for e in events if e.kind == "line_crossed")
    assert first.point == pytest.approx((500, 400), abs=1)
    assert [c.direction for c in monitor.log().crossings] == ["in", "out"]


@pytest.mark.parametrize(("inertia", "crossings"), [(1, 11), (3, 1)])
def test_who_trembles_on_a_line_crosses_it_once(inertia, crossings):
    monitor = PlaceMonitor([], [line(inertia=inertia)])
    walk(monitor, path(1, 7, [0.45] * 3 + [0.51, 0.49] * 5 + [0.55] * 5))
    assert len(monitor.log().crossings) == crossings


def test_polygons_in_pixels_and_in_fractions_are_the_same_also_when_the_size_changes():
    pixels = [[400, 0], [600, 0], [600, 500], [400, 500]]
    monitors = [PlaceMonitor([zone()]), PlaceMonitor([zone(polygon=pixels)])]
    for monitor in monitors:
        events = []
        for i, x in enumerate(THROUGH):
            size = (1000, 500) if i < 30 else (500, 250)
            events += monitor.observe(result("a", i, i * 0.1, {1: (7, x, 0.8)}, size=size))
        assert kinds(events) == ["zone_entered", "occupancy_reached", "zone_left", "occupancy_ended"]
    assert monitors[0].log().visits == monitors[1].log().visits


def test_zones_and_lines_on_the_ground_take_metres():
    place = zone(camera=None, polygon=None, ground=[[0, 0], [2, 0], [2, 2], [0, 2]])
    cross = line(camera="a", ground=True, **{"from": [1, -5], "to": [1, 5]})

    class Model:
        def scaled(self, size):
            return self

    monitor = PlaceMonitor([place], [cross], calibrated={"a": Model()})
    events = []
    for i, x in enumerate(np.linspace(-1, 3, 41)):
        world = [[x, 1.0]] if i % 7 else [[np.nan, np.nan]]
        events += monitor.observe(result("a", i, i * 0.1, {1: (7, 0.5, 0.8)}, world=world))
    assert kinds(events, "shop") == ["zone_entered", "occupancy_reached", "zone_left", "occupancy_ended"]
    # Along y upwards, seen from above, the right-hand side is where x is greater.
    assert [e.direction for e in events if e.kind == "line_crossed"] == ["in"]


def test_a_camera_that_is_taken_out_closes_its_visits_and_one_that_is_added_counts():
    monitor = PlaceMonitor([zone(), zone(camera="b")])
    walk(monitor, path(1, 7, [0.5] * 10))
    monitor.remove("a")
    assert [s.occupancy for s in monitor.states if s.name == "shop"] == [0]
    events = walk(monitor, path(1, 8, [0.5] * 40), camera="b", start=100.0)
    assert ("zone_entered", 8) in [(e.kind, e.global_id) for e in events]
    monitor.finish()
    assert [(v.camera, v.left) for v in monitor.log().visits] == [("a", False), ("b", False)]


def test_what_is_open_when_a_run_ends_is_closed_as_not_left():
    monitor = PlaceMonitor([zone()])
    walk(monitor, path(1, 7, [0.3] * 5 + [0.5] * 20))
    open_visits = monitor.log().visits
    monitor.finish()
    assert [(e.kind, e.left) for e in monitor.drain_events() if e.kind == "zone_left"] == [("zone_left", False)]
    assert monitor.log().visits == open_visits
    assert [v.left for v in monitor.drain_visits()] == [False]


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_clock_that_jumps_ends_no_stay_and_makes_none_an_hour_long(jump):
    monitor = PlaceMonitor([zone()])
    other = [{}] * 20
    events = walk(monitor, path(1, 7, [0.3] * 5 + [0.5] * 15))
    walk(monitor, other, camera="b")
    events += walk(monitor, path(1, 7, [0.5] * 15 + [0.7] * 10), start=jump + 2.0, first=20)
    assert [e.kind for e in events if e.kind.startswith("zone")] == ["zone_entered", "zone_left"]
    left = events[-2]
    assert left.kind == "zone_left"
    assert 4.0 < left.dwell < 5.0  # with the two seconds that the other camera showed meanwhile
    dwells = [v.dwell for v in monitor.log().visits]
    assert len(dwells) == 2
    assert 0 <= min(dwells) <= max(dwells) < 2.0


def test_a_camera_that_falls_silent_does_not_keep_people_while_others_go_on():
    monitor = PlaceMonitor([zone(lost_seconds=2)])
    walk(monitor, path(1, 7, [0.5] * 10))
    events = walk(monitor, [{}] * 100, camera="b", start=1.0)
    assert kinds(events) == ["zone_left", "occupancy_ended"]


def test_cameras_whose_clocks_are_hours_apart_do_not_expire_each_other():
    monitor = PlaceMonitor([zone(lost_seconds=1)])
    events = []
    for i in range(100):
        events += monitor.observe(result("a", i, i * 0.1, {1: (7, 0.5, 0.8)}))
        events += monitor.observe(result("b", i, 7200 + i * 0.1, {}))
    assert kinds(events) == ["zone_entered", "occupancy_reached"]


def test_first_and_last_seen_are_told_of_confirmed_people_only():
    monitor = PlaceMonitor()
    frames = path(1, 7, [0.5] * 20) + [{2: (8, 0.2, 0.8)}] * 3 + [{}] * 400
    events = []
    for i, people in enumerate(frames):
        events += monitor.observe(result("a", i, i * 0.1, people), confirmed={7} if i > 10 else set())
    assert [(e.kind, e.global_id) for e in events] == [("first_seen", 7), ("last_seen", 7)]
    first, last = events
    assert (first.time, last.time, last.dwell) == pytest.approx((0.0, 1.9, 1.9), abs=0.05)


def test_every_camera_and_the_site_are_places():
    monitor = PlaceMonitor([zone()])
    walk(monitor, path(1, 7, [0.1] * 10))
    walk(monitor, path(3, 7, [0.1] * 10), camera="b", start=5.0)
    log = monitor.log()
    assert log.place_names == ("shop", camera_place("a"), camera_place("b"), EVERYWHERE)
    assert [(v.camera, v.track_id) for v in log.visits_of(EVERYWHERE)] == [("a", 1), ("b", 3)]
    assert [(v.start, v.end) for v in log.visits_of(camera_place("b"))] == [(5.0, pytest.approx(5.9))]
    with pytest.raises(KeyError):
        list(log.visits_of("camera:c"))


def test_hidden_feet_are_put_where_the_height_of_the_body_says():
    # The zone begins in front of a counter; whoever stands behind it shows the upper half only.
    front = zone(polygon=[[0, 0.7], [1, 0.7], [1, 1], [0, 1]], inertia=2)
    seen, unseen = [1.0, 1.0], [1.0, 0.1]
    counts = {}
    for looks in (True, False):
        monitor = PlaceMonitor([front], parts=["whole", "feet"] if looks else [])
        for i in range(300):  # everybody walks by and is seen whole, .2 tall at the feet's height of .6 and .3 at .9
            y = 0.6 + 0.3 * (i % 30) / 30
            monitor.observe(result("a", i, i * 0.1, {i // 30 + 1: (i // 30 + 1, 0.3, y, y / 3)}, visibility=[seen]))
        before = len(monitor.log().visits)
        for i in range(300, 330):  # feet at .8, of which the lower half is hidden: the box ends at .67
            monitor.observe(result("a", i, i * 0.1, {50: (50, 0.3, 0.667, 0.133)}, visibility=[unseen]))
        counts[looks] = len(monitor.log().visits) - before
    assert counts == {True: 1, False: 0}


def test_an_anchor_of_the_body_or_its_middle_counts_where_feet_do_not():
    high = [[0.4, 0.5], [0.6, 0.5], [0.6, 0.75], [0.4, 0.75]]
    for anchor, visits in (("feet", 0), ("center", 1), ("body", 1)):
        monitor = PlaceMonitor([zone(polygon=high, anchor=anchor)])
        walk(monitor, path(1, 7, [0.5] * 10))
        assert len(monitor.log().visits) == visits, anchor


def test_who_is_undecided_and_first_shown_inside_when_a_run_ends_is_told_as_nobody():
    monitor = PlaceMonitor([zone()])
    events = walk(monitor, [{1: (7, 0.5, 0.8)}] * 20 + [{1: (7, 0.5, 0.8), 2: (0, 0.52, 0.8)}] * 5)
    monitor.finish()
    assert [e.global_id for e in events if e.kind == "zone_entered"] == [7]
    assert [(e.kind, e.global_id) for e in monitor.drain_events()][-3:] == [
        ("zone_left", 7),
        ("occupancy_ended", 0),
        ("last_seen", 7),
    ]
    assert len(monitor.log().visits) == 2


@pytest.mark.parametrize(("bends", "visits"), [(False, 1), (True, 0)])
def test_a_box_whose_lower_end_jumps_up_is_cut_off_and_one_whose_upper_end_sinks_is_not(bends, visits):
    # In front of the counter is the zone. Everybody is .2 tall with the feet at .6, and .3 at .9.
    near = zone(polygon=[[0, 0.78], [1, 0.78], [1, 1], [0, 1]], inertia=2)
    monitor = PlaceMonitor([near])
    for i in range(300):
        y = 0.6 + 0.3 * (i % 30) / 30
        monitor.observe(result("a", i, i * 0.1, {i // 30 + 1: (i // 30 + 1, 0.3, y, y / 3)}))
    before = len(monitor.log().visits)
    stands = {50: (50, 0.3, 0.72, 0.24)}
    for i in range(300, 320):
        monitor.observe(result("a", i, i * 0.1, stands))
    # Now at .8: behind somebody's desk, of which the engine says nothing; or still at .72, bent to the half.
    for i in range(320, 360):
        box = (0.72, 0.12) if bends else (0.65 + (i % 10) / 300, 0.13)
        monitor.observe(result("a", i, i * 0.1, {50: (50, 0.3, *box)}))
    assert len(monitor.log().visits) - before == visits
