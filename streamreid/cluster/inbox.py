"""What the site has been sent and has not followed yet, by camera: each update once, in order, from the one worker that
owns the camera."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from streamreid.cluster.update_batch import Ack, CameraUpdates, UpdateBatch
from streamreid.errors import DataError
from streamreid.track_update import TrackedFrame, TrackUpdate

__all__ = ["Channel", "Inbox"]

MOST_WAITING = 256
"""Updates of one camera that wait to be followed; more are left with their worker."""


@dataclass(slots=True)
class Channel:
    """One camera as the site receives it.

    Args:
        worker: Which sends it; empty before the first.
        fence: The highest so far.
        least: Of leases in force when the site began: what was made under an earlier one is refused.
        next: Number of the update that is expected next.
        waiting: Arrival (monotonic seconds) and update.
        released: Frames of recordings whose tracks are known but whose turn has not come.
        received: Updates taken so far.
        lost: Updates that will never come.
        refused: Updates that came under an old lease.
        damaged: Updates that could not be read.
        ended: Whether nothing more comes.
        arrival: When something last came, monotonic seconds.
        next_track: A track id from which none was given.
        next_frame: The same of frame numbers.
    """

    worker: str = ""
    fence: int = 0
    least: int = 0
    next: int = 0
    waiting: deque[tuple[float, TrackUpdate]] = field(default_factory=deque)
    released: deque[TrackedFrame] = field(default_factory=deque)
    received: int = 0
    lost: int = 0
    refused: int = 0
    damaged: int = 0
    ended: bool = False
    arrival: float = 0.0
    next_track: int = 1
    next_frame: int = 0

    def count(self, update: TrackUpdate) -> None:
        """Note the numbers that an update has given."""
        self.received += 1
        if update.frame is not None:
            self.next_frame = max(self.next_frame, update.frame.index + 1)
        tracks = [item.tracks for item in update.observations] + [item.tracks for item in update.released]
        self.next_track = max([self.next_track, *(int(found.ids.max(initial=0)) + 1 for found in tracks)])


class Inbox:
    """The channels of all cameras.

    Args:
        cameras: Names of the cameras of the run.
        live: Whether any is live. Otherwise a camera is read again from its beginning by a new owner, and what has been
            followed of it is passed over.

    Attributes:
        changed: Guards the channels; notified when something has come.
    """

    def __init__(self, cameras: Iterable[str], *, live: bool) -> None:
        self._live = live
        self.changed = threading.Condition(threading.RLock())
        self.channels = {name: Channel() for name in cameras}
        self.removed: deque[str] = deque()
        """Cameras that were taken out, of which the run has not heard yet."""
        self._earlier: dict[str, Channel] = {}
        # Of recordings: number of the last frame that was taken, and of the last one that was released.
        self._newest: dict[str, int] = {}
        self._newest_released: dict[str, int] = {}

    def take(self, batch: UpdateBatch, begin: dict[str, tuple[int, int]]) -> Ack:
        """Take what is new of a batch.

        Args:
            batch: From a worker.
            begin: By camera, where the numbers of a camera begin that is announced.
        """
        expected: dict[str, int] = {}
        refused: dict[str, str] = {}
        again: list[str] = []
        answers: dict[str, tuple[int, int]] = {}
        with self.changed:
            for item in batch.cameras:
                channel = self.channels.get(item.camera)
                if channel is None:
                    refused[item.camera] = "it is not a camera of this run"
                elif item.fence < max(channel.fence, channel.least):
                    channel.refused += len(item.updates)
                    refused[item.camera] = f"worker '{channel.worker}' has a newer lease of it"
                elif item.fence > channel.fence and channel.ended and not self._live:
                    refused[item.camera] = "the site has all of it"
                elif item.fence > channel.fence and item.oldest > 0 and not self._live:
                    again.append(item.camera)  # its first updates are gone, and the order of all cameras needs them
                else:
                    if item.fence > channel.fence:
                        self._change_owner(item, batch.worker)
                    if item.first == 0 and not item.updates:
                        answers[item.camera] = begin.get(item.camera, (1, 0))
                    self._take(channel, item)
                    expected[item.camera] = channel.next
            self.changed.notify_all()
        return Ack(expected, refused, tuple(again), answers, time.time())

    def refuse_before(self, fences: Mapping[str, int]) -> None:
        """Take nothing that was made under leases before these: a site that was started again has forgotten which it
        had seen, and a worker that was cut off meanwhile still has what others have filmed instead.

        Args:
            fences: The newest, by camera.
        """
        with self.changed:
            for camera, fence in fences.items():
                if camera in self.channels:
                    self.channels[camera].least = fence

    def close(self, camera: str) -> None:
        """Nothing more is expected of a camera."""
        with self.changed:
            self.channels[camera].ended = True
            self.changed.notify_all()

    def add(self, camera: str) -> None:
        """Expect another camera. One that was there before goes on with its numbers: none is given twice."""
        with self.changed:
            before = self._earlier.pop(camera, Channel())
            fresh = Channel(fence=before.fence, next_track=before.next_track, next_frame=before.next_frame)
            self.channels.setdefault(camera, fresh).ended = False

    def remove(self, camera: str) -> None:
        """Take nothing more of a camera."""
        with self.changed:
            channel = self.channels.pop(camera, None)
            if channel is not None:
                self._earlier[camera] = channel
                self.removed.append(camera)
            self.changed.notify_all()

    def _change_owner(self, item: CameraUpdates, worker: str) -> None:
        channel = self.channels[item.camera]
        channel.worker, channel.fence, channel.next = worker, item.fence, item.oldest
        if self._live:
            channel.ended = False

    def _take(self, channel: Channel, item: CameraUpdates) -> None:
        now = channel.arrival = time.monotonic()
        if item.oldest > channel.next:
            channel.lost += item.oldest - channel.next
            channel.next = item.oldest
        for data in item.updates[max(channel.next - item.first, 0) :] if item.first <= channel.next else ():
            if len(channel.waiting) >= MOST_WAITING:
                return
            channel.next += 1
            try:
                update = TrackUpdate.from_bytes(data)
            except DataError:  # the batch is as it was sent: the worker made it so, and would again
                channel.damaged += 1
                continue
            channel.count(update)
            if self._live or self._is_new(item.camera, channel, update):
                channel.waiting.append((now, update))
        if item.ended and channel.next == item.first + len(item.updates):
            channel.ended = True

    def _is_new(self, camera: str, channel: Channel, update: TrackUpdate) -> bool:
        """Whether an update of a recording is not one that an earlier owner sent; frames that it releases are kept."""
        for tracked in update.released:
            if tracked.frame.index > self._newest_released.get(camera, -1):
                self._newest_released[camera] = tracked.frame.index
                channel.released.append(tracked)
        if update.frame is None:
            return update.last
        if update.frame.index <= self._newest.get(camera, -1):
            return False
        self._newest[camera] = update.frame.index
        return True
