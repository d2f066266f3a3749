"""One broker gets what waits for it, in a thread of its own: in order, again until the broker has it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from streamreid._threads import Thread
from streamreid.errors import StreamReIDError
from streamreid.messages.deliveries import DeliveryState
from streamreid.messages.envelope import Message
from streamreid.messages.outbox import Outbox, OutboxReader
from streamreid.secrets import redact

__all__ = ["Broker", "BrokerError", "Delivery", "MessageRefused", "More"]

log = logging.getLogger(__name__)

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 15.0
"""Seconds between two attempts: doubled from the first to the longest, and from the start after a success."""

_IDLE = 0.5
"""Seconds between two looks at a connection on which nothing is sent."""

_STREAM_SECONDS = 2.0
"""Seconds in which messages are sent one after the other before all confirmations are waited for and the connection is
looked at: waiting for the last ones takes up to 45 ms (brokers' and this machine's TCP wait for one another)."""

REFUSALS = 5
"""So often a message is offered that the broker calls wrong (too large, malformed) before it is given up: one message
must not hold up all others for ever."""


More = Callable[[int], Sequence[Message]]
"""Says how many messages more the broker has confirmed, and returns the next ones to send, in order; none where no
more wait."""


class BrokerError(StreamReIDError):
    """A broker cannot be reached, or does not take messages.

    Args:
        text: What happened and what to do.
        delivered: How many messages, from the first one of which that is not said yet, the broker has.
    """

    def __init__(self, text: str, *, delivered: int = 0) -> None:
        super().__init__(redact(text))
        self.delivered = delivered


class MessageRefused(BrokerError):
    """A broker does not take one message, however often it is offered: it is too large or malformed."""


class Broker(Protocol):
    """A connection to a broker. Used by one thread; ``close`` and ``open`` may follow one another many times."""

    name: str
    """The key of its section: mqtt, kafka, ..."""

    batch: int
    """Messages at most that are sent and not confirmed yet."""

    recall: float
    """Seconds: a broker that dies may lose what it confirmed so shortly before. When the connection is lost, that is
    sent again."""

    @property
    def unacknowledged(self) -> int | None:
        """Number of the first message of which something follows that is not told yet (a retained state): after a crash
        it is to be sent again."""

    def open(self) -> None:
        """Connect and log in.

        Raises:
            BrokerError: That is not possible.
        """

    def check(self) -> None:
        """Ask whether messages would be taken, as far as that can be known without sending one.

        Raises:
            BrokerError: They would not.
        """

    def send(self, messages: Sequence[Message], more: More | None = None) -> None:
        """Send messages and wait until the broker has confirmed all of them.

        Args:
            messages: In order.
            more: Brokers that confirm late ask it, while they wait, for messages to send in the meantime; others do
                not use it.

        Raises:
            MessageRefused: The message behind those that were delivered is wrong for this broker.
            BrokerError: Not all were confirmed.
        """

    def idle(self) -> None:
        """Called now and then: say what else is to be said.

        Raises:
            BrokerError: The connection is lost.
        """

    def close(self, *, goodbye: bool = False) -> None:
        """Disconnect; never raises.

        Args:
            goodbye: The run is over; otherwise the connection failed.
        """


class Delivery:
    """Sends an outbox's messages to a broker.

    Args:
        outbox: Where they wait.
        broker: Who gets them.
        position: Number of the last message that the broker has.

    Attributes:
        state: How that goes.
    """

    def __init__(self, outbox: Outbox, broker: Broker, position: int) -> None:
        self.broker = broker
        self.state = DeliveryState(broker.name)
        self._outbox = outbox
        self._lock = threading.Lock()
        self._position = self._highest = self._recalled = position
        self._recent: deque[tuple[float, int]] = deque()
        self._news = threading.Event()
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._connected = False
        self._refusals: tuple[int, int] = (0, 0)
        self._next_look = 0.0
        self._thread = Thread(target=self._run, name=f"messages-{broker.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def position(self) -> int:
        """Number of the last message that the broker has or that was given up. Recalls lower it."""
        return self._position

    @property
    def acknowledged(self) -> int:
        """Number of the last message that need not be sent again after a crash."""
        first = self.broker.unacknowledged
        with self._lock:
            self._forget()
            position = self._recent[0][1] if self._recent else self._position
        return position if first is None else min(position, first - 1)

    @property
    def waiting(self) -> int:
        """How many messages the broker does not have."""
        return self._outbox.last - self._position

    def notify(self) -> None:
        """There are new messages."""
        self._news.set()

    def raise_to(self, floor: int) -> int:
        """Messages up to a number are no longer there; how many of them the broker did not get."""
        with self._lock:
            lost = max(0, floor - self._highest)
            self._position = max(self._position, floor)
            self._highest = max(self._highest, floor)
            self.state.given_up += lost
        return lost

    def finish(self, deadline: float) -> None:
        """Go on until all is delivered, or until ``deadline`` (monotonic clock)."""
        self._deadline = deadline
        self._closing.set()
        self._news.set()

    def join(self, timeout: float) -> bool:
        """Wait for the thread; whether it has ended."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    # ---------------------------------------------------------------- the thread

    def _run(self) -> None:
        reader = self._outbox.reader()
        wait = _FIRST_WAIT
        try:
            while not self._over():
                try:
                    self._open()
                    if not self._over():  # connecting may have taken long
                        self._step(reader)
                    wait = _FIRST_WAIT
                except Exception as error:  # also what no client library documents: everything is tried again
                    self._failed(error)
                    self._pause(wait)
                    wait = min(2 * wait, _LONGEST_WAIT)
        finally:
            self.broker.close(goodbye=True)
            self.state.connected = False
            with self._lock:
                self._recent.clear()
            reader.close()

    def _over(self) -> bool:
        if not self._closing.is_set():
            return False
        return time.monotonic() >= self._deadline or (self.waiting <= 0 and self.broker.unacknowledged is None)

    def _open(self) -> None:
        if not self._connected:
            self.broker.open()
            self._connected = True

    def _works(self) -> None:
        """The broker took what it was given: only that says that it is there again (a webhook has no connection)."""
        if self.state.error:
            log.warning("messages: %s takes messages again; %d wait", self.broker.name, self.waiting)
        self.state.error = None
        self.state.connected = True

    def _step(self, reader: OutboxReader) -> None:
        self._news.clear()
        batch = reader.read(self._position, self.broker.batch)
        if batch:
            self._send(batch, reader)
        self._rest()

    def _send(self, batch: Sequence[Message], reader: OutboxReader) -> None:
        """Send a batch, and what else comes while it is confirmed."""
        on_way = deque(batch)
        end = min(time.monotonic() + _STREAM_SECONDS, self._deadline)

        def confirmed(count: int) -> None:
            self._advance([on_way.popleft() for _ in range(min(count, len(on_way)))])

        def more(count: int) -> Sequence[Message]:
            last = on_way[-1].sequence if on_way else self._position
            confirmed(count)
            room = self.broker.batch - len(on_way)
            if room <= 0 or last >= self._outbox.last or time.monotonic() >= end:
                return ()
            following = reader.read(last, room)
            on_way.extend(following)
            return following

        try:
            self.broker.send(batch, more)
        except BrokerError as error:
            confirmed(error.delivered)
            if isinstance(error, MessageRefused):
                self._refused(on_way[0], error)
                return
            raise
        confirmed(len(on_way))
        self._works()

    def _rest(self) -> None:
        """Look at the connection now and then, and wait for news where nothing waits."""
        now = time.monotonic()
        if now >= self._next_look or self._closing.is_set():
            self.broker.idle()
            self._works()
            self._next_look = now + _IDLE
        if self.waiting <= 0 and not self._over():
            self._news.wait(max(0.0, self._next_look - now))

    def _advance(self, delivered: Sequence[Message]) -> None:
        if not delivered:
            return
        with self._lock:
            if self.broker.recall:
                self._recent.append((time.monotonic(), self._position))
            last = delivered[-1].sequence
            self._position = max(self._position, last)
            self.state.delivered += max(0, last - self._highest)
            self._highest = max(self._highest, last)

    def _forget(self) -> None:
        """Messages that were confirmed long enough ago are not recalled."""
        while self._recent and time.monotonic() - self._recent[0][0] > self.broker.recall:
            self._recent.popleft()

    def _recall(self) -> None:
        """Go back to before what was confirmed last; no message is sent again twice for that."""
        with self._lock:
            self._forget()
            if self._recent:
                self._position = min(self._position, max(self._recent[0][1], self._recalled))
                self._recalled = self._highest
            self._recent.clear()

    def _refused(self, message: Message, error: MessageRefused) -> None:
        """A message that is wrong for the broker: offer it a few times, then go on behind it."""
        number, times = self._refusals
        times = times + 1 if number == message.sequence else 1
        self._refusals = message.sequence, times
        if times < REFUSALS:
            raise error
        with self._lock:
            self._position = max(self._position, message.sequence)
            self._highest = max(self._highest, self._position)
            self.state.refused += 1
        log.error("messages: %s does not take message %s, which is given up: %s", self.broker.name, message.id, error)

    def _failed(self, error: Exception) -> None:
        reason = redact(error) if isinstance(error, StreamReIDError) else f"{type(error).__name__}: {redact(error)}"
        if reason != self.state.error:
            log.warning("messages: %s: %s; %d wait, and it is tried again", self.broker.name, reason, self.waiting)
        self._recall()
        self.state.error = reason
        self.state.failures += 1
        self.state.connected = self._connected = False
        self.broker.close()

    def _pause(self, seconds: float) -> None:
        end = min(time.monotonic() + seconds, self._deadline)
        if self._closing.is_set():
            time.sleep(max(0.0, min(seconds, end - time.monotonic())))
        else:
            self._closing.wait(max(0.0, end - time.monotonic()))
