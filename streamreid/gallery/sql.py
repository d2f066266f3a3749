"""What both SQL stores share at the bottom: statements, transactions, the schema, features as bytes."""

from __future__ import annotations

import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from streamreid._age_clock import AgeClock
from streamreid.errors import EngineMismatchError, GalleryError
from streamreid.gallery.base import EngineStamp, Limits
from streamreid.gallery.cipher import Cipher, PlainCipher, cipher_from_environment
from streamreid.gallery.schema import MIGRATIONS, VERSION
from streamreid.types import FloatArray, PartFeatures

__all__ = ["Sql", "chunks"]

_CHUNK = 400
_PROBE = b"streamreid"


def chunks(ids: Iterable[int], size: int = _CHUNK) -> Iterator[list[int]]:
    """Sorted ids in lists short enough for one statement."""
    rest = sorted({int(i) for i in ids})
    for start in range(0, len(rest), size):
        yield rest[start : start + size]


def marks(values: Sequence[object]) -> str:
    """As many question marks."""
    return ",".join("?" * len(values))


class Sql(ABC):
    """Statements are written with ``?`` and run on both databases. Safe to use from several threads, one at a time.

    Args:
        address: Where the store is, without password.
        limits: Caps.
        key_variable: Environment variable of the key where the store is, or is to be, encrypted; None for plain stores.
        clock: UTC seconds.
        steady: Seconds that pass, whatever the clock is set to; see `AgeClock`.
    """

    def __init__(
        self,
        address: str,
        limits: Limits | None = None,
        *,
        key_variable: str | None = None,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] | None = None,
    ) -> None:
        self.address = address
        self.limits = limits or Limits()
        self._clock = clock
        self._ages = AgeClock(clock, steady, what=f"gallery '{address}'")
        self._own_runs: set[str] = set()
        self._lock = threading.RLock()
        self._key_variable = key_variable
        self._cipher: Cipher = PlainCipher()
        self._stamp: EngineStamp | None = None
        self._read_only = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r})"

    # ------------------------------------------------------------ what a database must be able to do

    @abstractmethod
    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement, return all its rows."""

    @abstractmethod
    def _many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row of values."""

    @abstractmethod
    def _returning(self, sql: str, rows: Sequence[Sequence[Any]]) -> list[int]:
        """Run a statement that returns one number for each row of values."""

    @abstractmethod
    def _writing(self) -> Any:
        """Context of a transaction that writes: one at a time over all processes; rolled back if it fails."""

    @abstractmethod
    def _reading(self) -> Any:
        """Context of statements that only read: database errors become ``GalleryError``."""

    @abstractmethod
    def _columns(self) -> dict[str, str]:
        """Fills ``{serial}`` and ``{blob}`` of the schema."""

    def _renumber(self, tables: Sequence[str]) -> None:  # noqa: B027 - SQLite has nothing to do
        """Let new rows be numbered after those that were copied in with their numbers."""

    # ------------------------------------------------------------ schema

    def _migrate(self, version: int) -> None:
        """Bring the tables from ``version`` to the present one, in the transaction of the caller."""
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                self._rows(statement.format(**self._columns()))
        if version == 0:
            self._many(
                "INSERT INTO meta (name, value) VALUES (?, ?)",
                [("store", uuid.uuid4().hex), ("next_id", "1"), ("created", repr(self._clock())), ("cipher", "none")],
            )

    def _newer(self, version: int) -> GalleryError:
        return GalleryError(
            f"gallery '{self.address}' was written by a newer streamreid (its tables have version {version}, this one "
            f"knows {VERSION}); upgrade streamreid, or use another gallery. Nothing was changed."
        )

    def _meta(self, name: str) -> str | None:
        found = self._rows("SELECT value FROM meta WHERE name = ?", (name,))
        return str(found[0][0]) if found else None

    def _set_meta(self, name: str, value: str) -> None:
        self._rows(
            "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def _unlock(self, *, fresh: bool) -> None:
        """Set up the cipher: a fresh store is encrypted if a key variable was given; an encrypted one needs its key."""
        if fresh and self._key_variable is not None:
            salt = uuid.uuid4().bytes
            cipher = cipher_from_environment(self._key_variable, salt)
            for name, value in (("cipher", cipher.name), ("salt", salt.hex()), ("probe", cipher.seal(_PROBE).hex())):
                self._set_meta(name, value)
        if self._meta("cipher") in (None, "none"):
            if self._key_variable is not None and not fresh:
                raise GalleryError(
                    f"gallery '{self.address}' is not encrypted, but gallery.encryption is on; copy it into a new "
                    "encrypted one (`streamreid gallery copy OLD NEW --encrypt`), then forget the old one"
                )
            return
        variable = self._key_variable or "STREAMREID_GALLERY_KEY"
        cipher = cipher_from_environment(variable, bytes.fromhex(self._meta("salt") or ""))
        try:
            right = cipher.open(bytes.fromhex(self._meta("probe") or "")) == _PROBE
        except GalleryError:
            right = False
        if not right:
            raise GalleryError(f"the key in {variable} is not the key of gallery '{self.address}'; nothing was changed")
        self._cipher = cipher
        self._key_variable = variable  # copies are encrypted as well

    @property
    def read_only(self) -> bool:
        """Whether it was opened for reading only."""
        return self._read_only

    @property
    def encrypted(self) -> bool:
        """Whether features, names and pictures are written encrypted."""
        return self._cipher.name != "none"

    # ------------------------------------------------------------ engine

    def engine(self) -> EngineStamp | None:
        """See ``GalleryStore``."""
        if self._stamp is None:
            with self._reading():
                text = self._meta("engine")
            if text is not None:
                fingerprint, parts, dim, name = text.split(" ", 3)
                self._stamp = EngineStamp(name, fingerprint, int(parts), int(dim))
        return self._stamp

    def claim(self, stamp: EngineStamp) -> None:
        """See ``GalleryStore``."""
        if self.engine() is None:
            with self._writing():
                if self._meta("engine") is None:
                    self._set_meta("engine", f"{stamp.fingerprint} {stamp.parts} {stamp.dim} {stamp.name}")
        mine = self.engine()
        if mine is None or (mine.fingerprint, mine.parts, mine.dim) != (stamp.fingerprint, stamp.parts, stamp.dim):
            assert mine is not None
            raise EngineMismatchError(
                f"gallery '{self.address}' holds features of engine '{mine.name}' ({mine.parts} parts of {mine.dim} "
                f"values, fingerprint {mine.fingerprint[:12]}), not of '{stamp.name}' ({stamp.parts} parts of "
                f"{stamp.dim}, {stamp.fingerprint[:12]}): they cannot be compared. Use that engine, or another "
                "gallery."
            )

    # ------------------------------------------------------------ values as bytes

    def _pack(self, parts: FloatArray, visibility: FloatArray) -> bytes:
        """One view: parts ``[K, D]`` then visibility ``[K]``, float16 little-endian."""
        data = np.concatenate([parts.reshape(-1), visibility.reshape(-1)]).astype("<f2").tobytes()
        return self._cipher.seal(data)

    def _unpack(self, blobs: Sequence[bytes]) -> PartFeatures:
        stamp = self.engine()
        if stamp is None or not blobs:
            return PartFeatures.unseen(0, *((stamp.parts, stamp.dim) if stamp else (1, 1)))
        k, d = stamp.parts, stamp.dim
        try:
            data = np.frombuffer(b"".join(self._cipher.open(bytes(b)) for b in blobs), "<f2").reshape(
                len(blobs), k * d + k
            )
        except ValueError:
            raise GalleryError(
                f"gallery '{self.address}': a view has not the size of {k} parts of {d} values; the file is damaged. "
                "Restore a backup."
            ) from None
        return PartFeatures(
            data[:, : k * d].astype(np.float32).reshape(len(blobs), k, d), data[:, k * d :].astype(np.float32)
        )

    def _seal_text(self, text: str) -> str:
        return self._cipher.seal(text.encode()).hex() if text and self.encrypted else text

    def _open_text(self, text: str) -> str:
        return self._cipher.open(bytes.fromhex(text)).decode() if text and self.encrypted else text

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock:
            yield
