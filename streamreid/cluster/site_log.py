"""What is logged in the process of the site, handed to the command that shows it."""

from __future__ import annotations

import logging
from collections import deque

__all__ = ["SiteLog", "show"]

_MOST_RECORDS = 1000
"""That wait to be fetched; of more, the oldest are lost."""


class SiteLog(logging.Handler):
    """Keeps what streamreid logs in this process until it is fetched."""

    def __init__(self, level: int = logging.WARNING) -> None:
        super().__init__(level)
        self._records: deque[tuple[str, int, str]] = deque(maxlen=_MOST_RECORDS)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record: name of the logger, level, text."""
        self._records.append((record.name, record.levelno, record.getMessage()))

    def __enter__(self) -> SiteLog:
        logging.getLogger("streamreid").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("streamreid").removeHandler(self)

    def fetch(self) -> list[tuple[str, int, str]]:
        """What was logged since the last call."""
        found = []
        while self._records:
            found.append(self._records.popleft())
        return found


def show(records: list[tuple[str, int, str]]) -> None:
    """Log what another process has logged."""
    for name, level, text in records:
        logging.getLogger(name).log(level, "%s", text)
