"""Who may ask: two tokens, and the sessions that browsers get for them.

A browser cannot send a token with every picture it shows, so a page exchanges it once for a session: a random number in
a cookie that no script can read and that is sent to no other site's pages. A session holds for the ``Host`` at which it
was opened, so that a name that is bound to this address afterwards (DNS rebinding) has none.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

__all__ = ["SESSION_COOKIE", "SESSION_SECONDS", "Role", "Sessions"]

Role = Literal["viewer", "operator"]
"""``viewer``: may look. ``operator``: may look and change."""

SESSION_COOKIE = "streamreid_session"

SESSION_SECONDS = 12 * 3600.0
"""After which the token must be given again: a working day."""

_MOST_SESSIONS = 1000
"""At the same time; the oldest goes for a new one."""


@dataclass(frozen=True, slots=True)
class _Session:
    role: Role
    host: str
    ends: float


class Sessions:
    """Roles by token and by session. To be used from one event loop only.

    Args:
        operator: Token of those who may change things; None: nobody needs a token, and everybody is an operator.
        viewer: Token of those who may only look.
    """

    def __init__(self, operator: str | None, viewer: str | None = None) -> None:
        self._tokens: dict[Role, str | None] = {"operator": operator, "viewer": viewer}
        self._open: OrderedDict[bytes, _Session] = OrderedDict()

    @property
    def needed(self) -> bool:
        """Whether a token is needed at all."""
        return self._tokens["operator"] is not None

    def role_of_token(self, given: str) -> Role | None:
        """The role of whoever sends a token; compared in constant time with both."""
        found: Role | None = None
        for role, token in self._tokens.items():
            if token is not None and hmac.compare_digest(given.strip().encode(), token.encode()):
                found = found or role
        return found

    def open(self, role: Role, host: str) -> str:
        """A new session.

        Args:
            role: Of whoever opens it.
            host: What the browser calls us.

        Returns:
            The value of the cookie.
        """
        value = secrets.token_urlsafe(32)
        self._open[_digest(value)] = _Session(role, host.lower(), time.monotonic() + SESSION_SECONDS)
        while len(self._open) > _MOST_SESSIONS:
            self._open.popitem(last=False)
        return value

    def role_of_session(self, value: str, host: str) -> Role | None:
        """The role of a session; None if there is none (any more), or it was opened under another host name."""
        session = self._open.get(_digest(value))
        if session is None or session.host != host.lower():
            return None
        if session.ends <= time.monotonic():
            self.close(value)
            return None
        return session.role

    def close(self, value: str) -> None:
        """End a session."""
        self._open.pop(_digest(value), None)


def _digest(value: str) -> bytes:
    """What is looked up instead of the value, so that the time of the search tells nothing about it."""
    return hashlib.sha256(value.encode("utf-8", "replace")).digest()
