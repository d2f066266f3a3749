"""Moves of people between places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from streamreid.errors import ConfigError
from streamreid.places import PlaceInfo, PlaceLog, TrackSpan, Visit
from streamreid.places.flows import FLOW_COLUMNS, count_flows
from streamreid.sinks import FinalIdentities
from streamreid.types import TrackKey

LOG = PlaceLog(
    spans=(
        TrackSpan("hall", 1, 0, 10),
        TrackSpan("yard", 1, 15, 30),
        TrackSpan("hall", 2, 100, 110),
        TrackSpan("hall", 3, 5, 9),
        TrackSpan("yard", 2, 16, 40),
    )
)
LINKS = {("hall", 1): 1, ("yard", 1): 1, ("hall", 2): 1, ("hall", 3): 2, ("yard", 2): 2}


def who(links: Mapping[TrackKey, int]) -> FinalIdentities:
    return FinalIdentities({key: (gid, 1.0) for key, gid in links.items()})


def test_moves_with_travel_times_and_ways() -> None:
    table = count_flows(LOG, who(LINKS))
    rows = {(r["origin"], r["destination"]): r for r in table}
    out = rows["camera:hall", "camera:yard"]
    assert (out["moves"], out["people"], out["travel_median"]) == (2, 2, 6.0)
    assert out["travel_p90"] == pytest.approx(6.8)
    assert rows["camera:yard", "camera:hall"]["travel_median"] == 70.0
    assert table.ways == (
        (("camera:hall", "camera:yard"), 1),
        (("camera:hall", "camera:yard", "camera:hall"), 1),
    )
    assert table.matrix() == (["camera:hall", "camera:yard"], [[0, 2], [1, 0]])
    assert tuple(table.to_dict()) == FLOW_COLUMNS


def test_zones_are_the_places_where_there_are_zones() -> None:
    log = PlaceLog(
        visits=(Visit("door", "hall", 1, 0, 2), Visit("till", "hall", 1, 1, 9)),
        spans=(TrackSpan("hall", 1, 0, 9),),
        places={n: PlaceInfo(n, "zone", ("hall",)) for n in ("door", "till")},
    )
    (row,) = count_flows(log, who({("hall", 1): 1}))
    assert (row["origin"], row["destination"], row["travel_median"]) == ("door", "till", 0.0)  # places that overlap


def test_who_is_in_two_cameras_all_the_time_goes_nowhere() -> None:
    both = PlaceLog(spans=(TrackSpan("hall", 1, 0.2, 10), TrackSpan("yard", 1, 0.4, 10.3)))
    links = who({("hall", 1): 1, ("yard", 1): 1})
    table = count_flows(both, links)
    assert (len(table), table.ways) == (0, ((("camera:hall",), 1),))
    out = PlaceLog(spans=(TrackSpan("hall", 1, 0.2, 10), TrackSpan("yard", 1, 0.4, 3)))
    table = count_flows(out, links)
    assert [(r["origin"], r["destination"]) for r in table] == [("camera:yard", "camera:hall")]
    assert table.ways == ((("camera:yard", "camera:hall"), 1),)


def test_a_period_holds_the_moves_that_arrive_in_it() -> None:
    assert {(r["origin"], r["moves"]) for r in count_flows(LOG, who(LINKS), start=50)} == {("camera:yard", 1)}


class Samples:
    """Two samples: as believed, and with everybody apart."""

    def persons(self) -> Iterator[dict[TrackKey, int]]:
        yield dict(LINKS)
        yield {key: i for i, key in enumerate(LINKS)}


def test_the_interval_comes_from_the_samples() -> None:
    rows = {(r["origin"], r["destination"]): r for r in count_flows(LOG, who(LINKS), Samples())}
    found = rows["camera:hall", "camera:yard"]
    assert (found["moves_low"], found["moves"], found["moves_high"]) == (0, 2, 2)


def test_few_people_are_withheld_and_staff_is_left_out() -> None:
    table = count_flows(LOG, who(LINKS), min_people=2)
    assert {(r["origin"], r["withheld"]) for r in table} == {("camera:hall", False), ("camera:yard", True)}
    assert table.ways == ()
    assert len(count_flows(LOG, who(LINKS), staff=[1])) == 1


def test_nothing_and_the_unknown(tmp_path: Path) -> None:
    empty = count_flows(PlaceLog(), who({}))
    assert len(empty) == 0
    assert empty.matrix() == ([], [])
    empty.write_csv(tmp_path / "flows.csv")
    assert (tmp_path / "flows.csv").read_text().startswith("origin,destination,moves")
    with pytest.raises(ConfigError, match="did you mean 'camera:hall'"):
        count_flows(LOG, who(LINKS), places=["camera:hal"])


def test_ways_are_those_of_the_period() -> None:
    assert count_flows(LOG, who(LINKS), end=50).ways == ((("camera:hall", "camera:yard"), 2),)


def test_moves_and_ways_of_a_place_that_withholds_small_numbers_are_withheld() -> None:
    log = PlaceLog(
        visits=(Visit("door", "hall", 1, 0, 2), Visit("till", "hall", 1, 3, 9)),
        spans=(TrackSpan("hall", 1, 0, 9),),
        places={
            "door": PlaceInfo("door", "zone", ("hall",)),
            "till": PlaceInfo("till", "zone", ("hall",), min_people=5),
        },
    )
    table = count_flows(log, who({("hall", 1): 1}))
    assert [row["withheld"] for row in table] == [True]
    assert table.matrix()[1] == [[0, None], [0, 0]]
    assert table.ways == ()
