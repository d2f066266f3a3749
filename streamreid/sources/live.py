"""What live cameras have in common: connect, watch, lose, wait, connect again."""

from __future__ import annotations

import re
import threading
from abc import abstractmethod
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from time import monotonic
from typing import TYPE_CHECKING

from streamreid._scarcity import is_scarcity
from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.secrets import redact
from streamreid.sources.base import Selection
from streamreid.sources.capture_clock import CaptureClock
from streamreid.sources.clock import Clock, ClockSteps
from streamreid.sources.reader import Connection, Pulse, Reader
from streamreid.sources.reconnection import Backoff
from streamreid.sources.status import SourceStatus, WatchedSource
from streamreid.types import Frame, Image

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

__all__ = ["LiveSource", "Received"]

_MAX_HUNG = 3
"""Connections left behind that may hang at the same time; no new one is opened beside them."""

_STALL_SECONDS = 2.0
"""Seconds without a frame after which a camera counts as stalled, at most."""

_LASTED_SECONDS = 5.0
"""Seconds a connection must have lasted for the next attempt to come at once."""

_UNCONVERTED = 5
"""Pictures in a row that cannot be converted before the camera is given up."""

_CLOSE_SECONDS = 0.3
"""Seconds that closing may take before the reader is left behind."""

_COUNT = re.compile(r" (after \d+ pictures|\(after \d+\))")


@dataclass(slots=True)
class Received:
    """A picture and what is known of its time.

    Args:
        picture: The decoded picture.
        arrival: When its data came, seconds since 1970.
        stamp: Its presentation time in seconds, None if it has none.
        report: Its capture time by the camera's sender reports, None without them.
        aspect: Width of its pixels divided by their height, None if not known.
    """

    picture: VideoFrame | Image
    arrival: float
    stamp: float | None = None
    report: float | None = None
    aspect: Fraction | None = None


class LiveSource(WatchedSource):
    """A camera that is opened again, for ever or ``reconnect`` times in a row, when it cannot be opened, breaks, falls
    silent or hangs.

    Opening begins with the iteration and its failures are states and warnings. With ``reconnect: 0`` the constructor
    opens, and every failure is a `SourceError`. Frame numbers go on over connections and times strictly increase.

    Args:
        config: The camera.
        clock: Tells the arrival time.
        where: Camera and address for messages, without password.

    Raises:
        SourceError: ``reconnect`` is 0 and it cannot be opened.
    """

    def __init__(self, config: CameraConfig, *, clock: Clock | None, where: str) -> None:
        super().__init__(config, clock)
        self._where = where
        self._lock = threading.Lock()
        self._last: float | None = None
        self._steps = ClockSteps(self._clock)
        self._left: list[Reader[Received]] = []
        self._reader: Reader[Received] | None = None
        if config.reconnect == 0:
            self._reader = self._connect()
            try:
                self._reader.wait_open()
            except SourceError as error:
                self._leave(self._reader)
                self._board.move("failed", self._short(error))
                raise

    @property
    def status(self) -> SourceStatus:
        """How the camera is doing now."""
        self._board.set(hung=self._hanging())
        return self._board.status

    def __iter__(self) -> Iterator[Frame]:
        """The frames as they arrive.

        Raises:
            SourceError: The camera failed ``reconnect`` + 1 times in a row.
        """
        selection = Selection(self._config, from_start=False)
        with closing(self._frames(selection)) as frames:
            yield from frames

    def close(self) -> None:
        """Hang up; the iterator ends at once. A call that hangs in the camera's library ends by its own time-out,
        unwaited for."""
        self._closed.set()
        with self._lock:
            reader, self._reader = self._reader, None
        if reader is not None:
            self._leave(reader)
        with self._lock:
            left = list(self._left)
        deadline = monotonic() + _CLOSE_SECONDS
        for reader in left:
            reader.join(max(0.0, deadline - monotonic()))
        self._board.move("ended")

    @abstractmethod
    def _connection(self, pulse: Pulse) -> Connection[Received]:
        """A new connection, not yet open."""

    @abstractmethod
    def _image(self, received: Received) -> Image:
        """The picture as an array."""

    def _converted(self, received: Received) -> Image | None:
        """The picture as an array. One that cannot be is passed over: a camera is not given up for a damaged picture,
        nor for any number of them for which there is no memory."""
        try:
            image, self._unconverted = self._image(received), 0
            return image
        except Exception as error:
            if is_scarcity(error):
                self._notes.count("1 picture had no memory", "{n} pictures had no memory")
                return None
            self._unconverted += 1
            if self._unconverted >= _UNCONVERTED:
                raise
            self._board.corrupted()
            self._notes.count("1 picture could not be converted", "{n} pictures could not be converted")
            return None

    def _frames(self, selection: Selection) -> Generator[Frame, None, None]:
        with closing(self._received()) as pictures:
            for index, (received, clock) in enumerate(pictures):
                time, name = clock.stamp(received.stamp, received.arrival, received.report)
                self._last = time
                self._board.set(clock=name, delay=clock.delay, drift=clock.drift, jumps=self._jumps + clock.jumps)
                if selection.take(0.0):
                    image = self._converted(received)
                    if image is None:
                        continue
                    height, width = image.shape[:2]
                    self._notes.size(width, height, index)
                    self._board.set(size=(width, height))
                    yield Frame(self.camera, index, time, image, name)
                    if selection.done:
                        self._board.move("ended")
                        return

    _jumps = 0
    _unconverted = 0

    def _received(self) -> Generator[tuple[Received, CaptureClock], None, None]:
        """Pictures of one connection after the other."""
        backoff = Backoff(self._config.reconnect_seconds, self._config.reconnect)
        while not self._closed.is_set():
            reader = None
            try:
                reader = self._next_reader()
                if reader is None:
                    return
                yield from self._receive(reader, backoff)
                if self._closed.is_set() or reader.finite:
                    self._board.move("ended")
                    return
                raise SourceError(f"{self._where}: the other side ended the stream. Check the camera")
            except SourceError as error:
                failure = error
            except (MemoryError, OSError, RuntimeError) as error:
                if not is_scarcity(error):
                    raise
                failure = SourceError(
                    f"{self._where}: connection given up for want of resources ({type(error).__name__}: "
                    f"{redact(error)})"
                )
            finally:
                if reader is not None:
                    self._leave(reader)
            if not self._closed.is_set() and not self._wait(failure, backoff):
                raise failure

    def _wait(self, failure: SourceError, backoff: Backoff) -> bool:
        """Wait before the next attempt; False if there shall be none."""
        reason = self._short(failure)
        wait = backoff.after(failure)
        if wait is None:
            self._board.move("failed", reason, attempts=backoff.failures)
            return False
        self._notes.add(f"lost: {reason}" if self._board.status.connections else f"not opened yet: {reason}")
        self._board.move("lost", reason, attempts=backoff.failures)
        self._closed.wait(wait)
        return True

    def _receive(
        self, reader: Reader[Received], backoff: Backoff
    ) -> Generator[tuple[Received, CaptureClock], None, None]:
        """Pictures of one connection.

        Raises:
            SourceError: It cannot be opened, broke, or hangs.
        """
        clock: CaptureClock | None = None
        began = interval = 0.0
        previous = monotonic()
        while (received := self._take(reader, interval, clock is not None)) is not None:
            now = monotonic()
            status = self._board.status
            if self._steps.take():
                # Arrival times have jumped; capture times begin anew on the clock as it is now, also where it was set
                # back.
                self._notes.count("this machine's clock was set once", "this machine's clock was set {n} times")
                self._last = None
                if clock is not None:
                    self._jumps += clock.jumps
                    clock = CaptureClock(self._notes, last=None, steer=not reader.finite)
            if clock is None:
                clock = CaptureClock(self._notes, last=self._last, steer=not reader.finite)
                self._jumps = status.jumps
                began = now
                backoff.worked()
                if status.connections:
                    self._notes.count("reconnected once", "reconnected {n} times")
                self._board.set(connections=status.connections + 1, first_frame_seconds=now - reader.began)
            else:
                interval = now - previous if not interval else 0.9 * interval + 0.1 * (now - previous)
            previous = now
            self._board.move("connected", attempts=0, frames=status.frames + 1, last_frame=received.arrival)
            if now - began > _LASTED_SECONDS:
                backoff.lasted()
            yield received, clock

    def _take(self, reader: Reader[Received], interval: float, connected: bool) -> Received | None:
        """The next picture; meanwhile silence is noticed."""
        silent = 0.0
        patience = max(3 * interval, min(_STALL_SECONDS, self._config.timeout / 2))
        while not self._closed.is_set():
            try:
                return reader.get(patience)
            except TimeoutError:
                silent += patience
                if connected:
                    self._board.move("stalled", "sends no pictures")
        return None

    def _next_reader(self) -> Reader[Received] | None:
        """A connection being opened; None if the source was closed meanwhile."""
        with self._lock:
            first = self._reader
        if first is not None:
            return first
        while self._hanging() >= _MAX_HUNG:
            self._board.move("lost", f"{_MAX_HUNG} connections hang; waiting for one of them to end")
            self._notes.add(
                f"{_MAX_HUNG} connections hung at the same time; no new one was opened until one of them ended"
            )
            if self._closed.wait(0.2):
                return None
        self._board.move("connecting", self._board.status.reason)
        reader = self._connect()
        with self._lock:
            self._reader = reader
        if self._closed.is_set():
            self._leave(reader)
            return None
        return reader

    def _connect(self) -> Reader[Received]:
        # FFmpeg may use the time twice: to connect, and to look into the stream.
        opening = 2 * self._config.connect_timeout
        return Reader(self._connection, self.camera, opening=opening, reading=self._config.timeout)

    def _leave(self, reader: Reader[Received]) -> None:
        reader.abandon()
        with self._lock:
            if self._reader is reader:
                self._reader = None
            self._left = [r for r in self._left if r.alive and r is not reader] + ([reader] if reader.alive else [])

    def _hanging(self) -> int:
        with self._lock:
            self._left = [r for r in self._left if r.alive]
            return len(self._left)

    def _short(self, error: SourceError) -> str:
        """What an error says, without the camera, and without figures: they differ from loss to loss, and a warning is
        said once."""
        text = redact(error).removeprefix(f"{self._where}: ").removeprefix(f"camera '{self.camera}': ")
        return _COUNT.sub("", text)
