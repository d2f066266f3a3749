"""Which ids and frame numbers the results in a folder hold, so that a live run that goes on there gives none of them
again.

One output alone cannot say: while the disk is full, or between two writes of one frame, some outputs take a line that
others do not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["WrittenNumbers", "written_numbers"]

_BLOCK = 65_536
"""Bytes read at once from the end of a file."""


@dataclass(frozen=True, slots=True)
class WrittenNumbers:
    """What one line, or one table, holds.

    Args:
        camera: Whose frame and track; empty where only an identity is named.
        frame: Highest frame number, from 0; -1 for none.
        track: Highest track id; 0 for none.
        who: Highest global id; 0 for none.
    """

    camera: str = ""
    frame: int = -1
    track: int = 0
    who: int = 0


def written_numbers(
    folder: Path, known: Mapping[str, int], *, lines_from: int = 0, world_from: int = 0
) -> Iterator[WrittenNumbers]:
    """The numbers in JSON lines, MOT text, Parquet and ways on the ground. Half lines and unreadable parts are passed
    over.

    Args:
        folder: Of a run's results, or of one segment of them.
        known: By camera, the frame number up to which (not included) all numbers are known already: what lies before it
            is not read.
        lines_from: Bytes of ``results.jsonl`` that are known.
        world_from: Bytes of ``world.txt`` that are known.
    """
    yield from _of_json(folder / "results.jsonl", lines_from)
    for path in sorted((folder / "mot").glob("*.txt")):
        for frame, track in _of_mot(path, known.get(path.stem, 0)):
            yield WrittenNumbers(path.stem, frame, track)
    for path in sorted((folder / "mot" / "global").glob("*.txt")):
        for frame, who in _of_mot(path, known.get(path.stem, 0)):
            yield WrittenNumbers(path.stem, frame, who=who)
    yield from _of_parquet(folder / "results.parquet", known)
    yield from _of_world(folder / "world.txt", world_from)


def _lines(path: Path, start: int) -> Iterator[bytes]:
    """Whole lines behind byte ``start``; all where the file is shorter than that, none where there is no file."""
    with suppress(FileNotFoundError), open(path, "rb") as file:
        file.seek(start if start <= path.stat().st_size else 0)
        yield from (line for line in file if line.endswith(b"\n"))


def _of_json(path: Path, start: int) -> Iterator[WrittenNumbers]:
    for line in _lines(path, start):
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            item = json.loads(line)
            kind = item.get("type")
            if kind == "person":
                yield WrittenNumbers(item["camera"], item["frame"], item["track_id"], item["global_id"] or 0)
            elif kind == "event":
                who = max(item["global_id"], item["other_id"] or 0)
                yield WrittenNumbers(item["camera"] or "", track=item["track_id"] or 0, who=who)
            elif kind in ("identity", "unlinked"):
                yield WrittenNumbers(who=item["global_id"] or 0)


def _of_mot(path: Path, known: int) -> Iterator[tuple[int, int]]:
    """(frame from 0, id) of the lines from the last one back to frame ``known``."""
    for line in _backwards(path):
        with suppress(ValueError):
            frame, number, _ = line.split(b",", 2)
            if int(frame) - 1 < known:
                return
            yield int(frame) - 1, int(number)


def _backwards(path: Path) -> Iterator[bytes]:
    """Whole lines, the last one first."""
    with open(path, "rb") as file:
        end, rest = file.seek(0, 2), b""
        whole = False
        while end:
            start = max(0, end - _BLOCK)
            file.seek(start)
            first, *lines = (file.read(end - start) + rest).split(b"\n")
            if lines and not whole:
                lines.pop()  # empty, or a half line
                whole = True
            yield from reversed(lines)
            end, rest = start, first
        if whole:
            yield rest


def _of_parquet(path: Path, known: Mapping[str, int]) -> Iterator[WrittenNumbers]:
    """Of the parts of a table, the youngest first, until one holds nothing new."""
    if not path.exists():
        return
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:  # then nothing is added to it either
        return
    for part in sorted(path.glob("part-*.parquet"), reverse=True) if path.is_dir() else [path]:
        try:
            table = pyarrow.parquet.ParquetFile(part).read(
                columns=["camera", "frame", "track_id", "global_id", "final_global_id"]
            )
        except (pyarrow.ArrowException, OSError):
            continue
        table = table.set_column(0, "camera", table["camera"].cast(pyarrow.string()))
        numbers = ("frame", "track_id", "global_id", "final_global_id")
        rows = table.group_by("camera").aggregate([(name, "max") for name in numbers]).to_pylist()
        for row in rows:
            who = max(row["global_id_max"] or 0, row["final_global_id_max"] or 0)
            yield WrittenNumbers(row["camera"], row["frame_max"], row["track_id_max"], who)
        if all(row["frame_max"] < known.get(row["camera"], 0) for row in rows):
            return


def _of_world(path: Path, start: int) -> Iterator[WrittenNumbers]:
    for line in _lines(path, start):
        with suppress(ValueError, IndexError):
            yield WrittenNumbers(who=int(line.split(b",", 2)[1]))
