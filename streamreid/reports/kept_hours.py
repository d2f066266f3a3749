"""People of whom a gallery has only counts per hour: they were forgotten, or seen too little to be remembered.

They are added to the people who are remembered. With U people counted by a run in an hour and R of them remembered,
U - R are missing. Nobody knows who of one hour is who of another, so of several hours the missing are at least as many
as in the hour with most, and at most their sum; the estimate supposes that they are as often the same from hour to hour
as those who are remembered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from streamreid.gallery import HourlyCount, TrackRecord
from streamreid.gallery.records import HOUR
from streamreid.gallery.tables.hourly_counts import joined_counts
from streamreid.places import EVERYWHERE, camera_place
from streamreid.places.counts import COLUMNS, UniqueSamples
from streamreid.sinks import FinalIdentities
from streamreid.types import TrackKey

__all__ = ["KeptHours", "either"]

_ENOUGH = 20
"""Remembered people, counted anew in every hour, from which they say how often people are the same in two hours."""

_ADDED = ("visits", "entries", "exits", "re_entries", "passers_by")
"""Columns of which hours are added up."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Missing:
    """People of an hour and a run who are not remembered.

    Args:
        people: How many, estimated.
        high: At most, with the interval of the hour.
        counted: How many were counted at least, with those who are remembered.
        remembered: How many are remembered.
        share: How much of the time that the run watched in this hour was asked for.
    """

    people: float
    high: float
    counted: float
    remembered: float
    share: float


class KeptHours:
    """Counts of hours that a gallery kept.

    Args:
        records: Of each run, place and hour, nothing withheld.
        tracks: Track records that are remembered, by row id.
    """

    def __init__(self, records: Iterable[HourlyCount], tracks: Mapping[int, TrackRecord]) -> None:
        self.records = tuple(records)
        self._tracks = tracks

    @cached_property
    def _remembered(self) -> Mapping[tuple[str, str, float], list[TrackKey]]:
        """Tracks by run, place and hour."""
        found: dict[tuple[str, str, float], list[TrackKey]] = defaultdict(list)
        for row, record in self._tracks.items():
            hour = record.start // HOUR * HOUR
            while hour <= record.end:
                for place in (camera_place(record.camera), EVERYWHERE):
                    found[record.run, place, hour].append((record.camera, row))
                hour += HOUR
        return found

    def covers(self, places: Collection[str]) -> bool:
        """Whether the whole site was counted in every hour in which one of some places was."""
        everywhere = {c.hour for c in self.records if c.place == EVERYWHERE}
        return all(c.hour in everywhere for c in self.records if c.place in places)

    def added(
        self,
        name: str,
        members: Sequence[str],
        rows: Sequence[Row],
        cells: Sequence[tuple[float, float]],
        *,
        asked: tuple[float | None, float | None],
        samples: UniqueSamples | None,
        min_people: int,
        identities: FinalIdentities,
    ) -> list[Row]:
        """The rows of a place, with the people who are not remembered.

        Args:
            name: Of the place.
            members: Places that it consists of.
            rows: What is remembered.
            cells: Start and end of all periods.
            asked: From when to when counts were asked for.
            samples: Who may be who.
            min_people: Rows of fewer people than this are withheld.
            identities: Who is who.
        """
        mine = [c for c in self.records if c.place in members]
        given = {_cell(row["start"], cells): row for row in rows}
        result: list[Row] = []
        for cell in cells:
            there = [c for c in mine if c.hour < cell[1] and c.hour + HOUR > cell[0]]
            row = given.get(cell)
            if not there:
                result += [] if row is None else [row]
                continue
            missing = [(c, self._missing(c, samples, identities, asked)) for c in there]
            if row is not None and not any(m.people >= 1 for _, m in missing):
                result.append(row)
            elif not any(m.remembered for _, m in missing) and _one_hour(there, cell, asked):
                result += [_kept_row(name, c, min_people) for c in joined_counts(there)]
            else:
                result.append(_sum(name, cell, row, missing, min_people))
        return result

    def _missing(
        self,
        count: HourlyCount,
        samples: UniqueSamples | None,
        identities: FinalIdentities,
        asked: tuple[float | None, float | None],
    ) -> _Missing:
        there = self._remembered.get((count.runs[0], count.place, count.hour), [])
        known = float(len({identities[key][0] for key in there if key in identities} - {0}))
        if samples is not None and there:
            known = samples.unique(there)[0]
        people = float(count.people or 0)
        low = people if count.people_low is None else float(count.people_low)
        high = people if count.people_high is None else float(count.people_high)
        most = float("inf") if count.tracks is None else max(count.tracks - len(there), 0)
        missing = min(max(people - known, 0.0), most)
        return _Missing(missing, min(max(high - known, missing), most), low, known, self._share(count, asked))

    def _share(self, count: HourlyCount, asked: tuple[float | None, float | None]) -> float:
        there = [self._tracks[row] for _, row in self._remembered.get((count.runs[0], EVERYWHERE, count.hour), [])]
        first = max(min([r.start for r in there], default=count.hour), count.hour)
        last = min(max([r.end for r in there], default=count.hour + HOUR), count.hour + HOUR)
        begin, end = (
            time if at is None else min(max(at, first), last) for at, time in zip(asked, (first, last), strict=True)
        )
        return (end - begin) / (last - first) if last > first else 1.0


def either(
    name: str,
    parts: Sequence[Sequence[Row]],
    everybody: Sequence[Row],
    cells: Sequence[tuple[float, float]],
    *,
    min_people: int,
) -> list[Row]:
    """The rows of a place that consists of several of which nobody knows who of one was in another: a zone and cameras.

    There were at least as many people as in the part with most, and at most the sum of all, or everybody. The estimate
    is the middle of both; nothing else can be told of them together.

    Args:
        name: Of the place.
        parts: Rows of each part, none of them withheld for ``min_people``.
        everybody: Rows of the whole site.
        cells: Start and end of all periods.
        min_people: Rows of fewer people than this are withheld.
    """
    result: list[Row] = []
    for cell in cells:
        there = [row for rows in parts for row in rows if _cell(row["start"], cells) == cell]
        if not there:
            continue
        told = {**dict.fromkeys(COLUMNS), "place": name, "start": cell[0], "end": cell[1]}
        if any(row["withheld"] for row in there):
            result.append({**told, "withheld": True})
            continue
        least, most = (max(_end(row, "low") for row in there), sum(_end(row, "high") for row in there))
        site = [row for row in everybody if _cell(row["start"], cells) == cell and not row["withheld"]]
        most = max(min([most, *(_end(row, "high") for row in site)]), least)
        middle = sum((max(row["unique"] for row in there), min(sum(row["unique"] for row in there), most))) / 2
        unique = min(max(round(middle), least), most)
        if 0 < unique < min_people:
            result.append({**told, "withheld": True})
        else:
            result.append({**told, "unique": unique, "unique_low": least, "unique_high": most, "withheld": False})
    return result


def _end(row: Row, side: str) -> int:
    """An end of the interval of a row; without one the number."""
    found = row[f"unique_{side}"]
    return int(row["unique"] if found is None else found)


def _cell(start: float, cells: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """The period in which a row begins."""
    return next((cell for cell in cells if cell[0] - 1e-6 <= start < cell[1]), None)


def _one_hour(
    counts: Collection[HourlyCount], cell: tuple[float, float], asked: tuple[float | None, float | None]
) -> bool:
    """Whether a period is an hour, and wanted as a whole."""
    hours = {count.hour for count in counts}
    hour = min(hours)
    whole = (asked[0] is None or asked[0] <= hour) and (asked[1] is None or asked[1] >= hour + HOUR)
    return len(hours) == 1 and whole and cell[1] - cell[0] <= HOUR


def _kept_row(name: str, count: HourlyCount, min_people: int) -> dict[str, Any]:
    """An hour as it was counted."""
    withheld = count.people is None or 0 < count.people < min_people
    told = {"place": name, "start": count.hour, "end": count.hour + HOUR, "withheld": withheld}
    numbers = {column: getattr(count, column) for column in COLUMNS if hasattr(count, column) and column not in told}
    people = {"unique": count.people, "unique_low": count.people_low, "unique_high": count.people_high}
    return {**dict.fromkeys(COLUMNS), **({} if withheld else {**numbers, **people}), **told}


def _sum(
    name: str,
    cell: tuple[float, float],
    row: Row | None,
    missing: Sequence[tuple[HourlyCount, _Missing]],
    min_people: int,
) -> dict[str, Any]:
    """A row with the people who are not remembered."""
    known = {} if row is None or row["withheld"] else row
    base = int(known.get("unique") or 0)
    people = [m.people * m.share for _, m in missing]
    more = _estimate(people, base, sum(m.remembered for _, m in missing))
    unique = base + round(more)
    told: dict[str, Any] = {**dict.fromkeys(COLUMNS), **known, "place": name, "unique": unique}
    told |= {"start": cell[0], "end": cell[1]} if row is None else {}
    low, high = known.get("unique_low", base), known.get("unique_high", base)
    if not base or (low is not None and high is not None):
        whole = [m.counted for _, m in missing if m.share == 1.0]
        told["unique_low"] = min(max([int(low or 0), *map(int, whole)]), unique)
        told["unique_high"] = max(int(high or 0) + round(sum(m.high for _, m in missing)), unique)
    told |= _of_hours([c for c, m in missing if m.share == 1.0], known)
    least = max([min_people, *(c.min_people for c, _ in missing)])
    if 0 < unique < least:
        return {**dict.fromkeys(COLUMNS), **{k: told[k] for k in ("place", "start", "end")}, "withheld": True}
    return {**told, "withheld": False}


def _estimate(people: Sequence[float], base: int, remembered: float) -> float:
    """How many different people the missing of several hours are."""
    total, most = sum(people), max(people, default=0.0)
    again = base / remembered if remembered >= _ENOUGH else (most / total + 1.0) / 2 if total else 1.0
    return min(max(again * total, most), total)


def _of_hours(counts: Sequence[HourlyCount], known: Row) -> dict[str, Any]:
    """What hours say besides the number of different people: never less than what is remembered."""
    found: dict[str, Any] = {}
    if not counts:  # of a part of an hour nothing else is known
        return found
    for column in _ADDED:
        found[column] = max(sum(getattr(c, column) or 0 for c in counts), known.get(column) or 0)
    found["occupancy_max"] = max([known.get("occupancy_max") or 0, *(c.occupancy_max or 0 for c in counts)])
    seconds = sum(c.seconds for c in counts)
    if seconds and not known.get("occupancy_mean"):
        found["occupancy_mean"] = sum((c.occupancy_mean or 0.0) * c.seconds for c in counts) / seconds
    return found
