"""Long work says how far it is: a bar on a terminal, elsewhere a line at least every minute, also while one step takes
long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from streamreid._threads import Thread
from streamreid.cli.console import errors

__all__ = ["LONGEST_SILENCE", "Display", "Heartbeat", "Work", "duration"]

LONGEST_SILENCE = 60.0
"""Seconds after which whoever reads a log wonders whether the program still works."""

_TICK_SECONDS = 1.0
"""Seconds between refreshes of the line."""

_CARED_SECONDS = 5.0
"""Whoever calls `Heartbeat.cared` so lately speaks without help."""

_MINUTES_FROM, _HOURS_FROM = 120.0, 7200.0
"""Seconds from which a duration is given in minutes, and in hours."""


def duration(seconds: float) -> str:
    """A time as one says it: "75 s", "12 min", "3.5 h"."""
    if seconds < _MINUTES_FROM:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < _HOURS_FROM else f"{seconds / 3600:.1f} h"


class Heartbeat:
    """Speaks whenever nothing was said for a minute, from a thread of its own while it is entered.

    Args:
        speak: Says what is under way.
        every: Seconds of silence after which it is called.
        clock: Seconds that pass.
    """

    def __init__(
        self, speak: Callable[[], None], *, every: float = LONGEST_SILENCE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.speak, self._every, self._clock = speak, every, clock
        self._said = self._cared = clock()
        self._cared -= _CARED_SECONDS
        self._end = threading.Event()
        self._thread = Thread(target=self._watch, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def said(self) -> None:
        """Something was said: the silence begins anew."""
        self._said = self._clock()

    def cared(self) -> None:
        """Something else will speak in time, if it is called again soon."""
        self._cared = self._clock()

    def check(self) -> None:
        """Speak if it is time to."""
        now = self._clock()
        if now - self._said >= self._every and now - self._cared >= _CARED_SECONDS:
            self._said = now
            self.speak()

    def _watch(self) -> None:
        while not self._end.wait(_TICK_SECONDS):
            try:
                self.check()
            except (OSError, ValueError):  # nobody listens any more
                return


class Display:
    """What is shown while something goes on: a live line or a bar on a terminal, a heartbeat elsewhere, or nothing.

    Args:
        shown: Of rich, on a terminal.
        heart: Speaks elsewhere.
        quiet: Nothing.
    """

    def __init__(self, shown: Live | Progress | None, heart: Heartbeat, *, quiet: bool) -> None:
        self._shown, self._heart = shown, None if quiet or shown is not None else heart

    def start(self) -> None:
        """Begin to show."""
        if self._shown is not None:
            self._shown.start()
        elif self._heart is not None:
            self._heart.__enter__()

    def stop(self) -> None:
        """Show no more."""
        if self._shown is not None:
            self._shown.stop()
        elif self._heart is not None:
            self._heart.__exit__(None, None, None)

    def check(self) -> None:
        """Speak if nothing was said for a minute."""
        if self._heart is not None:
            self._heart.check()


class Work:
    """Long work in steps, to be entered. On a terminal a bar, which goes when the work is done; elsewhere a line after
    each minute of silence.

    Args:
        what: The first step: "training".
        total: How many units it has, if that is known.
        console: Where to.
        quiet: Say nothing.
        clock: Seconds that pass.
    """

    def __init__(
        self,
        what: str,
        *,
        total: int | None = None,
        console: Console = errors,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console, self._quiet, self._clock = console, quiet, clock
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=console, transient=True) if console.is_terminal and not quiet else None
        self._heart = Heartbeat(self.speak, clock=clock)
        self._display = Display(self._bar, self._heart, quiet=quiet)
        self._lock = threading.Lock()
        self._begin(what, total)

    def __enter__(self) -> Work:
        self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.stop()

    def step(self, what: str, total: int | None = None) -> None:
        """Begin another step, with its own count where a total is known."""
        with self._lock:
            if self._bar is not None:
                self._bar.remove_task(self._task)
            self._begin(what, total)

    def advance(self, count: int = 1) -> None:
        """So many more units are done."""
        with self._lock:
            self._update(self._done + count, self._total)

    def update(self, done: int, total: int | None = None) -> None:
        """So many units are done, of so many if that is known only now."""
        with self._lock:
            self._update(done, self._total if total is None else total)

    def note(self, text: str) -> None:
        """What is worth knowing beside the count: "loss 2.31"."""
        self._note = text
        if self._bar is not None:
            self._bar.update(self._task, description=f"{self._what}: {text}")

    def say(self, text: str) -> None:
        """Show a sentence that stays."""
        if not self._quiet:
            self._heart.said()
            self._console.print(Text(text), soft_wrap=True)

    def check(self) -> None:
        """Say how far it is if nothing was said for a minute; called by itself while this is entered."""
        self._display.check()

    def _begin(self, what: str, total: int | None) -> None:
        self._what, self._total, self._done, self._note, self._began = what, total, 0, "", self._clock()
        if self._bar is not None:
            self._task = self._bar.add_task(what, total=total)

    def _update(self, done: int, total: int | None) -> None:
        self._done, self._total = done, total
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)

    def speak(self) -> None:
        with self._lock:
            passed, done, total = self._clock() - self._began, self._done, self._total
            count = f" {done} of {total}" if total else f" {done}" if done else ""
            left = f", about {duration(passed * (total - done) / done)} left" if total and 0 < done < total else ""
            note = f", {self._note}" if self._note else ""
            text = f"{self._what}:{count}{note}{';' if count or note else ''} {duration(passed)} so far{left}"
        self._console.print(Text(f"{time.strftime('%H:%M:%S')} {text}"), soft_wrap=True)
