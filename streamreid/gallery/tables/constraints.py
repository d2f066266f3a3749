"""The table ``constraints``: what people said about pairs of identities."""

from __future__ import annotations

from collections.abc import Callable

from streamreid.gallery.database import Database
from streamreid.gallery.records import Constraint, ConstraintKind

__all__ = ["ConstraintTable"]


class ConstraintTable:
    """One constraint per pair of global ids; the later one counts.

    Args:
        database: Where the table is.
        clock: UTC seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def records(self) -> list[Constraint]:
        """All of them, in the order in which they were first said."""
        with self._database.reading():
            rows = self._database.rows("SELECT kind, one, other, stored FROM constraints ORDER BY id")
        return [Constraint(r[0], int(r[1]), int(r[2]), float(r[3])) for r in rows]

    def are_different(self, one: int, other: int) -> bool:
        """Whether two identities were said to be different people."""
        select = "SELECT 1 FROM constraints WHERE one = ? AND other = ? AND kind = 'different'"
        return bool(self._database.rows(select, sorted((one, other))))

    def take_back(self, one: int, other: int) -> None:
        """Nothing is said about two identities any more, in the transaction of the caller."""
        self._database.rows("DELETE FROM constraints WHERE one = ? AND other = ?", sorted((one, other)))

    def put(self, kind: ConstraintKind, one: int, other: int) -> None:
        """Say something about two identities, in the transaction of the caller."""
        self._database.rows(
            "INSERT INTO constraints (kind, one, other, stored) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (one, other) DO UPDATE SET kind = excluded.kind, stored = excluded.stored",
            (kind, *sorted((one, other)), self._clock()),
        )
