"""Small files that are always complete, and folders that one run at a time writes to."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from streamreid.errors import OutputError

__all__ = ["FolderLock", "write_json"]


def write_json(path: Path, data: Any, *, private: bool = False) -> None:
    """Write ``data`` so that the file is always complete.

    Args:
        path: The file.
        data: What JSON can say.
        private: Only the owner may read it.

    Raises:
        OutputError: It cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        if private:  # one that was left behind may be readable by others
            part.unlink(missing_ok=True)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if private else 0o666), "w", encoding="utf-8") as file:
            file.write(json.dumps(data, indent=2) + "\n")
        os.replace(part, path)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror or error}. Free space or choose another folder (--out).") from error


class FolderLock:
    """Keeps a second run out of a folder that a live run adds to. The lock ends with the process, however that ends.

    Args:
        folder: Made if needed.
        wanted: False locks nothing.

    Raises:
        OutputError: Another run writes there, or the folder is not writable (when entered).
    """

    def __init__(self, folder: Path, *, wanted: bool = True) -> None:
        self._folder = folder
        self._wanted = wanted
        self._file: IO[bytes] | None = None

    def __enter__(self) -> FolderLock:
        if not self._wanted:
            return self
        try:
            import fcntl
        except ImportError:  # Windows
            return self
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = open(self._folder / ".lock", "wb")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._close()
            raise OutputError(f"another run is writing to '{self._folder}'; end it or choose another folder (--out)") from None
        except OSError as error:
            self._close()
            raise OutputError(f"cannot write to '{self._folder}': {error.strerror or error}. Choose another folder (--out)") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
