"""What time it is: live cameras ask a clock that is passed in, so that tests and replays can set it."""

from __future__ import annotations

import threading
import time
from typing import Protocol

__all__ = ["Clock", "ClockSteps", "ManualClock", "SystemClock"]


_STEP = 1.0
"""Seconds by which a clock must be set to be noticed."""


class Clock(Protocol):
    """What live cameras ask for the time; tests and replays pass one that they set."""

    def now(self) -> float:
        """The time, in seconds since 1970 (UTC)."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """The time, in seconds since 1970 (UTC)."""
        return time.time()


class ClockSteps:
    """Notices that this machine's clock was set, by comparing it with the one that only counts seconds.

    Args:
        clock: A clock that is no `SystemClock` is set by whoever made it, and never noticed.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock if isinstance(clock, SystemClock) else None
        self._offset = self._difference()

    def _difference(self) -> float:
        return 0.0 if self._clock is None else self._clock.now() - time.monotonic()

    def take(self) -> float:
        """By how many seconds the clock was set since the last call; 0 where that is less than a second (time servers
        do that all day)."""
        step = self._difference() - self._offset
        if abs(step) < _STEP:
            return 0.0
        self._offset += step
        return step


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
