"""The table ``corrections``: what people corrected, with what undoing it takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from streamreid.gallery.codec import ValueCodec
from streamreid.gallery.database import Database, Row
from streamreid.gallery.records import GalleryCorrection

__all__ = ["CorrectionTable"]

_KEPT = 10_000
"""Newest corrections that are kept, and can be undone; about 2 MB."""


class CorrectionTable:
    """Corrections in the order in which they were made.

    Args:
        database: Where the table is.
        codec: Reads and writes details, in which names may be.
        clock: UTC seconds.
    """

    def __init__(self, database: Database, codec: ValueCodec, clock: Callable[[], float]) -> None:
        self._database = database
        self._codec = codec
        self._clock = clock

    def records(self) -> list[GalleryCorrection]:
        """All of them, the oldest first."""
        with self._database.reading():
            rows = self._database.rows(
                "SELECT id, kind, one, other, detail, stored, undone FROM corrections ORDER BY id"
            )
        return [self._record(row) for row in rows]

    def add(self, kind: str, one: int, other: int = 0, detail: Mapping[str, Any] | None = None) -> int:
        """Note a correction, in the transaction of the caller; its number."""
        text = self._codec.seal_text(json.dumps(dict(detail or {})))
        added = self._database.insert(
            "corrections",
            ("kind", "one", "other", "detail", "stored"),
            [(kind, one, other, text, self._clock())],
        )
        self._database.rows("DELETE FROM corrections WHERE id <= ?", (added[0] - _KEPT,))
        return int(added[0])

    def note_undone(self, number: int) -> None:
        """A correction does not hold any more, in the transaction of the caller."""
        self._database.rows("UPDATE corrections SET undone = 1 WHERE id = ?", (number,))

    def _record(self, row: Row) -> GalleryCorrection:
        number, kind, one, other, detail, stored, undone = row
        return GalleryCorrection(
            int(number),
            kind,
            int(one),
            int(other),
            float(stored),
            bool(undone),
            json.loads(self._codec.open_text(detail)),
        )
