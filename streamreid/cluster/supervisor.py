"""Watches the workers of a run from the site: talks to each, and gives the cameras of one that is away to others.

The site calls each worker about ten times a second for what it has to say; workers never call the site. A worker that
does not answer for three seconds is away. Its cameras are then promised to others, who get them when its leases end:
at once where its process is known to be gone; in a few seconds where its machine is lost; and where it reads on but
cannot be heard, after its leases are withdrawn, by when it has stopped by itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from streamreid._threads import Thread
from streamreid.cluster.leases import Leases, LeasesAway
from streamreid.cluster.run_worker import Opened
from streamreid.cluster.site_desk import SiteDesk
from streamreid.cluster.worker_slots import Assignment, Pending, WorkerAway, WorkerSlot
from streamreid.config import CameraConfig
from streamreid.errors import ClusterError
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.secrets import redact

__all__ = ["Supervisor"]

log = logging.getLogger(__name__)

EXCHANGE_SECONDS = 0.5
"""How long a call waits in a worker for something to say. It returns at once where there is something, so this is only
how often a worker shows that it is alive."""

HEARTBEAT_SECONDS = 3.0
"""Without an answer for so long, a worker is away. Ray itself notices a lost machine after 15 to 30 s."""

WITHDRAW_SECONDS = 8.0
"""After so long without an answer the leases of a worker are renewed no more, even where it can still reach their
store: a network that is away for five seconds is to move no camera, a longer cut is to leave none without results."""

SETTLE_SECONDS = 10.0
"""After which a worker that was away gets cameras back that others read meanwhile. A machine whose network is back
often goes once more: Ray has given it up, and ends what runs there within seconds."""

OPEN_SECONDS = 180.0
"""How long a worker may take to open detector and engine, which may be compiled there."""

LOST_SECONDS = 90.0
"""The run ends when all workers are away for so long: Ray starts them again within seconds, those of a lost machine
within a minute."""

CHANGE_SECONDS = 25.0
"""How long a worker may take to open a camera with new settings; the HTTP interface waits for 30 s."""

SHARE_SECONDS = 10.0
"""After which a worker is told again what to read: of a call on its way nothing may come where Ray's head is lost."""

_RETRY_SECONDS = 0.2
_ADOPT_SECONDS = 1.0
"""How long a worker may take to say what it reads; of one that does not, what it was planned for is assumed."""


class Supervisor:
    """Keeps the workers of a run at work. Methods may be called from any thread.

    Args:
        assignment: Which worker is to read which camera.
        leases: Of all cameras.
        configs: The cameras as they are now, by name.
        failed: Called once when no worker answers any more.
    """

    def __init__(
        self,
        assignment: Assignment,
        leases: Leases,
        configs: Callable[[], Mapping[str, CameraConfig]],
        failed: Callable[[ClusterError], None],
    ) -> None:
        self.assignment, self.leases = assignment, leases
        self._configs, self._failed = configs, failed
        self._desk: SiteDesk | None = None
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._threads: list[Thread] = []
        self._began = time.monotonic()

    def __repr__(self) -> str:
        return f"Supervisor({self.assignment!r})"

    # ---------------------------------------------------------------- begin and end

    def first_engine(self, *, patient: bool = False) -> EngineDescription:
        """What the engine of the first worker that is open is like.

        Args:
            patient: Wait for another one where a worker cannot open its models, as when the site is started again.

        Raises:
            ClusterError: A worker cannot open its models, or none does in time.
        """
        waiting: dict[str, Pending] = {slot.name: slot.handle.begin("open") for slot in self.assignment.slots}
        deadline, problem = time.monotonic() + OPEN_SECONDS, ""
        while waiting and time.monotonic() < deadline and not self._stop.is_set():
            ready = [name for name, call in waiting.items() if call.done()]
            for name in ready:
                try:
                    opened: Opened = waiting.pop(name).result()
                except WorkerAway as error:
                    opened = Opened(name, "", 0, problem=f"a worker cannot start: {error}")
                if opened.engine is not None:
                    return opened.engine
                problem = f"on {opened.host}: {opened.problem}" if opened.host else opened.problem
                if not patient:
                    raise ClusterError(problem)
            time.sleep(0.02 if ready else 0.05)
        raise ClusterError(
            problem or f"no worker was ready within {OPEN_SECONDS:.0f} s; see whether the cluster has room: ray status"
        )

    def start(self, desk: SiteDesk, *, adopt: bool) -> None:
        """Begin to talk to the workers.

        Args:
            desk: Answers what they ask.
            adopt: Leave cameras with the workers that read them already.
        """
        self._desk = desk
        if adopt:
            self._adopt()
        for slot in self.assignment.slots:
            self._begin(slot)
        self._thread(self._watch, "watch workers")

    def join(self, slot: WorkerSlot) -> None:
        """Use another worker from now on."""
        with self._lock:
            if any(known.name == slot.name for known in self.assignment.slots):
                return
            self.assignment.slots.append(slot)
        self._begin(slot)

    def stop(self) -> None:
        """Talk to nobody any more."""
        self._stop.set()
        for thread in self._threads:
            thread.join(HEARTBEAT_SECONDS)

    def _begin(self, slot: WorkerSlot) -> None:
        self._thread(lambda: self._serve(slot), f"worker {slot.name}")

    def _thread(self, work: Callable[[], None], name: str) -> None:
        thread = Thread(target=work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _adopt(self) -> None:
        asked = {slot.name: slot.handle.begin("status") for slot in self.assignment.slots}
        deadline = time.monotonic() + _ADOPT_SECONDS
        while not all(call.done() for call in asked.values()) and time.monotonic() < deadline:
            time.sleep(0.02)
        read: dict[str, Sequence[str]] = {}
        for name, call in asked.items():
            try:
                read[name] = list(call.result()["cameras"]) if call.done() else []
            except WorkerAway:
                read[name] = []
        with self._lock:
            self.assignment.adopt(read, list(self._configs()))

    # ---------------------------------------------------------------- cameras

    def place(self, camera: str) -> bool:
        """Give a new camera to a worker; whether one has room for it now."""
        with self._lock:
            return self.assignment.place(camera, self._there(time.monotonic())) is not None

    def drop(self, camera: str) -> None:
        """A camera is no longer part of the run."""
        with self._lock:
            self.assignment.drop(camera)

    def change(self, config: CameraConfig) -> str:
        """Have the worker of a camera read it with other settings. One that does not answer, or has not begun with it,
        does so later.

        Returns:
            Why it cannot be done; empty if it is done, or will be.
        """
        with self._lock:
            slot = self.assignment.owner(config.name)
        if slot is None or slot.opened is None:
            return ""
        try:
            return str(slot.handle.call("change", config, seconds=CHANGE_SECONDS))
        except WorkerAway as error:
            log.warning("camera '%s': its worker does not answer (%s); the change is made later", config.name, error)
            return ""

    def wanted(self) -> list[Mapping[str, str]]:
        """Labels of workers that are to be started for cameras that wait for one."""
        with self._lock:
            return self.assignment.wanted()

    # ---------------------------------------------------------------- workers

    def _serve(self, slot: WorkerSlot) -> None:
        """Talk to the worker of a slot for as long as the run goes on, whichever process it is."""
        while not self._stop.is_set():
            try:
                # A call may get lost on its way, and a process that has opened its models says so at once.
                patience = OPEN_SECONDS if slot.opened is None else HEARTBEAT_SECONDS
                opened: Opened = slot.handle.call("open", seconds=patience)
                if opened.engine is None and opened.again:
                    self._stop.wait(1.0)
                    continue
                if opened.engine is None:
                    slot.unfit = f"on {opened.host}: {opened.problem}"
                    log.error("worker %s cannot be used: %s", slot.name, slot.unfit)
                    return
                self._meet(slot, opened)
                self._talk(slot)
            except WorkerAway as error:
                self._gone(slot, error)
                self._stop.wait(_RETRY_SECONDS)

    def _meet(self, slot: WorkerSlot, opened: Opened) -> None:
        """A worker answers: the same process as before, or another one in its place."""
        before, kept = slot.opened, set[str]()
        if before is not None and before.name == opened.name:
            kept = self._still_owned(opened.name)
        elif before is not None:
            slot.lost += 1
            log.warning("worker %s is process %d on %s now", slot.name, opened.pid, opened.host)
            if slot.handle.is_gone(before.host, before.pid):
                self._ask_leases("revoke", before.name)
        if slot.withdrawn and self._ask_leases("allow", opened.name):
            slot.withdrawn = False
        with self._lock:
            slot.opened, slot.seen, slot.told, slot.away = opened, time.monotonic(), None, False
            slot.settled = slot.seen + (0.0 if before is None else SETTLE_SECONDS)
            self.assignment.return_to(slot, kept)

    def _still_owned(self, worker: str) -> set[str]:
        try:
            return {camera for camera, lease in self.leases.owners().items() if lease.worker == worker}
        except LeasesAway:
            return set()

    def _talk(self, slot: WorkerSlot) -> None:
        assert self._desk is not None
        desk = self._desk
        answers: dict[int, Any] = {}
        sharing: Pending | None = None
        shared = 0.0
        while not self._stop.is_set():
            configs = self._configs()
            with self._lock:
                cameras = [configs[name] for name in slot.cameras if name in configs]
            figures = desk.figures()
            told = {camera.name: figures[camera.name] for camera in cameras if camera.name in figures}
            call = slot.handle.begin("exchange", answers, EXCHANGE_SECONDS, told)
            if slot.told != cameras and sharing is None:
                slot.told, shared = cameras, time.monotonic()
                sharing = slot.handle.begin("share", cameras)
            requests = _within(call, HEARTBEAT_SECONDS)
            before, slot.seen = slot.seen, time.monotonic()
            if slot.seen - before > HEARTBEAT_SECONDS:
                # Ray may hold up a call before it is on its way. Its leases may be withdrawn, its cameras with others.
                raise WorkerAway(f"no answer for {slot.seen - before:.1f} s")
            answers = {request.number: desk.answer(request) for request in requests}
            if sharing is not None and sharing.done():
                sharing.result()
                sharing = None
            elif sharing is not None and time.monotonic() - shared > SHARE_SECONDS:
                sharing, slot.told = None, None

    def _gone(self, slot: WorkerSlot, error: WorkerAway) -> None:
        """A worker does not answer. Where its process is known to be gone, its cameras go to others at once."""
        opened = slot.opened
        if opened is None or slot.away or self._stop.is_set():
            return
        slot.away = True
        log.warning("worker %s on %s does not answer: %s", slot.name, opened.host, redact(error))
        if self._is_gone(slot, opened):
            self._ask_leases("revoke", opened.name)
            with self._lock:
                self.assignment.share_out(slot, self._there(time.monotonic()))

    def _is_gone(self, slot: WorkerSlot, opened: Opened) -> bool:
        """Whether a process does not run any more for sure: another worker of its machine says so, or the cluster."""
        for other in self._there(time.monotonic()):
            if other is not slot and other.opened is not None and other.opened.host == opened.host:
                try:
                    return bool(other.handle.call("is_gone", opened.pid, seconds=HEARTBEAT_SECONDS))
                except WorkerAway:
                    continue
        return slot.handle.is_gone(opened.host, opened.pid)

    def _there(self, now: float) -> list[WorkerSlot]:
        return [s for s in self.assignment.slots if s.seen and now - s.seen < HEARTBEAT_SECONDS and not s.away]

    def _watch(self) -> None:
        """Give the cameras of workers that are away to others; end the run where all are."""
        while not self._stop.wait(_RETRY_SECONDS):
            now = time.monotonic()
            with self._lock:
                there = self._there(now)
                slots = list(self.assignment.slots)
                for slot in slots:
                    if slot.seen and now - slot.seen > HEARTBEAT_SECONDS:
                        self.assignment.share_out(slot, there)
                for slot in there:
                    if slot.settled and now >= slot.settled:
                        slot.settled = 0.0
                        self.assignment.take_back(slot)
                for camera in list(self.assignment.homeless):
                    self.assignment.place(camera, there)
            for slot in slots:
                silent = now - slot.seen if slot.seen else 0.0
                if silent > WITHDRAW_SECONDS and not slot.withdrawn and slot.opened is not None and there:
                    slot.withdrawn = self._ask_leases("withdraw", slot.opened.name)
            newest = max((slot.seen for slot in slots), default=0.0) or self._began
            if now - newest > LOST_SECONDS + (0.0 if any(slot.seen for slot in slots) else OPEN_SECONDS):
                self._failed(_all_lost())
                return

    def _ask_leases(self, kind: str, worker: str) -> bool:
        """Whether the store of the leases took it; one that is away is asked again, or the leases end by themselves."""
        try:
            getattr(self.leases, kind)(worker)
        except LeasesAway as error:
            log.warning("%s", redact(error))
            return False
        return True


def _within(call: Pending, seconds: float) -> Any:
    """The result of a call that was begun.

    Raises:
        WorkerAway: There is none in time.
    """
    found = call.wait(seconds)
    if not found:
        raise WorkerAway(f"no answer within {seconds:g} s")
    return call.result()


def _all_lost() -> ClusterError:
    return ClusterError(
        f"no worker of the cluster answers for {LOST_SECONDS:.0f} s; results so far are kept. See whether the head and "
        "the machines run (ray status), and start again"
    )
