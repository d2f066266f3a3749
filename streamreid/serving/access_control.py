"""Who may ask, and how much: with a token, or a session that a page got for it, whoever has it; without one only this
machine; and never a web page of another origin in a browser. Who has the viewers' token may look and not change.

Everything here is decided from the request line and the header, before a body is read and before any work begins. The
probes are outside all of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from streamreid.serving.sessions import SESSION_COOKIE, Role, Sessions

__all__ = [
    "BODY_BYTES",
    "HEADER_BYTES",
    "LOGIN_PATH",
    "OPEN_PATHS",
    "REQUESTS",
    "ROLE",
    "SOCKET_PATH",
    "STATIC_PATH",
    "TARGET_BYTES",
    "UPLOADS",
    "UPLOAD_BYTES",
    "AccessControl",
    "is_loopback",
    "session_of",
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""For the probes of container platforms, which have no token. They say nothing but yes or no and how many cameras
deliver."""

LOGIN_PATH = "/page/login"
"""Where a page exchanges a token for a session; asked without either."""

STATIC_PATH = "/page/static/"
"""Style and scripts of the page, the same for everybody and everywhere."""

SOCKET_PATH = "/page/socket"
"""The only WebSocket."""

ROLE = "streamreid.role"
"""Key of the ASGI scope: the `Role` of whoever asks."""

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
"""What a viewer may do."""

_FOR_VIEWERS = frozenset({LOGIN_PATH, "/page/logout"})
"""What a viewer may also POST to."""

BODY_BYTES = 1 << 20
"""Of a request. A camera has a few hundred; one with a polygon and a calibration a few thousand."""

UPLOAD_BYTES = 8 << 20
"""Of a request under `UPLOADS`: a picture to search for, a plan of the ground."""

UPLOADS = "/uploads/"
"""Where pictures are sent to."""

HEADER_BYTES = 16 << 10
"""Bytes of all headers of a request together."""

TARGET_BYTES = 2048
"""Of a path with its query. Names of cameras have up to 64 characters."""

_DIGITS = 16
"""From which a length is nonsense."""

REQUESTS = 32
"""In work at the same time, listeners of events apart."""

STREAMS = frozenset({"/events"})
"""Answers without end; their number is bounded where they are made."""

_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)
_OWN = frozenset({"same-origin", "none"})
"""What browsers call requests of our own pages, and what somebody types into the address bar. 'same-site' is another
port of this machine."""

_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
"""Headers of every answer that does not set them itself: no other page may frame, embed or keep it."""


class _RefusedError(Exception):
    """The request is not answered; the arguments are status and reason."""


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine only."""
    return host.strip("[]").lower() in ("localhost", "127.0.0.1", "::1")


class AccessControl:
    """Around an ASGI application; streams pass through unbuffered. Leaves the role of whoever asks in the scope, under
    `ROLE`.

    Args:
        app: The application.
        sessions: Knows the tokens, one of which must be sent as 'Authorization: Bearer TOKEN', or as the cookie of a
            session. Where none is needed 'Host' must be this machine, so that no name that was bound anew to this
            address can ask.
        page: Whether there is a page for people: browsers without a session are sent to its login, and its WebSocket
            is served.
    """

    def __init__(self, app: App, sessions: Sessions, *, page: bool = False) -> None:
        self._app = app
        self._sessions = sessions
        self._page = page
        self._active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass or refuse it."""
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        send = _with_headers(send)
        if scope["type"] == "http" and scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        try:
            await self._admitted(scope, receive, send)
        except _RefusedError as error:
            status, text = error.args
            if status == 401 and self._page and _wants_page(scope):
                await _redirect(send, LOGIN_PATH)
                return
            await _answer(send, status, text)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket is asked for by a page of ours or not at all."""
        try:
            if not self._page or scope["path"] != SOCKET_PATH:
                raise _RefusedError(404, "there is no such WebSocket")
            self._judge(scope, _headers(scope))
        except _RefusedError:
            await receive()
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: answered with 403
            return
        await self._app(scope, receive, send)

    async def _admitted(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise _RefusedError(400, "only HTTP is served")
        headers = _headers(scope)
        self._judge(scope, headers)
        most = UPLOAD_BYTES if scope["path"].startswith(UPLOADS) else BODY_BYTES
        body = await _body(headers, receive, most)
        if body is None:
            return  # hung up meanwhile
        if scope["path"] in STREAMS:
            await self._app(scope, _replay(body, receive), send)
            return
        if self._active >= REQUESTS:
            raise _RefusedError(503, f"{REQUESTS} requests are in work already; try again")
        self._active += 1
        try:
            await self._app(scope, _replay(body, receive), send)
        finally:
            self._active -= 1

    def _judge(self, scope: Scope, headers: dict[str, str]) -> None:
        """Whether a request may pass; notes the role of whoever sends it.

        Raises:
            _RefusedError: It may not.
        """
        host, needed = headers.get("host", ""), self._sessions.needed
        if not needed and not _LOOPBACK.fullmatch(host):
            raise _RefusedError(403, "only this machine is served; to serve others set server.token")
        if _is_foreign(headers, host, trusted_proxy=needed):
            raise _RefusedError(
                403, "a page of another origin may not ask; other ports of this machine are other origins too"
            )
        role = self._role(headers, host) if needed else "operator"
        path = scope["path"]
        if role is None and not (self._page and (path == LOGIN_PATH or path.startswith(STATIC_PATH))):
            raise _RefusedError(401, "send the token: Authorization: Bearer TOKEN")
        if role == "viewer" and scope["type"] == "http" and not (scope["method"] in _READS or path in _FOR_VIEWERS):
            raise _RefusedError(403, "with the viewers' token one may look; changes need the operators' token")
        scope[ROLE] = role

    def _role(self, headers: dict[str, str], host: str) -> Role | None:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind:
            return self._sessions.role_of_token(given) if kind.lower() == "bearer" else None
        value = session_of(headers.get("cookie", ""))
        return None if value is None else self._sessions.role_of_session(value, host)


def session_of(cookies: str) -> str | None:
    """The session of a 'Cookie' header; None if it has none."""
    try:
        found = SimpleCookie(cookies).get(SESSION_COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value


def _wants_page(scope: Scope) -> bool:
    """Whether a person opens a page of ours in a browser."""
    accepts = any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])
    return accepts and scope["method"] == "GET" and (scope["path"] == "/" or scope["path"].startswith("/page"))


def _is_foreign(headers: dict[str, str], host: str, *, trusted_proxy: bool) -> bool:
    """Whether a browser asks on behalf of a page that is not ours, by whatever method: an image tag asks by GET.

    Args:
        headers: Of the request.
        host: What it calls us.
        trusted_proxy: A proxy may have changed 'Host', so that 'Origin' differs from it; what the browser itself says
            counts then.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in _OWN:
        return True
    if origin is None or (trusted_proxy and site == "same-origin"):
        return False
    scheme, _, where = origin.partition("://")
    default = {"http": ":80", "https": ":443"}.get(scheme.lower())
    if default is None:
        return True  # "null" too: a sandboxed frame, a file
    return where.lower().removesuffix(default) != host.lower().removesuffix(default)


def _headers(scope: Scope) -> dict[str, str]:
    """The header by lower-case name.

    Raises:
        _RefusedError: Too long, or a name that decides something is there twice.
    """
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > TARGET_BYTES:
        raise _RefusedError(414, f"the path and its query have more than {TARGET_BYTES} bytes")
    if sum(len(name) + len(value) for name, value in scope["headers"]) > HEADER_BYTES:
        raise _RefusedError(431, f"the header has more than {HEADER_BYTES} bytes")
    headers: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name = raw.decode("latin-1").lower()
        if name in headers and name in ("host", "origin", "sec-fetch-site", "authorization"):
            raise _RefusedError(400, f"the header '{name}' is there twice")
        headers[name] = value.decode("latin-1")
    return headers


async def _body(headers: dict[str, str], receive: Receive, most: int) -> bytes | None:
    """The whole body; None if the client hung up.

    Raises:
        _RefusedError: Too long, or of unknown length.
    """
    if "transfer-encoding" in headers:
        raise _RefusedError(411, "send the length of the body: Content-Length")
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > most:
        said = (
            f"{int(length) / (1 << 20):.1f} MiB"
            if length.isdecimal() and len(length) < _DIGITS
            else "no readable length"
        )
        raise _RefusedError(413, f"the body has {said}; at most {most >> 20} MiB are taken here")
    if int(length) == 0:
        return b""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Hands out the body that was read, then what comes after it."""
    given = not body

    async def replay() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _with_headers(send: Send) -> Send:
    async def sent(message: Any) -> None:
        if message["type"] == "http.response.start":
            there = {name.lower() for name, _ in message.get("headers", [])}
            message = {**message, "headers": [*message.get("headers", []), *(h for h in _ALWAYS if h[0] not in there)]}
        await send(message)

    return sent


async def _redirect(send: Send, where: str) -> None:
    headers = [(b"location", where.encode()), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _answer(send: Send, status: int, text: str) -> None:
    body = json.dumps({"error": text}).encode()
    answer = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        answer.append((b"www-authenticate", b"Bearer"))
    if status == 503:
        answer.append((b"retry-after", b"1"))
    if status in (411, 414, 431):
        answer.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": answer})
    await send({"type": "http.response.body", "body": body})
