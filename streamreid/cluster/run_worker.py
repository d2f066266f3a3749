"""A perception worker in a process that the site's process calls. What runs there of a run; Ray only carries it."""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streamreid._limits import raise_open_files
from streamreid.cluster.lease_store import LeaseStore
from streamreid.cluster.leases import LeasesAway
from streamreid.cluster.model_copies import ModelCopy, locate
from streamreid.cluster.processes import process_is_gone
from streamreid.cluster.request_bridge import Answer, Request, RequestBridge
from streamreid.cluster.worker import PerceptionWorker
from streamreid.config import CameraConfig, Config
from streamreid.errors import StreamReIDError
from streamreid.pipeline.detectors import open_detectors
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.pipeline.warm_up import warm_up
from streamreid.reid import open_embedder
from streamreid.runtimes.base import limit_threads
from streamreid.secrets import redact
from streamreid.sources import few_arenas
from streamreid.types import Frame

__all__ = ["Opened", "RunWorker"]

_GREY = 114
"""What detectors are padded with."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A worker that is ready for cameras, or why it is not.

    Args:
        name: Of this process among all that ever run.
        host: Its machine.
        pid: Its process id.
        engine: Which makes its features.
        problem: Why it cannot be used.
        again: Whether that may be otherwise later.
    """

    name: str
    host: str
    pid: int
    engine: EngineDescription | None = None
    problem: str = ""
    again: bool = False


class RunWorker:
    """Reads cameras in a worker process. All methods may be called at the same time.

    Args:
        config: All cameras and settings of the run.
        folder: Working folder of the command, for relative paths.
        threads: Threads of detector and engine.
        leases: Where leases are kept.
        stay: Whether cameras may come, so that they are followed as live ones.
        copies: Detectors and engines that may be missing on this machine.
    """

    def __init__(
        self,
        config: Config,
        folder: Path,
        threads: int,
        *,
        leases: LeaseStore,
        stay: bool = False,
        copies: Sequence[ModelCopy] = (),
    ) -> None:
        if folder.is_dir():
            os.chdir(folder)
        limit_threads(threads)
        few_arenas()
        raise_open_files()
        self._config, self._stay = config, stay
        self._copies = {copy.model: copy for copy in copies}
        self._bridge = RequestBridge()
        self._lease_store = leases
        self._name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._told: Mapping[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._opened: Opened | None = None
        self._worker: PerceptionWorker | None = None

    def open(self) -> Opened:
        """Open detector and engine, once."""
        with self._lock:
            if self._opened is None or self._opened.again:
                self._opened = self._open()
            return self._opened

    def _open(self) -> Opened:
        here = self._name, socket.gethostname(), os.getpid()
        try:
            leases = self._lease_store.for_worker(self._bridge)
            located = self._locate(self._config)
            detector, embedder = open_detectors(located), open_embedder(located.engine)
            # A worker that takes cameras over from one that is gone gives results from their first frames on.
            warm_up(detector, embedder, [_grey(located)], batch=located.detector.batch)
            self._worker = PerceptionWorker(
                self._config,
                self._name,
                leases,
                lambda data: self._bridge.ask("batch", data),
                detector=detector,
                embedder=embedder,
                stay=self._stay,
            )
        except StreamReIDError as error:
            return Opened(*here, problem=redact(error), again=isinstance(error, LeasesAway))
        return Opened(*here, EngineDescription.of(embedder))

    def is_gone(self, pid: int) -> bool:
        """Whether no process of this number runs on this machine."""
        return process_is_gone(pid)

    def exchange(
        self, answers: Mapping[int, Answer], wait: float, told: Mapping[str, dict[str, Any]] | None = None
    ) -> list[Request]:
        """What this worker wants of the site, see `RequestBridge.fetch`.

        Args:
            answers: To earlier requests.
            wait: Seconds to wait for a request.
            told: What the site knows of this worker's cameras, for `status`.
        """
        if told is not None:
            self._told = told
        return self._bridge.fetch(answers, wait)

    def share(self, cameras: Sequence[CameraConfig]) -> None:
        """Read these cameras from now on, as they are here, and no others."""
        assert self._worker is not None
        for name in set(self._worker.status().cameras) - {camera.name for camera in cameras}:
            self._worker.remove(name)
        for camera in cameras:
            self._worker.add(camera)

    def change(self, config: CameraConfig) -> str:
        """See `PerceptionWorker.change`."""
        assert self._worker is not None
        return self._worker.change(config)

    def status(self) -> dict[str, Any]:
        """How it is doing, as plain values: host, pid, those of `WorkerStatus`, and what the site knows of its
        cameras."""
        found: dict[str, Any] = {"kind": "cameras", "host": socket.gethostname(), "pid": os.getpid()}
        if self._worker is None:
            return {**found, "worker": self._name, "cameras": {}}
        said = self._worker.status().as_dict()
        said["cameras"] = {name: {**values, **self._told.get(name, {})} for name, values in said["cameras"].items()}
        return found | said

    def close(self) -> None:
        """Read no camera any more."""
        if self._worker is not None:
            self._worker.close()

    def _locate(self, config: Config) -> Config:
        detector, engine = self._copies.get(config.detector.model), self._copies.get(config.engine.model)
        return locate(
            config, None if detector is None else detector.unpack(), None if engine is None else engine.unpack()
        )


def _grey(config: Config) -> Frame:
    """A picture without anybody, of a camera if there is one yet."""
    name = config.cameras[0].name if config.cameras else "none"
    return Frame(name, 0, 0.0, np.full((480, 640, 3), _GREY, np.uint8))
