"""How the times of two tracks of one person relate, against the slow form of what the module says."""

import numpy as np
import pytest

from streamreid.association.time_relations import EVERY, RELATIONS, SurePairs, TimeRelations, relations

CAMERAS = ("hall", "yard", "door")


def relation_of(one, two):
    """The slow form: of two tracks (number of the camera, start, end)."""
    (camera, start, end), (other, begin, stop) = one, two
    together = min(end, stop) - max(start, begin)
    if together > 0:
        return 0 if together > 0.5 * max(min(end - start, stop - begin), 0.5) else 1
    gap = -together
    interval = sum(gap >= edge for edge in (2, 5, 10, 20, 40, 80, 160))
    lesser_first = (camera < other and start <= begin) or (other < camera and begin <= start)
    return 2 + 2 * interval + lesser_first


class Counts:
    """The slow form of ``TimeRelations`` for one window: what a relation of two tracks says."""

    def __init__(self, tracks, sure):
        number = {}
        for camera, *_ in tracks:
            number.setdefault(camera, len(number))
        self.tracks = [(number[camera], start, end) for camera, start, end in tracks]
        self.same, self.other, self.all = {}, {}, np.ones(RELATIONS)
        for i, one in enumerate(self.tracks):
            for j in range(i + 1, len(self.tracks)):
                two, p = self.tracks[j], sure.get((i, j), 0.0)
                if one[0] == two[0] and max(one[1], two[1]) <= min(one[2], two[2]):
                    continue
                relation, pair = relation_of(one, two), self.pair(i, j)
                self.same.setdefault(pair, np.zeros(RELATIONS))[relation] += p
                self.other.setdefault(pair, np.zeros(RELATIONS))[relation] += 1 - p
                self.all[relation] += 1 - p

    def pair(self, i, j):
        return tuple(sorted((self.tracks[i][0], self.tracks[j][0])))

    def log_odds(self, i, j):
        pair = self.pair(i, j)
        if pair not in self.same or not self.same[pair].any():
            return 0.0
        share = self.other[pair] + 20 * self.all / self.all.sum()
        share = share / share.sum()
        r = relation_of(self.tracks[i], self.tracks[j])
        said = np.log((self.same[pair][r] + 10 * share[r]) / (self.same[pair].sum() + 10)) - np.log(share[r])
        return float(np.clip(said, -4, 4))


def walkers(rng, people):
    """Everybody is seen by hall and yard at once, and by the door half a minute later."""
    tracks, who = [], []
    for person in range(people):
        start, stay = rng.uniform(0, 300), rng.uniform(3, 12)
        tracks += [
            ("hall", start, start + stay),
            ("yard", start + 1, start + stay + 1),
            ("door", start + stay + 27, start + stay + 33),
        ]
        who += [person] * 3
    return tracks, who


def surely(who, share, rng):
    n = len(who)
    return {
        (i, j): float(np.float32(rng.uniform(0.9, 1.0)))
        for i in range(n)
        for j in range(i + 1, n)
        if who[i] == who[j] and rng.uniform() < share
    }


def learnt(times, now, tracks, sure, first=0):
    keys = [(camera, first + number) for number, (camera, *_) in enumerate(tracks)]
    start, end = np.array([(a, b) for _, a, b in tracks]).T
    one, two = np.array(list(sure), int).reshape(-1, 2).T
    times.learn(now, keys, start, end, SurePairs(one, two, np.array(list(sure.values()), np.float32)))
    return keys, start, end


def test_relations_are_those_of_the_slow_form():
    rng = np.random.default_rng(1)
    camera = rng.integers(0, 3, (2, 500))
    start = rng.uniform(0, 100, (2, 500)).round(1)
    end = start + rng.uniform(0, 30, (2, 500)).round(1)
    found = relations((camera[0], start[0], end[0]), (camera[1], start[1], end[1]))
    tracks = [list(zip(camera[k].tolist(), start[k].tolist(), end[k].tolist(), strict=True)) for k in (0, 1)]
    assert found.tolist() == [relation_of(a, b) for a, b in zip(*tracks, strict=True)]
    assert found.min() >= 0
    assert found.max() < RELATIONS
    assert len(set(found.tolist())) > 8


def test_log_odds_are_those_of_the_slow_form():
    rng = np.random.default_rng(2)
    tracks, who = walkers(rng, 15)
    sure = surely(who, 0.6, rng)
    times = TimeRelations()
    keys, start, end = learnt(times, 300.0, tracks, sure)
    one, two = np.triu_indices(len(keys), 1)
    expected = Counts(tracks, sure)
    said = times.log_odds(keys, start, end, one, two)
    np.testing.assert_allclose(said, [expected.log_odds(i, j) for i, j in zip(one, two, strict=True)], atol=1e-5)
    assert times.most == pytest.approx(max(said), abs=1.0)
    assert times.most >= max(said) - 1e-6


def test_who_fits_the_ways_is_told_from_who_does_not():
    rng = np.random.default_rng(3)
    tracks, who = walkers(rng, 40)
    times = TimeRelations()
    learnt(times, 300.0, tracks, surely(who, 0.5, rng))
    others, person = walkers(np.random.default_rng(4), 40)
    keys = [(camera, number) for number, (camera, *_) in enumerate(others)]
    start, end = np.array([(a, b) for _, a, b in others]).T
    one, two = np.triu_indices(len(keys), 1)
    said = times.log_odds(keys, start, end, one, two)
    same = np.array(person)[one] == np.array(person)[two]
    assert said[same].min() > 1.0
    assert said[~same].mean() < -0.5


def test_it_says_nothing_before_anything_is_learnt_and_little_of_one_pair():
    times = TimeRelations()
    tracks, _who = walkers(np.random.default_rng(5), 6)
    keys, start, end = learnt(times, 0.0, tracks, {})
    one, two = np.triu_indices(len(keys), 1)
    assert not times.log_odds(keys, start, end, one, two).any()
    learnt(times, 10.0, tracks, {(0, 1): 1.0})
    assert 0 < times.most < 1.0


def test_what_left_the_window_is_remembered_once():
    rng = np.random.default_rng(6)
    tracks, who = walkers(rng, 12)
    sure = surely(who, 1.0, rng)
    whole, parts = TimeRelations(), TimeRelations()
    keys, start, end = learnt(whole, 300.0, tracks, sure)
    learnt(parts, 300.0, tracks, sure)
    learnt(parts, 310.0, tracks, sure)  # the same again is not more
    learnt(parts, 320.0, [("hall", 900.0, 901.0)], {}, first=len(tracks))  # all others left
    learnt(parts, 330.0, [("hall", 900.0, 901.0)], {}, first=len(tracks))
    one, two = np.triu_indices(len(keys), 1)
    there = whole.log_odds(keys, start, end, one, two)
    assert there.any()
    np.testing.assert_allclose(parts.log_odds(keys, start, end, one, two), there, atol=0.15)


def test_memory_does_not_grow_with_time():
    times, rng = TimeRelations(), np.random.default_rng(7)
    sizes = []
    for hour in range(40):
        tracks, who = walkers(rng, 30)
        learnt(times, 300.0 * hour, tracks, surely(who, 1.0, rng), first=1000 * hour)
        sizes.append(times._closed.nbytes)
    assert sizes[-1] == sizes[2]
    assert times._closed[0].sum(1).max() <= 500.0 + 1e-6


def test_it_is_due_every_few_seconds_and_when_clocks_went_back():
    times = TimeRelations()
    assert times.due(100.0)
    learnt(times, 100.0, [("hall", 0.0, 1.0)], {})
    assert not times.due(100.5)
    assert times.due(101.0)  # of a short recording it learns before it is over
    learnt(times, 140.0, [("hall", 0.0, 1.0)], {})
    assert not times.due(140.0 + EVERY - 1)
    assert times.due(140.0 + EVERY)
    assert times.due(50.0)
