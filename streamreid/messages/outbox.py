"""Messages on disk until every broker has them: one SQLite file, written by the run, read by one thread per broker.

A message is on disk when `add` returns: a process that is killed loses none (a machine that loses power may lose those
of the last seconds, because nothing waits for the disk). Messages have consecutive numbers; each broker has a position,
the number up to which it has everything, and what all have is deleted. Positions are written a few times a second, so
that a killed process sends some messages twice, with the same id.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from streamreid.errors import OutputError
from streamreid.messages.envelope import Draft, Envelope, Message

__all__ = ["Outbox", "OutboxReader"]

log = logging.getLogger(__name__)

_VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS messages (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, type TEXT NOT NULL, subject TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS brokers (name TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""
_WAIT = 5.0
"""Seconds that a write waits for another one of this file; those take milliseconds."""

_ROW = 120
"""Bytes that a row takes besides its body, about."""

_AT_ONCE = 2000
"""Messages that are deleted in one step, so that a write of the run never waits for long."""

_WAL_PAGES = 500
"""Pages of SQLite's log after which it is copied into the file, by the housekeeping and not by the run."""


class Outbox:
    """The file. `add` is called by the run, `settle` by one other thread, readers are made per thread.

    Args:
        path: The file; made if needed.
        brokers: Names of the brokers that are to get the messages; one that is new here gets all that wait.
        max_size: Bytes that may wait.
        max_age: Seconds that a message may wait.
        envelope: Makes the messages; None for an outbox that is only delivered.

    Attributes:
        id: Of this file, for ever: the first half of the ids of its messages.

    Raises:
        OutputError: It cannot be written, or is no outbox.
    """

    def __init__(
        self, path: Path, brokers: Iterable[str], *, max_size: int, max_age: float, envelope: Envelope | None = None
    ) -> None:
        self.path = path
        self.max_size = max_size
        self.max_age = max_age
        self._envelope = envelope
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = _connect(path)
            self._keeper = _connect(path)
            self._prepare(list(brokers))
        except (sqlite3.Error, OSError) as error:
            raise OutputError(
                f"cannot open the outbox '{path}': {error}. Free space or choose another folder (output.dir); if the "
                "file is damaged, move it away: what waits in it is then not delivered"
            ) from error

    def _prepare(self, brokers: list[str]) -> None:
        self._writer.execute("PRAGMA journal_mode=WAL")
        self._writer.executescript(_TABLES)
        about = dict(self._writer.execute("SELECT key, value FROM about"))
        if not about:
            about = {"id": uuid.uuid4().hex[:16], "version": str(_VERSION)}
            self._writer.executemany("INSERT INTO about VALUES (?, ?)", about.items())
        if int(about["version"]) > _VERSION:
            raise sqlite3.DatabaseError("it was written by a newer version of streamreid")
        self.id = about["id"]
        last = self._writer.execute("SELECT seq FROM sqlite_sequence WHERE name='messages'").fetchone()
        self._next = 1 + (int(last[0]) if last else 0)
        first, size = self._writer.execute(
            f"SELECT min(sequence), coalesce(sum(length(body) + {_ROW}), 0) FROM messages"  # noqa: S608 - a constant
        ).fetchone()
        self._bytes = int(size)
        self._first = self._next if first is None else int(first)
        known = dict(self._writer.execute("SELECT name, position FROM brokers"))
        self.positions = {name: max(known.get(name, 0), self._first - 1) for name in brokers}
        with self._writer:
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.execute("DELETE FROM brokers")
            self._writer.executemany("INSERT INTO brokers VALUES (?, ?)", self.positions.items())

    # ---------------------------------------------------------------- the run

    def add(self, drafts: Sequence[Draft]) -> int:
        """Store messages; they are on disk when this returns. All of them or none.

        Returns:
            The number of the last one.

        Raises:
            sqlite3.Error: They cannot be stored.
        """
        assert self._envelope is not None
        now, number, seal = time.time(), self._next, self._envelope.seal
        messages = [seal(draft, id=f"{self.id}-{n}", sequence=n) for n, draft in enumerate(drafts, number)]
        rows = [(m.sequence, now, m.type, m.subject, m.body) for m in messages]
        with self._writer:
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?)", rows)
        self._next = number + len(rows)
        with self._lock:
            self._bytes += sum(len(row[4]) + _ROW for row in rows)
        return self.last

    @property
    def last(self) -> int:
        """Number of the newest message."""
        return self._next - 1

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._bytes

    # ---------------------------------------------------------------- brokers

    def reader(self) -> OutboxReader:
        """A reader for the thread that calls this."""
        return OutboxReader(self.path, self.id)

    def oldest_age(self, position: int) -> float:
        """Seconds that the oldest message behind a position has waited; 0 if there is none. Called by the
        housekeeping."""
        row = self._keeper.execute(
            "SELECT at FROM messages WHERE sequence > ? ORDER BY sequence LIMIT 1", (position,)
        ).fetchone()
        return 0.0 if row is None else max(0.0, time.time() - row[0])

    # ---------------------------------------------------------------- housekeeping

    def settle(self, positions: Mapping[str, int]) -> int:
        """Keep positions, delete what every broker has, and give up what is too old or too much.

        Args:
            positions: Number of the last message of each broker that it has.

        Returns:
            The number of the last message that was given up or delivered to all; positions below it are to be raised to
            it.

        Raises:
            sqlite3.Error: The file cannot be written.
        """
        if any(self.positions.get(name) != position for name, position in positions.items()):
            with self._keeper:
                self._keeper.execute("BEGIN IMMEDIATE")
                self._keeper.executemany("INSERT OR REPLACE INTO brokers VALUES (?, ?)", positions.items())
            self.positions.update(positions)
        self._delete(min(positions.values(), default=self.last))
        self._delete(self._excess())
        self._checkpoint()
        return self._first - 1

    def _excess(self) -> int:
        """Number of the last message that is too old, or has to go because there are too many."""
        limit = 0
        row = self._keeper.execute(
            "SELECT max(sequence) FROM (SELECT sequence FROM messages WHERE at < ? ORDER BY sequence LIMIT ?)",
            (time.time() - self.max_age, _AT_ONCE),
        ).fetchone()
        limit = row[0] or 0
        over = self._bytes - self.max_size
        if over > 0:
            for number, size in self._keeper.execute("SELECT sequence, length(body) FROM messages ORDER BY sequence"):
                over -= size + _ROW
                if over <= 0:
                    return max(limit, int(number))
        return limit

    def _delete(self, through: int) -> None:
        """Delete messages up to a number, some at a time."""
        while self._first <= through:
            upto = min(through, self._first + _AT_ONCE - 1)
            with self._keeper:
                self._keeper.execute("BEGIN IMMEDIATE")
                (size,) = self._keeper.execute(
                    f"SELECT coalesce(sum(length(body) + {_ROW}), 0) FROM messages WHERE sequence <= ?",  # noqa: S608
                    (upto,),
                ).fetchone()
                self._keeper.execute("DELETE FROM messages WHERE sequence <= ?", (upto,))
            self._first = upto + 1
            with self._lock:
                self._bytes -= size

    def _checkpoint(self) -> None:
        log_file = self.path.with_name(self.path.name + "-wal")
        try:
            large = log_file.stat().st_size > _WAL_PAGES * 4096
        except OSError:
            return
        if large:
            self._keeper.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self, *, remove: bool = False) -> None:
        """Close the file; again is harmless.

        Args:
            remove: Delete it if nothing waits.
        """
        empty = self._first >= self._next
        self._keeper.close()
        self._writer.close()
        if remove and empty:
            for name in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + name).unlink(missing_ok=True)


class OutboxReader:
    """Reads messages in order.

    Args:
        path: Of the outbox.
        id: Of the outbox.
    """

    def __init__(self, path: Path, id: str) -> None:  # noqa: A002
        self._connection = _connect(path)
        self._id = id

    def read(self, position: int, limit: int) -> list[Message]:
        """The next messages behind a position.

        Args:
            position: Number of a message.
            limit: How many at most.
        """
        rows = self._connection.execute(
            "SELECT sequence, type, subject, body FROM messages WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (position, limit),
        ).fetchall()
        return [Message(number, f"{self._id}-{number}", kind, subject, body) for number, kind, subject, body in rows]

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    return connection
