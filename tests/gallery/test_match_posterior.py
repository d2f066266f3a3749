"""What a search's probability means: others may be meant, and nobody is in two places at once."""

import numpy as np
import pytest

from streamreid.features.similarity import Calibration
from streamreid.gallery import Batch, Gallery, Match, TrackRecord
from streamreid.gallery.match_posterior import apart_from, compete

CALIBRATION = Calibration(slope=20.0, intercept=-10.0, source="test")


def match(who, similarity):
    return Match(who, similarity, 1.0, 0.99, ((who, similarity),))


def chances(*similarities, apart=()):
    found = compete([match(i, s) for i, s in enumerate(similarities, 1)], CALIBRATION, apart=apart)
    return {m.global_id: m.probability for m in found}


def test_one_candidate_alone_has_the_probability_of_the_pair():
    assert chances(0.7)[1] == pytest.approx(float(CALIBRATION.probability(np.array([0.7], np.float32))[0]), abs=1e-5)


def test_people_who_are_equally_alike_share_the_probability():
    found = chances(0.7, 0.7, 0.7, 0.7)
    assert len(set(np.round(list(found.values()), 6))) == 1
    assert sum(found.values()) < 1
    assert max(found.values()) < 0.25


def test_the_sum_with_nobody_is_one_and_the_order_is_by_probability():
    found = chances(0.2, 0.9, 0.6)
    assert list(found) == [2, 3, 1]
    assert sum(found.values()) + 1 / (1 + sum(np.exp(20 * s - 10) for s in (0.2, 0.9, 0.6))) == pytest.approx(
        1, abs=1e-5
    )


def test_who_is_apart_has_none_and_takes_none():
    assert chances(0.95, 0.7, apart={1})[1] == 0
    assert chances(0.95, 0.7, apart={1})[2] == pytest.approx(chances(0.7)[1])
    assert chances(0.9, apart={1}) == {1: 0}
    assert compete([], CALIBRATION) == []


def test_extreme_similarities_are_no_error():
    found = chances(1e6, -1e6)
    assert found[1] == pytest.approx(1)
    assert np.isfinite(list(found.values())).all()


def seen(store, make, *rows):
    batch = Batch("run")
    for track, (who, camera, start, end) in enumerate(rows, 1):
        batch.track_records[camera, track] = TrackRecord("run", camera, track, who, start, end, 0.9, 12)
        batch.prototypes[camera, track] = make.look(who), np.full(1, 0.8, np.float32)
    store.write(batch)


def test_nobody_is_in_two_places_at_once(tmp_path, make):
    with Gallery.open(tmp_path / "people.db") as store:
        store.claim(make.stamp)
        seen(
            store,
            make,
            (1, "hall", 0, 10),
            (2, "hall", 5, 12),  # beside 1
            (3, "yard", 5, 12),  # elsewhere at that moment
            (4, "door", 5, 12),  # door and hall overlap: 6 was seen by both at once
            (5, "hall", 20, 30),  # later
            (6, "hall", 40, 50),
            (6, "door", 41, 49),
        )
        assert apart_from(store, 1) == {2, 3}
        store.separate(1, 5)
        assert apart_from(store, 1) == {2, 3, 5}
