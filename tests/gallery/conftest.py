"""Stores to test: an SQLite file, and a PostgreSQL server of our own where its programs are installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from streamreid.gallery import Appearance, Batch, EngineStamp, Limits, PostgresGallery, SqliteGallery
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


def batch(*people: int, run: str = "run", camera: str = "hall", first_track: int = 1, time: float = 10.0, views: int = 1) -> Batch:
    """A batch with one appearance for each of ``people``."""
    result = Batch(run)
    for track, who in enumerate(people, first_track):
        result.appearances[camera, track] = Appearance(run, camera, track, who, time, time + 5, 0.9, 12)
        features = PartFeatures.concatenate([look(who, seed=track * 100 + v) for v in range(views)])
        result.views[camera, track] = features, np.full(views, 0.8, np.float32)
        result.events.append(IdentityEvent("new", time, who, camera, track, 0.9, reasons={"looks": 1.5}))
    return result


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    onpath = shutil.which("initdb")
    return Path(onpath).parent if onpath else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Address of a server of our own, without database name; it lives in a temporary folder and runs as an ordinary user."""
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'streamreid[postgres]'")
    programs = _programs()
    if programs is None:
        pytest.skip("needs the PostgreSQL server (Debian: apt-get install postgresql)")
    who = "nobody" if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pg") as text:
        folder = Path(text)
        folder.chmod(0o755)
        data = folder / "data"
        data.mkdir()
        if who:
            shutil.chown(data, who)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        run = {"user": who, "cwd": "/", "env": {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}, "capture_output": True, "text": True}
        made = subprocess.run([programs / "initdb", "-D", data, "-U", "test", "--auth=trust", "-N", "-E", "UTF8"], **run)
        if made.returncode:
            pytest.skip(f"a PostgreSQL cluster cannot be made here: {made.stderr[-300:]}")
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", "", "-F", "-c", "max_wal_size=64MB"],
            user=who,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            for _ in range(200):
                ready = subprocess.run([programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port)], capture_output=True)
                if ready.returncode == 0:
                    break
                if server.poll() is not None:
                    pytest.skip("the PostgreSQL server does not start here")
                subprocess.run(["sleep", "0.1"])
            yield f"postgresql://test@127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)


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
def opener(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Callable[..., SqliteGallery | PostgresGallery]]:
    """Opens the same store as often as wanted."""
    opened: list[SqliteGallery | PostgresGallery] = []
    address = tmp_path / "people.db" if request.param == "sqlite" else request.getfixturevalue("database")

    def open_store(limits: Limits | None = None, **options: object) -> SqliteGallery | PostgresGallery:
        kind = SqliteGallery if request.param == "sqlite" else PostgresGallery
        opened.append(kind(address, limits, clock=clock, **options))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


@pytest.fixture
def store(opener: Callable[..., SqliteGallery | PostgresGallery]) -> SqliteGallery | PostgresGallery:
    """An empty store of the test engine."""
    result = opener()
    result.claim(STAMP)
    return result


@pytest.fixture
def make() -> SimpleNamespace:
    """Makers of test data: ``make.batch``, ``make.look``, ``make.stamp``."""
    return SimpleNamespace(batch=batch, look=look, stamp=STAMP)
