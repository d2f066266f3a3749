"""Who owns which camera: leases that end by themselves, with a fence that grows with every change of owner.

A worker may read a camera while it holds the lease of it, and renews it about four times in a lease's time. A worker
that is cut off cannot renew and stops by itself before anybody else can have the camera. What it sends later carries an
old fence and is refused.

Nobody's wall clock decides: the store of the leases measures with its own clock, and a worker with the seconds that pass
(a monotonic clock), counted from the moment *before* it asked. A worker's lease therefore always ends earlier for the
worker than for the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from streamreid.errors import StreamReIDError

__all__ = ["Lease", "LeaseChange", "LeaseHeld", "Leases", "LeasesAway", "owned_twice"]


class LeaseHeld(StreamReIDError):
    """Another worker owns the camera now.

    Args:
        camera: Which.
        owner: Name of that worker.
        seconds: After which its lease ends if it is not renewed.
    """

    http_status = 409

    def __init__(self, camera: str, owner: str, seconds: float) -> None:
        super().__init__(
            f"camera '{camera}' belongs to worker '{owner}'; its lease ends in {seconds:.1f} s if it is not renewed"
        )
        self.camera, self.owner, self.seconds = camera, owner, seconds


class LeasesAway(StreamReIDError):
    """The store of the leases does not answer. The same call may succeed later."""

    http_status = 503


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to read a camera.

    Args:
        camera: Which.
        worker: Who has it.
        fence: Greater than that of every earlier lease of the camera.
        expires: When it ends, on this process's ``time.monotonic`` clock.
    """

    camera: str
    worker: str
    fence: int
    expires: float


@dataclass(frozen=True, slots=True)
class LeaseChange:
    """An entry of the log of leases, which is only ever added to.

    Args:
        at: When, in seconds of the store's clock.
        camera: Which camera.
        worker: Whose lease.
        fence: Of the lease.
        kind: "acquire"; "release", which ends a lease; "expire", written when another worker gets the camera, with the
            time at which the lease had ended; "revoke", of a worker that is known to run no more.
    """

    at: float
    camera: str
    worker: str
    fence: int
    kind: str


class Leases(Protocol):
    """Where leases are kept. All methods may be called from any thread."""

    @property
    def seconds(self) -> float:
        """How long a lease lasts."""

    def acquire(self, camera: str, worker: str) -> Lease:
        """Get a camera that nobody owns; also a camera that this worker owns already, under a new fence.

        Raises:
            LeaseHeld: Another worker owns it.
            LeasesAway: The store does not answer.
        """

    def renew(self, leases: Iterable[Lease]) -> dict[str, Lease]:
        """Prolong leases, all in one request.

        Returns:
            Those that still are in force, by camera; the others are lost and must not be used any more.

        Raises:
            LeasesAway: The store does not answer; the leases end when they would have.
        """

    def release(self, lease: Lease) -> None:
        """Give a camera back, once it is not read any more. Nothing happens if the lease is lost already.

        Raises:
            LeasesAway: The store does not answer.
        """

    def revoke(self, worker: str) -> list[str]:
        """End all leases of a worker that is known to run no more (its process is gone); never of one that merely does
        not answer.

        Returns:
            The cameras that it had.
        """

    def owners(self) -> dict[str, Lease]:
        """The leases in force, by camera."""

    def log(self) -> Sequence[LeaseChange]:
        """All changes of owner so far, oldest first."""

    def close(self) -> None:
        """Release what is open. Safe to call twice."""


def owned_twice(log: Iterable[LeaseChange]) -> list[tuple[LeaseChange, LeaseChange]]:
    """What must never be: pairs of changes where a camera got an owner while another had it. Empty if all is well."""
    raise NotImplementedError
