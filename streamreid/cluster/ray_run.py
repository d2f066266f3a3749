"""A run whose cameras are read by workers on a Ray cluster, and whose people are followed in this process.

This process is the site: it starts and watches the workers, calls each of them about ten times a second for what it has
to say, and gives the cameras of a worker that is away to the others. Workers never call the site.
"""

from __future__ import annotations

import logging
import math
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from streamreid._threads import Thread
from streamreid.cluster.leases import SiteLeases
from streamreid.cluster.machines import Machine, check_reports, fitting
from streamreid.cluster.model_copies import missing_models
from streamreid.cluster.placement import WorkerPlan, least_loaded, plan_workers
from streamreid.cluster.ray_session import NAMESPACE, RaySession, first_line, installed
from streamreid.cluster.run_worker import Opened, RunWorker
from streamreid.cluster.site_desk import SiteDesk
from streamreid.cluster.site_service import SiteService
from streamreid.config import Config
from streamreid.errors import ClusterError, ConfigError
from streamreid.pipeline.run import Run
from streamreid.pipeline.run_state import RunState
from streamreid.sources import is_live, with_kinds

__all__ = ["RayRun", "check_cluster_options"]

log = logging.getLogger(__name__)

EXCHANGE_SECONDS = 0.5
"""How long a call waits in a worker for something to say. It returns at once where there is something, so this is only
how often a worker shows that it is alive."""

HEARTBEAT_SECONDS = 3.0
"""Without an answer for so long, a worker is away. Ray itself notices a lost machine after 15 to 30 s."""

OPEN_SECONDS = 180.0
"""How long the first worker may take to open detector and engine, which may be compiled there."""

SHARE_SECONDS = 8.0
"""After so long the cameras of a worker that is away go to others. Ray starts a worker again within a few seconds, and
before its lease ends nobody else could read them anyway."""

LOST_SECONDS = 90.0
"""The run ends when all workers are away for so long: Ray starts them again within seconds, those of a lost machine
within a minute."""

_RETRY_SECONDS = 0.2


@dataclass(eq=False)
class _Slot:
    """A place for a worker: an actor that Ray restarts, and the cameras that it is to read."""

    name: str
    actor: Any
    plan: WorkerPlan
    cameras: list[str] = field(default_factory=list)
    told: list[str] | None = None
    """The cameras that the present process was told to read; None where there is none."""
    opened: Opened | None = None
    seen: float = 0.0
    lost: int = 0
    told_away: bool = False


class RayRun:
    """Starts workers for the cameras of a configuration and follows their people here. Use as a context manager.

    Args:
        config: Cameras and settings.
        out: Folder of the results, in which the log of the leases is kept.
        begin: Where the ids of an earlier run end.
        stay: Go on without any camera.

    Attributes:
        run: The run, when entered.

    Raises:
        ConfigError: Something is asked for that needs pictures here, when entered.
        ClusterError: The cluster cannot be reached, or no machine of it fits, when entered.
    """

    run: Run

    def __init__(self, config: Config, out: Path, *, begin: RunState | None = None, stay: bool = False) -> None:
        self.config = config.model_copy(update={"cameras": with_kinds(config.cameras)})
        self._out, self._begin, self._stay = out, begin, stay
        self._live = stay or any(is_live(camera) for camera in self.config.cameras)
        self._plans = plan_workers([c.name for c in self.config.cameras], self.config.cluster)
        self._session = RaySession(self.config.cluster, workers=len(self._plans))
        self._slots: list[_Slot] = []
        self._threads: list[Thread] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._failure: ClusterError | None = None

    def __enter__(self) -> RayRun:
        self._session.__enter__()
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers and leave the cluster. Safe to call twice."""
        self._stop.set()
        for thread in self._threads:
            thread.join(HEARTBEAT_SECONDS)
        for slot in self._slots:
            self._session.ray.kill(slot.actor)
        self._slots = []
        self._session.__exit__(None, None, None)

    # ---------------------------------------------------------------- start

    def _start(self) -> None:
        ray, cluster = self._session.ray, self.config.cluster
        machines = self._session.machines()
        fit: dict[str, Machine] = {}
        for plan in self._plans:
            fit |= {m.node: m for m in fitting(machines, cluster, plan.labels)}
        copies = self._check(list(fit.values()))
        actor = ray.remote(RunWorker)
        sent = ray.put(copies) if copies else []
        leases = SiteLeases(self._out / "leases.jsonl" if self._live else None)
        options = {
            "num_cpus": cluster.cpus,
            "num_gpus": cluster.gpus,
            "memory": cluster.memory,
            "scheduling_strategy": "SPREAD",
            "max_restarts": -1,
            "max_concurrency": 6,
            "namespace": NAMESPACE,
        }
        for number, plan in enumerate(self._plans, 1):
            name = f"{self._out.name or 'run'}-{number}-{uuid.uuid4().hex[:6]}"
            handle = actor.options(name=name, label_selector=dict(plan.labels) or None, **options).remote(
                self.config,
                Path.cwd(),
                max(1, math.floor(cluster.cpus)),
                lease_seconds=leases.seconds,
                stay=self._stay,
                copies=sent,
            )
            self._slots.append(_Slot(name, handle, plan, list(plan.cameras)))
        service = SiteService(self.config, self._first_engine(), begin=self._begin, stay=self._stay)
        self.run, self.leases = service.run, leases
        self.desk = SiteDesk(service.receive, leases, service.status)
        self._threads = [
            Thread(target=lambda slot=slot: self._serve(slot), name=f"worker {slot.name}", daemon=True)
            for slot in self._slots
        ]
        self._threads.append(Thread(target=self._watch, name="watch workers", daemon=True))
        for thread in self._threads:
            thread.start()

    def _check(self, machines: Sequence[Machine]) -> list[Any]:
        """Models that some machine lacks.

        Raises:
            ClusterError: A machine does not fit.
        """
        sizes = {}
        for camera in self.config.cameras:
            path = Path(camera.uri)
            if "://" not in camera.uri and path.exists() and not is_live(camera):
                sizes[camera.uri] = -1 if path.is_dir() else path.stat().st_size
        reports = self._session.probe(machines, list(sizes), self.config.detector, self.config.engine.model)
        check_reports(reports, sizes=sizes, **installed())
        return list(missing_models(self.config, reports).values())

    def _first_engine(self) -> Any:
        """What the engine of the first worker that is open is like.

        Raises:
            ClusterError: A worker cannot open its models, or none does in time.
        """
        ray = self._session.ray
        waiting = {slot.actor.open.remote(): slot for slot in self._slots}
        ready, _ = ray.wait(list(waiting), timeout=OPEN_SECONDS)
        if not ready:
            raise ClusterError(
                f"no worker was ready within {OPEN_SECONDS:.0f} s; see whether the cluster has room: ray status"
            )
        try:
            opened: Opened = ray.get(ready[0])
        except ray.exceptions.RayError as error:
            raise ClusterError(f"a worker cannot start: {first_line(error)}") from error
        if opened.engine is None:
            raise ClusterError(f"on {opened.host}: {opened.problem}")
        return opened.engine

    # ---------------------------------------------------------------- workers

    def _serve(self, slot: _Slot) -> None:
        """Talk to the worker of a slot for as long as the run goes on, whichever process it is."""
        ray = self._session.ray
        while not self._stop.is_set():
            try:
                opened: Opened = ray.get(slot.actor.open.remote(), timeout=OPEN_SECONDS)
                if opened.engine is None:
                    log.error("worker %s cannot be used: on %s: %s", slot.name, opened.host, opened.problem)
                    return
                self._free(slot, opened)
                with self._lock:
                    slot.opened, slot.seen, slot.told, slot.told_away = opened, time.monotonic(), None, False
                    self._take_back(slot)
                self._talk(slot)
            except ray.exceptions.RayError as error:
                self._gone(slot, error)
                self._stop.wait(_RETRY_SECONDS)

    def _talk(self, slot: _Slot) -> None:
        ray = self._session.ray
        answers: dict[int, Any] = {}
        sharing: Any = None
        while not self._stop.is_set():
            with self._lock:
                cameras = list(slot.cameras)
            figures = self.desk.figures()
            told = {name: figures[name] for name in cameras if name in figures}
            call = slot.actor.exchange.remote(answers, EXCHANGE_SECONDS, told)
            if slot.told != cameras and sharing is None:
                slot.told = cameras
                sharing = slot.actor.share.remote(cameras)
            requests = ray.get(call, timeout=HEARTBEAT_SECONDS)
            slot.seen = time.monotonic()
            answers = {request.number: self.desk.answer(request) for request in requests}
            if sharing is not None and ray.wait([sharing], timeout=0)[0]:
                ray.get(sharing)
                sharing = None

    def _gone(self, slot: _Slot, error: Exception) -> None:
        """A worker does not answer. Where another worker of its machine sees that its process is dead, its cameras go
        to others at once; else when it is started again, or its leases end."""
        opened = slot.opened
        if opened is None or slot.told_away or self._stop.is_set():
            return
        slot.told_away = True
        log.warning("worker %s on %s does not answer: %s", slot.name, opened.host, first_line(error))
        now = time.monotonic()
        there = [s for s in self._slots if s is not slot and s.seen and now - s.seen < HEARTBEAT_SECONDS]
        neighbour = next((s for s in there if s.opened is not None and s.opened.host == opened.host), None)
        if neighbour is not None and self._is_gone(neighbour, opened.pid):
            self.leases.revoke(opened.name)
            with self._lock:
                self._share_out(slot, there)

    def _is_gone(self, slot: _Slot, pid: int) -> bool:
        """Whether a worker sees no process of this number on its machine; False where it does not say."""
        try:
            return bool(self._session.ray.get(slot.actor.is_gone.remote(pid), timeout=HEARTBEAT_SECONDS))
        except self._session.ray.exceptions.RayError:
            return False

    def _free(self, slot: _Slot, opened: Opened) -> None:
        """Another process takes the place of a worker: where the earlier one is dead for sure, its cameras are free at
        once, else when its leases end."""
        before = slot.opened
        if before is None or before.name == opened.name:
            return
        slot.lost += 1
        log.warning("worker %s is process %d on %s now", slot.name, opened.pid, opened.host)
        if before.host == opened.host and self._is_gone(slot, before.pid):
            self.leases.revoke(before.name)

    def _watch(self) -> None:
        """Give the cameras of workers that are away to others; end the run where all are."""
        while not self._stop.wait(_RETRY_SECONDS):
            now = time.monotonic()
            with self._lock:
                there = [s for s in self._slots if s.seen and now - s.seen < HEARTBEAT_SECONDS]
                for slot in self._slots:
                    if slot.seen and now - slot.seen > SHARE_SECONDS:
                        self._share_out(slot, there)
                newest = max((slot.seen for slot in self._slots), default=0.0)
            if newest and now - newest > LOST_SECONDS:
                self._failure = ClusterError(
                    f"no worker of the cluster answers for {LOST_SECONDS:.0f} s; results so far are kept. See whether "
                    "the head and the machines run (ray status), and start again"
                )
                self.run.stop()
                return

    def _share_out(self, slot: _Slot, there: Sequence[_Slot]) -> None:
        for camera in list(slot.cameras):
            others = {s.name: (s.plan.labels, len(s.cameras)) for s in there}
            name = least_loaded(slot.plan.labels, others)
            if name is None:
                return
            slot.cameras.remove(camera)
            next(s for s in there if s.name == name).cameras.append(camera)
            log.warning("camera '%s' goes from worker %s to %s", camera, slot.name, name)

    def _take_back(self, slot: _Slot) -> None:
        """A worker is back whose cameras went to others: it would be idle, and they do its work."""
        if slot.cameras:
            return
        for other in self._slots:
            other.cameras = [name for name in other.cameras if name not in slot.plan.cameras]
        slot.cameras = list(slot.plan.cameras)


def check_cluster_options(config: Config, *, cache: Path | None) -> None:
    """Refuse what this process cannot do where the pictures are elsewhere.

    Raises:
        ConfigError: Names it.
    """
    if cache is not None:
        raise ConfigError("--cache stores what workers see, which stays with them; run without --cluster to make one")
    if config.server.listen is not None:
        raise ConfigError(
            "the HTTP interface needs the cameras in this process; run with --cluster and without --serve, or "
            "`streamreid serve` without a cluster"
        )
