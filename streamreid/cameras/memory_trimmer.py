"""Memory that lies unused goes back to the system now and then, in runs without end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from streamreid._threads import Thread
from streamreid.sources import give_back

__all__ = ["MemoryTrimmer"]

_SECONDS = 15.0
"""Seconds between two times: giving memory back takes milliseconds, and decoders that come and go leave hundreds of
megabytes within minutes."""


class MemoryTrimmer:
    """Gives memory back in a thread of its own.

    Args:
        clock: Seconds that pass.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def trim(self) -> None:
        """Give memory back if it is time to."""
        now = self._clock()
        if now - self._last < _SECONDS:
            return
        self._last = now
        with suppress(RuntimeError):  # no thread: next time
            Thread(target=give_back, name="give-back", daemon=True).start()
