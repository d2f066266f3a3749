"""Counts of people per place and period, on logs small enough to count by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from streamreid.errors import ConfigError, OutputError
from streamreid.places import EVERYWHERE, PlaceInfo, PlaceLog, TrackSpan, Visit, camera_place
from streamreid.places.counts import COLUMNS, count_people, periods
from streamreid.places.stays import staff_of
from streamreid.sinks import FinalIdentities
from streamreid.types import TrackKey


def spans(*rows: tuple[str, int, float, float]) -> tuple[TrackSpan, ...]:
    return tuple(TrackSpan(*row) for row in rows)


def who(links: dict[TrackKey, int], **more: object) -> FinalIdentities:
    return FinalIdentities({key: (gid, 0.9) for key, gid in links.items()}, **more)  # type: ignore[arg-type]


HALL = PlaceLog(
    spans=spans(("hall", 1, 0, 40), ("hall", 2, 10, 12), ("hall", 3, 100, 130), ("yard", 1, 50, 70)),
    watched={"hall": (0.0, 200.0), "yard": (0.0, 200.0)},
)
# Track 3 of the hall is the person of track 1, who was in the yard between; 2 walked by.
WHO = who({("hall", 1): 7, ("hall", 2): 8, ("hall", 3): 7, ("yard", 1): 7})


def row(table: object, place: str, start: float = 0.0) -> dict[str, object]:
    return next(dict(r) for r in table if r["place"] == place and r["start"] == start)  # type: ignore[attr-defined]


def test_people_are_counted_and_not_tracks() -> None:
    found = row(count_people(HALL, WHO), camera_place("hall"))
    assert found["unique"] == 2
    assert found["visits"] == 3
    assert found["re_entries"] == 1
    assert found["passers_by"] == 1
    assert found["occupancy_max"] == 2
    assert found["occupancy_min"] == 0
    assert found["occupancy_mean"] == pytest.approx((40 + 2 + 30) / 200)
    assert found["dwell_median"] == pytest.approx((70 + 2) / 2)  # per person: 40 + 30 s, and 2 s
    assert found["dwell_p90"] == pytest.approx(2 + 0.9 * 68)
    assert found["unique_low"] is None


def test_who_is_there_at_the_first_frame_did_not_come_then() -> None:
    found = row(count_people(HALL, WHO), camera_place("hall"))
    assert (found["entries"], found["exits"]) == (2, 3)
    zone = PlaceLog(
        visits=(Visit("shop", "hall", 1, 0, 5, entered=True), Visit("shop", "hall", 2, 190, 200.0)),
        places={"shop": PlaceInfo("shop", "zone", ("hall",))},
        watched={"hall": (0.0, 200.0)},
    )
    found = row(count_people(zone, who({("hall", 1): 1, ("hall", 2): 2})), "shop")
    assert (found["entries"], found["exits"]) == (2, 1)  # seen to come in at 0; still there at the end


def test_a_merge_revises_counts_without_a_change_of_records() -> None:
    apart = count_people(HALL, who({("hall", 1): 7, ("hall", 2): 8, ("hall", 3): 9, ("yard", 1): 10}))
    joined = count_people(HALL, WHO)
    assert row(apart, EVERYWHERE)["unique"] == 4
    assert row(joined, EVERYWHERE)["unique"] == 2


def test_two_tracks_of_one_person_at_one_time_are_one_stay() -> None:
    log = PlaceLog(spans=spans(("a", 1, 0, 10), ("b", 1, 5, 20), ("a", 2, 22, 30)))
    found = row(count_people(log, who({("a", 1): 1, ("b", 1): 1, ("a", 2): 1})), EVERYWHERE)
    assert (found["visits"], found["unique"], found["occupancy_max"], found["dwell_median"]) == (1, 1, 1, 30.0)


def test_periods_begin_with_the_hour_and_are_cut_at_both_ends() -> None:
    assert periods(1800, 9000, 3600) == [(1800, 3600), (3600, 7200), (7200, 9000)]
    assert periods(0, 7200, 3600) == [(0, 3600), (3600, 7200)]
    assert periods(5, 5, None) == [(5, 5)]
    assert periods(0.0, -1.0, 60) == []


def test_times_are_told_without_what_rounding_leaves() -> None:
    starts = [r["start"] for r in count_people(HALL, WHO, every=0.1, start=7.05, end=8.0) if r["place"] == EVERYWHERE]
    assert starts == [7.05, *(round(7.1 + i / 10, 1) for i in range(9))]


def test_a_person_counts_in_every_period_of_a_stay() -> None:
    table = count_people(HALL, WHO, every=20, places=["camera:hall"])
    assert [r["unique"] for r in table] == [2, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0]
    assert [r["entries"] for r in table] == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]


def test_the_last_frame_belongs_to_the_last_period() -> None:
    log = PlaceLog(spans=spans(("a", 1, 0, 10), ("a", 2, 10, 10)))
    assert row(count_people(log, who({("a", 1): 1, ("a", 2): 2})), EVERYWHERE)["unique"] == 2


def test_staff_is_left_out_by_name_and_by_time_in_view() -> None:
    named = who({("hall", 1): 7, ("hall", 2): 8, ("hall", 3): 7, ("yard", 1): 7}, names={8: "Anna"})
    assert row(count_people(HALL, named, staff=["Anna"]), EVERYWHERE)["unique"] == 1
    table = count_people(HALL, named, staff_after=60.0)
    assert table.staff == {7}
    assert row(table, EVERYWHERE)["unique"] == 1
    assert staff_of(HALL, named, names=[8]) == {8}


def test_rows_of_few_people_are_withheld_and_empty_ones_are_not() -> None:
    table = count_people(HALL, WHO, every=100, min_people=2)
    first = row(table, camera_place("hall"))
    assert first["unique"] == 2
    assert first["withheld"] is False
    second = row(table, camera_place("hall"), 100.0)
    assert second["withheld"] is True
    assert {v for k, v in second.items() if k not in ("place", "start", "end", "withheld")} == {None}
    assert row(table, camera_place("yard"), 100.0)["unique"] == 0


def test_a_place_may_ask_for_more_people() -> None:
    log = PlaceLog(
        visits=(Visit("till", "hall", 1, 1, 5),), places={"till": PlaceInfo("till", "zone", ("hall",), min_people=3)}
    )
    assert row(count_people(log, who({("hall", 1): 1})), "till", 1)["withheld"] is True


def test_queue_and_groups() -> None:
    log = PlaceLog(
        visits=(Visit("till", "hall", 1, 1, 5), Visit("till", "hall", 2, 3, 9), Visit("shop", "yard", 1, 2, 8)),
        places={"till": PlaceInfo("till", "zone", ("hall",), queue=True), "shop": PlaceInfo("shop", "zone", ("yard",))},
    )
    people = who({("hall", 1): 1, ("hall", 2): 2, ("yard", 1): 1})
    table = count_people(log, people, places=["till", "shop"], groups={"both": ["till", "shop"]})
    assert [r["unique"] for r in table] == [2, 1, 2]
    assert [r["queue_max"] for r in table] == [2, None, 2]
    assert row(table, "both", 1)["visits"] == 2


def test_unlinked_tracks_are_nobody() -> None:
    links = {("hall", 1): 7, ("hall", 2): 8}
    assert row(count_people(HALL, who(links, unlinked={8})), EVERYWHERE)["unique"] == 1


def test_an_empty_run_gives_an_empty_table() -> None:
    assert len(count_people(PlaceLog(), who({}))) == 0
    table = count_people(PlaceLog(watched={"hall": (0.0, 59.0)}), who({}), every=30)
    assert len(table) == 4
    assert {r["unique"] for r in table} == {0}
    assert all(r["dwell_median"] is None for r in table)


def test_columns_are_ready_for_data_frames(tmp_path: Path) -> None:
    table = count_people(HALL, WHO, every=100)
    columns = table.to_dict()
    assert tuple(columns) == COLUMNS
    assert {len(values) for values in columns.values()} == {len(table)}
    table.write_csv(tmp_path / "counts.csv")
    with (tmp_path / "counts.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [r["place"] for r in read] == columns["place"]
    assert read[0]["unique_low"] == ""
    pq = pytest.importorskip("pyarrow.parquet")
    table.write_parquet(tmp_path / "counts.parquet")
    assert pq.read_table(tmp_path / "counts.parquet").to_pydict() == columns


def test_what_cannot_be_written_says_where(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="missing"):
        count_people(HALL, WHO).write_csv(tmp_path / "missing" / "counts.csv")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"places": ["camera:hal"]}, "did you mean 'camera:hall'"),
        ({"groups": {"g": ["nowhere"]}}, "group 'g' names the place 'nowhere'"),
        ({"every": 0}, "positive"),
        ({"every": -5}, "positive"),
        ({"every": float("nan")}, "positive"),
        ({"every": 1e-5}, "periods"),
        ({"start": 50.0, "end": 20.0}, "before the start"),
        ({"start": float("nan")}, "no time"),
        ({"min_people": -1}, "0 or more"),
    ],
)
def test_bad_input_says_what_and_where(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        count_people(HALL, WHO, **settings)  # type: ignore[arg-type]


def test_joining_identities_never_raises_a_count() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        rows = [("ab"[int(rng.integers(2))], i + 1, *np.sort(rng.uniform(0, 100, 2)).tolist()) for i in range(12)]
        log = PlaceLog(spans=spans(*rows))
        label = {(r[0], r[1]): int(rng.integers(1, 9)) for r in rows}
        a, b = rng.choice(8, 2, replace=False) + 1
        joined = {key: (int(a) if gid == b else gid) for key, gid in label.items()}
        for before, after in zip(
            count_people(log, who(label), every=17), count_people(log, who(joined), every=17), strict=True
        ):
            assert after["unique"] <= before["unique"]
            assert after["occupancy_max"] <= after["unique"]
            assert after["visits"] <= before["visits"]
            assert after["occupancy_min"] <= after["occupancy_mean"] <= after["occupancy_max"]
