"""One connection to a camera in a thread of its own, which can be left behind when it hangs."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Generic, Protocol, TypeVar

from streamreid._threads import Thread
from streamreid.errors import SourceError
from streamreid.secrets import redact
from streamreid.sources._memory import give_back

__all__ = ["Abandoned", "Connection", "Pulse", "Reader"]

_CAPACITY = 4
"""Frames read ahead of who takes them."""

_GRACE = 1.0
"""Seconds beyond FFmpeg's own time limit before the reader is given up."""

Picture = TypeVar("Picture")
PictureOut = TypeVar("PictureOut", covariant=True)


class Abandoned(Exception):
    """Nobody waits for this connection any more."""


class Connection(Protocol[PictureOut]):
    """One connection. All calls come from one thread."""

    @property
    def finite(self) -> bool:
        """Whether its end is expected, as that of a file."""
        ...

    def open(self) -> None:
        """Connect.

        Raises:
            SourceError: It cannot be.
        """
        ...

    def pictures(self) -> Iterator[PictureOut]:
        """The pictures as they come.

        Raises:
            SourceError: The connection broke.
        """
        ...

    def close(self) -> None:
        """Close the connection; a read that waits returns."""
        ...


@dataclass(slots=True)
class _Limits:
    opening: float
    reading: float


class Pulse:
    """Signs of life of a connection: it beats between any two calls that may block."""

    def __init__(self) -> None:
        self._last = monotonic()
        self._waiting = False
        self.abandoned = False

    def beat(self) -> None:
        """Still alive.

        Raises:
            Abandoned: The connection is to end.
        """
        self._last = monotonic()
        if self.abandoned:
            raise Abandoned

    @property
    def silence(self) -> float:
        """Seconds since the last beat; 0 while the reader waits for somebody to take its pictures."""
        return 0.0 if self._waiting else monotonic() - self._last

    def waiting(self, waits: bool) -> None:
        """The reader waits for its consumer, or goes on."""
        self._last = monotonic()
        self._waiting = waits


class Reader(Generic[Picture]):
    """Runs a connection in a thread and hands its pictures over, none lost.

    Args:
        connect: Makes the connection (without opening it).
        name: Name of the camera.
        opening: Seconds without a sign of life before it counts as hung, while opening.
        reading: The same, later.
    """

    def __init__(
        self, connect: Callable[[Pulse], Connection[Picture]], name: str, *, opening: float, reading: float
    ) -> None:
        self.began = monotonic()
        self._name = name
        self._limits = _Limits(opening, reading)
        self._pulse = Pulse()
        self._connection = connect(self._pulse)
        self._queue: deque[Picture] = deque()
        self._changed = threading.Condition()
        self._opened = self._finished = False
        self._error: SourceError | None = None
        self._thread = Thread(target=self._run, name=f"connection-{name}", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            raise SourceError(f"camera '{name}': no connection can be made at the moment ({error})") from error

    @property
    def alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    @property
    def finite(self) -> bool:
        """Whether its end is expected."""
        return self._connection.finite

    def wait_open(self) -> None:
        """Wait until it is open.

        Raises:
            SourceError: It cannot be opened, or hangs.
        """
        while True:
            with self._changed:
                if self._changed.wait_for(
                    lambda: self._opened or self._finished or self._pulse.abandoned, self._patience()
                ):
                    if self._error is not None and not self._opened:
                        raise self._error
                    return
            self._watch()

    def get(self, timeout: float) -> Picture | None:
        """The next picture, None at the end.

        Args:
            timeout: Seconds to wait.

        Raises:
            TimeoutError: None came in time.
            SourceError: The connection could not be opened, broke, or hangs.
        """
        deadline = monotonic() + timeout
        ready: Callable[[], bool] = lambda: bool(self._queue) or self._finished or self._pulse.abandoned  # noqa: E731
        while True:
            with self._changed:
                if self._changed.wait_for(ready, min(max(0.0, deadline - monotonic()), self._patience())):
                    if self._pulse.abandoned:
                        return None
                    if self._queue:
                        picture = self._queue.popleft()
                        self._changed.notify_all()
                        return picture
                    if self._error is not None:
                        raise self._error
                    return None
            self._watch()
            if monotonic() >= deadline:
                raise TimeoutError

    def abandon(self) -> None:
        """Take no more of it. Its thread closes the connection as soon as it can; a call that hangs is not waited
        for."""
        with self._changed:
            self._pulse.abandoned = True
            self._queue.clear()
            self._changed.notify_all()

    def join(self, timeout: float) -> None:
        """Wait for the end of its thread.

        Args:
            timeout: Seconds at most.
        """
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def _limit(self) -> float:
        return (self._limits.reading if self._opened else self._limits.opening) + _GRACE

    def _patience(self) -> float:
        return max(0.01, self._limit() - self._pulse.silence)

    def _watch(self) -> None:
        """Raise if the thread shows no sign of life."""
        if self._pulse.silence >= self._limit() and not self._finished:
            doing = "reading" if self._opened else "connecting"
            raise SourceError(
                f"camera '{self._name}': hangs while {doing}; given up after {self._limit():.0f} s. Check the camera"
            )

    def _run(self) -> None:
        error: SourceError | None = None
        try:
            self._pulse.beat()
            self._connection.open()
            self._pulse.beat()
            with self._changed:
                self._opened = True
                self._changed.notify_all()
            for picture in self._connection.pictures():
                self._pulse.beat()
                self._put(picture)
        except Abandoned:
            pass
        except SourceError as e:
            error = e
        except Exception as e:
            # Cameras fail alone, and come back: also from a bug or a library's surprise.
            error = SourceError(
                f"camera '{self._name}': failed unexpectedly ({type(e).__name__}: {redact(e)}). Please report this"
            )
            error.__cause__ = e
        with self._changed:
            self._error = error
            self._finished = True
            self._changed.notify_all()
        # After the news, because hanging up may take long too.
        self._connection.close()
        give_back()

    def _put(self, picture: Picture) -> None:
        with self._changed:
            if len(self._queue) >= _CAPACITY:
                self._pulse.waiting(True)
                self._changed.wait_for(lambda: len(self._queue) < _CAPACITY or self._pulse.abandoned)
                self._pulse.waiting(False)
            if self._pulse.abandoned:
                raise Abandoned
            self._queue.append(picture)
            self._changed.notify_all()
