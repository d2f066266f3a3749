"""Workers and a site in processes of their own, joined by plain sockets: what a test kills, cuts off and slows down.

``python -m tests.support.cluster site|worker FOLDER NAME``: what it is told is in FOLDER/NAME.json.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Any

import numpy as np

from streamreid.cluster.leases import Lease, Leases, LeasesAway, SiteLeases
from streamreid.cluster.postgres_leases import PostgresLeases
from streamreid.cluster.site_service import SiteService
from streamreid.cluster.worker import PerceptionWorker
from streamreid.config import Config
from streamreid.features.similarity import Calibration
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.pipeline.run_state import read_begin
from streamreid.runs.run import run
from streamreid.types import Detections, Frame, PartFeatures

ROOT = Path(__file__).resolve().parents[2]
KEY = b"test"
SECONDS = 2.0
"""Of leases kept by the site."""


class Colours:
    """Mean colour of the middle of the box."""

    name, parts, dim, fingerprint = "colours", ("foreground",), 3, "colours"
    calibration = Calibration(20.0, -12.0, "test", impostor_mean=0.3, impostor_deviation=0.2)

    def __init__(self, slow: float = 0.0) -> None:
        self._slow = slow  # seconds for a frame

    def __call__(self, frames: list[Frame], detections: list[Detections]) -> list[PartFeatures]:
        time.sleep(self._slow * len(frames))
        result = []
        for frame, found in zip(frames, detections, strict=True):
            parts = np.zeros((len(found), 1, 3), np.float32)
            for row, (x0, y0, x1, y1) in enumerate(found.boxes.astype(int)):
                cx, cy = (x0 + x1) // 2, (y0 + y1) // 2
                colour = frame.image[cy - 5 : cy + 5, cx - 5 : cx + 5].reshape(-1, 3).mean(0) - 96.0
                parts[row, 0] = colour / max(np.linalg.norm(colour), 1e-6)
            result.append(PartFeatures(parts, np.ones((len(found), 1), np.float32)))
        return result


class Remote:
    """Calls of the site over a socket; one that fails is repeated with a new connection by whoever called."""

    def __init__(self, port: int) -> None:
        self._port, self._lock, self._connection = port, threading.Lock(), None

    def __call__(self, what: str, *values: Any) -> Any:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = Client(("127.0.0.1", self._port), authkey=KEY)
                self._connection.send((what, values))
                if not self._connection.poll(3.0):
                    raise TimeoutError("no answer within 3 s")
                fine, answer = self._connection.recv()
            except (OSError, EOFError) as error:
                if self._connection is not None:
                    self._connection.close()
                self._connection = None
                raise ConnectionError(f"the site: {type(error).__name__}") from None
        if not fine:
            raise answer
        return answer


class RemoteLeases:
    """Leases that the site keeps."""

    seconds = SECONDS

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def _ask(self, what: str, *values: Any) -> Any:
        try:
            return self._remote(what, *values)
        except ConnectionError as error:
            raise LeasesAway(str(error)) from None

    def acquire(self, camera: str, worker: str) -> Lease:
        asked = time.monotonic()
        lease = self._ask("acquire", camera, worker)
        return Lease(lease.camera, lease.worker, lease.fence, asked + self.seconds)

    def renew(self, leases: Iterable[Lease]) -> dict[str, Lease]:
        asked = time.monotonic()
        found = self._ask("renew", list(leases))
        return {c: Lease(c, x.worker, x.fence, asked + self.seconds) for c, x in found.items()}

    def release(self, lease: Lease) -> None:
        self._ask("release", lease)

    def close(self) -> None:
        """Nothing is open but the connection."""


def serve(port: int, answers: dict[str, Callable[..., Any]]) -> None:
    """Answer calls, a thread for each connection."""
    listener = Listener(("127.0.0.1", port), authkey=KEY)

    def talk(connection: Any) -> None:
        while True:
            try:
                what, values = connection.recv()
            except (EOFError, OSError):
                return
            try:
                answer = True, answers[what](*values)
            except Exception as error:
                answer = False, error
            try:
                connection.send(answer)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection = listener.accept()
            except Exception:  # somebody who was killed while they connected
                continue
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def site(folder: Path, given: dict[str, Any]) -> None:
    """Be the site until the run ends."""
    config = Config.from_dict(given["config"])
    results = folder / "results"
    begin = read_begin(results)
    service = SiteService(config, EngineDescription.of(Colours()), begin=begin)
    leases: Leases = (
        SiteLeases(folder / "leases.jsonl", seconds=SECONDS) if given["leases"] is None else open_leases(given)
    )
    serve(
        given["port"],
        {
            "receive": service.receive,
            "acquire": leases.acquire,
            "renew": leases.renew,
            "release": leases.release,
            "revoke": leases.revoke,
            "log": leases.log,
            "status": service.status,
        },
    )
    signal.signal(signal.SIGTERM, lambda *_: service.stop())
    run(service.run, results)


def open_leases(given: dict[str, Any]) -> PostgresLeases:
    """Those in PostgreSQL, once it answers."""
    while True:
        try:
            return PostgresLeases(given["leases"], seconds=given.get("seconds", SECONDS))
        except LeasesAway:
            time.sleep(0.2)


def worker(folder: Path, name: str, given: dict[str, Any]) -> None:
    """Be a worker until the process is ended. Orders come as lines on standard input."""
    remote = Remote(given["port"])
    leases = RemoteLeases(remote) if given["leases"] is None else open_leases(given)
    if given.get("clock"):  # seconds by which this machine's clock is wrong
        real = time.time
        time.time = lambda: real() + given["clock"]
    colours = Colours(given.get("slow", 0.0))
    me = PerceptionWorker(
        Config.from_dict(given["config"]), name, leases, lambda data: remote("receive", data), embedder=colours
    )
    note(folder, name, me)
    for line in sys.stdin:
        what, *values = line.split()
        {"add": me.add, "remove": me.remove}[what](*values)
    me.close()


def note(folder: Path, name: str, me: PerceptionWorker) -> None:
    """Write down how the worker is doing, ten times a second."""

    def work() -> None:
        while True:
            text = json.dumps({**asdict(me.status()), "at": time.monotonic()})
            (folder / f"{name}.new").write_text(text)
            os.replace(folder / f"{name}.new", folder / f"{name}.status")
            time.sleep(0.1)

    threading.Thread(target=work, daemon=True).start()


class Process:
    """A site or a worker."""

    def __init__(self, kind: str, folder: Path, name: str, given: dict[str, Any]) -> None:
        self.name, self._status = name, folder / f"{name}.status"
        (folder / f"{name}.json").write_text(json.dumps(given))
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "tests.support.cluster", kind, str(folder), name],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            )

    def order(self, *words: str) -> None:
        """Tell a worker to add or remove a camera."""
        assert self.popen.stdin is not None
        self.popen.stdin.write((" ".join(words) + "\n").encode())
        self.popen.stdin.flush()

    def status(self) -> dict[str, Any]:
        """What a worker last said of itself."""
        try:
            return dict(json.loads(self._status.read_text()))
        except (OSError, ValueError):
            return {}

    def kill(self) -> None:
        """kill -9."""
        self.popen.kill()
        self.popen.wait()

    def pause(self) -> None:
        """Stop it where it is, as a machine that hangs."""
        self.popen.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self.popen.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """End it, whatever it is doing."""
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        if self.popen.stdin is not None:
            self.popen.stdin.close()


if __name__ == "__main__":
    _, kind, where, who = sys.argv
    told = json.loads((Path(where) / f"{who}.json").read_text())
    site(Path(where), told) if kind == "site" else worker(Path(where), who, told)
