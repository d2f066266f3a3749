"""An outbox with the threads that empty it."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Sequence

from streamreid._threads import Thread
from streamreid.messages.deliveries import DeliveryState
from streamreid.messages.delivery import Broker, Delivery
from streamreid.messages.outbox import Outbox

__all__ = ["Courier"]

log = logging.getLogger(__name__)

_HOUSEKEEPING = 0.25
"""Seconds between two times that positions are kept and delivered messages deleted: what was delivered since is sent
again after a crash."""

_SAID_EVERY = 60.0
"""Seconds between two warnings that messages are given up."""


class Courier:
    """One delivery per broker, and the housekeeping of the outbox.

    Args:
        outbox: Where messages wait; it is closed by `close`.
        brokers: Who gets them.
    """

    def __init__(self, outbox: Outbox, brokers: Sequence[Broker]) -> None:
        self._outbox = outbox
        self.deliveries = [Delivery(outbox, broker, outbox.positions[broker.name]) for broker in brokers]
        self._over = threading.Event()
        self._said = -_SAID_EVERY
        self._lost = 0
        self._problem = ""
        self._thread = Thread(target=self._keep_house, name="messages-outbox", daemon=True)
        for delivery in self.deliveries:
            delivery.state.waiting = delivery.waiting

    @property
    def states(self) -> list[DeliveryState]:
        """How the deliveries go; the objects are kept up to date."""
        return [delivery.state for delivery in self.deliveries]

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()
        for delivery in self.deliveries:
            delivery.start()

    def notify(self) -> None:
        """There are new messages."""
        for delivery in self.deliveries:
            delivery.notify()

    def close(self, seconds: float, *, remove: bool = False) -> None:
        """Deliver what waits, for so many seconds at most; then end.

        Args:
            seconds: How long to wait.
            remove: Delete the outbox if nothing waits.
        """
        deadline = time.monotonic() + seconds
        for delivery in self.deliveries:
            delivery.finish(deadline)
        for delivery in self.deliveries:
            delivery.join(max(0.0, deadline - time.monotonic()) + 1.0)
        self._over.set()
        self._thread.join(5.0)
        self._settle()
        self._outbox.close(remove=remove)

    def _keep_house(self) -> None:
        while not self._over.wait(_HOUSEKEEPING):
            self._settle()

    def _settle(self) -> None:
        try:
            floor = self._outbox.acknowledge({d.broker.name: d.acknowledged for d in self.deliveries})
            for delivery in self.deliveries:
                self._lost += delivery.raise_to(floor)
                delivery.state.waiting = delivery.waiting
                delivery.state.oldest_seconds = (
                    self._outbox.oldest_age(delivery.position) if delivery.state.waiting else 0.0
                )
            self._problem = ""
        except sqlite3.Error as error:
            if str(error) != self._problem:
                log.error("messages: the outbox cannot be kept in order: %s", error)
            self._problem = str(error)
        if self._lost and (time.monotonic() - self._said >= _SAID_EVERY or self._over.is_set()):
            self._said = time.monotonic()
            counts = ", ".join(f"{d.broker.name} {d.state.given_up}" for d in self.deliveries if d.state.given_up)
            log.error(
                "messages: more waits than the outbox may hold (messages.outbox.max_size, max_age); the oldest are "
                "given up, so far: %s",
                counts,
            )
            self._lost = 0
