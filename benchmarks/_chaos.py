"""What chaos.py watches and checks: rates of cameras, lines on disk, identities in the gallery. Its faults are in
chaos.py."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pyarrow.fs import LocalFileSystem
from pyarrow.parquet import read_table

from streamreid.errors import StreamReIDError
from streamreid.mot_text import read_numbers

__all__ = ["Lines", "Rates", "Repeated", "check_files", "check_gallery"]

WINDOW = 10.0
"""Seconds over which a rate is taken."""

LEAST = 0.9
"""Share of what a camera sends that is to have results."""

LONGEST = 10.0
"""Seconds for which a camera may be below that; also what it has after its own fault, or after a start, to come
back."""


class Repeated:
    """Calls something again and again in a thread of its own; what fails is tried again.

    Args:
        action: What.
        every: Seconds between two calls.
    """

    def __init__(self, action: Callable[[], None], every: float) -> None:
        self._action, self._every = action, every
        self.failed = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more."""
        self._stopped.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stopped.wait(self._every):
            try:
                self._action()
            except Exception:
                self.failed += 1


@dataclass
class Rates:
    """How many frames of each camera had a result, by the monotonic clock of this process.

    Args:
        fps: What each camera sends, frames per second.
        samples: By camera: (process number, seconds, frames of that process so far).
        excused: (camera or "" for all, begin, end): seconds that are not judged.
    """

    fps: float
    samples: dict[str, list[tuple[int, float, int]]] = field(default_factory=lambda: defaultdict(list))
    excused: list[tuple[str, float, float]] = field(default_factory=list)

    def excuse(self, camera: str, begin: float, end: float) -> None:
        """A camera (or "", all) was killed or stalled for so long; then it has ten seconds to come back."""
        self.excused.append((camera, begin, end + LONGEST))

    def windows(self, camera: str) -> list[tuple[float, float]]:
        """(end, share of what was sent) of windows of ten seconds, one each second, in which the camera and the process
        were there all the time."""
        found: list[tuple[float, float]] = []
        rows = self.samples[camera]
        spans = [(b, e) for name, b, e in self.excused if name in ("", camera)]
        for life in sorted({row[0] for row in rows}):
            times, counts = np.array([row[1:] for row in rows if row[0] == life]).T
            for end in np.arange(times[0] + WINDOW, times[-1], 1.0):
                if any(b < end and end - WINDOW < e for b, e in spans):
                    continue
                first, last = np.interp([end - WINDOW, end], times, counts)
                found.append((float(end), float(last - first) / (self.fps * WINDOW)))
        return found

    def judge(self, began: float) -> tuple[dict[str, Any], list[str]]:
        """Figures by camera, and what is wrong; times in seconds from ``began``."""
        figures: dict[str, Any] = {}
        wrong: list[str] = []
        for camera in sorted(self.samples):
            windows = self.windows(camera)
            shares = [share for _, share in windows]
            longest, since, before = 0.0, None, -np.inf
            worst = (0.0, 0.0)
            for end, share in windows:
                since = None if share >= LEAST else since if since is not None and end - before < 1.5 else end
                before = end
                if since is not None and end - since >= longest:
                    longest, worst = end - since, (since, end)
            figures[camera] = {
                "seconds_judged": len(windows),
                "median": round(float(np.median(shares)), 3) if shares else None,
                "least": round(min(shares), 3) if shares else None,
                "windows_below": sum(share < LEAST for share in shares),
                "longest_below": round(longest, 1),
                "longest_at": [round(t - began, 1) for t in worst] if longest else None,
            }
            if longest > LONGEST:
                wrong.append(
                    f"camera '{camera}' was below {LEAST:.0%} of its rate for {longest:.0f} s, from "
                    f"{worst[0] - began:.0f} s on"
                )
            if not shares:
                wrong.append(f"camera '{camera}' has no ten seconds that can be judged")
        return figures, wrong


class Lines:
    """Follows ``results.jsonl``: what was read as a whole line once must stay there, unchanged.

    Args:
        path: The file; it may come later.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._hash = hashlib.sha256()
        self.confirmed: list[tuple[float, int]] = []
        """(when it was read, identity) of ``confirm`` events."""

    def read(self) -> None:
        """Take the lines that have come."""
        if not self.path.exists():
            return
        with open(self.path, "rb") as file:
            file.seek(self.size)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]
        self._hash.update(data)
        self.size += len(data)
        now = time.monotonic()
        for line in data.splitlines():
            if b'"confirm"' in line:
                item = json.loads(line)
                if item.get("kind") == "confirm":
                    self.confirmed.append((now, item["global_id"]))

    def unchanged(self) -> bool:
        """Whether all that was read is still there."""
        with open(self.path, "rb") as file:
            return hashlib.sha256(file.read(self.size)).digest() == self._hash.digest()


def check_files(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Whether the results can be read, and whether any number was given twice."""
    wrong: list[str] = []
    lives, gaps, unreadable, repeated = 0, 0, 0, 0
    who_new: set[int] = set()
    last: dict[str, int] = {}
    tracks: dict[tuple[str, int], int] = {}
    counts = {"person": 0, "event": 0, "end": 0}
    merged: dict[int, int] = {}
    complete = False
    for line in (folder / "results.jsonl").read_bytes().splitlines():
        try:
            item = json.loads(line)
        except ValueError:
            unreadable += 1
            continue
        kind = item["type"]
        counts[kind] = counts.get(kind, 0) + 1
        lives += kind == "header" and not item.get("resumed")
        gaps += kind == "header" and bool(item.get("resumed"))
        if kind == "person":
            camera, frame, track = item["camera"], item["frame"], item["track_id"]
            # All people of one frame are written together.
            if frame < last.get(camera, -1) or (frame == last.get(camera) and tracks.get((camera, -track)) == frame):
                repeated += 1
            last[camera] = frame
            tracks[camera, -track] = frame
            if tracks.setdefault((camera, track), lives) != lives:
                wrong.append(
                    f"track {track} of camera '{camera}' was given in start {tracks[camera, track]} and again in "
                    f"start {lives}"
                )
        elif kind == "event":
            if item["kind"] == "new":
                if item["global_id"] in who_new:
                    wrong.append(f"identity {item['global_id']} was given twice")
                who_new.add(item["global_id"])
            if item["kind"] == "merge":
                merged[item["other_id"]] = item["global_id"]
        complete = kind == "end" and bool(item["complete"])
    wrong += [f"{unreadable} lines of results.jsonl cannot be read"] if unreadable else []
    wrong += [f"{repeated} frame numbers came twice"] if repeated else []
    wrong += [] if complete else ["results.jsonl does not end with a complete 'end'"]
    for path in sorted(folder.rglob("mot/**/*.txt")):
        try:
            rows = read_numbers(path).rows[:, :2] if path.stat().st_size else np.zeros((0, 2))
        except StreamReIDError as error:
            wrong.append(f"{path.name} cannot be read: {error}")
            continue
        wrong += _repeats(f"{path.parent.name}/{path.name}", rows)
    for path in sorted(folder.rglob("results.parquet")):
        table = read_table(path, columns=["camera", "frame", "track_id"], filesystem=LocalFileSystem())
        cameras = np.array(table["camera"].to_pylist())
        rows = np.array([table["frame"].to_numpy(), table["track_id"].to_numpy()]).T
        for camera in sorted(set(cameras.tolist())):
            wrong += _repeats(f"{path.name}, camera '{camera}'", rows[cameras == camera])
        counts["rows"] = counts.get("rows", 0) + len(rows)
    return {
        "starts": lives,
        "resumed": gaps,
        "lines": counts,
        "identities_given": len(who_new),
        "merged": merged,
    }, wrong[:20]


def _repeats(what: str, rows: Any) -> list[str]:
    """What is wrong with the order of ``[N, 2]`` frames and ids."""
    found = []
    if np.any(np.diff(rows[:, 0]) < 0):
        found.append(f"{what}: frame numbers go back")
    if len(np.unique(rows, axis=0)) < len(rows):
        found.append(f"{what}: somebody is there twice in a frame")
    return found


def check_gallery(
    records: Iterable[Any],
    resolve: Callable[[int], int],
    seen: dict[int, float],
    names: dict[int, str],
    confirmed: Sequence[tuple[float, int]],
    bad: Sequence[float],
) -> tuple[dict[str, Any], list[str]]:
    """Whether all that was confirmed is in the gallery.

    Args:
        records: What is there at the end.
        resolve: Who an identity is now, after merges.
        seen: Identities that were read from the gallery at any time, and how old they were then by the right clock,
            seconds.
        names: By identity: names that this process gave and that were confirmed.
        confirmed: (when, identity) of the run's ``confirm`` events.
        bad: Times at which the process or the database began to be away.
    """
    there = {r.global_id: r for r in records}

    def lost(who: int) -> bool:
        return who not in there and resolve(who) not in there

    wrong = [
        f"identity {who} was in the gallery, stored {age:.0f} s before, and is not any more"
        for who, age in sorted(seen.items())
        if lost(who)
    ]
    for who, name in names.items():
        now = there.get(who) or there.get(resolve(who))
        # A merge keeps the name of one of the two.
        if now is None or (now.global_id == who and now.name != name):
            wrong.append(f"identity {who} was named '{name}' and is {'gone' if now is None else repr(now.name)}")
    bad = sorted(bad)
    due = 0
    for when, who in confirmed:
        # Commits are at most a second late (gallery.commit_seconds), and lines are read once a second.
        after = bad[bisect_left(bad, when - 1.0)] if bisect_left(bad, when - 1.0) < len(bad) else float("inf")
        if after - when > 4.0:
            due += 1
            if lost(who):
                wrong.append(
                    f"identity {who} was confirmed {after - when:.0f} s before the next fault that could hinder it "
                    "and is not in the gallery"
                )
    return {
        "identities": len(there),
        "ever_seen": len(seen),
        "names": len(names),
        "confirm_events": len(confirmed),
        "due": due,
    }, wrong[:20]
