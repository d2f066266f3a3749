"""Who may ask: with a token whoever has it; without one only this machine, and no web page of another site in a browser on it."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

__all__ = ["OPEN_PATHS", "Guard", "is_loopback"]

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""For the probes of container platforms, which have no token. They say nothing but yes or no and how many cameras deliver."""


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine only."""
    return host.strip("[]").lower() in ("localhost", "127.0.0.1", "::1")


class Guard:
    """Around an ASGI application; streams pass through unbuffered.

    Args:
        app: The application.
        token: What must be sent as 'Authorization: Bearer TOKEN'; None: nothing, but 'Host' and 'Origin' must be this machine, so that neither
            a page of another site nor a name that was bound anew to this address can ask.
    """

    def __init__(self, app: App, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        """Let the request pass or answer 401 or 403."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        status, text = self._judge(headers)
        if status == 200:
            await self._app(scope, receive, send)
            return
        body = f'{{"error": "{text}"}}'.encode()
        answer = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if status == 401:
            answer.append((b"www-authenticate", b"Bearer"))
        await send({"type": "http.response.start", "status": status, "headers": answer})
        await send({"type": "http.response.body", "body": body})

    def _judge(self, headers: dict[str, str]) -> tuple[int, str]:
        if self._token is not None:
            kind, _, given = headers.get("authorization", "").partition(" ")
            right = kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token.encode())
            return (200, "") if right else (401, "send the token: Authorization: Bearer TOKEN")
        host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        origin = headers.get("origin")
        if not is_loopback(host) or (origin is not None and not is_loopback(urlsplit(origin).hostname or "")):
            return 403, "only this machine is served; to serve others set server.token"
        return 200, ""
