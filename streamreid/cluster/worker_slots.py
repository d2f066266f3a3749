"""Places for workers, and which cameras each is to read. Nothing here needs Ray."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from streamreid.cluster.placement import least_loaded
from streamreid.cluster.run_worker import Opened
from streamreid.config import ClusterConfig
from streamreid.errors import ClusterError

__all__ = ["Assignment", "Pending", "WorkerAway", "WorkerHandle", "WorkerSlot"]

log = logging.getLogger(__name__)


class WorkerAway(ClusterError):
    """A worker does not answer."""


class Pending(Protocol):
    """A call that was begun."""

    def done(self) -> bool:
        """Whether it has ended, well or not."""

    def wait(self, seconds: float) -> bool:
        """Whether it ends within so many seconds."""

    def result(self) -> Any:
        """What it gave.

        Raises:
            WorkerAway: The worker does not answer, or the call failed.
        """


class WorkerHandle(Protocol):
    """Calls the methods of a `RunWorker` in another process, whichever process that is at present."""

    def begin(self, method: str, *arguments: Any) -> Pending:
        """Begin a call."""

    def call(self, method: str, *arguments: Any, seconds: float) -> Any:
        """The result of a call.

        Raises:
            WorkerAway: None came in time, or the worker does not run.
        """

    def is_gone(self, host: str, pid: int) -> bool:
        """Whether a process of that number is known not to run on a machine any more; False where nobody can say."""


@dataclass(eq=False)
class WorkerSlot:
    """A place for a worker: a process that is started again when it ends, and the cameras that it is to read.

    Args:
        name: Of the slot.
        handle: Calls the worker.
        labels: Of its machine.
        home: Cameras that it was planned for, and gets back after it was away.
        cameras: Cameras that it is to read now.
        told: What the present process was told to read; None before.
        opened: The present or last process.
        seen: When it last answered, monotonic seconds; 0 before.
        lost: How many of its processes ended.
        away: Whether it is known not to answer.
        withdrawn: Whether its leases are renewed no more.
        settled: When it gets cameras back that others read meanwhile, monotonic seconds; 0 where that is done.
        unfit: Why no process of it can be used.
    """

    name: str
    handle: WorkerHandle
    labels: Mapping[str, str] = field(default_factory=dict)
    home: list[str] = field(default_factory=list)
    cameras: list[str] = field(default_factory=list)
    told: list[Any] | None = None
    opened: Opened | None = None
    seen: float = 0.0
    lost: int = 0
    away: bool = False
    withdrawn: bool = False
    settled: float = 0.0
    unfit: str = ""


class Assignment:
    """Which slot each camera belongs to. The caller locks.

    Args:
        slots: May be added to.
        config: ``cameras_per_worker``, ``workers``, ``labels``, ``placement``.
    """

    def __init__(self, slots: list[WorkerSlot], config: ClusterConfig) -> None:
        self.slots, self._config = slots, config
        self.homeless: list[str] = []
        """Cameras that no slot may read, or has room for."""

    def __repr__(self) -> str:
        return f"Assignment({ {slot.name: slot.cameras for slot in self.slots} })"

    def owner(self, camera: str) -> WorkerSlot | None:
        """The slot that is to read a camera."""
        return next((slot for slot in self.slots if camera in slot.cameras), None)

    def place(self, camera: str, there: Collection[WorkerSlot]) -> WorkerSlot | None:
        """Give a new camera to the slot with the fewest cameras; no other camera moves.

        Args:
            camera: Name.
            there: Slots whose workers answer.

        Returns:
            The slot; None where none has its labels, or room: the camera then waits in ``homeless``.
        """
        labels = self._config.labels_of([camera])
        bounded = self._config.workers is None
        room = [s for s in there if not bounded or len(s.cameras) < self._config.cameras_per_worker]
        name = least_loaded(labels, {s.name: (s.labels, len(s.cameras)) for s in room})
        if name is None:
            if camera not in self.homeless:
                self.homeless.append(camera)
            return None
        slot = next(s for s in self.slots if s.name == name)
        slot.cameras.append(camera)
        slot.home.append(camera)
        if camera in self.homeless:
            self.homeless.remove(camera)
        return slot

    def drop(self, camera: str) -> None:
        """A camera is no longer part of the run."""
        for slot in self.slots:
            slot.cameras = [name for name in slot.cameras if name != camera]
            slot.home = [name for name in slot.home if name != camera]
        self.homeless = [name for name in self.homeless if name != camera]

    def wanted(self) -> list[Mapping[str, str]]:
        """Labels of workers that are to be started for homeless cameras, one for each kind."""
        found: list[Mapping[str, str]] = []
        for camera in self.homeless:
            labels = self._config.labels_of([camera])
            if labels not in found:
                found.append(labels)
        return found

    def adopt(self, read: Mapping[str, Sequence[str]], cameras: Sequence[str]) -> None:
        """Begin with what workers read already, so that nothing moves when the site is started again.

        Args:
            read: By name of the slot, the cameras that its worker reads.
            cameras: All of the run.
        """
        taken: set[str] = set()
        for slot in self.slots:
            mine = [name for name in read.get(slot.name, ()) if name in cameras and name not in taken]
            taken.update(mine)
            slot.cameras = mine
        for slot in self.slots:
            slot.cameras += [name for name in slot.home if name in cameras and name not in taken]
            taken.update(slot.cameras)
            slot.home = [name for name in slot.home if name in cameras]
        self.homeless = [name for name in cameras if name not in taken]
        for slot in self.slots:
            planned = {name for other in self.slots for name in other.home}
            slot.home += [name for name in slot.cameras if name not in planned]

    def share_out(self, slot: WorkerSlot, there: Sequence[WorkerSlot]) -> None:
        """Give the cameras of a worker that is away to others."""
        for camera in list(slot.cameras):
            others = {s.name: (s.labels, len(s.cameras)) for s in there if s is not slot}
            name = least_loaded(slot.labels, others)
            if name is None:
                return
            slot.cameras.remove(camera)
            next(s for s in there if s.name == name).cameras.append(camera)
            log.warning("camera '%s' goes from worker %s to %s", camera, slot.name, name)

    def return_to(self, slot: WorkerSlot, cameras: Collection[str]) -> None:
        """A worker answers again that still has leases: what it reads stays with it."""
        for other in self.slots:
            if other is not slot:
                slot.cameras += [name for name in other.cameras if name in cameras]
                other.cameras = [name for name in other.cameras if name not in cameras]

    def take_back(self, slot: WorkerSlot) -> None:
        """A worker is back whose cameras went to others: it would be idle, and they do its work."""
        if slot.cameras:
            return
        for other in self.slots:
            other.cameras = [name for name in other.cameras if name not in slot.home]
        slot.cameras = list(slot.home)
