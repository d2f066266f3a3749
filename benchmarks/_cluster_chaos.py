"""What cluster_chaos.py watches and checks: when results come, who owned a camera, which ids were given. Its faults are
in cluster_chaos.py."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Fault", "Results", "check_rows"]


@dataclass
class Fault:
    """Something bad that was done.

    Args:
        kind: What.
        at: When, monotonic seconds.
        until: When it was over.
        hit: Cameras that cannot have results meanwhile.
    """

    kind: str
    at: float
    until: float
    hit: tuple[str, ...]


@dataclass
class Results:
    """Follows ``results.jsonl`` in a thread of its own, and notes when each line could first be read.

    Args:
        path: The file.
        seen: By camera, when each frame with people could be read.
        rows: People and events.
        confirmed: When each identity was.
        times: By camera, when each of these frames was captured.
        newest: Number of the last frame of each camera.
    """

    path: Path
    seen: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    rows: list[dict[str, Any]] = field(default_factory=list)
    confirmed: dict[int, float] = field(default_factory=dict)
    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    newest: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Read to the end, and no more."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        rest, at = b"", 0
        while True:
            ended = self._stop.is_set()
            if self.path.exists():
                with self.path.open("rb") as file:
                    file.seek(at)
                    data = file.read()
                at += len(data)
                *lines, rest = (rest + data).split(b"\n")
                self._take(lines, time.monotonic())
            if ended:
                return
            self._stop.wait(0.1)

    def _take(self, lines: Iterable[bytes], now: float) -> None:
        for line in lines:
            row = json.loads(line)
            if row.get("type") == "person":
                camera = row["camera"]
                if row["frame"] != self.newest.get(camera):
                    self.seen[camera].append(now)
                    self.times[camera].append(row["time"] - time.time() + time.monotonic())
                    self.newest[camera] = row["frame"]
                self.rows.append({key: row[key] for key in ("type", "camera", "frame", "track_id", "global_id")})
            elif row.get("type") == "event":
                self.rows.append({key: row.get(key) for key in ("type", "kind", "global_id", "other_id")})
                if row["kind"] == "confirm":
                    self.confirmed.setdefault(int(row["global_id"]), now)

    def first_after(self, camera: str, moment: float) -> float | None:
        """Seconds from a moment to the next result of a camera."""
        times = self.seen[camera]
        found = next((t for t in times if t > moment + 0.15), None)  # what was written before is read up to .1 s later
        return None if found is None else found - moment

    def captured(self, camera: str, begin: float, end: float) -> float:
        """Frames with a result that were captured between two moments, per second."""
        return sum(begin < t <= end for t in self.times[camera]) / max(end - begin, 1e-9)


def check_rows(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What is wrong with the lines of a run: a frame of a track twice, frame numbers that go back, an id that was given
    to somebody new twice."""
    wrong = []
    shown: set[tuple[str, int, int]] = set()
    newest: dict[str, int] = {}
    new: set[int] = set()
    for row in rows:
        if row["type"] == "person":
            key = row["camera"], row["frame"], row["track_id"]
            if key in shown:
                wrong.append(f"twice in the results: {key}")
            shown.add(key)
            if row["frame"] < newest.get(row["camera"], 0):
                wrong.append(f"frame {row['frame']} of {row['camera']} comes after {newest[row['camera']]}")
            newest[row["camera"]] = row["frame"]
        elif row["kind"] == "new":
            if row["global_id"] in new:
                wrong.append(f"id {row['global_id']} was given twice")
            new.add(row["global_id"])
    return wrong
