"""Which pictures are worth having once more."""

import numpy as np
import pytest

from streamreid.association.second_looks import (
    CLEAR,
    PICTURES,
    DoubtfulPair,
    FurtherPicture,
    SecondLooks,
    spread,
)
from streamreid.types import PartFeatures, Tracks


def look(looks, camera, time, tracks, *, embedded=(), quality=1.0, height=150.0):
    """A frame in which some tracks stand side by side."""
    n = len(tracks)
    boxes = np.array([[50 * i, 10, 50 * i + 40, 10 + height] for i in range(n)], np.float32)
    visible = np.array([[float(t in embedded)] for t in tracks], np.float32)
    seen = PartFeatures(np.ones((n, 1, 1), np.float32), visible)
    grade = np.broadcast_to(np.float32(quality), n)
    looks.observe(camera, time, Tracks(np.array(tracks), boxes, np.ones(n, np.float32), np.arange(n)), seen, grade)


def doubt(*tracks, p=0.5):
    return DoubtfulPair(tuple(("hall", t) for t in tracks), p)


def filled(share, frames=40, tracks=(1, 2, 3)):
    """Every tenth frame is embedded."""
    looks = SecondLooks(share)
    for i in range(frames):
        look(looks, "hall", i / 10, list(tracks), embedded=tracks if i % 10 == 0 else ())
    return looks


@pytest.mark.parametrize(("share", "most"), [(0.08, 0), (0.09, 1), (0.5, 6), (0.9, 8), (5, 8)])
def test_the_budget_is_a_share_of_the_crops_embedded_anyway(share, most):
    looks = filled(share)  # 12 crops were embedded
    wanted = looks.plan([doubt(1, 2)], until=np.inf)
    assert len(wanted) == most
    looks.count.crops += most
    assert looks.budget == int(share * 12 + 1e-9) - most


def test_the_most_doubtful_pairs_come_first_and_surely_known_tracks_get_nothing():
    wanted = filled(0.5).plan([doubt(1, 3, p=0.75), doubt(2, p=0.55)], until=np.inf)
    assert [sum(p.track_id == t for p in wanted) for t in (1, 2, 3)] == [2, PICTURES, 0]
    assert [(p.time, p.track_id) for p in wanted] == sorted((p.time, p.track_id) for p in wanted)


def test_pictures_are_clear_large_and_not_those_that_were_embedded():
    looks = SecondLooks(10, min_height=60)
    look(looks, "hall", 0.0, [1], embedded=[1])
    look(looks, "hall", 0.1, [1], quality=CLEAR - 0.01)
    look(looks, "hall", 0.2, [1], height=59)
    look(looks, "hall", 0.3, [1], quality=np.nan)
    look(looks, "hall", 0.4, [1], quality=CLEAR)
    assert [p.time for p in looks.plan([doubt(1)], until=np.inf)] == [0.4]


def test_pictures_are_spread_over_the_time_of_a_track_and_the_best_of_their_stretch():
    pictures = [FurtherPicture("hall", 1, float(i), (0, 0, 9, 128 if i % 5 == 3 else 64), 1.0, 0) for i in range(20)]
    assert [p.time for p in spread(pictures, 4)] == [3, 8, 13, 18]
    assert spread(pictures[:3], 4) == pictures[:3]
    assert spread(pictures, 0) == []


def test_memory_of_a_track_is_bounded_and_covers_its_whole_time():
    looks = SecondLooks(10)
    look(looks, "hall", 0.0, [1], embedded=[1])
    best = {700 + 3000 * i for i in range(4)}
    for i in range(1, 12_000):
        look(looks, "hall", float(i), [1], quality=1.0 if i in best else 0.6)
    remembered = looks._pictures["hall", 1].best
    assert 16 <= len(remembered) <= 32
    steps = np.diff([p.time for p in remembered])
    assert steps.max() < 12_000 / 8
    assert {p.time for p in looks.plan([doubt(1)], until=np.inf)} == best


def test_frames_that_were_passed_are_not_asked_for_again():
    looks = filled(10)
    first = looks.plan([doubt(1)], until=1.95)
    assert max(p.time for p in first) < 1.95
    looks.forget(until=1.95, kept={("hall", 1): None})
    assert min(p.time for p in looks.plan([doubt(1)], until=np.inf)) > 1.95
    assert looks.plan([doubt(2)], until=np.inf) == []  # nothing is kept of tracks that are gone
