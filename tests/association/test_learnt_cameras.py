"""What a run learnt of how its cameras relate: kept as text, a run that goes on begins with the same."""

import json
from dataclasses import replace

import numpy as np
import pytest

from streamreid.association import Associator
from streamreid.association.learnt_cameras import LearntCameras
from streamreid.association.learnt_places import LearntPlaces
from streamreid.association.time_relations import BEGIN, RELATIONS, KnownRelations, TimeRelations
from streamreid.errors import DataError
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.pipeline.kept_learning import LEARNT, begin_with, read_learnt, write_learnt
from streamreid.types import Tracks
from tests.association.test_learnt_places import seen
from tests.association.test_time_relations import learnt as learn
from tests.association.test_time_relations import surely, walkers

ENGINE = EngineDescription("colours", "f1")


def a_run(seed=0, people=20):
    """Times that a run learnt of three cameras, numbered yard, door, hall."""
    rng = np.random.default_rng(seed)
    tracks, who = walkers(rng, people)
    tracks, who = tracks[1:] + tracks[:1], who[1:] + who[:1]
    times = TimeRelations()
    return times, *learn(times, 300.0, tracks, surely(who, 0.7, rng))


def kept(times, places=None):
    return LearntCameras.from_json(LearntCameras.of("f1", times, places).to_json())


def test_what_is_restored_says_the_same_to_the_last_digit():
    times, keys, start, end = a_run()
    again = TimeRelations()
    kept(times).begin(again, None)
    one, two = np.triu_indices(len(keys), 1)
    said = times.log_odds(keys, start, end, one, two)
    assert np.abs(said).max() > 1.0
    np.testing.assert_array_equal(again.log_odds(keys, start, end, one, two), said)
    assert again.most == times.most
    assert LearntCameras.of("f1", again, None).to_json() == LearntCameras.of("f1", times, None).to_json()


def test_what_is_restored_of_places_is_the_same():
    places, keys, _ = seen()
    row = np.arange(8)
    times = TimeRelations(places)
    for first in (0, 100):  # twice as many, so that it is worth keeping
        there = [(camera, number + first) for camera, number in keys]
        if first:
            places._slot = {(camera, number + first): slot for (camera, number), slot in places._slot.items()}
        times.learn(10.0 + first, there, np.zeros(16), np.full(16, 10.0), _sure(row))
    again, tracks, _ = seen(seed=5)
    kept(times, places).begin(TimeRelations(again), again)
    assert again.known
    np.testing.assert_array_equal(again.known_places().onto["hall", "yard"], places.known_places().onto["hall", "yard"])
    assert again.distances(tracks, row, row + 8).max() < 0.2  # of other people


def _sure(row):
    from streamreid.association.time_relations import SurePairs

    return SurePairs(row, row + 8, np.ones(len(row), np.float32))


def test_who_came_first_is_kept_whatever_the_numbers_of_the_cameras():
    counts = np.zeros((2, RELATIONS))
    counts[0, 3], counts[1, 2] = 40.0, 40.0  # always from the first camera to the second one, others never
    there = KnownRelations(("hall", "yard"), {("hall", "yard"): counts})
    times = TimeRelations()
    times.begin(replace(there, cameras=("yard", "hall")))
    keys = [("hall", 1), ("yard", 2), ("hall", 3)]
    start, end = np.array([0.0, 5.0, 10.0]), np.array([4.0, 9.0, 14.0])
    forth, back = times.log_odds(keys, start, end, np.array([0, 1]), np.array([1, 2])).tolist()
    assert forth > 1.0
    assert back < -1.0


def test_what_two_runs_know_is_put_together():
    times, *_ = a_run()
    mine = kept(times).only(["hall", "yard"])
    theirs = kept(a_run(seed=1)[0])
    both = LearntCameras.from_json(mine.beside(theirs).to_json())
    assert {frozenset(p) for p in both.relations.pairs} == {frozenset(p) for p in theirs.relations.pairs}
    for pair in mine.relations.pairs:
        np.testing.assert_array_equal(both.relations.pairs[pair], mine.relations.pairs[pair])
    assert mine.beside(replace(theirs, engine="f2")) is mine


def test_little_of_one_person_is_kept_and_much_counts_for_less():
    times = TimeRelations()
    tracks, who = walkers(np.random.default_rng(3), 4)
    learn(times, 300.0, tracks, surely(who, 1.0, np.random.default_rng(3)))
    assert not LearntCameras.of("f1", times, None)
    counts = np.full((2, RELATIONS), 100.0)
    times.begin(KnownRelations(("a", "b"), {("a", "b"): counts}))
    assert times.known().pairs["a", "b"][0].sum() == pytest.approx(BEGIN)
    counts = {(f"c{i:02}", f"c{j:02}"): np.full((2, RELATIONS), 1.0 + i) for i in range(60) for j in range(i)}
    many = TimeRelations()
    many.begin(KnownRelations(tuple(f"c{i:02}" for i in range(60)), counts))
    assert len(LearntCameras.of("f1", many, None).relations.pairs) == 1000


def test_pictures_of_another_size_map_elsewhere():
    places, keys, _ = seen()
    row = np.arange(8)
    places.learn(keys, row, row + 8)
    box = Tracks(np.array([1]), np.array([[1, 2, 30, 90]], np.float32), np.ones(1, np.float32), np.zeros(1, int))
    places.observe("hall", 20.0, box, (640, 480))
    assert places.known
    again = LearntPlaces()
    again.begin(places.known_places())
    assert again.known
    again.observe("hall", 21.0, box, (640, 480))
    assert again.known
    again.observe("hall", 22.0, box, (1280, 720))
    assert not again.known


def test_another_engine_or_camera_is_left_out_and_said(caplog):
    caplog.set_level("INFO")
    associator = Associator()
    learnt = kept(a_run()[0])
    begin_with(associator, learnt, EngineDescription("other", "f2"), ["hall", "yard", "door"])
    assert "another engine than 'other'" in caplog.text
    assert not associator.learnt("f1")
    begin_with(associator, learnt, ENGINE, ["hall", "yard", "new"])
    assert caplog.records[-1].getMessage().endswith("left out: door")
    assert associator.learnt("f1").cameras == {"hall", "yard"}


@pytest.mark.parametrize("damage", ["cut", "numbers", "version", "negative", "binary"])
def test_a_damaged_file_is_said_and_the_run_begins_anew(tmp_path, caplog, damage):
    assert read_learnt(tmp_path) is None
    write_learnt(tmp_path, LearntCameras("f1"))
    assert not (tmp_path / LEARNT).exists()  # nothing is known
    write_learnt(tmp_path, kept(a_run()[0]))
    assert read_learnt(tmp_path).cameras == {"hall", "yard", "door"}
    assert not caplog.records
    path = tmp_path / LEARNT
    data = json.loads(path.read_text())
    if damage == "numbers":
        data["pairs"][0]["one_person"].pop()
    elif damage == "version":
        data["schema"] = 9
    elif damage == "negative":
        data["shares"][0] = -1.0
    text = json.dumps(data)
    text = text[: len(text) // 2] if damage == "cut" else text
    path.write_bytes(b"\xff\xfe" if damage == "binary" else text.encode())
    assert read_learnt(tmp_path) is None
    assert LEARNT in caplog.text
    assert "learnt anew" in caplog.text
    if damage != "binary":
        with pytest.raises(DataError, match="another version" if damage == "version" else "damaged"):
            LearntCameras.from_json(path.read_text())
