"""The table ``copies``: where else data of a gallery was written, so that people can be erased there, too."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from streamreid.gallery.database import Database

__all__ = ["CopyTable"]


class CopyTable:
    """One row per path or address.

    Args:
        database: Where the table is.
        clock: UTC seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def records(self) -> list[tuple[str, str]]:
        """Kind, and path or address without password, oldest first."""
        with self._database.reading():
            rows = self._database.rows("SELECT kind, path FROM copies ORDER BY id")
        return [(str(kind), str(place)) for kind, place in rows]

    def add(self, kind: str, place: Path | str, ids: Sequence[int]) -> None:
        """Note a copy.

        Args:
            kind: ``backup``, ``copy``, ``original``, ``export``, ``cache`` or ``results``.
            place: A path, or an address without password.
            ids: Global ids in it; empty for everybody.
        """
        text = place if isinstance(place, str) else str(place.resolve())
        values = (kind, text, self._clock(), json.dumps(sorted(int(i) for i in ids)))
        with self._database.writing():
            self._database.rows(
                "INSERT INTO copies (kind, path, stored, ids) VALUES (?, ?, ?, ?) ON CONFLICT (path) "
                "DO UPDATE SET kind = excluded.kind, stored = excluded.stored, ids = excluded.ids",
                values,
            )

    def delete(self, places: Sequence[str]) -> None:
        """Take copies that are gone off the list."""
        with self._database.writing():
            for place in places:
                self._database.rows("DELETE FROM copies WHERE path = ?", (place,))
