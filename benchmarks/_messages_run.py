"""What messages cost a run: the same recording with and without brokers, in turns, at two lengths, so that the time per
frame and the fixed time at the beginning and end are told apart."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from streamreid import Pipeline
from streamreid.config import Config
from streamreid.replay import Replay
from streamreid.replay.replay import replayed_config
from streamreid.runs import run

SHORT, LONG = 60, 240
"""Frames of the two recordings."""


def _replay(cache: Path, section: dict[str, Any], out: Path) -> float:
    """Follow people again from a cache; processor seconds of this process, its threads included."""
    with Replay(cache, replayed_config(cache).with_settings({"messages": section})) as again:
        begin = time.process_time()
        run(again, out)
        return time.process_time() - begin


def _store(config: Config, frames: int, folder: Path) -> float:
    """Run detector and engine, and keep what they find; processor seconds."""
    config = config.with_settings({"cameras.frames": frames})
    with Pipeline(config, cache=folder / f"cache{frames}") as pipeline:
        begin = time.process_time()
        run(pipeline, folder / f"run{frames}")
        return time.process_time() - begin


def measure_run(
    video: str, models: dict[str, str], sections: dict[str, Any], rounds: int, folder: Path
) -> dict[str, Any]:
    """Milliseconds of processor time per frame.

    Args:
        video: A recording.
        models: ``detector.model`` and ``engine.model``, where they are not the usual ones.
        sections: Brokers under ``messages``.
        rounds: Replays of each kind, in turns.
        folder: For caches and results.
    """
    config = Config.from_sources(video).with_settings(models)
    _store(config, 10, folder)  # loads and compiles
    whole = {frames: _store(config, frames, folder) for frames in (SHORT, LONG)}
    with_section: dict[str, dict[str, Any]] = {"without": {}, "with": {**sections, "site": "bench"}}
    least: dict[tuple[str, int], float] = {}
    for number in range(rounds):
        for frames in (SHORT, LONG):
            cache = folder / f"cache{frames}"
            for name, section in with_section.items():
                taken = _replay(cache, section, folder / f"{name}{frames}-{number}")
                least[name, frames] = min(taken, least.get((name, frames), taken))
    slope = {n: 1000 * (least[n, LONG] - least[n, SHORT]) / (LONG - SHORT) for n in with_section}
    added = slope["with"] - slope["without"]
    per_frame = 1000 * (whole[LONG] - whole[SHORT]) / (LONG - SHORT)
    return {
        "ms_per_frame_replay": slope["without"],
        "ms_per_frame_replay_with_messages": slope["with"],
        "ms_per_frame_of_messages": added,
        "fixed_ms_of_messages": 1000 * (least["with", SHORT] - least["without", SHORT]) - SHORT * added,
        "ms_per_frame_whole_run": per_frame,
        "share_of_whole_run": added / per_frame,
    }
