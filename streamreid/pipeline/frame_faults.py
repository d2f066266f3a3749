"""What no code expected, kept to the camera it came from: one bad frame is passed over, a camera whose frames keep
failing is given up, the run goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from streamreid._scarcity import is_scarcity
from streamreid.cameras.statistics import Statistics
from streamreid.errors import SourceError, StreamReIDError
from streamreid.secrets import redact
from streamreid.types import Frame

__all__ = ["FrameFaults"]

log = logging.getLogger(__name__)

_IN_A_ROW = 5
"""Frames that fail one after the other before their camera is given up: a damaged picture is one or two, what fails
five times is there to stay."""

REASON = "unexpected error"
"""Under which frames that were passed over are counted."""

SCARCE = "out of resources"
"""The same, of live cameras, where the process had no descriptor, memory or thread for them."""

_Value = TypeVar("_Value")


class FrameFaults:
    """Passes over frames that fail, and gives up their camera in the end.

    Args:
        drop: Counts a frame that has no result.
        fail: Gives up a camera.
        live: Whether cameras are live: these are not given up for what the process lacks at the moment (descriptors,
            memory, threads), however long that is.
    """

    def __init__(
        self,
        drop: Callable[[Frame, str], None],
        fail: Callable[[str, StreamReIDError], object],
        *,
        live: Callable[[], bool] = lambda: False,
    ) -> None:
        self._drop, self._fail, self._live = drop, fail, live
        self._count: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._given_up: set[str] = set()
        self._said: dict[str, str] = {}

    @classmethod
    def counted(cls, statistics: Statistics) -> FrameFaults:
        """Faults of recordings, or of a half of a run that reads no camera: drops and failures are noted in
        statistics."""

        return cls(lambda frame, reason: statistics.record_drop(frame.camera, reason), statistics.record_failure)

    def guard(self, frame: Frame, action: Callable[[], _Value]) -> _Value | None:
        """What an action on one frame gives; None where it fails."""
        try:
            return action()
        except Exception as error:
            self.failed(frame, error)
            return None

    def guard_held(self, camera: str, action: Callable[[], object]) -> None:
        """Do something with what was held back of a camera, of which no frame comes any more; what fails is passed
        over."""
        try:
            action()
        except Exception as error:
            log.debug("camera '%s', held back", camera, exc_info=error)
            what = f"{type(error).__name__}: {redact(error)}"
            log.warning("camera '%s': what was held back of some people is passed over (%s)", camera, what)

    def too_late(self, frame: Frame) -> bool:
        """Whether a frame's camera was given up because of an earlier frame."""
        return frame.camera in self._given_up and frame.index > self._last[frame.camera]

    def failed(self, frame: Frame, error: Exception) -> None:
        """A frame failed. An error that was raised on purpose gives up its camera at once."""
        self._last[frame.camera] = frame.index
        if self.passing(error):
            self._drop(frame, SCARCE)
            self._say(frame, SCARCE, error)
            return
        if isinstance(error, StreamReIDError):
            self._given_up.add(frame.camera)
            self._fail(frame.camera, error)
            return
        self._drop(frame, REASON)
        what = f"{type(error).__name__}: {redact(error)}"
        count = self._count[frame.camera] = self._count.get(frame.camera, 0) + 1
        log.debug("camera '%s', frame %d", frame.camera, frame.index, exc_info=error)
        if count >= _IN_A_ROW:
            fatal = SourceError(
                f"camera '{frame.camera}': {count} frames failed one after the other, the last one, {frame.index}, by "
                f"{what}. Please report this"
            )
            fatal.__cause__ = error
            self._given_up.add(frame.camera)
            self._fail(frame.camera, fatal)
        else:
            self._say(frame, type(error).__name__, error)

    def passing(self, error: Exception) -> bool:
        """Whether an error is no fault of a live camera, and may be gone at its next frame."""
        return self._live() and is_scarcity(error)

    def _say(self, frame: Frame, kind: str, error: Exception) -> None:
        if self._said.get(frame.camera) != kind:
            self._said[frame.camera] = kind
            what = f"{type(error).__name__}: {redact(error)}"
            log.warning("camera '%s': frame %d is passed over (%s)", frame.camera, frame.index, what)

    def passed(self, frame: Frame) -> None:
        """A frame has its result."""
        if frame.index > self._last.get(frame.camera, frame.index):
            self._count.pop(frame.camera, None)
            self._given_up.discard(frame.camera)  # it was resumed
