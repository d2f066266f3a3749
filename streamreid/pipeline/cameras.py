"""All cameras of a run: opened one by one, read ahead, handed out in batches. One that fails is noted and never stops the others."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence

from streamreid.config import CameraConfig
from streamreid.errors import SourceError, StreamReIDError
from streamreid.pipeline.statistics import CameraCount
from streamreid.secrets import redact
from streamreid.sources import FrameSource, LiveSource, PrefetchReader, SourceStatus, open_source
from streamreid.types import Frame

__all__ = ["Cameras"]

log = logging.getLogger(__name__)


class Cameras:
    """Batches of frames from many cameras.

    Files are read completely and handed out in the order of capture time over all cameras, so that a slower or shorter one holds nobody up.
    Live cameras give their newest frame.

    Args:
        configs: The cameras.
        counts: Where frames, warnings and errors are noted, by camera.
        batch: Largest number of frames handed out together.
    """

    def __init__(self, configs: Sequence[CameraConfig], counts: dict[str, CameraCount], *, batch: int) -> None:
        self._counts = counts
        self._batch = batch
        self._stop = threading.Event()
        self._readers: dict[str, PrefetchReader] = {}
        self._sources: dict[str, FrameSource] = {}
        for config in configs:
            try:
                source = open_source(config)
            except SourceError as error:
                self.fail(config.name, error)
                continue
            counts[config.name].expected = source.expected_frames
            self._sources[config.name] = source
            if isinstance(source, LiveSource):
                source.subscribe(_Teller())
            self._readers[config.name] = PrefetchReader(source, capacity=max(batch, 4), latest=source.live)

    @property
    def live(self) -> bool:
        """Whether any camera is live."""
        return any(s.live for s in self._sources.values())

    def stop(self) -> None:
        """Hand out no more batches. May be called from any thread or from a signal handler."""
        self._stop.set()

    def close(self) -> None:
        """Stop all readers and note what they met."""
        self._stop.set()
        for name in list(self._readers):
            self._end(name)

    def __iter__(self) -> Iterator[list[Frame]]:
        while self._readers and not self._stop.is_set():
            batch = self._newest() if self.live else self._next()
            if batch:
                yield batch

    def _next(self) -> list[Frame]:
        """The next frames in the order of capture time. Waits for the decoder, but never for the sake of a full batch of one camera only."""
        batch: list[Frame] = []
        while len(batch) < self._batch and self._readers and not self._stop.is_set():
            times = {}
            for name, reader in list(self._readers.items()):
                time = None if self._counts[name].error is not None else reader.peek_time()
                if time is None:
                    self._end(name)
                else:
                    times[name] = time
            if times:
                name = min(times, key=lambda n: (times[n], n))
                frame = self._readers[name].get()
                if frame is not None:
                    batch.append(frame)
        return batch

    def _newest(self) -> list[Frame]:
        batch = []
        for name, reader in list(self._readers.items()):
            frame = reader.try_get()
            if self._counts[name].error is not None:
                self._end(name)
            elif frame is not None:
                batch.append(frame)
            elif reader.ended:
                self._end(name)
        if not batch:
            self._stop.wait(0.002)
        return sorted(batch, key=lambda f: (f.time, f.camera))

    def _end(self, name: str) -> None:
        reader = self._readers.pop(name)
        reader.stop()
        count = self._counts[name]
        count.dropped = reader.dropped
        count.warnings = [redact(w) for w in self._sources[name].warnings]
        for warning in count.warnings:
            log.warning("camera '%s': %s", name, warning)
        if reader.error is not None:
            self.fail(name, reader.error)

    def fail(self, name: str, error: StreamReIDError) -> None:
        """Note why a camera cannot go on, and read no more of it. May be called from any thread."""
        if self._counts[name].error is not None:
            return
        reason = redact(error).removeprefix(f"camera '{name}': ")
        self._counts[name].error = reason
        log.error("camera '%s' failed: %s", name, reason)


class _Teller:
    """Logs what becomes of a live camera while the run goes on: each trouble once, not at every attempt, and its end."""

    def __init__(self) -> None:
        self._trouble = ""

    def __call__(self, status: SourceStatus) -> None:
        trouble = redact(f"{status.state}: {status.reason}") if status.state in ("lost", "stalled", "failed") else ""
        if trouble and trouble != self._trouble:
            log.warning("camera '%s' %s", status.camera, trouble)
            self._trouble = trouble
        elif self._trouble and status.state == "connected":
            log.warning("camera '%s' is there again", status.camera)
            self._trouble = ""
