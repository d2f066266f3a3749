"""How old what was stored is, on a machine whose clock may be set: what is erased for its age cannot be had again.

Ages come from this machine's clock, which alone goes on between two runs. While a process runs, a second clock that
only counts seconds tells whether the first one was set, by a time server or by somebody, rightly or wrongly. A clock
set back makes everything younger, and things are erased later. A clock set forward makes everything older at once: that
counts only when it has lasted for a day.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

__all__ = ["BELIEVED_SECONDS", "AgeClock", "boot_seconds"]

log = logging.getLogger(__name__)

BELIEVED_SECONDS = 86_400.0
"""So long a clock that was set forward must stay there before ages follow it: time to notice a wrong one. What is right
is erased at most so much later."""

_STEP_SECONDS = 1.0
"""By so much a clock must be set to be noticed: time servers move it by less all day."""

_system_clock = time.time


def boot_seconds() -> float:
    """Seconds that pass, also while the machine sleeps where the system counts these (Linux)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class AgeClock:
    """Tells the time by which ages are judged. Safe to use from several threads.

    Args:
        clock: UTC seconds.
        steady: Seconds that pass, whatever the clock is set to; default `boot_seconds` for this machine's clock, else
            ``clock`` itself, which is then never taken for set.
        what: What is erased, for the log.
    """

    def __init__(
        self, clock: Callable[[], float] = time.time, steady: Callable[[], float] | None = None, *, what: str = ""
    ) -> None:
        self._clock = clock
        self._steady = steady or (boot_seconds if clock is _system_clock else clock)
        self._what = what
        self._lock = threading.Lock()
        self._lines = [(self._steady(), self._offset())]
        self._step = 0.0
        self._said = False

    def _offset(self) -> float:
        return self._clock() - self._steady()

    def _look(self) -> None:
        offset, passed = self._offset(), self._steady()
        step = offset - self._lines[-1][1]
        if abs(step) >= _STEP_SECONDS:
            self._step += step
            self._lines.append((passed, offset))
            self._said = False
        while len(self._lines) > 1 and self._lines[1][0] <= passed - BELIEVED_SECONDS:
            del self._lines[0]

    @property
    def step(self) -> float:
        """By how many seconds the clock was set in sum, since the beginning or the last `accept_step`."""
        with self._lock:
            self._look()
            return self._step

    def accept_step(self, step: float) -> None:
        """A step was taken into account."""
        with self._lock:
            self._step -= step

    def now(self) -> float:
        """UTC seconds by which ages are judged: never later than the clock said at any time in the last day, carried on
        to now."""
        with self._lock:
            self._look()
            least, newest = min(offset for _, offset in self._lines), self._lines[-1][1]
            if newest - least >= _STEP_SECONDS and not self._said:
                self._said = True
                log.warning(
                    "this machine's clock was set forward by %.0f s: %s is not erased for its age because of that "
                    "before a day has passed. Check the clock; if it is right, a new start believes it at once",
                    newest - least,
                    self._what or "what is stored",
                )
            return self._steady() + least
