"""Identities that outlive a run: who comes back, who is forgotten, what happens when the store cannot be written."""

import sqlite3
import time

import pytest

from streamreid import Pipeline
from streamreid.errors import ConfigError, EngineMismatchError
from streamreid.gallery import Gallery
from streamreid.runs import run
from streamreid.types import IdentityEvent


def with_gallery(scene, path, *videos, **sections):
    gallery = {"store": str(path), **sections.pop("gallery", {})}
    return scene.config(
        *videos, gallery=gallery, association={"confirm_observations": 5, "confirm_seconds": 0.5}, **sections
    )


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def follow(config, colours, folder=None):
    """Global id of each track after a run."""
    with Pipeline(config, embedder=colours) as pipeline:
        if folder is None:
            list(pipeline)
        else:
            run(pipeline, folder)
    return {key: who for key, (who, _) in pipeline.identities.items()}


def test_people_who_come_back_in_the_next_run_keep_their_ids(scene, colours, tmp_path):
    left, right = scene.camera("left", [0, 1, 2]), scene.camera("right", [3, 2, 1])
    path = tmp_path / "people.db"
    first = follow(with_gallery(scene, path, left), colours)
    assert sorted(first.values()) == [1, 2, 3]
    second = follow(with_gallery(scene, path, right), colours)
    # colours 2 and 1 walk in lanes 1 and 2 of "right"; colour 3 is new
    assert second["right", 2] == first["left", 3]
    assert second["right", 3] == first["left", 2]
    assert second["right", 1] == 4
    with Gallery.open(path) as store:
        records = {r.global_id: r for r in store.identities()}
        assert sorted(records) == [1, 2, 3, 4]
        assert records[2].cameras == {"left", "right"}
        assert records[2].track_records == 2
        assert all(r.prototypes >= 1 for r in records.values())
        assert {e.event.kind for e in store.events(4)} >= {"new", "confirm"}
        assert store.reserve_ids(1) == 5
        assert store.stats()["crops"] == 0


def test_who_came_just_before_the_end_is_remembered(scene, colours, tmp_path):
    video = scene.camera("left", [0], frames=10)
    config = with_gallery(scene, tmp_path / "people.db", video)
    config = config.model_copy(update={"association": config.association.model_copy(update={"confirm_seconds": 5.0})})
    assert set(follow(config, colours).values()) == {1}
    with Gallery.open(tmp_path / "people.db") as store:
        assert [r.global_id for r in store.identities()] == [1]
    assert set(follow(config, colours).values()) == {1}


def test_the_summary_tells_who_was_known_before(scene, colours, tmp_path):
    config = with_gallery(scene, tmp_path / "people.db", scene.camera("left", [0, 1]))
    for returned in (0, 2):
        with Pipeline(config, embedder=colours) as pipeline:
            summary = run(pipeline, tmp_path / f"out{returned}")
        assert (summary.gallery.returned, summary.gallery.problem) == (returned, "")
        assert summary.as_dict()["gallery"]["store"] == str(tmp_path / "people.db")
    with Pipeline(scene.config(scene.folder / "left.mp4"), embedder=colours) as pipeline:
        assert run(pipeline, tmp_path / "without").as_dict()["gallery"] is None


def test_somebody_too_old_for_the_search_is_looked_up_when_somebody_new_appears(scene, colours, tmp_path):
    left, right = scene.camera("left", [0, 1]), scene.camera("right", [1, 3])
    path = tmp_path / "people.db"
    first = follow(with_gallery(scene, path, left), colours)
    db = sqlite3.connect(path)
    db.execute("UPDATE appearances SET stored = stored - 7200")  # two hours ago; the association remembers one
    db.commit()
    db.close()
    second = follow(with_gallery(scene, path, right), colours)
    assert second["right", 1] == first["left", 2]
    assert second["right", 2] not in first.values()


@pytest.mark.parametrize(
    ("hours", "known"), [({}, False), ({"recall_hours": 10}, True), ({"recall_hours": None}, True)]
)
def test_nobody_is_linked_over_a_night_unless_asked(scene, colours, tmp_path, hours, known):
    left, right = scene.camera("left", [0, 1]), scene.camera("right", [1, 3])
    path = tmp_path / "people.db"
    first = follow(with_gallery(scene, path, left), colours)
    db = sqlite3.connect(path)
    db.execute("UPDATE appearances SET stored = stored - 32400")  # nine hours ago
    db.commit()
    db.close()
    second = follow(with_gallery(scene, path, right, gallery=hours), colours)
    assert (second["right", 1] == first["left", 2]) is known
    assert second["right", 2] not in first.values()


def test_what_is_past_its_time_is_gone_at_the_start(scene, colours, tmp_path):
    video = scene.camera("left", [0])
    path = tmp_path / "people.db"
    follow(with_gallery(scene, path, video), colours)
    db = sqlite3.connect(path)
    db.execute("UPDATE appearances SET stored = stored - 90000")
    db.execute("UPDATE events SET stored = stored - 90000")
    db.commit()
    db.close()
    assert set(follow(with_gallery(scene, path, video), colours).values()) == {2}
    with Gallery.open(path) as store:
        assert [r.global_id for r in store.identities()] == [2]


def change_midway(config, colours, people, change, kind):
    """Run; as soon as ``people`` are stored, change the gallery as another process would. Identities by track before
    and at the end."""
    before = None
    with Pipeline(config, embedder=colours) as pipeline:
        for _ in pipeline:
            if before is not None:
                continue
            with Gallery.open(config.gallery.store) as other:
                if {r.global_id for r in other.identities()} >= people:
                    before = {key: who for key, (who, _) in pipeline.identities.items()}
                    change(other)
                    wait_for(lambda: any(c.kind == kind for c in list(pipeline.memory.writer.changes)))
            time.sleep(0.02)
    assert before is not None
    return before, {key: who for key, (who, _) in pipeline.identities.items()}


def test_forgotten_while_the_run_goes_on(scene, colours, tmp_path):
    path = tmp_path / "people.db"
    config = with_gallery(scene, path, scene.camera("left", [0, 1], frames=90), gallery={"commit_seconds": 0.1})
    before, after = change_midway(config, colours, {1, 2}, lambda store: store.forget([1]), "forget")
    assert before == {("left", 1): 1, ("left", 2): 2}
    assert after["left", 2] == 2
    assert after["left", 1] not in (1, 2)
    with Gallery.open(path) as store:
        assert 1 not in [r.global_id for r in store.identities()]
        assert store.forgotten() == [1]


def test_pictures_only_if_asked(scene, colours, tmp_path):
    path = tmp_path / "people.db"
    follow(with_gallery(scene, path, scene.camera("left", [0]), gallery={"crops": True}), colours)
    with Gallery.open(path) as store:
        (row,) = store.track_records()
        assert store.crops([row])[row][:3] == b"\xff\xd8\xff"
        assert store.forget([1]).complete


def test_nothing_waits_for_whom_the_association_forgot(scene, colours, tmp_path):
    config = with_gallery(scene, tmp_path / "people.db", scene.camera("left", [0]), gallery={"crops": True})
    with Pipeline(config.with_settings({"tracker.delay": 0}), embedder=colours) as pipeline:
        results = iter(pipeline)
        memory, who = pipeline.memory, None
        while not who:
            who = next(results).global_ids.max(initial=0)
        memory.crops._kept["left", 999] = 0.9, b"of a track that left the window"
        memory.held_events = [IdentityEvent("link", 1.0, gid, "left", 1) for gid in (int(who), 999)]
        memory.collect()
        assert ("left", 999) not in memory.crops
        assert 999 not in {event.global_id for event in memory.held_events}
        assert not memory.recall.confirmed
        assert [event.global_id for event in memory.held_events] == [who]
        list(results)
        assert set(memory.crops._kept) <= set(pipeline.site.associator.evidence)
    with Gallery.open(tmp_path / "people.db") as store:
        assert store.stats()["crops"] == 1
        assert len(store.identities()) == 1


def test_another_engine_and_no_engine_are_refused(scene, colours, tmp_path):
    path = tmp_path / "people.db"
    video = scene.camera("left", [0])
    follow(with_gallery(scene, path, video), colours)
    with pytest.raises(ConfigError, match="no ReID engine"):
        Pipeline(with_gallery(scene, path, video))
    colours.fingerprint = "other"
    with pytest.raises(EngineMismatchError, match="holds features of engine 'colour'"):
        Pipeline(with_gallery(scene, path, video), embedder=colours)


def test_a_store_that_cannot_be_written_does_not_stop_the_run(scene, colours, tmp_path, caplog):
    path = tmp_path / "people.db"
    with Pipeline(with_gallery(scene, path, scene.camera("left", [0, 1])), embedder=colours) as pipeline:
        pipeline.memory.store.tables.database.rows("PRAGMA query_only = 1")
        results = list(pipeline)
    assert len(results) == 40
    assert "readonly" in pipeline.memory.problem
    assert "could not be stored" in caplog.text
    with Gallery.open(path) as store:
        assert store.identities() == []


def test_corrections_hold_in_the_next_run(scene, colours, tmp_path):
    path = tmp_path / "people.db"
    left = scene.camera("left", [0, 1, 2])
    follow(with_gallery(scene, path, left), colours)
    with Gallery.open(path) as store:
        store.merge(3, 2)
    with Pipeline(with_gallery(scene, path, scene.camera("right", [1])), embedder=colours) as pipeline:
        list(pipeline)
    assert {who for who, _ in pipeline.identities.values()} == {3}  # person 2 is part of 3 now


def test_people_said_to_be_different_stay_apart(scene, colours, tmp_path):
    path = tmp_path / "people.db"
    follow(with_gallery(scene, path, scene.camera("left", [0, 1])), colours)
    with Gallery.open(path) as store:
        store.separate(1, 2)
    with Pipeline(with_gallery(scene, path, scene.camera("right", [0, 1])), embedder=colours) as pipeline:
        list(pipeline)
        assert pipeline.site.associator.separated == {(1, 2)}


def test_a_correction_takes_effect_while_the_run_goes_on(scene, colours, tmp_path):
    path = tmp_path / "people.db"
    videos = scene.camera("left", [0], frames=90), scene.camera("right", [1], frames=90)
    config = with_gallery(scene, path, *videos, gallery={"commit_seconds": 0.1})
    before, after = change_midway(config, colours, {1, 2}, lambda store: store.merge(1, 2), "merge")
    assert set(before.values()) == {1, 2}
    assert set(after.values()) == {1}
    with Gallery.open(path) as store:
        assert [(r.global_id, r.cameras) for r in store.identities()] == [(1, {"left", "right"})]


def test_a_short_retention_holds_in_memory_too(scene, colours, tmp_path):
    config = with_gallery(scene, tmp_path / "people.db", scene.camera("left", [0]), gallery={"retention_hours": 0.1})
    with Pipeline(config, embedder=colours) as pipeline:
        assert pipeline.site.associator.config.memory == 360.0


def test_a_recording_is_remembered_in_a_replay_only_if_that_is_said(scene, colours, tmp_path, call):
    pytest.importorskip("pyarrow")
    path, other, cache = tmp_path / "people.db", tmp_path / "other.db", tmp_path / "cache"
    config = with_gallery(scene, path, scene.camera("left", [0, 1]))
    with Pipeline(config, embedder=colours, cache=cache) as pipeline:
        list(pipeline)
    rows = path.read_bytes()
    assert call("replay", cache, "--out", tmp_path / "a", "--quiet")[0] == 0
    assert path.read_bytes() == rows
    assert call("replay", cache, "--out", tmp_path / "b", "--quiet", "--gallery", other)[0] == 0
    with Gallery.open(other) as store:
        assert [r.global_id for r in store.identities()] == [1, 2]
