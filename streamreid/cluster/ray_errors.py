"""What goes wrong between this process and a Ray cluster, said in a way that tells what to do."""

from __future__ import annotations

import logging
import platform
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from streamreid._threads import Thread
from streamreid.addresses import split_address
from streamreid.errors import ClusterError

__all__ = ["first_line", "heard", "last_line", "reach", "refused", "within"]

_T = TypeVar("_T")

REACH_SECONDS = 5.0
"""How long a head may take to accept a connection: on a slow link it takes under a second, and an error is to come
within ten."""


_ENDED = {
    "ActorDiedError": "its process has ended",
    "ActorUnavailableError": "its process has ended, or is not reached",
    "ActorUnschedulableError": "no machine has room for its process",
}
"""Errors of Ray whose text is numbers of its own."""


def first_line(error: BaseException) -> str:
    """The sentence of an error of Ray, without its stack, numbers and hints."""
    if type(error).__name__ in _ENDED:
        return _ENDED[type(error).__name__]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(": ")


def last_line(error: BaseException) -> str:
    """What was raised in another process, without its stack."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def reach(address: str) -> None:
    """Connect once, because Ray itself tries for minutes.

    Raises:
        ClusterError: Nothing listens there.
    """
    place = split_address(address if "://" in address else f"tcp://{address}")
    assert place is not None
    assert place.port is not None
    try:
        with socket.create_connection((place.host, place.port), timeout=REACH_SECONDS):
            return
    except OSError as error:
        raise ClusterError(
            f"the head of the cluster at {place.host}, port {place.port}, cannot be reached: {error.strerror or error}"
            ". See whether Ray runs there (ray start --head, with the package ray[client]), and whether a firewall "
            "lets this port through"
        ) from None


def refused(address: str, error: Exception) -> str:
    text = " ".join(str(error).split())
    if "ersion mismatch" in text or ("ersion" in text and "differ" in text):
        return (
            f"the cluster at {address} has another version of Ray or Python than this machine ({socket.gethostname()}: "
            f"Ray {_ray_version()}, Python {platform.python_version()}): {text}. Install the same versions everywhere"
        )
    if "token" in text.lower() or "UNAUTHENTICATED" in text:
        return (
            f"the cluster at {address} refuses this machine's token: {text}. Copy ~/.ray/auth_token of the head to "
            "this machine, or set RAY_AUTH_TOKEN"
        )
    return f"the cluster at {address} cannot be used: {text or type(error).__name__}"


def _ray_version() -> str:
    return str(getattr(sys.modules.get("ray"), "__version__", "unknown"))


@contextmanager
def heard(name: str) -> Iterator[list[str]]:
    """What a logger says meanwhile, down to details, which are shown nowhere."""
    said: list[str] = []
    handler = logging.Handler(logging.DEBUG)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger(name)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def within(action: Callable[[], _T], seconds: float, otherwise: str) -> _T:
    """The result of something that may never end.

    Raises:
        ClusterError: It does not end in time; a thread that waits for it is left behind.
    """
    result: list[_T] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            result.append(action())
        except BaseException as error:
            failed.append(error)

    thread = Thread(target=work, daemon=True, name="ray-session")
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not result:
        raise ClusterError(f"{otherwise} within {seconds:.0f} s")
    return result[0]
