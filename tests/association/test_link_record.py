"""Which tracks may be one person is kept for counts when tracks leave the window."""

from __future__ import annotations

import numpy as np

from streamreid.association import Associator, TrackLinks
from streamreid.config import AssociationConfig
from streamreid.features.similarity import Calibration
from streamreid.types import PartFeatures, Tracks

ONE = np.ones(1, np.float32)
BOX = np.array([[10, 20, 60, 170]], np.float32)


def look(direction: int) -> PartFeatures:
    return PartFeatures(np.eye(8, dtype=np.float32)[direction : direction + 1, None], np.ones((1, 1), np.float32))


def walked(*tracks: tuple[str, int, int, float], window: float = 300.0) -> Associator:
    """Tracks (camera, id, look, begin), two seconds each."""
    associator = Associator(AssociationConfig(window=window), Calibration(slope=20, intercept=-12), keep_links=True)
    frames = sorted(
        (begin + step / 5, camera, track, direction) for camera, track, direction, begin in tracks for step in range(10)
    )
    for time, camera, track, direction in frames:
        associator.observe(camera, time, Tracks(np.array([track]), BOX, ONE, np.array([0])), look(direction), ONE)
        associator.step()
    return associator


def pairs(links: TrackLinks) -> set[frozenset[tuple[str, int]]]:
    return {frozenset((links.tracks[i].key, links.tracks[j].key)) for i, j in links.pairs.tolist()}


SAME = frozenset({("hall", 1), ("yard", 7)})


def test_pairs_that_look_alike_are_kept_and_others_are_not() -> None:
    links = walked(("hall", 1, 0, 0.0), ("yard", 7, 0, 5.0), ("yard", 8, 3, 10.0)).pair_links()
    assert {t.key for t in links.tracks} == {("hall", 1), ("yard", 7), ("yard", 8)}
    assert pairs(links) == {SAME}
    assert links.log_odds[0] > 3
    first = next(t for t in links.tracks if t.key == ("hall", 1))
    assert (first.start, first.end, first.observations, first.looks, first.quality) == (0.0, 1.8, 10, 10, 1.0)


def test_a_track_that_left_the_window_is_still_compared() -> None:
    late = walked(("hall", 1, 0, 0.0), ("yard", 7, 0, 100.0), window=5.0).pair_links()
    early = walked(("hall", 1, 0, 0.0), ("yard", 7, 0, 100.0), window=300.0).pair_links()
    assert pairs(late) == pairs(early) == {SAME}
    np.testing.assert_allclose(late.log_odds, early.log_odds, atol=1e-3)


def test_two_that_one_camera_saw_at_one_time_are_no_pair() -> None:
    links = walked(("hall", 1, 0, 0.0), ("hall", 2, 0, 1.0)).pair_links()
    assert len(links.tracks) == 2
    assert not pairs(links)


def test_asking_does_not_change_what_is_kept() -> None:
    associator = walked(("hall", 1, 0, 0.0), ("yard", 7, 0, 5.0))
    one, two = associator.pair_links(), associator.pair_links()
    assert one.tracks == two.tracks
    np.testing.assert_array_equal(one.pairs, two.pairs)


def test_who_is_forgotten_is_compared_with_nobody_any_more() -> None:
    associator = walked(("hall", 1, 0, 0.0), ("hall", 2, 3, 60.0), window=5.0)
    associator.forget([associator.link("hall", 1)[0]])
    for step in range(10):
        tracks = Tracks(np.array([7]), BOX, ONE, np.array([0]))
        associator.observe("yard", 120 + step / 5, tracks, look(0), ONE)
        associator.step()
    assert not pairs(associator.pair_links())


def test_without_features_there_are_tracks_and_no_pairs() -> None:
    associator = Associator(keep_links=True)
    for step in range(10):
        tracks = Tracks(np.array([1]), BOX, ONE, np.array([0]))
        associator.observe("hall", step / 5, tracks, PartFeatures.unseen(1), ONE)
        associator.step()
    links = associator.pair_links()
    assert [t.looks for t in links.tracks] == [0]
    assert not len(links.pairs)
    assert not len(Associator().pair_links().tracks)


def test_nothing_is_kept_of_tracks_that_are_no_longer_remembered() -> None:
    associator = Associator(AssociationConfig(window=5, memory=20), keep_links=True)
    for number in range(40):
        for step in range(5):
            tracks = Tracks(np.array([number + 1]), BOX, ONE, np.array([0]))
            associator.observe("hall", 10.0 * number + step / 5, tracks, look(number % 8), ONE)
            associator.step()
    assert len(associator.pair_links().tracks) <= 4
