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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from streamreid.errors import OutputError
from streamreid.messages.envelope import Draft, Envelope, Message

__all__ = ["Outbox", "OutboxReader"]

log = logging.getLogger(__name__)

_VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS blocks (
    first INTEGER PRIMARY KEY, last INTEGER NOT NULL, at REAL NOT NULL, messages BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS brokers (name TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""
"""Messages lie in blocks of consecutive numbers, one per line (type, subject, body, with tabs between): what is stored
at once is written, read and deleted at once."""

_WAIT = 5.0
"""Seconds that a write waits for another one of this file; those take milliseconds."""

_ROW = 60
"""Bytes that a block takes besides its messages, about."""

_BLOCK = 65_536
"""Bytes of a block at most, or a tenth of what the outbox may hold: so much is given up at once."""

_WAL_PAGES = 500
"""Pages of SQLite's log after which it is copied into the file, by the housekeeping and not by the run."""


class Outbox:
    """The file. `add` is called by the run, `acknowledge` by one other thread, readers are made per thread.

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
        first, last, size = self._writer.execute(
            f"SELECT min(first), max(last), coalesce(sum(length(messages) + {_ROW}), 0) FROM blocks"  # noqa: S608
        ).fetchone()
        self._next = 1 + max(int(last or 0), int(about.get("deleted", 0)))
        self._first = self._next if first is None else int(first)
        self._bytes = int(size)
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
        number, seal = self._next, self._envelope.seal
        messages = [seal(draft, id=f"{self.id}-{n}", sequence=n) for n, draft in enumerate(drafts, number)]
        rows = list(self._blocks(messages))
        with self._writer:
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.executemany("INSERT INTO blocks VALUES (?, ?, ?, ?)", rows)
        self._next = number + len(messages)
        with self._lock:
            self._bytes += sum(len(row[3]) + _ROW for row in rows)
        return self.last

    def _blocks(self, messages: Sequence[Message]) -> Iterator[tuple[int, int, float, bytes]]:
        """The rows of messages."""
        now, most = time.time(), min(_BLOCK, self.max_size // 10)
        lines: list[bytes] = []
        size = 0
        for message in messages:
            line = b"%s\t%s\t%s" % (message.type.encode(), message.subject.encode(), message.body)
            if lines and size + len(line) > most:
                yield message.sequence - len(lines), message.sequence - 1, now, b"\n".join(lines)
                lines, size = [], 0
            lines.append(line)
            size += len(line) + 1
        if lines:
            last = messages[-1].sequence
            yield last - len(lines) + 1, last, now, b"\n".join(lines)

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
            "SELECT at FROM blocks WHERE last > ? ORDER BY first LIMIT 1", (position,)
        ).fetchone()
        return 0.0 if row is None else max(0.0, time.time() - row[0])

    # ---------------------------------------------------------------- housekeeping

    def acknowledge(self, positions: Mapping[str, int]) -> int:
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
        floor = max(min(positions.values(), default=self.last), self._excess())
        self._delete(floor)
        self._checkpoint()
        return floor

    def _excess(self) -> int:
        """Number of the last message that is too old, or has to go because there are too many."""
        limit, over, oldest = 0, self._bytes - self.max_size, time.time() - self.max_age
        rows = self._keeper.execute("SELECT last, at, length(messages) FROM blocks ORDER BY first")
        for last, at, size in rows:
            if over <= 0 and at >= oldest:
                break
            limit = int(last)
            over -= size + _ROW
        rows.close()
        return limit

    def _delete(self, through: int) -> None:
        """Delete the blocks of which nothing is behind a number."""
        if through < self._first:
            return
        with self._keeper:
            self._keeper.execute("BEGIN IMMEDIATE")
            (size,) = self._keeper.execute(
                f"SELECT coalesce(sum(length(messages) + {_ROW}), 0) FROM blocks WHERE last <= ?",  # noqa: S608
                (through,),
            ).fetchone()
            if size:
                self._keeper.execute("DELETE FROM blocks WHERE last <= ?", (through,))
                self._keeper.execute("INSERT OR REPLACE INTO about VALUES ('deleted', ?)", (str(through),))
        self._first = through + 1
        with self._lock:
            self._bytes -= int(size)

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
        found: list[Message] = []
        rows = self._connection.execute(
            "SELECT first, messages FROM blocks WHERE first >= (SELECT coalesce(max(first), 0) FROM blocks "
            "WHERE first <= ?) ORDER BY first",
            (position + 1,),
        )
        for first, lines in rows:
            for number, line in enumerate(lines.split(b"\n"), first):
                if number > position:
                    kind, subject, body = line.split(b"\t", 2)
                    found.append(Message(number, f"{self._id}-{number}", kind.decode(), subject.decode(), body))
            if len(found) >= limit:
                break
        rows.close()  # ends the read, so that the log can be copied into the file
        return found[:limit]

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    return connection
