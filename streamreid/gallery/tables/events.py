"""The table ``events``: the history of identities."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from streamreid.gallery.database import Database, chunks, marks
from streamreid.gallery.records import EventRecord, Retention
from streamreid.gallery.tables.expiry import expired_rows
from streamreid.types import IdentityEvent

__all__ = ["EventTable"]


class EventTable:
    """What runs decided about identities, in the order in which it was stored.

    Args:
        database: Where the table is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self) -> int:
        """Number of rows in the table."""
        return int(self._database.rows("SELECT COUNT(*) FROM events")[0][0])

    def records(self, global_id: int) -> list[EventRecord]:
        """Events that name an identity."""
        with self._database.reading():
            rows = self._database.rows(
                "SELECT run, stored, kind, time, identity, camera, track, probability, other, reasons FROM events "
                "WHERE identity = ? OR other = ? ORDER BY id",
                (global_id, global_id),
            )
        return [
            EventRecord(
                run,
                float(stored),
                IdentityEvent(
                    kind,
                    float(time),
                    identity,
                    camera,
                    track,
                    float(probability),
                    other,
                    json.loads(reasons) if reasons else {},
                ),
            )
            for run, stored, kind, time, identity, camera, track, probability, other, reasons in rows
        ]

    def expired(self, retention: Retention, now: float, *, most: int | None = None) -> list[int]:
        """Row ids of those past their camera's retention; ``most`` per camera are enough."""
        return expired_rows(self._database, "events", retention, now, most=most)

    # ------------------------------------------------------------ writing, in the transaction of the caller

    def add(self, run: str, events: Sequence[IdentityEvent], now: float) -> None:
        """Add events of a run.

        Args:
            run: Its name.
            events: In order.
            now: UTC seconds.
        """
        self._database.many(
            "INSERT INTO events (run, stored, kind, time, identity, other, camera, track, probability, reasons) "
            "VALUES (?,?,?,?,?,?,?,?,?,?)",
            [
                (
                    run,
                    now,
                    e.kind,
                    float(e.time),
                    e.global_id,
                    e.other_id,
                    e.camera,
                    e.track_id,
                    float(e.probability),
                    json.dumps({k: round(float(v), 4) for k, v in e.reasons.items()}) if e.reasons else "",
                )
                for e in events
            ],
        )

    def delete(self, rows: Iterable[int]) -> None:
        """Remove events by row id."""
        for some in chunks(rows):
            self._database.rows(f"DELETE FROM events WHERE id IN ({marks(some)})", some)

    def delete_oldest(self, count: int) -> None:
        """Remove so many of the oldest."""
        self._database.rows("DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY id LIMIT ?)", (count,))
