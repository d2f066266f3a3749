"""Folders that one process at a time writes to, and the replacement of what is in them: the old is kept until the new
is there."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

from streamreid.errors import FolderBusy, OutputError
from streamreid.secrets import redact

__all__ = ["FolderLock", "Replacement", "is_held", "is_written"]

_LOCK = ".lock"
_LONGEST_COMMAND = 300
"""Characters of a command line that a lock shows."""


class FolderLock:
    """Keeps every other process out of a folder that is written to. The lock ends with the process, however that ends.

    The file ``.lock`` in the folder says who holds it: ``pid``, ``host``, ``command`` (without secrets), ``since``
    (UTC). It is removed at the end, and so is a folder that was made for the lock and stayed empty.

    Args:
        folder: Made if needed.
        name: Of the lock file; two kinds of data in one folder have a lock each.
        option: The command line's option for another folder, for messages.

    Raises:
        FolderBusy: Another process writes there (when entered).
        OutputError: The folder is not writable (when entered).
    """

    def __init__(self, folder: Path, *, name: str = _LOCK, option: str = "--out") -> None:
        self._folder = folder
        self._path = folder / name
        self._option = option
        self._made: list[Path] = []
        self._descriptor: int | None = None

    def __enter__(self) -> FolderLock:
        try:
            import fcntl
        except ImportError:  # Windows
            return self
        try:
            self._made = [p for p in (self._folder, *self._folder.parents) if not p.exists()]
            while self._descriptor is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if _is_file(descriptor, self._path):  # not one that its holder has just removed
                        self._descriptor = descriptor
                finally:
                    if self._descriptor is None:
                        os.close(descriptor)
            os.ftruncate(self._descriptor, 0)
            with suppress(OSError):  # on a full disk it holds all the same
                os.pwrite(self._descriptor, json.dumps(_about_this_process()).encode(), 0)
        except BlockingIOError:
            self._made = []
            raise FolderBusy(
                f"another run is writing to '{self._folder}'{_holder(self._path)}; end it or choose another folder "
                f"({self._option})"
            ) from None
        except OSError as error:
            self._release()
            raise OutputError(
                f"cannot write to '{self._folder}': {error.strerror or error}. Choose another folder ({self._option})"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    @property
    def made(self) -> bool:
        """Whether the folder was not there before."""
        return self._folder in self._made

    def _release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        with suppress(OSError):
            self._path.unlink()  # while it is held, so that nobody else's is removed
        os.close(descriptor)
        with suppress(OSError):
            for folder in self._made:
                folder.rmdir()  # only where it is empty


def is_held(folder: Path, name: str = _LOCK) -> bool:
    """Whether another process holds the lock of a folder now; False also where that cannot be known."""
    try:
        import fcntl

        with open(folder / name, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    except (ImportError, OSError):
        pass
    return False


def is_written(folder: Path) -> bool:
    """Whether another process writes to a folder at the moment. Nothing is made or changed."""
    try:
        import fcntl

        descriptor = os.open(folder / _LOCK, os.O_RDONLY)
    except (ImportError, OSError):  # Windows, or no lock
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _is_file(descriptor: int, path: Path) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    held = os.fstat(descriptor)
    return (held.st_dev, held.st_ino) == (there.st_dev, there.st_ino)


def _about_this_process() -> dict[str, Any]:
    program = Path(sys.argv[0]) if sys.argv and sys.argv[0] else Path("python")
    command = " ".join(
        [f"python -m {program.parent.name}" if program.name == "__main__.py" else program.name, *sys.argv[1:]]
    )
    if program.name == "default_worker.py":  # Ray's, in which the site of a run lives
        command = "the site of a run on a cluster, which ends with the command that began it"
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "command": redact(command[:_LONGEST_COMMAND]),
        "since": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC"),
    }


def _holder(path: Path) -> str:
    """Who holds a lock, for a message; empty where the file does not say."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return (
            f" (process {int(found['pid'])} on {found['host']}, since {found['since']}: "
            f"{str(found['command'])[:_LONGEST_COMMAND]})"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return ""


class Replacement:
    """Replaces data in a folder so that the old is there until the new is: `begin` moves the old aside, `commit`
    deletes it, `restore` moves it back.

    A process that is killed in between leaves what `recover` needs. Call all methods under the folder's `FolderLock`.

    Args:
        folder: Where the data lie.
        list_paths: What belongs to the data and exists, in the order in which it has to go; everything else in the
            folder stays.
        name: Of the hidden folder in ``folder`` that holds the old meanwhile.
        option: The command line's option for another folder, for messages.
    """

    def __init__(
        self,
        folder: Path,
        list_paths: Callable[[Path], Iterable[Path]],
        *,
        name: str = ".replaced",
        option: str = "--out",
    ) -> None:
        self._folder = folder
        self._list_paths = list_paths
        self._aside = folder / name
        self._moving = folder / f"{name}.moving"
        self._doomed = folder / f"{name}.delete"
        self._option = option
        self._begun = False

    @property
    def pending(self) -> bool:
        """Whether the old is aside and neither deleted nor moved back."""
        return self._begun

    def recover(self) -> None:
        """Put right what a killed process left: the old comes back unless `commit` was called.

        Raises:
            OutputError: Something cannot be moved.
        """
        shutil.rmtree(self._doomed, ignore_errors=True)
        self._guarded(self._put_back)

    def begin(self) -> None:
        """Move the old aside.

        Raises:
            OutputError: Something cannot be moved; then all stays as it was.
        """
        self._begun = True
        try:
            self._guarded(self._move_aside)
        except OutputError:
            self.restore()
            raise

    def commit(self) -> None:
        """The new is there: delete the old."""
        if self._begun:
            self._begun = False
            with suppress(OSError):
                os.rename(self._aside, self._doomed)  # in one step: from now on nothing comes back
            shutil.rmtree(self._doomed, ignore_errors=True)

    def restore(self) -> None:
        """Delete what there is of the new and move the old back.

        Raises:
            OutputError: Something cannot be moved; it is then in the hidden folder, and `recover` tries again.
        """
        if self._begun:
            self._begun = False
            self._guarded(self._put_back)

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except OSError as error:
            raise OutputError(
                f"cannot replace what is in '{self._folder}': {error.strerror or error}. Choose another folder "
                f"({self._option})"
            ) from error

    def _move_aside(self) -> None:
        self._moving.mkdir()
        for path in list(self._list_paths(self._folder)):
            target = self._moving / path.relative_to(self._folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.rename(path, target)
        os.rename(self._moving, self._aside)

    def _put_back(self) -> None:
        if self._aside.is_dir():  # all of the old was aside: what lies in its place is new
            for path in list(self._list_paths(self._folder)):
                _remove(path)
        for aside in (self._aside, self._moving):
            if aside.is_dir():
                _merge(aside, self._folder)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _merge(source: Path, target: Path) -> None:
    """Move what is in a folder into another one, and remove the folder."""
    for path in list(source.iterdir()):
        there = target / path.name
        if path.is_dir() and there.is_dir():
            _merge(path, there)
        else:
            os.replace(path, there)
    source.rmdir()
