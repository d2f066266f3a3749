"""What leaves a gallery by itself: records past their time, and the least useful ones above the caps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from streamreid._age_clock import AgeClock
from streamreid.gallery.records import Limits, Retention
from streamreid.gallery.tables import Tables

__all__ = ["AgeKeeper", "evict", "expire"]

_SECONDS_PER_DOUBLING = 3600.0  # twice as many tracks are worth an hour of recency


class AgeKeeper:
    """Keeps what this process stores as old as it is, also where this machine's clock is set.

    Args:
        tables: Of the gallery.
        clock: UTC seconds.
        steady: Seconds that pass, whatever the clock is set to; None as for ``AgeClock``.
    """

    def __init__(self, tables: Tables, clock: Callable[[], float], steady: Callable[[], float] | None) -> None:
        self._tables = tables
        self._ages = AgeClock(clock, steady, what=f"gallery '{tables.database.address}'")
        self._runs: set[str] = set()

    def follow(self, run: str) -> None:
        """Before something of a run is stored.

        Raises:
            GalleryError: The gallery cannot be written.
        """
        self._date_anew()
        self._runs.add(run)

    def now(self) -> float:
        """UTC seconds by which ages are judged.

        Raises:
            GalleryError: The gallery cannot be written.
        """
        self._date_anew()
        return self._ages.now()

    def _date_anew(self) -> None:
        step = self._ages.step
        if step and self._runs:
            self._tables.shift_times(sorted(self._runs), step)
        self._ages.accept_step(step)


def expire(tables: Tables, retention: Retention, now: float) -> list[int]:
    """Erase track records and events that are older than their camera's retention.

    Args:
        tables: Of the gallery.
        retention: How long each camera's records are kept.
        now: UTC seconds.

    Returns:
        Global ids of identities of which nothing is left.

    Raises:
        GalleryError: The gallery cannot be written.
    """
    with tables.database.reading():  # most calls find nothing and need no transaction
        if not any(t.expired(retention, now, most=1) for t in (tables.track_records, tables.events)):
            return []
    with tables.database.writing():
        rows = tables.track_records.expired(retention, now)
        tables.events.delete(tables.events.expired(retention, now))
        gone = _delete_track_records(tables, rows, "expire")
    tables.database.scrub(thorough=False)
    return gone


def evict(tables: Tables, limits: Limits) -> list[int]:
    """Erase what is above the caps.

    Usefulness of an identity = time of the last write + one hour for every doubling of the number of its tracks;
    identities with a name or a constraint are evicted after all others.

    Args:
        tables: Of the gallery.
        limits: The caps.

    Returns:
        Global ids of identities of which nothing is left.

    Raises:
        GalleryError: The gallery cannot be written.
    """
    with tables.database.reading():
        identities = tables.identities.count() - limits.max_identities
        prototypes = tables.prototypes.count() - limits.max_prototypes
        events = tables.events.count() - limits.max_events
        track_records = tables.track_records.count() - limits.max_track_records
        links = tables.links.surplus()
    gone: list[int] = []
    if track_records > 0:
        with tables.database.writing():
            gone += _delete_track_records(tables, tables.track_records.oldest(track_records), "evict")
        tables.database.scrub(thorough=False)
    if identities > 0 or prototypes > 0:
        gone += _evict_identities(tables, identities, prototypes)
    if events > 0 or links:
        with tables.database.writing():
            tables.events.delete_oldest(max(events, 0))
            tables.links.cap()
    return gone


def _delete_track_records(tables: Tables, rows: Sequence[int], kind: str) -> list[int]:
    """Delete track records, and identities of which nothing else is left. Returns the global ids of these."""
    owners = tables.track_records.delete(rows)
    gone = tables.identities.drop_empty(owners)
    tables.delete_history(gone)
    tables.changes.add([(i, kind) for i in sorted(owners)])
    return sorted(gone)


def _evict_identities(tables: Tables, identities: int, prototypes: int) -> list[int]:
    """Erase at least so many identities, and as many as have so many prototypes. Returns their global ids."""
    corrected = {i for c in tables.constraints.records() for i in (c.one, c.other)}
    records = sorted(
        tables.identities.records(),
        key=lambda r: (
            bool(r.name) or r.global_id in corrected,
            r.stored + _SECONDS_PER_DOUBLING * math.log2(1 + r.track_records),
            r.global_id,
        ),
    )
    gone: list[int] = []
    for record in records:
        if identities <= 0 and prototypes <= 0:
            break
        gone.append(record.global_id)
        identities, prototypes = identities - 1, prototypes - record.prototypes
    with tables.database.writing():
        tables.delete_identities(gone)
        tables.changes.add([(i, "evict") for i in gone])
    tables.database.scrub(thorough=False)
    return gone
