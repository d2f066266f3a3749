"""The listening socket, which lets nobody wait and fills no log while the process has no descriptor left."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any

__all__ = ["Listener", "listen"]

log = logging.getLogger(__name__)

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_SAY_SECONDS = 60.0
"""Seconds between log lines while no connection can be accepted."""


class Listener(socket.socket):
    """A listening socket of an asyncio server.

    Where no descriptor is left, asyncio logs a traceback and makes a timer for each of the up to 128 connections that
    wait, every time, and each timer raises once the socket is closed (CPython 3.11,
    ``BaseSelectorEventLoop._accept_connection``). Here one connection that has not sent a whole request goes, and the
    new one is accepted in its place; where there is none, the new one is hung up on, with a descriptor that is kept in
    reserve for that.

    Attributes:
        make_room: Called in the event loop's thread; closes a connection that can go, and says whether there was one.
    """

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.make_room: Callable[[], bool] = lambda: False
        self._spare: int | None = None
        self._say_at = 0.0
        self._reserve()

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection.

        Raises:
            BlockingIOError: None waits, or there was no descriptor for it.
        """
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            if monotonic() >= self._say_at:
                self._say_at = monotonic() + _SAY_SECONDS
                log.warning(
                    "no descriptor is left for a connection (%s): connections without a request are closed; raise "
                    "LimitNOFILE",
                    error.strerror,
                )
            if not self.make_room():
                self._hang_up()
            raise BlockingIOError(error.errno, "no descriptor is left") from None

    def close(self) -> None:
        """Stop listening, and free the descriptor that was kept in reserve."""
        self._release()
        super().close()

    def _hang_up(self) -> None:
        self._release()
        try:
            connection, _ = super().accept()
            connection.close()
        except OSError:
            pass
        self._reserve()

    def _reserve(self) -> None:
        try:
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._spare = None

    def _release(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None


def listen(host: str, port: int, backlog: int) -> Listener:
    """A listening socket.

    Args:
        host: Name or address.
        port: 0 takes a free one.
        backlog: Connections that the system holds until they are accepted.

    Raises:
        OSError: The address is taken or wrong.
        OverflowError: The port is none.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return Listener(fileno=socket.create_server((host, port), family=family, backlog=backlog).detach())
