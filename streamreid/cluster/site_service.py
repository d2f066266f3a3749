"""The people's half of a run, fed by perception workers in other processes.

`SiteService.run` is an ordinary `Run`: sinks, summary, HTTP API and gallery work as in one process::

    service = SiteService(config, engine)
    # hand service.receive to whatever carries the workers' batches, then
    run(service.run, "results")
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from streamreid.cameras.capture_times import check_mixed
from streamreid.cameras.resolved import resolved
from streamreid.cameras.statistics import CameraCount, Statistics
from streamreid.cluster.inbox import Channel, Inbox
from streamreid.cluster.remote_cameras import RemoteCameras
from streamreid.cluster.update_batch import Ack, UpdateBatch
from streamreid.cluster.update_order import live_updates, recorded_updates
from streamreid.config import Config
from streamreid.errors import ConfigError, SourceError
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.pipeline.frame_faults import FrameFaults
from streamreid.pipeline.privacy_mask import PrivacyMasks
from streamreid.pipeline.run import Run
from streamreid.pipeline.run_state import RunState
from streamreid.pipeline.site import Site
from streamreid.sources import is_live
from streamreid.track_update import TrackUpdate

__all__ = ["ClusterRun", "SiteService"]


class ReceivedUpdates:
    """Track updates that come from workers; takes the place of `CameraTracking` in a `Run`.

    Args:
        updates: Gives them in the order in which the site follows them.
    """

    def __init__(self, updates: Callable[[], Iterator[TrackUpdate]]) -> None:
        self._updates = updates
        self.masks = PrivacyMasks(wanted=False)  # of pictures, which stay with the workers

    def updates(self, frames: object) -> Iterator[TrackUpdate]:
        """All updates; the frames are with the workers."""
        return self._updates()


class ClusterRun(Run):
    """A run whose cameras are read by workers; they may come, go and change as those of `Pipeline` do."""

    perception: RemoteCameras

    @property
    def cameras(self) -> RemoteCameras:
        """The cameras, wherever they are read."""
        return self.perception


class SiteService:
    """Takes batches of track updates from workers and makes results of them.

    Recordings are put into the order of one process, so that ids, probabilities and events are the same to the last
    digit whatever the number of workers. Updates of live cameras are put into the order of capture time as far as they
    arrive within a fraction of a second.

    Args:
        config: All cameras of the run and all settings.
        engine: Which engine makes the features on the workers.
        begin: Where the ids of an earlier run, or of this one before a crash, end.
        stay: Go on without any camera, because cameras may be added.
        fences: Of the newest leases, by camera, where an earlier process of this site has run; see `Leases.fences`.

    Attributes:
        run: The run that the updates feed.

    Raises:
        ConfigError: Something is wanted that needs the pictures (films, stored crops), or see `Site`.
        GalleryError, EngineMismatchError: See `Site`.
    """

    def __init__(
        self,
        config: Config,
        engine: EngineDescription,
        *,
        begin: RunState | None = None,
        stay: bool = False,
        fences: Mapping[str, int] | None = None,
    ) -> None:
        config = resolved(config, serving=stay)
        check_mixed(config.cameras, window=config.association.window, serving=stay)
        live = stay or any(is_live(camera) for camera in config.cameras)
        _check_outputs(config, live=live)
        self._engine = engine
        self._begin = begin or RunState()
        self._statistics = Statistics({c.name: CameraCount() for c in config.cameras})
        window = config.association.window
        self.cameras = RemoteCameras(config.cameras, self._statistics, live=live, stay=stay, window=window)
        self._inbox = Inbox([c.name for c in config.cameras], live=live)
        self._inbox.refuse_before(fences or {})
        self.cameras.on_change = self._camera_changed
        self._models: dict[str, str] = {}
        faults = FrameFaults(
            lambda frame, reason: self._statistics.record_drop(frame.camera, reason),
            self._statistics.record_failure,
            live=lambda: live,
        )
        site = Site(config, engine, live=live, begin=self._begin, statistics=self._statistics, faults=faults)
        delay = config.tracker.lag
        source = live_updates if live else recorded_updates
        options: dict[str, Any] = {"stopped": self.cameras.stopped.is_set}
        if not live:
            options["delay"] = delay
        tracking = ReceivedUpdates(lambda: source(self._inbox, self._statistics, **options))
        self.run = ClusterRun(self.cameras, tracking, site)

    def __repr__(self) -> str:
        return f"SiteService(cameras={list(self._inbox.channels)})"

    # ---------------------------------------------------------------- workers

    def receive(self, data: bytes) -> bytes:
        """Take an ``UpdateBatch`` as bytes; the answer is an ``Ack`` as bytes. Never waits; from any thread.

        Raises:
            DataError: The bytes are damaged or of another version.
        """
        batch = UpdateBatch.from_bytes(data)
        mismatch = self._mismatch(batch.models)
        if mismatch:
            return Ack({}, {item.camera: mismatch for item in batch.cameras}, time=time.time()).to_bytes()
        self.cameras.detector_name = batch.models.get("detector", "") or self.cameras.detector_name
        begin = {item.camera: self._numbers(item.camera) for item in batch.cameras}
        answer = self._inbox.take(batch, begin)
        for camera, figures in batch.counts.items():
            if camera in self._inbox.channels and self._inbox.channels[camera].worker == batch.worker:
                self.cameras.note(camera, figures)
        return answer.to_bytes()

    def _mismatch(self, models: Mapping[str, str]) -> str:
        theirs = models.get("engine", "")
        if theirs == self._engine.fingerprint:
            return ""
        return (
            f"this worker's engine is another one than the site's '{self._engine.name}' (fingerprint "
            f"{theirs[:12] or 'unknown'}, expected {self._engine.fingerprint[:12]}): features of two engines cannot be "
            "compared. Copy the engine's folder to this machine"
        )

    def _numbers(self, camera: str) -> tuple[int, int]:
        """First track id and frame number of a camera under a new lease."""
        if not self.cameras.live:
            return 1, 0
        with self._inbox.changed:
            channel = self._inbox.channels.get(camera, Channel())
            track = max(self._begin.tracks.get(camera, 1), channel.next_track)
            frame = max(self._begin.frames.get(camera, 0), channel.next_frame)
        return track, frame

    # ---------------------------------------------------------------- cameras

    def _camera_changed(self, camera: str, there: bool) -> None:
        if there:
            self._inbox.add(camera)
        else:
            self._inbox.remove(camera)

    def fail(self, camera: str, reason: str) -> None:
        """Nobody can read a camera: the others are not to wait for it."""
        self._statistics.record_failure(camera, SourceError(reason))
        self._inbox.close(camera)

    # ---------------------------------------------------------------- state

    def status(self) -> dict[str, dict[str, Any]]:
        """By camera, in plain values; from any thread: worker, fence, updates that were received, wait, were lost,
        refused or damaged, whether all of it has come, frames with a result, seconds since something came."""
        now = time.monotonic()
        with self._inbox.changed:
            return {
                name: {
                    "worker": c.worker,
                    "fence": c.fence,
                    "received": c.received,
                    "waiting": len(c.waiting),
                    "lost": c.lost,
                    "refused": c.refused,
                    "damaged": c.damaged,
                    "ended": c.ended,
                    "frames": self._statistics.of(name).frames,
                    "silent": round(now - c.arrival, 3) if c.arrival else None,
                    "error": self._statistics.of(name).error,
                }
                for name, c in self._inbox.channels.items()
            }

    def stop(self) -> None:
        """End the run after the updates in work; from any thread."""
        self.run.stop()

    def close(self) -> None:
        """Release the gallery. Safe to call twice."""
        self.run.close()


def _check_outputs(config: Config, *, live: bool) -> None:
    """Refuse what needs pictures at the site."""
    films = config.output.video or config.output.mosaic
    wanted = [
        name
        for name, on in (
            ("output.video", config.output.video and live),
            ("output.mosaic", config.output.mosaic and live),
            ("output.blur with films", films and config.output.blur != "none"),
            ("gallery.crops", config.gallery.store is not None and config.gallery.crops),
        )
        if on
    ]
    if wanted:
        raise ConfigError(
            f"{', '.join(wanted)}: needs the pictures, which stay with the workers of a cluster. Switch it off, or run "
            "without --cluster"
        )
