"""Counts of a gallery over any time, restarts and days: how many different people, and how surely."""

import numpy as np
import pytest

from streamreid.errors import ConfigError
from streamreid.gallery import Batch, Gallery, HourlyCount, TrackRecord
from streamreid.reports.histories import gallery_history
from streamreid.types import PossibleLinks

NOON = 1_700_049_600.0
"""2023-11-15T12:00 UTC."""

DAY = 86_400.0


@pytest.fixture
def store(tmp_path):
    with Gallery.open(tmp_path / "people.db") as opened:
        yield opened


def write(store, run, *seen, camera="hall", links=None):
    """Track ids count from 1; ``seen`` are global id and begin."""
    batch = Batch(run)
    for track, (who, begin) in enumerate(seen, 1):
        batch.track_records[camera, track] = TrackRecord(run, camera, track, who, begin, begin + 20, 0.9, 30)
        batch.links[camera, track] = PossibleLinks({}, {})
    batch.links |= {(camera, track): found for track, found in (links or {}).items()}
    store.write(batch)


def counted(run, hour, people, *, tracks=None, place="everywhere", low=None, high=None, least=0):
    ends = people if low is None else low, people if high is None else high
    return HourlyCount(
        (run,), place, hour, 3600.0, people, people, people, 0, 0, 1.0, people, 20.0, 20.0, people, *ends, least, tracks
    )


def keep(store, *counts):
    for count in counts:
        store.write(Batch(count.runs[0], counts={(count.place, count.hour): count}))


def told(store, every=None, place="everywhere", **asked):
    """Estimate and interval of each period."""
    table = gallery_history(store).counts(every, places=[place], **asked)
    return [(row["unique"], row["unique_low"], row["unique_high"]) for row in table]


def two_days(store, log_odds):
    """Ten people of one day, ten of the next, each of whom may be one of the first."""
    write(store, "one", *((i, NOON + 60 * i) for i in range(1, 11)))
    links = {track: PossibleLinks({}, {track: log_odds}) for track in range(1, 11)}
    write(store, "two", *((10 + i, NOON + DAY + 60 * i) for i in range(1, 11)), links=links)


@pytest.mark.parametrize(("log_odds", "least", "most"), [(-0.9, 20, 20), (4.0, 13, 20), (13.0, 10, 10)])
def test_the_interval_over_a_restart_follows_what_links_the_runs(store, log_odds, least, most):
    two_days(store, log_odds)
    assert [row[0] for row in told(store, "1d")] == [10, 10]
    ((estimate, low, high),) = told(store)
    assert low <= estimate <= high
    assert (least - 2 <= low, high <= most + 2) == (True, True)
    if log_odds == 4.0:
        assert high - low > 3


def test_a_known_person_who_is_back_is_one(store):
    write(store, "one", (1, NOON), (2, NOON + 60))
    write(store, "two", (1, NOON + DAY), (3, NOON + DAY + 60), links={1: PossibleLinks({}, {1: 13.0})})
    assert told(store)[0][0] == 3
    assert told(store, end=NOON + 3600)[0] == (2, 1, 2)
    assert told(store, start=NOON + DAY + 10)[0][0] == 2


def test_tracks_of_two_runs_are_no_two_people_because_their_times_are_the_same(store):
    """Recordings without a date begin at 0."""
    write(store, "one", (1, 5.0))
    write(store, "two", (2, 5.0), links={1: PossibleLinks({}, {1: 13.0})})
    ((estimate, low, _),) = told(store)
    assert (estimate, low) == (1, 1)
    assert any("without a date" in note for note in gallery_history(store).notes)


def test_what_people_said_of_identities_counts(store):
    two_days(store, 7.0)
    for one in range(1, 11):
        store.separate(one, 10 + one)
    assert told(store)[0][:2] == (20, 18)
    for one in range(1, 6):
        store.merge(one, 10 + one, force=True)
    estimate, low, high = told(store)[0]
    assert (estimate, low >= 13, high <= 17) == (15, True, True)


def test_tracks_that_were_never_compared_are_taken_as_decided_and_it_is_said(store):
    store.write(Batch("old", {("hall", 1): TrackRecord("old", "hall", 1, 1, NOON, NOON + 9, 0.9, 20)}))
    assert told(store) == [(1, None, None)]
    (note,) = [note for note in gallery_history(store).notes if "never compared" in note]
    assert note.startswith("1 of 1 tracks")
    two_days(store, 5.0)
    assert told(store)[0][1] is not None
    assert any(note.startswith("1 of 21 tracks") for note in gallery_history(store).notes)


def test_people_of_two_cameras_are_counted_once(store):
    write(store, "one", *((i, NOON + 60 * i) for i in range(1, 6)))
    links = {track: PossibleLinks({}, {track: 13.0}) for track in range(1, 6)}
    write(store, "two", *((i, NOON + DAY + 60 * i) for i in range(1, 6)), camera="yard", links=links)
    groups = {"both": ["camera:hall", "camera:yard"]}
    (row,) = gallery_history(store).counts(places=["both"], groups=groups)
    assert row["unique"] == 5
    assert row["unique_low"] <= 5 <= row["unique_high"] <= 7


def test_hours_of_forgotten_people_are_a_number_of_the_day(store):
    """Five people at noon and three an hour later are forgotten; two of the evening are remembered."""
    write(store, "one", (1, NOON + 8 * 3600), (2, NOON + 8 * 3600 + 60))
    keep(store, counted("one", NOON, 5, tracks=9, low=4, high=6), counted("one", NOON + 3600, 3, tracks=3))
    keep(store, counted("one", NOON + 8 * 3600, 2, tracks=2))
    hours = told(store, "1h")
    assert hours == [(5, 4, 6), (3, 3, 3), (2, 1, 2)]
    ((estimate, low, high),) = told(store, "1d")
    assert (low, high) == (4, 2 + 6 + 3)
    assert 2 + 5 <= estimate <= 2 + 5 + 3
    assert told(store, start=NOON, end=NOON + 2 * 3600)[0][1:] == (4, 9)
    assert any("added as a number" in note for note in gallery_history(store).notes)


def test_a_restart_within_an_hour_counts_nobody_twice(store):
    write(store, "one", *((i, NOON + 60 * i) for i in range(1, 6)))
    links = {track: PossibleLinks({}, {track: 13.0}) for track in range(1, 6)}
    write(store, "two", *((i, NOON + 1800 + 60 * i) for i in range(1, 6)), links=links)
    keep(store, counted("one", NOON, 5, tracks=5), counted("two", NOON, 5, tracks=5))
    estimate, low, high = told(store, "1h")[0]
    assert estimate == 5
    assert low <= 5 <= high <= 6


def test_who_was_seen_too_little_to_be_remembered_is_added(store):
    write(store, "one", *((i, NOON + 60 * i) for i in range(1, 11)))
    keep(store, counted("one", NOON, 13, tracks=13, low=12, high=14))
    estimate, low, high = told(store, "1h")[0]
    assert (estimate, low) == (13, 12)
    assert 13 <= high <= 15


def test_zones_have_a_number_of_the_day_too(store):
    write(store, "one", (1, NOON))
    keep(store, counted("one", NOON, 4, place="till"), counted("one", NOON + 3600, 6, place="till"))
    assert told(store, "1d", place="till")[0][1:] == (6, 10)
    assert told(store, "1h", place="till") == [(4, 4, 4), (6, 6, 6)]


def test_a_zone_and_a_camera_are_one_place_between_the_greatest_and_the_sum(store):
    """Nobody knows who of the zone was in the camera, but all were on the site."""
    write(store, "one", *((i, NOON + 60 * i) for i in range(1, 11)), camera="yard")
    keep(store, counted("one", NOON, 4, place="till"), counted("one", NOON, 10, place="camera:yard", tracks=10))
    group = {"either": ["till", "camera:yard"]}
    (row,) = gallery_history(store).counts(places=["either"], groups=group)
    assert (row["unique_low"], row["unique_high"]) == (9, 10 + 4)
    keep(store, counted("one", NOON, 13, tracks=13))  # no more than were anywhere
    (row,) = gallery_history(store).counts(places=["either"], groups=group)
    assert row["unique_low"] <= row["unique"] <= row["unique_high"]
    assert (row["unique_low"] <= 10, 13 <= row["unique_high"] <= 14, row["visits"]) == (True, True, None)
    (row,) = gallery_history(store).counts(places=["either"], groups=group, min_people=20)
    assert (row["withheld"], row["unique"]) == (True, None)


def test_zones_of_a_gallery_are_counted_by_whole_hours_and_it_is_said(store):
    keep(store, counted("one", NOON, 4, place="till"))
    with pytest.raises(ConfigError, match=r"'till' every 15m.*by the hour"):
        gallery_history(store).counts("15m", places=["till"])


def test_few_people_are_withheld_in_sums_too(store):
    keep(store, counted("one", NOON, 2, place="till", least=5), counted("one", NOON + 3600, 1, place="till", least=5))
    assert [row["withheld"] for row in gallery_history(store).counts("1d", places=["till"])] == [True]
    assert told(store, "1h", place="till") == [(None, None, None)] * 2


def test_parts_of_hours_and_an_empty_gallery(store):
    assert told(store) == []
    keep(store, counted("one", NOON, 8))
    (row,) = told(store, start=NOON + 1800, end=NOON + 7200)
    assert (row[0], row[2]) == (4, 8)
    assert np.isfinite(row[1])
