"""A configuration in which nothing about its cameras is left open."""

from __future__ import annotations

from streamreid.config import Config
from streamreid.sources import is_live, with_kinds

__all__ = ["RECORDINGS_DELAY", "resolved"]

RECORDINGS_DELAY = 1.0
"""``tracker.delay`` of recordings where it is empty, seconds."""


def resolved(config: Config, *, serving: bool = False) -> Config:
    """Find out what the settings leave to the cameras.

    Args:
        config: Of a run. Addresses that may be recordings are opened.
        serving: Whether live cameras may come, as in `streamreid serve`.

    Returns:
        The same with ``live`` of cameras whose address leads to a recording, and with ``tracker.delay``: where that is
        empty, `RECORDINGS_DELAY` if all cameras are recordings, for which nobody waits, else 0.
    """
    cameras = with_kinds(config.cameras)
    tracker = config.tracker
    if tracker.delay is None:
        live = serving or not cameras or any(is_live(camera) for camera in cameras)
        tracker = tracker.model_copy(update={"delay": 0.0 if live else RECORDINGS_DELAY})
    return config.model_copy(update={"cameras": cameras, "tracker": tracker})
