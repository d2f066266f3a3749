"""A batch on a Ray cluster: one recording at a time on each worker, and once more where a worker is lost."""

from __future__ import annotations

import logging
import math
import os
import shutil
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamreid._folders import FolderLock
from streamreid.cluster.batch_worker import ATTEMPTS, BatchWorker, Job, publish
from streamreid.cluster.machines import Machine, check_reports, count_room, fitting
from streamreid.cluster.model_copies import ModelCopy, missing_models
from streamreid.cluster.probed_places import probed_places
from streamreid.cluster.ray_errors import first_line, last_line
from streamreid.cluster.ray_session import NAMESPACE, RaySession, installed
from streamreid.config import ClusterConfig, Config
from streamreid.errors import ClusterError, ConfigError, FolderBusy, OutputError, SourceError
from streamreid.runs.batch import LeftOut, write_results
from streamreid.runs.recording import Recording, RecordingResult, fingerprint, finished, read_finished
from streamreid.runs.result_folder import DONE
from streamreid.runs.scratch import sweep_scratch
from streamreid.runs.storage import local_or_address
from streamreid.runs.stored_recordings import StoredResults
from streamreid.secrets import redact

__all__ = ["RayBatch"]

log = logging.getLogger(__name__)

TURN_SECONDS = 0.5
"""How long the batch waits for a worker before it looks whether it was stopped, and shows progress."""

AWAY_SECONDS = 90.0
"""How long all workers may be away before the batch ends: Ray restarts a worker within seconds, and those of a lost
machine elsewhere within a minute."""

BEGIN_SECONDS = 300.0
"""How long the first worker may take to begin. It is a matter of seconds, but of minutes on a machine with ten times as
much to do as it has cores."""


WorkerProcess = tuple[str, int]
"""Host name and process id of a worker."""


MOST_STARTS = 3
"""Workers that may fail in a row in one place, before a fault of the installation is assumed."""


@dataclass(eq=False)
class _Task:
    """A recording that is to be done: its place in the batch, and how often it was begun."""

    number: int
    recording: Recording
    mark: str
    attempts: int = 0
    folder: str = ""


@dataclass(eq=False)
class _Slot:
    """A worker process, with what it is asked for at the moment: where it is, or a recording."""

    actor: Any
    answer: Any = None
    place: WorkerProcess | None = None
    task: _Task | None = None
    ask_at: float = 0.0
    """When it is asked again where it is, on the monotonic clock."""
    deaths: int = 0
    """How often in a row a worker died here before it had begun."""


@dataclass
class Progress:
    """How far a batch is."""

    total: int
    finished: int = 0
    lost: int = 0
    """How often a worker was lost."""
    workers: dict[WorkerProcess, str | None] = field(default_factory=dict)
    """Those that are there, with the recording in work."""


class RayBatch:
    """Runs recordings on the workers of a Ray cluster. Like `streamreid.runs.batch.Batch`; results are in the order in
    which recordings end.

    Args:
        recordings: From `streamreid.runs.batch.survey`.
        out: Each recording gets a folder in here, on storage that all machines mount at this path, or that all reach
            by this address.
        sections: Sections of the configuration for all.
        cluster: Which cluster, and what a worker takes of it.
        left_out: What ``batch.json`` names as left out.

    Raises:
        ConfigError: A gallery is asked for: who comes back would depend on which recording ends first.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        out: Path | str,
        sections: dict[str, Any],
        *,
        cluster: ClusterConfig,
        left_out: Sequence[LeftOut] = (),
    ) -> None:
        self.recordings = list(recordings)
        self.left_out = list(left_out)
        place = local_or_address(out) if isinstance(out, str) else out
        self.out: Path | StoredResults = StoredResults(place) if isinstance(place, str) else place.absolute()
        self.progress = Progress(len(self.recordings))
        self._sections = sections
        self._cluster = cluster
        self._stopped = False
        self._configs = [r.config(sections) for r in self.recordings]
        for recording, config in zip(self.recordings, self._configs, strict=True):
            if config.gallery.store is not None:
                raise ConfigError(
                    f"recording '{recording.name}': with a gallery, who comes back is decided in the order of the "
                    "recordings, and workers have none; run the batch without --cluster, or without gallery.store"
                )

    def stop(self) -> None:
        """Finish the recordings in work with what they have, begin no other."""
        self._stopped = True

    def run(
        self,
        *,
        progress: Callable[[Progress], None] = lambda _: None,
        begin: Callable[[Recording], None] = lambda _: None,
    ) -> Iterator[RecordingResult]:
        """Run all; yields how each ended. ``batch.json`` in the output folder always holds the results so far.

        Args:
            progress: Called about twice a second.
            begin: Called when a recording is given to a worker.

        Raises:
            FolderBusy: Another batch writes to the output folder.
            OutputError: The output folder cannot be written.
            ClusterError: The cluster cannot be reached, no machine of it fits, or it is lost. What is finished is
                kept, and the same command goes on.
        """
        results: dict[int, RecordingResult] = {}
        with nullcontext() if isinstance(self.out, StoredResults) else FolderLock(self.out):
            todo: deque[_Task] = deque()
            for number, (recording, config) in enumerate(zip(self.recordings, self._configs, strict=True)):
                mark = fingerprint(config, recording.stored)
                before = self._finished(recording, mark)
                if before is None:
                    todo.append(_Task(number, recording, mark))
                else:
                    results[number] = before
                    yield from self._ended(results, number)
            if todo and not self._stopped:
                try:
                    with RaySession(self._cluster) as session:
                        for number, result in _Dispatcher(self, session, todo).run(progress, begin):
                            results[number] = result
                            yield from self._ended(results, number)
                finally:
                    self.forget(ATTEMPTS)

    def _finished(self, recording: Recording, mark: str) -> RecordingResult | None:
        if isinstance(self.out, StoredResults):
            return read_finished(recording, self.out.read(f"{recording.name}/{DONE}"), mark)
        return finished(recording, self.out / recording.name, mark)

    def forget(self, name: str) -> None:
        """Remove what a worker left in the folder of the batch."""
        if isinstance(self.out, StoredResults):
            with suppress(OutputError):  # it counts for nothing
                self.out.remove(name)
            sweep_scratch()  # of workers of this machine that were killed
        else:
            shutil.rmtree(self.out / name, ignore_errors=True)

    def _ended(self, results: dict[int, RecordingResult], number: int) -> Iterator[RecordingResult]:
        self.progress.finished = len(results)
        write_results(self.out, [results[n] for n in sorted(results)], self.left_out)
        yield results[number]


class _Dispatcher:
    """Gives recordings to workers, one at a time to each."""

    def __init__(self, batch: RayBatch, session: RaySession, todo: deque[_Task]) -> None:
        self._batch = batch
        self._session = session
        self._ray = session.ray
        self._todo = todo
        self._slots: list[_Slot] = []
        self._asked_to_stop = False
        self._began = False
        self._begin_worker: Callable[[], Any]

    def run(
        self, progress: Callable[[Progress], None], begin: Callable[[Recording], None]
    ) -> Iterator[tuple[int, RecordingResult]]:
        self._start_workers()
        alone_since: float | None = None
        try:
            while self._todo or any(slot.task for slot in self._slots):
                if self._batch._stopped:
                    self._stop_workers()
                    if not any(slot.task for slot in self._slots):
                        return
                waiting = {slot.answer: slot for slot in self._slots if slot.answer is not None}
                if waiting:
                    ready, _ = self._ray.wait(list(waiting), timeout=TURN_SECONDS)
                    for answer in ready:
                        yield from self._answered(waiting[answer])
                else:
                    time.sleep(TURN_SECONDS)
                for slot in self._slots:
                    if slot.answer is None and slot.place is None and time.monotonic() >= slot.ask_at:
                        slot.answer = slot.actor.place.remote()
                    elif slot.answer is None and slot.place and self._todo and not self._batch._stopped:
                        self._give(slot, begin)
                there = any(slot.place for slot in self._slots)
                alone_since = None if there else alone_since or time.monotonic()
                self._check(alone_since)
                self._tell(progress)
        finally:
            for slot in self._slots:
                self._ray.kill(slot.actor)

    # ---------------------------------------------------------------- workers

    def _start_workers(self) -> None:
        cluster = self._session.config
        machines = fitting(self._session.machines(), cluster, cluster.labels)
        copies = self._check_machines(machines)
        room = count_room(machines, cluster, cluster.labels)
        count = min(cluster.workers or room, len(self._todo))
        if count > room:
            log.warning("%d workers are asked for and the cluster has room for %d: the others wait", count, room)
        options = {
            "num_cpus": cluster.cores,
            "num_gpus": cluster.gpus,
            "memory": cluster.memory,
            "label_selector": dict(cluster.labels) or None,
            "scheduling_strategy": "SPREAD",
            "max_restarts": -1,
            # One call is a recording, the others ask and stop it.
            "max_concurrency": 3,
            "namespace": NAMESPACE,
        }
        out = self._batch.out
        place = out.address if isinstance(out, StoredResults) else out
        job = Job(place, self._batch._sections, Path.cwd(), max(1, math.floor(cluster.cores)))
        sent = self._ray.put(copies) if copies else []
        actor = self._ray.remote(BatchWorker)
        self._begin_worker = lambda: actor.options(name=f"{Path(place).name}-{uuid.uuid4().hex[:8]}", **options).remote(
            job, sent
        )
        self._slots = [_Slot(self._begin_worker()) for _ in range(count)]
        for slot in self._slots:
            slot.answer = slot.actor.place.remote()

    def _check_machines(self, machines: Sequence[Machine]) -> list[ModelCopy]:
        """Models that some machine lacks.

        Raises:
            ClusterError: A machine does not fit.
        """
        copies: dict[str, ModelCopy] = {}
        versions = installed()
        with probed_places(self._batch.out, [task.recording for task in self._todo]) as sizes:
            for config in self._model_configs():
                reports = self._session.probe(machines, list(sizes), config.detector, config.engine.model, versions)
                check_reports(reports, sizes=sizes, **versions)
                copies |= missing_models(config, reports)
        return list(copies.values())

    def _model_configs(self) -> list[Config]:
        """A configuration for each detector and engine that recordings ask for."""
        found: dict[tuple[str, str], Config] = {}
        for task in self._todo:
            config = self._batch._configs[task.number]
            found.setdefault((config.detector.model_dump_json(), config.engine.model), config)
        return list(found.values())

    def _give(self, slot: _Slot, begin: Callable[[Recording], None]) -> None:
        task = self._todo.popleft()
        task.attempts += 1
        task.folder = f"{task.recording.name}-{task.attempts}-{os.getpid()}-{time.time_ns()}"
        slot.task = task
        slot.answer = slot.actor.run.remote(task.recording, task.mark, task.folder)
        begin(task.recording)

    def _answered(self, slot: _Slot) -> Iterator[tuple[int, RecordingResult]]:
        task, answer, slot.task, slot.answer = slot.task, slot.answer, None, None
        try:
            said = self._ray.get(answer)
        except self._ray.exceptions.RayTaskError:
            raise  # a fault of the program
        except self._ray.exceptions.RayError as error:
            yield from self._lost(slot, task, error)
            return
        if task is None:
            slot.place, slot.deaths = said, 0
            self._began = True
        else:
            yield task.number, self._publish(task, said)

    def _publish(self, task: _Task, result: RecordingResult) -> RecordingResult:
        try:
            publish(self._batch.out, task.folder, task.recording.name)
        except (FolderBusy, SourceError) as error:
            return RecordingResult(task.recording.name, "failed", redact(error), file=task.recording.file)
        return result

    def _lost(self, slot: _Slot, task: _Task | None, error: Exception) -> Iterator[tuple[int, RecordingResult]]:
        """A worker is gone, for whatever reason. Ray starts it again; its recording goes to the next that is free."""
        where = "while it started" if slot.place is None else "{}, process {}".format(*slot.place)
        if slot.place is not None:
            self._batch.progress.lost += 1
            log.warning("worker lost (%s): %s", where, first_line(error))
        slot.place = None
        if isinstance(error, self._ray.exceptions.ActorDiedError):  # for good: Ray restarts it no more
            self._begin_again(slot, error)
        slot.ask_at = time.monotonic() + TURN_SECONDS  # while it is started again, Ray answers at once that it is away
        if task is None:
            return
        self._batch.forget(f"{ATTEMPTS}/{task.folder}")
        if task.attempts < self._session.config.attempts:
            self._todo.appendleft(task)
            return
        reason = (
            f"its worker was lost {task.attempts} times (last: {where}, {first_line(error)}); see whether the machine "
            "has enough memory (cluster.memory), or raise cluster.attempts"
        )
        yield task.number, RecordingResult(task.recording.name, "failed", reason, file=task.recording.file)

    def _begin_again(self, slot: _Slot, error: Exception) -> None:
        """Another actor takes the place of one that is dead for good.

        Raises:
            ClusterError: None of them ever began.
        """
        slot.deaths += 1
        if slot.deaths >= MOST_STARTS:
            raise ClusterError(f"a worker cannot start: {last_line(error)}. What is finished is kept") from error
        slot.actor = self._begin_worker()

    def _stop_workers(self) -> None:
        if self._asked_to_stop:
            return
        self._asked_to_stop = True
        for slot in self._slots:
            if slot.task is not None:
                slot.actor.stop.remote()

    def _check(self, alone_since: float | None) -> None:
        """Whether the cluster is still there.

        Raises:
            ClusterError: It is not.
        """
        self._session.check_head()
        self._session.check_node()
        limit = AWAY_SECONDS if self._began else BEGIN_SECONDS
        if alone_since is not None and time.monotonic() - alone_since > limit:
            machines = ", ".join(map(str, self._session.machines())) or "none"
            raise ClusterError(
                f"no worker is running since {limit:.0f} s (machines that are alive: {machines}). What is "
                "finished is kept; run the same command again when the cluster is back"
            )

    def _tell(self, progress: Callable[[Progress], None]) -> None:
        state = self._batch.progress
        slots = ((slot.place, slot.task) for slot in self._slots)
        state.workers = {place: None if task is None else task.recording.name for place, task in slots if place}
        progress(state)
