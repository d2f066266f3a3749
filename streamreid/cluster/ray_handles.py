"""Calls of processes that Ray keeps: workers from the site, the site from the command."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any

from streamreid._threads import Thread
from streamreid.cluster.processes import process_is_gone
from streamreid.cluster.ray_errors import first_line
from streamreid.cluster.ray_session import NAMESPACE
from streamreid.cluster.site_marker import ExtraWorker
from streamreid.cluster.worker_slots import Pending, WorkerAway, WorkerSlot

__all__ = ["RayHandle", "find_worker"]

_GONE_SECONDS = 3.0
"""How long a machine may take to say whether a process runs there."""

_RELAY_SECONDS = 15.0
"""After which an actor that does not answer is called by tasks: Ray starts one again within ten seconds."""

_RELAYED_SECONDS = 30.0
"""How long such a task waits for the actor. It occupies a process meanwhile."""

_MOST_RELAYS = 4
"""Such tasks at a time: each of them that waits has Ray start another process for the next."""


def _ray() -> Any:
    return import_module("ray")


class _Call:
    def __init__(self, answer: Any, problem: str = "", answered: Callable[[], None] = lambda: None) -> None:
        self._answer, self._problem, self._answered = answer, problem, answered

    def done(self) -> bool:
        return self.wait(0.0)

    def wait(self, seconds: float) -> bool:
        return bool(self._problem) or _is_done(self._answer, seconds)

    def result(self) -> Any:
        if self._problem:
            raise WorkerAway(self._problem)
        try:
            found = _ray().get(self._answer)
        except Exception as error:  # Ray raises many kinds, and here a client a few more
            raise WorkerAway(first_line(error)) from None
        self._answered()
        return found


class RayHandle:
    """Calls the methods of an actor, in whichever process it is at present. It can be sent to other processes.

    After the head was killed and started again, Ray 2.60 may never tell a process that an actor has another address
    since. Where an actor does not answer for a while, it is therefore called by tasks, whose processes ask anew, until
    it answers this process again.

    It is sent as a name. Ray's own handles in the arguments of an actor's constructor are references that Ray does not
    keep for a restart (ray-project/ray issue 53727), and it says so for each actor.

    Args:
        name: Of the actor.
        actor: Ray's handle; None: it is looked up when it is first called.
    """

    def __init__(self, name: str, actor: Any = None) -> None:
        self.name = name
        self._actor = actor
        self._lock = threading.Lock()
        self._unanswered_since: float | None = None
        self._relays: list[tuple[Any, float]] = []
        self._knock: Any = None
        self._knocked = 0.0

    def __reduce__(self) -> tuple[Callable[[str], RayHandle], tuple[str]]:
        return _received, (self.name,)

    @property
    def actor(self) -> Any:
        """Ray's handle.

        Raises:
            ValueError: There is no actor of that name.
        """
        if self._actor is None:
            self._actor = _ray().get_actor(self.name, NAMESPACE)
        return self._actor

    def begin(self, method: str, *arguments: Any) -> Pending:
        """See `WorkerHandle`."""
        try:
            with self._lock:
                now = time.monotonic()
                if self._answers(now):
                    return _Call(getattr(self.actor, method).remote(*arguments), answered=self._heard)
                # One whose process does not start, as while the head is away, never ends.
                self._relays = [
                    (relay, began)
                    for relay, began in self._relays
                    if now - began < 2 * _RELAYED_SECONDS and not _is_done(relay)
                ]
                if len(self._relays) >= _MOST_RELAYS:
                    return _Call(None, "it does not answer, nor do tasks that ask it")
                answer = _relay_task().remote(self.actor, method, arguments)
                self._relays.append((answer, now))
                return _Call(answer)
        except Exception as error:  # the actor is gone for good, or a client has lost its connection
            return _Call(None, first_line(error))

    def _heard(self) -> None:
        with self._lock:
            self._unanswered_since = None

    def _answers(self, now: float) -> bool:
        """Whether to call the actor itself."""
        if self._unanswered_since is None:
            self._unanswered_since = now
        if now - self._unanswered_since <= _RELAY_SECONDS:
            return True
        if self._knock is not None and _is_done(self._knock):
            knock, self._knock = self._knock, None
            with suppress(Exception):  # Ray raises many kinds
                _ray().get(knock)
                self._unanswered_since = now
                return True
        if self._knock is None and now - self._knocked > _RELAY_SECONDS:
            self._knocked = now
            self._knock = self.actor.__ray_ready__.remote()
        return False

    def call(self, method: str, *arguments: Any, seconds: float) -> Any:
        """See `WorkerHandle`."""
        pending = self.begin(method, *arguments)
        if not pending.wait(seconds):
            raise WorkerAway(f"no answer within {seconds:g} s")
        return pending.result()

    def is_gone(self, host: str, pid: int) -> bool:
        """See `WorkerHandle`: on another machine, a task looks for the process."""
        if host == socket.gethostname():
            return process_is_gone(pid)
        found: list[bool] = []
        thread = Thread(target=lambda: found.append(_is_gone(host, pid)), name="look for process", daemon=True)
        thread.start()
        thread.join(_GONE_SECONDS)  # without a head, Ray waits
        return bool(found and found[0])


def _is_gone(host: str, pid: int) -> bool:
    ray = _ray()
    try:
        node = next(n["NodeID"] for n in ray.nodes() if n["Alive"] and n["NodeManagerHostname"] == host)
        strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
        task = ray.remote(num_cpus=0, max_retries=0)(process_is_gone).options(scheduling_strategy=strategy)
        return bool(ray.get(task.remote(pid), timeout=_GONE_SECONDS))
    except Exception:  # no such machine, or no answer: nobody knows
        return False


def _received(name: str) -> RayHandle:
    """A handle that was sent. Its actor is looked up at once: a site that stands by may be asked to take over while the
    head, which knows the names, is away."""
    handle = RayHandle(name)
    with suppress(Exception):  # it is looked up again when it is called
        handle.actor  # noqa: B018
    return handle


@cache
def _relay_task() -> Any:
    """Made once: a new one is written to the head first, which waits where that is away."""
    return _ray().remote(num_cpus=0, max_retries=0)(_relayed)


def _is_done(answer: Any, seconds: float = 0.0) -> bool:
    return bool(_ray().wait([answer], timeout=seconds)[0])


def _relayed(actor: Any, method: str, arguments: tuple[Any, ...]) -> Any:
    return _ray().get(getattr(actor, method).remote(*arguments), timeout=_RELAYED_SECONDS)


def find_worker(worker: ExtraWorker) -> WorkerSlot | None:
    """The slot of a worker by its name; None if there is none of that name."""
    try:
        actor = _ray().get_actor(worker.name, NAMESPACE)
    except ValueError:
        return None
    return WorkerSlot(worker.name, RayHandle(worker.name, actor), dict(worker.labels))
