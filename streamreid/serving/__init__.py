"""The HTTP interface of a live run: cameras, identities, events, health, metrics (extra ``server``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamreid._lazy import lazily

if TYPE_CHECKING:
    from streamreid.serving.server import (
        TOKEN_VARIABLE,
        VIEWER_TOKEN_VARIABLE,
        HttpServer,
        LivePage,
        LiveParts,
        Server,
        open_sessions,
        parse_address,
    )


__all__ = [
    "TOKEN_VARIABLE",
    "VIEWER_TOKEN_VARIABLE",
    "HttpServer",
    "LivePage",
    "LiveParts",
    "Server",
    "open_sessions",
    "parse_address",
]

__getattr__ = lazily(
    __name__,
    {
        "TOKEN_VARIABLE": "server",
        "VIEWER_TOKEN_VARIABLE": "server",
        "HttpServer": "server",
        "LivePage": "server",
        "LiveParts": "server",
        "Server": "server",
        "open_sessions": "server",
        "parse_address": "server",
    },
)
