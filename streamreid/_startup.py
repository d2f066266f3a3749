"""What a start waits for, said when it takes longer than expected.

Every step of a start that can take long (opening a detector, compiling a graph, connecting to a gallery) stands in
``with starting("...")``. Steps nest, also across threads; a thread of its own watches them and logs, after ten seconds
and then ever more rarely, but every minute, which step of which model is under way and for how long. Steps that end in
time say nothing.
"""

from __future__ import annotations

import faulthandler
import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field

from streamreid._threads import Thread

__all__ = ["Startup", "dump_when_stuck", "starting"]

log = logging.getLogger(__name__)

_EXPECTED_SECONDS = 10.0
"""A start takes 1 to 5 s on a laptop: graphs compile in .2 s per input shape, torch is imported in 3 s."""

_STUCK_SECONDS = 60.0
"""Where the watching thread itself cannot run for so long, native code holds Python's global lock."""

_TICK = 0.5
"""Seconds between looks at whether the start is over."""

_LONGEST_SILENCE = 55.0
"""Seconds between two messages; a little less than the minute after which a log looks dead."""


@dataclass(slots=True)
class _Thread:
    """The steps that one thread is in, outermost first.

    Args:
        steps: What each is, and when it began.
        say_at: Time of the next message.
        said: Whether there was one.
    """

    say_at: float
    steps: list[tuple[str, float]] = field(default_factory=list)
    said: bool = False


class Startup:
    """Watches the steps of all threads.

    Args:
        expected: Seconds after which a thread's outermost step is worth a message. The wait for the next message
            doubles, up to a minute.
        tick: Seconds between two looks.
    """

    def __init__(self, expected: float = _EXPECTED_SECONDS, tick: float = _TICK) -> None:
        self._expected, self._tick = expected, tick
        self._lock = threading.Lock()
        self.threads: dict[int, _Thread] = {}
        self.watcher: threading.Thread | None = None
        self.idle = threading.Event()
        self.dump = False

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Something that a start waits for.

        Args:
            what: In words, with the name of the model or file: "detector 'yolo11n'", "compiling yolo11n.onnx for
                1x3x640x640".
        """
        now, ident = time.monotonic(), threading.get_ident()
        with self._lock:
            thread = self.threads.setdefault(ident, _Thread(now + self._expected))
            thread.steps.append((what, now))
            self.idle.clear()
            if self.watcher is None:
                fresh = Thread(target=self.watch, name="startup", daemon=True)
                with suppress(RuntimeError):  # no thread is left: then nobody watches
                    fresh.start()
                    self.watcher = fresh
        try:
            yield
        finally:
            watcher = None
            with self._lock:
                thread.steps.pop()
                if not thread.steps:
                    del self.threads[ident]
                if not self.threads:
                    self.idle.set()
                    watcher = self.watcher
            if watcher is not None:
                watcher.join(self._tick)  # at once: whoever counts threads finds none of ours
            if not thread.steps and thread.said:
                log.warning("%s: done after %.0f s", what, time.monotonic() - now)

    def watch(self) -> None:
        while True:
            if self.dump:
                with suppress(RuntimeError):  # it needs a thread
                    faulthandler.dump_traceback_later(_STUCK_SECONDS, file=sys.__stderr__ or 2)
            self.idle.wait(self._tick)
            now = time.monotonic()
            with self._lock:
                if not self.threads:
                    self.watcher = None
                    if self.dump:
                        faulthandler.cancel_dump_traceback_later()
                    return
                late = [thread for thread in self.threads.values() if now >= thread.say_at]
                messages = [
                    (" > ".join(what for what, _ in t.steps), now - t.steps[0][1], now - t.steps[-1][1]) for t in late
                ]
                for thread in late:
                    thread.said = True
                    thread.say_at = now + min(2 * (thread.say_at - thread.steps[0][1]), _LONGEST_SILENCE)
            for steps, whole, last in messages:
                log.warning(
                    "the start takes longer than expected; waiting since %.0f s for %s (this step: %.0f s)",
                    whole,
                    steps,
                    last,
                )


STARTUP = Startup()


def starting(what: str) -> AbstractContextManager[None]:
    """``with starting("detector 'yolo11n'"):`` see :meth:`Startup.step`."""
    return STARTUP.step(what)


def dump_when_stuck() -> None:
    """Also print where all threads are if native code keeps the whole process from running for a minute during a start.
    For programs, not for libraries: Python has one such timer per process."""
    if hasattr(faulthandler, "dump_traceback_later"):
        STARTUP.dump = True
