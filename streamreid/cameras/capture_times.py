"""Recordings beside live cameras: only where their capture times mean the same.

A recording's times begin at 0, a live camera's are dates. Followed together, people of the recording would be decades
old: nobody in it could keep an identity. A recording is therefore played as a camera (``live: true``), or says when it
began, not longer ago than tracks are compared.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timezone

from streamreid.config import CameraConfig
from streamreid.errors import ConfigError
from streamreid.secrets import redact
from streamreid.sources import is_live

__all__ = ["check_mixed", "is_mixed", "mixing_problems"]

_LEAST_DATE = 366 * 86_400.0
"""Seconds after 1970; a recording that begins before that was given no date, at most an offset."""

_NAMES = 3
"""Live cameras named in a message."""


def is_mixed(cameras: Iterable[CameraConfig]) -> bool:
    """Whether some cameras are live and others recordings."""
    return len({is_live(camera) for camera in cameras}) > 1


def mixing_problems(
    cameras: Iterable[CameraConfig], *, window: float, now: float | None = None, serving: bool = False
) -> dict[str, str]:
    """Recordings whose capture times do not fit to the live cameras beside them, each with why and the remedy.

    Args:
        cameras: All cameras of a run.
        window: Seconds over which tracks are compared (``association.window``).
        now: UTC seconds; default this machine's clock.
        serving: Live cameras may come, as in `streamreid serve`: a recording must say when it began also where there is
            none yet.
    """
    cameras, now = list(cameras), time.time() if now is None else now
    live = [camera.name for camera in cameras if is_live(camera)]
    if not live:
        return (
            {camera.name: _undated(camera, now) for camera in cameras if camera.begin < _LEAST_DATE} if serving else {}
        )
    names = ", ".join(live[:_NAMES]) + (", ..." if len(live) > _NAMES else "")
    return {
        camera.name: f"{redact(camera.uri)} is a recording beside live cameras ({names}), and {why}. "
        "Play it as a camera (live: true), or follow it in a run of its own"
        for camera in cameras
        if not is_live(camera) and (why := _why(camera.begin, window, now))
    }


def check_mixed(cameras: Iterable[CameraConfig], *, window: float, where: str = "", serving: bool = False) -> None:
    """Refuse recordings whose capture times do not fit to the live cameras beside them.

    Args:
        cameras: All cameras of a run.
        window: Seconds over which tracks are compared (``association.window``).
        where: Name of the file, for the message.
        serving: See `mixing_problems`.

    Raises:
        ConfigError: One line per recording, with the remedy.
    """
    problems = mixing_problems(cameras, window=window, serving=serving)
    if problems:
        prefix = f"{where}: " if where else ""
        raise ConfigError("\n".join(f"{prefix}camera '{name}': {why}" for name, why in problems.items()))


def _why(begin: float, window: float, now: float) -> str:
    if abs(now - begin) <= window:
        return ""
    date = _date(begin)
    if begin < _LEAST_DATE:
        example = _example(now)
        return (
            f"its times begin at {begin:g} s, which is {date}; with 'start_time: {example}' it may begin at most "
            f"{window:g} s from now"
        )
    side = "ago" if begin < now else "ahead"
    return (
        f"it begins at {date}, {abs(now - begin):.0f} s {side}: tracks are compared over {window:g} s "
        "(association.window)"
    )


def _undated(camera: CameraConfig, now: float) -> str:
    return (
        f"{redact(camera.uri)} is a recording that does not say when it began, and no camera here is live: its times "
        f"would be those of 1970. Play it as a camera (live: true), say when it began (start_time: {_example(now)}), "
        "or follow it with `streamreid run`"
    )


def _example(now: float) -> str:
    return f"{datetime.fromtimestamp(now, timezone.utc):%Y-%m-%dT%H:%M:%S}"


def _date(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s after 1970"
