"""Calls of processes that Ray keeps: workers from the site, the site from the command."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
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
"""After which an actor that cannot be reached is called by a task: Ray starts one again within ten seconds."""


def _ray() -> Any:
    return import_module("ray")


class _Call:
    def __init__(self, answer: Any, problem: str = "", settled: Callable[..., None] = lambda **_: None) -> None:
        self._answer, self._problem, self._settled = answer, problem, settled

    def done(self) -> bool:
        return self.wait(0.0)

    def wait(self, seconds: float) -> bool:
        return bool(self._problem) or bool(_ray().wait([self._answer], timeout=seconds)[0])

    def result(self) -> Any:
        if self._problem:
            raise WorkerAway(self._problem)
        try:
            found = _ray().get(self._answer)
            self._settled(reached=True)
            return found
        except Exception as error:  # Ray raises many kinds, and here a client a few more
            self._settled(reached=False)
            raise WorkerAway(first_line(error)) from None


class RayHandle:
    """Calls the methods of an actor, in whichever process it is at present. It can be sent to other processes.

    After the head was killed and started again, Ray 2.60 may never tell a process that an actor has another address
    since. Where an actor cannot be reached for a while, it is therefore called by a task, whose process asks anew.

    Args:
        actor: Ray's handle.
    """

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self._away_since: float | None = None

    def _settled(self, *, reached: bool) -> None:
        if reached:
            self._away_since = None
        elif self._away_since is None:
            self._away_since = time.monotonic()

    def _relay_settled(self, *, reached: bool) -> None:
        if not reached:  # as before for a while
            self._away_since = time.monotonic()

    def begin(self, method: str, *arguments: Any) -> Pending:
        """See `WorkerHandle`."""
        away = self._away_since
        try:
            if away is not None and time.monotonic() - away > _RELAY_SECONDS:
                relay = _ray().remote(num_cpus=0, max_retries=0)(_relayed)
                return _Call(relay.remote(self.actor, method, arguments), settled=self._relay_settled)
            return _Call(getattr(self.actor, method).remote(*arguments), settled=self._settled)
        except Exception as error:  # the actor is gone for good, or a client has lost its connection
            return _Call(None, first_line(error))

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


def _relayed(actor: Any, method: str, arguments: tuple[Any, ...]) -> Any:
    return _ray().get(getattr(actor, method).remote(*arguments))


def find_worker(worker: ExtraWorker) -> WorkerSlot | None:
    """The slot of a worker by its name; None if there is none of that name."""
    try:
        actor = _ray().get_actor(worker.name, NAMESPACE)
    except ValueError:
        return None
    return WorkerSlot(worker.name, RayHandle(actor), dict(worker.labels))
