"""The WebSocket of a page: events as they come, and the newest pictures of the cameras that it looks at.

One connection per page instead of one per picture: a browser opens six at a time to a server. A page says which cameras
it shows and how wide (``{"show": [["entrance", 640]]}``), and says so when it has drawn what it got (``{"drawn": 3}``):
until then nothing further is sent, so that a slow page sees fewer pictures and never old ones.

All pages are served at one tick, and pages that look at the same get the same bytes: each time that this thread wakes,
the run's threads may wait for it, so it wakes as seldom as the age of pictures allows, however many look.
"""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect

from streamreid.serving.access_control import session_of
from streamreid.serving.event_stream import EventHub, Topic
from streamreid.serving.sessions import SESSION_COOKIE, Sessions
from streamreid.web.pictures import EncodedPicture, PictureFeed, PictureKey, width_for

__all__ = ["VIEWERS", "Ticks", "Viewers", "message"]

VIEWERS = 64
"""Pages open at the same time."""

_TICK_SECONDS, _TICK_SECONDS_PER_VIEWER, _LONGEST_TICK_SECONDS = 0.05, 0.005, 0.12
"""Between looks at what is new, the most by which a picture gets older here: rises with the pages, up to the last."""

_MOST_CAMERAS = 64
"""Cameras that one page looks at."""

_SEND_SECONDS = 20.0
"""A page that takes nothing for so long is hung up on; it comes back by itself."""

_CHECK_SECONDS = 2.0
"""Between looks whether the session still holds."""

_UNDRAWN = 2
"""Messages with pictures on their way to a page: one being drawn, one being sent."""

_TOPICS: tuple[Topic, ...] = ("identity", "camera", "place")

_HEAD = struct.Struct(">I")
_PART = struct.Struct(">III")
"""Of each picture in a message: bytes of its header, bytes of the JPEG, milliseconds since its result."""

_BUSY, _OVER, _SIGNED_OUT = 1013, 1001, 4401
"""Why a connection is closed: too many, the run ended, the session ended."""


def message(number: int, frames: Sequence[tuple[bytes, bytes, int]]) -> bytes:
    """Frames as one binary message.

    Args:
        number: What the page says when it has drawn them.
        frames: Of each, JSON of who is where, JPEG, milliseconds since its result.
    """
    parts = [_HEAD.pack(number)]
    for header, jpeg, age in frames:
        parts += [_PART.pack(len(header), len(jpeg), age), header, jpeg]
    return b"".join(parts)


class Viewers:
    """All open pages.

    Args:
        hub: Tells events.
        feed: Gives pictures; None where there are none.
        sessions: Whether a viewer may still look.
    """

    def __init__(self, hub: EventHub, feed: PictureFeed | None, sessions: Sessions) -> None:
        self._hub, self._feed, self._sessions = hub, feed, sessions
        self._ticks = Ticks()
        self.count = 0

    async def serve(self, connection: WebSocket) -> None:
        """One page, until it is closed."""
        await connection.accept()
        if self.count >= VIEWERS:
            await connection.close(_BUSY)
            return
        self.count += 1
        viewer = _Viewer(connection, self._hub, self._feed)
        listening = asyncio.create_task(viewer.listen())
        try:
            await self._send(viewer, listening)
        except (WebSocketDisconnect, TimeoutError, RuntimeError):
            pass  # closed meanwhile, or nothing was taken
        finally:
            self.count -= 1
            listening.cancel()
            viewer.leave()
            with suppress(RuntimeError, TimeoutError), anyio.fail_after(1.0):
                await connection.close()

    async def _send(self, viewer: _Viewer, listening: asyncio.Task[None]) -> None:
        check = time.monotonic() + _CHECK_SECONDS
        while not listening.done():
            with anyio.fail_after(_SEND_SECONDS):
                await viewer.send(self._ticks)
            if self._hub.closed:
                await viewer.connection.close(_OVER)
                return
            if time.monotonic() >= check:
                check = time.monotonic() + _CHECK_SECONDS
                if not self._may_look(viewer.connection):
                    await viewer.connection.close(_SIGNED_OUT)
                    return
            await self._ticks.next(self.count)

    def _may_look(self, connection: WebSocket) -> bool:
        if not self._sessions.needed or SESSION_COOKIE not in connection.cookies:
            return True  # everybody may, or it came with a token, which does not end
        value = session_of(connection.headers.get("cookie", ""))
        host = connection.headers.get("host", "")
        return value is not None and self._sessions.role_of_session(value, host) is not None


class Ticks:
    """When pages are served: all at once, and each message is put together once.

    Attributes:
        number: Of the tick, from 1.
    """

    def __init__(self) -> None:
        self.number = 1
        self._next: asyncio.Event | None = None
        self._messages: dict[tuple[int, ...], bytes] = {}

    async def next(self, viewers: int) -> None:
        """Wait for the next tick, which is later the more pages are open."""
        if self._next is None:
            self._next = asyncio.Event()
            seconds = min(_TICK_SECONDS + _TICK_SECONDS_PER_VIEWER * viewers, _LONGEST_TICK_SECONDS)
            asyncio.get_running_loop().call_later(seconds, self._tick)
        await self._next.wait()

    def _tick(self) -> None:
        assert self._next is not None
        self.number += 1
        self._messages.clear()
        self._next.set()
        self._next = None

    def message(self, pictures: Sequence[EncodedPicture]) -> bytes:
        """Pictures as a message with the number of the tick; the same for all who are sent the same."""
        key = tuple(picture.number for picture in pictures)
        if key not in self._messages:
            now = time.monotonic()
            frames = [(p.header, p.jpeg, max(0, round(1000 * (now - p.result_time)))) for p in pictures]
            self._messages[key] = message(self.number, frames)
        return self._messages[key]


class _Viewer:
    """One page: what it looks at, and what it was sent."""

    def __init__(self, connection: WebSocket, hub: EventHub, feed: PictureFeed | None) -> None:
        self.connection = connection
        self._hub, self._feed = hub, feed
        self._event = hub.number
        self._wanted: tuple[PictureKey, ...] = ()
        self._sent: dict[PictureKey, int] = {}
        self._undrawn: deque[int] = deque()  # numbers of messages

    async def listen(self) -> None:
        """Take what the page says; ends when it is closed or says what cannot be understood."""
        while True:
            try:
                said = json.loads(await self.connection.receive_text())
                self._take(said)
            except (WebSocketDisconnect, LookupError, ValueError, TypeError, AttributeError, ArithmeticError):
                return
            except RecursionError:  # JSON that is nested too deeply
                return

    def _take(self, said: dict[str, Any]) -> None:
        if "drawn" in said:
            drawn = int(said["drawn"])
            while self._undrawn and self._undrawn[0] <= drawn:
                self._undrawn.popleft()
        if "show" in said and self._feed is not None:
            keys = tuple({(str(camera), width_for(int(width))) for camera, width in said["show"][:_MOST_CAMERAS]})
            self._feed.subscribe(keys)
            self._feed.unsubscribe(self._wanted)
            self._sent = {key: self._sent[key] for key in keys if key in self._sent}
            self._wanted = keys

    def leave(self) -> None:
        """The page is closed."""
        if self._feed is not None:
            self._feed.unsubscribe(self._wanted)
        self._wanted = ()

    async def send(self, ticks: Ticks) -> None:
        """Send what is new."""
        events, self._event, lost = self._hub.after(self._event, _TOPICS)
        if events or lost:
            told = [{"topic": event.topic, "number": event.number, "data": event.data} for event in events]
            await self.connection.send_text(json.dumps({"events": told, "lost": lost}))
        if len(self._undrawn) < _UNDRAWN:
            pictures = self._new_pictures()
            if pictures:
                self._undrawn.append(ticks.number)
                await self.connection.send_bytes(ticks.message(pictures))

    def _new_pictures(self) -> list[EncodedPicture]:
        if self._feed is None:
            return []
        found = []
        for key in self._wanted:
            made = self._feed.newest(key)
            if made is not None and made.number > self._sent.get(key, 0):
                self._sent[key] = made.number
                found.append(made)
        return found
