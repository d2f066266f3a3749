"""Which folder a run writes to, and what is in it already."""

from __future__ import annotations

import shutil
from pathlib import Path

from streamreid.errors import ConfigError, OutputError
from streamreid.pipeline.beginning import STATE
from streamreid.pipeline.changes import CHANGES
from streamreid.sinks.pieces import PIECES, RESULTS

__all__ = ["choose_folder", "clear_results"]

_OWN = (*(name for name in RESULTS if name != "crops"), PIECES, "summary.json", STATE, CHANGES)
"""What is removed before a folder is used anew; crops are numbered by run and stay."""


def choose_folder(asked: str | Path | None, name: str, *, overwrite: bool = False, append: bool = False) -> Path:
    """Where results go: the folder asked for, else the first free of runs/<name>, runs/<name>-2, ...

    Args:
        asked: As the user wrote it.
        name: Of the run.
        overwrite: Take a folder with results, too.
        append: Take a folder with results of a live run, to go on there.

    Raises:
        ConfigError: The folder asked for holds results already and may not be taken, or is a file.
    """
    if asked is not None:
        folder = Path(asked)
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"'{folder}' is a file; results need a folder (--out)")
        if not overwrite and not (append and _continuable(folder)) and _used(folder):
            raise ConfigError(f"'{folder}' already holds results; pass --overwrite to replace them or choose another folder (--out)")
        return folder
    number = 1
    while True:
        folder = Path("runs") / (name if number == 1 else f"{name}-{number}")
        if not folder.exists() or overwrite or (append and _continuable(folder)):
            return folder
        number += 1


def _used(folder: Path) -> bool:
    return (
        (folder / "summary.json").exists() or (folder / "results.jsonl").exists() or (folder / STATE).exists() or (folder / PIECES).exists()
    )


def _continuable(folder: Path) -> bool:
    return (folder / STATE).exists()


def clear_results(folder: Path) -> None:
    """Remove the results of an earlier run, and nothing else.

    Raises:
        OutputError: Something cannot be removed.
    """
    for name in _OWN:
        path = folder / name
        try:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot remove '{path}': {error.strerror or error}. Choose another folder (--out)") from error
