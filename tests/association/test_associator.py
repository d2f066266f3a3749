"""Identities across cameras: links, doubts, revisions, memory."""

import numpy as np
import pytest

from streamreid.association import Associator
from streamreid.config import AssociationConfig
from streamreid.features.similarity import Calibration
from streamreid.types import PartFeatures, Tracks

CALIBRATION = Calibration(slope=12.0, intercept=-6.0, source="test")


def feature(code, parts=1, dim=16, visibility=None, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    p = np.zeros((parts, dim), np.float32)
    p[:, code] = 1
    p += noise * rng.normal(size=p.shape).astype(np.float32)
    p /= np.linalg.norm(p, axis=1, keepdims=True)
    return p, np.ones(parts, np.float32) if visibility is None else np.asarray(visibility, np.float32)


def observe(associator, camera, time, people):
    """people: {track_id: (parts [K, D], visibility [K])}"""
    ids = np.array(sorted(people), np.int64)
    n = len(ids)
    parts = np.stack([people[i][0] for i in ids.tolist()])
    visibility = np.stack([people[i][1] for i in ids.tolist()])
    tracks = Tracks(ids, np.zeros((n, 4), np.float32), np.ones(n, np.float32), np.arange(n))
    associator.observe(camera, time, tracks, PartFeatures(parts, visibility), np.ones(n, np.float32))
    return associator.step()


def watch(associator, plan, start=0.0, seconds=3.0, rate=10):
    """plan: {camera: {track_id: feature}} seen for a while."""
    events = []
    for i in range(int(seconds * rate)):
        for camera in sorted(plan):
            events += observe(associator, camera, start + i / rate, plan[camera])
    return events


def gid(associator, camera, track):
    return associator.link(camera, track)[0]


def test_the_same_people_in_two_cameras_share_an_id():
    a = Associator(calibration=CALIBRATION)
    watch(a, {"left": {1: feature(0), 2: feature(1)}, "right": {7: feature(1), 8: feature(0)}})
    assert gid(a, "left", 1) == gid(a, "right", 8)
    assert gid(a, "left", 2) == gid(a, "right", 7)
    assert gid(a, "left", 1) != gid(a, "left", 2)
    assert [i.cameras for i in a.identities] == [{"left", "right"}] * 2


def test_strangers_stay_apart():
    a = Associator(calibration=CALIBRATION)
    watch(a, {"left": {1: feature(0)}, "right": {1: feature(1)}})
    assert gid(a, "left", 1) != gid(a, "right", 1)


def test_two_tracks_of_one_camera_at_one_time_are_never_one_person():
    a = Associator(calibration=CALIBRATION)
    watch(a, {"left": {1: feature(0), 2: feature(0)}, "right": {1: feature(0)}})
    assert gid(a, "left", 1) != gid(a, "left", 2)


def test_fragments_of_one_camera_may_be_one_person():
    a = Associator(calibration=CALIBRATION)
    watch(a, {"left": {1: feature(0)}})
    watch(a, {"left": {2: feature(0)}}, start=10.0)
    assert gid(a, "left", 1) == gid(a, "left", 2)


def test_people_are_compared_by_the_parts_that_both_cameras_saw():
    """Behind a counter: legs look like somebody else's, but they were not seen."""
    whole, _ = feature(0, parts=2)
    hidden = whole.copy()
    hidden[1] = np.eye(16, dtype=np.float32)[5]
    a = Associator(calibration=CALIBRATION)
    watch(a, {"left": {1: (whole, np.array([1, 1], np.float32))}, "right": {1: (hidden, np.array([1, 0], np.float32))}})
    assert gid(a, "left", 1) == gid(a, "right", 1)
    b = Associator(calibration=CALIBRATION)
    watch(
        b, {"left": {1: (whole, np.array([1, 1], np.float32))}, "right": {1: (hidden, np.array([0.2, 1], np.float32))}}
    )
    assert gid(b, "left", 1) != gid(b, "right", 1)


def test_without_looks_every_track_is_somebody():
    a = Associator(calibration=CALIBRATION)
    nothing = (np.zeros((1, 1), np.float32), np.zeros(1, np.float32))
    watch(a, {"left": {1: nothing, 2: nothing}, "right": {1: nothing}})
    a.finish()
    assert len({gid(a, "left", 1), gid(a, "left", 2), gid(a, "right", 1)}) == 3


def test_disabled_gives_every_track_its_own_id():
    a = Associator(AssociationConfig(enabled=False), CALIBRATION)
    watch(a, {"left": {1: feature(0)}, "right": {1: feature(0)}})
    assert gid(a, "left", 1) != gid(a, "right", 1)


def test_finish_leaves_nobody_without_an_id():
    a = Associator(AssociationConfig(min_observations=5), CALIBRATION)
    observe(a, "left", 0.0, {1: feature(0)})
    assert gid(a, "left", 1) == 0
    events = a.finish()
    assert gid(a, "left", 1) > 0
    assert [e.kind for e in events] == ["new"]


def test_later_evidence_merges_identities_and_says_so():
    a = Associator(calibration=CALIBRATION)
    odd, _ = feature(5)
    plain, _ = feature(0)
    v = np.ones(1, np.float32)
    watch(a, {"left": {1: (plain, v)}, "right": {1: (odd, v)}}, seconds=1.0)
    first, second = gid(a, "left", 1), gid(a, "right", 1)
    assert first != second
    events = watch(a, {"right": {1: (plain, v)}}, start=1.0, seconds=6.0)
    assert gid(a, "left", 1) == gid(a, "right", 1)
    merges = [e for e in events if e.kind == "merge"]
    assert len(merges) == 1
    assert {merges[0].global_id, merges[0].other_id} == {first, second}
    assert [i.global_id for i in a.identities] == [merges[0].global_id]


def test_ids_never_repeat_and_memory_is_bounded():
    a = Associator(AssociationConfig(window=5.0, memory=20.0), CALIBRATION)
    seen = set()
    rng = np.random.default_rng(0)
    for person in range(60):
        code = np.asarray(rng.normal(size=(1, 16)), np.float32)
        code /= np.linalg.norm(code)
        watch(a, {"left": {person + 1: (code, np.ones(1, np.float32))}}, start=person * 10.0, seconds=1.0)
        seen.add(gid(a, "left", person + 1))
        assert len(a.identities) <= 4
        assert len(a.tracklets) <= 2
        assert len(a.links) <= 6
    assert len(seen) >= 40


def test_somebody_who_comes_back_within_the_memory_gets_the_old_id():
    config = AssociationConfig(window=5.0, memory=100.0)
    a = Associator(config, CALIBRATION)
    watch(a, {"left": {1: feature(0), 2: feature(1)}})
    old = gid(a, "left", 1)
    watch(a, {"left": {3: feature(9)}}, start=30.0)
    watch(a, {"right": {1: feature(0)}}, start=60.0)
    assert gid(a, "right", 1) == old


def test_the_order_of_cameras_within_one_time_does_not_matter():
    plan = {
        "left": {1: feature(0), 2: feature(1)},
        "right": {7: feature(1), 8: feature(0)},
        "top": {3: feature(2), 4: feature(0)},
    }
    groups = []
    for reverse in (False, True):
        a = Associator(calibration=CALIBRATION)
        for i in range(20):
            for camera in sorted(plan, reverse=reverse):
                observe(a, camera, i / 10, plan[camera])
        a.finish()
        groups.append({frozenset(i.members) for i in a.identities})
    assert groups[0] == groups[1]


def test_probability_is_the_sigmoid_of_the_mean_log_odds_of_one_in_so_many():
    a = Associator(AssociationConfig(interval=100.0), CALIBRATION)
    one, v = feature(0)
    two = np.zeros_like(one)
    two[0, 0], two[0, 1] = 0.8, 0.6
    for i in range(5):
        observe(a, "left", i / 10, {1: (one, v)})
        observe(a, "right", i / 10, {1: (two, v)})
    a.step(force=True)
    link = AssociationConfig().link
    looks = link.looks * (12 * 0.8 - 6) + link.common * 1.0 + link.other_camera
    assert a.link("left", 1)[1] == pytest.approx(
        1 / (1 + np.exp(-(looks + link.intercept + link.exclusion - np.log(2)))), abs=1e-4
    )


def test_wrong_input_is_named():
    a = Associator()
    tracks = Tracks(np.array([1]), np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="1 tracks but 2 rows"):
        a.observe("left", 0.0, tracks, PartFeatures.unseen(2), np.ones(2, np.float32))
