"""Threads that can be started, or not, but keep nobody waiting.

Python waits without a limit for a new thread to say that it has begun. One for which there is no memory ends before it
can say so, and whoever started it (the loop that follows people, the server) would stand still for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["START_SECONDS", "Thread"]

START_SECONDS = 2.0
"""How long a thread may take to begin: far more than on a busy machine, far less than a camera may have no results."""


class _NotBegunError(RuntimeError):
    """The thread did not begin in time."""


class _Begun(threading.Event):
    """The event that `threading.Thread.start` waits for until the new thread runs."""

    def wait(self, timeout: float | None = None) -> bool:
        if super().wait(START_SECONDS if timeout is None else timeout) or timeout is not None:
            return self.is_set()
        raise _NotBegunError("can't start new thread: it did not begin, for want of memory or of time")


class Thread(threading.Thread):
    """A `threading.Thread` whose `start` raises RuntimeError also where the thread does not begin; one that begins
    later does nothing. Arguments as there, by name."""

    def __init__(
        self,
        *,
        target: Callable[..., object] | None = None,
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        daemon: bool | None = None,
    ) -> None:
        super().__init__(target=target, name=name, args=args, kwargs=kwargs, daemon=daemon)
        self._started: threading.Event = _Begun()
        self._decided = threading.Lock()
        """Held by whoever is first: the thread that begins, or `start` that has waited long enough."""

    def start(self) -> None:
        """Begin.

        Raises:
            RuntimeError: There is no thread for it.
        """
        try:
            super().start()
        except _NotBegunError:
            if self._decided.acquire(blocking=False):
                raise

    def run(self) -> None:
        """What it does; also for whoever does it without a thread."""
        if threading.current_thread() is not self or self._decided.acquire(blocking=False):
            super().run()
