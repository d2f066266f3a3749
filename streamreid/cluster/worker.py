"""The cameras' half of a run in a process of its own: reads, detects, embeds and tracks; sends track updates.

What must be known: frames never leave this process. Each camera belongs to exactly one worker, as its lease says. While
the site is away a worker goes on: live cameras fill a bounded buffer, whose oldest updates are then dropped and counted;
recordings wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from streamreid.cluster.leases import Leases
from streamreid.config import Config
from streamreid.detection import Detector
from streamreid.reid import Embedder

__all__ = ["CameraBegin", "PerceptionWorker", "Send", "WorkerStatus"]

Send = Callable[[bytes], bytes]
"""``UpdateBatch.to_bytes()`` to the site service, ``Ack.to_bytes()`` back. Anything that it raises means that the site
is away: the same is sent again later."""


@dataclass(frozen=True, slots=True)
class CameraBegin:
    """Where the numbers of a camera begin, so that they never repeat after a change of worker.

    Args:
        track: First track id.
        frame: First frame number.
    """

    track: int = 1
    frame: int = 0


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """How a worker is doing; plain values, so that it can be sent anywhere.

    Args:
        worker: Its name.
        cameras: By name: state, fence, buffered updates, lost updates, frames, drops, error, seconds until the lease
            ends.
        site_away: Seconds since the site last answered.
        clock_offset: Seconds by which this machine's clock is ahead of the site's.
    """

    worker: str
    cameras: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    site_away: float = 0.0
    clock_offset: float = 0.0


class PerceptionWorker:
    """Owns whole cameras.

    Args:
        config: All cameras of the run and all settings; the worker reads those that it is given by ``add``.
        name: Of this worker, unique among those that run and ran (a name with a random part).
        leases: Where the right to read a camera comes from.
        send: To the site service.
        detector: Used instead of the configured one.
        embedder: Used instead of the configured one.

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
    ) -> None:
        raise NotImplementedError

    def add(self, camera: str, begin: CameraBegin | None = None) -> None:
        """Get the lease of a camera and begin to read it. Returns when the lease is there, not when the camera is open.

        Args:
            camera: Name of a camera of the configuration.
            begin: What ``SiteService.begin_of`` says.

        Raises:
            CameraNotFound: The configuration has none of that name.
            LeaseHeld: Another worker owns it: try again later.
            LeasesAway: The store of the leases does not answer.
        """
        raise NotImplementedError

    def remove(self, camera: str) -> None:
        """Stop reading a camera, send what is left of it (for at most a second) and give its lease back. Nothing
        happens if it is not read here."""
        raise NotImplementedError

    def status(self) -> WorkerStatus:
        """How this worker and its cameras are doing; from any thread."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop reading all cameras and give their leases back. Safe to call twice."""
        raise NotImplementedError
