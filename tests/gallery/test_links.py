"""Which tracks may be one person: kept in the gallery, in both databases, and gone with the people."""

import pytest

from streamreid.gallery import Gallery, Retention
from streamreid.gallery.tables import links as links_table
from streamreid.types import PossibleLinks


def links_of(store):
    """Links by row ids and global ids."""
    found = store.links()
    return (
        dict(zip(map(tuple, found.tracks.tolist()), found.track_log_odds.tolist(), strict=True)),
        dict(zip(map(tuple, found.people.tolist()), found.people_log_odds.tolist(), strict=True)),
        set(found.compared),
    )


@pytest.fixture
def two_runs(store, make):
    """People 1 and 2 (rows 1 and 2) in a run, 3 and 4 (rows 3 and 4) in the next, who may be those of the first."""
    batch = make.batch(1, 2)
    batch.links = {("hall", 2): PossibleLinks({("hall", 1): 2.5, ("hall", 9): 4.0}, {})}
    store.write(batch)
    later = make.batch(3, 4, run="later")
    later.links = {
        ("hall", 1): PossibleLinks({}, {1: 7.5, 2: 1.5, 77: 9.0}),
        ("hall", 2): PossibleLinks({("hall", 1): 3.5}, {2: 5.5}),
        ("hall", 5): PossibleLinks({("hall", 1): 3.5}, {2: 5.5}),
    }
    store.write(later)
    return store


def test_links_of_tracks_and_people_that_are_stored_are_kept(two_runs):
    assert links_of(two_runs) == ({(2, 1): 2.5, (4, 3): 3.5}, {(3, 1): 7.5, (3, 2): 1.5, (4, 2): 5.5}, {2, 3, 4})
    some = two_runs.links([4])
    assert (some.tracks.tolist(), some.people.tolist(), some.compared) == ([[4, 3]], [[4, 2]], {4})
    assert two_runs.stats()["links"] == 5


def test_later_links_of_a_track_take_the_place_of_earlier_ones(two_runs, make):
    again = make.batch(3, run="later")
    again.links = {("hall", 1): PossibleLinks({}, {2: 0.5})}
    two_runs.write(again)
    assert links_of(two_runs)[1] == {(3, 2): 0.5, (4, 2): 5.5}


def test_they_go_with_the_people(two_runs, clock):
    assert two_runs.forget([2]).remains == []
    assert links_of(two_runs) == ({(4, 3): 3.5}, {(3, 1): 7.5}, {3, 4})
    two_runs.forget([3])
    assert links_of(two_runs) == ({}, {}, {4})
    clock.now += 100_000
    two_runs.expire(Retention(3600.0))
    assert links_of(two_runs) == ({}, {}, set())


def test_they_follow_merges_and_splits(two_runs):
    two_runs.merge(1, 2)
    assert sorted(two_runs.links().people.tolist()) == [[3, 1], [3, 1], [4, 1]]
    new = two_runs.split(1, [2])
    assert {tuple(pair) for pair in two_runs.links().people.tolist()} == {(3, 1), (4, 1), (3, new), (4, new)}


def test_backups_and_copies_hold_them(two_runs, tmp_path):
    two_runs.backup(tmp_path / "backup.db")
    with Gallery.open(tmp_path / "copy.db") as copy:
        two_runs.set_learnt_cameras("ways")
        two_runs.copy_to(copy)
        assert links_of(copy) == links_of(two_runs)
        assert copy.learnt_cameras() == "ways"
    with Gallery.open(tmp_path / "backup.db", read_only=True) as backup:
        assert links_of(backup) == links_of(two_runs)


def test_the_links_of_the_first_tracks_go_when_there_are_too_many(two_runs, monkeypatch):
    monkeypatch.setattr(links_table, "MOST_LINKS", 1)
    two_runs.evict()
    tracks, people, compared = links_of(two_runs)
    assert (tracks, people, compared) == ({(4, 3): 3.5}, {(4, 2): 5.5}, {4})
