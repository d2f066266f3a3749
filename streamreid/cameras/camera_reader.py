"""One camera being read: its open source, the thread that reads ahead, and the figures that both give."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from streamreid.cameras.statistics import CameraCount
from streamreid.cameras.status_log import StatusLogger
from streamreid.config import CameraConfig
from streamreid.errors import StreamReIDError
from streamreid.secrets import redact
from streamreid.sources import FrameSource, PrefetchReader, SourceStatus, WatchedSource
from streamreid.types import Frame

__all__ = ["CameraReader"]

log = logging.getLogger(__name__)


class CameraReader:
    """Reads a camera ahead.

    Args:
        config: The camera.
        source: Its open source, which is closed with this.
        count: Figures of the camera so far; ``refresh`` brings them up to date.
        capacity: Frames that may wait, of files; of a live camera only the newest one does.
        wake: Called when a frame has come.
        changed: Called when the state of a live source changes.
        first: Number of its first frame: numbers of a name go on over connections, changes and runs.
    """

    def __init__(
        self,
        config: CameraConfig,
        source: FrameSource,
        count: CameraCount,
        *,
        capacity: int,
        wake: Callable[[], None],
        changed: Callable[[SourceStatus], None],
        first: int = 0,
    ) -> None:
        self.config = config
        self.source = source
        self._count = count
        self._earlier_drops = dict(count.drops)  # of the readers it had before
        self._first = first
        self._logged: set[str] = set()
        self._status_logger = StatusLogger()
        count.expected, count.live = source.expected_frames, source.live
        if isinstance(source, WatchedSource):
            source.subscribe(self._status_logger)
            source.subscribe(changed)
        self._reader = PrefetchReader(source, capacity=capacity, latest=source.live, wake=wake)
        self.refresh()
        self.log_warnings()  # what opening it showed, such as a frame rate that was guessed

    def __repr__(self) -> str:
        return f"CameraReader({self.config.name!r})"

    @property
    def ended(self) -> bool:
        """Whether no frame will come any more."""
        return self._reader.ended

    @property
    def waiting(self) -> bool:
        """Whether a frame is there."""
        return bool(self._reader.waiting)

    @property
    def error(self) -> StreamReIDError | None:
        """Why reading ended early, if it did."""
        return self._reader.error

    def peek_time(self) -> float | None:
        """Capture time of the next frame, which is waited for; None at the end."""
        return self._reader.peek_time()

    def get(self) -> Frame | None:
        """The next frame, which is waited for; None at the end."""
        return self._numbered(self._reader.get())

    def try_get(self) -> Frame | None:
        """The newest frame if there is one."""
        return self._numbered(self._reader.try_get())

    def _numbered(self, frame: Frame | None) -> Frame | None:
        return replace(frame, index=frame.index + self._first) if frame is not None and self._first else frame

    def drop(self, reason: str) -> None:
        """Count a frame that was taken and has no result."""
        self._earlier_drops[reason] = self._earlier_drops.get(reason, 0) + 1

    def refresh(self) -> None:
        """Bring the camera's figures up to date."""
        drops = dict(self._earlier_drops)
        for reason, number in self._reader.drops.items():
            drops[reason] = drops.get(reason, 0) + number
        self._count.drops = drops
        if isinstance(self.source, WatchedSource):
            self._count.status = self.source.status
            self._status_logger.check(self._count.status)
        self._count.warnings = [redact(w) for w in self.source.warnings]

    def log_warnings(self) -> None:
        """Log what the source met, each sentence once."""
        for warning in self._count.warnings:
            if warning not in self._logged:
                self._logged.add(warning)
                log.warning("camera '%s': %s", self.config.name, warning)

    def stop(self) -> None:
        """Read no more, and note what was met."""
        self._reader.stop()
        self.refresh()

    def judge_end(self) -> None:
        """Say so where a recording at an http address was read as a camera and has come to its end."""
        if not self.source.live or not self.config.uri.lower().startswith(("http://", "https://")):
            return
        sentence = (
            "its address is that of a recording, which has come to its end, but it was read as a camera: "
            f"{self._count.dropped} of its frames were left out; download it and follow the file to have them all"
        )
        self._count.findings.append(sentence)
        log.warning("camera '%s': %s", self.config.name, sentence)
