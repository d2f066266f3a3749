"""Who may read the files of a gallery: their owner, unless the configuration says otherwise (``gallery.private``)."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

__all__ = ["make_folder", "make_private"]

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_folder(folder: Path, *, private: bool) -> None:
    """Make a folder, readable by its owner only (0700) if ``private``. One that is there stays as it is: others may use
    it, too.

    Raises:
        OSError: It cannot be made.
    """
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o777)


def make_private(path: Path, *, private: bool) -> None:
    """Make an empty file that only its owner can read (0600), or take a file that is there from others. Nothing happens
    unless ``private``.

    Files of another owner stay as they are: they can be written to, but not taken from others.

    Raises:
        OSError: It cannot be made.
    """
    if not private:
        return
    if not path.exists():
        with suppress(FileExistsError):  # another process was faster
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    elif stat.S_IMODE(path.stat().st_mode) & _OTHERS:
        with suppress(PermissionError):
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~_OTHERS)
