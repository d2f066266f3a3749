"""Which rows are past their camera's retention."""

from __future__ import annotations

from streamreid.gallery.database import Database
from streamreid.gallery.records import Retention

__all__ = ["expired_rows"]


def expired_rows(
    database: Database, table: str, retention: Retention, now: float, *, most: int | None = None
) -> list[int]:
    """Row ids of a table with the columns ``camera`` and ``stored``; rows without a camera follow the shortest
    retention.

    Args:
        database: Where the table is.
        table: Its name.
        retention: How long each camera's rows are kept.
        now: UTC seconds.
        most: So many per camera are enough; None for all.
    """
    result: list[int] = []
    for (camera,) in database.rows(f"SELECT DISTINCT camera FROM {table}"):
        seconds = retention.shortest if camera == "" else retention.of(camera)
        if seconds is not None:
            limit = "" if most is None else f" LIMIT {int(most)}"
            select = f"SELECT id FROM {table} WHERE camera = ? AND stored < ?{limit}"
            result += [int(r[0]) for r in database.rows(select, (camera, now - seconds))]
    return result
