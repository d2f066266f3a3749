"""Where people stand in pictures of cameras that see the same floor, learnt from tracks that are surely one person."""

import itertools
import statistics

import numpy as np
import pytest

from streamreid.association.learnt_places import LearntPlaces
from streamreid.association.time_relations import SurePairs, TimeRelations
from streamreid.types import Tracks

FLOOR = {
    "hall": np.array([[60.0, 10.0, 100.0], [-5.0, 40.0, 200.0], [0.002, 0.01, 1.0]]),
    "yard": np.array([[-50.0, 20.0, 500.0], [10.0, 35.0, 150.0], [-0.004, 0.012, 1.0]]),
}
HEIGHT = {"hall": 120.0, "yard": 90.0}


def pixels(camera, floor):
    moved = np.append(floor, 1.0) @ FLOOR[camera].T
    return moved[:2] / moved[2]


def walks(people, rng):
    """Straight ways over the floor of 8 by 6 m, as functions of time."""
    starts, ends = rng.uniform(0, 1, (2, people, 2)) * [8, 6]
    return lambda time: starts + (ends - starts) * time / 10.0


def seen(people=8, seed=0, seconds=10.0, noise=2.0):
    """What both cameras report of people who walk about; in the yard their numbers are ten greater."""
    rng = np.random.default_rng(seed)
    where, places, boxes = walks(people, rng), LearntPlaces(), {}
    for step in range(int(seconds * 10)):
        for camera, plus in (("hall", 0), ("yard", 10)):
            feet = np.array([pixels(camera, p) for p in where(step / 10)]) + rng.normal(0, noise, (people, 2))
            tall = HEIGHT[camera]
            a = np.stack([feet[:, 0] - tall / 6, feet[:, 1] - tall, feet[:, 0] + tall / 6, feet[:, 1]], 1)
            ids = np.arange(people) + plus
            for number, box in zip(ids.tolist(), a.astype(np.float32), strict=True):
                boxes.setdefault((camera, number), {}).setdefault(int(step / 10 / 0.25), box)
            places.observe(
                camera, step / 10, Tracks(ids, a.astype(np.float32), np.ones(people, np.float32), np.arange(people))
            )
    keys = [("hall", i) for i in range(people)] + [("yard", i + 10) for i in range(people)]
    return places, keys, boxes


def slow_distance(homography, one, two):
    """Median over the moments of both of the distance in body heights."""
    away = []
    for moment in sorted(set(one) & set(two)):
        (x0, _, x1, y1), there = one[moment].tolist(), two[moment].tolist()
        x, y, w = homography @ [(x0 + x1) / 2, y1, 1.0]
        dx, dy = x / w - (there[0] + there[2]) / 2, y / w - there[3]
        away.append(np.hypot(dx, dy) / (there[3] - there[1]))
    return statistics.median_low(away) if len(away) >= 3 else float("nan")


def test_distances_are_those_of_the_slow_form_and_tell_people_apart():
    places, keys, boxes = seen()
    one = np.arange(6)
    places.learn(keys, one, one + 8)
    assert places.known
    homography = places._onto["hall", "yard"]
    a, b = np.triu_indices(len(keys), 1)
    found = places.distances(keys, a, b)
    np.testing.assert_array_equal(found, places.distances(keys, b, a))
    for i, j, distance in zip(a.tolist(), b.tolist(), found.tolist(), strict=True):
        if keys[i][0] == keys[j][0]:
            assert np.isnan(distance)
        else:
            assert distance == pytest.approx(slow_distance(homography, boxes[keys[i]], boxes[keys[j]]), abs=1e-3)
    same = b - a == 8
    assert found[same].max() < 0.2
    assert np.nanmin(found[~same]) > 0.2


def test_some_wrong_pairs_do_no_harm():
    places, keys, _ = seen(seed=1)
    places.learn(keys, np.array([0, 1, 2, 3, 4, 5, 6]), np.array([8, 9, 10, 11, 12, 15, 13]))
    row = np.arange(8)
    assert places.distances(keys, row, row + 8).max() < 0.2


@pytest.mark.parametrize(
    ("one", "two"),
    [([0, 1, 2], [8, 9, 10]), ([0, 1, 2, 3, 4, 5], [9, 10, 8, 13, 11, 12]), ([0, 1, 2, 3], [1, 2, 3, 4]), ([], [])],
    ids=["few", "wrong", "one camera", "none"],
)
def test_where_pairs_do_not_agree_nothing_is_known(one, two):
    places, keys, _ = seen(seed=2)
    places.learn(keys, np.array(one, int), np.array(two, int))
    assert not places.known
    assert np.isnan(places.distances(keys, np.array([0]), np.array([8]))).all()


def test_places_of_forgotten_tracks_are_used_again():
    places, keys, _ = seen()
    places.learn(keys, np.arange(8), np.arange(8) + 8)
    size = len(places._moment)
    for later in range(1, 20):
        places.keep(keys[:1])
        boxes = np.tile(np.array([[10, 20, 50, 140]], np.float32), (8, 1))
        ids = np.arange(8) + 100 * later
        places.observe("hall", 100.0 * later, Tracks(ids, boxes, np.ones(8, np.float32), np.arange(8)))
        assert np.isnan(places.distances([("hall", 100 * later), keys[8]], np.array([0]), np.array([1]))).all()
    assert len(places._moment) == size


def test_relations_learn_what_distances_say():
    places, keys, _ = seen()
    times = TimeRelations(places)
    start, end = np.zeros(16), np.full(16, 10.0)
    row = np.arange(6)
    times.learn(10.0, keys, start, end, SurePairs(row, row + 8, np.ones(6, np.float32)))
    one, two = (np.array(side) for side in zip(*itertools.product(range(8), range(8, 16)), strict=True))
    said = times.log_odds(keys, start, end, one, two)
    same = two - one == 8
    assert said[same].min() > 1.0  # also of the two pairs that nobody was sure of
    assert said[~same].max() < 0.0
    assert TimeRelations().log_odds(keys, start, end, one, two).tolist() == [0.0] * 64
