"""A site and its workers as a test starts, kills and asks them."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamreid.cluster.leases import LeasesAway, owned_twice
from streamreid.config import Config
from tests.support.cluster import SECONDS, Process, Remote

__all__ = ["Team"]


class Team:
    """A site and its workers, all processes.

    Args:
        folder: What they write.
        config: Of the run.
        leases: Address of a PostgreSQL database that keeps them; None for the site.
    """

    def __init__(self, folder: Path, config: Config, leases: str | None) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.folder = folder
        self.given = {"config": config.model_dump(mode="json"), "port": self.port, "leases": leases, "seconds": SECONDS}
        self.results = folder / "results"
        self.workers: dict[str, Process] = {}
        self.site = self.start_site()

    def start_site(self) -> Process:
        self.site = Process("site", self.folder, "site", self.given)
        return self.site

    def start(self, name: str, *cameras: str, **given: Any) -> Process:
        process = self.workers[name] = Process("worker", self.folder, name, {**self.given, **given})
        for camera in cameras:
            process.order("add", camera)
        return process

    def ask(self, what: str, *values: Any) -> Any:
        return self.wait(lambda: _tried(self.port, what, values))

    def wait(self, done: Callable[[], Any], seconds: float = 150.0) -> Any:
        """What a question says once it is no longer false."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = done()
            if found:
                return found
            time.sleep(0.05)
        logs = "\n".join(f"{p.name}: {p.log.read_text()[-1500:]}" for p in (self.site, *self.workers.values()))
        status = {name: process.status() for name, process in self.workers.items()}
        raise AssertionError(f"it did not happen within {seconds:g} s\n{status}\n{logs}")

    def frames(self, camera: str) -> list[dict[str, Any]]:
        """Frames of a camera in the results so far."""
        return [row for row in self.rows() if row.get("camera") == camera and "frame" in row]

    def rows(self) -> list[dict[str, Any]]:
        path = self.results / "results.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def owned_once(self) -> bool:
        """Whether no camera ever had two owners."""
        return owned_twice(self.ask("log")) == []

    def end(self) -> None:
        for process in (self.site, *self.workers.values()):
            process.end()


def _tried(port: int, what: str, values: tuple[Any, ...]) -> Any:
    try:
        return Remote(port)(what, *values)
    except (ConnectionError, LeasesAway):
        return None
