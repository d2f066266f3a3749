"""Addresses with a user and a password in them: taken apart without trusting them to be well-formed, and put together
from raw passwords.

An address is ``scheme://user:password@host:port/path?query``. By RFC 3986 the part with the password ends at the first
``/``, ``?`` or ``#``, so a password that holds one of them is cut in two by every parser: its first half is taken for a
port, its second half for a path, and both appear in messages. `check_address` refuses such an address before anything
else reads it; `quoted` writes a raw value so that it cannot happen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

__all__ = ["Address", "check_address", "is_certain_host", "quoted", "split_address"]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}://")
_PORT = re.compile(r"[0-9]{1,5}")
_END = re.compile(r"[/?#]")
_IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_HOST_AND_MORE = re.compile(
    r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]{2,45}\])(?:[:/?#]|$)|[A-Za-z0-9.-]{1,253}:[0-9]{1,5}(?:[/?#]|$)|"
    r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}/"
)
"""A host that can be nothing else: an IP address, a name with a port, a name with dots and a path behind it."""

_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_RESERVED = re.compile(r"[\s/?#\[\]@:!$&'()*+,;=%\"<>\\^`{|}]")
_REMEDY = (
    "write %2F for '/', %3F for '?', %23 for '#', %40 for '@' and %25 for '%', or take the password from the "
    "environment (${NAME})"
)


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of an address; texts as they are written.

    Args:
        scheme: In lower case.
        user: Or None.
        password: Or None.
        host: May be empty.
        port: Or None.
        rest: Path, query and fragment.
    """

    scheme: str
    user: str | None
    password: str | None
    host: str
    port: int | None
    rest: str

    def __repr__(self) -> str:
        return f"Address({self.scheme}://{self.host}, port={self.port})"


def split_address(text: str) -> Address | None:
    """Take an address apart; None if ``text`` is none. Where the password holds ``/``, ``?`` or ``#``, it is still the
    password."""
    match = _SCHEME.match(text)
    if match is None:
        return None
    body = text[match.end() :]
    end, at = _bounds(body)
    user: str | None = None
    password: str | None = None
    if at >= 0:
        user, colon, word = body[:at].partition(":")
        password = word if colon else None
        body = body[at + 1 :]
        end = _authority_end(body)
    authority, rest = body[:end], body[end:]
    host, port = authority, None
    name, colon, digits = authority.rpartition(":")
    if colon and not authority.endswith("]") and (not digits or _PORT.fullmatch(digits)):
        host, port = name, int(digits) if digits else None
    return Address(match.group()[:-3].lower(), user, password, host.removeprefix("[").removesuffix("]"), port, rest)


def _authority_end(body: str) -> int:
    match = _END.search(body)
    return match.start() if match else len(body)


def _bounds(body: str) -> tuple[int, int]:
    """Where the authority ends, and the ``@`` behind the password (-1: there is none). Doubt counts as password: what
    is hidden too much does no harm."""
    end = _authority_end(body)
    first, last = body.find("@"), body.rfind("@")
    if first < 0:
        return end, -1
    if first < end:
        inner = body.rfind("@", 0, end)
        plain = inner == last or is_certain_host(body[inner + 1 : end]) or _is_in_query(body, end)
        return end, inner if plain else last
    name, colon, after = body[:end].partition(":")
    if not colon or not after or body.startswith("["):
        return end, -1
    port = bool(_PORT.fullmatch(after))
    return end, -1 if port and is_certain_host(name) else last


def _is_in_query(body: str, end: int) -> bool:
    """Whether every further ``@`` is part of a value in the query: ``/live?mail=a@b``."""
    further = body.find("@", end)
    question, equals = body.find("?", end, further), body.rfind("=", end, further)
    return 0 <= question < equals


def is_certain_host(text: str) -> bool:
    """Whether ``host[:port]`` can be nothing but a host: an IP address or localhost."""
    name = text.partition(":")[0].lower()
    return text.startswith("[") or name == "localhost" or bool(_IPV4.fullmatch(name))


def check_address(text: str) -> str:
    """An address as it can be handed to any parser: the scheme in lower case, blanks in user and password written as
    ``%20``. Other texts stay.

    Raises:
        ValueError: The password holds ``/``, ``?`` or ``#``, so that it is not clear where it ends; the message does
            not show it.
    """
    match = _SCHEME.match(text)
    if match is None:
        return text
    scheme, body = match.group().lower(), text[match.end() :]
    end, at = _bounds(body)
    if at > end and _is_broken(body, end, at):
        raise ValueError(f"user name or password hold a character that ends them in an address: {_REMEDY}")
    if 0 <= at < end:
        body = re.sub(r"[\x00-\x20\x7f]", lambda m: f"%{ord(m.group()):02X}", body[:at]) + body[at:]
    return scheme + body


def _is_broken(body: str, end: int, at: int) -> bool:
    """Whether an ``@`` behind the first ``/``, ``?`` or ``#`` ends a password (and is not part of a path)."""
    if "@" in body[:end]:
        return True  # the host before it may be the rest of a password: u:p@ss/word@host
    after = body[:end].partition(":")[2]
    return not _PORT.fullmatch(after) or bool(_HOST_AND_MORE.match(body[at + 1 :]))


def quoted(value: str, before: str, behind: str) -> str:
    """``value`` as it is written between two pieces of an address.

    Between scheme and ``@``, everything that would end user or password is written as ``%XX``; behind ``?`` whatever
    would end a value. A value that is already written so (``a%2Fb``) stays. Elsewhere (host, path), and where it is a
    whole address, it stays too.

    Args:
        value: Raw, for example a password from the environment.
        before: The text in front of it, from the beginning.
        behind: The text after it.
    """
    match = _SCHEME.match(before)
    if match is None:
        return value
    body = before[match.end() :]
    if "@" not in body and "@" in behind and not _END.search(body) and not _END.search(behind[: behind.index("@")]):
        if ":" in body or ":" in behind[: behind.index("@")] or ":" not in value:
            return _escaped(value)
        user, _, password = value.partition(":")  # rtsp://${LOGIN}@host
        return f"{_escaped(user)}:{_escaped(password)}"
    if "?" in body and before.endswith("="):
        raw = value if _ESCAPE.search(value) else value.replace("%", "%25")
        kept = "/:@,;=!$'()*~|" if before[: match.end()].lower().startswith("http") else "/:@,;=!$'()*~|+?"
        return quote(raw, safe=kept + "%")
    return value


def _escaped(value: str) -> str:
    """Percent-encoded, unless it is already: then it holds ``%XX`` and nothing that would have to be encoded."""
    if _ESCAPE.search(value) and not _RESERVED.search(_ESCAPE.sub("", value)):
        return value
    return quote(value, safe="")


def variants(secret: str) -> set[str]:
    """A secret as it is, and as addresses write it."""
    found = {secret, unquote(secret)}
    for text in list(found):
        for safe in ("", "/", "/:@,;=!$'()*~|", "!$&'()*+,;=:"):
            encoded = quote(text, safe=safe)
            found |= {encoded, _ESCAPE.sub(lambda m: m.group().lower(), encoded)}
        found.add(text.replace(" ", "%20"))
        found.add(text.replace(" ", "+"))
    return {f for f in found if f}
