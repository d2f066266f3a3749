"""The site of a run in a process of its own: after a crash another one finds its state and its workers.

A second process stands by, with everything imported, and takes over as soon as the lock of the results' folder is free,
which is when the first one is gone, however that ended. Two can therefore never run a site.

Nothing here needs Ray. What is lost with the process is rebuilt: people from the gallery, ids and frame numbers from
the folder of the results, cameras from ``cameras.json``, who reads what from the workers, leases from their store.
Meanwhile workers read on and keep what they have to say.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from streamreid._limits import raise_open_files
from streamreid._threads import Thread
from streamreid.cameras.runtime_overrides import CameraOverrides
from streamreid.cluster.leases import Leases
from streamreid.cluster.site_desk import SiteDesk
from streamreid.cluster.site_log import SiteLog
from streamreid.cluster.site_marker import ExtraWorker, SiteMarker
from streamreid.cluster.site_service import SiteService
from streamreid.cluster.site_task import SiteProgress, SiteTask
from streamreid.cluster.supervisor import Supervisor
from streamreid.cluster.worker_slots import Assignment, WorkerSlot
from streamreid.config import CameraConfig, Config
from streamreid.errors import ClusterError, ConfigError, DataError, FolderBusy, StreamReIDError
from streamreid.pipeline.ground_plane import check_start
from streamreid.pipeline.run import Run
from streamreid.pipeline.run_state import read_begin
from streamreid.runs.result_folder import ResultsFolder
from streamreid.runs.run import run
from streamreid.runs.summary import Summary
from streamreid.secrets import redact
from streamreid.sinks import Sink
from streamreid.sources import few_arenas, is_live, with_kinds

__all__ = ["SiteProcess"]

log = logging.getLogger(__name__)

AGAIN_SECONDS = 120.0
"""How long a site that is started again tries to open what it needs: its database may be starting, too."""

_RETRY_SECONDS = 1.0
_LEAD_SECONDS = 0.2
"""Between looks whether the process that runs the site is gone."""

_HIDDEN_LEASES = ".leases.jsonl"
_DESCRIBE_SECONDS = 0.2
"""Between sentences of progress, which cost a millisecond."""


class SiteProcess:
    """Runs a site in threads of this process. Methods may be called from any thread.

    Args:
        task: What to do.
        slots: Its workers.
        find: The slot of a worker that was started while an earlier process of this site ran; None if it is gone.
        standby: Begin only when the process that runs the site is gone.
    """

    def __init__(
        self,
        task: SiteTask,
        slots: Sequence[WorkerSlot],
        find: Callable[[ExtraWorker], WorkerSlot | None] = lambda _: None,
        *,
        standby: bool = False,
    ) -> None:
        self._task, self._find = task, find
        self._standby = standby
        self._slots = list(slots)
        self._log = SiteLog()
        self._text, self._told = "beginning", 0.0
        self._address = ""
        self._problem = ""
        self._summary: Summary | None = None
        self._service: SiteService | None = None
        self._supervisor: Supervisor | None = None
        self._changes: CameraOverrides | None = None
        self._marker = SiteMarker()
        self._stopped = self._ready = self._done = False
        self._thread = Thread(target=self._run, name="site", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"SiteProcess({self._task.folder}, ready={self._ready}, done={self._done})"

    # ---------------------------------------------------------------- from the command

    def progress(self) -> SiteProgress:
        """How it is doing."""
        service, supervisor = self._service, self._supervisor
        return SiteProgress(
            os.getpid(),
            self._standby,
            self._ready,
            self._text,
            self._address,
            0 if service is None else service.run.statistics.frames,
            [] if supervisor is None else supervisor.wanted(),
            self._log.fetch(),
            self._done,
            self._problem,
            self._summary,
        )

    def status(self) -> dict[str, Any]:
        """How it is doing, for `streamreid cluster status`, in plain values."""
        service = self._service
        return {
            "kind": "site",
            "host": os.uname().nodename,
            "pid": os.getpid(),
            "state": self._state(),
            "folder": str(self._task.folder),
            "address": self._address,
            "frames": 0 if service is None else service.run.statistics.frames,
            "cameras": {} if service is None else service.status(),
        }

    def _state(self) -> str:
        if self._standby:
            return "standby"
        return "done" if self._done else "following" if self._ready else "beginning"

    def stop(self) -> None:
        """End the run after the updates in work."""
        self._stopped = True
        if self._service is not None:
            self._service.stop()

    def join(self, worker: ExtraWorker, slot: WorkerSlot) -> None:
        """Use a worker that was started while the run goes on."""
        if self._supervisor is not None:
            self._marker = self._marker.write(self._task.folder, workers=(*self._marker.workers, worker))
            self._supervisor.join(slot)

    def leases(self) -> Leases:
        """Of all cameras."""
        assert self._supervisor is not None
        return self._supervisor.leases

    def cameras(self) -> list[CameraConfig]:
        """As they are now."""
        return [] if self._service is None else self._service.cameras.configs

    def edit(self, what: str, *arguments: Any) -> Any:
        """Do what the watched cameras file says: ``remove`` or ``admit`` a camera, or note what the file says.

        Returns:
            What it gives, and why it cannot be done.
        """
        assert self._service is not None
        assert self._changes is not None
        cameras, changes = self._service.cameras, self._changes
        acts: dict[str, Callable[..., Any]] = {
            "remove": cameras.remove,
            "admit": cameras.admit,
            "file_says": lambda said: changes.file_says(said, cameras.configs),
            "save": lambda: changes.save(lambda: cameras.configs),
        }
        try:
            return acts[what](*arguments), ""
        except StreamReIDError as error:
            return None, redact(error)

    # ---------------------------------------------------------------- the run

    def _run(self) -> None:
        task = self._task
        try:
            if task.directory.is_dir():
                os.chdir(task.directory)
            few_arenas()
            raise_open_files()
            with self._log, ExitStack() as stack:
                self._follow(stack)
        except StreamReIDError as error:
            self._problem = redact(error)
        except Exception as error:
            log.exception("the site failed")
            self._problem = f"{type(error).__name__}: {redact(error)}"
        finally:
            self._forget()
            self._done = True

    def _forget(self) -> None:
        """The run is over, well or not: no other process goes on with it."""
        folder = self._task.folder
        if not self._standby and SiteMarker.read(folder).run == self._task.run:
            SiteMarker.remove(folder)
            with suppress(OSError):
                (folder / _HIDDEN_LEASES).unlink()

    def _follow(self, stack: ExitStack) -> None:
        task = self._task
        folder = stack.enter_context(self._lead())
        marker = self._marker = SiteMarker.read(task.folder)
        again = marker.run == task.run
        if again:
            log.warning("the site was started again (process %d); workers read on meanwhile", os.getpid())
            found = (self._find(worker) for worker in marker.workers)
            self._slots += [slot for slot in found if slot is not None]
        live = task.stay or any(is_live(camera) for camera in with_kinds(task.config.cameras))
        overwrite = (task.overwrite and not (again and marker.committed)) if live else (task.overwrite or again)
        folder.overwrite = overwrite
        self._marker = (marker if again else SiteMarker(task.run)).write(task.folder)
        config, changes = self._configured(folder, live)
        stack.callback(changes.close)
        leases = self._patiently(again, lambda: task.leases.for_site(_lease_log(task.folder, live)))
        stack.callback(leases.close)
        assignment = Assignment(self._slots, config.cluster)
        supervisor = Supervisor(assignment, leases, self._configs, self._lost)
        engine = supervisor.first_engine(patient=again)
        goes_on = live and not overwrite and (task.append or again)
        begin = read_begin(task.folder) if goes_on else None
        fences = self._patiently(again, leases.fences) if goes_on else {}
        service = self._patiently(
            again, lambda: SiteService(config, engine, begin=begin, stay=task.stay, fences=fences)
        )
        stack.callback(service.close)
        if again and goes_on:
            service.run.statistics.findings.append(
                f"the site was started again at {datetime.now():%H:%M:%S}: frames and seconds are counted from then "
                "on; the results hold everything"
            )
        desk = SiteDesk(service.receive, leases, service.status)
        service.cameras.host = supervisor
        service.cameras.rates = lambda: {name: values["fps"] for name, values in desk.figures().items()}
        self._service, self._supervisor, self._changes = service, supervisor, changes
        listeners = self._serve(stack, service, changes)
        folder.begin(config)
        supervisor.start(desk, adopt=True)
        stack.callback(supervisor.stop)
        if self._stopped:
            service.stop()
        self._ready = True
        self._summary = run(service.run, folder, progress=self._show, rendering=self._say, listeners=listeners)

    def _lead(self) -> _Entered:
        """The folder of the results, whose lock one process at a time has: where another process of this site has it,
        this one stands by, and follows it within a moment of its end."""
        if self._standby:
            self._import_all()
        while True:
            if not self._standby or SiteMarker.read(self._task.folder).run == self._task.run:
                try:
                    entered = _Entered(self._task.folder)
                except FolderBusy:
                    if SiteMarker.read(self._task.folder).run != self._task.run:
                        raise
                    self._standby = True
                else:
                    self._standby = False
                    return entered
            if self._stopped:
                raise ClusterError("the run was stopped before it began")
            time.sleep(_LEAD_SECONDS)

    def _import_all(self) -> None:
        """What is imported on its first use otherwise, which takes seconds on a busy machine."""
        config = self._task.config
        wanted = ["streamreid.messages.factory", "scipy.optimize"]
        wanted += ["streamreid.serving.app", "uvicorn", "httptools"] if config.server.listen is not None else []
        wanted += ["streamreid.web"] if self._task.page is not None else []
        wanted += ["psycopg"] if self._task.leases.address is not None or config.gallery.store is not None else []
        for name in wanted:
            with suppress(ImportError):  # an extra that is not installed is told of where it is used
                import_module(name)

    def _configs(self) -> Mapping[str, CameraConfig]:
        return {} if self._service is None else self._service.cameras.by_name

    def _configured(self, folder: ResultsFolder, live: bool) -> tuple[Config, CameraOverrides]:
        """The cameras to begin with: what was changed by HTTP in earlier processes or runs holds."""
        config, task = self._task.config, self._task
        keep = live and task.append and config.server.keep_changes
        changes = CameraOverrides(folder.path, config.cameras, keep=keep)
        check = partial(check_start, window=config.association.window, serving=task.stay)
        if not folder.overwrite:
            config = config.model_copy(update={"cameras": changes.begin(check)})
        return config, changes

    def _serve(self, stack: ExitStack, service: SiteService, changes: CameraOverrides) -> list[Sink]:
        config = service.run.config.server
        if config.listen is None:
            return []
        from streamreid.serving import Server  # an extra

        host, _, port = config.listen.rpartition(":")
        if port == "0" and self._marker.port:  # a free one was chosen by the process before
            config = config.model_copy(update={"listen": f"{host}:{self._marker.port}".lstrip(":")})
        served: Any = service.run  # it has all of a `Pipeline` that the interface uses
        server = stack.enter_context(Server(served, config, changes, page=self._task.page))
        self._address = server.address
        self._marker = self._marker.write(self._task.folder, port=int(server.address.rpartition(":")[2]))
        return list(server.sinks)

    def _patiently(self, again: bool, act: Callable[[], Any]) -> Any:
        """Open something; in a site that is started again, again and again for a while."""
        deadline = time.monotonic() + (AGAIN_SECONDS if again else 0.0)
        while True:
            try:
                return act()
            except (ConfigError, DataError):
                raise
            except StreamReIDError as error:
                if time.monotonic() >= deadline or self._stopped:
                    raise
                self._say(f"the site cannot begin yet: {redact(error)}")
                time.sleep(_RETRY_SECONDS)

    def _show(self, following: Run) -> None:
        if following.statistics.frames and not self._marker.committed:
            self._marker = self._marker.write(self._task.folder, committed=True)
        now = time.monotonic()
        if now - self._told >= _DESCRIBE_SECONDS:
            self._told = now
            self._text = self._task.describe(following)

    def _say(self, text: str) -> None:
        self._text = text

    def _lost(self, error: ClusterError) -> None:
        self._problem = redact(error)
        self.stop()


class _Entered:
    """The folder of the results, locked, as a context that is entered already: whether it can be locked is known."""

    def __init__(self, path: Path) -> None:
        self._folder = ResultsFolder(path)
        self._folder.__enter__()

    def __enter__(self) -> ResultsFolder:
        return self._folder

    def __exit__(self, *details: Any) -> None:
        self._folder.__exit__(*details)


def _lease_log(folder: Path, live: bool) -> Path:
    """Where leases that the site keeps are logged; of recordings nobody wants to read them later."""
    return folder / ("leases.jsonl" if live else _HIDDEN_LEASES)
