"""Who owns which camera: leases that end by themselves, with a fence that grows with every change of owner.

A worker may read a camera while it holds the lease of it, and renews it about four times in a lease's time. A worker
that is cut off cannot renew and stops by itself before anybody else can have the camera. What it sends later carries an
old fence and is refused.

Nobody's wall clock decides: the store of the leases measures with its own clock, and a worker with the seconds that
pass (a monotonic clock), counted from the moment *before* it asked. A worker's lease therefore always ends earlier for
the worker than for the store.

`SiteLeases` keeps them in the site's process, `PostgresLeases` in PostgreSQL.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from streamreid.errors import DataError, StreamReIDError

NOT_HEARD = "no camera is given to this worker until the site hears of it again"

__all__ = ["NOT_HEARD", "Lease", "LeaseChange", "LeaseHeld", "Leases", "LeasesAway", "SiteLeases", "owned_twice"]


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

    def __reduce__(self) -> tuple[type[LeaseHeld], tuple[str, str, float]]:
        return LeaseHeld, (self.camera, self.owner, self.seconds)  # it crosses processes


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
            LeasesAway: The store does not answer, or gives this worker none (`withdraw`).
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

    def withdraw(self, worker: str) -> None:
        """Renew nothing for a worker any more, nor give it anything, because the site does not hear of it: its leases
        end when they would have, by when it has stopped reading, and others may have its cameras.

        Raises:
            LeasesAway: The store does not answer.
        """

    def allow(self, worker: str) -> None:
        """Renew again, and give, what a worker asks for that is heard of again.

        Raises:
            LeasesAway: The store does not answer.
        """

    def owners(self) -> dict[str, Lease]:
        """The leases in force, by camera."""

    def fences(self) -> dict[str, int]:
        """The fence of the newest lease of each camera, whether or not it is in force."""

    def log(self) -> Sequence[LeaseChange]:
        """All changes of owner so far, oldest first."""

    def close(self) -> None:
        """Release what is open. Safe to call twice."""


def owned_twice(log: Iterable[LeaseChange]) -> list[tuple[LeaseChange, LeaseChange]]:
    """What must never be: pairs of changes where a camera got an owner while another still had it, or an old fence.
    Empty if all is well.

    Args:
        log: Oldest first, as ``Leases.log`` gives it.
    """
    found = []
    newest: dict[str, LeaseChange] = {}  # by camera, the last lease that was given
    ends: dict[tuple[str, int], LeaseChange] = {}
    for change in log:
        if change.kind != "acquire":
            ends[change.camera, change.fence] = change
            continue
        before = newest.get(change.camera)
        if before is not None:
            end = ends.get((before.camera, before.fence))
            if end is None or end.at > change.at or before.fence >= change.fence:
                found.append((before, change))
        newest[change.camera] = change
    return found


@dataclass(slots=True)
class _Held:
    worker: str
    fence: int
    end: float


class SiteLeases:
    """Leases in the site's own process, for runs without PostgreSQL.

    With a file they outlive it: a site that is started again gives nobody a camera before the lease of the earlier
    owner must have ended, and that owner may go on renewing it.

    Args:
        path: The log, one JSON object a line, which is written to disk with every change; None keeps it in memory.
        seconds: How long a lease lasts. Workers go on for as long while the site's process is started again.
        clock: Seconds that pass.

    Raises:
        DataError: The file is no log of leases.
    """

    def __init__(
        self, path: Path | None = None, *, seconds: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds = seconds
        self._path, self._clock = path, clock
        self._lock = threading.Lock()
        self._log: list[LeaseChange] = []
        self._held: dict[str, _Held] = {}
        self._fences: dict[str, int] = {}
        self._withdrawn: set[str] = set()
        if path is not None and path.exists():
            self._read(path)
        # Seconds of the log go on where they were, also after the machine was started again.
        self._zero = (self._log[-1].at if self._log else 0.0) - clock()

    def acquire(self, camera: str, worker: str) -> Lease:
        """See `Leases`."""
        asked = time.monotonic()
        with self._lock:
            if worker in self._withdrawn:
                raise LeasesAway(NOT_HEARD)
            now, held = self._clock(), self._held.get(camera)
            if held is not None and held.worker != worker and now < held.end:
                raise LeaseHeld(camera, held.worker, held.end - now)
            if held is not None:
                self._end(camera, "release" if now < held.end else "expire", min(now, held.end))
            fence = self._fences.get(camera, 0) + 1
            self._note(LeaseChange(now + self._zero, camera, worker, fence, "acquire"))
            self._fences[camera] = fence
            self._held[camera] = _Held(worker, fence, now + self.seconds)
        return Lease(camera, worker, fence, asked + self.seconds)

    def renew(self, leases: Iterable[Lease]) -> dict[str, Lease]:
        """See `Leases`."""
        asked = time.monotonic()
        renewed = {}
        with self._lock:
            now = self._clock()
            for lease in leases:
                held = self._held.get(lease.camera)
                if held is None or lease.worker in self._withdrawn:
                    continue
                if (held.worker, held.fence) == (lease.worker, lease.fence) and now < held.end:
                    held.end = now + self.seconds
                    renewed[lease.camera] = replace(lease, expires=asked + self.seconds)
        return renewed

    def release(self, lease: Lease) -> None:
        """See `Leases`."""
        with self._lock:
            held = self._held.get(lease.camera)
            if held is not None and (held.worker, held.fence) == (lease.worker, lease.fence):
                now = self._clock()
                self._end(lease.camera, "release" if now < held.end else "expire", min(now, held.end))

    def withdraw(self, worker: str) -> None:
        """See `Leases`."""
        with self._lock:
            self._withdrawn.add(worker)

    def allow(self, worker: str) -> None:
        """See `Leases`."""
        with self._lock:
            self._withdrawn.discard(worker)

    def revoke(self, worker: str) -> list[str]:
        """See `Leases`."""
        with self._lock:
            now = self._clock()
            cameras = [camera for camera, held in self._held.items() if held.worker == worker]
            for camera in cameras:
                self._end(camera, "revoke", min(now, self._held[camera].end))
        return cameras

    def owners(self) -> dict[str, Lease]:
        """See `Leases`."""
        with self._lock:
            now = self._clock()
            return {
                camera: Lease(camera, held.worker, held.fence, time.monotonic() + held.end - now)
                for camera, held in self._held.items()
                if now < held.end
            }

    def fences(self) -> dict[str, int]:
        """See `Leases`."""
        with self._lock:
            return dict(self._fences)

    def log(self) -> list[LeaseChange]:
        """See `Leases`."""
        with self._lock:
            return list(self._log)

    def close(self) -> None:
        """See `Leases`."""

    def _end(self, camera: str, kind: str, at: float) -> None:
        held = self._held.pop(camera)
        self._note(LeaseChange(at + self._zero, camera, held.worker, held.fence, kind))

    def _note(self, change: LeaseChange) -> None:
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(change)) + "\n")
                file.flush()
                os.fsync(file.fileno())
        self._log.append(change)

    def _read(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        complete = text[: text.rfind("\n") + 1]
        if complete != text:  # the process ended while it wrote the last line, which nobody was told of
            path.write_text(complete, encoding="utf-8")
        now = self._clock()
        try:
            for line in complete.splitlines():
                change = LeaseChange(**json.loads(line))
                self._log.append(change)
                self._fences[change.camera] = max(self._fences.get(change.camera, 0), change.fence)
                if change.kind == "acquire":
                    self._held[change.camera] = _Held(change.worker, change.fence, now + self.seconds)
                else:
                    self._held.pop(change.camera, None)
        except (ValueError, TypeError) as error:
            raise DataError(f"'{path}' is no log of leases ({error}); move it away") from None
