"""Writing beside a run: late by little, again where it failed, bounded; ids in blocks."""

import time

import pytest

from streamreid.errors import GalleryError
from streamreid.gallery import BackgroundWriter, Batch, Gallery, GallerySearch, IdAllocator, Limits, Retention
from streamreid.gallery import background_writer as background_module


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def store(tmp_path, make):
    with Gallery.open(tmp_path / "people.db") as store:
        store.claim(make.stamp)
        yield store


@pytest.fixture
def start(store):
    """Starts a writer that is stopped after the test."""
    started = []

    def begin(retention=Retention(None), **options):
        started.append(BackgroundWriter(store, GallerySearch(store), retention, seconds=0.1, **options))
        return started[-1]

    yield begin
    for writer in started:
        writer.close()


def people(store):
    return [r.global_id for r in store.identities()]


def test_what_is_put_is_written_searched_and_told(start, store, make):
    writer = start()
    writer.put(Batch("run"))
    writer.put(make.batch(1, 2))
    wait_for(lambda: people(store) == [1, 2])
    changes = []
    wait_for(lambda: changes.extend(writer.drain()) or len(changes) == 2)
    assert writer.search.search(make.look(2), 1)[0].global_id == 2
    assert writer.close() == ""


def test_a_store_that_was_away_gets_everything(start, store, make, monkeypatch, caplog):
    monkeypatch.setattr(background_module, "_PAUSE", 0.05)
    write, fails = store.write, [True]

    def sometimes(batch):
        if fails:
            raise GalleryError("the store is away.")
        write(batch)

    monkeypatch.setattr(store, "write", sometimes)
    writer = start()
    for who in range(1, 6):
        writer.put(make.batch(who, first_track=who))
        time.sleep(0.03)
    wait_for(lambda: writer.problem == "the store is away.")
    assert writer.waiting == 10  # five appearances and five events
    assert people(store) == []
    fails.clear()
    wait_for(lambda: people(store) == [1, 2, 3, 4, 5])
    wait_for(lambda: writer.problem == "")
    assert caplog.text.count("the store is away") == 1  # told once, not at every attempt
    assert "takes data again; nothing was lost" in caplog.text
    assert writer.lost == 0


def test_what_was_lost_is_said(start, store, make, monkeypatch, caplog):
    monkeypatch.setattr(background_module, "_PAUSE", 0.05)
    monkeypatch.setattr(background_module, "_MOST_TRACKS", 3)
    monkeypatch.setattr(background_module, "_MOST_EVENTS", 2)
    write, fails = store.write, [True]
    monkeypatch.setattr(
        store, "write", lambda batch: (_ for _ in ()).throw(GalleryError("away")) if fails else write(batch)
    )
    writer = start()
    for away in (1, 2):
        for who in range(1, 9):
            writer.put(make.batch(who, first_track=10 * away + who))
        wait_for(lambda: writer.problem == "away")
        fails.clear()
        wait_for(lambda: writer.problem == "")
        fails.append(True)
        assert writer.lost == 11 * away
    assert caplog.text.count("takes data again; 11 appearances and events were lost meanwhile") == 2
    assert caplog.text.count("the oldest of what waits is being dropped") == 2
    assert "nothing was lost" not in caplog.text


def test_a_write_that_fails_unexpectedly_is_tried_again(start, store, make, monkeypatch, caplog):
    monkeypatch.setattr(background_module, "_PAUSE", 0.05)
    write, fails = store.write, [RuntimeError("surprise")]
    monkeypatch.setattr(store, "write", lambda batch: (_ for _ in ()).throw(fails.pop()) if fails else write(batch))
    writer = start()
    writer.put(make.batch(1))
    wait_for(lambda: people(store) == [1])
    assert "surprise" in caplog.text
    assert (writer.lost, writer.close()) == (0, "")


def test_what_cannot_be_written_at_the_end_is_told(start, store, make):
    writer = start()
    store.tables.database.rows("PRAGMA query_only = 1")
    writer.put(make.batch(1))
    assert "could not be stored" in writer.close()
    assert writer.lost == 2  # the appearance and the event
    store.tables.database.rows("PRAGMA query_only = 0")


def test_waiting_things_are_bounded(start, store, make, monkeypatch):
    monkeypatch.setattr(background_module, "_MOST_TRACKS", 3)
    monkeypatch.setattr(background_module, "_MOST_EVENTS", 2)
    monkeypatch.setattr(store, "write", lambda batch: (_ for _ in ()).throw(GalleryError("away")))
    writer = start()
    for who in range(1, 9):
        writer.put(make.batch(who, first_track=who))
    wait_for(lambda: writer.problem == "away")
    assert writer.waiting == 5
    assert writer.lost == 5 + 6


def test_what_is_past_its_time_goes_without_anybody_asking(start, store, make, monkeypatch):
    monkeypatch.setattr(background_module, "_HOUSEKEEPING", 0.1)
    writer = start(Retention(0.5))
    writer.put(make.batch(1))
    wait_for(lambda: people(store) == [1])
    wait_for(lambda: people(store) == [])
    wait_for(lambda: writer.search.search(make.look(1)) == [])
    assert writer.problem == ""


def test_something_unexpected_does_not_end_the_thread(start, store, make, caplog):
    calls = []

    def chore():
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("surprise")

    writer = start(chore=chore)
    wait_for(lambda: len(calls) > 1)
    writer.put(make.batch(1))
    wait_for(lambda: people(store) == [1])
    assert "surprise" in caplog.text


def test_ids_in_blocks(store):
    one, two = IdAllocator(store, block=4), IdAllocator(store, 100, block=4)
    assert [one() for _ in range(3)] == [1, 2, 3]
    assert two() == 100
    one.fetch()  # ahead of need
    assert [one() for _ in range(3)] == [4, 104, 105]
    one.give_back()
    two.give_back()
    assert store.reserve_ids(1) == 106


def test_unused_ids_are_used_by_the_next_run(store):
    first = IdAllocator(store)
    assert [first(), first()] == [1, 2]
    first.give_back()
    assert IdAllocator(store)() == 3


def test_ids_that_run_out_while_the_store_is_away(store, monkeypatch):
    source = IdAllocator(store, block=2)
    assert [source(), source()] == [1, 2]
    store.tables.database.rows("PRAGMA query_only = 1")
    with pytest.raises(GalleryError, match="readonly"):
        source()
    store.tables.database.rows("PRAGMA query_only = 0")
    assert source() == 3


def test_limits_of_a_store_are_kept_by_the_writer(tmp_path, make, monkeypatch):
    monkeypatch.setattr(background_module, "_HOUSEKEEPING", 0.05)
    with Gallery.open(tmp_path / "small.db", Limits(max_identities=2)) as store:
        store.claim(make.stamp)
        writer = BackgroundWriter(store, GallerySearch(store), Retention(None), seconds=0.1)
        writer.put(make.batch(1, 2, 3, 4))
        wait_for(lambda: len(people(store)) == 2)
        writer.close()
        assert len(people(store)) == 2
