"""Counts per hour: they stay when people are forgotten, in both databases."""

from dataclasses import replace

import pytest

from streamreid.gallery import Batch, Gallery, HourlyCount, Retention

HOUR = 1_700_002_800.0


def counted(people=4, *, run="run", place="everywhere", hour=HOUR, **more):
    count = HourlyCount(
        (run,), place, hour, 1800.0, 6, 5, 4, 1, 2, 1.5, 3, 40.0, 90.0, people, people - 1, people + 1
    )  # fmt: skip
    return replace(count, **more)


def write(store, *counts, run="run"):
    store.write(Batch(run, counts={(c.place, c.hour): c for c in counts}))


def test_an_hour_is_written_once_per_run_and_revised(store, clock):
    write(store, counted(4), counted(2, place="shop"))
    clock.now += 10
    write(store, counted(3))
    hall, shop = store.counts()
    assert hall == counted(3, revised=clock.now)
    assert shop == counted(2, place="shop", revised=clock.now - 10)
    assert store.stats()["counted_hours"] == 1


def test_people_go_and_counts_stay(store, make, clock):
    store.write(make.batch(1, 2))
    write(store, counted(2))
    before = store.counts()
    assert store.forget([1]).remains == []
    clock.now += 100_000
    assert store.expire(Retention(3600.0)) == [2]
    assert store.identities() == []
    assert store.counts() == before


def test_counts_of_few_people_are_withheld(store):
    write(store, counted(4, min_people=5), counted(4, place="shop"), counted(0, place="till", min_people=5))
    hall, shop, till = store.counts()
    assert (hall.withheld, hall.people, hall.visits, hall.hour) == (True, None, None, HOUR)
    assert (shop.people, till.people) == (4, 0)
    assert [count.withheld for count in store.counts(min_people=5)] == [True, True, False]


def test_two_runs_of_one_hour_are_one_count(store):
    write(store, counted(4))
    write(store, counted(3, run="later"), run="later")
    (both,) = store.counts()
    assert both.runs == ("run", "later")
    assert (both.visits, both.people, both.people_low, both.people_high) == (12, 7, 3, 9)
    assert (both.seconds, both.occupancy_mean, both.occupancy_max, both.dwell_median) == (3600.0, 1.5, 3, None)


def test_counts_are_deleted_when_asked_for(store):
    write(store, counted(), counted(place="shop"), counted(hour=HOUR + 3600))
    assert store.forget_counts("shop") == 1
    assert len(store.counts()) == 2
    assert store.forget_counts() == 2
    assert store.counts() == []


def test_backups_hold_them(store, tmp_path):
    write(store, counted())
    store.backup(tmp_path / "backup.db")
    with Gallery.open(tmp_path / "copy.db") as copy:
        store.copy_to(copy)
        write(copy, counted(9, hour=HOUR + 3600))
        assert len(copy.counts()) == 2
    with Gallery.open(tmp_path / "backup.db", read_only=True) as backup:
        assert backup.counts() == store.counts()


def test_they_say_when_the_run_watched_nothing(store):
    write(store, counted(0, seconds=0.0))
    write(store, counted(0, run="later", seconds=0.0), run="later")
    assert store.counts()[0].occupancy_mean == pytest.approx(0.0)
