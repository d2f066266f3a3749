"""Reading the JSON lines of a run again, also of one that was killed, or whose results are in segments."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamreid.errors import DataError
from streamreid.sinks.segments import result_folders

__all__ = ["find_results", "read_lines"]

_FILE = "results.jsonl"


def find_results(path: Path) -> list[Path]:
    """The JSON lines of a run, oldest first: the file itself, or those in its folder or in the segments there; empty if
    there are none."""
    if not path.is_dir():
        return [path] if path.is_file() else []
    return [file for folder in result_folders(path) if (file := folder / _FILE).is_file()]


def read_lines(path: Path, take: Callable[[dict[str, Any], int], None]) -> None:
    """Hand every complete line of a run's JSON lines to a function.

    Args:
        path: The file, or a folder of results.
        take: Called with what the line says and its number, from 1.

    Raises:
        DataError: A line is not one of streamreid's, or ``take`` misses something in it.
    """
    for found in find_results(path):
        with open(found, "rb") as file:  # what is no UTF-8 is a line that is none of ours, too
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break  # a run that is still writing or was killed: only complete lines count
                try:
                    take(json.loads(line), number)
                except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                    raise DataError(
                        f"{found}:{number}: not a line of streamreid's results ({type(error).__name__}: {error})"
                    ) from error
