"""The tables of a gallery, one class for each, and what concerns several of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from streamreid.gallery.codec import ValueCodec
from streamreid.gallery.database import Database, chunks, marks
from streamreid.gallery.tables.constraints import ConstraintTable
from streamreid.gallery.tables.copies import CopyTable
from streamreid.gallery.tables.corrections import CorrectionTable
from streamreid.gallery.tables.events import EventTable
from streamreid.gallery.tables.hourly_counts import HourlyCountTable
from streamreid.gallery.tables.identities import IdentityTable
from streamreid.gallery.tables.links import LinksTable
from streamreid.gallery.tables.logs import AuditTable, ChangeTable
from streamreid.gallery.tables.metadata import MetadataTable
from streamreid.gallery.tables.prototypes import PrototypeTable
from streamreid.gallery.tables.track_records import TrackRecordTable

__all__ = ["Tables"]

_OF_TRACK_RECORDS = ("prototypes", "crops", "part_colours")
_PAIRS = (("events", "identity"), ("constraints", "one"), ("corrections", "one"))
_OF_IDENTITIES = (("appearances", "identity"), ("identities", "id"))
_COUNTED = ("identities", "appearances", "prototypes", "events", "constraints", "crops", "erased")


class Tables:
    """All tables of one database.

    Args:
        database: Where they are, of the present version.
        metadata: The first of them, which says how the others are written.
        codec: Reads and writes values.
        clock: UTC seconds.
    """

    def __init__(
        self, database: Database, metadata: MetadataTable, codec: ValueCodec, clock: Callable[[], float]
    ) -> None:
        self.database = database
        self.metadata = metadata
        self.codec = codec
        self.clock = clock
        self.identities = IdentityTable(database, codec)
        self.track_records = TrackRecordTable(database, codec)
        self.prototypes = PrototypeTable(database, codec)
        self.events = EventTable(database)
        self.constraints = ConstraintTable(database, clock)
        self.corrections = CorrectionTable(database, codec, clock)
        self.changes = ChangeTable(database, clock)
        self.audit = AuditTable(database, clock)
        self.copies = CopyTable(database, clock)
        self.hourly_counts = HourlyCountTable(database)
        self.links = LinksTable(database)

    def __repr__(self) -> str:
        return f"Tables({self.database!r})"

    def delete_identities(self, ids: Iterable[int]) -> dict[str, int]:
        """Remove identities with everything that is theirs, in the transaction of the caller.

        Returns:
            Rows that were removed, by table.
        """
        tables = [*_OF_TRACK_RECORDS, *(table for table, _ in (*_PAIRS, *_OF_IDENTITIES))]
        removed = dict.fromkeys(tables, 0)
        for some in chunks(ids):
            many = marks(some)
            theirs = f"appearance IN (SELECT id FROM appearances WHERE identity IN ({many}))"
            conditions = [(table, theirs, some) for table in _OF_TRACK_RECORDS]
            conditions += [(table, f"{column} IN ({many}) OR other IN ({many})", some * 2) for table, column in _PAIRS]
            conditions += [(table, f"{column} IN ({many})", some) for table, column in _OF_IDENTITIES]
            for table, condition, values in conditions:
                count = self.database.rows(f"SELECT COUNT(*) FROM {table} WHERE {condition}", values)
                removed[table] += int(count[0][0])
                self.database.rows(f"DELETE FROM {table} WHERE {condition}", values)
            self.database.rows(f"DELETE FROM aliases WHERE identity IN ({many})", some)
        return removed

    def delete_history(self, ids: Iterable[int]) -> None:
        """Remove events and constraints of identities of which nothing else is left, in the transaction of the
        caller."""
        for some in chunks(ids):
            many = marks(some)
            for table, column in _PAIRS:
                self.database.rows(
                    f"DELETE FROM {table} WHERE {column} IN ({many}) OR other IN ({many})", [*some, *some]
                )

    def shift_times(self, runs: Sequence[str], seconds: float) -> None:
        """Let everything that some runs stored be stored so much later."""
        with self.database.writing():
            for table in ("appearances", "events"):
                update = f"UPDATE {table} SET stored = stored + ? WHERE run IN ({marks(runs)})"
                self.database.rows(update, [seconds, *runs])

    def statistics(self) -> dict[str, object]:
        """Counts (of identities also those confirmed and not), sizes, engine, oldest and newest record."""
        database = self.database
        with database.reading():
            counts = {table: int(database.rows(f"SELECT COUNT(*) FROM {table}")[0][0]) for table in _COUNTED}
            oldest, newest = database.rows("SELECT MIN(stored), MAX(stored) FROM appearances")[0]
            identities, confirmed = counts.pop("identities"), self.identities.count_confirmed()
            hours, links = self.hourly_counts.hours(), self.links.count()
            prototypes, total = database.rows("SELECT COUNT(*), SUM(LENGTH(features)) FROM prototypes")[0]
        stamp = self.metadata.engine()
        return {
            "address": database.address,
            "engine": None
            if stamp is None
            else {"name": stamp.name, "parts": stamp.parts, "dim": stamp.dim, "fingerprint": stamp.fingerprint},
            "encrypted": self.codec.encrypted,
            "identities": identities,
            "confirmed": confirmed,
            "unconfirmed": identities - confirmed,
            **counts,
            "counted_hours": hours,
            "links": links,
            "next_id": self.metadata.next_id(),
            "oldest": oldest,
            "newest": newest,
            "bytes": database.size(),
            "bytes_per_prototype": round(float(total) / prototypes, 1) if prototypes else None,
            "copies": [{"kind": kind, "path": place} for kind, place in self.copies.records()],
        }
