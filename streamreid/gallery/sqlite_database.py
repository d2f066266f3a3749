"""The tables of a gallery in one SQLite file: nothing to install, several processes of one machine may use it at a
time.

Write-ahead log, ``synchronous=FULL`` (what was confirmed survives a power cut), ``secure_delete`` (erased rows are
overwritten with zeros). Pages are 16 KiB, so that a prototype of 6 parts of 256 values is not spread over overflow
pages.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from streamreid.errors import GalleryBusy, GalleryError
from streamreid.gallery.database import Dialect, Row, marks
from streamreid.gallery.permissions import make_folder, make_private
from streamreid.gallery.schema import APPLICATION_ID, refuse_newer

__all__ = ["SqliteDatabase"]

_CHECK_UP_TO = 64 << 20  # bytes; larger files are checked by `gallery check` only
_LEAST_SQLITE = (3, 35)  # RETURNING
_SIDE = ("-wal", "-shm")
_VALUES_PER_STATEMENT = 999  # the most before SQLite 3.32

# SQLite's primary result codes, https://www.sqlite.org/rescode.html
_BUSY, _LOCKED, _READ_ONLY, _IO_ERROR, _CORRUPT, _FULL, _CANNOT_OPEN, _NOT_A_DATABASE = 5, 6, 8, 10, 11, 13, 14, 26
_MESSAGES = {
    "not a database": _NOT_A_DATABASE,
    "malformed": _CORRUPT,
    "locked": _LOCKED,
    "busy": _BUSY,
    "full": _FULL,
    "disk I/O": _IO_ERROR,
    "readonly": _READ_ONLY,
    "unable to open": _CANNOT_OPEN,
}
"""What SQLite says for each; Python 3.10 does not pass the code on."""


def _result_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 if it is not known."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return next((code for text, code in _MESSAGES.items() if text in str(error)), 0)
    return int(code) & 0xFF  # the higher bits say more, see "extended result codes"


class SqliteDatabase:
    """The tables of a gallery in an SQLite file; the file is made if it is not there. See ``Database``.

    Args:
        path: The file. It must be on a local disk: network file systems do not lock well enough.
        read_only: Never write, not even notes; the file must exist.
        patience: Seconds to wait for another process that is writing.
        private: Only the owner can read the file, its log and its backups (0600); a folder that is made for them is
            0700.

    Raises:
        GalleryError: Not a gallery, damaged, of a newer version, not writable, or in use.
    """

    id_block = 100
    """What is left of a block is lost when the process is killed, and a file is never away for long."""
    dialect = Dialect(serial="INTEGER PRIMARY KEY AUTOINCREMENT", blob="BLOB")

    def __init__(
        self, path: str | Path, *, read_only: bool = False, patience: float = 10.0, private: bool = True
    ) -> None:
        self.path = Path(path).expanduser()
        self.address = str(self.path)
        self.read_only = read_only
        self.private = private
        self.patience = patience
        self._lock = threading.RLock()
        self._closed = False
        if sqlite3.sqlite_version_info < _LEAST_SQLITE:
            raise GalleryError(
                f"a gallery needs SQLite 3.35 or newer, and this Python was built with {sqlite3.sqlite_version}; "
                "use a newer Python, or PostgreSQL"
            )
        if read_only and not self.path.is_file():
            raise GalleryError(
                f"there is no gallery '{self.path}'; a run makes one: streamreid run ... --gallery {self.path}"
            )
        fresh = not self.path.exists() or self.path.stat().st_size == 0
        with self._translated("be opened"):
            self._db = self._connect()
        try:
            self._prepare(fresh)
            self._seen_version = self._data_version()
        except BaseException:
            self._db.close()
            raise

    def __repr__(self) -> str:
        return f"SqliteDatabase({self.address!r})"

    def _connect(self) -> sqlite3.Connection:
        uri = f"file:{quote(str(self.path.absolute()))}?mode={'ro' if self.read_only else 'rwc'}"
        if self.read_only and not os.access(self.path.absolute().parent, os.W_OK):
            uri += "&immutable=1"  # the log's index cannot be made there, so nobody can be writing either
        if not self.read_only:
            make_folder(self.path.parent, private=self.private)
            make_private(self.path, private=self.private)  # SQLite gives its log the same permissions
        db = sqlite3.connect(uri, uri=True, timeout=self.patience, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA secure_delete = ON")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA cache_size = -65536")
        return db

    def _prepare(self, fresh: bool) -> None:
        """Refuse what is no gallery or damaged, before anything is written; then set up the log."""
        with self._translated("be opened"):
            identity = int(self.rows("PRAGMA application_id")[0][0])
            tables = int(self.rows("SELECT COUNT(*) FROM sqlite_master")[0][0])
            version = self.version()
        if identity != APPLICATION_ID and (tables or identity):
            raise GalleryError(
                f"'{self.path}' is an SQLite file of another program, not a gallery; choose another file. Nothing "
                "was changed."
            )
        refuse_newer(self.address, version)
        if not fresh and self.path.stat().st_size <= _CHECK_UP_TO:
            self.check()
        if self.read_only:
            return
        with self._translated("be opened"):
            if not tables:
                self.rows("PRAGMA page_size = 16384")
                self.rows("PRAGMA auto_vacuum = NONE")
            self.rows("PRAGMA journal_mode = WAL")
            self.rows("PRAGMA journal_size_limit = 16777216")

    @property
    def place(self) -> str:
        """See ``Database``."""
        return str(self.path.resolve())

    @property
    def scratch_folder(self) -> Path:
        """The folder of the file: there is room for the gallery, so probably for a copy."""
        return self.path.absolute().parent

    # ------------------------------------------------------------ statements

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """See ``Database``."""
        return self._db.execute(sql, values).fetchall()

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """See ``Database``."""
        self._db.executemany(sql, rows)

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[int]:
        """See ``Database``."""
        begin, one = f"INSERT INTO {table} ({','.join(columns)}) VALUES ", f"({marks(columns)})"
        most = _VALUES_PER_STATEMENT // len(columns)
        ids: list[int] = []
        for start in range(0, len(rows), most):
            some = rows[start : start + most]
            found = self.rows(f"{begin}{','.join([one] * len(some))} RETURNING id", [v for row in some for v in row])
            ids += sorted(int(row[0]) for row in found)  # AUTOINCREMENT numbers rows upwards, as they are inserted
        return ids

    @contextmanager
    def reading(self) -> Iterator[None]:
        """See ``Database``."""
        with self._lock, self._translated("be read"):
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """See ``Database``."""
        with self._lock, self._translated("be written"):
            if self.read_only:
                raise GalleryError(f"gallery '{self.path}' was opened for reading only")
            with self._transaction("BEGIN IMMEDIATE"):
                yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See ``Database``."""
        with self._lock, self._translated("be read"), self._transaction("BEGIN"):
            yield

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        """A transaction, or a part of the one that is under way."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute(begin)
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise self._explain(error, what) from error
        except OSError as error:
            raise GalleryError(f"gallery '{self.path}' cannot {what}: {error.strerror or error}") from error

    def _explain(self, error: sqlite3.Error, what: str) -> GalleryError:
        text, code = str(error), _result_code(error)
        if code in (_NOT_A_DATABASE, _CORRUPT):
            return self._damaged(text)
        kind = GalleryError
        if code in (_BUSY, _LOCKED):
            kind = GalleryBusy
            advice = (
                f"another process has been using it for more than {self.patience:g} s; stop that one, or "
                "give both a PostgreSQL gallery"
            )
        elif code == _FULL:
            advice = "the disk or a quota is full; free space. Everything that was confirmed is kept"
        elif code == _IO_ERROR:
            advice = "the disk is full or fails; free space, or check it. Everything that was confirmed is kept"
        elif code == _READ_ONLY:
            advice = "the file or its folder cannot be written; change the permissions, or copy the gallery elsewhere"
        elif code == _CANNOT_OPEN:
            advice = (
                "its folder is missing or cannot be read or written; create it, change the permissions, or "
                "choose another place"
            )
        else:
            advice = "nothing of this step was stored"
        return kind(f"gallery '{self.path}' cannot {what}: {text}; {advice}.")

    # ------------------------------------------------------------ schema

    def version(self) -> int:
        """See ``Database``."""
        return int(self.rows("PRAGMA user_version")[0][0])

    def set_version(self, version: int) -> None:
        """See ``Database``."""
        self.rows(f"PRAGMA application_id = {APPLICATION_ID}")
        self.rows(f"PRAGMA user_version = {int(version)}")

    def renumber(self, tables: Sequence[str]) -> None:
        """SQLite numbers new rows after the highest number by itself."""

    # ------------------------------------------------------------ files

    def files(self) -> list[Path]:
        """See ``Database``."""
        return [self.path, *(self.path.with_name(self.path.name + side) for side in _SIDE)]

    def size(self) -> int:
        """See ``Database``."""
        return sum(f.stat().st_size for f in self.files() if f.exists())

    def scrub(self, *, thorough: bool) -> None:
        """Empty the write-ahead log, which holds pages from before the erasure; rewrite the file if asked. See
        ``Database``."""
        with self._lock, self._translated("be scrubbed"):
            if thorough:
                self.rows("VACUUM")
            deadline = time.monotonic() + self.patience
            while int(self.rows("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]):
                if time.monotonic() > deadline:
                    raise GalleryError(
                        f"gallery '{self.path}': the rows are erased, but the log '{self.path.name}-wal' cannot be "
                        "emptied while another process reads; repeat when it is done"
                    )
                time.sleep(0.05)

    def check(self) -> None:
        """Read every page and compare the indexes with the tables. See ``Database``."""
        with self._translated("be read"):
            found = [str(r[0]) for r in self.rows("PRAGMA quick_check(3)")]
        if found != ["ok"]:
            raise self._damaged("; ".join(" ".join(f.split()) for f in found))

    def _damaged(self, what: str) -> GalleryError:
        return GalleryError(
            f"gallery '{self.path}' is damaged: {what}. It was not changed. Put a backup in its place "
            f"(`streamreid gallery backup` makes them), or save what can be read: sqlite3 '{self.path}' .recover"
        )

    def copy_file(self, path: Path) -> bool:
        """See ``Database``; SQLite copies page by page while others go on."""
        with self._lock, self._translated("be copied"):
            target = sqlite3.connect(path, isolation_level=None)
            try:
                self._db.backup(target)
                # Who erases in the original goes through all copies; a copy need not know the others.
                target.execute("DELETE FROM copies")
                target.execute("PRAGMA journal_mode = DELETE")
            finally:
                target.close()
        return True

    # ------------------------------------------------------------ other processes

    def _data_version(self) -> int:
        with self.reading():
            return int(self.rows("PRAGMA data_version")[0][0])

    def wait(self, seconds: float) -> bool:
        """See ``Database``; SQLite does not call, so that it is asked five times a second."""
        deadline = time.monotonic() + seconds
        while True:
            version = self._data_version()
            if version != self._seen_version:
                self._seen_version = version
                return True
            rest = deadline - time.monotonic()
            if rest <= 0:
                return False
            time.sleep(min(rest, 0.2))

    def close(self) -> None:
        """See ``Database``."""
        with self._lock:
            if not self._closed:
                self._closed = True
                with suppress(sqlite3.Error):
                    if not self.read_only:
                        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._db.close()
