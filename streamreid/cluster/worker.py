"""The cameras' half of a run in a process of its own: reads, detects, embeds and tracks; sends track updates.

Frames never leave this process. Each camera belongs to exactly one worker, as its lease says. While the site is away a
worker goes on: live cameras fill a bounded buffer, whose oldest updates are then dropped and counted; recordings wait.

A worker that holds no valid lease of a camera stops reading it by itself, whether or not it can reach anybody, and
takes the camera up again when it gets a new lease.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from streamreid._threads import Thread
from streamreid.cameras.resolved import resolved
from streamreid.cluster.batch_sender import BatchSender, Send
from streamreid.cluster.camera_sessions import LiveSession, Models, RecordingSession
from streamreid.cluster.clock_correction import on_clock_of_site
from streamreid.cluster.leases import Lease, LeaseHeld, Leases, LeasesAway
from streamreid.cluster.outbox import Outbox
from streamreid.cluster.owned_camera import OwnedCamera, WorkerStatus
from streamreid.cluster.shared_models import SharedDetector, SharedEmbedder, model_stamp
from streamreid.config import CameraConfig, Config
from streamreid.detection import Detector
from streamreid.errors import CameraNotFound
from streamreid.pipeline.detectors import open_detectors
from streamreid.reid import Embedder, open_embedder
from streamreid.secrets import redact
from streamreid.sources import is_live
from streamreid.track_update import TrackUpdate

__all__ = ["PerceptionWorker"]

log = logging.getLogger(__name__)

_RENEWALS = 4
"""Attempts to renew a lease in the time that it lasts, so that two may fail."""

_WATCH_SECONDS = 0.05
"""Seconds between looks at the leases' ends."""

_LAST_SECONDS = 1.0
"""How long a camera that is taken away may take to send what is left."""


_WRONG_CLOCK = 1.0
"""Seconds by which this machine's clock must differ from the site's for capture times to be corrected: more than the
way to the site takes. Smaller differences are found by what cameras see (`association.clock`)."""


class PerceptionWorker:
    """Owns whole cameras.

    Args:
        config: All cameras of the run and all settings; the worker reads those that it is given by ``add``.
        name: Of this worker, unique among all that run and ever ran (it has a random part).
        leases: Where the right to read a camera comes from.
        send: To the site service.
        detector: Used instead of the configured one.
        embedder: Used instead of the configured one.
        stay: Whether the run goes on without any camera, as ``serve`` does; cameras are then followed as live ones.

    Raises:
        WeightsError, DetectorError, EngineError: Something needed cannot be had on this machine.
    """

    def __init__(
        self,
        config: Config,
        name: str,
        leases: Leases,
        send: Send,
        *,
        detector: Detector | None = None,
        embedder: Embedder | None = None,
        stay: bool = False,
    ) -> None:
        config = resolved(config, serving=stay)
        self.name = name
        self._configs = {c.name: c for c in config.cameras}
        self._live = stay or any(is_live(c) for c in config.cameras)
        lock = threading.Lock()
        found = SharedDetector(detector or open_detectors(config), lock)
        described = SharedEmbedder(embedder or open_embedder(config.engine), lock)
        self._models = Models(config, found, described)
        self._leases = leases
        self._outbox = Outbox(threading.Event())
        self._lock = threading.RLock()
        self._cameras: dict[str, OwnedCamera] = {}
        self._stop = threading.Event()
        self._sender = BatchSender(
            name,
            self._outbox,
            send,
            model_stamp(found, described),
            figures=self._all_figures,
            begin=self._begin,
            refuse=self._refuse,
        )
        self._live_session = LiveSession(self._models, self._put_live) if self._live else None
        self._threads = [
            Thread(target=target, name=name, daemon=True)
            for target, name in (
                (self._renew_all, "renew"),
                (self._watch_all, "watch"),
                (self._acquire_all, "acquire"),
            )
        ]
        for thread in self._threads:
            thread.start()
        self._sender.start()

    def __repr__(self) -> str:
        return f"PerceptionWorker({self.name}, cameras={list(self._cameras)})"

    # ---------------------------------------------------------------- cameras

    def add(self, camera: str | CameraConfig) -> None:
        """Own a camera from now on. Its lease is asked for at once; while another worker has it, or the store of the
        leases is away, again and again until ``remove``. One that is owned already
        takes its new settings.

        Args:
            camera: Name of a camera of the configuration, or the settings of any.

        Raises:
            CameraNotFound: The configuration has none of that name.
        """
        if isinstance(camera, CameraConfig):
            self._configs[camera.name] = camera
            camera = camera.name
        if camera not in self._configs:
            raise CameraNotFound(camera, self._configs)
        with self._lock:
            known = self._cameras.get(camera)
            mine = known is not None and known.state != "refused"
            if not mine:
                self._cameras[camera] = OwnedCamera(self._configs[camera], self._live)
        if not mine:
            self._acquire(camera)
        elif known is not None and known.config != self._configs[camera]:
            self.change(self._configs[camera])

    def change(self, config: CameraConfig) -> str:
        """Read a live camera with other settings, let it rest, or read it again after it failed or rested.

        Args:
            config: The camera as it is to be.

        Returns:
            Why that cannot be done, and everything is as it was; empty if it is done.
        """
        with self._lock:
            self._configs[config.name] = config
            camera = self._cameras.get(config.name)
            if camera is None or self._live_session is None:
                return ""
            before, camera.config = camera.config, config
            if not camera.opened:  # it will be opened as it is to be
                return ""
        with camera.closing:
            problem = self._live_session.change(config)
        if problem:
            camera.config = self._configs[config.name] = before
        self._sender.figures_due()
        return problem

    def remove(self, camera: str) -> None:
        """Stop reading a camera, send what is left of it (for at most a second) and give its lease back. Nothing
        happens if it is not read here."""
        with self._lock:
            found = self._cameras.pop(camera, None)
        if found is None:
            return
        with found.closing:
            self._stop_reading(camera, found)
        deadline = time.monotonic() + _LAST_SECONDS
        while self._outbox.waiting(camera)[0] and time.monotonic() < deadline and not self._sender.away:
            self._outbox.wake.set()
            time.sleep(_WATCH_SECONDS)
        self._outbox.close(camera)
        self._give_back(found)

    def status(self) -> WorkerStatus:
        """How this worker and its cameras are doing; from any thread."""
        now = time.monotonic()
        cameras: dict[str, dict[str, Any]] = {}
        with self._lock:
            for name, camera in self._cameras.items():
                waiting, lost = self._outbox.waiting(name)
                cameras[name] = {
                    "state": camera.state,
                    "reason": camera.reason,
                    "fence": None if camera.lease is None else camera.lease.fence,
                    "lease_seconds": None if camera.lease is None else round(camera.lease.expires - now, 3),
                    "waiting": waiting,
                    "lost": lost,
                    **self._figures(name, camera),
                }
        return WorkerStatus(self.name, cameras, round(self._sender.away_seconds, 3), round(self._sender.offset, 3))

    def close(self) -> None:
        """Stop reading all cameras and give their leases back. Safe to call twice."""
        for name in list(self._cameras):
            self.remove(name)
        self._stop.set()
        self._sender.stop()
        if self._live_session is not None:
            self._live_session.close()
        for thread in self._threads:
            thread.join()

    # ---------------------------------------------------------------- leases

    def _acquire(self, name: str) -> None:
        """Ask for the lease of a camera, and announce the camera to the site once it is there."""
        with self._lock:
            camera = self._cameras.get(name)
        if camera is None:
            return
        try:
            lease = self._leases.acquire(name, self.name)
        except Exception as error:  # whatever it is, it is tried again
            if not isinstance(error, LeaseHeld | LeasesAway):
                log.exception("the lease of camera '%s' cannot be asked for", name)
            camera.reason = redact(error)
            pause = self._leases.seconds / _RENEWALS
            left = error.seconds if isinstance(error, LeaseHeld) else pause
            camera.next_attempt = time.monotonic() + min(pause, left + _WATCH_SECONDS)
            return
        with self._lock:
            if self._cameras.get(name) is not camera or self._stop.is_set():
                camera.lease = lease
                self._give_back(camera)
                return
            camera.lease, camera.state, camera.reason = lease, "waiting for site", ""
            self._outbox.open(name, lease.fence, live=camera.live)

    def _begin(self, name: str, track: int, frame: int) -> None:
        """The site has heard of a camera: it is read from now on."""
        with self._lock:
            camera = self._cameras.get(name)
            if camera is None or camera.state != "waiting for site" or camera.lease is None:
                return
            camera.state = "reading"
            fence = camera.lease.fence
        # Opening and closing take seconds, and batches of the other cameras are not to wait.
        Thread(target=lambda: self._open(name, camera, fence, (track, frame)), name="open", daemon=True).start()

    def _open(self, name: str, camera: OwnedCamera, fence: int, first: tuple[int, int]) -> None:
        try:
            with camera.closing:
                self._open_owned(name, camera, fence, first)
        except Exception as error:  # whatever it is, a camera that nobody reads must not look like one that is read
            log.exception("camera '%s' cannot be opened, and is tried again in %.0f s", name, self._leases.seconds)
            camera.next_attempt = time.monotonic() + self._leases.seconds
            self._lose(name, camera, "waiting for lease", f"it could not be opened: {redact(error)}")

    def _open_owned(self, name: str, camera: OwnedCamera, fence: int, first: tuple[int, int]) -> None:
        lease = camera.lease
        if lease is None or lease.fence != fence:
            return
        if self._live_session is not None:
            camera.first = self._live_session.prepare(name, track=first[0], frame=first[1])
            self._live_session.add(camera.config)
            camera.opened = True
            self._sender.figures_due()
        else:
            camera.session = RecordingSession(
                self._models,
                camera.config,
                lambda name, update: self._put(name, fence, update),
                lambda: self._end(name, fence),
            )

    def _end(self, name: str, fence: int) -> None:
        with self._lock:
            camera = self._cameras.get(name)
            if camera is not None and camera.lease is not None and camera.lease.fence == fence:
                camera.state = "ended"
        self._sender.figures_due()  # with the last updates
        self._outbox.end(name, fence)

    def _stop_reading(self, name: str, camera: OwnedCamera) -> None:
        if camera.session is not None:
            if camera.state == "reading":
                self._outbox.close(name)  # it may wait for room there
            camera.session.stop()
            camera.session = None
        elif self._live_session is not None:
            self._live_session.remove(name)

    def _lose(self, name: str, camera: OwnedCamera, state: str, reason: str) -> None:
        """The right to read a camera is gone."""
        with self._lock:
            if self._cameras.get(name) is not camera or camera.lease is None:
                return
            lease, camera.lease, camera.first = camera.lease, None, None
            camera.state, camera.reason, camera.opened = "closing", reason, False
            if not camera.live:  # of a live camera, what was made while it was owned is still sent
                self._outbox.close(name)
        log.warning("camera '%s' is read no more: %s", name, reason)
        # Closing a camera may take seconds, and giving back a lease as long as the store is not reached.
        Thread(target=lambda: self._clear(name, camera, lease, state), name="close", daemon=True).start()

    def _clear(self, name: str, camera: OwnedCamera, lease: Lease, state: str) -> None:
        with camera.closing:
            self._stop_reading(name, camera)
        self._release(lease)
        camera.next_attempt = max(camera.next_attempt, time.monotonic())
        camera.state = state

    def _give_back(self, camera: OwnedCamera) -> None:
        lease, camera.lease = camera.lease, None
        if lease is not None:
            self._release(lease)

    def _release(self, lease: Lease) -> None:
        try:
            self._leases.release(lease)
        except Exception as error:  # it ends by itself
            log.info("a lease cannot be given back: %s", redact(error))

    def _renew_all(self) -> None:
        while not self._stop.wait(self._leases.seconds / _RENEWALS):
            with self._lock:
                held = {name: c.lease for name, c in self._cameras.items() if c.lease is not None}
            try:
                renewed = self._leases.renew(held.values()) if held else {}
            except Exception as error:  # whatever it is, it is tried again until the leases end
                log.info("leases cannot be renewed: %s", redact(error))
                continue
            for name, lease in held.items():
                camera = self._cameras.get(name)
                if camera is None or camera.lease is not lease:
                    continue
                if name in renewed:
                    camera.lease = renewed[name]
                else:
                    self._lose(name, camera, "waiting for lease", "its lease was lost")

    def _watch_all(self) -> None:
        """Stop what has no lease any more. Nothing here waits for anybody."""
        while not self._stop.wait(_WATCH_SECONDS):
            for name, camera in list(self._cameras.items()):
                lease = camera.lease
                if lease is not None and time.monotonic() >= lease.expires:
                    self._lose(name, camera, "waiting for lease", "its lease could not be renewed")

    def _acquire_all(self) -> None:
        """Ask again for leases that are wanted."""
        while not self._stop.wait(_WATCH_SECONDS):
            for name, camera in list(self._cameras.items()):
                if camera.state == "waiting for lease" and time.monotonic() >= camera.next_attempt:
                    self._acquire(name)

    # ---------------------------------------------------------------- updates

    def _put_live(self, name: str, update: TrackUpdate) -> bool:
        camera = self._cameras.get(name)
        if camera is None or camera.lease is None or camera.first is None:
            return False
        if update.frame is not None and update.frame.index < camera.first:  # in work when the last lease was lost
            return True
        offset = self._sender.offset
        if abs(offset - camera.shift) > _WRONG_CLOCK:
            camera.shift = offset if abs(offset) > _WRONG_CLOCK else 0.0
            log.warning(
                "this machine's clock is %+.1f s ahead of the site's; capture times are corrected", camera.shift
            )
        return self._put(name, camera.lease.fence, on_clock_of_site(update, camera.shift))

    def _put(self, name: str, fence: int, update: TrackUpdate) -> bool:
        camera = self._cameras.get(name)
        lease = None if camera is None else camera.lease
        if lease is None or lease.fence != fence or time.monotonic() >= lease.expires:
            return False
        return self._outbox.put(name, lease.fence, update.to_bytes())

    def _refuse(self, name: str, fence: int, state: str, reason: str) -> None:
        """The site takes nothing that was made under a lease."""
        self._outbox.close(name, fence)
        camera = self._cameras.get(name)
        if camera is not None and camera.lease is not None and camera.lease.fence == fence:
            self._lose(name, camera, state, reason)

    def _all_figures(self) -> dict[str, Any]:
        with self._lock:
            return {name: self._figures(name, camera) for name, camera in self._cameras.items()}

    def _figures(self, name: str, camera: OwnedCamera) -> dict[str, Any]:
        if camera.session is not None:
            return dict(camera.session.figures())
        if self._live_session is None:
            return {}
        return {**self._live_session.figures(name), "opened": camera.opened}
