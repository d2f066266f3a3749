"""Storage that is reached by an address: ``s3://bucket/videos``, ``gs://``, ``sftp://`` and what else fsspec knows.

Credentials come from the environment, as each kind of storage has it (``AWS_ACCESS_KEY_ID`` ...); they are hidden in
all messages. ``file://`` is a path of this machine, and not handled here.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from streamreid.addresses import split_address
from streamreid.errors import ConfigError, MissingExtraError, OutputError, SourceError
from streamreid.secrets import is_secret_key, redact, remember_address, remember_secret

__all__ = ["STORED", "Interrupted", "Storage", "StoredFile", "is_stored", "local_or_address", "reach"]

STORED = -2
"""Stands for the size of what an address reaches, in `reach`."""

TRIES = 3
"""How often something is fetched or sent that fails for a reason that may pass: a connection that is cut comes back
within seconds, and what is away for longer is tried again by the same command."""

PAUSE = 1.0
"""Seconds before the second try; twice as many before the third."""

BLOCK = 8 << 20
"""Bytes that are fetched at once: few requests, and little memory beside a detector's."""

MOST_FILES = 100_000
"""Files of a folder; more are a mistake in the address (a whole bucket), and take minutes to list."""

_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "r2"})
"""Kinds without folders: making one there may make a bucket."""

_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError)
"""What trying again does not mend."""

_PREFIXES = ("AWS_", "AZURE_", "GOOGLE_", "GCS_", "FSSPEC_", "SSH_", "FTP_", "B2_", "OSS_")
"""Of variables that kinds of storage read."""

_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_STORAGE_CONNECTION_STRING")


class Interrupted(Exception):
    """A transfer was given up because it was asked to stop."""


def is_stored(text: str) -> bool:
    """Whether a text is an address of storage, rather than a path of this machine (``file://`` is one)."""
    address = split_address(text)
    return address is not None and address.scheme != "file"


def local_or_address(text: str) -> str | Path:
    """A path of this machine, also where it is written as ``file://``; any other address as it is.

    Raises:
        ConfigError: ``file://`` with another machine's name.
    """
    if is_stored(text):
        return text.rstrip("/")
    if not text.lower().startswith("file://"):
        return Path(text)
    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost"):
        raise ConfigError(f"'{redact(text)}' names a machine; a path of this one has three slashes: file:///videos")
    return Path(unquote(parts.path))


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file on such storage.

    Args:
        base: Address of the folder that was listed.
        name: Its path below; empty where ``base`` is the file.
        size: Bytes; None where the storage does not say.
        version: Changes with its content.
    """

    base: str
    name: str
    size: int | None
    version: str

    @property
    def address(self) -> str:
        """Of the file."""
        return f"{self.base}/{self.name}" if self.name else self.base


class Storage:
    """A folder or file that is reached by an address.

    Args:
        address: Of it.

    Raises:
        ConfigError: Nothing is known that reads such an address, or it cannot be read as one.
        MissingExtraError: fsspec, or the package for this kind of storage, is not installed.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        remember_address(address)
        for name, value in os.environ.items():
            if name in _CREDENTIALS or (name.startswith(_PREFIXES) and is_secret_key(name)):
                remember_secret(value)
        self._fs, self._root = _open(self.address)

    def __repr__(self) -> str:
        return f"Storage({redact(self.address)})"

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else str(self._root)

    # ---------------------------------------------------------------- reading

    def files(self, name: str = "") -> list[StoredFile]:
        """All files below, in the order of their names; the file itself where the address is one.

        Raises:
            SourceError: There is nothing, or it cannot be listed, or there are too many.
        """
        place = f"{self.address}/{name}" if name else self.address
        try:
            self._fs.invalidate_cache()
            path = self._path(name)
            found = self._fs.find(path, detail=True)
            if not found or set(found) == {path}:
                found = {path: self._fs.info(path)}
        except Exception as error:  # each kind of storage has its own
            raise SourceError(f"'{redact(place)}' cannot be listed: {_reason(error)}") from error
        if len(found) > MOST_FILES:
            raise SourceError(
                f"'{redact(place)}' holds {len(found)} files, more than {MOST_FILES}: name a folder in it"
            )
        length = len(self._root)
        return [
            StoredFile(self.address, key[length:].strip("/"), info.get("size"), _version(info))
            for key, info in sorted(found.items())
            if info.get("type", "file") == "file"
        ]

    def read(self, name: str) -> bytes | None:
        """A small file as a whole; None if it is not there.

        Raises:
            SourceError: It cannot be read.
        """
        try:
            return bytes(self._fs.cat_file(self._path(name)))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise SourceError(f"'{redact(self.address)}/{name}' cannot be read: {_reason(error)}") from error

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of a name.

        Raises:
            SourceError: It cannot be told.
        """
        try:
            self._fs.invalidate_cache()
            return bool(self._fs.exists(self._path(name)))
        except Exception as error:
            raise SourceError(f"'{redact(self.address)}' cannot be reached: {_reason(error)}") from error

    def fetch(self, file: StoredFile, target: Path, *, stopped: Callable[[], bool] = lambda: False) -> None:
        """Copy a file to this machine.

        Args:
            file: Of this storage.
            target: Where it goes.
            stopped: Asked after every few megabytes; True gives up.

        Raises:
            SourceError: It is not there, cannot be read, or comes incomplete.
            Interrupted: ``stopped`` said so.
        """

        def copy() -> None:
            written = 0
            with self._fs.open(self._path(file.name), "rb", block_size=BLOCK) as source, open(target, "wb") as out:
                while chunk := source.read(BLOCK):
                    if stopped():
                        raise Interrupted
                    written += out.write(chunk)
            if file.size is not None and written != file.size:
                raise OSError(f"{written} bytes came instead of {file.size}")

        try:
            _patiently(copy, stopped)
        except Interrupted:
            raise
        except Exception as error:
            full = isinstance(error, OSError) and error.errno == errno.ENOSPC
            hint = f"; '{target.parent}' is full, set TMPDIR to a larger disk" if full else ""
            raise SourceError(f"'{redact(file.address)}' cannot be fetched: {_reason(error)}{hint}") from error

    # ---------------------------------------------------------------- writing

    def write(self, name: str, data: bytes) -> None:
        """Write a small file.

        Raises:
            OutputError: It cannot be written.
        """
        self._changing(name, lambda path: self._fs.pipe_file(path, data))

    def send(self, path: Path, name: str) -> None:
        """Copy a file of this machine there.

        Raises:
            OutputError: It cannot be written.
        """
        self._changing(name, lambda target: self._fs.put_file(str(path), target))

    def move(self, source: str, target: str) -> None:
        """Give a file another name.

        Raises:
            OutputError: It cannot be moved.
        """
        self._changing(target, lambda path: self._fs.mv(self._path(source), path))

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all that is in it; nothing happens if there is none.

        Raises:
            OutputError: It cannot be removed.
        """

        def remove(path: str) -> None:
            self._fs.invalidate_cache()
            with suppress(FileNotFoundError):
                if self._fs.exists(path):
                    self._fs.rm(path, recursive=True)

        self._changing(name, remove, folder=False)

    def _changing(self, name: str, change: Callable[[str], Any], *, folder: bool = True) -> None:
        path = self._path(name)
        kinds = self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,)

        def act() -> None:
            if folder and not _OBJECT_STORES & set(kinds):
                self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            change(path)

        try:
            _patiently(act)
        except Exception as error:
            lost = isinstance(error, FileNotFoundError)
            reason = "there is no such bucket or folder" if lost else _reason(error)
            raise OutputError(f"'{redact(self.address)}/{name}' cannot be written: {reason}") from error


def reach(address: str) -> int | None:
    """Whether this machine reaches an address: ``STORED``, or None if there is nothing.

    Raises:
        ConfigError, MissingExtraError, SourceError: It does not.
    """
    return STORED if Storage(address).exists("") else None


def _open(address: str) -> tuple[Any, str]:
    scheme = address.partition("://")[0]
    if "::" in address:
        raise ConfigError(f"'{redact(address)}': '::' has a meaning of its own for fsspec; use another name")
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise MissingExtraError("fsspec", "storage", f"{scheme}://") from None
    try:
        found, root = url_to_fs(address)
    except ImportError as error:
        if scheme in ("s3", "s3a"):
            raise MissingExtraError("s3fs", "storage", f"{scheme}://") from None
        raise ConfigError(f"{scheme}:// needs another package: {error}") from None
    except Exception as error:  # each kind of storage has its own
        raise ConfigError(f"'{redact(address)}' cannot be used: {_reason(error)}") from error
    return found, str(root).rstrip("/")


def _patiently(action: Callable[[], None], stopped: Callable[[], bool] = lambda: False) -> None:
    """Do something, and again where it fails for a reason that may pass."""
    for number in range(TRIES):
        try:
            return action()
        except (*_FINAL, Interrupted):
            raise
        except Exception as error:
            full = isinstance(error, OSError) and error.errno == errno.ENOSPC
            if full or number == TRIES - 1 or "redential" in type(error).__name__:
                raise
        end = time.monotonic() + PAUSE * 2**number
        while time.monotonic() < end:
            if stopped():
                raise Interrupted
            time.sleep(0.05)


def _version(info: dict[str, Any]) -> str:
    keys: Sequence[str] = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "created")
    return next((str(info[key]) for key in keys if info.get(key)), "")


def _reason(error: BaseException) -> str:
    """In one sentence, without secrets."""
    if isinstance(error, FileNotFoundError):
        return "there is nothing of that name"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[0] if lines else type(error).__name__
    if "redential" in said or "redential" in type(error).__name__ or isinstance(error, PermissionError):
        said += " (credentials come from the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
    return redact(said)
