"""Where a run begins to count, so that a live run that is started again in the same folder goes on: ids and frame
numbers never repeat.

The numbers are kept in ``state.json``, written once a second together with the lengths of ``results.jsonl`` and
``world.txt`` at that moment (of the segment that was written to, where results come in segments). What all outputs hold
beyond that is read when a run begins: after a crash not even the ids of the last second are given twice, nor, where the
disk was full, those that got into one output while neither another nor ``state.json`` could be written.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamreid.association.learnt_cameras import LearntCameras
from streamreid.corrections import corrections_in
from streamreid.errors import DataError
from streamreid.pipeline.kept_learning import read_learnt
from streamreid.sinks.segments import result_folders
from streamreid.sinks.written_numbers import WrittenNumbers, written_numbers

__all__ = ["STATE", "RunState", "read_begin", "state_of"]

log = logging.getLogger(__name__)

STATE = "state.json"
_MARGIN = 1000
"""Ids left out after a crash where there are no JSON lines to look them up in: more than a second can give."""

_NUMBERED = ("mot", "results.parquet")
"""What holds numbers besides the JSON lines, which alone hold events too."""


@dataclass(slots=True)
class RunState:
    """The first ids and frame numbers to give.

    Args:
        global_id: First global id.
        tracks: First track id by camera (1 for others).
        frames: First frame number by camera (0 for others).
        runs: How many runs were there before.
        learnt: What they learnt of how the cameras relate.
    """

    global_id: int = 1
    tracks: dict[str, int] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)
    runs: int = 0
    learnt: LearntCameras | None = None

    def seen(self, camera: str, *, track: int = 0, frame: int = -1, who: int = 0) -> None:
        """Count numbers as given, so that they are not given again."""
        self.global_id = max(self.global_id, who + 1)
        if camera:
            self.tracks[camera] = max(self.tracks.get(camera, 1), track + 1)
            self.frames[camera] = max(self.frames.get(camera, 0), frame + 1)

    def given(self, found: WrittenNumbers) -> None:
        """Count numbers that were found in results as given."""
        self.seen(found.camera, track=found.track, frame=found.frame, who=found.who)


def state_of(begin: RunState, *, size: int, ended: bool, segment: str = "", world: int = 0) -> dict[str, Any]:
    """What ``state.json`` holds.

    Args:
        begin: The next numbers.
        size: Length of ``results.jsonl`` in bytes, 0 without it.
        ended: Whether the run came to an orderly end.
        segment: Name of the segment that it is in; empty for one that is in the folder itself.
        world: Length of ``world.txt`` in bytes, 0 without it.
    """
    return {
        "schema": 1,
        "ended": ended,
        "runs": begin.runs,
        "global_id": begin.global_id,
        "tracks": begin.tracks,
        "frames": begin.frames,
        "results_bytes": size,
        "world_bytes": world,
        "piece": segment,
    }


def read_begin(folder: Path) -> RunState | None:
    """Where to go on in a folder of results; None if it holds none.

    Raises:
        DataError: ``state.json`` is damaged, and there are no results to look the numbers up in.
    """
    state = folder / STATE
    folders = result_folders(folder)
    lines = [path / "results.jsonl" for path in folders if (path / "results.jsonl").exists()]
    there = bool(lines) or any((path / name).exists() for path in folders for name in _NUMBERED)
    if not state.exists() and not there:
        return None
    begin, sizes, segment, ended = RunState(), (0, 0), "", False
    try:
        if state.exists():
            data = json.loads(state.read_text(encoding="utf-8"))
            begin = RunState(
                int(data["global_id"]), _numbers(data["tracks"]), _numbers(data["frames"]), int(data["runs"])
            )
            sizes = int(data["results_bytes"]), int(data.get("world_bytes", 0))
            ended, segment = bool(data["ended"]), str(data.get("piece", ""))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if not there:
            raise DataError(f"'{state}' is damaged ({error}); choose another folder (--out) or --overwrite") from None
        log.warning("'%s' is damaged; the numbers are looked up in '%s'", state, folders[-1])
        begin, sizes, segment = RunState(), (0, 0), ""
    # Pieces after the one that the state speaks of are new; without that one all are looked at.
    known = next(
        (i for i, path in enumerate(folders) if path.name == segment or (not segment and path == folder)), None
    )
    before = dict(begin.frames)
    for number, path in enumerate(folders[known or 0 :]):
        lines_from, world_from = sizes if number == 0 and known is not None else (0, 0)
        for found in written_numbers(path, before, lines_from=lines_from, world_from=world_from):
            begin.given(found)
    for said in corrections_in(folder):  # who was split off afterwards has a number as well
        begin.seen("", who=max(said.global_id, said.other_id))
    if not lines and not ended:
        begin.global_id += _MARGIN
        begin.tracks = {name: number + _MARGIN for name, number in begin.tracks.items()}
        begin.frames = {name: number + _MARGIN for name, number in begin.frames.items()}
    begin.runs += 1
    begin.learnt = read_learnt(folder)
    return begin


def _numbers(data: Mapping[str, Any]) -> dict[str, int]:
    return {str(name): int(value) for name, value in data.items()}
