"""A gallery in one SQLite file: nothing to install, several processes of one machine may use it at a time.

Write-ahead log, ``synchronous=FULL`` (what was confirmed survives a power cut), ``secure_delete`` (erased rows are
overwritten with zeros). Pages are 16 KiB, so that a view of 6 parts of 256 values is not spread over overflow pages.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from streamreid.errors import GalleryBusy, GalleryError
from streamreid.gallery.base import Limits
from streamreid.gallery.erasing import Erasing
from streamreid.gallery.permissions import make_folder, make_private
from streamreid.gallery.schema import APPLICATION_ID, VERSION

__all__ = ["SqliteGallery"]

_CHECK_UP_TO = 64 << 20  # bytes; larger files are checked by `gallery check` only
_LEAST_SQLITE = (3, 35)  # RETURNING
_SIDE = ("-wal", "-shm")

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


class SqliteGallery(Erasing):
    """Identities in an SQLite file; made if it is not there.

    Args:
        path: The file. It must be on a local disk: network file systems do not lock well enough.
        limits: Caps.
        key_variable: Environment variable with the key, to encrypt a new store; an encrypted one is opened with it.
        read_only: Never write, not even notes; the file must exist.
        patience: Seconds to wait for another process that is writing.
        private: Only the owner can read the file, its log and its backups (0600); a folder that is made for them is
            0700.
        clock: UTC seconds.
        steady: Seconds that pass, whatever the clock is set to.

    Raises:
        GalleryError: Not a gallery, damaged, of a newer version, not writable, in use, or encrypted with another key.
        MissingExtraError: It is encrypted and ``cryptography`` is not installed.
    """

    def __init__(
        self,
        path: str | Path,
        limits: Limits | None = None,
        *,
        key_variable: str | None = None,
        read_only: bool = False,
        patience: float = 10.0,
        private: bool = True,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] | None = None,
    ) -> None:
        self.path = Path(path).expanduser()
        super().__init__(str(self.path), limits, key_variable=key_variable, clock=clock, steady=steady)
        if sqlite3.sqlite_version_info < _LEAST_SQLITE:
            raise GalleryError(
                f"a gallery needs SQLite 3.35 or newer, and this Python was built with {sqlite3.sqlite_version}; use "
                "a newer Python, or PostgreSQL"
            )
        self._read_only = read_only
        self._private = private
        self._patience = patience
        self._closed = False
        if read_only and not self.path.is_file():
            raise GalleryError(
                f"there is no gallery '{self.path}'; a run makes one: streamreid run ... --gallery {self.path}"
            )
        fresh = not self.path.exists() or self.path.stat().st_size == 0
        with self._translated("be opened"):
            self._db = self._connect()
        try:
            self._prepare(fresh)
        except BaseException:
            self._db.close()
            raise
        self._seen_version = self._data_version()

    def _connect(self) -> sqlite3.Connection:
        mode = "ro" if self._read_only else "rwc"
        uri = f"file:{quote(str(self.path.absolute()))}?mode={mode}"
        if self._read_only and not os.access(self.path.absolute().parent, os.W_OK):
            uri += "&immutable=1"  # the log's index cannot be made there, so nobody can be writing either
        if not self._read_only:
            make_folder(self.path.parent, private=self._private)
            make_private(self.path, private=self._private)  # SQLite gives its log the same permissions
        db = sqlite3.connect(uri, uri=True, timeout=self._patience, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA secure_delete = ON")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA cache_size = -65536")
        return db

    def _prepare(self, fresh: bool) -> None:
        with self._translated("be opened"):
            identity = int(self._rows("PRAGMA application_id")[0][0])
            version = int(self._rows("PRAGMA user_version")[0][0])
            tables = int(self._rows("SELECT COUNT(*) FROM sqlite_master")[0][0])
        if identity != APPLICATION_ID and (tables or identity):
            raise GalleryError(
                f"'{self.path}' is an SQLite file of another program, not a gallery; choose another file. Nothing was "
                "changed."
            )
        if version > VERSION:
            raise self._newer(version)
        if not fresh and self.path.stat().st_size <= _CHECK_UP_TO:
            self.check()
        if not self._read_only:
            self._upgrade(version, tables == 0)
        elif version < VERSION:
            raise GalleryError(
                f"gallery '{self.path}' is of an older version ({version}) and cannot be upgraded while it is read only"
            )
        with self._reading():
            self._unlock(fresh=False)

    def _upgrade(self, version: int, empty: bool) -> None:
        with self._translated("be opened"):
            if empty:
                self._rows("PRAGMA page_size = 16384")
                self._rows("PRAGMA auto_vacuum = NONE")
            self._rows("PRAGMA journal_mode = WAL")
            self._rows("PRAGMA journal_size_limit = 16777216")
        if version == VERSION:
            return
        with self._writing():
            version = int(self._rows("PRAGMA user_version")[0][0])  # another process may have been faster
            if version < VERSION:
                self._migrate(version)
                self._rows(f"PRAGMA application_id = {APPLICATION_ID}")
                self._rows(f"PRAGMA user_version = {VERSION}")
                if version == 0:
                    self._unlock(fresh=True)

    def check(self) -> None:
        """Read every page and compare the indexes with the tables.

        Raises:
            GalleryError: The file is damaged; it says what was found.
        """
        with self._translated("be read"):
            found = [str(r[0]) for r in self._rows("PRAGMA quick_check(3)")]
        if found != ["ok"]:
            raise self._damaged("; ".join(" ".join(f.split()) for f in found))

    def _damaged(self, what: str) -> GalleryError:
        return GalleryError(
            f"gallery '{self.path}' is damaged: {what}. It was not changed. Put a backup in its place (`streamreid "
            f"gallery backup` makes them), or save what can be read: sqlite3 '{self.path}' .recover"
        )

    # ------------------------------------------------------------ statements

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._db.execute(sql, values).fetchall()

    def _many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self._db.executemany(sql, rows)

    def _returning(self, sql: str, rows: Sequence[Sequence[Any]]) -> list[int]:
        return [int(self._db.execute(sql, row).fetchone()[0]) for row in rows]

    def _columns(self) -> dict[str, str]:
        return {"serial": "INTEGER PRIMARY KEY AUTOINCREMENT", "blob": "BLOB"}

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, self._translated("be read"):
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock, self._translated("be written"):
            if self._read_only:
                raise GalleryError(f"gallery '{self.path}' was opened for reading only")
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
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
                f"another process has been using it for more than {self._patience:g} s; stop that one, or give both a "
                "PostgreSQL gallery"
            )
        elif code == _FULL:
            advice = "the disk or a quota is full; free space. Everything that was confirmed is kept"
        elif code == _IO_ERROR:
            advice = "the disk is full or fails; free space, or check it. Everything that was confirmed is kept"
        elif code == _READ_ONLY:
            advice = "the file or its folder cannot be written; change the permissions, or copy the gallery elsewhere"
        elif code == _CANNOT_OPEN:
            advice = (
                "its folder is missing or cannot be read or written; create it, change the permissions, or choose "
                "another place"
            )
        else:
            advice = "nothing of this step was stored"
        return kind(f"gallery '{self.path}' cannot {what}: {text}; {advice}.")

    # ------------------------------------------------------------ files

    def _files(self) -> list[Path]:
        return [self.path, *(self.path.with_name(self.path.name + side) for side in _SIDE)]

    def _size(self) -> int:
        return sum(f.stat().st_size for f in self._files() if f.exists())

    def _scrub(self, *, thorough: bool) -> None:
        """Empty the write-ahead log, which still holds pages from before the erasure; rewrite the file if asked."""
        with self._lock, self._translated("be scrubbed"):
            if thorough:
                self._rows("VACUUM")
            deadline = time.monotonic() + self._patience
            while int(self._rows("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]):
                if time.monotonic() > deadline:
                    raise GalleryError(
                        f"gallery '{self.path}': the rows are erased, but the log '{self.path.name}-wal' cannot be "
                        "emptied while another process reads; repeat when it is done"
                    )
                time.sleep(0.05)

    @property
    def place(self) -> str:
        """The whole path."""
        return str(self.path.resolve())

    def _open_copy(self, place: str) -> Erasing:
        if "://" in place:
            from streamreid.gallery.postgres_store import PostgresGallery

            return PostgresGallery(place, self.limits, key_variable=None, patience=self._patience, clock=self._clock)
        return SqliteGallery(place, self.limits, patience=self._patience, private=self._private, clock=self._clock)

    def backup(self, path: Path) -> None:
        """See ``GalleryStore``."""
        path = Path(path)
        if path.exists():
            raise GalleryError(f"'{path}' exists already; choose another name for the backup")
        part = path.with_name(path.name + ".part")
        try:
            make_folder(path.parent, private=self._private)
            part.unlink(missing_ok=True)
            make_private(part, private=self._private)
            with self._lock, self._translated("be copied"):
                target = sqlite3.connect(part, isolation_level=None)
                try:
                    self._db.backup(target)
                    # Who erases in the original goes through all copies; a copy need not know the others.
                    target.execute("DELETE FROM copies")
                    target.execute("PRAGMA journal_mode = DELETE")
                finally:
                    target.close()
            with part.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(part, path)
        except OSError as error:
            raise GalleryError(f"the backup '{path}' cannot be written: {error.strerror or error}") from error
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
        if not self._read_only:
            self.note_copy("backup", path, [])

    # ------------------------------------------------------------ others

    def _data_version(self) -> int:
        with self._reading():
            return int(self._rows("PRAGMA data_version")[0][0])

    def wait(self, seconds: float) -> bool:
        """See ``GalleryStore``; SQLite does not call, so that it is asked five times a second."""
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
        """See ``GalleryStore``."""
        with self._lock:
            if not self._closed:
                self._closed = True
                with suppress(sqlite3.Error):
                    if not self._read_only:
                        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._db.close()
