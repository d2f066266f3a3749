"""What every store must do; the same tests for SQLite and PostgreSQL."""

import threading

import numpy as np
import pytest

from streamreid.errors import EngineMismatchError, GalleryError
from streamreid.features.similarity import part_similarity
from streamreid.gallery import Batch, EngineStamp, Limits, Retention, TrackRecord
from streamreid.types import IdentityEvent, PartFeatures


def people(store):
    return [r.global_id for r in store.identities()]


def test_what_was_written_is_there_after_opening_again(store, opener, make):
    store.write(make.batch(4, 9, time=20.0, views=2))
    store.close()
    again = opener()
    records = again.identities()
    assert [(r.global_id, r.track_records, r.prototypes, r.cameras) for r in records] == [
        (4, 1, 2, frozenset({"hall"})),
        (9, 1, 2, frozenset({"hall"})),
    ]
    assert (records[0].first_seen, records[0].last_seen, records[0].probability) == (20.0, 25.0, 0.9)
    (block,) = again.prototypes()
    assert block.global_ids.tolist() == [4, 4, 9, 9]
    similarity, _ = part_similarity(block.features[:1], make.look(4, seed=100))
    assert similarity[0, 0] == pytest.approx(1.0, abs=2e-3)
    (event,) = again.events(4)
    assert (event.event.kind, event.event.camera, event.event.reasons) == ("new", "hall", {"looks": 1.5})
    assert again.engine() == make.stamp


def test_an_appearance_goes_on_and_moves_to_somebody_else(store, make):
    store.write(make.batch(1, 2))
    later = make.batch(1, 1, time=12.0)  # track 2 turned out to be person 1
    later.events.append(IdentityEvent("merge", 13.0, 1, other_id=2))
    store.write(later)
    (record,) = store.identities()
    assert (record.global_id, record.track_records, record.last_seen) == (1, 2, 17.0)
    assert store.resolve(2) == 1
    assert store.resolve(3) == 0


def test_many_tracks_of_several_cameras_keep_each_its_own(store, make):
    first = make.batch(*range(1, 61), views=2)
    store.write(first)
    rng = np.random.default_rng(4)
    parts, visibility = rng.standard_normal((450, 3, 32)), rng.random((450, 3)).astype(np.float32)
    looks = PartFeatures((parts / np.linalg.norm(parts, axis=2, keepdims=True)).astype(np.float32), visibility)
    later, used = Batch("run"), 0  # more rows than one statement takes; 60 tracks go on, two others have no view
    for number in range(300):
        key = ("hall", number + 1) if number < 60 else (f"cam{number % 3}", number)
        views = 0 if number in (7, 200) else 1 + number % 2
        later.track_records[key] = TrackRecord("run", *key, number + 1, 10.0, 20.0 + number)
        later.prototypes[key] = looks[used : used + views], np.full(views, number / 300, np.float32)
        used += views
    store.write(later)
    records = store.track_records()
    assert {(r.camera, r.track_id): r.global_id for r in records.values()} == {
        key: number + 1 for number, key in enumerate(later.track_records)
    }
    (block,) = store.prototypes()
    owner = {key: row for row, r in records.items() for key in [(r.camera, r.track_id)]}
    begin = 0
    for key, (features, quality) in later.prototypes.items():
        mine = block.track_records == owner[key]
        assert np.array_equal(block.features.parts[mine], features.parts.astype(np.float16).astype(np.float32))
        assert np.array_equal(block.features.visibility[mine], features.visibility.astype(np.float16))
        assert block.quality[mine].tolist() == quality.tolist()
        begin += int(mine.sum())
    assert begin == used == len(block.ids)


def test_nothing_of_a_batch_is_stored_if_a_part_of_it_cannot_be(store, make):
    bad = make.batch(5, 6)
    bad.prototypes["hall", 2] = make.look(6), np.array([None], object)
    with pytest.raises((GalleryError, TypeError, ValueError)):
        store.write(bad)
    assert people(store) == []
    store.write(make.batch(5))
    assert people(store) == [5]


def test_ids_are_never_given_twice_and_unused_ones_come_back(opener, make):
    one, two = opener(), opener()
    assert (one.reserve_ids(10), two.reserve_ids(10), one.reserve_ids(5)) == (1, 11, 21)
    two.return_ids(15, 21)  # somebody reserved after it
    one.return_ids(23, 26)
    assert two.reserve_ids(1) == 23
    one.write(make.batch(400))
    assert two.reserve_ids(1) == 401


@pytest.mark.parametrize("change", [{"fingerprint": "e" * 64}, {"parts": 4}, {"dim": 64}])
def test_features_of_another_engine_are_refused(store, make, change):
    fields = {"name": "other", "fingerprint": make.stamp.fingerprint, "parts": 3, "dim": 32} | change
    with pytest.raises(EngineMismatchError, match="holds features of engine 'test'"):
        store.claim(EngineStamp(**fields))
    store.claim(make.stamp)


def test_views_of_a_person_are_capped_to_good_ones_that_differ(opener, make):
    store = opener(Limits(prototypes=3))
    store.claim(make.stamp)
    batch = make.batch(7, views=6)
    features, quality = batch.prototypes["hall", 1]
    quality[:] = [0.5, 0.9, 0.5, 0.5, 0.5, 0.5]
    features.parts[2:] = features.parts[1]  # four copies of the second view
    store.write(batch)
    (block,) = store.prototypes()
    assert len(block) == 3
    assert sorted(block.quality.round(2).tolist())[-1] == pytest.approx(0.9)
    apart, _ = part_similarity(features[:1], block.features)
    assert apart.max() > 0.99  # the one that differs was kept


def test_merging_naming_and_telling_apart(store, make):
    store.write(make.batch(1, 2, 3))
    store.rename(2, "  Ann ")
    store.merge(1, 2)
    assert [(r.global_id, r.name, r.track_records) for r in store.identities()] == [(1, "Ann", 2), (3, "", 1)]
    assert store.resolve(2) == 1
    store.write(make.batch(2, camera="door", first_track=9))  # a run that has not heard of it yet
    assert store.identities([1])[0].cameras == {"hall", "door"}
    store.separate(1, 3)
    with pytest.raises(GalleryError, match="said to be different"):
        store.merge(3, 1)
    assert [(c.kind, c.one, c.other) for c in store.constraints()] == [("same", 1, 2), ("different", 1, 3)]
    store.merge(3, 1, force=True)
    assert people(store) == [3]
    assert store.resolve(2) == 3


def test_splitting(store, make):
    store.write(make.batch(1, 1, 1))
    rows = sorted(store.track_records([1]))
    new = store.split(1, rows[2:])
    assert new > 1
    assert [len(store.track_records([i])) for i in (1, new)] == [2, 1]
    assert [(c.kind, c.one, c.other) for c in store.constraints()] == [("different", 1, new)]
    assert store.prototype_ids([new])[1].tolist() == [new]
    assert store.reserve_ids(1) == new + 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.merge(1, 99), "no identity 99"),
        (lambda s: s.merge(1, 1), "one identity already"),
        (lambda s: s.split(1, []), "cannot split off none"),
        (lambda s: s.split(1, [12345]), "cannot split off 12345"),
        (lambda s: s.split(1, list(s.track_records([1]))), "leave at least one"),
        (lambda s: s.rename(98, "x"), "no identity 98"),
        (lambda s: s.separate(1, 1), "one identity now"),
    ],
)
def test_corrections_that_make_no_sense(store, make, call, message):
    store.write(make.batch(1, 1, 2))
    with pytest.raises(GalleryError, match=message):
        call(store)
    assert people(store) == [1, 2]


def test_retention_by_store_and_by_camera(store, make, clock):
    store.write(make.batch(1, 2, camera="hall"))
    store.write(make.batch(1, 3, camera="door"))
    keep = Retention(1000.0, {"door": 100.0})
    clock.now += 101
    assert store.expire(keep) == [3]
    assert [(r.global_id, r.cameras) for r in store.identities()] == [(1, {"hall"}), (2, {"hall"})]
    assert store.events(3) == []
    clock.now += 900
    assert store.expire(keep) == [1, 2]
    assert store.stats()["prototypes"] == store.stats()["events"] == 0
    assert store.expire(Retention(None)) == []


def test_the_least_useful_are_evicted(opener, make, clock):
    store = opener(Limits(max_identities=3, max_prototypes=100, max_events=4))
    store.claim(make.stamp)
    store.write(make.batch(1))
    store.rename(1, "Ann")
    store.write(make.batch(2, 2, 2, 2, first_track=10))  # seen often
    clock.now += 60
    store.write(make.batch(3, 4, first_track=20))
    assert store.evict() == [3]
    assert people(store) == [1, 2, 4]
    assert store.stats()["events"] <= 4
    assert store.evict() == []


def test_the_oldest_appearances_go_where_there_are_too_many(opener, make, clock):
    store = opener(Limits(max_track_records=3))
    store.claim(make.stamp)
    store.write(make.batch(1, 2))
    clock.now += 60
    store.write(make.batch(2, 3, first_track=10))
    assert store.evict() == [1]
    assert [(r.global_id, r.track_records) for r in store.identities()] == [(2, 2), (3, 1)]


def test_forgotten_people_leave_no_row_and_do_not_come_back(store, make):
    store.write(make.batch(1, 2, 3))
    store.merge(2, 3)
    store.rename(2, "Ann")
    erasure = store.forget([3], actor="tester")
    assert erasure.identities == [2, 3]
    assert erasure.complete
    assert erasure.removed["prototypes"] == 2
    assert people(store) == [1]
    assert store.prototype_ids([2, 3])[0].size == 0
    assert store.events(2) == store.events(3) == []
    assert store.constraints() == []
    assert store.resolve(3) == 0
    store.write(make.batch(2, 3, 4, first_track=30))  # a run that still holds the old ids
    assert people(store) == [1, 4]
    assert store.forgotten() == [2, 3]
    (entry,) = store.audit_log()
    assert (entry.action, entry.actor, entry.detail["identities"]) == ("forget", "tester", [2, 3])


def test_other_processes_learn_what_changed(opener, make):
    one, two = opener(), opener()
    one.claim(make.stamp)
    start = two.position()
    two.wait(0.01)  # PostgreSQL begins to listen
    assert two.wait(0.01) is False
    one.write(make.batch(8))
    assert two.wait(2.0)
    changes, position = two.changes(start)
    assert [(c.identity, c.kind) for c in changes] == [(8, "write")]
    one.forget([8])
    changes, position = two.changes(position)
    assert [(c.identity, c.kind) for c in changes] == [(8, "forget")]
    assert two.changes(position) == ([], position)


def test_two_writers_at_once_lose_nothing(opener, make):
    stores = [opener(), opener()]
    stores[0].claim(make.stamp)

    def work(number):
        for step in range(25):
            stores[number].write(make.batch(step + 1, run=f"run{number}", camera=f"cam{number}", first_track=step + 1))

    threads = [threading.Thread(target=work, args=(n,)) for n in (0, 1)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert [(r.track_records, len(r.cameras)) for r in stores[0].identities()] == [(2, 2)] * 25


def test_backup_is_a_gallery_and_forgets_too(store, make, tmp_path):
    from streamreid.gallery import Gallery

    store.write(make.batch(1, 2))
    store.rename(1, "Ann")
    copy = tmp_path / "backups" / "monday.db"
    store.backup(copy)
    with pytest.raises(GalleryError, match="exists already"):
        store.backup(copy)
    backup = Gallery.open(copy, read_only=True)
    assert [(r.global_id, r.name) for r in backup.identities()] == [(1, "Ann"), (2, "")]
    assert backup.engine() == make.stamp
    backup.close()
    erasure = store.forget([1])
    assert erasure.done == [str(copy)]
    assert erasure.complete
    backup = Gallery.open(copy)
    assert people(backup) == [2]
    assert backup.reserve_ids(1) == 3
    backup.close()
    copy.unlink()
    erasure = store.forget([2])
    assert list(erasure.unreachable) == [str(copy)]
    assert not erasure.complete


def test_counts_and_sizes(store, make):
    store.write(make.batch(1, 2, views=2))
    stats = store.stats()
    assert (stats["identities"], stats["appearances"], stats["prototypes"], stats["events"]) == (2, 2, 4, 2)
    assert stats["bytes_per_prototype"] == 2 * (3 * 32 + 3)
    assert stats["bytes"] > 0
    assert stats["encrypted"] is False


def test_a_store_for_reading_only(store, opener, make):
    store.write(make.batch(1))
    reader = opener(read_only=True)
    assert people(reader) == [1]
    with pytest.raises(GalleryError, match="reading only"):
        reader.write(make.batch(2))


def test_encryption(opener, make, monkeypatch):
    pytest.importorskip("cryptography", reason="needs cryptography: pip install 'streamreid[encryption]'")
    monkeypatch.setenv("SECRET_KEY", "correct horse battery staple")
    store = opener(key_variable="SECRET_KEY")
    store.claim(make.stamp)
    store.write(make.batch(1))
    store.rename(1, "Ann")
    assert store.encrypted
    (raw,) = store.tables.database.rows("SELECT name FROM identities")
    assert "Ann" not in raw[0]
    store.set_camera_means(b"numbers")
    assert b"numbers".hex() not in store.tables.metadata.get("camera_means")
    again = opener(key_variable="SECRET_KEY")
    assert again.identities()[0].name == "Ann"
    assert again.camera_means() == b"numbers"
    (block,) = again.prototypes()
    assert part_similarity(block.features, make.look(1, seed=100))[0][0, 0] == pytest.approx(1.0, abs=2e-3)
    assert again.forget([1]).complete
    monkeypatch.setenv("SECRET_KEY", "another passphrase")
    with pytest.raises(GalleryError, match="not the key of gallery"):
        opener(key_variable="SECRET_KEY")
    monkeypatch.delenv("SECRET_KEY")
    with pytest.raises(GalleryError, match="SECRET_KEY is not set"):
        opener(key_variable="SECRET_KEY")


def test_what_runs_learnt_of_cameras_is_kept(opener, store):
    assert (store.camera_means(), store.learnt_cameras()) == (b"", "")
    store.set_camera_means(b"numbers")
    store.set_learnt_cameras("ways")
    again = opener()
    assert (again.camera_means(), again.learnt_cameras()) == (b"numbers", "ways")


def test_encryption_of_a_plain_store_is_refused(store, opener, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "correct horse battery staple")
    with pytest.raises(GalleryError, match="is not encrypted"):
        opener(key_variable="SECRET_KEY")
