"""A gallery in PostgreSQL, shared by any number of machines. Plain tables, no extension; psycopg 3.

Transactions that write take one advisory lock, so they follow one another and nothing is lost between two processes.
Every change is announced by ``NOTIFY``; ``wait`` listens on a connection of its own.
"""

from __future__ import annotations

import hashlib
import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from streamreid.errors import GalleryBusy, GalleryError, MissingExtraError
from streamreid.gallery.base import Limits
from streamreid.gallery.erasing import Erasing
from streamreid.gallery.migration import copy_tables
from streamreid.gallery.schema import VERSION
from streamreid.gallery.sqlite_store import SqliteGallery
from streamreid.secrets import redact

__all__ = ["PostgresGallery"]

_SCHEMA = "streamreid"
_CHANNEL = "streamreid_gallery"
_LOCK = int.from_bytes(hashlib.sha256(b"streamreid gallery").digest()[:8], "big", signed=True)
_ADVICE = (
    "is the server running, is the address right (postgresql://user:password@host:5432/database), may this user log "
    "in and create a schema?"
)


def without_password(address: str) -> str:
    """An address as it may be stored: who opens it takes the password from ``PGPASSWORD`` or ``~/.pgpass``."""
    parts = urlsplit(address)
    login, at, host = parts.netloc.rpartition("@")
    query = urlencode([(name, value) for name, value in parse_qsl(parts.query) if name != "password"])
    return urlunsplit(parts._replace(netloc=login.split(":", 1)[0] + at + host, query=query))


class PostgresGallery(Erasing):
    """Identities in a PostgreSQL database, in a schema of their own named ``streamreid``.

    Args:
        address: ``postgresql://user:password@host:port/database``; the password may come from ``PGPASSWORD`` or
            ``~/.pgpass``.
        limits: Caps.
        key_variable: As in ``SqliteGallery``.
        read_only: Never write.
        patience: Seconds to wait for a connection, and for another process that is writing.
        private: Only the owner can read backups (0600).
        clock: UTC seconds.
        steady: Seconds that pass, whatever the clock is set to.

    Raises:
        GalleryError: It cannot be reached, is of a newer version, or encrypted with another key.
        MissingExtraError: psycopg is not installed.
    """

    def __init__(
        self,
        address: str,
        limits: Limits | None = None,
        *,
        key_variable: str | None = None,
        read_only: bool = False,
        patience: float = 10.0,
        private: bool = True,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] | None = None,
    ) -> None:
        try:
            self._driver: Any = importlib.import_module("psycopg")
        except ImportError:
            raise MissingExtraError("psycopg", "postgres", f"the gallery {redact(address)}") from None
        super().__init__(redact(address), limits, key_variable=key_variable, clock=clock, steady=steady)
        self._target = address
        self._read_only = read_only
        self._private = private
        self._patience = patience
        self._listener: Any = None
        self._db: Any = self._connect()
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _connect(self) -> Any:
        try:
            db = self._driver.connect(self._target, autocommit=True, connect_timeout=max(2, round(self._patience)))
            db.execute(f"SET search_path TO {_SCHEMA}")
            db.execute(f"SET lock_timeout = {round(self._patience * 1000)}")
        except self._driver.Error as error:
            raise GalleryError(f"gallery {self.address} cannot be opened: {self._text(error)}; {_ADVICE}") from None
        return db

    def _prepare(self) -> None:
        with self._reading():
            there = bool(
                self._rows(
                    "SELECT 1 FROM information_schema.tables WHERE table_schema = ? AND table_name = 'meta'", (_SCHEMA,)
                )
            )
            version = int(self._meta("version") or 0) if there else 0
        if version > VERSION:
            raise self._newer(version)
        if version < VERSION:
            if self._read_only:
                raise GalleryError(f"there is no gallery of this version in {self.address}, and it was to be read only")
            self._upgrade()
        with self._reading():
            self._unlock(fresh=False)

    def _upgrade(self) -> None:
        with self._writing():
            self._rows(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}")
            there = self._rows(
                "SELECT 1 FROM information_schema.tables WHERE table_schema = ? AND table_name = 'meta'", (_SCHEMA,)
            )
            version = int(self._meta("version") or 0) if there else 0
            if version < VERSION:
                self._migrate(version)
                self._set_meta("version", str(VERSION))
                if version == 0:
                    self._unlock(fresh=True)

    # ------------------------------------------------------------ statements

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        cursor = self._db.execute(sql.replace("?", "%s"), list(values))
        return list(cursor.fetchall()) if cursor.description is not None else []

    def _many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            with self._db.cursor() as cursor:
                cursor.executemany(sql.replace("?", "%s"), rows)

    def _returning(self, sql: str, rows: Sequence[Sequence[Any]]) -> list[int]:
        if not rows:
            return []
        result = []
        with self._db.cursor() as cursor:
            cursor.executemany(sql.replace("?", "%s"), rows, returning=True)
            while True:
                result.append(int(cursor.fetchone()[0]))
                if not cursor.nextset():
                    return result

    def _columns(self) -> dict[str, str]:
        return {"serial": "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY", "blob": "BYTEA"}

    def _renumber(self, tables: Sequence[str]) -> None:
        for table in tables:
            self._rows(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT COALESCE(MAX(id), 0) + 1 FROM "
                f"{table}), false)"
            )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, self._translated("be read"):
            if self._db.closed or self._db.broken:
                self._db = self._connect()
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock, self._translated("be written"):
            if self._read_only:
                raise GalleryError(f"gallery {self.address} was opened for reading only")
            if self._db.closed or self._db.broken:
                self._db = self._connect()
            if self._db.info.transaction_status != self._driver.pq.TransactionStatus.IDLE:
                yield
                return
            with self._db.transaction():
                self._rows("SELECT pg_advisory_xact_lock(?)", (_LOCK,))
                yield
                self._rows("SELECT pg_notify(?, ?)", (_CHANNEL, str(self._db.info.backend_pid)))

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except self._driver.errors.LockNotAvailable:
            raise GalleryBusy(
                f"gallery {self.address} cannot {what}: another process has been writing for more than "
                f"{self._patience:g} s; stop that one"
            ) from None
        except self._driver.errors.DiskFull as error:
            raise GalleryError(
                f"gallery {self.address} cannot {what}: {self._text(error)}; free space on the server. Everything "
                "that was confirmed is kept."
            ) from None
        except self._driver.OperationalError as error:
            raise GalleryError(f"gallery {self.address} cannot {what}: {self._text(error)}; {_ADVICE}") from None
        except self._driver.Error as error:
            raise GalleryError(
                f"gallery {self.address} cannot {what}: {self._text(error)}; nothing of this step was stored"
            ) from error

    @staticmethod
    def _text(error: BaseException) -> str:
        return redact(" ".join(str(error).split()))

    # ------------------------------------------------------------ files

    def _files(self) -> list[Path]:
        return []  # on the server

    def _size(self) -> int:
        with self._reading():
            rows = self._rows(
                "SELECT COALESCE(SUM(pg_total_relation_size(c.oid)), 0) FROM pg_class c WHERE c.relnamespace = "
                "?::regnamespace AND c.relkind = 'r'",
                (_SCHEMA,),
            )
        return int(rows[0][0])

    def _scrub(self, *, thorough: bool) -> None:
        """Clear dead rows out of the tables, or rewrite the tables without them. Write-ahead log, archives and replicas
        are the server's business."""
        how = "VACUUM FULL" if thorough else "VACUUM"
        with self._lock, self._translated("be scrubbed"):
            for table in ("prototypes", "crops", "appearances", "identities", "events"):
                self._rows(f"{how} {table}")

    @property
    def place(self) -> str:
        """The address without password."""
        return without_password(self._target)

    def _open_copy(self, place: str) -> Erasing:
        if "://" in place:
            return PostgresGallery(place, self.limits, clock=self._clock)
        return SqliteGallery(place, self.limits, private=self._private, clock=self._clock)

    def backup(self, path: Path) -> None:
        """See ``GalleryStore``: an SQLite file, whatever the store."""
        path = Path(path)
        if path.exists():
            raise GalleryError(f"'{path}' exists already; choose another name for the backup")
        part = path.with_name(path.name + ".part")
        part.unlink(missing_ok=True)
        target = SqliteGallery(
            part, self.limits, key_variable=self._key_variable, private=self._private, clock=self._clock
        )
        try:
            with self._lock, self._translated("be copied"), self._db.transaction():
                self._rows("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                copy_tables(self, target)
        except BaseException:
            target.close()
            part.unlink(missing_ok=True)
            raise
        target.close()
        part.replace(path)
        if not self._read_only:
            self.note_copy("backup", path, [])

    # ------------------------------------------------------------ others

    def wait(self, seconds: float) -> bool:
        """See ``GalleryStore``."""
        with self._translated("be listened to"):
            if self._listener is None or self._listener.closed or self._listener.broken:
                self._listener = self._connect()
                self._listener.execute(f"LISTEN {_CHANNEL}")
                return True  # something may have changed before we listened
            own = str(self._db.info.backend_pid) if not self._db.closed else ""
            deadline = time.monotonic() + seconds
            while (rest := deadline - time.monotonic()) > 0:
                for note in self._listener.notifies(timeout=rest, stop_after=1):
                    if note.payload != own:
                        return True
        return False

    def close(self) -> None:
        """See ``GalleryStore``."""
        for connection in (self._db, self._listener):
            if connection is not None:
                with suppress(self._driver.Error):
                    connection.close()
