"""``GET /events``: server-sent events, for a bounded number of listeners."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import cast

from fastapi import FastAPI, Header, HTTPException
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from streamreid.serving.event_stream import EventHub, Topic

__all__ = ["LISTENERS", "add_events"]

LISTENERS = 64
"""At the same time."""

_TOPICS: tuple[Topic, ...] = ("identity", "camera", "people", "place")
_POLL_SECONDS = 0.1
"""Seconds between looks at the ring of events."""

_COMMENT_SECONDS = 10.0
"""Seconds of silence after which a comment keeps proxies from hanging up."""

_BATCH = 500
"""Events per write."""


class _Seats:
    """How many listen, all in one event loop."""

    def __init__(self) -> None:
        self.taken = 0


class _EventStream(StreamingResponse):
    """An answer without end that gives its seat back however it ends, also before it has begun."""

    def __init__(self, seats: _Seats, content: AsyncIterator[str]) -> None:
        super().__init__(
            content, media_type="text/event-stream", headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        )
        self._seats = seats

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._seats.taken -= 1


def add_events(app: FastAPI, hub: EventHub) -> None:
    """Serve the events of a hub."""
    seats = _Seats()

    @app.get("/events")
    async def events(topics: str = "identity,camera", last_event_id: int | None = Header(default=None)) -> Response:
        wanted = [cast(Topic, name.strip()) for name in topics.split(",") if name.strip()]
        unknown = sorted(set(wanted) - set(_TOPICS))
        if unknown or not wanted:
            raise HTTPException(
                422, f"unknown topics: {', '.join(unknown) or 'none given'}; known: {', '.join(_TOPICS)}"
            )
        if seats.taken >= LISTENERS:
            raise HTTPException(503, f"{LISTENERS} clients listen already", {"Retry-After": "10"})
        seats.taken += 1
        start = hub.number if last_event_id is None else last_event_id
        return _EventStream(seats, _stream(hub, sorted(set(wanted)), start))


async def _stream(hub: EventHub, topics: list[Topic], number: int) -> AsyncIterator[str]:
    """Events as they come. A client that does not read holds up only this generator; what it misses is told when it
    reads again."""
    with hub.listening(topics):
        yield ": streamreid\n\n"
        silent = 0.0
        while True:
            ended = hub.closed
            events, number, lost = hub.after(number, topics)
            if lost:
                yield f"event: lost\ndata: {json.dumps({'events': lost})}\n\n"
            for start in range(0, len(events), _BATCH):
                piece = events[start : start + _BATCH]
                yield "".join(f"id: {e.number}\nevent: {e.topic}\ndata: {json.dumps(e.data)}\n\n" for e in piece)
            if ended:
                yield "event: end\ndata: {}\n\n"
                return
            silent = 0.0 if events else silent + _POLL_SECONDS
            if silent >= _COMMENT_SECONDS:
                # Proxies close connections that say nothing, and a client that is gone is only noticed by writing to
                # it.
                yield ": still here\n\n"
                silent = 0.0
            await asyncio.sleep(_POLL_SECONDS)
