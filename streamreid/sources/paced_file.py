"""Files beside cameras: played at their own speed and waiting for nobody, or dated and never ahead of the clock."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from time import monotonic

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.secrets import redact
from streamreid.sources.base import FrameSource, SourceBase
from streamreid.sources.clock import Clock, ClockSteps, SystemClock
from streamreid.sources.status import WatchedSource
from streamreid.types import Frame

__all__ = ["DatedSource", "PacedSource"]


class PacedSource(WatchedSource):
    """Frames of a file at the distances of their time stamps, as if they were taken now.

    Capture time is the moment the playing began + (time in the file - first time in the file), and goes with this
    machine's clock where that is set; the playing itself goes by seconds that pass. Clock "pts" (or "rate" where the
    file has no stamps). Read it with `PrefetchReader` and ``latest=True``, as any live camera: who comes late misses
    frames.

    Args:
        config: The camera.
        source: The opened file; closed with this source.
        clock: Tells the time now.
    """

    def __init__(self, config: CameraConfig, source: FrameSource, *, clock: Clock | None = None) -> None:
        super().__init__(config, clock)
        self._source = source

    @property
    def expected_frames(self) -> int | None:
        """About how many frames the file has."""
        return self._source.expected_frames

    @property
    def warnings(self) -> Sequence[str]:
        """What was wrong with the file."""
        return self._source.warnings

    def __iter__(self) -> Iterator[Frame]:
        """The frames, each at its time.

        Raises:
            SourceError: The file cannot be read further.
        """
        steps = ClockSteps(self._clock)
        shift = began = 0.0
        try:
            for count, frame in enumerate(self._source, 1):
                if count == 1:
                    shift, began = self._clock.now() - frame.time, monotonic() - frame.time
                if self._closed.wait(max(0.0, began + frame.time - monotonic())):
                    return
                shift += steps.take()
                time = frame.time + shift
                width, height = frame.size
                self._board.move(
                    "connected",
                    connections=1,
                    frames=count,
                    last_frame=self._clock.now(),
                    size=(width, height),
                    clock=frame.clock,
                )
                yield Frame(self.camera, frame.index, time, frame.image, frame.clock)
        except SourceError as error:
            self._board.move("failed", redact(error))
            raise
        self._board.move("ended")

    def close(self) -> None:
        """Stop playing; the iterator ends at once."""
        self._closed.set()
        self._source.close()
        self._board.move("ended")


class DatedSource(SourceBase):
    """Frames of a recording whose capture times are dates, none before its time has come: live cameras beside it are
    then at the same moment.

    What lies in the past is read as fast as it is taken; no frame is left out.

    Args:
        config: The camera.
        source: The opened recording; closed with this source.
        clock: Tells the time now.
    """

    def __init__(self, config: CameraConfig, source: FrameSource, *, clock: Clock | None = None) -> None:
        super().__init__(config, live=False)
        self._source = source
        self._clock = clock or SystemClock()
        self._closed = threading.Event()

    @property
    def expected_frames(self) -> int | None:
        """About how many frames the recording has."""
        return self._source.expected_frames

    @property
    def warnings(self) -> Sequence[str]:
        """What was wrong with the recording."""
        return self._source.warnings

    def __iter__(self) -> Iterator[Frame]:
        """The frames.

        Raises:
            SourceError: The recording cannot be read further.
        """
        for frame in self._source:
            if self._closed.wait(max(0.0, frame.time - self._clock.now())):
                return
            yield frame

    def close(self) -> None:
        """Stop; the iterator ends at once."""
        self._closed.set()
        self._source.close()
