"""Only pairs that can matter are weighed, and the decision is that of weighing all pairs."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import brentq

from streamreid.association import Associator, CameraGraph, associator
from streamreid.association.agglomerative_clustering import agglomerate
from streamreid.association.link_intercept import LIMIT, PRIOR
from streamreid.association.link_model import link_log_odds
from streamreid.association.online_clustering import Decision, OnlineClustering, owners
from streamreid.association.pair_graph import LinkBound
from streamreid.association.time_relations import SurePairs
from streamreid.association.track_graph import believe, membership
from streamreid.association.track_similarity import Comparison
from streamreid.config import AssociationConfig, TopologyConfig
from streamreid.config.association import LinkConfig
from streamreid.features.similarity import Calibration
from streamreid.types import PartFeatures, Tracks

CALIBRATION = Calibration(slope=12.0, intercept=-6.0)
CAMERAS = ("hall", "yard", "door", "stairs")
WAYS = {
    "overlap": [["hall", "yard"]],
    "transits": [{"from": "yard", "to": "door", "min": 0.5, "max": 6}, {"from": "door", "to": "stairs", "max": 3}],
    "closed": False,
}


class EveryPair(OnlineClustering):
    """The reference: dense arrays of all nodes with all nodes."""

    def decide(self, tracks, book):
        found = self._nodes(tracks, book)
        keys, past = found.keys, found.past
        nodes = [tracks[k] for k in keys] + [book.people[g].past for g in past]
        similarity, common = np.zeros((2, len(keys), len(nodes)), np.float32)
        similarity[:, : len(keys)], common[:, : len(keys)] = self._pairs.select(keys)
        for row, key in enumerate(keys):
            for gid, value in self._older.near.get(key, {}).items():
                if gid in past:
                    column = len(keys) + past.index(gid)
                    similarity[row, column], common[row, column] = value
        place = self.all_pairs.by_place(keys, len(nodes))
        for row, key in enumerate(keys):
            for gid, said in found.held.places.get(key, {}).items():
                if gid in past:
                    place[row, len(keys) + past.index(gid)] = said
        one, two = np.divmod(np.arange(len(keys) * len(nodes)), len(nodes))
        level = np.zeros((len(nodes), 2), np.float32)
        level[: len(keys)] = found.levels
        apart = np.array([[i != j and not shared(a, b) for j, b in enumerate(nodes)] for i, a in enumerate(nodes)], int)
        less = -CALIBRATION.slope / 2 * (level[one, apart[one, two]] + level[two, apart[one, two]])
        times = np.zeros((len(keys), len(nodes)), np.float32)
        square = np.divmod(np.arange(len(keys) ** 2), max(len(keys), 1))
        times[:, : len(keys)] = self.times.log_odds(keys, *found.spans, *square).reshape(len(keys), -1)
        for row, key in enumerate(keys if self.times.most > 0 else ()):
            for gid, said in found.held.times.get(key, {}).items():
                if gid in past:
                    times[row, len(keys) + past.index(gid)] = said
        graph = self.all_pairs.weigh(
            keys,
            past,
            nodes,
            Comparison(similarity, common, None),
            place,
            crowd=found.crowd,
            strangers=less.reshape(times.shape),
            times=times,
        )
        graph.before[:] = found.before
        believe(graph, book)
        np.fill_diagonal(graph.forbidden, False)
        p = min(max(self.config.probability, 1e-6), 1 - 1e-6)
        labels = agglomerate(graph.log_odds, graph.weight, graph.forbidden, threshold=float(np.log(p / (1 - p))))
        probability, owner = membership(labels, graph), owners(labels, graph, tracks)
        self._learn(found, graph, labels)
        self._learn_how_probable(found, graph, labels)
        dense = SimpleNamespace(find=lambda a, b: (len(nodes) * a + b, a >= 0), terms={"times": times.ravel()})
        self._held.decided(dense)
        links = [(k, owner.get(int(labels[i]), 0), float(probability[i])) for i, k in enumerate(keys)]
        row = {k: i for i, k in enumerate(keys)}
        return Decision(
            links,
            {k: int(labels[i]) for k, i in row.items()},
            lambda key: self.reasons(graph, labels, row[key], tracks, book),
        )

    def _learn(self, found, graph, labels):
        now = max((e for e in found.spans[1]), default=-np.inf)
        if not self.times.due(now):
            return
        looks = (
            graph.log_odds[: len(found.keys), : len(found.keys)]
            - self.config.link.times * graph.terms["times"][:, : len(found.keys)]
        )
        sure = [
            (i, j, 1 / (1 + np.exp(-min(looks[i, j], 30))))
            for i in range(len(found.keys))
            for j in range(i + 1, len(found.keys))
            if looks[i, j] >= 2 and labels[i] == labels[j] and not graph.forbidden[i, j]
        ]
        one, two, p = np.array(sure, float).reshape(-1, 3).T
        self.times.learn(now, found.keys, *found.spans, SurePairs(one.astype(int), two.astype(int), p))

    def _learn_how_probable(self, found, graph, labels):
        count = len(found.keys)
        if self.intercept is None or count < 2 or not self.intercept.due(max(found.spans[1])):
            return
        log_odds = link_log_odds(self.config.link, graph.terms)
        pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
        pairs = [(i, j) for i, j in pairs if graph.terms["common"][i, j] > 0 and not graph.forbidden[i, j]]
        said = np.array([log_odds[i, j] for i, j in pairs], float)
        linked = sum(labels[i] == labels[j] for i, j in pairs)
        expected = (linked * len(pairs) / max(found.crowd[0], 1)) ** 0.5
        if len(pairs):
            change = brentq(lambda d: np.sum(1 / (1 + np.exp(-said - d))) + PRIOR * d - expected, -9, 99)
            self.intercept.change = float(np.clip(change, 0, LIMIT))


def shared(a, b):
    return bool({p.camera for p in a.presence} & {p.camera for p in b.presence})


@cache
def pair_by_place(one, two):
    return np.random.default_rng([CAMERAS.index(one[0]), CAMERAS.index(two[0]), one[1], two[1]]).normal(0, 4)


class Ground:
    """Places that say something about every pair of tracks, the same whenever it is asked."""

    def observe_tracks(self, camera, time, tracks, size):
        pass

    def log_odds(self, a, b):
        return np.array([[pair_by_place(*sorted((x, y))) for y in b] for x in a], np.float32).reshape(len(a), len(b))

    def forget(self, tracks):
        pass


def play(config, seed, *, topology=None, place=None, corrections=False, seconds=40):
    """People who look a little alike come and go: everything that was decided."""
    graph = CameraGraph(TopologyConfig.model_validate(topology)) if topology else None
    a = Associator(config, CALIBRATION, graph=graph, place=place)
    rng = np.random.default_rng(seed)
    looks = rng.normal(size=(9, 3, 10)) + 0.8
    shown, number, decided = {}, 0, []
    for step in range(seconds * 4):
        for camera in CAMERAS:
            here = {t: p for t, p in shown.get(camera, {}).items() if rng.random() > 0.03}
            if rng.random() < 0.15 and len(here) < 4:
                number += 1
                here[number] = int(rng.integers(9))
            shown[camera] = here
            if not here:
                continue
            parts = looks[list(here.values())] + rng.normal(0, 0.5, (len(here), 3, 10))
            parts = (parts / np.linalg.norm(parts, axis=2, keepdims=True)).astype(np.float32)
            visibility = (rng.uniform(0, 1, (len(here), 3)) * (rng.random((len(here), 1)) < 0.4)).astype(np.float32)
            one = np.ones(len(here), np.float32)
            tracks = Tracks(np.array(list(here)), np.zeros((len(here), 4), np.float32), one, np.arange(len(here)))
            a.observe(camera, step / 4, tracks, PartFeatures(parts, visibility), one, (640, 480))
        decided += a.step()
        if corrections and step in (60, 90):
            first, second, third, *_ = sorted(i.global_id for i in a.identities)
            a.constrain(same=[(first, second)] if step == 60 else [], different=[(first, third)] if step == 90 else [])
    decided += a.finish()
    return decided, dict(a.links)


CASES = {
    "plain": (AssociationConfig(window=8.0), {}),
    "all in the window": (AssociationConfig(), {}),
    "every term": (
        AssociationConfig(
            window=8.0,
            link=LinkConfig(looks_common=-0.4, looks_crops=0.3, common=-1.0, crops=0.4, quality=0.5, gap=-0.2),
        ),
        {},
    ),
    "low threshold": (AssociationConfig(window=8.0, probability=0.05), {}),
    "high threshold": (AssociationConfig(window=8.0, probability=0.9), {}),
    "camera graph": (AssociationConfig(window=8.0), {"topology": WAYS}),
    "closed camera graph": (AssociationConfig(window=8.0), {"topology": WAYS | {"closed": True}}),
    "places": (AssociationConfig(window=8.0), {"place": Ground()}),
    "corrections": (AssociationConfig(window=8.0), {"corrections": True}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_decision_is_that_of_weighing_every_pair(case, monkeypatch):
    config, more = CASES[case]
    events, links = play(config, 3, **more)
    monkeypatch.setattr(associator, "OnlineClustering", EveryPair)
    expected_events, expected_links = play(config, 3, **more)
    assert {k: g for k, (g, _) in links.items()} == {k: g for k, (g, _) in expected_links.items()}
    assert [p for _, p in links.values()] == pytest.approx([p for _, p in expected_links.values()], abs=1e-5)
    kinds = {e.kind for e in events}
    assert {"new", "link", "merge"} <= kinds

    def plain(found):
        return [(e.kind, e.time, e.global_id, e.camera, e.track_id, e.other_id, e.members) for e in found]

    assert plain(events) == plain(expected_events)
    for event, expected in zip(events, expected_events, strict=True):
        assert event.probability == pytest.approx(expected.probability, abs=1e-5)
        assert event.reasons == pytest.approx(expected.reasons, abs=1e-4)


def test_pairs_that_cannot_reach_the_threshold_are_not_weighed():
    """Thirty times as many people who look like nobody else: about thirty times the pairs, not nine hundred times."""
    weighed = {}
    for cameras in (2, 60):
        a = Associator(calibration=Calibration(slope=20.0, intercept=-8.0))
        rng = np.random.default_rng(0)
        looks = rng.normal(size=(cameras * 5, 1, 128))
        looks = (looks / np.linalg.norm(looks, axis=2, keepdims=True)).astype(np.float32)
        one = np.ones(5, np.float32)
        most = 0
        for step in range(12):
            for camera in range(cameras):
                # After a second everybody is in the next camera.
                who = (5 * (camera + step // 6) + np.arange(5)) % len(looks)
                tracks = Tracks(10 * (step // 6) + np.arange(1, 6), np.zeros((5, 4), np.float32), one, np.arange(5))
                features = PartFeatures(looks[who], np.ones((5, 1), np.float32))
                a.observe(f"c{camera}", 0.2 * step, tracks, features, one)
            a.step(force=True)
            most = max(most, a._grouping.weighed)
        assert a.people == len(looks)
        weighed[cameras] = most
    assert 10 <= weighed[2] <= 60
    assert weighed[60] <= 1.5 * 30 * weighed[2]


@pytest.mark.parametrize("seed", range(20))
def test_no_pair_that_reaches_the_threshold_is_below_the_bound(seed):
    rng = np.random.default_rng(seed)
    names = ("looks_common", "looks_crops", "common", "crops", "quality", "gap", "other_camera")
    weights = {name: float(rng.normal()) for name in names}
    link = LinkConfig(looks=float(rng.uniform(0, 2)), crowd=-float(rng.uniform(0, 1)), **weights)
    crowd, seconds, threshold = float(rng.uniform(1, 300)), float(rng.uniform(0, 400)), float(rng.normal(0, 2))
    bound = LinkBound.of(link, crowd=crowd, seconds=seconds)
    calibration = Calibration(slope=float(rng.uniform(5, 30)), intercept=float(rng.uniform(-12, 0)))
    least = bound.least_similarity(calibration, threshold)
    for _ in range(500):
        similarity, common, reliable, quality = rng.uniform(-1, 1), *rng.uniform(0.01, 1, 3)
        looks = np.clip(calibration.slope * similarity + calibration.intercept, -12, 12)
        total = link.intercept + link.exclusion + link.crowd * np.log(crowd)
        total += looks * (link.looks + link.looks_common * common + link.looks_crops * reliable)
        total += link.common * common + link.crops * reliable + link.quality * quality
        total += link.gap * np.log1p(rng.uniform(0, seconds)) + link.other_camera * rng.integers(2)
        if total >= threshold:
            assert similarity >= least
            assert bound.at_most(np.float32(looks), np.float32(common)) >= threshold - 0.01


def test_what_the_offline_path_adds_to_looks_is_what_the_online_one_adds(monkeypatch):
    decided = {}

    class Kept(OnlineClustering):
        def decide(self, tracks, book):
            decided.update(grouping=self, tracks=tracks, book=book)
            return super().decide(tracks, book)

    monkeypatch.setattr(associator, "OnlineClustering", Kept)
    play(AssociationConfig(window=8.0), 3)
    grouping, tracks, book = decided["grouping"], decided["tracks"], decided["book"]
    for _ in range(10):  # until every track has had its turn
        found = grouping._nodes(tracks, book)
    keys, past, count = found.keys, found.past, len(found)
    assert past
    similarity, common = np.zeros((2, len(keys), count), np.float32)
    similarity[:, : len(keys)], common[:, : len(keys)] = grouping._pairs.select(keys)
    nodes = [tracks[k] for k in keys] + [book.people[g].past for g in past]
    strangers, times = grouping.all_pairs.beside_looks(keys, nodes, Comparison(similarity, common, None), found.before)
    one, two = np.triu_indices(count, 1)
    one, two = one[one < len(keys)], two[one < len(keys)]
    seen = found._likeness(one * count + two, one, two)[1] > 0  # of others nothing is said
    one, two = one[seen], two[seen]
    assert (two >= len(keys)).any()
    terms = found.weigh(one * count + two).terms
    held = np.zeros((len(keys), count), bool)  # what tracks that are gone left behind: the offline path has them all
    for key, known in found.held.times.items():
        held[keys.index(key), [len(keys) + past.index(gid) for gid in known if gid in past]] = True
    assert held.any()
    terms["times"][held[one, two]] = 0.0
    for mine, name in ((strangers, "strangers"), (times, "times")):
        assert np.abs(terms[name]).max() > 0.1
        np.testing.assert_allclose(mine[one, two], terms[name], atol=1e-5, err_msg=name)
