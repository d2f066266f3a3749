"""A run on a Ray cluster, as the command sees it: it starts the site and the workers, and shows how the run goes on.

The site is an actor that Ray starts again when its process ends, and so are the workers; a second process of the site
stands by meanwhile. All belong to the command, and end
with it. The site runs on the machine of the command, or, where that is no machine of the cluster, on one that sees the
folder of the results; where there is none, it runs in the process of the command.
"""

from __future__ import annotations

import logging
import math
import socket
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from streamreid._folders import is_held
from streamreid._startup import starting
from streamreid._threads import Thread
from streamreid.cameras.resolved import resolved
from streamreid.cluster.lease_store import LeaseStore
from streamreid.cluster.machines import Machine, Report, check_reports, fitting
from streamreid.cluster.model_copies import missing_models
from streamreid.cluster.placement import plan_workers
from streamreid.cluster.ray_errors import within
from streamreid.cluster.ray_handles import RayHandle, find_worker
from streamreid.cluster.ray_session import NAMESPACE, RaySession, installed
from streamreid.cluster.run_worker import RunWorker
from streamreid.cluster.site_marker import ExtraWorker
from streamreid.cluster.site_process import SiteProcess
from streamreid.cluster.site_task import SiteProgress, SiteTask
from streamreid.cluster.site_watch import ANSWER_SECONDS, SiteCalls, SiteWatch
from streamreid.cluster.supervisor import OPEN_SECONDS
from streamreid.cluster.worker_slots import WorkerAway, WorkerSlot
from streamreid.config import Config
from streamreid.errors import ClusterError
from streamreid.pipeline.run import Run
from streamreid.runs.summary import Summary
from streamreid.serving import LivePage, LiveParts
from streamreid.sources import is_live

__all__ = ["RayRun"]

log = logging.getLogger(__name__)

SITE_LOST_SECONDS = 180.0
"""The command ends when the site is away for so long: Ray starts it again within seconds, a busy machine in minutes."""

HEADLESS_SECONDS = 60.0
"""The same while the head is away as well: nothing starts the site again then."""

STOPPING_SECONDS = 20.0
"""The same where the run is to end."""

KILL_SECONDS = 5.0
"""How long ending the processes of the run may take."""

WORKER_AGAIN_SECONDS = 120.0
"""After which another worker is started for cameras that still wait for one: opening the models takes as long."""

_LOOK_SECONDS = 0.2


class _Here:
    """The site in this process."""

    def __init__(self, site: SiteProcess) -> None:
        self._site = site

    def call(self, method: str, *arguments: Any, seconds: float) -> Any:
        """The same as `RayHandle.call`."""
        return getattr(self._site, method)(*arguments)


class RayRun:
    """Starts workers for the cameras of a configuration, and a site that follows their people. Use as a context
    manager; the run has begun when it is entered.

    Args:
        config: Cameras and settings.
        folder: Of the results.
        overwrite: Whether results that are there are replaced.
        append: Whether a live run goes on in a folder with results.
        stay: Go on without any camera.
        describe: Says in a sentence what the run is doing.
        page: Makes the page for people beside the HTTP interface; None: there is none.

    Attributes:
        address: Of the HTTP interface; empty without it.

    Raises:
        ConfigError, ClusterError: The cluster cannot be reached, no machine of it fits, or the run cannot begin; when
            entered.
    """

    def __init__(
        self,
        config: Config,
        folder: Path,
        *,
        overwrite: bool = False,
        append: bool = True,
        stay: bool = False,
        describe: Callable[[Run], str] = repr,
        page: Callable[[LiveParts], LivePage] | None = None,
    ) -> None:
        self.config = resolved(config, serving=stay)
        self.address = ""
        plans = plan_workers([c.name for c in self.config.cameras], self.config.cluster, stay=stay)
        self._plans = plans
        self._session = RaySession(self.config.cluster, workers=len(plans))
        self.config = self.config.model_copy(update={"cluster": self._session.config})
        place = f"{socket.gethostname()}:{folder.absolute()}"
        self._task = SiteTask(
            uuid.uuid4().hex,
            self.config,
            folder,
            Path.cwd(),
            LeaseStore.of(self.config, place),
            overwrite,
            append,
            stay,
            describe,
            page,
        )
        self._name = folder.name or "run"
        self._copies: Any = []
        self._actors: list[Any] = []
        self._started: list[tuple[Mapping[str, str], float]] = []
        self._watch: SiteWatch | None = None
        self._here: SiteProcess | None = None
        self._stopping: float | None = None

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
        """End the site and the workers, and leave the cluster. Safe to call twice."""
        if self._here is not None:
            self._here.stop()
        if self._watch is not None:
            self._watch.stop()
        actors, self._actors = self._actors, []
        with suppress(ClusterError):  # without a head, Ray waits
            within(lambda: [self._session.ray.kill(actor) for actor in actors], KILL_SECONDS, "Ray does not answer")
        self._session.__exit__(None, None, None)

    # ---------------------------------------------------------------- the run

    def follow(self, tell: Callable[[SiteProgress], None] = lambda _: None) -> Summary:
        """Wait for the end of the run.

        Args:
            tell: Called a few times a second with how it is doing.

        Raises:
            ClusterError: It failed, or its site cannot be reached any more.
        """
        while True:
            said = self._look()
            if said is not None:
                tell(said)
                if said.done and said.summary is not None:
                    return said.summary
            time.sleep(_LOOK_SECONDS)

    def stop(self) -> None:
        """Have the run end after the updates in work. Does not wait: `follow` returns then."""
        self._stopping = time.monotonic()
        Thread(target=self._tell_to_stop, name="stop site", daemon=True).start()

    def _tell_to_stop(self) -> None:
        deadline = time.monotonic() + SITE_LOST_SECONDS
        while time.monotonic() < deadline:
            try:
                self.call("stop")
                return
            except WorkerAway:
                time.sleep(_LOOK_SECONDS)

    def call(self, method: str, *arguments: Any, seconds: float = ANSWER_SECONDS) -> Any:
        """Call a method of the site, in whichever process it is.

        Raises:
            WorkerAway: It does not answer.
        """
        assert self._watch is not None
        return self._watch.site.call(method, *arguments, seconds=seconds)

    @property
    def site(self) -> SiteCalls:
        """Calls the methods of `SiteProcess`."""
        assert self._watch is not None
        return self._watch.site

    def _look(self) -> SiteProgress | None:
        """What the site said last.

        Raises:
            ClusterError: It failed, or cannot be reached any more.
        """
        assert self._watch is not None
        self._session.check_node()
        headless = self._session.head_away()
        said, silent = self._watch.said, self._watch.silent()
        if said is not None and said.problem:
            raise ClusterError(said.problem)
        if silent < ANSWER_SECONDS:
            return said
        self._watch.tell()
        limit = SITE_LOST_SECONDS
        if headless > HEADLESS_SECONDS / 2:
            limit = HEADLESS_SECONDS
        if self._stopping is not None:
            limit = min(limit, STOPPING_SECONDS)
        if silent > limit and not _writes(self._task.folder):
            why = f", nor does the head of the cluster for {headless:.0f} s" if headless else ""
            raise ClusterError(
                f"the site does not answer for {silent:.0f} s{why}; results so far are kept. See whether the head of "
                "the cluster and the machine of the site run (ray status), and start again"
            )
        return None

    # ---------------------------------------------------------------- start

    def _start(self) -> None:
        ray = self._session.ray
        machines = self._session.machines()
        fit: dict[str, Machine] = {}
        for plan in self._plans:
            fit |= {m.node: m for m in fitting(machines, self.config.cluster, plan.labels)}
        with starting("what is installed on the machines of the cluster"):
            copies, node = self._check(list(fit.values()))
        self._copies = ray.put(copies) if copies else []
        slots = [self._worker(plan.labels, plan.cameras, n) for n, plan in enumerate(self._plans, 1)]
        if node is None:
            log.warning(
                "no machine of the cluster sees '%s': the site runs in this process, and the run ends with it",
                self._task.folder.absolute(),
            )
            self._here = SiteProcess(self._task, slots, find_worker)
            sites: list[SiteCalls] = [_Here(self._here)]
        else:
            endless = self._task.stay or any(is_live(camera) for camera in self.config.cameras)
            # Recordings are read again from their beginning, which takes longer than a start.
            roles = (False, True) if endless and self.config.cluster.standby else (False,)
            sites = [self._start_site(node, slots, standby) for standby in roles]
        self._watch = SiteWatch(sites, self._start_another)
        with starting("the workers and the site of the run"):
            self._wait()

    def _start_site(self, node: str, slots: Sequence[WorkerSlot], standby: bool) -> RayHandle:
        ray = self._session.ray
        affinity = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
        name = f"{self._name}-site-{uuid.uuid4().hex[:6]}"
        actor = ray.remote(SiteProcess).options(
            name=name,
            namespace=NAMESPACE,
            num_cpus=0,  # it must find room where workers have taken all processors
            max_restarts=-1,
            max_concurrency=8,
            scheduling_strategy=affinity,
        )
        handle = actor.remote(self._task, slots, find_worker, standby=standby)
        self._actors.insert(0, handle)
        return RayHandle(name, handle)

    def _worker(self, labels: Mapping[str, str], cameras: Sequence[str], number: int) -> WorkerSlot:
        ray, cluster = self._session.ray, self.config.cluster
        name = f"{self._name}-{number}-{uuid.uuid4().hex[:6]}"
        actor = ray.remote(RunWorker).options(
            name=name,
            namespace=NAMESPACE,
            num_cpus=cluster.cores,
            num_gpus=cluster.gpus,
            memory=cluster.memory,
            scheduling_strategy="SPREAD",
            max_restarts=-1,
            max_concurrency=8,
            label_selector=dict(labels) or None,
        )
        handle = actor.remote(
            self.config,
            self._task.directory,
            max(1, math.floor(cluster.cores)),
            leases=self._task.leases,
            stay=self._task.stay,
            copies=self._copies,
        )
        self._actors.append(handle)
        return WorkerSlot(name, RayHandle(name, handle), dict(labels), list(cameras), list(cameras))

    def _start_another(self, labels: Mapping[str, str]) -> None:
        """Cameras came for which no worker has room."""
        now = time.monotonic()
        if any(known == labels and now - when < WORKER_AGAIN_SECONDS for known, when in self._started):
            return
        self._started.append((labels, now))
        slot = self._worker(labels, (), len(self._actors))
        log.warning("worker %s is started for cameras that wait for one", slot.name)
        try:
            self.call("join", ExtraWorker(slot.name, dict(labels)), slot)
        except WorkerAway:  # it was started for nothing, and is asked for again
            self._session.ray.kill(self._actors.pop())
            self._started.pop()

    def _wait(self) -> None:
        deadline = time.monotonic() + 2 * OPEN_SECONDS
        while time.monotonic() < deadline:
            said = self._look()
            if said is not None and (said.ready or said.done):
                self.address = said.address
                return
            time.sleep(_LOOK_SECONDS / 4)
        raise ClusterError(f"the run has not begun within {2 * OPEN_SECONDS:.0f} s; see ray status")

    # ---------------------------------------------------------------- machines

    def _check(self, machines: Sequence[Machine]) -> tuple[list[Any], str | None]:
        """Models that some machine lacks, and the machine of the site.

        Raises:
            ClusterError: A machine does not fit.
        """
        sizes = {}
        for camera in self.config.cameras:
            path = Path(camera.uri)
            if "://" not in camera.uri and path.exists() and not is_live(camera):
                sizes[camera.uri] = -1 if path.is_dir() else path.stat().st_size
        away = (self.config.cluster.address or "").startswith("ray://")
        mark = self._task.folder.absolute() / f".seen-{uuid.uuid4().hex[:8]}" if away else None
        try:
            if mark is not None:
                mark.parent.mkdir(parents=True, exist_ok=True)
                mark.touch()
            paths = [*sizes, *([str(mark)] if mark is not None else [])]
            versions = installed()
            reports = self._session.probe(machines, paths, self.config.detector, self.config.engine.model, versions)
        finally:
            if mark is not None:
                mark.unlink(missing_ok=True)
        check_reports(reports, sizes=sizes, **versions)
        copies = list(missing_models(self.config, reports).values())
        return copies, self._node() if mark is None else _sees(reports, str(mark))

    def _node(self) -> str:
        return str(self._session.ray.get_runtime_context().get_node_id())


def _writes(folder: Path) -> bool:
    """Whether a site that cannot be reached goes on: its folder is locked, and something was written there. Ray may not
    find an actor again after its head was killed, and a busy machine starts no process by which to ask."""
    if not is_held(folder):
        return False
    with suppress(OSError):
        newest = max(path.stat().st_mtime for path in folder.iterdir())
        return time.time() - newest < SITE_LOST_SECONDS
    return False


def _sees(reports: Sequence[Report], path: str) -> str | None:
    return next((r.machine.node for r in reports if r.sizes.get(path) is not None), None)
