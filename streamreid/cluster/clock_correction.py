"""Capture times of a machine whose clock is wrong, on the site's clock."""

from __future__ import annotations

from dataclasses import replace

from streamreid.track_update import TrackedFrame, TrackUpdate
from streamreid.types import Frame

__all__ = ["on_clock_of_site"]


def on_clock_of_site(update: TrackUpdate, ahead: float) -> TrackUpdate:
    """An update with the capture times that a right clock would have given. Times that come from a camera's own clock
    stay as they are.

    Args:
        update: Of a live camera.
        ahead: Seconds by which this machine's clock is ahead of the site's.
    """
    if not ahead:
        return update
    camera_clock = update.frame is not None and update.frame.clock == "rtcp"
    return replace(
        update,
        frame=None if update.frame is None else _frame(update.frame, ahead),
        observations=update.observations
        if camera_clock
        else tuple([replace(item, time=item.time - ahead) for item in update.observations]),
        released=tuple([_released(item, ahead) for item in update.released]),
    )


def _released(item: TrackedFrame, ahead: float) -> TrackedFrame:
    return replace(item, frame=_frame(item.frame, ahead))


def _frame(frame: Frame, ahead: float) -> Frame:
    return frame if frame.clock == "rtcp" else replace(frame, time=frame.time - ahead)
