"""A whole gallery into another store, row by row: backups of PostgreSQL, moving from one store to the other, turning
encryption on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from streamreid.errors import GalleryError
from streamreid.gallery.sql import Sql

__all__ = ["copy_gallery", "copy_tables"]

_COLUMNS = {
    "identities": "id, name, created",
    "appearances": "id, run, camera, track, identity, began, ended, probability, observations, stored",
    "prototypes": "id, appearance, quality, features",
    "events": "id, run, stored, kind, time, identity, other, camera, track, probability, reasons",
    "aliases": "id, identity",
    "erased": "id, stored",
    "audit": "id, stored, actor, action, detail",
    "constraints": "id, kind, one, other, stored",
    "crops": "appearance, picture",
}
_SEALED = {("identities", "name"), ("prototypes", "features"), ("crops", "picture")}
_NUMBERED = ("appearances", "prototypes", "events", "audit", "constraints")
_BLOCK = 2000


def copy_gallery(source: Sql, target: Sql) -> None:
    """Copy a whole gallery into an empty one.

    Raises:
        GalleryError: The target holds something already, or one of them fails; nothing is in the target then.
    """
    with source._reading():
        copy_tables(source, target)


def copy_tables(source: Sql, target: Sql) -> None:
    """Copy everything but the lists of changes and copies into an empty store, in one transaction; the target's cipher
    is used there.

    Raises:
        GalleryError: The target holds something already.
    """
    with target._writing():
        if target._rows("SELECT 1 FROM identities LIMIT 1") or target._meta("engine") is not None:
            raise GalleryError(f"gallery '{target.address}' holds something already; copy into a new one")
        for name in ("engine", "next_id", "created", "retention", "calibration"):
            value = source._meta(name)
            if value is not None:
                target._set_meta(name, value)
        target._set_meta("origin", source._meta("origin") or source._meta("store") or "")
        for table, columns in _COLUMNS.items():
            names = columns.split(", ")
            insert = f"INSERT INTO {table} ({columns}) VALUES ({','.join('?' * len(names))})"
            for rows in _blocks(source, table, columns, names[0]):
                target._many(insert, [_resealed(source, target, table, names, row) for row in rows])
        target._renumber(_NUMBERED)


def _blocks(source: Sql, table: str, columns: str, key: str) -> Iterator[list[tuple[Any, ...]]]:
    last = -1
    while rows := source._rows(f"SELECT {columns} FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT ?", (last, _BLOCK)):
        yield rows
        last = int(rows[-1][0])


def _resealed(source: Sql, target: Sql, table: str, names: list[str], row: tuple[Any, ...]) -> list[Any]:
    result = list(row)
    for column, name in enumerate(names):
        if (table, name) in _SEALED:
            value = result[column]
            if isinstance(value, str):
                result[column] = target._seal_text(source._open_text(value))
            else:
                result[column] = target._cipher.seal(source._cipher.open(bytes(value)))
    return result
