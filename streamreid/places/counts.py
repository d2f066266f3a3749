"""Counts of people per place and period.

Everything counts people and not tracks: the visits of tracks become stays of people (``stays.py``) by who is who, so a
merge or a split of identities changes the counts, and no record. A stay belongs to every period that it overlaps;
entries, re-entries and passers-by to the period in which it begins, exits to that in which it ends.

``unique`` is the number of different people. With samples of who may be who (``partition_sampling.py``) it is the
median over them, and ``unique_low`` to ``unique_high`` holds the number of people with a probability of 90 %.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from streamreid.errors import ConfigError, MissingExtraError, OutputError
from streamreid.places.csv_file import write_csv
from streamreid.places.records import EARLIEST_DATE, PlaceInfo, PlaceLog, Visit
from streamreid.places.stays import ABSENCE, Identities, Stay, people_of, staff_of, stays_at, visits_at
from streamreid.suggestions import nearest
from streamreid.types import TrackKey

__all__ = ["COLUMNS", "PASSING", "CountsTable", "UniqueSamples", "count_people", "periods", "wanted_places"]

PASSING = 5.0
"""Seconds below which a stay is that of a passer-by: about the time in which one walks through a picture."""

COLUMNS = (
    "place",
    "start",
    "end",
    "visits",
    "entries",
    "exits",
    "re_entries",
    "passers_by",
    "occupancy_min",
    "occupancy_mean",
    "occupancy_max",
    "dwell_median",
    "dwell_p90",
    "queue_max",
    "unique",
    "unique_low",
    "unique_high",
    "withheld",
)
"""Names of the columns, in their order."""

_CELLS = 1_000_000
"""Most periods times places of one table; more is a mistake in ``every``, and would fill the memory."""

_AT_EDGE = 1.0
"""Seconds after the first and before the last frame of a recording in which people are there already, or still: they
did not come or go then."""


class UniqueSamples(Protocol):
    """Samples of who may be who, for the number of different people; see ``partition_sampling.PartitionSamples``."""

    def unique(self, tracks: Collection[TrackKey], *, without: Collection[TrackKey] = ()) -> tuple[float, float, float]:
        """How many different people some tracks are: estimate, and both ends of the 90 % interval.

        Args:
            tracks: That were there.
            without: Tracks of people who are not to be counted.
        """


@dataclass(frozen=True, slots=True)
class CountsTable:
    """One row per place and period.

    Args:
        rows: Values by name of column; see ``COLUMNS``. What cannot be told is None: dwell where nobody was, the queue
            of a place without one, the interval where there are no samples, everything of a row that is ``withheld``.
        staff: Global ids of people who were left out.
    """

    rows: tuple[Mapping[str, Any], ...]
    staff: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.rows)

    def to_dict(self) -> dict[str, list[Any]]:
        """Columns by name: ``pandas.DataFrame(table.to_dict())``, ``polars.DataFrame(table.to_dict())``."""
        return {name: [row[name] for row in self.rows] for name in COLUMNS}

    def write_csv(self, path: Path | str) -> None:
        """Write the table as CSV; None is an empty field.

        Raises:
            OutputError: It cannot be written.
        """
        write_csv(path, COLUMNS, self.rows, what="counts")

    def write_parquet(self, path: Path | str) -> None:
        """Write the table as Parquet.

        Raises:
            MissingExtraError: pyarrow is not installed.
            OutputError: It cannot be written.
        """
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError:
            raise MissingExtraError("pyarrow", "parquet", "a Parquet table of counts") from None
        kinds = {"place": pa.string(), "withheld": pa.bool_()}
        whole = (
            "visits",
            "entries",
            "exits",
            "re_entries",
            "passers_by",
            "occupancy_min",
            "occupancy_max",
            "queue_max",
        )
        kinds |= dict.fromkeys((*whole, "unique", "unique_low", "unique_high"), pa.int64())
        schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in COLUMNS])
        try:
            pq.write_table(pa.table(self.to_dict(), schema=schema), str(path))
        except OSError as error:
            raise OutputError(f"cannot write the counts to '{path}': {error.strerror or error}") from error


def periods(start: float, end: float, every: float | None) -> list[tuple[float, float]]:
    """The periods that cover a time: full multiples of ``every`` in UTC, so that hours begin with the hour, cut at both
    ends; or all in one.

    Raises:
        ConfigError: ``every`` is not positive, or gives more than a million periods.
    """
    if not end >= start:
        return []
    if every is None:
        return [(start, end)]
    if not (every > 0 and math.isfinite(every)):
        raise ConfigError(f"counts every {every:g} s: give a positive number of seconds, for example 3600")
    first, count = math.floor(start / every), math.ceil(end / every) - math.floor(start / every)
    if count > _CELLS:
        raise ConfigError(f"counts every {every:g} s over {end - start:g} s are {count} periods; give a longer period")
    edges = [(first + i) * every for i in range(max(count, 1) + 1)]
    return [(max(a, start), min(b, end)) for a, b in itertools.pairwise(edges)]


def count_people(
    log: PlaceLog,
    identities: Identities,
    samples: UniqueSamples | None = None,
    *,
    every: float | None = None,
    start: float | None = None,
    end: float | None = None,
    places: Sequence[str] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    staff: Iterable[str | int] = (),
    staff_after: float | None = None,
    min_people: int = 0,
    passing: float = PASSING,
    absence: float = ABSENCE,
    one_time: bool = True,
) -> CountsTable:
    """Count people per place and period.

    Args:
        log: What was stored of tracks at places.
        identities: Who is who.
        samples: Who may be who, for the interval of ``unique``; None leaves it out, and counts global ids.
        every: Length of the periods in seconds; None: one period.
        start: First capture time; default where the log begins.
        end: Last capture time; default where the log ends.
        places: Which are counted; default all zones, cameras and the whole site.
        groups: Further places that consist of several: a person in any of them is there.
        staff: Names or global ids of people who are left out.
        staff_after: Who is in view of the site for more seconds than this is staff too.
        min_people: Rows of fewer different people than this, but not none, are withheld. A place can ask for more.
        passing: Seconds below which a stay is that of a passer-by.
        absence: Seconds out of a place after which somebody who is back has entered again.
        one_time: Whether all capture times are of one clock, so that who was seen at one time is not one person.

    Returns:
        One row per place and period, places in the order given. The rows of a place that was drawn while the run went
        on begin when it was drawn, and those of one that was taken out end then.

    Raises:
        ConfigError: An unknown place, too many periods, an end before the start, or fewer than no people.
    """
    check_question(start, end, min_people)
    wanted = wanted_places(log, places, groups or {})
    begin, finish = _extent(log) if start is None or end is None else (start, end)
    cells = periods(begin if start is None else start, finish if end is None else end, every)
    if len(cells) * len(wanted) > _CELLS:
        raise ConfigError(f"{len(wanted)} places in {len(cells)} periods are too many rows; give longer periods")
    left_out = staff_of(log, identities, names=staff, longer_than=staff_after)
    everybody = people_of(identities)
    person = {key: who for key, who in everybody.items() if who not in left_out}
    workers = {key for key, who in everybody.items() if who in left_out}
    rows: list[dict[str, Any]] = []
    for name, members in wanted.items():
        visits = visits_at(log, members)
        stays = stays_at(name, visits, person, absence=absence)
        asked = [log.places[m] for m in members if m in log.places]
        least = max([min_people, *(p.min_people for p in asked)])
        counter = _Counter(log, stays, passing, queue=any(p.queue for p in asked))
        for cell in _existing(cells, asked, len(members), visits):
            row = {"place": name, "start": _seconds(cell[0]), "end": _seconds(cell[1]), **counter.row(*cell)}
            if samples is not None:
                there = {v.key for v in visits if v.key in everybody and v.start < cell[1] and v.end >= cell[0]}
                together = row["occupancy_max"] if one_time else 0
                row |= _interval(together, *samples.unique(there, without=workers))
            rows.append(_withheld(row, least))
    return CountsTable(tuple(rows), left_out)


def check_question(start: float | None, end: float | None, min_people: int) -> None:
    """Refuse what cannot be counted.

    Raises:
        ConfigError: The message says what is wrong.
    """
    for name, time in (("start", start), ("end", end)):
        if time is not None and math.isnan(time):
            raise ConfigError(f"{name} is no time; give seconds of capture time")
    if start is not None and end is not None and end < start:
        raise ConfigError(f"the end, {_moment(end)}, is before the start, {_moment(start)}; exchange them")
    if min_people < 0:
        raise ConfigError(f"min_people {min_people}: write 0 or more")


def _moment(time: float) -> str:
    """A capture time for a message."""
    if time < EARLIEST_DATE:
        return f"{time:.10g} s"
    return datetime.fromtimestamp(time, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def _seconds(time: float) -> float:
    """A number as it is told: to the sixth decimal, without what rounding of floating-point sums leaves."""
    return round(time, 6)


def _interval(together: int, estimate: float, low: float, high: float) -> dict[str, int]:
    """Whole numbers, not below the number of people who were there at one time."""
    least = max(math.floor(low), together)
    unique = max(round(estimate), least)
    return {"unique": unique, "unique_low": least, "unique_high": max(math.ceil(high), unique)}


def wanted_places(
    log: PlaceLog, places: Sequence[str] | None, groups: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """The places that each row's name stands for."""
    names = log.place_names
    wanted: dict[str, tuple[str, ...]] = {
        name: (name,) for name in (names if places is None else places) if name not in groups
    }
    wanted |= {name: tuple(dict.fromkeys(members)) for name, members in groups.items()}
    for name, members in wanted.items():
        for member in members:
            if member not in names:
                where = f"group '{name}' names" if name in groups else "counts are asked for of"
                near = nearest(member, names)
                hint = f"did you mean '{near}'?" if near is not None else f"the places are {', '.join(names)}"
                raise ConfigError(f"{where} the place '{member}', which there is not; {hint}")
    return wanted


def _extent(log: PlaceLog) -> tuple[float, float]:
    """First and last time of what was seen; no time at all (end before start) of an empty log."""
    times = [*log.watched.values(), *((s.start, s.end) for s in log.spans), *((v.start, v.end) for v in log.visits)]
    if not times:
        return 0.0, -1.0
    # Periods do not hold their end, but the last one holds the last frame.
    return min(a for a, _ in times), math.nextafter(max(b for _, b in times), math.inf)


def _existing(
    cells: Iterable[tuple[float, float]], asked: Sequence[PlaceInfo], members: int, visits: Sequence[Visit]
) -> Iterator[tuple[float, float]]:
    """The periods in which a place existed, cut where it came and went: nobody can be counted before it was drawn.

    Args:
        cells: All periods.
        asked: Zones and lines that the place consists of.
        members: How many places it consists of, with cameras and the site, which always exist.
        visits: Of the place; earlier ones are of one of the same name that was taken out.
    """
    begin, finish = -math.inf, math.inf
    if len(asked) == members and all(place.since is not None for place in asked):
        begun = [visit.start for visit in visits if math.isfinite(visit.start)]
        begin = min([*(place.since or 0.0 for place in asked), *begun])
    if len(asked) == members and all(place.until is not None for place in asked):
        finish = max([*(place.until or 0.0 for place in asked), *(visit.end for visit in visits)])
    for start, end in cells:
        if start < finish and (end > begin or start >= begin):
            yield max(start, begin), min(end, finish)


def _withheld(row: dict[str, Any], least: int) -> dict[str, Any]:
    """The row, or only its place and period where it is about so few people that each may be known by it."""
    if 0 < row["unique"] < least:
        return {**dict.fromkeys(COLUMNS), **{k: row[k] for k in ("place", "start", "end")}, "withheld": True}
    return {**row, "withheld": False}


class _Counter:
    """The counts of one place, period by period."""

    def __init__(self, log: PlaceLog, stays: Sequence[Stay], passing: float, *, queue: bool) -> None:
        self._stays, self._passing, self._queue = stays, passing, queue
        extent = _extent(log)
        self._first, self._last = extent[0] + _AT_EDGE, extent[1] - _AT_EDGE
        seen: set[int] = set()
        self._again = []
        for stay in stays:  # in order of time
            self._again.append(stay.person in seen)
            seen.add(stay.person)
        self._start = np.array([s.start for s in stays])
        self._end = np.array([s.end for s in stays])

    def row(self, begin: float, end: float) -> dict[str, Any]:
        """The columns of one period."""
        here = np.flatnonzero((self._start < end) & (self._end >= begin)) if len(self._stays) else np.zeros(0, int)
        stays = [(self._stays[i], self._again[i]) for i in here.tolist()]
        began = [(s, again) for s, again in stays if begin <= s.start]
        came = [(s, again) for s, again in began if s.entered or s.start > self._first]
        went = [s for s, _ in stays if s.end < end and (s.left or s.end < self._last)]
        least, mean, most = self._occupancy(here, begin, end)
        dwell: dict[int, float] = {}
        for stay, _ in stays:
            dwell[stay.person] = dwell.get(stay.person, 0.0) + stay.dwell
        seconds = list(dwell.values())
        return {
            "visits": len(stays),
            "entries": len(came),
            "exits": len(went),
            "re_entries": sum(again for _, again in came),
            "passers_by": sum(s.dwell < self._passing for s, _ in began),
            "occupancy_min": least,
            "occupancy_mean": _seconds(mean),
            "occupancy_max": most,
            "dwell_median": _seconds(float(np.median(seconds))) if seconds else None,
            "dwell_p90": _seconds(float(np.quantile(seconds, 0.9))) if seconds else None,
            "queue_max": most if self._queue else None,
            "unique": len(dwell),
            "unique_low": None,
            "unique_high": None,
        }

    def _occupancy(self, here: np.ndarray, begin: float, end: float) -> tuple[int, float, int]:
        """Least, mean and greatest number of people in a period."""
        if not len(here):
            return 0, 0.0, 0
        start, stop = np.maximum(self._start[here], begin), np.minimum(self._end[here], end)
        times = np.concatenate([start, stop])
        change = np.concatenate([np.ones(len(start), int), -np.ones(len(stop), int)])
        order = np.lexsort((-change, times))  # who comes at the moment at which another goes met them
        count = np.cumsum(change[order])
        edges = np.concatenate([[begin], times[order], [end]])
        lasting = np.diff(edges)
        level = np.concatenate([[0], count])
        held = level[lasting > 0]
        mean = float((level * lasting).sum() / (end - begin)) if end > begin else float(count.max())
        return int(held.min()) if len(held) else int(count.max()), mean, int(count.max())
