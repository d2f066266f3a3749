"""What time it is: live cameras ask a clock that is passed in, so that tests and replays can set it."""

from __future__ import annotations

import threading
import time
from typing import Protocol

__all__ = ["Clock", "ManualClock", "SystemClock"]


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        return time.time()


class ManualClock:
    """A clock that moves only when told to.

    Args:
        start: First value, seconds.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._lock = threading.Lock()

    def now(self) -> float:
        """The value set last, seconds."""
        with self._lock:
            return self._now

    def advance(self, seconds: float) -> None:
        """Move on.

        Args:
            seconds: How far, >= 0.

        Raises:
            ValueError: Time would run backwards.
        """
        if seconds < 0:
            raise ValueError(f"ManualClock.advance: time does not run backwards, got {seconds} s")
        with self._lock:
            self._now += seconds
