"""Stores to test: an SQLite file, and a PostgreSQL server of our own where its programs are installed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from streamreid.gallery import Batch, EngineStamp, Gallery, Limits, TrackRecord
from streamreid.types import IdentityEvent, PartFeatures

STAMP = EngineStamp("test", "f" * 64, 3, 32)


class Clock:
    """UTC seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def look(who: int, *, noise: float = 0.15, seed: int = 0, shape: tuple[int, int] = (3, 32)) -> PartFeatures:
    """One view of somebody: the same direction per part with a little noise."""
    base = np.random.default_rng(who).standard_normal(shape)
    parts = base + noise * np.random.default_rng([who, seed]).standard_normal(shape)
    parts = (parts / np.linalg.norm(parts, axis=1, keepdims=True)).astype(np.float32)
    visibility = np.ones((1, shape[0]), np.float32)
    visibility[0, 1:] = 0.6 + 0.1 * (seed % 4)
    return PartFeatures(parts[None], visibility)


def batch(
    *people: int, run: str = "run", camera: str = "hall", first_track: int = 1, time: float = 10.0, views: int = 1
) -> Batch:
    """A batch with one appearance for each of ``people``."""
    result = Batch(run)
    for track, who in enumerate(people, first_track):
        result.track_records[camera, track] = TrackRecord(run, camera, track, who, time, time + 5, 0.9, 12)
        features = PartFeatures.concatenate([look(who, seed=track * 100 + v) for v in range(views)])
        result.prototypes[camera, track] = features, np.full(views, 0.8, np.float32)
        result.events.append(IdentityEvent("new", time, who, camera, track, 0.9, reasons={"looks": 1.5}))
    return result


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    onpath = shutil.which("initdb")
    return Path(onpath).parent if onpath else None


class PostgresServer:
    """A PostgreSQL server of our own, as an ordinary user, that can be stopped and started. It listens on this machine
    only, on a port that stays the same.

    Args:
        folder: Data is put here; the server's user must be able to enter it.
        options: Settings of the server, as in ``max_wal_size=64MB``.

    Raises:
        RuntimeError: The programs are missing, or no cluster can be made here.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        programs = _programs()
        if programs is None:
            raise RuntimeError("needs the PostgreSQL server (Debian: apt-get install postgresql)")
        self.programs, self.data, self.options = programs, folder / "data", options
        self.user = "nobody" if os.getuid() == 0 else None
        self.process: subprocess.Popen[bytes] | None = None
        self.data.mkdir()
        if self.user:
            shutil.chown(self.data, self.user)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.address = f"postgresql://test@127.0.0.1:{self.port}"
        made = subprocess.run(
            [programs / "initdb", "-D", self.data, "-U", "test", "--auth=trust", "-N", "-E", "UTF8"],
            user=self.user,
            cwd="/",
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
        )
        if made.returncode:
            raise RuntimeError(f"a PostgreSQL cluster cannot be made here: {made.stderr[-300:]}")

    def start(self) -> None:
        """Start, and wait until it answers.

        Raises:
            RuntimeError: It ends, or does not answer within 20 s.
        """
        settings = [part for option in self.options for part in ("-c", option)]
        command = [
            self.programs / "postgres",
            "-D",
            self.data,
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-k",
            "",
            *settings,
        ]
        self.process = subprocess.Popen(
            command,
            user=self.user,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for _ in range(200):
            ready = subprocess.run(
                [self.programs / "pg_isready", "-h", "127.0.0.1", "-p", str(self.port)], capture_output=True
            )
            if ready.returncode == 0:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError("the PostgreSQL server does not start here")

    def stop(self) -> None:
        """Stop at once and in order: all connections are closed, what was committed stays."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
            self.process = None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Address of a server of our own, without database name; it lives in a temporary folder and runs as an ordinary
    user."""
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'streamreid[postgres]'")
    with tempfile.TemporaryDirectory(prefix="pg") as text:
        folder = Path(text)
        folder.chmod(0o755)
        try:
            server = PostgresServer(folder, "fsync=off", "max_wal_size=64MB")
            server.start()
        except RuntimeError as error:
            pytest.skip(str(error))
        try:
            yield server.address
        finally:
            server.stop()


@pytest.fixture
def database(postgres_server: str) -> Iterator[str]:
    """Address of an empty database."""
    import psycopg

    name = f"t{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    yield f"{postgres_server}/{name}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


_numbers = iter(range(10**9))


@pytest.fixture(params=["sqlite", "postgresql"])
def opener(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Gallery]]:
    """Opens the same store as often as wanted."""
    opened: list[Gallery] = []
    address = tmp_path / "people.db" if request.param == "sqlite" else request.getfixturevalue("database")

    def open_store(limits: Limits | None = None, **options: object) -> Gallery:
        opened.append(Gallery.open(address, limits, clock=clock, **options))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


@pytest.fixture
def store(opener: Callable[..., Gallery]) -> Gallery:
    """An empty store of the test engine."""
    result = opener()
    result.claim(STAMP)
    return result


@pytest.fixture
def make() -> SimpleNamespace:
    """Makers of test data: ``make.batch``, ``make.look``, ``make.stamp``."""
    return SimpleNamespace(batch=batch, look=look, stamp=STAMP)
