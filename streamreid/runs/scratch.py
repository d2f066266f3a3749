"""Folders on the local disk for what is needed for a short time; what a killed process left of them is removed by the
next."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from streamreid.errors import OutputError

__all__ = ["scratch_folder", "sweep_scratch"]

_LOCK = ".in-use"
"""Held by the process whose folder it is; that ends with the process, however that ends."""


def _root() -> Path:
    user = getattr(os, "getuid", lambda: 0)()
    return Path(tempfile.gettempdir()) / f"streamreid-scratch-{user}"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder below ``TMPDIR``, for its owner only, which is removed at the end. The folder above it stays,
    because others may be about to use it.

    Raises:
        OutputError: It cannot be made.
    """
    sweep_scratch()
    root = _root()
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = root.stat().st_uid
        if owner != getattr(os, "getuid", lambda: owner)():
            raise OutputError(f"'{root}' belongs to another user; set TMPDIR to a folder of your own")
        folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=root))
        held = _hold(folder)
        inner = folder / "files"
        inner.mkdir()
    except OSError as error:
        raise OutputError(f"cannot write to '{root}': {error.strerror or error}; set TMPDIR") from error
    try:
        yield inner
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if held is not None:
            os.close(held)


def _hold(folder: Path) -> int | None:
    """Lock a folder that nobody else knows yet. The lock appears when it is held, so that nobody finds it free."""
    try:
        import fcntl
    except ImportError:  # Windows: nothing is swept there
        return None
    new = folder / f"{_LOCK}.new"
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.rename(new, folder / _LOCK)
    return descriptor


def sweep_scratch() -> None:
    """Remove what killed processes of this user left."""
    try:
        import fcntl
    except ImportError:
        return
    for lock in _root().glob(f"*/{_LOCK}"):
        with suppress(OSError):
            descriptor = os.open(lock, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
            finally:
                os.close(descriptor)
