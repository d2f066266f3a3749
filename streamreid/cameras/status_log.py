"""What is said of a live camera while the run goes on: each trouble once, not at every attempt, and its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from streamreid.secrets import redact
from streamreid.sources import SourceStatus

__all__ = ["StatusLogger"]

log = logging.getLogger(__name__)

_DRIFT = 100.0
"""Parts per million (9 s a day) from which a camera's clock is worth a word."""

_LASTING = 180.0
"""Seconds for which it must be so: over half a minute, some milliseconds of a busy network look like a bad clock."""


class StatusLogger:
    """Logs changes of state, jumps of the clock and its drift. Subscribe it to one source; `check` may be called at any
    time besides.

    Args:
        clock: Seconds that pass.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._drifts_since: float | None = None
        self._trouble = ""
        self._jumps = 0
        self._drift_said = False

    def __call__(self, status: SourceStatus) -> None:
        trouble = redact(f"{status.state}: {status.reason}") if status.state in ("lost", "stalled", "failed") else ""
        if trouble and trouble != self._trouble:
            log.warning("camera '%s' %s", status.camera, trouble)
            self._trouble = trouble
        elif self._trouble and status.state == "connected":
            log.warning("camera '%s' is there again", status.camera)
            self._trouble = ""

    def check(self, status: SourceStatus) -> None:
        """Say that the clock jumped, each time, and that it drifts, once."""
        if status.jumps > self._jumps:
            log.warning(
                "camera '%s': its clock jumped (%d times so far); capture times go on from arrival",
                status.camera,
                status.jumps,
            )
            self._jumps = status.jumps
        if status.drift is None or abs(status.drift) <= _DRIFT:
            self._drifts_since = None
            return
        if self._drifts_since is None:
            self._drifts_since = self._clock()
        if self._clock() - self._drifts_since >= _LASTING and not self._drift_said:
            way = "slow" if status.drift > 0 else "fast"
            log.warning(
                "camera '%s': its clock runs %.0f ppm %s (%.1f s a day); capture times follow arrival",
                status.camera,
                abs(status.drift),
                way,
                abs(status.drift) * 0.0864,
            )
            self._drift_said = True
