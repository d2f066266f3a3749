"""What the HTTP interface shows of a run, as plain values: cameras, identities, health. Never a password."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import asdict
from typing import Any

from streamreid.cameras.statistics import CameraCount
from streamreid.config import CameraConfig
from streamreid.pipeline import Pipeline
from streamreid.secrets import redact

__all__ = ["camera_view", "health", "identity_views", "readiness", "run_view", "state_of"]

_STUCK_SECONDS = 30.0
"""Seconds without a result after which the run counts as stuck in /healthz."""

TRACKS = 20
"""Shown of each identity in a list."""

TRACKS_OF_ONE = 10_000
"""Shown of an identity that was asked for."""


def state_of(count: CameraCount) -> str:
    """One word: paused, failed, removed, the state of the live source, or reading (files)."""
    if count.removed:
        return "removed"
    if count.paused:
        return "paused"
    if count.error is not None:
        return "failed"
    return count.status.state if count.status is not None else "reading"


def camera_view(pipeline: Pipeline, config: CameraConfig) -> dict[str, Any]:
    """One camera: settings without passwords, state, figures."""
    count = pipeline.statistics.cameras[config.name]
    status, ages = count.status, count.ages.recent()
    view: dict[str, Any] = {
        "name": config.name,
        "uri": redact(config.uri),
        "live": count.live,
        "state": state_of(count),
        "reason": redact(count.error or (status.reason if status is not None else "")),
        "frames": count.frames,
        "dropped": dict(count.drops),
        "tracks": count.tracks,
        "rate": round(pipeline.cameras.turns.rates.get(config.name, 0.0), 2),
        "age": None if ages is None else ages.as_dict(),
        "last_time": count.last_time,
        "clocks": dict(count.clocks),
        "stride": config.stride,
        "transport": config.transport,
        "roi": config.roi,
        "warnings": [redact(w) for w in [*count.warnings, *count.findings]],
    }
    if status is not None:
        view |= {
            "since": round(status.since, 3),
            "size": status.size,
            "clock": status.clock,
            "drift_ppm": None if status.drift is None else round(status.drift, 1),
            "clock_jumps": status.jumps,
            "reconnects": status.reconnects,
            "corrupt_packets": status.corrupt,
        }
    return view


def identity_views(
    pipeline: Pipeline, *, camera: str | None = None, limit: int | None = None, only: int | None = None
) -> list[dict[str, Any]]:
    """Who is remembered, the last seen first.

    Args:
        pipeline: The run.
        camera: Only those seen by this camera.
        limit: At most so many, each with at most `TRACKS` tracks.
        only: This one alone, with up to `TRACKS_OF_ONE` tracks.
    """
    members: dict[int, list[tuple[str, int]]] = defaultdict(list)
    least: dict[int, float] = {}
    identities, seen = pipeline.identities, pipeline.site.entries
    people = identities.people
    for track, (who, probability) in identities.items():
        if who in people and only in (None, who):
            members[who].append(track)
            least[who] = min(probability, least.get(who, 1.0))
    last = {who: found.last_seen or 0.0 for who, found in seen.items()}
    wanted = [who for who, tracks in members.items() if camera is None or any(name == camera for name, _ in tracks)]
    wanted.sort(key=lambda who: (-last.get(who, 0.0), who))
    most = TRACKS if only is None else TRACKS_OF_ONE
    views = []
    for who in wanted[:limit]:
        tracks, entry = members[who], seen.get(who)
        views.append(
            {
                "global_id": who,
                "name": identities.names.get(who),
                "cameras": sorted({name for name, _ in tracks}),
                "tracks": [list(track) for track in sorted(tracks)[-most:]],
                "track_count": len(tracks),
                "probability": round(least[who], 4),
                "confirmed": who in identities.confirmed,
                "staff": who in identities.staff,
                "first_seen": None if entry is None else _rounded(entry.first_seen),
                "last_seen": None if entry is None else _rounded(entry.last_seen),
                "last_camera": None if entry is None else entry.last_camera or None,
            }
        )
    return views


def _rounded(time: float | None) -> float | None:
    return None if time is None else round(time, 3)


def run_view(pipeline: Pipeline) -> dict[str, Any]:
    """The run as a whole."""
    s = pipeline.statistics
    return {
        "detector": pipeline.models[0],
        "engine": pipeline.models[1],
        "seconds": round(s.elapsed, 1),
        "frames": s.frames,
        **asdict(pipeline.people_count),
        "load": round(s.load, 3),
        "overloaded": pipeline.cameras.turns.overloaded,
        "bottleneck": s.bottleneck,
        "busy": {name: round(share, 3) for name, share in s.busy().items()},
        "cameras": {name: state_of(count) for name, count in list(s.cameras.items())},
    }


def health(pipeline: Pipeline) -> tuple[bool, str]:
    """Whether the run goes on: inference came round within the last half minute."""
    silent = time.monotonic() - pipeline.statistics.beat
    if silent > _STUCK_SECONDS:
        return False, f"the pipeline has been stuck for {silent:.0f} s"
    return True, "ok"


def readiness(pipeline: Pipeline) -> tuple[bool, str]:
    """Whether results come: it goes on, and a camera delivers (or there is none yet)."""
    alive, why = health(pipeline)
    if not alive:
        return False, why
    counts = [pipeline.statistics.cameras[c.name] for c in pipeline.cameras.configs]
    wanted = [c for c in counts if not c.paused]
    if not wanted:
        return True, "no camera to read"
    good = sum(state_of(c) in ("connected", "reading") for c in wanted)
    return good > 0, f"{good} of {len(wanted)} cameras deliver"
