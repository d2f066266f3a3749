"""What differs between cameras on average is taken away before tracks are compared; features are kept as they are."""

import numpy as np
import pytest

from streamreid.association import Associator
from streamreid.association.camera_normalisation import (
    BEGIN,
    MEMORY,
    CameraMean,
    CameraMeans,
    pack_means,
    unpack_means,
)
from streamreid.association.track_evidence import Evidence, Presence
from streamreid.config import AssociationConfig
from streamreid.features.similarity import Calibration
from streamreid.types import PartFeatures, Tracks

PARTS, DIM = 2, 64
CALIBRATION = Calibration(slope=20.0, intercept=-12.0, source="test")


def directions(seed, count):
    made = np.random.default_rng(seed).normal(size=(count, PARTS, DIM)).astype(np.float32)
    return made / np.linalg.norm(made, axis=2, keepdims=True)


def tinted(people, tint):
    made = people + tint
    return (made / np.linalg.norm(made, axis=2, keepdims=True)).astype(np.float32)


TINTS = {"hall": 0.9 * directions(1, 1), "yard": 0.9 * directions(2, 1)}
"""A shift that is the camera's: people are then more alike inside of one camera than one is in two."""


def show(associator, camera, number, parts, time, frames=4):
    """One person walks through one camera."""
    one, seen = np.ones(1, np.float32), np.ones((1, PARTS), np.float32)
    tracks = Tracks(np.array([number]), np.zeros((1, 4), np.float32), one, np.array([0]))
    for frame in range(frames):
        associator.observe(camera, time + frame / 5, tracks, PartFeatures(parts[None], seen), one)
        associator.step()


def walk(associator, people, *, cameras=("hall", "yard")):
    """Everybody in one camera, then everybody in the other."""
    time = 0.0
    for camera in cameras:
        for number, parts in enumerate(tinted(people, TINTS[camera]), 1):
            show(associator, camera, number, parts, time)
            time += 1.0
    associator.step(force=True)


def found(associator, count):
    return sum(associator.link("hall", i)[0] == associator.link("yard", i)[0] for i in range(1, count + 1))


def test_a_camera_that_shifts_the_features_of_everybody_is_seen_through():
    people = directions(3, 30)
    by = {}
    for how in ("off", "camera"):
        associator = Associator(AssociationConfig(normalise=how), CALIBRATION)
        walk(associator, people)
        by[how] = found(associator, len(people))
    assert by["camera"] >= 26 > by["off"] + 6, by


def test_one_camera_changes_nothing():
    people = directions(4, 15)
    links = []
    for how in ("off", "camera"):
        associator = Associator(AssociationConfig(normalise=how), CALIBRATION)
        walk(associator, people, cameras=["hall"])
        walk(associator, people, cameras=["hall"])
        links.append(dict(associator.links))
    assert links[0] == links[1]


def test_features_are_kept_as_the_engine_gave_them():
    people = directions(3, 12)
    kept = []
    for how in ("off", "camera"):
        associator = Associator(AssociationConfig(normalise=how, probability=1.0), CALIBRATION)
        walk(associator, people)
        kept.append({(t.camera, t.track_id): t.features.parts for t in associator.tracklets})
    assert kept[0].keys() == kept[1].keys()
    assert all(np.array_equal(kept[0][key], kept[1][key]) for key in kept[0])


def looks(camera, parts, count=3):
    evidence = Evidence([Presence(camera, 0.0, 1.0)])
    for _ in range(count):
        evidence.observe(0.5, parts, np.ones(PARTS, np.float32))
    return evidence


def test_what_left_the_window_is_remembered_in_bounds_and_follows_the_light():
    means = CameraMeans()
    day, night = directions(5, 2)
    for number in range(1200):
        key = ("hall", number)
        means.learn({key: looks("hall", day if number < 200 else night)})
        means.close([key])
    (hall,) = means.known().values()
    assert hall.weight == pytest.approx([MEMORY] * PARTS, rel=1e-3)
    assert np.linalg.norm(hall.total[0] / hall.weight[0] - night[0]) < 0.3


def test_a_mean_of_few_people_is_not_handed_on():
    means = CameraMeans()
    means.learn({("hall", n): looks("hall", p) for n, p in enumerate(directions(6, 19))})
    assert means.known() == {}
    means.learn({("hall", 19): looks("hall", directions(7, 1)[0])})
    assert list(means.known()) == ["hall"]


def test_an_identity_of_two_cameras_is_moved_as_far_as_each_saw_it():
    means = CameraMeans()
    total = tinted(directions(3, 1), 0)[0] * 1000
    means.begin({c: CameraMean(sign * total, np.full(PARTS, 1000.0, np.float32)) for c, sign in (("a", 1), ("b", -1))})
    parts = directions(8, 1)[0]
    one, other, both = looks("a", parts), looks("b", parts), looks("a", parts)
    both.absorb(looks("b", parts))
    moved = means.stack([one, other, both]).parts[:, 0]
    assert np.allclose(moved[2], parts, atol=1e-6)
    assert not np.allclose(moved[0], parts, atol=0.1)
    assert not np.allclose(moved[0], moved[1], atol=0.1)


def test_means_travel_as_bytes():
    means = {"hall": CameraMean(directions(9, 1)[0], np.array([30, 25], np.float32))}
    back = unpack_means(pack_means(means))
    assert np.array_equal(back["hall"].total, means["hall"].total)
    assert np.array_equal(back["hall"].weight, means["hall"].weight)
    assert unpack_means(b"") == {}
    with pytest.raises(ValueError, match="cannot be read"):
        unpack_means(b"not a file of numbers")
    with pytest.raises(ValueError, match=r"expected total \[K, D\]"):
        CameraMean(directions(9, 1)[0], np.ones(3, np.float32))


def test_an_earlier_run_counts_within_bounds():
    means = CameraMeans()
    means.begin({"hall": CameraMean(400 * directions(9, 1)[0], np.full(PARTS, 400, np.float32))})
    assert means.known()["hall"].weight == pytest.approx([BEGIN] * PARTS)


def test_a_track_that_is_over_stays_with_its_person_when_older_ones_leave_the_window():
    associator = Associator(AssociationConfig(window=10.0, normalise="off"), CALIBRATION)
    anna, *others = directions(10, 8)
    show(associator, "hall", 1, anna, 0.0)
    show(associator, "yard", 1, anna, 6.0)
    first = associator.link("hall", 1)[0]
    assert associator.link("yard", 1)[0] == first
    events = []
    for number, parts in enumerate(others, 10):  # somebody else keeps time going
        show(associator, "hall", number, parts, float(number))
        events += associator.step(force=True)
    assert associator.link("yard", 1)[0] == first
    assert associator.people == 8
