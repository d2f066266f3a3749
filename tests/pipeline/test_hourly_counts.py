"""Counts per hour that a run leaves in its gallery: at its end, when an hour is over, and when merges revise it."""

import csv
from datetime import datetime, timezone

import numpy as np
import pytest

from streamreid import Pipeline, open_run
from streamreid.association import TrackLinks
from streamreid.gallery import Gallery
from streamreid.pipeline import hourly_counts
from streamreid.pipeline.hourly_counts import HourlyCounts, RunSnapshot
from streamreid.places import PlaceInfo, PlaceLog, TrackSpan, Visit
from streamreid.runs import run
from streamreid.sinks import FinalIdentities
from streamreid.types import IdentityEvent

NOON = 1_700_049_600.0
"""2023-11-15T12:00 UTC."""


class Site:
    """What a run has seen, as a test says, and the counts that it gave."""

    def __init__(self):
        self.spans, self.visits, self.who, self.puts = [], [], {}, []

    def see(self, track, start, end, who):
        self.spans.append(TrackSpan("hall", track, start, end, 20))
        self.visits.append(Visit("shop", "hall", track, start, end))
        self.who["hall", track] = who, 0.9

    def look(self):
        places = {"shop": PlaceInfo("shop", "zone", ("hall",), min_people=5)}
        watched = {"hall": (self.spans[0].start, self.spans[-1].end)}
        log = PlaceLog(tuple(self.visits), spans=tuple(self.spans), places=places, watched=watched)
        return RunSnapshot(log, FinalIdentities(self.who), TrackLinks((), np.zeros((0, 2), np.int64), np.zeros(0)))

    def put(self, counts):
        self.puts.append(counts)

    def told(self):
        """Hours since noon and people of each hour that was given since the last call."""
        puts, self.puts = self.puts, []
        return [((hour - NOON) / 3600, c.people) for put in puts for (place, hour), c in put.items() if place == "shop"]


@pytest.fixture
def site():
    return Site()


def waited(counts):
    if counts._thread is not None:
        counts._thread.join()


def test_an_hour_is_counted_when_it_is_over_and_when_it_is_revised(site):
    counts = HourlyCounts("run", site.look, site.put, live=True)
    counts.at(NOON + 10)
    site.see(1, NOON + 10, NOON + 30, 1)
    site.see(2, NOON + 40, NOON + 60, 2)
    counts.at(NOON + 3600)
    waited(counts)
    assert site.told() == []  # tracks of the hour may still be on their way
    site.see(3, NOON + 3700, NOON + 3720, 3)
    counts.at(NOON + 3720)
    waited(counts)
    assert site.told() == [(0, 2)]
    site.who["hall", 2] = 1, 0.9
    counts.note([IdentityEvent("merge", NOON + 3730, 1, other_id=2)])
    counts.at(NOON + 3740)
    waited(counts)
    assert site.told() == []
    counts.at(NOON + 4400)
    waited(counts)
    assert site.told() == [(0, 1)]
    counts.finish()
    counts.finish()
    assert site.told() == [(1, 1)]


def test_a_revision_counts_people_who_are_gone(site):
    counts = HourlyCounts("run", site.look, site.put, live=True)
    counts.at(NOON + 10)
    for track in (1, 2, 3):
        site.see(track, NOON + 30 * track, NOON + 30 * track + 20, track)
    counts.at(NOON + 3700)
    waited(counts)
    assert site.told() == [(0, 3)]
    del site.who["hall", 3]  # forgotten
    site.who["hall", 2] = 1, 0.9
    counts.note([IdentityEvent("merge", NOON + 3730, 1, other_id=2)])
    counts.finish()
    assert site.told() == [(0, 2)]


def test_counts_of_few_people_are_told_with_what_the_place_asks_for(site):
    site.see(1, NOON + 10, NOON + 30, 1)
    HourlyCounts("run", site.look, site.put, live=False).finish()
    ((shop, _, everywhere),) = [list(put.values()) for put in site.puts]
    assert (shop.people, shop.min_people, shop.hour, shop.seconds) == (1, 5, NOON, pytest.approx(20.0))
    assert (everywhere.place, everywhere.min_people) == ("everywhere", 0)


def test_hours_of_very_many_tracks_have_no_interval(site, monkeypatch):
    monkeypatch.setattr(hourly_counts, "_MOST_SAMPLED", 2)
    for track, start in enumerate((10, 40, 70, 3610), 1):
        site.see(track, NOON + start, NOON + start + 20, track)
    HourlyCounts("run", site.look, site.put, live=False).finish()
    found = {c.hour: (c.people, c.people_low is None) for put in site.puts for c in put.values() if c.place == "shop"}
    assert found == {NOON: (3, True), NOON + 3600: (1, False)}


def recorded(scene, colours, folder, store, start_time, **more):
    config = scene.config(
        scene.camera("left", [0, 1, 2]),
        association={"confirm_observations": 5, "confirm_seconds": 0.5},
        gallery={"store": str(store)},
        zones=[{"name": "shop", "camera": "left", "polygon": [[50, 0], [80, 0], [80, 240], [50, 240]]}],
        **more,
    )
    cameras = [camera.model_copy(update={"start_time": start_time}) for camera in config.cameras]
    with Pipeline(config.model_copy(update={"cameras": tuple(cameras)}), embedder=colours) as pipeline:
        run(pipeline, folder)


def test_the_report_of_a_gallery_knows_hours_whose_people_are_forgotten(scene, colours, call, tmp_path):
    store, noon = tmp_path / "people.db", datetime(2023, 11, 15, 12, 59, 58, 500000, tzinfo=timezone.utc)
    recorded(scene, colours, tmp_path / "run", store, noon)
    table = open_run(tmp_path / "run").counts("1h")
    expected = {(row["place"], row["start"] // 3600 * 3600): row for row in table}
    assert len({hour for _, hour in expected}) == 2
    with Gallery.open(store) as gallery:
        kept = {(count.place, count.hour): count for count in gallery.counts()}
        assert set(kept) == set(expected)
        for cell, row in expected.items():
            assert (kept[cell].people, kept[cell].visits, kept[cell].exits) == (
                row["unique"],
                row["visits"],
                row["exits"],
            )
            assert kept[cell].people_low <= kept[cell].people <= kept[cell].people_high
    code, said, why = call("report", store, "--every", "1h", "--csv", tmp_path / "before.csv", "--place", "left")
    assert code == 0, (said, why)
    code, said, why = call("gallery", "forget", 1, 2, 3, "--gallery", store, "--yes", "--also", tmp_path / "run")
    assert code == 0, (said, why)
    for options, seen in (([], 3), (["--min-people", "4"], None)):
        page = ["--html", tmp_path / "page.html"]
        code, said, why = call("report", store, "--every", "1h", "--csv", tmp_path / "after.csv", *page, *options)
        assert code == 0, (said, why)
        with (tmp_path / "after.csv").open(encoding="utf-8", newline="") as file:
            rows = {(row["place"], float(row["start"])): row["unique"] for row in csv.DictReader(file)}
        assert set(rows) == set(expected)
        assert rows["everywhere", NOON] == ("" if seen is None else str(seen))
    code, said, why = call("gallery", "stats", "--gallery", store)
    assert "counted hours: 2" in said
    code, said, why = call("gallery", "forget-counts", "--gallery", store, "--yes")
    assert (code, f"{len(expected)} hourly counts deleted" in said) == (0, True)
    code, said, why = call("report", store, "--every", "1h")
    assert "nobody was seen" in said


def test_recordings_without_a_date_leave_no_counts(scene, colours, tmp_path):
    recorded(scene, colours, tmp_path / "run", tmp_path / "people.db", None)
    with Gallery.open(tmp_path / "people.db") as gallery:
        assert len(gallery.identities()) == 3
        assert gallery.counts() == []
