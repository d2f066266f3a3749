"""Decoding ahead: one thread per camera, so that a slow camera never holds up another."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic
from types import TracebackType

from streamreid._scarcity import start_or_call
from streamreid._threads import Thread
from streamreid.errors import SourceError
from streamreid.secrets import redact
from streamreid.sources.base import FrameSource
from streamreid.types import Frame

__all__ = ["PrefetchReader"]

_STOP_SECONDS = 0.8
"""Seconds that reading ahead may take to stop."""

_NEWER = "newer frame"


class PrefetchReader:
    """Reads a source in a thread of its own into a bounded queue.

    With ``latest=False`` nothing is lost: the thread waits while the queue is full. With ``latest=True`` only the
    newest frame is kept and those it replaces are counted in ``dropped``, and in ``drops`` as "newer frame". A failing
    source never raises here: its error waits in ``error`` behind the frames before it.

    Args:
        source: Is read once and closed by `stop`.
        capacity: Frames kept ahead, at least 1.
        latest: Keep only the newest frame.
        wake: Called when a frame or the end came, from the reading thread; must not raise and not take long.
    """

    def __init__(
        self, source: FrameSource, capacity: int = 8, latest: bool = False, *, wake: Callable[[], None] | None = None
    ) -> None:
        if capacity < 1:
            raise ValueError(f"PrefetchReader: capacity must be at least 1, got {capacity}")
        self.source = source
        self.camera = source.camera
        self._capacity = 1 if latest else capacity
        self._latest = latest
        self._wake = wake or (lambda: None)
        self._queue: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._finished = False
        self._stopped = False
        self._error: SourceError | None = None
        self._dropped = 0
        self._frames = 0
        self.thread = Thread(target=self._read, name=f"read-{source.camera}", daemon=True)
        self.thread.start()

    @property
    def ended(self) -> bool:
        """Whether every frame was handed out and none will follow."""
        with self._changed:
            return self._at_end()

    @property
    def waiting(self) -> bool:
        """Whether a frame is there."""
        with self._changed:
            return bool(self._queue)

    @property
    def error(self) -> SourceError | None:
        """Why the source ended early; None while frames are left, and for a source that ended by itself."""
        with self._changed:
            return self._error if self._at_end() else None

    @property
    def dropped(self) -> int:
        """Frames replaced by newer ones before anybody took them."""
        with self._changed:
            return self._dropped

    @property
    def drops(self) -> dict[str, int]:
        """Frames that nobody got, by reason."""
        with self._changed:
            return {_NEWER: self._dropped} if self._dropped else {}

    @property
    def frames(self) -> int:
        """Number of frames that were handed out."""
        with self._changed:
            return self._frames

    def peek_time(self, timeout: float | None = None) -> float | None:
        """Capture time of the next frame; waits until it is there.

        Args:
            timeout: Seconds to wait at most; None waits for ever.

        Returns:
            Seconds, or None at the end.

        Raises:
            TimeoutError: Nothing came in time.
        """
        with self._changed:
            self._wait(timeout)
            return self._queue[0].time if self._queue else None

    def get(self, timeout: float | None = None) -> Frame | None:
        """The next frame; waits until it is there.

        Args:
            timeout: Seconds to wait at most; None waits for ever.

        Returns:
            A frame, or None at the end.

        Raises:
            TimeoutError: Nothing came in time.
        """
        with self._changed:
            self._wait(timeout)
            return self._take()

    def try_get(self) -> Frame | None:
        """The next frame if it is there, else None."""
        with self._changed:
            return self._take()

    def stop(self) -> None:
        """End the thread and close the source, in less than a second even if the source hangs. Frames not taken are
        lost."""
        with self._changed:
            self._stopped = True
            self._queue.clear()
            self._changed.notify_all()
        # Closing, too, may hang on a dead device; the reading thread is then left to the source's own timeout.
        closer = Thread(target=self.source.close, name=f"close-{self.camera}", daemon=True)
        deadline = monotonic() + _STOP_SECONDS
        start_or_call(closer)
        if closer.ident is not None:
            closer.join(_STOP_SECONDS / 2)
        if threading.current_thread() is not self.thread:
            self.thread.join(max(0.0, deadline - monotonic()))

    def __enter__(self) -> PrefetchReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _at_end(self) -> bool:
        return not self._queue and (self._finished or self._stopped)

    def _wait(self, timeout: float | None) -> None:
        ready: Callable[[], bool] = lambda: bool(self._queue) or self._at_end()  # noqa: E731
        if not self._changed.wait_for(ready, timeout):
            raise TimeoutError(f"camera '{self.camera}': no frame for {timeout} s")

    def _take(self) -> Frame | None:
        if not self._queue:
            return None
        self._frames += 1
        frame = self._queue.popleft()
        self._changed.notify_all()
        return frame

    def _read(self) -> None:
        error: SourceError | None = None
        frames: Iterator[Frame] = iter(())
        try:
            frames = iter(self.source)
            for frame in frames:
                if not self._put(frame):
                    break
        except SourceError as e:
            error = e
        except Exception as e:
            # Cameras fail alone: a bug in one source must not leave its reader waiting for ever.
            error = SourceError(
                f"camera '{self.camera}': failed unexpectedly ({type(e).__name__}: {redact(e)}). Please report this"
            )
            error.__cause__ = e
        finally:
            # Closing the generator here closes its file in the thread that decoded it.
            close = getattr(frames, "close", None)
            if close is not None:
                close()
            with self._changed:
                self._error = None if self._stopped else error
                self._finished = True
                self._changed.notify_all()
            self._wake()

    def _put(self, frame: Frame) -> bool:
        """Queue a frame; False if reading should end."""
        with self._changed:
            if self._latest:
                self._dropped += len(self._queue)
                self._queue.clear()
            self._changed.wait_for(lambda: self._stopped or len(self._queue) < self._capacity)
            if self._stopped:
                return False
            self._queue.append(frame)
            self._changed.notify_all()
        self._wake()
        return True
