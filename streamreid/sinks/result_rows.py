"""The files of a run read row by row, with the bytes of each row, whatever state they are in."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streamreid.errors import MissingExtraError

__all__ = [
    "Track",
    "csv_rows",
    "json_items",
    "mot_rows",
    "parquet_files",
    "row_groups",
    "tracks_of",
    "whole_number",
]

Track = tuple[str, int]
"""A camera and a track id."""


def tracks_of(item: dict[str, Any]) -> list[Track]:
    """The tracks that a JSON line is about."""
    if item.get("type") == "identity":
        return [(camera, track) for camera, track in item.get("members", [])]
    return [(item["camera"], item["track_id"])] if item.get("camera") and item.get("track_id") else []


def json_items(path: Path, *, half: bool = False) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Lines and what they say, {} for one that cannot be read."""
    if not path.is_file():
        return
    with open(path, "rb") as file:
        for line in file:
            if not line.endswith(b"\n") and not half:
                return
            try:
                item = json.loads(line)
                tracks_of(item)
            except (ValueError, TypeError, AttributeError):
                item = {}
            yield line, item


def mot_rows(path: Path) -> Iterator[tuple[bytes, str, int | None, str]]:
    """Lines of MOT text: the bytes, the frame, the id (None where there is none), what stands behind it."""
    if not path.is_file():
        return
    with open(path, "rb") as file:
        for line in file:
            values = line.decode("utf-8", "replace").split(",", 2)
            number = whole_number(values[1]) if len(values) == 3 else None
            yield line, values[0], number, values[-1]


def whole_number(text: str) -> int | None:
    """The number that a text is; None where it is none."""
    try:
        return int(text)
    except ValueError:
        return None


def csv_rows(path: Path) -> list[list[str]]:
    """Rows of a CSV file, none where there is no file."""
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def parquet_files(place: Path) -> list[Path]:
    """The tables of a folder of results: one file, or parts of it."""
    table, parts = place / "results.parquet", place / "results.parquet.parts"
    return [p for p in [table, *sorted(table.glob("*.parquet")), *sorted(parts.glob("*.parquet"))] if p.is_file()]


def row_groups(path: Path) -> Iterator[Any]:
    """A Parquet file, one group of rows after the other."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet", "Erasing people from Parquet") from error
    with pyarrow.parquet.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number)
