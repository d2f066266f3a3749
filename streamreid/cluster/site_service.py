"""The people's half of a run, fed by perception workers in other processes.

`SiteService.run` is an ordinary `Run`: sinks, summary, HTTP API and gallery work as in one process::

    service = SiteService(config, engine)
    # give service.receive to the workers' transport, then
    run(service.run, "results")
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamreid.cluster.leases import Leases
from streamreid.cluster.worker import CameraBegin
from streamreid.config import Config
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.pipeline.run import Run
from streamreid.pipeline.run_state import RunState

__all__ = ["SiteService"]


class SiteService:
    """Takes batches of track updates from workers and makes results of them.

    Recordings are put into the order of one process, so that ids, probabilities and events are the same to the last
    digit whatever the number of workers. Updates of live cameras are put into the order of capture time as far as they
    arrive within a fraction of a second.

    Args:
        config: All cameras of the run and all settings.
        engine: Which engine makes the features on the workers.
        leases: Tells who owns a camera, so that a worker that has lost it is refused at once; without it the highest
            fence seen so far decides.
        begin: Where the ids of an earlier run, or of this one before a crash, end.
        stay: Go on without any camera, because cameras may be added.

    Attributes:
        run: The run that the updates feed.

    Raises:
        ConfigError, GalleryError, EngineMismatchError: See `Site`.
    """

    run: Run

    def __init__(
        self,
        config: Config,
        engine: EngineDescription,
        *,
        leases: Leases | None = None,
        begin: RunState | None = None,
        stay: bool = False,
    ) -> None:
        raise NotImplementedError

    def receive(self, data: bytes) -> bytes:
        """Take an ``UpdateBatch`` as bytes; the answer is an ``Ack`` as bytes. Never blocks for long; from any thread.

        Raises:
            DataError: The bytes are damaged or of another version.
        """
        raise NotImplementedError

    def begin_of(self, camera: str) -> CameraBegin:
        """Where the numbers of a camera go on, for ``PerceptionWorker.add``; from any thread."""
        raise NotImplementedError

    def status(self) -> Mapping[str, Any]:
        """By camera: worker, fence, frames, rate, lag in seconds, updates that wait; from any thread."""
        raise NotImplementedError

    def stop(self) -> None:
        """End the run after the updates in work; from any thread."""
        raise NotImplementedError

    def close(self) -> None:
        """Release the gallery. Safe to call twice."""
        raise NotImplementedError
