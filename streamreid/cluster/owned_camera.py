"""What a worker knows of each camera that it was given, and what it says of itself."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from streamreid.cluster.camera_sessions import RecordingSession
from streamreid.cluster.leases import Lease
from streamreid.config import CameraConfig

__all__ = ["OwnedCamera", "WorkerStatus"]


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """How a worker is doing; plain values, so that it can be sent anywhere.

    Args:
        worker: Its name.
        cameras: By name: state ("waiting for lease", "waiting for site", "reading", "ended", "closing", "refused"),
            reason, fence, seconds until the lease ends, updates that wait, updates that were lost, and the
            figures of `camera_figures`.
        site_away: Seconds since the site last answered; 0 where it does.
        clock_offset: Seconds by which this machine's clock is ahead of the site's.
    """

    worker: str
    cameras: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    site_away: float = 0.0
    clock_offset: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The same as a dictionary."""
        return asdict(self)


@dataclass(slots=True)
class OwnedCamera:
    """One camera that this worker was given. ``state`` is one of those of `WorkerStatus`."""

    config: CameraConfig
    live: bool
    state: str = "waiting for lease"
    reason: str = ""
    lease: Lease | None = None
    session: RecordingSession | None = None
    next_attempt: float = 0.0
    opened: bool = False  # or known to be unable to
    first: int | None = None  # frame number from which a live camera's frames are of this lease
    shift: float = 0.0  # seconds by which capture times of a live camera are too late
    closing: threading.Lock = field(default_factory=threading.Lock)
