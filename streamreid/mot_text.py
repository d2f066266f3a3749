"""Tables of numbers in text files, as tracking tools exchange them: MOTChallenge text and AI City text, in the
spellings of their many writers.

MOTChallenge (motchallenge.net): ``frame, id, left, top, width, height[, score[, class[, visibility]]]``, or ``...,
score, x, y, z`` with places in the world. AI City (aicitychallenge.org): ``camera id frame left top width height xworld
yworld``, separated by blanks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import DataError
from streamreid.textfiles import decode_text

__all__ = ["COLUMNS", "Layout", "NumberTable", "first_frame", "layout_of", "read_numbers"]

Layout = Literal["mot", "aicity"]

COLUMNS = 10
"""Columns that are read; what follows has no meaning in either layout."""

_AICITY_COLUMNS = 9
"""Columns of the AI City Challenge's tracking text."""

_LONGEST_NUMBER = 40
"""Characters of a number: numpy.savetxt writes 25. Parsing one of a million digits takes minutes."""

_SHOWN = 60
"""Characters of a bad line that a message quotes."""

_LEAST_HEIGHT = 3.0
"""Pixels: the median height of people in AI City text; the seventh column of MOT text is a score, at most 1."""

_NUMBER = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?|[+-]?(?:nan|inf|infinity)", re.IGNORECASE
)
_HEADER = (
    {"frame", "frameid", "framenumber", "frameno", "fr", "frameidx", "frameindex"},
    {"id", "trackid", "objectid", "identity", "pid", "objid", "personid"},
    {"left", "bbleft", "x", "x1", "xmin", "bbx", "bboxleft", "boxleft", "bbxleft"},
    {"top", "bbtop", "y", "y1", "ymin", "bby", "bboxtop", "boxtop", "bbytop"},
    {"width", "bbwidth", "w", "bbw", "bboxwidth", "boxwidth"},
    {"height", "bbheight", "h", "bbh", "bboxheight", "boxheight"},
)


@dataclass(frozen=True, slots=True, eq=False)
class NumberTable:
    """Rows of numbers.

    Args:
        rows: ``[N, 10]`` float64; NaN where a row is shorter.
        lines: ``[N]`` int64 line number in the file, from 1.
        columns: Of the first row.
        blanks: Whether the columns are separated by blanks or tabs alone.
        path: The file.
    """

    rows: NDArray[np.float64]
    lines: NDArray[np.int64]
    columns: int
    blanks: bool
    path: Path

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"NumberTable(rows={len(self)}, columns={self.columns}, path={str(self.path)!r})"

    def at(self, row: int) -> str:
        """``FILE:LINE`` of a row, for messages."""
        return f"{self.path}:{self.lines[row]}"


def read_numbers(path: Path, least: int = 6) -> NumberTable:
    """Read a text file of numbers: separated by commas, semicolons (then with decimal points or commas), tabs or
    blanks.

    A byte-order mark, UTF-16, comments (``#``, ``%``, ``//``), empty lines, one line of column names and a separator at
    the end of a line are passed over.

    Args:
        path: The file.
        least: Columns that each row must have.

    Raises:
        DataError: Not readable, not numbers, or a row with fewer columns (file and line named).
    """
    try:
        data = path.read_bytes()
        text = decode_text(data)
    except UnicodeDecodeError as error:
        raise DataError(
            f"'{path}' is not a text file ({error.reason} at byte {error.start}); expected MOT text"
        ) from None
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror or error}") from None
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") and text.strip() and not any("0" <= c <= "9" for c in text[:10_000]):
        raise DataError(
            f"'{path}' is not a text file of numbers; expected MOT text (frame, id, left, top, width, height, ...)"
        )
    rows: list[list[float]] = []
    lines: list[int] = []
    order: list[int] | None = None
    columns, blanks, begun = 0, True, False
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip().lstrip("\ufeff")
        if not stripped or stripped.startswith(("#", "%", "//")):
            continue
        fields, plain = _fields(stripped)
        if not begun:
            begun = True
            if len(fields) >= least and not any(_NUMBER.fullmatch(f[:_LONGEST_NUMBER]) for f in fields[:least]):
                order = _order(fields, f"{path}:{number}")
                continue
        row = _row(fields, least, f"{path}:{number}", stripped)
        if order is not None:
            row = [row[i] for i in order if i < len(row)]
        if not rows:
            columns, blanks = len(row), plain
        rows.append(row[:COLUMNS] + [np.nan] * (COLUMNS - len(row)))
        lines.append(number)
    return NumberTable(
        np.array(rows, np.float64).reshape(-1, COLUMNS), np.array(lines, np.int64), columns, blanks, path
    )


def _fields(line: str) -> tuple[list[str], bool]:
    """The columns of a line, and whether only blanks separate them."""
    if ";" in line:
        fields = [f.strip().replace(",", ".") for f in line.split(";")]
    elif "," in line:
        fields = [f.strip() for f in line.split(",")]
        if any(" " in f or "\t" in f for f in fields):
            fields = [part for f in fields for part in (f.split() or [""])]
    else:
        return line.split(), True
    while fields and not fields[-1]:
        fields.pop()
    return fields, False


def _row(fields: list[str], least: int, where: str, line: str) -> list[float]:
    row = []
    for number, field in enumerate(fields[:COLUMNS], 1):
        if len(field) > _LONGEST_NUMBER or not _NUMBER.fullmatch(field):
            if number > max(least, 7):
                break  # a class by name, a remark: no column that is needed
            what = "an empty column" if not field else f"{field[:_SHOWN]!r}, which is not a number,"
            raise DataError(f"{where}: expected numbers, got {what} in column {number}: {line[:_SHOWN]!r}")
        row.append(float(field))
    if len(row) < least:
        raise DataError(f"{where}: expected at least {least} columns, got {len(fields)} values: {line[:_SHOWN]!r}")
    return row


def _order(names: list[str], where: str) -> list[int] | None:
    """Which column of the file each of ours is, by a line of names; None where the names say nothing else than the
    usual order."""
    plain = [re.sub(r"[^a-z0-9]", "", n[:_SHOWN].lower()) for n in names]
    corners = {"x2", "y2", "xmax", "ymax", "right", "bottom"} & set(plain)
    if corners:
        raise DataError(
            f"{where}: the columns {', '.join(sorted(corners))} are corners; MOT text has width and height: write "
            "right - left, bottom - top"
        )
    found = [[i for i, name in enumerate(plain) if name in known] for known in _HEADER]
    if all(found):
        first = [places[0] for places in found]
        if len(set(first)) == len(first):
            return [*first, *(i for i in range(len(names)) if i not in first)]
    if any(places and places[0] != i for i, places in enumerate(found)):
        raise DataError(
            f"{where}: the names of the columns are not understood; write frame,id,left,top,width,height,score"
        )
    return None


def first_frame(table: NumberTable) -> int:
    """The number of the first frame by this file's way of counting: 0 where frame 0 occurs, else 1.

    MOT text counts from 1; a file with a frame 0 counts from 0, so that all its frames are one later in MOT text.
    """
    return 0 if len(table) and float(table.rows[:, 0].min()) == 0 else 1


def layout_of(table: NumberTable, chosen: Layout | None = None) -> Layout:
    """Whether a table is MOT text or AI City text, by its values.

    AI City text has nine columns, of which the third counts frames and the seventh is a height; in MOT text the
    seventh is a score, the eighth a class, the ninth a visibility, and an id has one row per frame.

    Args:
        table: What was read.
        chosen: The answer, where the user knows it.

    Raises:
        DataError: It can be either.
    """
    if chosen is not None:
        return chosen
    rows = table.rows
    if table.columns != _AICITY_COLUMNS or not len(rows):
        return "mot"
    score = rows[:, 6]
    if bool((((score >= 0) & (score <= 1)) | (score == -1) | np.isnan(score)).all()):
        return "mot"
    visible = bool((((rows[:, 8] >= 0) & (rows[:, 8] <= 1)) | (rows[:, 8] == -1)).all()) and _whole(rows[:, 7:8], -1)
    mot = visible and _whole(rows[:, :2], -1) and _sizes(rows[:, 4:6]) and _unique(rows[rows[:, 1] != -1, :2])
    city = (
        _whole(rows[:, :3], 0)
        and _sizes(rows[:, 5:7])
        and _unique(rows[:, :3])
        and float(np.nanmedian(score)) > _LEAST_HEIGHT
    )
    if mot and city and table.blanks:
        raise DataError(
            f"'{table.path}' can be MOT text (frame, id, left, top, width, height, score, ...) as well as AI City "
            "text (camera, id, frame, left, top, width, height, x, y): its nine columns fit both. Say which: "
            "--format mot or --format aicity"
        )
    return "aicity" if (city and not mot) or (table.blanks and not mot) else "mot"


def _whole(values: NDArray[np.float64], least: int) -> bool:
    return bool((np.isfinite(values) & (values == np.floor(values)) & (values >= least)).all())


def _sizes(values: NDArray[np.float64]) -> bool:
    return bool((values > 0).all())


def _unique(values: NDArray[np.float64]) -> bool:
    return len(np.unique(values, axis=0)) == len(values)
