"""Connections of the HTTP server, each with deadlines, and bounded in number when they are accepted.

uvicorn bounds neither: its ``limit_concurrency`` answers 503 to everybody, probes too, and no time limit covers a
request that is sent slowly or not at all (https://github.com/Kludex/uvicorn/issues/157). hypercorn and granian have no
bound that spares probes either. Hence uvicorn's own protocol, with a deadline and a bound. A new connection is always
accepted: for it, the one goes that has waited longest without having sent a whole request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import monotonic
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["BODY_SECONDS", "CONNECTIONS", "HEAD_SECONDS", "STALLED_SECONDS", "BoundedProtocol", "drop_waiting"]

CONNECTIONS = 256
"""At the same time. Requests in work are fewer (`guard.REQUESTS` and `app.LISTENERS`), so there is always one that can
go."""

HEAD_SECONDS = 10.0
"""From the beginning of a connection, or the end of an answer, to the end of the next request's header."""

BODY_SECONDS = 20.0
"""From there to the end of its body: 1 MB at 50 KB/s."""

STALLED_SECONDS = 60.0
"""A client that takes nothing of an answer for so long is hung up on; listeners of events come back with
Last-Event-ID."""

_MOST_BYTES = 16 << 20
"""Of one request, before it is cut off. More than a body may have: whoever sends too much shall get to read why it is
refused."""


def drop_waiting(connections: Iterable[object]) -> bool:
    """Hang up on the connection that has waited longest without having sent a whole request. Returns whether there was
    one."""
    there = [c for c in connections if isinstance(c, BoundedProtocol) and not c.transport.is_closing() and c.waits]
    if there:
        min(there, key=lambda c: c.since).transport.abort()
    return bool(there)


class BoundedProtocol(H11Protocol):
    """One HTTP connection, with a deadline for each phase of a request."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._phase = ""
        self._bytes = 0
        self.since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept it; if there are too many, for the one that has waited longest."""
        super().connection_made(transport)
        there = [c for c in self.connections if isinstance(c, BoundedProtocol) and not c.transport.is_closing()]
        # This one is not watched yet, so it does not count as waiting.
        if len(there) > CONNECTIONS and not drop_waiting(there):
            self.transport.abort()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the deadlines of a connection that ended."""
        self._cancel()
        self._resumed()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Part of a request came."""
        self._bytes += len(data)
        if self._bytes > _MOST_BYTES:
            self.transport.abort()
            return
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """An answer was given; the next request may come."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._watch()

    def pause_writing(self) -> None:
        """The client takes nothing of its answer for the time being."""
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again: its deadline for reading ends."""
        self._resumed()
        super().resume_writing()

    @property
    def waits(self) -> bool:
        """Whether no whole request is in work."""
        return self._phase in ("head", "body")

    def _watch(self) -> None:
        """Set the deadline of what is to come next: the end of a header, the end of a body, or nothing while a request
        is answered."""
        theirs = self.conn.their_state
        phase = "head" if theirs is h11.IDLE else "body" if theirs is h11.SEND_BODY else ""
        if phase == self._phase:
            return
        self._phase = phase
        self._cancel()
        if phase:
            self.since = monotonic()
            seconds = HEAD_SECONDS if phase == "head" else BODY_SECONDS
            self._deadline = self.loop.call_later(seconds, self._late)
        if phase != "body":
            self._bytes = 0

    def _late(self) -> None:
        if (
            self._phase == "head"
            and self._bytes
            and self.conn.our_state is h11.IDLE
            and not self.transport.is_closing()
        ):
            self.transport.write(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            self.transport.close()
        else:
            self.transport.abort()

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _resumed(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
