"""The order in which the site follows updates that come from several workers.

Recordings: exactly the order of one process, which is a merge of all cameras by capture time. It needs the next update
of every camera before it can say which comes first, and waits for it as long as it takes. Ids, probabilities and events
are then those of one process to the last digit.

Live cameras: the order of capture time as far as updates arrive within `_PATIENCE`; nobody is waited for any longer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from streamreid.cameras.memory_trimmer import MemoryTrimmer
from streamreid.cameras.statistics import Statistics
from streamreid.cluster.inbox import Channel, Inbox
from streamreid.pipeline.tracking_stage import until
from streamreid.track_update import TrackedFrame, TrackObservation, TrackUpdate
from streamreid.tracking.fixed_lag import SAME_MOMENT

__all__ = ["live_updates", "recorded_updates"]

_IDLE = 0.5
"""Seconds after which those who wait for results hear that nothing came."""

_PATIENCE = 0.25
"""Seconds that an update of a live camera waits for earlier ones of others: more than two batches of a worker."""

_ACTIVE = 1.0
"""Seconds without an update after which a live camera is not waited for at all."""


def recorded_updates(
    inbox: Inbox, statistics: Statistics, *, delay: float, stopped: Callable[[], bool]
) -> Iterator[TrackUpdate]:
    """All updates of recordings in the order of one process, then the last one.

    Args:
        inbox: Where they come in.
        statistics: Whose ``beat`` tells that the run goes on.
        delay: ``tracker.delay`` of the run.
        stopped: Whether the run is to end early.
    """
    held: dict[str, list[TrackObservation]] = {}
    now = float("-inf")
    ordered = True
    while not stopped():
        statistics.beat = time.monotonic()
        with inbox.changed:
            found = _earliest(inbox)
            if found is None:
                if all(c.ended and not c.waiting for c in inbox.channels.values()):
                    break
                inbox.changed.wait(_IDLE)
        if found is None:
            yield TrackUpdate()
            continue
        camera, update = found
        if update.frame is None:  # the last one of its camera
            held[camera] = [*held.get(camera, []), *update.observations]
            continue
        ordered = ordered and update.frame.time >= now
        now = max(now, update.frame.time)
        with inbox.changed:
            if not delay:
                released = _through(inbox.channels[camera], update.frame.index)
            elif ordered:
                released = _due(inbox, until(update.frame.time, delay))
            else:  # a clock was set back: each camera is released by its own frames
                released = _due(inbox, float("inf"))
        yield replace(update, released=released)
    with inbox.changed:
        rest = _due(inbox, float("inf"))
    observations = [seen for camera in list(inbox.channels) for seen in held.get(camera, [])]
    yield TrackUpdate(observations=tuple(observations), released=rest, last=True)


def _earliest(inbox: Inbox) -> tuple[str, TrackUpdate] | None:
    """Take the next update; None while it cannot be known which that is."""
    channels = inbox.channels
    if any(not channel.waiting and not channel.ended for channel in channels.values()):
        return None
    heads = [(_moment(channel), name) for name, channel in channels.items() if channel.waiting]
    if not heads:
        return None
    name = min(heads)[1]
    return name, channels[name].waiting.popleft()[1]


def _moment(channel: Channel) -> float:
    frame = channel.waiting[0][1].frame
    return float("-inf") if frame is None else frame.time


def _through(channel: Channel, index: int) -> tuple[TrackedFrame, ...]:
    found = []
    while channel.released and channel.released[0].frame.index <= index:
        found.append(channel.released.popleft())
    return tuple(found)


def _due(inbox: Inbox, moment: float) -> tuple[TrackedFrame, ...]:
    """Frames that are released at a moment, in the order of `TrackingStage`."""
    found: list[TrackedFrame] = []
    for channel in inbox.channels.values():
        while channel.released and channel.released[0].frame.time <= moment + SAME_MOMENT:
            found.append(channel.released.popleft())
    return tuple(sorted(found, key=lambda item: (item.frame.time, item.frame.camera)))


def live_updates(inbox: Inbox, statistics: Statistics, *, stopped: Callable[[], bool]) -> Iterator[TrackUpdate]:
    """Updates of live cameras in the order of capture time, as far as they arrive together, until the run is stopped.

    Args:
        inbox: Where they come in.
        statistics: Whose ``beat`` tells that the run goes on.
        stopped: Whether the run is to end.
    """
    idle = time.monotonic()
    memory = MemoryTrimmer()
    while not stopped():
        memory.trim()
        now = statistics.beat = time.monotonic()
        with inbox.changed:
            if inbox.removed:
                found: TrackUpdate | None = TrackUpdate(removed=(inbox.removed.popleft(),))
            else:
                found = _first_of_live(list(inbox.channels.values()), now)
            if found is None:
                inbox.changed.wait(min(_PATIENCE / 2, _IDLE))
        if found is not None:
            idle = now
            yield found
        elif now - idle >= _IDLE:
            idle = now
            yield TrackUpdate()
    yield TrackUpdate(last=True)


def _first_of_live(channels: Sequence[Channel], now: float) -> TrackUpdate | None:
    waiting = [channel for channel in channels if channel.waiting]
    if not waiting:
        return None
    complete = all(channel.waiting or now - channel.arrival > _ACTIVE for channel in channels)
    late = [channel for channel in waiting if now - channel.waiting[0][0] >= _PATIENCE]
    if not complete and not late:
        return None
    # Where one has waited for long enough, whoever is earlier goes first.
    return min(waiting, key=_moment).waiting.popleft()[1]
