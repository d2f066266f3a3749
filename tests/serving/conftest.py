"""A pipeline that runs in the background, with its interface."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamreid import Pipeline
from streamreid.runs import Summary, run


class Background:
    """A run in a thread of its own."""

    def __init__(self, pipeline: Pipeline, folder: Path, listeners: tuple[object, ...] = ()) -> None:
        self.pipeline = pipeline
        self.summary: Summary | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(folder, listeners))
        self._thread.start()

    def _run(self, folder: Path, listeners: tuple[object, ...]) -> None:
        try:
            self.summary = run(self.pipeline, folder, listeners=listeners)  # type: ignore[arg-type]
        except BaseException as error:
            self.error = error

    def stop(self) -> Summary:
        """End it in order."""
        self.pipeline.stop()
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error
        assert self.summary is not None
        return self.summary


@pytest.fixture
def background() -> Iterator[Callable[..., Background]]:
    """Start a run: ``background(pipeline, folder, listeners)``. It is stopped at the end."""
    running: list[Background] = []

    def start(pipeline: Pipeline, folder: Path, listeners: tuple[object, ...] = ()) -> Background:
        running.append(Background(pipeline, folder, listeners))
        return running[-1]

    yield start
    for item in running:
        if item.summary is None and item.error is None:
            item.stop()
        item.pipeline.close()


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait for something to happen."""

    def wait(condition: Callable[[], object], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "did not happen in time"
            time.sleep(0.02)

    return wait
