"""Tables of counts and flows as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from streamreid.errors import OutputError

__all__ = ["write_csv"]


def write_csv(path: Path | str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, what: str) -> None:
    """Write rows under a line of column names; None is an empty field.

    Args:
        path: The file; it is replaced.
        columns: Names, in order.
        rows: One mapping each.
        what: They are, for the message.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        with Path(path).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise OutputError(f"cannot write the {what} to '{path}': {error.strerror or error}") from error
