"""What a worker has to send, by camera: numbered, bounded, and kept until the site has acknowledged it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from streamreid.cluster.update_batch import CameraUpdates

__all__ = ["MOST_WAITING_BYTES", "Outbox"]

MOST_WAITING_BYTES = 4 << 20
"""Of one camera that wait to be acknowledged: about 250 s of a live camera at 15 KB/s, so that the site may be away for
four minutes before anything is lost; 100 cameras of a worker need 400 MB then."""

_MOST_RECORDED = 256
"""Updates of a recording that wait: its frames are there again later, so a few seconds are enough."""


@dataclass(slots=True)
class _Queue:
    fence: int
    live: bool
    oldest: int = 0  # number of the first of `updates`
    sent: int = 0  # number of the next one to send
    updates: deque[bytes] = field(default_factory=deque)
    bytes: int = 0
    lost: int = 0
    ended: bool = False
    announced: bool = False
    end_taken: bool = False

    @property
    def next(self) -> int:
        return self.oldest + len(self.updates)

    def drop(self) -> None:
        self.bytes -= len(self.updates.popleft())
        self.oldest += 1
        self.sent = max(self.sent, self.oldest)

    @property
    def full(self) -> bool:
        return self.bytes >= MOST_WAITING_BYTES or (not self.live and len(self.updates) >= _MOST_RECORDED)


class Outbox:
    """Updates of all cameras of a worker. All methods may be called from any thread.

    A camera may have several queues, one for each lease under which something was made that is still to be sent; they
    are sent one after the other, oldest lease first.

    Args:
        wake: Set when there is something that should not wait for the next regular batch.
    """

    def __init__(self, wake: threading.Event) -> None:
        self.wake = wake
        self._condition = threading.Condition()
        self._queues: dict[str, list[_Queue]] = {}

    def open(self, camera: str, fence: int, *, live: bool) -> None:
        """Begin with a camera under a new lease. What is left of a live one under an earlier lease is sent before; a
        recording begins anew."""
        with self._condition:
            earlier = [q for q in self._queues.get(camera, []) if q.updates] if live else []
            self._queues[camera] = [*earlier[-1:], _Queue(fence, live)]
            self._condition.notify_all()
        self.wake.set()

    def _find(self, camera: str, fence: int) -> _Queue | None:
        return next((q for q in self._queues.get(camera, ()) if q.fence == fence), None)

    def put(self, camera: str, fence: int, update: bytes) -> bool:
        """Add an update. Where there is no room, a live camera loses its oldest one, and a recording waits.

        Returns:
            Whether the camera is still open under that lease; otherwise the update is given up.
        """
        with self._condition:
            while True:
                queue = self._find(camera, fence)
                if queue is None or queue.ended:
                    return False
                if not queue.full:
                    break
                self.wake.set()
                if queue.live:
                    queue.drop()
                    queue.lost += 1
                else:
                    self._condition.wait(1.0)
            queue.updates.append(update)
            queue.bytes += len(update)
            if 2 * len(queue.updates) >= _MOST_RECORDED and not queue.live:
                self.wake.set()
        return True

    def end(self, camera: str, fence: int) -> None:
        """Nothing more comes of a recording."""
        with self._condition:
            queue = self._find(camera, fence)
            if queue is not None:
                queue.ended = True
        self.wake.set()

    def close(self, camera: str, fence: int | None = None) -> None:
        """Give up what was made under a lease, or under all leases of a camera, and was not acknowledged."""
        with self._condition:
            left = [q for q in self._queues.pop(camera, []) if fence is not None and q.fence != fence]
            if left:
                self._queues[camera] = left
            self._condition.notify_all()

    def collect(self, most: int) -> tuple[CameraUpdates, ...]:
        """What is to be sent now.

        Args:
            most: Bytes of all updates together, at most (but one update at least).
        """
        found = []
        with self._condition:
            share = max(most // max(len(self._queues), 1), 1)  # so that a long queue does not hold up the others
            for camera, queues in self._queues.items():
                while len(queues) > 1 and not queues[0].updates:
                    del queues[0]
                queue = queues[0]
                updates: list[bytes] = []
                size = 0
                for number in range(queue.sent - queue.oldest, len(queue.updates)):
                    size += len(queue.updates[number])
                    if size > share and updates:
                        break
                    updates.append(queue.updates[number])
                first, queue.sent = queue.sent, queue.sent + len(updates)
                ended = queue.ended and queue.sent == queue.next and not queue.end_taken
                if updates or ended or not queue.announced:
                    found.append(CameraUpdates(camera, queue.fence, queue.oldest, first, tuple(updates), ended))
        return tuple(found)

    def acknowledge(self, sent: Iterable[CameraUpdates], expected: dict[str, int]) -> None:
        """Forget what the site has taken; sending goes on with what it expects.

        Args:
            sent: What ``collect`` gave.
            expected: The site's answer, see `Ack`.
        """
        with self._condition:
            for item in sent:
                queue = self._find(item.camera, item.fence)
                if queue is None or item.camera not in expected:
                    continue
                queue.announced = True
                number = expected[item.camera]
                while queue.updates and queue.oldest < number:
                    queue.drop()
                queue.sent = min(max(number, queue.oldest), queue.next)
                queue.end_taken = item.ended and queue.sent == queue.next
                if len(self._queues[item.camera]) > 1 and not queue.updates:
                    self.wake.set()  # the next lease's turn
            self._condition.notify_all()

    def send_again(self) -> None:
        """Nobody knows what the site has got of what was sent: everything that is not acknowledged is sent again."""
        with self._condition:
            for queue in (q for queues in self._queues.values() for q in queues):
                queue.sent, queue.announced, queue.end_taken = queue.oldest, False, False

    def waiting(self, camera: str) -> tuple[int, int]:
        """Updates of a camera that are not acknowledged, and those that were lost."""
        with self._condition:
            queues = self._queues.get(camera, ())
            return sum(len(q.updates) for q in queues), sum(q.lost for q in queues)
