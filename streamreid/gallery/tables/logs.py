"""The tables ``changes`` (for other processes) and ``audit`` (for people); both keep their newest entries only."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from streamreid.gallery.database import Database
from streamreid.gallery.records import AuditEntry, Change

__all__ = ["AuditTable", "ChangeTable"]

_KEPT_CHANGES = 100_000  # a process that was away for longer reads everything anew
_KEPT_NOTES = 100_000  # about 20 MB


class ChangeTable:
    """Which identities changed, so that other processes can follow.

    Args:
        database: Where the table is.
        clock: UTC seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def position(self) -> int:
        """Where the list ends now."""
        with self._database.reading():
            return int(self._database.rows("SELECT COALESCE(MAX(id), 0) FROM changes")[0][0])

    def after(self, position: int) -> tuple[list[Change] | None, int]:
        """Changes since a position and the new position; None where the list no longer reaches back so far."""
        with self._database.reading():
            rows = self._database.rows("SELECT id, identity, kind FROM changes WHERE id > ? ORDER BY id", (position,))
            if not rows:
                return [], position
            known = not position or self._database.rows("SELECT 1 FROM changes WHERE id = ?", (position,))
        return ([Change(int(r[1]), r[2]) for r in rows] if known else None), int(rows[-1][0])

    def add(self, changes: Sequence[tuple[int, str]]) -> None:
        """Tell other processes of global ids and what happened to them, in the transaction of the caller."""
        now = self._clock()
        insert = "INSERT INTO changes (identity, kind, stored) VALUES (?, ?, ?)"
        self._database.many(insert, [(i, kind, now) for i, kind in changes])
        self._database.rows("DELETE FROM changes WHERE id <= (SELECT MAX(id) FROM changes) - ?", (_KEPT_CHANGES,))


class AuditTable:
    """Who searched, corrected, copied or erased what.

    Args:
        database: Where the table is.
        clock: UTC seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def entries(self) -> list[AuditEntry]:
        """The whole audit log, oldest entry first."""
        with self._database.reading():
            rows = self._database.rows("SELECT stored, actor, action, detail FROM audit ORDER BY id")
        return [AuditEntry(float(r[0]), r[1], r[2], json.loads(r[3])) for r in rows]

    def add(self, action: str, detail: Mapping[str, object], actor: str) -> None:
        """Add an entry to the audit log, with the time and who acted."""
        values = (self._clock(), actor, action, json.dumps(dict(detail), sort_keys=True))
        with self._database.writing():
            self._database.rows("INSERT INTO audit (stored, actor, action, detail) VALUES (?, ?, ?, ?)", values)
            self._database.rows("DELETE FROM audit WHERE id <= (SELECT MAX(id) FROM audit) - ?", (_KEPT_NOTES,))
