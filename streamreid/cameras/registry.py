"""All cameras of a run: opened one by one, read ahead, handed out in batches. One that fails is noted and never stops
the others.

Cameras may come, go, rest and change while the run goes on. Whoever asks for that opens and closes in their own thread;
the set itself changes under a lock that is held for microseconds, so inference never waits for a camera.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Literal

from streamreid._scarcity import start_or_call
from streamreid._threads import Thread
from streamreid.cameras.batch_scheduler import BatchScheduler
from streamreid.cameras.camera_opener import CameraOpener, Claim
from streamreid.cameras.camera_reader import CameraReader
from streamreid.cameras.change_listeners import ChangeListener, ChangeListeners
from streamreid.cameras.memory_trimmer import MemoryTrimmer
from streamreid.cameras.statistics import CameraCount, Statistics
from streamreid.config import CameraConfig, LiveConfig
from streamreid.errors import CameraExists, CameraNotFound, ConfigError, SourceError, StreamReIDError
from streamreid.sources import FrameSource, is_live, with_kind
from streamreid.types import Frame

__all__ = ["Cameras"]

log = logging.getLogger(__name__)

_TICK = 0.5
"""Seconds after which an empty batch is handed out, so that those who wait for results hear that nothing came."""

_REFRESH_SECONDS = 1.0
"""Seconds between refreshes of the statistics."""


class Cameras:
    """Batches of frames from many cameras.

    Files are read completely, always the one whose next frame is the earliest of all, so that a slower or shorter one
    holds nobody up. Live cameras give their newest frame, in turn where inference cannot keep up (`BatchScheduler`).

    Args:
        configs: The cameras.
        statistics: Where frames, warnings and errors are noted, by camera.
        batch: Largest number of frames handed out together.
        live: How live cameras are treated.
        numbers: First frame number by camera, where an earlier run is continued.
        stay: Go on without any camera, because some may be added.
        window: Seconds over which tracks are compared: a recording beside live cameras begins at most so far from now.

    Raises:
        ConfigError: Recordings and live cameras have no common time.
    """

    def __init__(
        self,
        configs: Sequence[CameraConfig],
        statistics: Statistics,
        *,
        batch: int,
        live: LiveConfig | None = None,
        numbers: dict[str, int] | None = None,
        stay: bool = False,
        window: float = 300.0,
    ) -> None:
        self._opener = CameraOpener(configs, window=window, serving=stay)
        self._statistics = statistics
        self._batch = batch
        self.turns = BatchScheduler((live or LiveConfig()).turn_seconds, batch)
        self.stay = stay
        self._numbers = dict(numbers or {})
        self._stop = threading.Event()
        self._news = threading.Event()
        self._lock = threading.RLock()
        self._cameras: dict[str, CameraReader] = {}
        self._configs: dict[str, CameraConfig] = {}
        self._refreshed = 0.0
        self._memory = MemoryTrimmer()
        self._fixed = self._begun = False
        self._tell = ChangeListeners()
        for config in configs:
            self.admit(config)
        # Recordings are read to their end in the order of time: there is no sense in which another could join.
        self._fixed = not self.live
        self._begun = True

    # ---------------------------------------------------------------- the set of cameras

    @property
    def configs(self) -> list[CameraConfig]:
        """All cameras of the run, in the order in which they came, also those that rest or failed."""
        with self._lock:
            return list(self._configs.values())

    @property
    def live(self) -> bool:
        """Whether any camera is live, or may become so."""
        with self._lock:
            return self.stay or any(is_live(c) for c in self._configs.values())

    def roi(self, name: str) -> tuple[tuple[float, float], ...] | None:
        """A camera's region of interest."""
        with self._lock:
            return self._configs[name].roi if name in self._configs else None

    def motion(self, name: str) -> Literal["none", "flow", "ecc"]:
        """How a camera's own motion is estimated."""
        with self._lock:
            return self._configs[name].motion if name in self._configs else "none"

    def add(self, config: CameraConfig, *, claim: Claim | None = None) -> None:
        """Begin to read a camera; one that failed or was removed may come back under its name.

        Args:
            config: The camera.
            claim: Asked once, when the camera is open: whether it is still wanted. If not, it is closed again and
                everything stays as it was.

        Raises:
            SourceError: It cannot be opened, or is not wanted any more.
            CameraExists: A camera of that name is being read.
            ConfigError: The run is one of recordings, or the camera has no common time with the others.
        """
        self._changeable()
        self._unused(config.name)
        config = with_kind(config)
        self._check(config)
        self._begin(config, self._opener.open(config, self.configs, claim), recalibrated=config.calibration is not None)

    def _check(self, config: CameraConfig) -> None:
        if self._begun:
            self._opener.check(config, self.configs)

    def _begin(self, config: CameraConfig, source: FrameSource | None, *, recalibrated: bool) -> None:
        """Read a camera's opened source; None lets it rest."""
        with self._lock:
            try:
                self._unused(config.name)
            except ConfigError:
                if source is not None:
                    source.close()
                raise
            count = self._statistics.cameras.setdefault(config.name, CameraCount())
            count.error, count.removed, count.paused = None, False, source is None
            self._configs[config.name] = config
            if source is not None:
                self._cameras[config.name] = CameraReader(
                    config,
                    source,
                    count,
                    capacity=max(self._batch, 4),
                    wake=self._news.set,
                    changed=lambda status: self._tell(status.camera, status.state, status.reason),
                    first=self._numbers.get(config.name, 0),
                )
        self._news.set()
        self._tell(config.name, "paused" if source is None else "added")
        if recalibrated and self._begun:
            log.warning("camera '%s': its calibration counts from the next start of the run on", config.name)

    def admit(self, config: CameraConfig) -> bool:
        """Add a camera, or change it if it is known. One that cannot be opened is known as failed from then on, and may
        be resumed.

        Returns:
            Whether it could be opened.
        """
        with self._lock:
            known = config.name in self._configs
        try:
            (self.change if known else self.add)(config)
        except SourceError as error:
            self._take_out(config.name)
            with self._lock:
                self._configs[config.name] = config
                self._statistics.cameras.setdefault(config.name, CameraCount()).error = None
            self.fail(config.name, error)
            return False
        return True

    def number_from(self, name: str, least: int) -> int:
        """Give the frames of a camera, when it is added next, numbers from ``least`` on, or from where they are.

        Returns:
            The first number.
        """
        self._numbers[name] = max(least, self._numbers.get(name, 0))
        return self._numbers[name]

    def subscribe(self, listener: ChangeListener) -> None:
        """Have every change of a camera told."""
        self._tell.add(listener)

    def remove(self, name: str) -> None:
        """Read a camera no more. Its results and its name's track ids stay.

        Raises:
            CameraNotFound: There is none of that name.
        """
        self._changeable()
        self._known(name)
        self._take_out(name)
        with self._lock:
            self._configs.pop(name, None)
            self._statistics.cameras[name].removed = True
        self._tell(name, "removed")

    def pause(self, name: str) -> None:
        """Let a camera rest: it is hung up until `resume`.

        Raises:
            CameraNotFound: There is none of that name.
        """
        self.change(self._known(name).model_copy(update={"paused": True}))

    def resume(self, name: str, *, claim: Claim | None = None) -> None:
        """Read a camera that rests, or failed, again; nothing happens to one that is being read.

        Args:
            name: Of the camera.
            claim: See `add`.

        Raises:
            CameraNotFound: There is none of that name.
            SourceError: It cannot be opened.
        """
        config = self._known(name)
        with self._lock:
            if name in self._cameras:
                return
        self.add(config.model_copy(update={"paused": False}), claim=claim)

    def change(self, config: CameraConfig, *, claim: Claim | None = None) -> None:
        """Read a camera with other settings or at another address. What is only inference's business (``roi``) changes
        without a new connection.

        Args:
            config: The camera as it is to be.
            claim: See `add`.

        Raises:
            CameraNotFound: There is none of that name.
            SourceError: It cannot be opened; everything stays as it was.
        """
        self._changeable()
        before = self._known(config.name)
        config = with_kind(config)
        if before.model_copy(update={"roi": config.roi}) == config:
            with self._lock:
                self._configs[config.name] = config
            self._tell(config.name, "changed")
            return
        self._check(config)
        source = self._opener.open(config, self.configs, claim)
        self._tell(config.name, "changed")
        self._take_out(config.name)
        self._begin(config, source, recalibrated=before.calibration != config.calibration)

    def _changeable(self) -> None:
        if self._fixed:
            raise ConfigError(
                "this run reads recordings; cameras can only be added, changed and removed in a run with live ones"
            )

    def _known(self, name: str) -> CameraConfig:
        with self._lock:
            if name not in self._configs:
                raise CameraNotFound(name, self._configs)
            return self._configs[name]

    def _unused(self, name: str) -> None:
        with self._lock:
            if name in self._cameras:
                raise CameraExists(name)

    def _take_out(self, name: str) -> None:
        with self._lock:
            camera = self._cameras.pop(name, None)
        if camera is None:
            return
        camera.stop()
        self._statistics.cameras[name].status = None
        self._news.set()

    # ---------------------------------------------------------------- frames

    def stop(self) -> None:
        """Hand out no more batches. May be called from any thread or from a signal handler."""
        self._stop.set()
        self._news.set()

    def close(self) -> None:
        """Stop all readers, all at once, and note what they met."""
        self.stop()
        closers = [Thread(target=self._end, args=(name,), daemon=True) for name in list(self._cameras)]
        for closer in closers:
            start_or_call(closer)
        for closer in closers:
            if closer.ident is not None:
                closer.join()

    def __iter__(self) -> Iterator[list[Frame]]:
        """Batches; for live cameras an empty one twice a second while nothing comes."""
        while not self._stop.is_set() and (self.stay or self._cameras):
            batch = self.wait(_TICK) if self.live else self._next()
            if batch or self.live:
                yield batch

    def wait(self, seconds: float) -> list[Frame]:
        """The newest frames of live cameras; empty if none came in time."""
        deadline = monotonic() + seconds
        while True:
            self._news.clear()
            batch = self.poll()
            left = deadline - monotonic()
            if batch or left <= 0 or self._stop.is_set() or not (self.stay or self._cameras):
                return batch
            self._news.wait(left)

    def poll(self) -> list[Frame]:
        """The newest frames that are there, of the cameras whose turn it is."""
        self._refresh_regularly()
        with self._lock:
            cameras = dict(self._cameras)
        for name, camera in cameras.items():
            if self._statistics.cameras[name].error is not None or camera.ended:
                self._end(name)
        ready = [name for name, camera in cameras.items() if camera.waiting]
        frames = [self._counted(cameras[name].try_get()) for name in self.turns.choose(ready)]
        return sorted((f for f in frames if f is not None), key=lambda f: (f.time, f.camera))

    def drop(self, frames: Sequence[Frame], reason: str) -> None:
        """Count frames that were taken and will have no result."""
        with self._lock:
            for frame in frames:
                camera = self._cameras.get(frame.camera)
                if camera is None:
                    self._statistics.record_drop(frame.camera, reason)
                else:
                    camera.drop(reason)

    def _counted(self, frame: Frame | None) -> Frame | None:
        if frame is not None:
            self._numbers[frame.camera] = frame.index + 1
        return frame

    def _next(self) -> list[Frame]:
        """The next frames of the recording whose next frame is the earliest of all. Waits for the decoder.

        Which frames go through detector and engine together changes the last digits of what these give. A batch
        therefore holds consecutive frames of one recording, and always as many, so that nothing that is known of a
        recording depends on which others are read beside it.
        """
        batch: list[Frame] = []
        while self._cameras and not batch and not self._stop.is_set():
            times = {}
            for name, camera in list(self._cameras.items()):
                time = None if self._statistics.cameras[name].error is not None else camera.peek_time()
                if time is None:
                    self._end(name)
                else:
                    times[name] = time
            if times:
                found = self._cameras.get(min(times, key=lambda n: (times[n], n)))
                while found is not None and len(batch) < self._batch and not self._stop.is_set():
                    frame = self._counted(found.get())
                    if frame is None:
                        break
                    batch.append(frame)
        return batch

    # ---------------------------------------------------------------- figures

    def refresh_statistics(self) -> None:
        """Bring the figures of all cameras up to date."""
        with self._lock:
            cameras = dict(self._cameras)
        for camera in cameras.values():
            camera.refresh()

    def _refresh_regularly(self) -> None:
        now = monotonic()
        if now - self._refreshed < _REFRESH_SECONDS:
            return
        self._refreshed = now
        if self.live:
            self._memory.trim()
        self.refresh_statistics()
        self._statistics.mark()
        counts = {n: c.frames + c.dropped for n, c in self._statistics.cameras.items() if c.live and n in self._cameras}
        self.turns.record_arrivals(counts, bottleneck=self._statistics.bottleneck)
        self._statistics.load = self.turns.load

    def _end(self, name: str) -> None:
        with self._lock:
            camera = self._cameras.pop(name, None)
        if camera is None:
            return
        error = camera.error
        camera.stop()
        camera.log_warnings()
        if error is not None:
            self.fail(name, error)
        elif not self._stop.is_set():
            camera.judge_end()

    def fail(self, name: str, error: StreamReIDError) -> None:
        """Note why a camera cannot go on, and read no more of it. May be called from any thread."""
        reason = self._statistics.record_failure(name, error)
        if reason:
            self._tell(name, "failed", reason)
