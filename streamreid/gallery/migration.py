"""A whole gallery in another place: backups, moving from one database to the other, turning encryption on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from streamreid.errors import GalleryError
from streamreid.gallery.codec import ValueCodec
from streamreid.gallery.database import Row
from streamreid.gallery.permissions import make_folder, make_private
from streamreid.gallery.tables import Tables

__all__ = ["copy_tables", "write_backup"]

_META = ("engine", "next_id", "created", "retention", "calibration")
_SEALED_META = ("camera_means", "learnt_cameras")
_COLUMNS = {
    "identities": "id, name, created, staff",
    "appearances": "id, run, camera, track, identity, began, ended, probability, observations, stored, compared",
    "prototypes": "id, appearance, quality, features",
    "events": "id, run, stored, kind, time, identity, other, camera, track, probability, reasons",
    "aliases": "id, identity",
    "erased": "id, stored",
    "audit": "id, stored, actor, action, detail",
    "constraints": "id, kind, one, other, stored",
    "corrections": "id, kind, one, other, detail, stored, undone",
    "crops": "appearance, picture",
    "part_colours": "appearance, colours",
    "hourly_counts": "id, run, place, hour, seconds, visits, entries, exits, re_entries, passers_by, occupancy_mean, "
    "occupancy_max, dwell_median, dwell_p90, people, people_low, people_high, min_people, revised, tracks",
    "track_links": "id, track, earlier, log_odds",
    "identity_links": "id, track, identity, log_odds",
}
_SEALED = {
    ("identities", "name"),
    ("prototypes", "features"),
    ("crops", "picture"),
    ("part_colours", "colours"),
    ("corrections", "detail"),
}
_NUMBERED = (
    "appearances",
    "prototypes",
    "events",
    "audit",
    "constraints",
    "corrections",
    "hourly_counts",
    "track_links",
    "identity_links",
)
_ROWS_PER_BLOCK = 2000  # about 7 MB of prototypes at a time


def copy_tables(source: Tables, target: Tables) -> None:
    """Copy one state of everything but the lists of changes and copies into an empty gallery, in one transaction.

    Names, features and pictures are written with the target's key.

    Raises:
        GalleryError: The target holds something already, or one of them fails; nothing is in the target then.
    """
    with source.database.snapshot(), target.database.writing():
        if target.identities.count() or target.metadata.get("engine") is not None:
            raise GalleryError(f"gallery '{target.database.address}' holds something already; copy into a new one")
        for name in _META:
            value = source.metadata.get(name)
            if value is not None:
                target.metadata.set(name, value)
        target.metadata.set("origin", source.metadata.origin())
        for name in _SEALED_META:
            sealed_text = source.metadata.get(name)
            if sealed_text:
                target.metadata.set(name, target.codec.seal_text(source.codec.open_text(sealed_text)))
        for table, columns in _COLUMNS.items():
            names = columns.split(", ")
            insert = f"INSERT INTO {table} ({columns}) VALUES ({','.join('?' * len(names))})"
            sealed = [(table, name) in _SEALED for name in names]
            for rows in _blocks(source, table, columns, names[0]):
                target.database.many(insert, [_sealed_anew(source.codec, target.codec, row, sealed) for row in rows])
        target.database.renumber(_NUMBERED)


def _blocks(source: Tables, table: str, columns: str, key: str) -> Iterator[list[Row]]:
    last = -1
    select = f"SELECT {columns} FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT ?"
    while rows := source.database.rows(select, (last, _ROWS_PER_BLOCK)):
        yield rows
        last = int(rows[-1][0])


def _sealed_anew(source: ValueCodec, target: ValueCodec, row: Row, sealed: Sequence[bool]) -> list[Any]:
    return [_value_anew(source, target, value) if secret else value for value, secret in zip(row, sealed, strict=True)]


def _value_anew(source: ValueCodec, target: ValueCodec, value: str | bytes) -> str | bytes:
    if isinstance(value, str):
        return target.seal_text(source.open_text(value))
    return target.seal(source.open(value))


def write_backup(source: Tables, path: Path, fill: Callable[[Path], None]) -> None:
    """Write a consistent copy as an SQLite file while others go on; the file is complete or not there.

    Args:
        source: Tables of the gallery.
        path: A new file.
        fill: Copies the gallery row by row into an SQLite file, where its database cannot copy itself.

    Raises:
        GalleryError: The file exists, or cannot be written.
    """
    if path.exists():
        raise GalleryError(f"'{path}' exists already; choose another name for the backup")
    database = source.database
    part = path.with_name(path.name + ".part")
    try:
        make_folder(path.parent, private=database.private)
        part.unlink(missing_ok=True)
        make_private(part, private=database.private)
        if not database.copy_file(part):
            fill(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise GalleryError(f"the backup '{path}' cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    if not database.read_only:
        source.copies.add("backup", path, [])
