"""Requests that wait in a process until another one fetches and answers them.

Workers are called by the site's process, and never call it: there a call needs nothing but the handle that started the
worker. What a worker wants to say therefore waits here until the site's next call, which takes it along and brings the
answers to what was asked before.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from streamreid.cluster.leases import Lease, LeaseChange, LeaseHeld, LeasesAway
from streamreid.errors import ClusterError

_TRIES = 4
"""Requests about a lease in the time that it lasts: an answer may be lost on its way."""

__all__ = ["Answer", "Request", "RequestBridge", "RequestedLeases"]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked.

    Args:
        number: Counts the requests of a process.
        kind: Name of what is asked for.
        arguments: Of it.
    """

    number: int
    kind: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it, in values that can be sent anywhere.

    Args:
        value: The answer.
        problem: Why there is none.
        held: Camera, owner and seconds of a lease that another worker has.
    """

    value: Any = None
    problem: str = ""
    held: tuple[str, str, float] | None = None


@dataclass(eq=False)
class _Waiting:
    request: Request
    answered: threading.Event = field(default_factory=threading.Event)
    answer: Answer | None = None
    fetched: bool = False


class RequestBridge:
    """Holds requests until they are fetched, and their askers until they are answered. From any thread.

    Args:
        seconds: How long an asker waits.
    """

    def __init__(self, *, seconds: float = 3.0) -> None:
        self._seconds = seconds
        self._numbers = itertools.count()
        self._waiting: dict[int, _Waiting] = {}
        self._changed = threading.Condition()

    def ask(self, kind: str, *arguments: Any, seconds: float | None = None) -> Any:
        """The answer to a request.

        Args:
            kind: What is asked for.
            arguments: Of it.
            seconds: How long to wait, if not as long as usual.

        Raises:
            LeaseHeld: Another worker has what was asked for.
            ClusterError: None came in time, or it could not be answered.
        """
        waiting = _Waiting(Request(next(self._numbers), kind, arguments))
        with self._changed:
            self._waiting[waiting.request.number] = waiting
            self._changed.notify_all()
        waiting.answered.wait(patience := self._seconds if seconds is None else seconds)
        with self._changed:
            self._waiting.pop(waiting.request.number, None)
        if waiting.answer is None:
            raise ClusterError(f"the site does not answer within {patience:g} s")
        if waiting.answer.held is not None:
            raise LeaseHeld(*waiting.answer.held)
        if waiting.answer.problem:
            raise ClusterError(waiting.answer.problem)
        return waiting.answer.value

    def fetch(self, answers: Mapping[int, Answer], wait: float) -> list[Request]:
        """Hand in answers, and get the requests that were not fetched before.

        Args:
            answers: By number of the request; those that nobody waits for any more are left out.
            wait: Seconds to wait for a request if there is none.
        """
        deadline = time.monotonic() + wait
        with self._changed:
            for number, answer in answers.items():
                waiting = self._waiting.get(number)
                if waiting is not None:
                    waiting.answer = answer
                    waiting.answered.set()
            while True:
                new = [w for w in self._waiting.values() if not w.fetched]
                left = deadline - time.monotonic()
                if new or left <= 0:
                    break
                self._changed.wait(left)
            for waiting in new:
                waiting.fetched = True
        return [w.request for w in new]


class RequestedLeases:
    """Leases that the site keeps, asked for through a bridge. See `streamreid.cluster.leases.Leases`.

    The end of a lease is counted on this process's clock, from the moment before it was asked for.

    Args:
        bridge: To the site.
        seconds: How long a lease lasts.
    """

    def __init__(self, bridge: RequestBridge, seconds: float) -> None:
        self.seconds = seconds
        self._bridge = bridge

    def acquire(self, camera: str, worker: str) -> Lease:
        """See `Leases`."""
        asked = time.monotonic()
        lease: Lease = self._ask("acquire", camera, worker)
        return replace(lease, expires=asked + self.seconds)

    def renew(self, leases: Iterable[Lease]) -> dict[str, Lease]:
        """See `Leases`."""
        asked = time.monotonic()
        renewed: dict[str, Lease] = self._ask("renew", list(leases))
        return {camera: replace(lease, expires=asked + self.seconds) for camera, lease in renewed.items()}

    def release(self, lease: Lease) -> None:
        """See `Leases`."""
        self._ask("release", lease)

    def revoke(self, worker: str) -> list[str]:
        """See `Leases`."""
        found: list[str] = self._ask("revoke", worker)
        return found

    def withdraw(self, worker: str) -> None:
        """See `Leases`."""
        self._ask("withdraw", worker)

    def allow(self, worker: str) -> None:
        """See `Leases`."""
        self._ask("allow", worker)

    def owners(self) -> dict[str, Lease]:
        """See `Leases`; their ends are on the clock of the site."""
        found: dict[str, Lease] = self._ask("owners")
        return found

    def fences(self) -> dict[str, int]:
        """See `Leases`."""
        found: dict[str, int] = self._ask("fences")
        return found

    def log(self) -> list[LeaseChange]:
        """See `Leases`."""
        found: list[LeaseChange] = self._ask("log")
        return found

    def close(self) -> None:
        """See `Leases`."""

    def _ask(self, kind: str, *arguments: Any) -> Any:
        try:
            return self._bridge.ask(kind, *arguments, seconds=self.seconds / _TRIES)
        except LeaseHeld:
            raise
        except ClusterError as error:
            raise LeasesAway(str(error)) from None
