"""The HTTP interface of a live run: cameras, identities, events, health, metrics (extra ``server``)."""

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
