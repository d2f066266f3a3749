"""What a gallery needs of a database, and what its statements share.

``SqliteDatabase`` and ``PostgresDatabase`` implement ``Database``. Nothing above them knows which of the two it talks
to: statements are written with ``?`` for each value and run on both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Database", "Dialect", "Row", "chunks", "conditions", "marks"]

Row = tuple[Any, ...]

_IDS_PER_STATEMENT = 400  # databases limit the values of one statement; SQLite allowed 999 before version 3.32


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a database writes what the schema leaves open.

    Args:
        serial: Type of a primary key that the database numbers.
        blob: Type of bytes.
        preamble: Statements that run before the first tables are made.
    """

    serial: str
    blob: str
    preamble: tuple[str, ...] = ()


class Database(Protocol):
    """One connection to the tables of a gallery. Safe to use from several threads, one at a time.

    Statements run inside ``reading`` or ``writing``, which turn the driver's errors into ``GalleryError``; both may be
    nested.

    Attributes:
        address: Where the tables are, without password, for messages.
        read_only: Whether it was opened for reading only.
        private: Whether only the owner can read the files that are written.
        patience: Seconds to wait for another process.
        id_block: Global ids that a run reserves at a time.
        dialect: What the schema leaves open.
    """

    address: str
    read_only: bool
    private: bool
    patience: float
    id_block: int
    dialect: Dialect

    @property
    def place(self) -> str:
        """The whole path, or the address without password: what other galleries call this one in their lists of
        copies."""

    @property
    def scratch_folder(self) -> Path:
        """Where large working copies of its contents may lie for the life of a process."""

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Run a statement and return all its rows."""

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement once for each row of values."""

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[int]:
        """Add rows to a table that the database numbers; their ids, in the same order."""

    def reading(self) -> AbstractContextManager[None]:
        """Context of statements that only read.

        Raises:
            GalleryError: The database cannot be read.
        """

    def writing(self) -> AbstractContextManager[None]:
        """Context of a transaction that writes: one at a time over all processes; all of it is stored, or nothing.

        Raises:
            GalleryBusy: Another process has been writing for more than ``patience`` seconds.
            GalleryError: The database cannot be written, or was opened for reading only.
        """

    def snapshot(self) -> AbstractContextManager[None]:
        """Context of statements that read one state, whatever others write meanwhile.

        Raises:
            GalleryError: The database cannot be read.
        """

    def version(self) -> int:
        """Version of the tables; 0 if there are none."""

    def set_version(self, version: int) -> None:
        """Note the version of the tables, in the transaction that made them."""

    def renumber(self, tables: Sequence[str]) -> None:
        """Let new rows be numbered after those that were copied in with their numbers."""

    def copy_file(self, path: Path) -> bool:
        """Write the tables to an empty SQLite file as they are. Returns False, and writes nothing, where the database
        cannot.

        Raises:
            GalleryError: The database cannot be read, or the file not be written.
        """

    def files(self) -> list[Path]:
        """Files of the database that this process can search for bytes; none for a server."""

    def size(self) -> int:
        """Size of the database on disk, in bytes."""

    def scrub(self, *, thorough: bool) -> None:
        """Overwrite what deleted rows left behind; ``thorough`` rewrites everything.

        Raises:
            GalleryError: Another process reads what is to be overwritten.
        """

    def check(self) -> None:
        """Search for damage as far as the database can.

        Raises:
            GalleryError: It is damaged; the message says what was found.
        """

    def wait(self, seconds: float) -> bool:
        """Wait until another process changed something, at most so long. Returns whether something changed."""

    def close(self) -> None:
        """Release the connection. Safe to call twice."""


def chunks(ids: Iterable[int], size: int = _IDS_PER_STATEMENT) -> Iterator[list[int]]:
    """Distinct ids, sorted, in lists short enough for one statement."""
    rest = sorted({int(i) for i in ids})
    for start in range(0, len(rest), size):
        yield rest[start : start + size]


def marks(values: Sequence[object]) -> str:
    """As many question marks, separated by commas."""
    return ",".join("?" * len(values))


def conditions(ids: Sequence[int] | None, column: str) -> Iterator[tuple[str, list[int]]]:
    """``WHERE`` clauses with their values that pick rows by id, a few at a time; one that picks all rows where ``ids``
    is None."""
    if ids is None:
        yield "", []
        return
    for some in chunks(ids):
        yield f" WHERE {column} IN ({marks(some)})", some
