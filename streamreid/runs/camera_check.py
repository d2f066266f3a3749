"""A look at one camera: whether it can be opened, what comes of it, how late."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from streamreid.config import CameraConfig
from streamreid.errors import StreamReIDError
from streamreid.secrets import redact
from streamreid.sources import FrameSource, LiveSource, PrefetchReader, is_live, open_source, with_kinds
from streamreid.sources.kinds import ended_recording
from streamreid.types import Frame

__all__ = ["KEPT", "MEMORY", "CameraCheck", "CameraProbe", "examine_camera"]

KEPT = 40
"""Frames of each camera on which inference is measured, at most."""

MEMORY = 400e6
"""Bytes of frames of all cameras that are kept."""


@dataclass(slots=True)
class CameraCheck:
    """One camera.

    Args:
        name: Its name.
        uri: Its address without password.
        live: Whether its frames are lost when nobody takes them.
        error: Why it cannot be used, or None.
        first_frame: Seconds until the first frame.
        size: Width and height.
        rate: Frames per second that come, after the stride; of files what their time stamps say.
        clock: Where capture times come from.
        delay: Median seconds from capture to arrival, of live cameras.
        people: People per frame.
        warnings: What was met.
    """

    name: str
    uri: str
    live: bool
    error: str | None = None
    first_frame: float | None = None
    size: tuple[int, int] | None = None
    rate: float = 0.0
    clock: str | None = None
    delay: float = 0.0
    people: float = 0.0
    warnings: list[str] = field(default_factory=list)


class CameraProbe:
    """One camera that is read for the diagnosis, in a thread of its own."""

    def __init__(self, config: CameraConfig) -> None:
        self.check = CameraCheck(config.name, redact(config.uri), is_live(config))
        self.frames: deque[Frame] = deque(maxlen=KEPT)
        self.share = MEMORY
        self.config = config
        self.reader: PrefetchReader | None = None
        self._source: FrameSource | None = None
        self._ended = False

    def open(self) -> None:
        """Connect, once, and wait for the first frame."""
        began = time.monotonic()
        try:
            # One attempt: what fails now is to be said now.
            self._source = open_source(self.config.model_copy(update={"reconnect": 0, "paused": False}))
            self.reader = PrefetchReader(self._source, capacity=4, latest=self.check.live)
            frame = self.reader.get(timeout=2 * self.config.connect_timeout + self.config.timeout)
            if frame is None:
                self.check.error = redact(self.reader.error or "gives no frame").removeprefix(
                    f"camera '{self.config.name}': "
                )
                return
            self.check.first_frame = time.monotonic() - began
            self.frames = deque([frame], maxlen=int(np.clip(self.share / frame.image.nbytes, 4, KEPT)))
        except TimeoutError:
            self.check.error = "gives no frame in time. Check the camera"
        except StreamReIDError as error:
            self.check.error = redact(error).removeprefix(f"camera '{self.config.name}': ")

    def watch(self, seconds: float) -> None:
        """Look at what comes for a while."""
        if self.check.error is not None or self.reader is None:
            return
        deadline = time.monotonic() + seconds
        delays: list[float] = []
        indices: list[int] = []
        times: list[float] = []
        try:
            while (left := deadline - time.monotonic()) > 0 and (self.check.live or len(times) < KEPT):
                frame = self.reader.get(timeout=left)
                if frame is None:
                    self._ended = True
                    break
                self.frames.append(frame)
                delays.append(time.time() - frame.time)
                indices.append(frame.index)
                times.append(frame.time)
        except TimeoutError:
            pass
        self._conclude(delays, indices, times)

    def _conclude(self, delays: list[float], indices: list[int], times: list[float]) -> None:
        check, newest = self.check, self.frames[-1]
        check.size, check.clock = newest.size, newest.clock
        if len(times) > 1 and times[-1] > times[0]:
            # By frame number: those that were not taken in time came nevertheless. Numbers of recordings may have gaps.
            came = (indices[-1] - indices[0]) / self.config.stride if check.live else len(times) - 1
            check.rate = came / (times[-1] - times[0])
        check.delay = max(0.0, float(np.median(delays))) if delays and check.live else 0.0
        if self.reader is not None and self.reader.error is not None:
            check.error = redact(self.reader.error)
        if self._source is not None:
            check.warnings = [redact(w) for w in self._source.warnings]
        said = ended_recording(self.config) if check.live and self._ended and check.error is None else ""
        if said:
            check.warnings.append(said)
        elif check.live and not times:
            check.error = check.error or "one frame came, then nothing. Check the camera"
        if isinstance(self._source, LiveSource) and self._source.status.corrupt:
            check.warnings.append(f"{self._source.status.corrupt} damaged packets; check the network")

    def close(self) -> None:
        """Close the connection; a read that waits returns."""
        if self.reader is not None:
            self.reader.stop()


def examine_camera(config: CameraConfig, *, seconds: float = 3.0) -> tuple[CameraCheck, Frame | None]:
    """Test one camera alone: whether it can be opened, how large and how frequent its pictures are, how late.

    Args:
        config: The camera.
        seconds: How long to look at it once the first frame is there.

    Returns:
        What was found, and the newest frame; None where there is none.
    """
    (config,) = with_kinds([config])
    probe = CameraProbe(config)
    probe.open()
    try:
        probe.watch(seconds)
        return probe.check, probe.frames[-1] if probe.frames else None
    finally:
        probe.close()
