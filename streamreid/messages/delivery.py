"""One broker gets what waits for it, in a thread of its own: in order, again until the broker has it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Protocol

from streamreid._threads import Thread
from streamreid.errors import StreamReIDError
from streamreid.messages.deliveries import DeliveryState
from streamreid.messages.envelope import Message
from streamreid.messages.outbox import Outbox, OutboxReader
from streamreid.secrets import redact

__all__ = ["Broker", "BrokerError", "Delivery", "MessageRefused"]

log = logging.getLogger(__name__)

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 15.0
"""Seconds between two attempts: doubled from the first to the longest, and from the start after a success."""

_IDLE = 0.5
"""Seconds between two looks at a connection on which nothing is sent."""

REFUSALS = 5
"""So often a message is offered that the broker calls wrong (too large, malformed) before it is given up: one message
must not hold up all others for ever."""


class BrokerError(StreamReIDError):
    """A broker cannot be reached, or does not take messages.

    Args:
        text: What happened and what to do.
        delivered: How many messages of the batch, from its beginning, the broker has.
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
    """Messages that are sent before their confirmations are waited for."""

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

    def send(self, messages: Sequence[Message]) -> None:
        """Send messages and wait until the broker has confirmed all of them.

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
        self._position = position
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
        """Number of the last message that the broker has, or that was given up."""
        return self._position

    @property
    def acknowledged(self) -> int:
        """Number of the last message that need not be sent again after a crash."""
        first = self.broker.unacknowledged
        return self._position if first is None else min(self._position, first - 1)

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
            lost = max(0, floor - self._position)
            self._position += lost
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
            try:
                self.broker.send(batch)
            except BrokerError as error:
                self._advance(batch[: error.delivered])
                if isinstance(error, MessageRefused):
                    self._refused(batch[error.delivered], error)
                    return
                raise
            self._advance(batch)
            self._works()
        if len(batch) < self.broker.batch:
            self._rest()

    def _rest(self) -> None:
        """Nothing waits: look at the connection now and then, and wait for news."""
        now = time.monotonic()
        if now >= self._next_look or self._closing.is_set():
            self.broker.idle()
            self._works()
            self._next_look = now + _IDLE
        if not self._over():
            self._news.wait(max(0.0, self._next_look - now))

    def _advance(self, delivered: Sequence[Message]) -> None:
        if not delivered:
            return
        with self._lock:
            fresh = max(0, delivered[-1].sequence - self._position)
            self._position += fresh
            self.state.delivered += fresh

    def _refused(self, message: Message, error: MessageRefused) -> None:
        """A message that is wrong for the broker: offer it a few times, then go on behind it."""
        number, times = self._refusals
        times = times + 1 if number == message.sequence else 1
        self._refusals = message.sequence, times
        if times < REFUSALS:
            raise error
        with self._lock:
            self._position = max(self._position, message.sequence)
            self.state.refused += 1
        log.error("messages: %s does not take message %s, which is given up: %s", self.broker.name, message.id, error)

    def _failed(self, error: Exception) -> None:
        reason = redact(error) if isinstance(error, StreamReIDError) else f"{type(error).__name__}: {redact(error)}"
        if reason != self.state.error:
            log.warning("messages: %s: %s; %d wait, and it is tried again", self.broker.name, reason, self.waiting)
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
