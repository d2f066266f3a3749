"""A real ``streamreid serve`` on loopback, as a process of its own, to misbehave against. Everything here is bounded in
count, size and time."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")

START_SECONDS = 120.0
ROOT = Path(__file__).resolve().parent.parent.parent


class Service:
    """A running ``streamreid serve``.

    Args:
        folder: Cameras file, results and output of the process are put here.
        data: What the cameras file says.
        options: Further options of the command line.
        environment: Further environment variables; None unsets one.
        descriptors: Soft and hard limit of open files.
        program: What Python runs, with the command line of streamreid behind it.
    """

    def __init__(
        self,
        folder: Path,
        data: dict[str, Any] | str,
        *,
        options: tuple[str, ...] = ("--listen", "127.0.0.1:0"),
        environment: dict[str, str] | None = None,
        descriptors: tuple[int, int] | None = None,
        program: tuple[str, ...] = ("-m", "streamreid"),
    ) -> None:
        self.folder = folder
        self.results = folder / "results"
        self.cameras_file = folder / "cams.yaml"
        self.cameras_file.write_text(data if isinstance(data, str) else yaml.safe_dump(data))
        self._log = folder / "output.txt"
        self._log.unlink(missing_ok=True)
        command = [sys.executable, *program, "serve", str(self.cameras_file), "--out", str(self.results), *options]
        limit = None if descriptors is None else lambda: resource.setrlimit(resource.RLIMIT_NOFILE, descriptors)
        path = os.pathsep.join(p for p in (str(ROOT), os.environ.get("PYTHONPATH")) if p)
        with open(self._log, "ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**os.environ, "COLUMNS": "200", "PYTHONPATH": path, **(environment or {})},
                preexec_fn=limit,
            )
        self.port = 0

    @property
    def output(self) -> str:
        """What the process has printed."""
        return self._log.read_text(errors="replace")

    def wait(self) -> Service:
        """Until it serves and its first camera has results."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            lines = [line for line in self.output.splitlines() if "serving at http://" in line]
            if lines:
                self.port = int(lines[-1].rpartition(":")[2].split()[0])
                return self
            time.sleep(0.05)
        raise AssertionError(f"does not serve (exit code {self.process.poll()}):\n{self.output}")

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, **options: Any) -> Any:
        """An HTTP client for it."""
        return httpx.Client(base_url=self.address, timeout=30, **options)

    def get(self, path: str, **options: Any) -> Any:
        """One GET by a connection of its own."""
        return httpx.get(self.address + path, timeout=30, **options)

    def connect(self, sent: bytes = b"") -> socket.socket:
        """A bare connection over which something was sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        if sent:
            connection.sendall(sent)
        return connection

    @staticmethod
    def answer(connection: socket.socket, seconds: float = 10.0) -> bytes:
        """All that comes over a connection until it is closed, or for so long."""
        parts, deadline = [], time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and select.select([connection], [], [], left)[0]:
            try:
                part = connection.recv(65536)
            except ConnectionError:
                break
            if not part:
                break
            parts.append(part)
        return b"".join(parts)

    def probe(self) -> tuple[int, float]:
        """Status of /healthz, by a new connection, and seconds until it came."""
        began = time.monotonic()
        return self.get("/healthz").status_code, time.monotonic() - began

    def frames(self, camera: str = "left") -> int:
        """Frames with a result so far."""
        return int(self.get(f"/cameras/{camera}").json()["frames"])

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 60.0) -> tuple[int, float]:
        """Send a signal; exit code, and seconds until the process said that it stops."""
        known, began, answered = len(self.output), time.monotonic(), float("inf")
        self.process.send_signal(number)
        while time.monotonic() < began + seconds and self.process.poll() is None:
            if answered == float("inf") and "stopping" in self.output[known:]:
                answered = time.monotonic() - began
            time.sleep(0.01)
        if answered == float("inf") and "stopping" in self.output[known:]:
            answered = time.monotonic() - began
        code = self.process.poll()
        assert code is not None, f"still runs {seconds:g} s after {number.name}:\n{self.output}"
        return code, answered

    def kill(self) -> None:
        """End it at once, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def kept(self) -> dict[str, Any]:
        """What is kept of changes by HTTP."""
        return dict(json.loads((self.results / "cameras.json").read_text())["cameras"])


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 'left.mp4', in which one person walks, and their boxes."""
    folder = tmp_path_factory.mktemp("film")
    lines = []
    with av.open(str(folder / "left.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for index in range(40):
            image = np.full((120, 160, 3), 96, np.uint8)
            image[20:100, 10 + 2 * index : 36 + 2 * index] = (40, 40, 220)
            lines.append(f"{index + 1},-1,{10 + 2 * index},20,26,80,0.9,-1,-1,-1")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())
    (folder / "boxes").mkdir()
    (folder / "boxes" / "left.txt").write_text("\n".join(lines) + "\n")
    return folder


def camera_entry(film: Path, name: str = "left") -> dict[str, Any]:
    """A camera that never ends, from the film."""
    return {"name": name, "uri": str(film / "left.mp4"), "live": True, "repeat": 100_000}


def site_data(film: Path, **sections: Any) -> dict[str, Any]:
    """A cameras file with that camera; boxes are read from a file, so that no model is needed."""
    data = {
        "cameras": [camera_entry(film)],
        "detector": {"model": f"mot:{film / 'boxes'}"},
        "engine": {"model": "none"},
    }
    return {**data, **sections}


@pytest.fixture
def start(tmp_path: Path, film: Path) -> Iterator[Callable[..., Service]]:
    """Start a service: ``start(data, name=..., wait=True, **options of Service)``. All are gone at the end."""
    running: list[Service] = []

    def begin(
        data: dict[str, Any] | str | None = None, *, name: str = "site", wait: bool = True, **options: Any
    ) -> Service:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        service = Service(folder, site_data(film) if data is None else data, **options)
        running.append(service)
        return service.wait() if wait else service

    yield begin
    for service in running:
        service.kill()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, film: Path) -> Iterator[Service]:
    """One service for all tests that leave it as it was."""
    running = Service(tmp_path_factory.mktemp("site"), site_data(film))
    try:
        yield running.wait()
    finally:
        running.kill()


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory, film: Path) -> Iterator[Service]:
    """One for the tests of a module that do not."""
    running = Service(tmp_path_factory.mktemp("disturbed"), site_data(film))
    try:
        yield running.wait()
    finally:
        running.kill()
