"""Files that are always complete: written beside their place, then renamed into it in one step."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from streamreid.errors import OutputError

__all__ = ["OWNER_ONLY", "atomic_write", "searched_from", "write_json"]

OWNER_ONLY = 0o600
"""Permissions of files that only their owner may read."""


@contextmanager
def atomic_write(
    path: Path, *, part: Path | None = None, mode: int | None = None, durable: bool = False
) -> Iterator[Path]:
    """Replace a file in one step: readers see the old one or the new one, never a part of it. If anything fails, the
    old one stays.

    .. code-block:: python

        with atomic_write(path) as part:
            part.write_bytes(data)

    Args:
        path: The file; its folder exists.
        part: Where it is written first, in the same folder. Default: the name with ``.part`` behind; name another where
            several processes may write the same file, where readers of the folder must not see it (a leading dot), or
            where the writer goes by the ending.
        mode: Permissions of the file from its first byte on; by default those of any new file.
        durable: Wait until file and name are on disk, so that they survive a power cut. Costs a disk flush or two,
            milliseconds to tenths of a second.

    Yields:
        The path to write to.

    Raises:
        OSError: It cannot be written; nothing is left behind.
    """
    part = path.with_name(path.name + ".part") if part is None else part
    try:
        if mode is not None:
            part.unlink(missing_ok=True)  # one that was left behind may be readable by others
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            os.close(handle)
            part.chmod(mode)  # whatever the umask says
        yield part
        if durable:
            _flush(part)
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    if durable:
        with suppress(OSError):  # not every system opens folders
            _flush(path.parent)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, data: Any, *, private: bool = False) -> None:
    """Write ``data`` so that the file is always complete.

    Args:
        path: The file.
        data: What JSON can say.
        private: Only the owner may read it.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        with atomic_write(path, mode=OWNER_ONLY if private else None) as part:
            part.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"cannot write '{path}': {error.strerror or error}. Free space or choose another folder (--out)."
        ) from error


def searched_from(path: Path) -> str:
    """For messages: where a relative path of a model was looked for; unlike those of cameras, such paths begin where
    the command runs."""
    return "" if path.expanduser().is_absolute() else f" (looked for in {Path.cwd()}, where the command runs)"
