"""How a live camera is doing: its state, why, and what was counted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from streamreid.config import CameraConfig
from streamreid.sources.base import SourceBase
from streamreid.sources.clock import Clock, SystemClock
from streamreid.types import ClockName

__all__ = ["SourceStatus", "StateName", "StatusBoard", "WatchedSource"]

StateName = Literal["connecting", "connected", "stalled", "lost", "failed", "ended"]
"""``stalled``: connected, but no picture comes. ``lost``: waiting before the next attempt. ``failed``: given up.
``ended``: closed, or all was read."""


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """A moment in the life of a live camera. Times are seconds since 1970 on this machine.

    Args:
        camera: Its name.
        state: What it is doing.
        reason: Why it is stalled, lost or failed, without passwords; '' otherwise.
        since: When this state began.
        connections: Connections that delivered a picture.
        attempts: Failed attempts in a row.
        frames: Pictures received, before any stride.
        corrupt: Packets that were damaged or could not be decoded.
        hung: Readers given up by the watchdog that still hang in their device or library.
        last_frame: When the last picture arrived; None if none did.
        first_frame_seconds: How long the newest connection took from its beginning to its first picture.
        size: Width and height of the newest picture.
        clock: Where its capture time comes from.
        delay: Seconds from capture by the camera's own clock (RTCP) to arrival, None without it.
        drift: Parts per million by which the stream's clock runs slower than this machine's, None if not known yet.
        jumps: How often the stream's clock jumped.
    """

    camera: str
    state: StateName = "connecting"
    reason: str = ""
    since: float = 0.0
    connections: int = 0
    attempts: int = 0
    frames: int = 0
    corrupt: int = 0
    hung: int = 0
    last_frame: float | None = None
    first_frame_seconds: float | None = None
    size: tuple[int, int] | None = None
    clock: ClockName | None = None
    delay: float | None = None
    drift: float | None = None
    jumps: int = 0

    @property
    def reconnects(self) -> int:
        """How often the camera came back after it was lost."""
        return max(0, self.connections - 1)


class StatusBoard:
    """The newest `SourceStatus`, for many readers.

    Args:
        camera: Name of the camera.
        clock: Tells when a state began.
    """

    def __init__(self, camera: str, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._status = SourceStatus(camera, since=clock.now())
        self._listeners: list[Callable[[SourceStatus], None]] = []

    @property
    def status(self) -> SourceStatus:
        """The state of the source at this moment."""
        with self._lock:
            return self._status

    def subscribe(self, listener: Callable[[SourceStatus], None]) -> None:
        """Call ``listener`` after every change of state, from the thread that noticed it. It must not raise and not
        take long."""
        with self._lock:
            self._listeners.append(listener)

    def move(self, state: StateName, reason: str = "", **counts: Any) -> None:
        """Enter a state (once; ``failed`` and ``ended`` are not left) and set figures."""
        with self._lock:
            before = self._status
            if before.state in ("failed", "ended"):
                return
            same = before.state == state and before.reason == reason
            self._status = replace(
                before, state=state, reason=reason, since=before.since if same else self._clock.now(), **counts
            )
            status, listeners = self._status, [] if same else list(self._listeners)
        for listener in listeners:
            listener(status)

    def set(self, **figures: Any) -> None:
        """Set figures without a change of state."""
        with self._lock:
            self._status = replace(self._status, **figures)

    def corrupted(self) -> None:
        """Count one damaged packet in the status."""
        with self._lock:
            self._status = replace(self._status, corrupt=self._status.corrupt + 1)


class WatchedSource(SourceBase):
    """A live source whose state can be asked for and is told.

    Args:
        config: The camera.
        clock: Tells the time now; default the machine's clock.
    """

    def __init__(self, config: CameraConfig, clock: Clock | None) -> None:
        super().__init__(config, live=True)
        self._clock = clock or SystemClock()
        self._board = StatusBoard(config.name, self._clock)
        self._closed = threading.Event()

    @property
    def status(self) -> SourceStatus:
        """How it is doing now."""
        return self._board.status

    def subscribe(self, listener: Callable[[SourceStatus], None]) -> None:
        """Have every change of state told.

        Args:
            listener: Is called in the thread that reads; must not raise and not take long.
        """
        self._board.subscribe(listener)
