"""Secrets: taken from the environment, removed from everything that is printed or written."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

__all__ = ["expand", "hide_known", "redact"]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_USERINFO = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)(?P<user>[^\s/@:]*)(?::(?P<password>[^\s/]*))?@")
_QUERY = re.compile(r"(?i)([?&](?:password|passwd|pass|pwd|token|key|apikey|api_key|secret|auth|signature|sig)=)[^&\s'\"]+")
_known: set[str] = set()


def expand(text: str, missing: Callable[[str], Exception]) -> str:
    """Replace every ``${NAME}`` by the environment's value and remember that value as a secret.

    Args:
        text: Any text.
        missing: Makes the error to raise from the name of a variable that is not set.
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise missing(name)
        if len(os.environ[name]) >= 3:
            _known.add(os.environ[name])
        return os.environ[name]

    return _VARIABLE.sub(value, text)


def hide_known(text: str) -> str:
    """``text`` with ``***`` for every value that came from the environment."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def redact(text: object) -> str:
    """``text`` without passwords: known secrets, the password in an address, and tokens in a query become ``***``."""
    result = hide_known(str(text))
    result = _USERINFO.sub(lambda m: f"{m['scheme']}{m['user']}{':***' if m['password'] is not None else ''}@", result)
    return _QUERY.sub(r"\1***", result)
