"""Flows: from which place to which people go, how many, how long it takes, and the ways of single people."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from streamreid.places.counts import check_question, wanted_places
from streamreid.places.csv_file import write_csv
from streamreid.places.records import EVERYWHERE, PlaceLog, Visit
from streamreid.places.stays import ABSENCE, Identities, Stay, people_of, staff_of, stays_at, visits_at
from streamreid.types import TrackKey

__all__ = ["FLOW_COLUMNS", "FlowsTable", "PersonSamples", "count_flows"]

FLOW_COLUMNS = (
    "origin",
    "destination",
    "moves",
    "moves_low",
    "moves_high",
    "people",
    "travel_median",
    "travel_p90",
    "withheld",
)
"""Names of the columns, in their order."""


class PersonSamples(Protocol):
    """Samples of who may be who; see ``partition_sampling.PartitionSamples``."""

    def persons(self) -> Iterator[Mapping[TrackKey, int]]:
        """For each sample the person of every track that is one."""


@dataclass(frozen=True, slots=True)
class FlowsTable:
    """One row per pair of places between which somebody went.

    A move is a stay at the origin that is followed by a stay of the same person at the destination, with no other place
    between them. Its travel time is 0 where the places overlap.

    Args:
        rows: Values by name of column; see ``FLOW_COLUMNS``. What cannot be told is None: the interval where there are
            no samples, everything but the places where a row is ``withheld``.
        ways: Places one after the other, and how many people took this way; the most frequent first.
        staff: Global ids of people who were left out.
    """

    rows: tuple[Mapping[str, Any], ...]
    ways: tuple[tuple[tuple[str, ...], int], ...] = ()
    staff: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.rows)

    def to_dict(self) -> dict[str, list[Any]]:
        """Columns by name, ready for pandas and Polars."""
        return {name: [row[name] for row in self.rows] for name in FLOW_COLUMNS}

    def matrix(self) -> tuple[list[str], list[list[int | None]]]:
        """Places, and how many moves lead from each (row) to each (column); None where that is withheld."""
        names = sorted({row[side] for row in self.rows for side in ("origin", "destination")})
        number = {name: i for i, name in enumerate(names)}
        moves: list[list[int | None]] = [[0] * len(names) for _ in names]
        for row in self.rows:
            told = None if row["withheld"] else row["moves"] or 0
            moves[number[row["origin"]]][number[row["destination"]]] = told
        return names, moves

    def write_csv(self, path: Path | str) -> None:
        """Write the table as CSV; None is an empty field.

        Raises:
            OutputError: It cannot be written.
        """
        write_csv(path, FLOW_COLUMNS, self.rows, what="flows")


def count_flows(
    log: PlaceLog,
    identities: Identities,
    samples: PersonSamples | None = None,
    *,
    places: Sequence[str] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    start: float | None = None,
    end: float | None = None,
    staff: Iterable[str | int] = (),
    staff_after: float | None = None,
    min_people: int = 0,
    absence: float = ABSENCE,
) -> FlowsTable:
    """Count moves from place to place.

    Args:
        log: What was stored of tracks at places.
        identities: Who is who.
        samples: Who may be who, for the interval of ``moves``; None leaves it out.
        places: Between which; default all zones, or all cameras where there is no zone.
        groups: Further places that consist of several.
        start: Moves that arrive earlier are left out, and stays that end earlier are no part of a way.
        end: Moves that arrive then or later are left out, and stays that begin then or later are no part of a way.
        staff: Names or global ids of people who are left out.
        staff_after: Who is in view of the site for more seconds than this is staff too.
        min_people: Rows and ways of fewer people than this are withheld. A place can ask for more.
        absence: Seconds out of a place after which somebody who is back has come again.

    Raises:
        ConfigError: An unknown place, an end before the start, or fewer than no people.
    """
    check_question(start, end, min_people)
    wanted = wanted_places(log, default_places(log) if places is None else places, groups or {})
    left_out = staff_of(log, identities, names=staff, longer_than=staff_after)
    person = {key: who for key, who in people_of(identities).items() if who not in left_out}
    workers = {key for key, who in people_of(identities).items() if who in left_out}
    visits = {name: visits_at(log, members) for name, members in wanted.items()}
    period = (-np.inf if start is None else start, np.inf if end is None else end)

    def moves_of(who: Mapping[TrackKey, int]) -> dict[int, list[tuple[str, str, float]]]:
        return _moves(_ways(visits, who, absence), period)

    moves = moves_of(person)
    by_pair: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for number, steps in moves.items():
        for origin, destination, seconds in steps:
            by_pair[origin, destination].append((number, seconds))
    spread: dict[tuple[str, str], list[int]] = {}
    drawn = list(samples.persons()) if samples is not None else []
    for number, sample in enumerate(drawn):
        counted = Counter(
            step[:2]
            for steps in moves_of({k: p for k, p in sample.items() if k not in workers}).values()
            for step in steps
        )
        for pair, count in counted.items():
            spread.setdefault(pair, [0] * len(drawn))[number] = count
    asked = {name: [log.places[m].min_people for m in members if m in log.places] for name, members in wanted.items()}

    def least(names: Iterable[str]) -> int:
        return max([min_people, *(n for name in names for n in asked[name])])

    rows = [_row(pair, by_pair.get(pair, []), spread.get(pair), least(pair)) for pair in sorted({*by_pair, *spread})]
    ways = Counter(_way_in(way, period) for way in _ways(visits, person, absence).values())
    told = [(way, count) for way, count in ways.items() if way and count >= least(way)]
    return FlowsTable(tuple(rows), tuple(sorted(told, key=lambda w: (-w[1], w[0]))), left_out)


def default_places(log: PlaceLog) -> list[str]:
    """The zones, or all cameras where there is none: places of one kind, so that nobody moves from a zone to the camera
    that shows it."""
    zones = [name for name, place in log.places.items() if place.kind == "zone"]
    return zones or [name for name in log.place_names if name != EVERYWHERE]


_AT_ONCE = 1.0
"""Seconds within which two stays begin, or end, at once: in cameras that show the same ground, or when a run begins."""


def _ways(
    visits: Mapping[str, Sequence[Visit]], person: Mapping[TrackKey, int], absence: float
) -> dict[int, list[Stay]]:
    """Everybody's stays at all places, by their beginning; of two that begin at once the one that ends first goes
    first."""
    each: dict[int, list[Stay]] = defaultdict(list)
    for name, own in visits.items():
        for stay in stays_at(name, own, person, absence=absence):
            each[stay.person].append(stay)
    ways = {who: sorted(stays, key=lambda s: (s.start, s.end, s.place)) for who, stays in sorted(each.items())}
    for stays in ways.values():
        for i in range(1, len(stays)):
            if stays[i].start - stays[i - 1].start < _AT_ONCE and stays[i].end < stays[i - 1].end:
                stays[i - 1 : i + 1] = stays[i], stays[i - 1]
    return ways


def _way_in(stays: Iterable[Stay], period: tuple[float, float]) -> tuple[str, ...]:
    """The places of a way as far as it lies in a period; two in a row are one, and of two at once the first."""
    way: list[Stay] = []
    for stay in stays:
        again = bool(way) and (stay.place == way[-1].place or _at_once(way[-1], stay))
        if stay.end >= period[0] and stay.start < period[1] and not again:
            way.append(stay)
    return tuple(stay.place for stay in way)


def _moves(ways: Mapping[int, Sequence[Stay]], period: tuple[float, float]) -> dict[int, list[tuple[str, str, float]]]:
    return {
        who: [
            (one.place, then.place, max(then.start - one.end, 0.0))
            for one, then in itertools.pairwise(stays)
            if one.place != then.place and period[0] <= then.start < period[1] and not _at_once(one, then)
        ]
        for who, stays in ways.items()
    }


def _at_once(one: Stay, then: Stay) -> bool:
    """Whether two stays begin and end together: somebody whom two cameras showed all the time went nowhere."""
    return abs(then.start - one.start) < _AT_ONCE and abs(then.end - one.end) < _AT_ONCE


def _row(
    pair: tuple[str, str], moves: Sequence[tuple[int, float]], spread: Sequence[int] | None, least: int
) -> dict[str, Any]:
    people = len({who for who, _ in moves})
    places = {"origin": pair[0], "destination": pair[1]}
    if people < least:
        return {**dict.fromkeys(FLOW_COLUMNS), **places, "withheld": True}
    seconds = [s for _, s in moves]
    low, high = (None, None) if spread is None else np.quantile(spread, [0.05, 0.95], method="inverted_cdf").tolist()
    return {
        **places,
        "moves": len(moves),
        "moves_low": None if low is None else min(low, len(moves)),
        "moves_high": None if high is None else max(high, len(moves)),
        "people": people,
        "travel_median": float(np.median(seconds)) if seconds else None,
        "travel_p90": float(np.quantile(seconds, 0.9)) if seconds else None,
        "withheld": False,
    }
