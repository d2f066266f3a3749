"""The results of a live run in segments: folders ``pieces/NUMBER-TIME`` in the folder of the results, each like the
folder of a run.

Numbers rise by one from segment to segment and order them, also where the clock was set back; the time (UTC) is when a
segment began.
"""

from __future__ import annotations

import calendar
import os
import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from streamreid.errors import OutputError
from streamreid.sinks.base import write_failed

__all__ = [
    "PIECES",
    "RESULTS",
    "Segment",
    "gather_results",
    "last_written",
    "list_segments",
    "remove_leftovers",
    "remove_segment",
    "result_folders",
    "size_of",
]

PIECES = "pieces"

RESULTS = (
    "results.jsonl",
    "results.parquet",
    "results.parquet.parts",
    "mot",
    "world.txt",
    "videos",
    "mosaic.mp4",
    "mosaic.part.mp4",
    "mosaic.times.csv",
    "mosaic.part.times.csv",
    "crops",
)
"""What a run writes besides its state and its summary."""

_NAME = re.compile(r"(\d{6,})-(\d{8}T\d{6})Z")
_FORMAT = "%Y%m%dT%H%M%S"
_DELETING = ".deleting-"


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment.

    Args:
        path: Its folder.
        number: Its place in the order.
        start: When it began, seconds since 1970.
    """

    path: Path
    number: int
    start: float

    @classmethod
    def of(cls, folder: Path, number: int, start: float) -> Segment:
        """The segment of that number in a folder of results. Nothing is made."""
        start = float(int(start))
        return cls(folder / PIECES / f"{number:06d}-{time.strftime(_FORMAT, time.gmtime(start))}Z", number, start)


def list_segments(folder: Path) -> list[Segment]:
    """The segments in a folder of results, in order."""
    found = []
    with suppress(FileNotFoundError, NotADirectoryError):
        for path in (folder / PIECES).iterdir():
            match = _NAME.fullmatch(path.name)
            if match is not None:
                found.append(Segment(path, int(match[1]), float(calendar.timegm(time.strptime(match[2], _FORMAT)))))
    return sorted(found, key=lambda segment: segment.number)


def last_written(segment: Segment) -> float:
    """When something was last written into a segment, seconds since 1970; 0 for an empty one."""
    times = [0.0]
    for inner in (segment.path, segment.path / "mot", segment.path / "results.parquet", segment.path / "videos"):
        with suppress(OSError), os.scandir(inner) as entries:
            for entry in entries:
                with suppress(OSError):
                    times.append(entry.stat().st_mtime)
    return max(times)


def result_folders(folder: Path) -> list[Path]:
    """Where to read the results of a run: its segments in order, or its folder itself."""
    return [segment.path for segment in list_segments(folder)] or [folder]


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder; files that vanish meanwhile count nothing."""
    total, waiting = 0, [os.fspath(folder)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
    return total


def gather_results(folder: Path, segment: Segment) -> None:
    """Make a segment of the results that an earlier run wrote into the folder itself. May be interrupted and done
    again.

    Raises:
        OutputError: Something cannot be moved.
    """
    try:
        for name in RESULTS:
            if (folder / name).exists():
                segment.path.mkdir(parents=True, exist_ok=True)
                os.rename(folder / name, segment.path / name)
    except OSError as error:
        raise write_failed(segment.path, error) from error


def remove_segment(segment: Segment) -> None:
    """Delete a segment. It is gone at once for readers; what is left when that is interrupted goes with
    `remove_leftovers`.

    Raises:
        OutputError: It cannot be deleted.
    """
    doomed = segment.path.with_name(_DELETING + segment.path.name)
    try:
        os.rename(segment.path, doomed)
        shutil.rmtree(doomed)
    except OSError as error:
        raise OutputError(f"cannot delete '{segment.path}': {error.strerror or error}. Delete it by hand") from error


def remove_leftovers(folder: Path) -> None:
    """Delete what an interrupted deletion left."""
    for path in (folder / PIECES).glob(f"{_DELETING}*"):
        shutil.rmtree(path, ignore_errors=True)
