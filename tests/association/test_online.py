"""Identities while they grow: confirmed, explained, bounded; and all at once at the end."""

from collections import Counter

import numpy as np
import pytest

from streamreid.association import Associator, CameraGraph
from streamreid.config import AssociationConfig, TopologyConfig
from streamreid.errors import EngineMismatchError
from streamreid.features.similarity import Calibration
from streamreid.types import KnownIdentity, PartFeatures, Tracks

CALIBRATION = Calibration(slope=12.0, intercept=-6.0, source="test")


def code(*axes, dim=16):
    v = np.zeros((1, dim), np.float32)
    v[0, list(axes)] = 1
    return v / np.linalg.norm(v)


def show(associator, camera, time, people):
    """people: {track_id: parts [K, D]}; the events of the step after it."""
    ids = np.array(sorted(people), np.int64)
    parts = np.stack([people[t] for t in ids.tolist()])
    n, k = parts.shape[:2]
    tracks = Tracks(ids, np.zeros((n, 4), np.float32), np.ones(n, np.float32), np.arange(n))
    associator.observe(camera, time, tracks, PartFeatures(parts, np.ones((n, k), np.float32)), np.ones(n, np.float32))
    return associator.step()


def watch(associator, plan, start=0.0, seconds=3.0):
    events = []
    for i in range(int(seconds * 10)):
        for camera, people in sorted(plan.items()):
            events += show(associator, camera, start + i / 10, people)
    return events


def groups(associator):
    return {frozenset(i.members) for i in associator.identities}


def test_an_identity_is_confirmed_once_and_only_when_it_was_seen_well():
    a = Associator(AssociationConfig(confirm_seconds=1.0, confirm_observations=8), CALIBRATION)
    events = watch(a, {"left": {1: code(0)}}, seconds=0.7)
    assert "confirm" not in [e.kind for e in events]
    assert a.known() == []
    events = watch(a, {"left": {1: code(0)}}, start=0.7, seconds=3.0)
    confirmed = [e for e in events if e.kind == "confirm"]
    assert [e.global_id for e in confirmed] == [1]
    assert confirmed[0].reasons["observations"] >= 8
    assert [k.global_id for k in a.known()] == [1]


def test_events_say_why():
    a = Associator(calibration=CALIBRATION, parts=("whole",))
    events = watch(a, {"left": {1: code(0)}})
    events += watch(a, {"right": {5: code(0)}}, start=3.0)
    link = next(e for e in events if e.kind == "link" and e.camera == "right")
    assert link.reasons["looks"] == pytest.approx(6.0 * AssociationConfig().link.looks, abs=0.1)
    assert link.reasons["part whole"] == pytest.approx(1.0, abs=1e-3)
    assert "crowd" in link.reasons or link.reasons["prior"] > 0
    new = next(e for e in events if e.kind == "new")
    assert new.reasons == {}


def test_a_graph_without_a_way_keeps_people_apart():
    plan = {"left": {1: code(0)}}, {"right": {1: code(0)}}
    for ways, same in (
        ([{"from": "left", "to": "right", "min": 1, "max": 9}], True),
        ([{"from": "left", "to": "right", "min": 30}], False),
    ):
        graph = CameraGraph(TopologyConfig.model_validate({"transits": ways}))
        a = Associator(calibration=CALIBRATION, graph=graph)
        watch(a, plan[0])
        watch(a, plan[1], start=6.0)
        assert (a.link("left", 1)[0] == a.link("right", 1)[0]) is same


class Ground:
    """A place seam that knows which tracks walked together."""

    def __init__(self, together):
        self.together, self.seen, self.gone = together, [], set()

    def observe_tracks(self, camera, time, tracks, size):
        self.seen.append((camera, time, size))

    def log_odds(self, a, b):
        value = [[0.0 if x == y else 9.0 if {x, y} in self.together else -30.0 for y in b] for x in a]
        return np.array(value, np.float32).reshape(len(a), len(b))

    def forget(self, tracks):
        self.gone |= set(tracks)


def test_places_decide_where_looks_do_not():
    ground = Ground([{("left", 1), ("right", 2)}, {("left", 2), ("right", 1)}])
    a = Associator(AssociationConfig(window=5.0), CALIBRATION, place=ground)
    nothing = np.zeros((1, 16), np.float32)
    for i in range(30):
        for camera in ("left", "right"):
            tracks = Tracks(np.array([1, 2]), np.zeros((2, 4), np.float32), np.ones(2, np.float32), np.arange(2))
            looks = PartFeatures(np.stack([nothing, nothing]), np.zeros((2, 1), np.float32))
            a.observe(camera, i / 10, tracks, looks, np.ones(2, np.float32), (640, 480))
            a.step()
    assert groups(a) == {frozenset({("left", 1), ("right", 2)}), frozenset({("left", 2), ("right", 1)})}
    assert ground.seen[0] == ("left", 0.0, (640, 480))
    watch(a, {"top": {9: code(3)}}, start=20.0)
    assert ("left", 1) in ground.gone


class Walkers:
    """A place seam that knows whom each track is of; tracks must have met to be told apart or together."""

    def __init__(self):
        self.spans = {}

    def observe_tracks(self, camera, time, tracks, size):
        for track in tracks.ids.tolist():
            first, _ = self.spans.get((camera, track), (time, time))
            self.spans[camera, track] = first, time

    def _odds(self, one, two):
        if one == two or one not in self.spans or two not in self.spans:
            return 0.0
        met = max(self.spans[one][0], self.spans[two][0]) <= min(self.spans[one][1], self.spans[two][1])
        return (9.0 if one[1] // 1000 == two[1] // 1000 else -30.0) if met else 0.0

    def log_odds(self, a, b):
        return np.array([[self._odds(x, y) for y in b] for x in a], np.float32).reshape(len(a), len(b))

    def forget(self, tracks):
        for key in tracks:
            del self.spans[key]


@pytest.mark.parametrize("limit", [{"window": 10.0}, {"max_tracks": 16}], ids=str)
def test_whoever_is_always_in_view_keeps_the_id_when_old_tracks_leave_the_window(limit):
    """Three people whom two cameras see for two minutes, without looks; a track breaks in one at a time."""
    a = Associator(AssociationConfig(**limit), CALIBRATION, place=Walkers())
    nothing = PartFeatures(np.zeros((3, 1, 16), np.float32), np.zeros((3, 1), np.float32))
    seen = Counter()
    for step in range(240):
        for camera, lasts in (("left", 7.0), ("right", 9.5)):
            ids = np.array([1000 * person + int((step / 2 + 2 * person) // lasts) + 1 for person in range(3)])
            tracks = Tracks(ids, np.zeros((3, 4), np.float32), np.ones(3, np.float32), np.arange(3))
            a.observe(camera, step / 2, tracks, nothing, np.ones(3, np.float32), (640, 480))
            a.step()
            seen.update((camera, track) for track in ids.tolist())
    assert len(a.tracklets) < 40
    known = [key for key, count in seen.items() if count > 3]
    owners = [{a.link(*key)[0] for key in known if key[1] // 1000 == person} for person in range(3)]
    assert [len(ids) for ids in owners] == [1, 1, 1]
    assert len(set.union(*owners)) == 3


def test_work_is_bounded_by_max_tracks_and_people_keep_their_ids():
    a = Associator(AssociationConfig(max_tracks=6, window=1000.0, memory=5000.0), CALIBRATION)
    codes = [code(i, (i + 5) % 16) for i in range(16)]
    first = {}
    for round_ in range(2):
        for person in range(16):
            track = 100 * round_ + person + 1
            watch(a, {"left": {track: codes[person]}}, start=200.0 * round_ + 10 * person, seconds=1.0)
            first.setdefault(person, a.link("left", track)[0])
            assert a.link("left", track)[0] == first[person]
            assert len(a.tracklets) <= 8
    assert len(set(first.values())) == 16


def test_the_longest_unseen_are_forgotten_first():
    a = Associator(AssociationConfig(window=1.0, memory=1e6, max_identities=5), CALIBRATION)
    events = []
    for person in range(12):
        events += watch(a, {"left": {person + 1: code(person)}}, start=10.0 * person, seconds=1.0)
    expired = [e.global_id for e in events if e.kind == "expire"]
    assert expired == sorted(expired)
    assert 5 <= len(expired) <= 7
    assert len(a.identities) <= 7


def test_a_clock_that_is_set_back_is_noticed_and_survived(caplog):
    a = Associator(AssociationConfig(window=30.0), CALIBRATION)
    watch(a, {"left": {1: code(0)}, "right": {1: code(1)}}, start=5000.0)
    watch(a, {"right": {1: code(1)}}, start=5003.0)
    watch(a, {"left": {2: code(0)}}, start=1000.0)
    assert "camera 'left': its clock went back by 4002.9 s" in caplog.text
    assert caplog.text.count("its clock went back") == 1
    assert a.link("left", 2)[0] == a.link("left", 1)[0]
    assert a.link("right", 1)[0] != a.link("left", 1)[0]


def test_a_clock_that_leaps_ahead_costs_the_others_nothing(caplog):
    a = Associator(AssociationConfig(window=30.0, memory=600.0), CALIBRATION)
    watch(a, {"left": {1: code(0)}, "right": {1: code(1)}})
    before = a.link("right", 1)[0]
    events = watch(a, {"left": {2: code(0)}}, start=9000.0, seconds=0.1)
    for i in range(30):
        events += show(a, "right", 3.0 + i / 10, {1: code(1)})
        events += show(a, "left", 9000.1 + i / 10, {2: code(0)})
    assert "camera 'left': its clock leapt ahead by 8997.1 s" in caplog.text
    assert a.link("left", 2)[0] == a.link("left", 1)[0]
    assert a.link("right", 1)[0] == before
    assert not [e for e in events if e.kind == "expire"]


def test_overlapping_ids_and_other_engines_are_refused():
    a = Associator(calibration=CALIBRATION)
    twice = Tracks(np.array([3, 3]), np.zeros((2, 4), np.float32), np.ones(2, np.float32), np.arange(2))
    with pytest.raises(ValueError, match=r"camera .left. at 1\.000 s: a track is reported twice"):
        a.observe("left", 1.0, twice, PartFeatures.unseen(2), np.ones(2, np.float32))
    watch(a, {"left": {1: code(0)}})
    other = KnownIdentity(
        9, PartFeatures(np.ones((1, 2, 3), np.float32), np.ones((1, 2), np.float32)), np.ones(1, np.float32), 0.0, 1.0
    )
    with pytest.raises(EngineMismatchError, match="1 parts of 16 values, the new features have 2 of 3"):
        a.admit([other])
    assert a.link("left", 1)[0] == 1


def test_results_do_not_depend_on_the_order_of_cameras_or_on_chance():
    rng = np.random.default_rng(0)
    looks = rng.normal(size=(8, 1, 16)).astype(np.float32)
    looks /= np.linalg.norm(looks, axis=2, keepdims=True)
    found = []
    for reverse in (False, True, False):
        a = Associator(calibration=CALIBRATION)
        for i in range(40):
            for camera in sorted(("a", "b", "c"), reverse=reverse):
                noise = np.random.default_rng([i, ord(camera)]).normal(0, 0.05, (4, 1, 16)).astype(np.float32)
                people = {t + 1: looks[(t + 2 * "abc".index(camera)) % 8] + noise[t] for t in range(4)}
                people = {t: p / np.linalg.norm(p) for t, p in people.items()}
                ids = np.array(sorted(people), np.int64)
                tracks = Tracks(ids, np.zeros((4, 4), np.float32), np.ones(4, np.float32), np.arange(4))
                a.observe(
                    camera,
                    i / 10,
                    tracks,
                    PartFeatures(np.stack([people[t] for t in ids]), np.ones((4, 1), np.float32)),
                    np.ones(4, np.float32),
                )
            a.step()
        a.finish()
        found.append(a.links)
    assert found[0] == found[2]
    assert {frozenset(k for k, v in found[0].items() if v[0] == g) for g in {v[0] for v in found[0].values()}} == {
        frozenset(k for k, v in found[1].items() if v[0] == g) for g in {v[0] for v in found[1].values()}
    }


def hard_scene(offline):
    """Somebody who looks like two others at first; only all evidence together tells whose track is whose."""
    a = Associator(AssociationConfig(window=4.0, offline=offline, interval=0.3), CALIBRATION, keep_all=offline)
    events = watch(a, {"left": {1: code(0, 1)}}, seconds=0.6)
    events += watch(a, {"left": {1: code(0)}}, start=0.6, seconds=3.0)
    events += watch(a, {"right": {1: code(0, 1)}, "top": {1: code(1)}}, start=20.0, seconds=2.0)
    events += watch(a, {"right": {2: code(1)}}, start=40.0, seconds=2.0)
    events += watch(a, {"left": {3: code(0)}, "top": {2: code(1)}}, start=60.0, seconds=2.0)
    return a, events + a.finish()


def test_at_the_end_everything_is_decided_with_everything_known():
    online, _ = hard_scene(False)
    offline, events = hard_scene(True)
    assert set(offline.links) == set(online.links)
    assert len(groups(offline)) <= len(groups(online))
    # Who follows the events ends up where the links are.
    believed = {}
    for event in events:
        if event.track_id:
            believed[event.camera, event.track_id] = event.global_id
    merged = {e.other_id: e.global_id for e in events if e.kind == "merge"}

    def now(gid):
        while gid in merged:
            gid = merged[gid]
        return gid

    assert {k: now(g) for k, g in believed.items()} == {k: g for k, (g, _) in offline.links.items()}
    assert all(len({c for c, _ in i.members}) >= 1 for i in offline.identities)


def test_offline_keeps_admitted_people_and_corrections():
    a = Associator(AssociationConfig(offline=True, window=2.0), CALIBRATION, keep_all=True)
    a.admit(
        [
            KnownIdentity(
                50,
                PartFeatures(code(0)[None], np.ones((1, 1), np.float32)),
                np.ones(1, np.float32),
                0.0,
                0.0,
                frozenset(["x"]),
            )
        ]
    )
    watch(a, {"left": {1: code(0), 2: code(3)}}, start=10.0)
    watch(a, {"right": {1: code(3)}}, start=20.0)
    assert a.link("right", 1)[0] == a.link("left", 2)[0]
    a.finish()
    assert a.link("left", 1)[0] == 50
    assert a.link("right", 1)[0] == a.link("left", 2)[0] == 51


def test_motion_only_gives_everybody_an_identity_of_their_own():
    a = Associator(AssociationConfig(offline=True), CALIBRATION, keep_all=True)
    for i in range(20):
        tracks = Tracks(np.array([1, 2]), np.zeros((2, 4), np.float32), np.ones(2, np.float32), np.arange(2))
        a.observe("left", i / 10, tracks, PartFeatures.unseen(2), np.ones(2, np.float32))
        a.step()
    a.finish()
    assert len(groups(a)) == 2
    assert a.known() == []


def test_too_many_tracks_are_joined_by_identity(monkeypatch):
    monkeypatch.setattr("streamreid.association.offline_clustering._MOST", 4)
    a = Associator(AssociationConfig(offline=True, window=2.0, interval=0.3), CALIBRATION, keep_all=True)
    for visit in range(4):
        watch(a, {"left": {2 * visit + 1: code(0), 2 * visit + 2: code(1)}}, start=10.0 * visit, seconds=1.0)
    before = groups(a)
    a.finish()
    assert groups(a) == before
    assert sorted(len(g) for g in before) == [4, 4]
