"""The cameras of a run whose frames stay with workers: they come, go, rest and change as those of one process do."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from streamreid.cameras.camera_opener import CameraOpener, Claim
from streamreid.cameras.change_listeners import ChangeListener, ChangeListeners
from streamreid.cameras.statistics import CameraCount, Statistics
from streamreid.cluster.camera_figures import apply_figures
from streamreid.config import CameraConfig
from streamreid.errors import CameraExists, CameraNotFound, ConfigError, SourceError, StreamReIDError
from streamreid.sources import SourceStatus, with_kind
from streamreid.types import EmbeddedFrame

__all__ = ["CameraHost", "RemoteCameras", "WorkerTurns"]

log = logging.getLogger(__name__)

OPEN_SECONDS = 25.0
"""How long adding a camera waits until its worker has opened it; the HTTP interface waits for 30 s."""

_LOOK_SECONDS = 0.05


class CameraHost(Protocol):
    """Where cameras are read; see `streamreid.cluster.supervisor.Supervisor`."""

    def place(self, camera: str) -> bool:
        """Give a camera to a worker; whether one has room now."""

    def drop(self, camera: str) -> None:
        """A camera is no longer part of the run."""

    def change(self, config: CameraConfig) -> str:
        """Have a camera read with other settings; why that cannot be done."""


@dataclass(slots=True)
class WorkerTurns:
    """What `BatchScheduler` tells of cameras in one process.

    Args:
        rates: Frames per second with a result, by camera.
        overloaded: Never: each worker sees to its own cameras.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    overloaded: bool = False


class RemoteCameras:
    """Takes the place of `Perception` and of its `Cameras` in a run.

    Args:
        configs: The cameras.
        statistics: Their figures.
        live: Whether any is live.
        stay: Go on without any camera, because some may be added.
        window: Seconds over which tracks are compared.
        rates: Frames per second of each camera.
    """

    def __init__(
        self,
        configs: Sequence[CameraConfig],
        statistics: Statistics,
        *,
        live: bool,
        stay: bool,
        window: float = 300.0,
    ) -> None:
        self._configs = {config.name: config for config in configs}
        self._statistics = statistics
        self._opener = CameraOpener(configs, window=window, serving=stay)
        self._tell = ChangeListeners()
        self._opened: set[str] = set()
        self._lock = threading.Lock()
        self.host: CameraHost | None = None
        """Set before cameras come or change."""
        self.on_change: Callable[[str, bool], None] = lambda camera, there: None
        """Called with a camera that comes (true) or goes."""
        self.rates: Callable[[], Mapping[str, float]] = dict
        self.detector_name = ""
        self.live, self.stay = live, stay
        self.stopped = threading.Event()

    def __repr__(self) -> str:
        return f"RemoteCameras({list(self._configs)})"

    # ---------------------------------------------------------------- as perception

    def __iter__(self) -> Iterator[EmbeddedFrame | None]:
        return iter(())  # no frame ever comes here

    def forget(self, camera: str) -> None:
        """Nothing is kept of a camera here."""

    def stop(self) -> None:
        """End the run after the updates in work."""
        self.stopped.set()

    def close(self) -> None:
        """End the run."""
        self.stopped.set()

    # ---------------------------------------------------------------- as cameras

    @property
    def configs(self) -> list[CameraConfig]:
        """The cameras as they are now."""
        return list(self._configs.values())

    @property
    def by_name(self) -> Mapping[str, CameraConfig]:
        """The same by name; never changed, but replaced."""
        return self._configs

    @property
    def turns(self) -> WorkerTurns:
        """Rates of the cameras."""
        return WorkerTurns(self.rates())

    def refresh_statistics(self) -> None:
        """They come by themselves, once a second."""

    def subscribe(self, listener: ChangeListener) -> None:
        """Have every change of a camera told."""
        self._tell.add(listener)

    def add(self, config: CameraConfig, *, claim: Claim | None = None) -> None:
        """Begin to read a camera; see `Cameras.add`. Where no worker has room for it yet, it waits for one."""
        self._changeable()
        if config.name in self._configs and self._statistics.of(config.name).error is None:
            raise CameraExists(config.name)
        config = with_kind(config)
        self._opener.check(config, self.configs)
        if config.name in self._configs:  # it failed before
            self._edit(config, claim)
            return
        new = config.name not in self._statistics.cameras
        count = self._statistics.cameras.setdefault(config.name, CameraCount())
        count.error, count.removed, count.paused, count.live, count.status = None, False, config.paused, True, None
        self._set(config)
        self.on_change(config.name, True)
        placed = self._worker().place(config.name)
        if not placed:
            log.warning("camera '%s' waits for a worker with room for it", config.name)
            count.status = SourceStatus(config.name, "connecting", "no worker has room for it yet", time.time())
        elif not self._wait(config.name):
            problem = count.error or f"it is not open within {OPEN_SECONDS:.0f} s"
            self._refuse(config.name, new)
            raise SourceError(f"camera '{config.name}': {problem}")
        if claim is not None and not claim():
            self._refuse(config.name, new)
            raise SourceError(f"camera '{config.name}': opened too late: nobody waits for it any more")
        self._tell(config.name, "paused" if config.paused else "added")

    def admit(self, config: CameraConfig) -> bool:
        """Add a camera, or change it if it is known; one that cannot be opened is known as failed from then on."""
        try:
            (self.change if config.name in self._configs else self.add)(config)
        except SourceError as error:
            known = config.name in self._configs
            self._set(with_kind(config))
            if not known:
                self.on_change(config.name, True)
                self._statistics.of(config.name).removed = False
                self._worker().place(config.name)
            self.fail(config.name, error)
            return False
        return True

    def remove(self, name: str) -> None:
        """Read a camera no more; see `Cameras.remove`."""
        self._changeable()
        self._known(name)
        self._take_out(name)
        self._tell(name, "removed")

    def pause(self, name: str) -> None:
        """Let a camera rest; see `Cameras.pause`."""
        self.change(self._known(name).model_copy(update={"paused": True}))

    def resume(self, name: str, *, claim: Claim | None = None) -> None:
        """Read a camera that rests, or failed, again; see `Cameras.resume`."""
        config = self._known(name)
        if not config.paused and self._statistics.of(name).error is None:
            return
        self._edit(config.model_copy(update={"paused": False}), claim)

    def change(self, config: CameraConfig, *, claim: Claim | None = None) -> None:
        """Read a camera with other settings; see `Cameras.change`."""
        self._changeable()
        self._known(config.name)
        config = with_kind(config)
        self._opener.check(config, self.configs)
        self._edit(config, claim)

    def fail(self, name: str, error: StreamReIDError) -> None:
        """Note why a camera cannot go on."""
        reason = self._statistics.record_failure(name, error)
        if reason:
            self._tell(name, "failed", reason)

    # ---------------------------------------------------------------- figures

    def note(self, camera: str, figures: Mapping[str, Any]) -> None:
        """Take what a worker knows of a camera, and tell what has changed."""
        if camera not in self._configs:  # it was taken out meanwhile
            return
        count = self._statistics.of(camera)
        before, failed = count.status, count.error
        apply_figures(self._statistics, camera, figures)
        if figures.get("opened"):
            self._opened.add(camera)
        now = count.status
        if now is not None and (before is None or before.state != now.state):
            self._tell(camera, now.state, now.reason)
        if count.error is not None and failed is None:
            self._tell(camera, "failed", count.error)

    # ---------------------------------------------------------------- inside

    def _wait(self, name: str) -> bool:
        """Whether a camera is open, or resting, in time; its error says why it is not."""
        deadline = time.monotonic() + OPEN_SECONDS
        while time.monotonic() < deadline and not self.stopped.is_set():
            if name in self._opened:
                return self._statistics.of(name).error is None
            time.sleep(_LOOK_SECONDS)
        return False

    def _edit(self, config: CameraConfig, claim: Claim | None) -> None:
        before = self._configs[config.name]
        problem = self._worker().change(config)
        if problem:
            raise SourceError(problem)
        if claim is not None and not claim():
            self._worker().change(before)
            raise SourceError(f"camera '{config.name}': changed too late: nobody waits for it any more")
        count = self._statistics.of(config.name)
        count.error, count.paused = None, config.paused
        if config.paused:
            count.status = None
        self._set(config)
        self._tell(config.name, "paused" if config.paused else "added" if before.paused else "changed")

    def _set(self, config: CameraConfig) -> None:
        with self._lock:
            self._configs = {**self._configs, config.name: config}

    def _take_out(self, name: str) -> None:
        with self._lock:
            self._configs = {key: config for key, config in self._configs.items() if key != name}
            self._opened.discard(name)
        self._worker().drop(name)
        self.on_change(name, False)
        count = self._statistics.of(name)
        count.removed, count.status = True, None

    def _refuse(self, name: str, new: bool) -> None:
        """Take a camera out that was not added after all: nothing of it stays, but what it was before."""
        self._take_out(name)
        self._statistics.of(name).error = None
        if new:
            del self._statistics.cameras[name]

    def _worker(self) -> CameraHost:
        if self.host is None:
            raise ConfigError("no worker has been started yet; try again in a moment")
        return self.host

    def _changeable(self) -> None:
        if not self.live:
            raise ConfigError(
                "this run reads recordings; cameras can only be added, changed and removed in a run with live ones"
            )

    def _known(self, name: str) -> CameraConfig:
        if name not in self._configs:
            raise CameraNotFound(name, self._configs)
        return self._configs[name]
