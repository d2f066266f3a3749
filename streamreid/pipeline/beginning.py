"""Where a run begins to count, so that a live run that is started again in the same folder goes on: ids and frame numbers never repeat.

The numbers are kept in ``state.json``, written once a second together with the length of ``results.jsonl`` at that moment (of the piece that was written
to, where results come in pieces). After a crash the lines behind that length are read once more, so that not even the ids of the last second are given twice.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamreid.errors import DataError
from streamreid.sinks.pieces import result_folders

__all__ = ["STATE", "Begin", "read_begin", "state_of"]

log = logging.getLogger(__name__)

STATE = "state.json"
_MARGIN = 1000
"""Ids left out after a crash where there are no JSON lines to look them up in: more than a second can give."""


@dataclass(slots=True)
class Begin:
    """The first ids and frame numbers to give.

    Args:
        global_id: First global id.
        tracks: First track id by camera (1 for others).
        frames: First frame number by camera (0 for others).
        runs: How many runs were there before.
    """

    global_id: int = 1
    tracks: dict[str, int] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)
    runs: int = 0

    def seen(self, camera: str, *, track: int = 0, frame: int = -1, who: int = 0) -> None:
        """These were given already."""
        self.global_id = max(self.global_id, who + 1)
        if camera:
            self.tracks[camera] = max(self.tracks.get(camera, 1), track + 1)
            self.frames[camera] = max(self.frames.get(camera, 0), frame + 1)


def state_of(begin: Begin, *, size: int, ended: bool, piece: str = "") -> dict[str, Any]:
    """What ``state.json`` holds.

    Args:
        begin: The next numbers.
        size: Length of ``results.jsonl`` in bytes, 0 without it.
        ended: Whether the run came to an orderly end.
        piece: Name of the piece that it is in; empty for one that is in the folder itself.
    """
    return {
        "schema": 1,
        "ended": ended,
        "runs": begin.runs,
        "global_id": begin.global_id,
        "tracks": begin.tracks,
        "frames": begin.frames,
        "results_bytes": size,
        "piece": piece,
    }


def read_begin(folder: Path) -> Begin | None:
    """Where to go on in a folder of results; None if it holds none.

    Raises:
        DataError: ``state.json`` is damaged, and there are no JSON lines instead.
    """
    state = folder / STATE
    results = [path / "results.jsonl" for path in result_folders(folder) if (path / "results.jsonl").exists()]
    if not state.exists() and not results:
        return None
    begin, start, piece, ended = Begin(), 0, "", False
    try:
        if state.exists():
            data = json.loads(state.read_text(encoding="utf-8"))
            begin = Begin(int(data["global_id"]), _numbers(data["tracks"]), _numbers(data["frames"]), int(data["runs"]))
            start, ended, piece = int(data["results_bytes"]), bool(data["ended"]), str(data.get("piece", ""))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if not results:
            raise DataError(f"'{state}' is damaged ({error}); choose another folder (--out) or --overwrite") from None
        log.warning("'%s' is damaged; the numbers are looked up in '%s'", state, results[-1])
        begin, start, piece = Begin(), 0, ""
    # Pieces after the one that the state speaks of are new; without that one all are looked at.
    known = next((i for i, path in enumerate(results) if path.parent.name == piece or (not piece and path.parent == folder)), None)
    for path in results[known or 0 :]:
        _read_on(path, start if path is results[known or 0] and known is not None else 0, begin)
    if not results and not ended:
        begin.global_id += _MARGIN
        begin.tracks = {name: number + _MARGIN for name, number in begin.tracks.items()}
        begin.frames = {name: number + _MARGIN for name, number in begin.frames.items()}
    begin.runs += 1
    return begin


def _numbers(data: Mapping[str, Any]) -> dict[str, int]:
    return {str(name): int(value) for name, value in data.items()}


def _read_on(path: Path, start: int, begin: Begin) -> None:
    """Look the numbers up in the lines from byte ``start`` on. A line that was cut off is passed over."""
    with open(path, "rb") as file:
        file.seek(start if start <= path.stat().st_size else 0)
        for line in file:
            try:
                item = json.loads(line)
                kind = item.get("type")
                if kind == "person":
                    begin.seen(item["camera"], track=item["track_id"], frame=item["frame"], who=item["global_id"] or 0)
                elif kind == "event":
                    begin.seen(item["camera"] or "", track=item["track_id"] or 0, who=max(item["global_id"], item["other_id"] or 0))
                elif kind in ("identity", "unlinked") and item["global_id"]:
                    begin.seen("", who=item["global_id"])
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
