"""People of an earlier run, and a person's corrections."""

import numpy as np
import pytest

from streamreid.association import Associator
from streamreid.config import AssociationConfig
from streamreid.features.similarity import Calibration
from streamreid.types import KnownIdentity, PartFeatures, Tracks

CALIBRATION = Calibration(slope=12.0, intercept=-6.0, source="test")


def code(*axes, dim=16):
    v = np.zeros((1, dim), np.float32)
    v[0, list(axes)] = 1
    return v / np.linalg.norm(v)


def watch(associator, plan, start=0.0, seconds=3.0):
    """plan: {camera: {track_id: parts [K, D]}} seen ten times a second."""
    events = []
    for i in range(int(seconds * 10)):
        for camera, people in sorted(plan.items()):
            ids = np.array(sorted(people), np.int64)
            parts = np.stack([people[t] for t in ids.tolist()])
            n = len(ids)
            tracks = Tracks(ids, np.zeros((n, 4), np.float32), np.ones(n, np.float32), np.arange(n))
            associator.observe(
                camera, start + i / 10, tracks, PartFeatures(parts, np.ones((n, 1), np.float32)), np.ones(n, np.float32)
            )
            events += associator.step()
    return events


def known(gid, parts, *, last_seen=0.0, cameras=("lobby",)):
    return KnownIdentity(
        gid,
        PartFeatures(parts[None], np.ones((1, 1), np.float32)),
        np.ones(1, np.float32),
        0.0,
        last_seen,
        frozenset(cameras),
    )


def test_somebody_of_an_earlier_run_keeps_the_id_and_new_ids_begin_after_it():
    a = Associator(calibration=CALIBRATION)
    a.admit([known(41, code(0)), known(7, code(3))])
    watch(a, {"left": {1: code(0), 2: code(1)}}, start=100.0)
    assert a.link("left", 1)[0] == 41
    assert a.link("left", 2)[0] == 42


def test_what_is_known_can_be_admitted_by_the_next_run():
    a = Associator(calibration=CALIBRATION)
    watch(a, {"left": {1: code(0), 2: code(1)}, "right": {1: code(0)}})
    memory = a.known()
    assert [k.global_id for k in memory] == [1, 2]
    assert memory[0].cameras == {"left", "right"}
    assert (memory[0].first_seen, memory[0].last_seen) == (0.0, pytest.approx(2.9, abs=0.5))
    assert memory[0].prototypes.parts[0, 0] == pytest.approx(code(0)[0], abs=1e-5)
    b = Associator(calibration=CALIBRATION)
    b.admit(memory)
    watch(b, {"top": {9: code(1)}}, start=50.0)
    assert b.link("top", 9)[0] == 2


def test_an_id_is_admitted_once():
    a = Associator(calibration=CALIBRATION)
    a.admit([known(4, code(0))])
    with pytest.raises(ValueError, match="identity 4 is known already"):
        a.admit([known(4, code(1))])


def test_said_to_be_the_same_and_said_to_be_different():
    a = Associator(AssociationConfig(), CALIBRATION)
    plan = {"left": {1: code(0), 2: code(1)}, "right": {1: code(0), 2: code(2)}}
    watch(a, plan)
    first, second, third = a.link("left", 1)[0], a.link("left", 2)[0], a.link("right", 2)[0]
    assert a.link("right", 1)[0] == first
    a.constrain(same=[(second, third)])
    events = watch(a, plan, start=3.0)
    assert a.link("left", 2)[0] == a.link("right", 2)[0]
    assert [e.kind for e in events if e.kind == "merge"] == ["merge"]


def test_different_people_stay_apart_however_alike():
    a = Associator(AssociationConfig(window=2.0), CALIBRATION)
    a.admit([known(1, code(0)), known(2, code(0, 1))])
    a.constrain(different=[(1, 2)])
    watch(a, {"left": {1: code(0)}, "right": {1: code(0, 1)}}, start=10.0, seconds=5)
    assert a.link("left", 1)[0] != a.link("right", 1)[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"same": [(1, 99)]}, "identity 99 is not known"),
        ({"different": [(1, 1)]}, "needs two identities"),
        ({"same": [(1, 2)], "different": [(2, 1)]}, "the same person and two different people"),
    ],
)
def test_impossible_corrections_are_refused(call, message):
    a = Associator(calibration=CALIBRATION)
    a.admit([known(1, code(0)), known(2, code(1))])
    with pytest.raises(ValueError, match=message):
        a.constrain(**call)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"global_id": 0}, "begin at 1"),
        ({"quality": np.ones(2, np.float32)}, "1 prototypes but quality"),
        ({"last_seen": -1.0}, "before it was first seen"),
    ],
)
def test_a_known_identity_says_what_is_wrong_with_it(change, message):
    right = {
        "global_id": 1,
        "prototypes": PartFeatures.unseen(1),
        "quality": np.ones(1, np.float32),
        "first_seen": 0.0,
        "last_seen": 1.0,
    }
    with pytest.raises(ValueError, match=message):
        KnownIdentity(**{**right, **change})


def test_who_is_forgotten_begins_anew_as_somebody_else():
    a = Associator(calibration=CALIBRATION)
    watch(a, {"left": {1: code(0), 2: code(1)}})
    a.constrain(different=[(1, 2)])
    a.forget([1, 77])
    assert [k.global_id for k in a.known()] == [2]
    assert a.link("left", 1) == (0, 0.0)
    watch(a, {"left": {1: code(0), 2: code(1)}}, start=3.0)
    assert (a.link("left", 1)[0], a.link("left", 2)[0]) == (3, 2)


def test_ids_can_be_drawn_from_a_common_source():
    a = Associator(calibration=CALIBRATION, new_id=iter([70, 20]).__next__)
    watch(a, {"left": {1: code(0), 2: code(1)}})
    assert sorted(i.global_id for i in a.identities) == [20, 70]
