"""Folders on the local disk for what is needed for a short time; what a killed process left of them is removed by the
next."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from streamreid._folders import FolderLock
from streamreid.errors import FolderBusy, OutputError

__all__ = ["scratch_folder", "sweep_scratch"]

_LOCK = ".in-use"


def _root() -> Path:
    user = getattr(os, "getuid", lambda: 0)()
    return Path(tempfile.gettempdir()) / f"streamreid-scratch-{user}"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder below ``TMPDIR``, for its owner only, which is removed at the end.

    Raises:
        OutputError: It cannot be made.
    """
    sweep_scratch()
    root = _root()
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = root.stat().st_uid
    except OSError as error:
        raise OutputError(f"cannot write to '{root}': {error.strerror or error}; set TMPDIR") from error
    if owner != getattr(os, "getuid", lambda: owner)():
        raise OutputError(f"'{root}' belongs to another user; set TMPDIR to a folder of your own")
    folder = root / f"{os.getpid()}-{time.time_ns()}"
    with FolderLock(folder, name=_LOCK, option="TMPDIR"):
        try:
            inner = folder / "files"
            inner.mkdir()
            yield inner
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        root.rmdir()  # only where it is empty


def sweep_scratch() -> None:
    """Remove what killed processes of this user left."""
    for folder in _root().glob("*-*"):
        with suppress(FolderBusy, OutputError), FolderLock(folder, name=_LOCK):
            shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        _root().rmdir()
