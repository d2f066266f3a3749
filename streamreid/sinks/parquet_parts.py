"""A folder of Parquet files that grows by a small file a second and stays a folder of few files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamreid.files import atomic_write

__all__ = ["PartFolder"]

_NAME = re.compile(r"part-(\d{10})-(\d{10})\.parquet")
_MANY = 60
"""Files that are joined into one of the next level: 60 seconds make a minute, 60 minutes an hour."""

_LEVELS = 2
"""Times that files are joined."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A file and the seconds' parts that are in it."""

    path: Path
    first: int
    last: int

    @property
    def level(self) -> int:
        """0 for a second's part, 1 for sixty, 2 for sixty times sixty."""
        span, level = self.last - self.first + 1, 0
        while span > 1 and level < _LEVELS:
            span, level = span // _MANY, level + 1
        return level


class PartFolder:
    """Parts in the order in which they came. A file appears under its name only when it is complete.

    Args:
        folder: Made if needed; parts that are there are kept. A table that is a plain file of that name becomes the
            first part.
        pa: pyarrow.

    Raises:
        OSError: The folder cannot be written.
    """

    def __init__(self, folder: Path, pa: Any) -> None:
        self.folder = folder
        self._pa = pa
        if folder.is_file():
            aside = folder.with_name(folder.name + ".earlier")
            os.replace(folder, aside)
            folder.mkdir()
            os.replace(aside, folder / _name(0, 0))
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*.part"):
            left.unlink()
        found = []
        for path in sorted(folder.glob("part-*.parquet")):
            match = _NAME.fullmatch(path.name)
            if match is not None:
                found.append(_Part(path, int(match[1]), int(match[2])))
        self._parts: list[_Part] = []
        for part in found:
            # Killed between writing a merged part and removing what is in it.
            if any(p is not part and p.first <= part.first and part.last <= p.last for p in found):
                part.path.unlink()
            else:
                self._parts.append(part)

    def files(self) -> list[Path]:
        """Paths of all part files, oldest first."""
        return [part.path for part in self._parts]

    def add(self, table: Any) -> None:
        """Write a table as the next part, and join old parts where enough lie there."""
        number = self._parts[-1].last + 1 if self._parts else 0
        self._parts.append(self._write(table, number, number))

    def rewrite(self, path: Path, change: Callable[[Any], Any]) -> None:
        """Replace a part by what ``change`` makes of its table, if that is another."""
        before = self._pa.parquet.ParquetFile(path).read()
        after = change(before)
        if not after.equals(before):
            with _atomic(path) as part:
                self._pa.parquet.write_table(after, part)

    def merge(self, change: Callable[[Any], Any] = lambda table: table) -> None:
        """Join parts where many small ones lie side by side.

        Args:
            change: What is done to a joined table before it is written.
        """
        for level in range(_LEVELS):
            tail = []
            for part in reversed(self._parts):
                if part.level != level:
                    break
                tail.append(part)
            if len(tail) < _MANY:
                return
            tail.reverse()
            tables = [self._pa.parquet.ParquetFile(part.path).read() for part in tail]
            table = self._pa.concat_tables(
                tables, promote_options="default"
            )  # parts of an earlier version may have fewer columns
            merged = self._write(change(table), tail[0].first, tail[-1].last)
            self._parts[-len(tail) :] = [merged]
            for part in tail:
                part.path.unlink()

    def _write(self, table: Any, first: int, last: int) -> _Part:
        path = self.folder / _name(first, last)
        with _atomic(path) as part:
            self._pa.parquet.write_table(table, part)
        return _Part(path, first, last)


def _atomic(path: Path) -> AbstractContextManager[Path]:
    """A leading dot keeps readers of the folder away from what is half written."""
    return atomic_write(path, part=path.with_name(f".{path.name}.part"))


def _name(first: int, last: int) -> str:
    return f"part-{first:010d}-{last:010d}.parquet"
