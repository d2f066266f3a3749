"""Stores to test: an SQLite file, and a PostgreSQL server of our own where its programs are installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from streamreid.gallery import Batch, EngineStamp, Gallery, Limits, TrackRecord
from streamreid.types import IdentityEvent, PartFeatures
from tests.support.postgres import PostgresServer

__all__ = ["PostgresServer"]

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
