"""The HTTP interface of a live run: cameras, identities, events, health, metrics (extra ``server``)."""

from streamreid.serving.server import TOKEN_VARIABLE, Server, parse_address

__all__ = ["TOKEN_VARIABLE", "Server", "parse_address"]
