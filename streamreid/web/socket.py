"""The WebSocket of a page: events as they come, and the newest pictures of the cameras that it looks at.

One connection per page instead of one per picture: a browser opens six at a time to a server. A page says which cameras
it shows and how wide (``{"show": [["entrance", 640]]}``), and says so when it has drawn what it got (``{"drawn": 3}``):
until then nothing further is sent, so that a slow page sees fewer pictures and never old ones.
"""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from streamreid.serving.access_control import session_of
from streamreid.serving.event_stream import EventHub, Topic
from streamreid.serving.sessions import SESSION_COOKIE, Sessions
from streamreid.web.pictures import PictureFeed, PictureKey, width_for

__all__ = ["VIEWERS", "Viewers", "message"]

VIEWERS = 64
"""Pages open at the same time."""

_TICK_SECONDS = 0.04
"""Between looks at what is new: the most by which a picture gets older here."""

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
        except (WebSocketDisconnect, asyncio.TimeoutError, RuntimeError):
            pass  # closed meanwhile, or nothing was taken
        finally:
            self.count -= 1
            listening.cancel()
            viewer.leave()
            with suppress(RuntimeError, asyncio.TimeoutError):
                await asyncio.wait_for(connection.close(), 1.0)

    async def _send(self, viewer: _Viewer, listening: asyncio.Task[None]) -> None:
        check = time.monotonic() + _CHECK_SECONDS
        while not listening.done():
            await viewer.send()
            if self._hub.closed:
                await viewer.connection.close(_OVER)
                return
            if time.monotonic() >= check:
                check = time.monotonic() + _CHECK_SECONDS
                if not self._may_look(viewer.connection):
                    await viewer.connection.close(_SIGNED_OUT)
                    return
            await asyncio.sleep(_TICK_SECONDS)

    def _may_look(self, connection: WebSocket) -> bool:
        if not self._sessions.needed or SESSION_COOKIE not in connection.cookies:
            return True  # everybody may, or it came with a token, which does not end
        value = session_of(connection.headers.get("cookie", ""))
        host = connection.headers.get("host", "")
        return value is not None and self._sessions.role_of_session(value, host) is not None


class _Viewer:
    """One page: what it looks at, and what it was sent."""

    def __init__(self, connection: WebSocket, hub: EventHub, feed: PictureFeed | None) -> None:
        self.connection = connection
        self._hub, self._feed = hub, feed
        self._event = hub.number
        self._wanted: tuple[PictureKey, ...] = ()
        self._sent: dict[PictureKey, int] = {}
        self._messages = self._drawn = 0

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
            self._drawn = min(self._messages, max(self._drawn, int(said["drawn"])))
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

    async def send(self) -> None:
        """Send what is new.

        Raises:
            asyncio.TimeoutError: The page takes nothing.
        """
        events, self._event, lost = self._hub.after(self._event, _TOPICS)
        if events or lost:
            told = [{"topic": event.topic, "number": event.number, "data": event.data} for event in events]
            text = json.dumps({"events": told, "lost": lost})
            await asyncio.wait_for(self.connection.send_text(text), _SEND_SECONDS)
        if self._messages - self._drawn < _UNDRAWN:
            parts = self._new_pictures()
            if parts:
                self._messages += 1
                data = message(self._messages, parts)
                await asyncio.wait_for(self.connection.send_bytes(data), _SEND_SECONDS)

    def _new_pictures(self) -> list[tuple[bytes, bytes, int]]:
        if self._feed is None:
            return []
        parts = []
        now = time.monotonic()
        for key in self._wanted:
            made = self._feed.newest(key)
            if made is not None and made.number > self._sent.get(key, 0):
                self._sent[key] = made.number
                age = max(0, round(1000 * (now - made.result_time)))
                parts.append((made.header, made.jpeg, age))
        return parts
