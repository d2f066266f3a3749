"""What a search's probability means: others may be meant, and nobody is in two places at once."""

import numpy as np
import pytest

from streamreid.features.similarity import Calibration
from streamreid.gallery import Batch, Gallery, GallerySearch, Match, TrackRecord
from streamreid.gallery.match_posterior import apart_from, compete, identify
from streamreid.types import PartFeatures

CALIBRATION = Calibration(slope=20.0, intercept=-10.0, source="test")


def match(who, similarity):
    evidence = float(CALIBRATION.log_odds(np.array([similarity], np.float32))[0])
    return Match(who, similarity, 1.0, 0.99, ((who, similarity),), evidence)


def chances(*similarities, apart=(), **others):
    found = compete([match(i, s) for i, s in enumerate(similarities, 1)], apart=apart, **others)
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
    assert sum(found.values()) + 1 / (1 + sum(np.exp(20 * s - 10) / 3 for s in (0.2, 0.9, 0.6))) == pytest.approx(
        1, abs=1e-5
    )


def test_the_more_people_may_be_meant_the_less_one_likeness_says():
    assert chances(0.7, people=2)[1] > chances(0.7, people=50)[1] > chances(0.7, people=5000)[1]
    assert chances(0.7, people=50)[1] == pytest.approx(1 / (1 + 50 * np.exp(-4.0)), abs=1e-4)


def test_what_is_known_before_counts():
    assert chances(0.7, people=50, prior=0.1)[1] < chances(0.7, people=50)[1] < chances(0.7, people=50, prior=0.9)[1]
    assert sum(chances(0.3, 0.2, 0.1, prior=1.0).values()) == pytest.approx(1)
    assert chances(0.3, apart={1}, prior=1.0) == {1: 0}


def test_who_is_apart_has_none_and_takes_none():
    assert chances(0.95, 0.7, apart={1})[1] == 0
    assert chances(0.95, 0.7, apart={1})[2] == pytest.approx(chances(0.7)[1])
    assert chances(0.9, apart={1}) == {1: 0}
    assert compete([]) == []


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


def look_among(tmp_path, make, rows, *, query=None, **asked):
    with Gallery.open(tmp_path / "people.db") as store:
        store.claim(make.stamp)
        seen(store, make, *rows)
        looking = GallerySearch(store, CALIBRATION)
        found = identify(store, looking, query, **asked)
        looking.close()
    return {m.global_id: m.probability for m in found}


def test_many_views_are_no_evidence(tmp_path, make):
    """The best of many pairs is the better the more there are, whoever they show."""

    def evidence(views):
        rng = np.random.default_rng(0)
        with Gallery.open(tmp_path / f"{views}.db") as store:
            store.claim(make.stamp)
            batch = Batch("run")
            for who in range(1, 41):
                batch.track_records["hall", who] = TrackRecord("run", "hall", who, who, 0, 1, 0.9, 12)
                # As different as people are: the views of one show as little of the query as those of another.
                features = PartFeatures.concatenate([make.look(int(rng.integers(1 << 30))) for _ in range(views)])
                batch.prototypes["hall", who] = features, np.full(views, 0.8, np.float32)
            store.write(batch)
            looking = GallerySearch(store, CALIBRATION)
            found = looking.search(make.look(1), 40)
            looking.close()
        return np.array([m.similarity for m in found]), np.array([m.evidence for m in found])

    (one, few), (best, many) = evidence(1), evidence(8)
    assert best.mean() > one.mean() + 0.1
    inflation = np.median(CALIBRATION.log_odds(best)) - np.median(CALIBRATION.log_odds(one))
    assert abs(np.median(many) - np.median(few)) < 0.75 * inflation


def test_somebody_with_two_identities_is_found_twice(tmp_path, make):
    class Twice:
        stamp = make.stamp

        @staticmethod
        def look(who):
            return make.look(7 if who == 70 else who, seed=who)

    rows = [(who, "hall", 10 * who, 10 * who + 5) for who in (1, 2, 3, 7, 70)]
    found = look_among(tmp_path, Twice, rows, query=make.look(7, seed=99))
    assert found[7] > 0.9
    assert found[70] > 0.9
    assert max(found[i] for i in (1, 2, 3)) < 0.01


def test_two_who_were_seen_side_by_side_share_however_alike(tmp_path, make):
    class Twins:
        stamp = make.stamp

        @staticmethod
        def look(who):
            return make.look(7 if who == 70 else who, seed=who)

    rows = [(1, "hall", 10, 15), (7, "hall", 70, 75), (70, "hall", 70, 75)]
    found = look_among(tmp_path, Twins, rows, query=make.look(7, seed=99))
    assert found[7] + found[70] == pytest.approx(1, abs=0.02)
    assert min(found[7], found[70]) > 0.1


def test_who_has_another_identity_elsewhere_at_that_time_is_not_meant(tmp_path, make):
    class Twice:
        stamp = make.stamp

        @staticmethod
        def look(who):
            return make.look({70: 7, 71: 7}.get(who, who), seed=who)

    rows = [(1, "hall", 10, 15), (7, "hall", 20, 25), (70, "hall", 70, 75), (71, "hall", 70, 75)]
    found = look_among(tmp_path, Twice, rows, identity=70)  # 7 looks like 70, but also like 71, who stood beside 70
    assert found[71] == 0
    assert found[7] < 0.5
    without = look_among(tmp_path, Twice, rows, identity=70, without=[71])
    assert without[7] < 0.5  # that it is left out of the answer does not make it somebody else


def test_a_search_for_an_identity_leaves_it_out(tmp_path, make):
    found = look_among(tmp_path, make, [(1, "hall", 0, 10), (2, "hall", 5, 12), (3, "hall", 20, 30)], identity=1)
    assert set(found) == {2, 3}
    assert found[2] == 0
