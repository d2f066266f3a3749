"""What happens, for those who listen: a ring of events with running numbers.

Whoever publishes appends to the ring and is done; each listener keeps only its own place in it. A slow or dead listener
costs nothing and holds nobody up; what it missed is counted and said.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Event", "EventHub", "Topic"]

Topic = Literal["identity", "camera", "people", "place"]
"""``identity``: who is who changed. ``camera``: a camera came, went or changed its state. ``people``: everybody in one
frame. ``place``: something happened at a zone or line."""

_LENGTH = 2000
"""Events kept for listeners that come back."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Args:
        number: From 1, without gaps.
        topic: Which kind.
        data: What JSON can say.
    """

    number: int
    topic: Topic
    data: dict[str, Any]


class EventHub:
    """The newest events, for any number of listeners.

    Args:
        length: Events kept.
    """

    def __init__(self, length: int = _LENGTH) -> None:
        self._ring: deque[Event] = deque(maxlen=length)
        self._lock = threading.Lock()
        self._number = 0
        self._listeners: Counter[str] = Counter()
        self.closed = False

    @property
    def number(self) -> int:
        """Of the newest event, 0 before the first."""
        with self._lock:
            return self._number

    def wanted(self, topic: Topic) -> bool:
        """Whether anybody listens to a topic now; for events that are dear to make."""
        return self._listeners[topic] > 0

    @contextmanager
    def listening(self, topics: Collection[Topic]) -> Iterator[None]:
        """Count a listener while inside."""
        with self._lock:
            self._listeners.update(topics)
        try:
            yield
        finally:
            with self._lock:
                self._listeners.subtract(topics)

    @property
    def listeners(self) -> int:
        """How many listen to the topic that most listen to."""
        with self._lock:
            return max(self._listeners.values(), default=0)

    def publish(self, topic: Topic, data: dict[str, Any]) -> None:
        """Tell an event. Never waits for listeners."""
        with self._lock:
            self._number += 1
            self._ring.append(Event(self._number, topic, data))

    def after(self, number: int, topics: Collection[Topic]) -> tuple[list[Event], int, int]:
        """What happened since an event.

        Args:
            number: The last event that was heard.
            topics: What is wanted.

        Returns:
            The events, the number to ask with next, and how many events of any topic were missed because the ring had
            gone on.
        """
        with self._lock:
            newest = self._number
            if number >= newest:
                return [], newest, 0
            first = self._ring[0].number
            lost = max(0, first - number - 1)
            events = [self._ring[i] for i in range(max(0, number + 1 - first), len(self._ring))]
        return [e for e in events if e.topic in topics], newest, lost

    def close(self) -> None:
        """Let listeners know that nothing more will come."""
        self.closed = True
