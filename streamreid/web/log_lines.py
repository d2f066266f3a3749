"""The newest lines of the log, for the page."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Any

from streamreid.secrets import redact

__all__ = ["LogLines"]

_LINES = 200
_CHARACTERS = 1000
"""Of one line: a traceback is in the log itself."""


class LogLines(logging.Handler):
    """Keeps the newest lines of the logger ``streamreid`` from warnings on, without secrets.

    Args:
        lines: How many.
    """

    def __init__(self, lines: int = _LINES) -> None:
        super().__init__(logging.INFO)
        self._lines: deque[dict[str, Any]] = deque(maxlen=lines)
        self._kept = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        try:
            said = redact(record.getMessage())[:_CHARACTERS]
        except Exception:  # a message that does not fit its arguments
            said = str(record.msg)[:_CHARACTERS]
            said = redact(said)
        with self._kept:
            self._lines.append({"time": record.created, "level": record.levelname.lower(), "said": said})

    def newest(self) -> list[dict[str, Any]]:
        """Lines, the newest first: ``time`` (seconds since 1970), ``level``, ``said``."""
        with self._kept:
            return list(reversed(self._lines))

    def open(self) -> None:
        """Begin to listen."""
        logging.getLogger("streamreid").addHandler(self)

    def close(self) -> None:
        """Listen no more."""
        logging.getLogger("streamreid").removeHandler(self)
        super().close()
