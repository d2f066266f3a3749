"""The table ``hourly_counts``: how many people were where in each hour. It names nobody, and stays when they are
forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from streamreid.gallery.database import Database
from streamreid.gallery.records import COUNTED, HOUR, HourlyCount

__all__ = ["HourlyCountTable", "joined_counts"]

_COLUMNS = ("run", "place", "hour", "seconds", *COUNTED, "min_people", "tracks", "revised")


class HourlyCountTable:
    """One row per run, place and hour; a later one takes the place of an earlier one.

    Args:
        database: Where the table is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def hours(self) -> int:
        """Number of different hours of which counts are kept."""
        return int(self._database.rows("SELECT COUNT(DISTINCT hour) FROM hourly_counts")[0][0])

    def records(self) -> list[HourlyCount]:
        """All of them, by place and hour, nothing withheld."""
        with self._database.reading():
            rows = self._database.rows(
                f"SELECT {', '.join(_COLUMNS)} FROM hourly_counts ORDER BY place, hour, revised, id"
            )
        return [HourlyCount((str(r[0]),), *r[1:]) for r in rows]

    def delete(self, place: str | None = None) -> int:
        """Remove those of a place, or all, in the transaction of the caller. Returns how many rows there were."""
        where, values = ("", ()) if place is None else (" WHERE place = ?", (place,))
        count = int(self._database.rows(f"SELECT COUNT(*) FROM hourly_counts{where}", values)[0][0])
        self._database.rows(f"DELETE FROM hourly_counts{where}", values)
        return count

    # ------------------------------------------------------------ writing, in the transaction of the caller

    def put(self, run: str, counts: Mapping[tuple[str, float], HourlyCount], now: float) -> None:
        """Put counts of a run in the place of its earlier ones of the same place and hour.

        Args:
            run: Its name.
            counts: By place and hour.
            now: UTC seconds.
        """
        later = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[3:])
        self._database.many(
            f"INSERT INTO hourly_counts ({', '.join(_COLUMNS)}) VALUES ({','.join('?' * len(_COLUMNS))}) "
            f"ON CONFLICT (run, place, hour) DO UPDATE SET {later}",
            [(run, *(getattr(count, name) for name in _COLUMNS[1:-1]), now) for count in counts.values()],
        )


def joined_counts(records: Iterable[HourlyCount], min_people: int = 0) -> list[HourlyCount]:
    """One per place and hour, with counts of few people withheld.

    Args:
        records: By place and hour.
        min_people: Counts of fewer people than this, but not none, are withheld; a place can ask for more.
    """
    joined = [_joined(list(group)) for _, group in groupby(records, key=lambda r: (r.place, r.hour))]
    return [_withheld(record, min_people) for record in joined]


def _joined(parts: Sequence[HourlyCount]) -> HourlyCount:
    """What several runs counted in one hour. Nothing says who of one run is who of another: the estimate takes them
    for different people, and the interval begins where they are the same."""
    if len(parts) == 1:
        return parts[0]
    seen = [p for p in parts if p.visits] or list(parts[:1])
    alone = seen[0] if len(seen) == 1 else None
    seconds = min(sum(p.seconds for p in parts), HOUR)
    person_seconds = sum((p.occupancy_mean or 0.0) * p.seconds for p in parts)

    def total(name: str) -> int:
        return sum(getattr(p, name) or 0 for p in parts)

    return HourlyCount(
        tuple(run for p in parts for run in p.runs),
        parts[0].place,
        parts[0].hour,
        seconds,
        total("visits"),
        total("entries"),
        total("exits"),
        total("re_entries"),
        total("passers_by"),
        person_seconds / seconds if seconds else 0.0,
        max(p.occupancy_max or 0 for p in parts),
        None if alone is None else alone.dwell_median,
        None if alone is None else alone.dwell_p90,
        total("people"),
        max((p.people or 0) if p.people_low is None else p.people_low for p in parts),
        sum((p.people or 0) if p.people_high is None else p.people_high for p in parts),
        max(p.min_people for p in parts),
        None if any(p.tracks is None for p in parts) else total("tracks"),
        max(p.revised for p in parts),
    )


def _withheld(record: HourlyCount, min_people: int) -> HourlyCount:
    least = max(min_people, record.min_people)
    return record.without_numbers() if record.people is not None and 0 < record.people < least else record
