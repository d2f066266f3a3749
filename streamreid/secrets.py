"""Secrets: taken from the environment, removed from everything that is printed or written.

`redact` hides by what is known (values from the environment, passwords of addresses that were read) and by form
(``user:password@``, ``password=``, ``Authorization:``). Whatever it is given, its time grows linearly with the text,
and texts are cut first: names and addresses come from strangers too.
"""

from __future__ import annotations

import base64
import json
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from streamreid.addresses import is_certain_host, quoted, split_address, variants

__all__ = [
    "HIDDEN",
    "expand",
    "hide_known",
    "is_secret_key",
    "redact",
    "redact_data",
    "remember_address",
    "remember_secret",
]

HIDDEN = "***"
"""Stands for a secret."""

LIMIT = 50_000
"""Characters of a text that are shown; a message is a few hundred, a list of mistakes some thousand."""

_MARGIN = 4096
"""Characters behind the limit that are looked at too, so that what is cut in two is still recognised."""

_SHORTEST = 3
"""Characters from which a value counts as a secret wherever it stands; shorter ones would blank out half of every
text."""

_SHORTEST_WORD = 4
"""The same for the password of an address, which is hidden in messages where it stands as a word of its own."""

_MOST = 256
"""Passwords of addresses that are remembered, the last ones: a run has one per camera."""

_LONGEST_ADDRESS = 8192
"""Characters of an address; servers refuse longer ones."""

_REFERENCE = re.compile(r"\$(?P<escape>\$)?\{(?P<inside>[^{}\n]{0,1000})\}")
_NAME_ONLY = re.compile(r"(?=[${])\$?\{?[A-Za-z_]\w{0,199}(?::?-[^{}]{0,1000})?\}?|\$\{[^{}]{0,1000}\}")
"""A password that is the name of a variable, which was not set or is spelt in another tool's way: messages about it
must show it."""

_INSIDE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]{0,199})(?:(?P<kind>:?-)(?P<default>.*))?")
_TOKEN_END = re.compile(r"[\s\"'<>]")
_VALUE_END = re.compile(r"[&\s\"'<>]|_[A-Za-z]{1,20}=")
_WHOLE_VALUE_END = re.compile(r"&|_[A-Za-z]{1,20}=")
_PORT = re.compile(r"[0-9]{0,5}")
_AUTHORIZATION = re.compile(
    r"(?i)(authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:(?:basic|bearer)\s{1,3})?)(?:digest\s[^\r\n]*|[^\s\"']+)"
    r"|(\bbearer\s{1,3})[\w.~+/=-]{8,}"
)
_JSON_SECRET = re.compile(r"(?i)([\"']\w{0,30}(?:passwor[dt]|passwd|pwd|token|secret)[\"']\s{0,4}:\s{0,4})([\"'])")
_WORD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
_PASSWORD_ENDS = ("password", "passwort", "passwd", "passw", "passphrase", "pass", "pas", "pwd", "psw")
_TOKEN_KEYS = frozenset(
    {
        "key",
        "apikey",
        "auth",
        "authorization",
        "sig",
        "sign",
        "signature",
        "sid",
        "jwt",
        "pw",
        "credential",
        "accesskey",
    }
)

_lock = threading.Lock()
_known: set[str] = set()
_variants: tuple[str, ...] = ()
_passwords: OrderedDict[str, tuple[tuple[str, ...], re.Pattern[str]]] = OrderedDict()
_words: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = ()


def expand(text: str, missing: Callable[[str], Exception]) -> str:
    """Replace every ``${NAME}`` and ``${NAME:-default}`` by the environment's value and remember that value as a
    secret.

    Where the value becomes part of an address, it is written so that it cannot end user or password
    (`addresses.quoted`). ``${NAME:-default}`` takes the default where the variable is not set or empty,
    ``${NAME-default}`` where it is not set. ``$${`` stands for ``${``.

    Args:
        text: Any text.
        missing: Makes the error to raise from the name of a variable that is not set, or from an expression that is
            none.
    """
    pieces: list[str] = []
    position = 0
    address = text.find("://") if len(text) <= _LONGEST_ADDRESS else -1
    for match in _REFERENCE.finditer(text):
        pieces.append(text[position : match.start()])
        position = match.end()
        if match["escape"]:
            pieces.append(match.group()[1:])
            continue
        value = _value(match["inside"], missing)
        pieces.append(
            quoted(value, text[: match.start()], text[match.end() :]) if 0 <= address < match.start() else value
        )
    return "".join([*pieces, text[position:]])


def _value(inside: str, missing: Callable[[str], Exception]) -> str:
    match = _INSIDE.fullmatch(inside)
    if match is None:
        raise missing(inside)
    name, kind = match["name"], match["kind"]
    value = os.environ.get(name)
    if kind is not None and (value is None or (kind == ":-" and not value)):
        return str(match["default"])
    if value is None:
        raise missing(name)
    _remember(value)
    return value


def remember_secret(value: str) -> None:
    """Hide a value in all later messages, wherever it stands, as if it came from the environment."""
    _remember(value)


def _remember(value: str) -> None:
    global _variants
    if len(value) < _SHORTEST or value in _known:
        return
    with _lock:
        _known.add(value)
        every = {v for secret in _known for v in _written(secret) if len(v) >= _SHORTEST}
        _variants = tuple(sorted(every, key=lambda v: (-len(v), v)))


def _written(secret: str) -> set[str]:
    found = variants(secret)
    return found | {json.dumps(v)[1:-1] for v in found} | {repr(v)[1:-1] for v in found}


def remember_address(text: str) -> None:
    """Hide the password of an address in all later messages, wherever it stands."""
    global _words
    address = split_address(text) if len(text) <= _LONGEST_ADDRESS else None
    if address is None:
        return
    secrets = [text[start:end] for start, end in _keyed(text, _WHOLE_VALUE_END)]
    if address.password:
        secrets.append(address.password)
        secrets.append(base64.b64encode(f"{address.user}:{address.password}".encode()).decode())
    with _lock:
        for secret in secrets:
            if _NAME_ONLY.fullmatch(secret):
                continue
            words = sorted((v for v in _written(secret) if len(v) >= _SHORTEST_WORD), key=lambda v: (-len(v), v))
            if words and secret not in _passwords:
                either = "|".join(map(re.escape, words))
                _passwords[secret] = tuple(words), re.compile(rf"(?<![A-Za-z0-9])(?:{either})(?![A-Za-z0-9])")
        while len(_passwords) > _MOST:
            _passwords.popitem(last=False)
        _words = tuple(_passwords.values())


def hide_known(text: str) -> str:
    """``text`` with ``***`` for every value that came from the environment."""
    for secret in _variants:
        text = text.replace(secret, HIDDEN)
    return text


def redact(text: object) -> str:
    """``text`` without passwords: known secrets, the password in an address, and passwords and tokens in a query become
    ``***``.

    A text longer than ``LIMIT`` characters is cut.
    """
    whole = str(text)
    shown = whole if len(whole) <= LIMIT else whole[: LIMIT + _MARGIN]
    shown = hide_known(shown)
    for words, pattern in _words:
        if any(
            word in shown for word in words
        ):  # a search for a plain text is a hundred times faster than for a choice
            shown = pattern.sub(HIDDEN, shown)
    shown = _by_form(shown, cut=len(whole) > LIMIT)
    return shown if len(whole) <= LIMIT else f"{shown[:LIMIT]}... ({len(whole) - LIMIT} more characters)"


def redact_data(value: Any) -> Any:
    """Data of a JSON file with every text in it redacted; keys and numbers stay."""
    if isinstance(value, str):
        return _by_form(hide_known(value), cut=False)
    if isinstance(value, dict):
        return {key: redact_data(item) for key, item in value.items()}
    return [redact_data(item) for item in value] if isinstance(value, (list, tuple)) else value


def is_secret_key(name: str) -> bool:
    """Whether a setting of this name holds a password or a token."""
    return name.lower().endswith(("token", "secret", *_PASSWORD_ENDS)) or name.lower() in _TOKEN_KEYS - {"sign", "sid"}


def _by_form(text: str, *, cut: bool) -> str:
    whole = (
        not cut
        and len(text) <= _LONGEST_ADDRESS
        and split_address(text) is not None
        and ": " not in text
        and "\n" not in text
    )
    if "://" in text:
        text = _hide_whole(text) if whole else _hide_userinfo(text, cut)
    if "=" in text:
        text = _replaced(text, _keyed(text, _WHOLE_VALUE_END if whole else _VALUE_END))
    text = _AUTHORIZATION.sub(lambda m: f"{m[1] or m[2]}***", text)
    return _replaced(text, _json_values(text))


def _replaced(text: str, spans: list[tuple[int, int]]) -> str:
    pieces, position = [], 0
    for start, end in spans:
        pieces += [text[position:start], HIDDEN]
        position = end
    return "".join([*pieces, text[position:]])


def _hide_whole(text: str) -> str:
    """A text that begins with an address: everything up to the ``@`` that ends the password."""
    address = split_address(text)
    if address is None or address.password is None:
        return _hide_userinfo(text, False)
    start = text.index("://") + 3 + len(address.user or "") + 1
    end = start + len(address.password)
    return f"{text[:start]}***{_hide_userinfo(text[end:], False)}"


def _hide_userinfo(text: str, cut: bool) -> str:
    """Passwords of all addresses inside a text. Each character is looked at a bounded number of times: regions between
    two ``://`` do not overlap."""
    spans: list[tuple[int, int]] = []
    position = text.find("://")
    while position >= 0:
        start = position + 3
        after = text.find("://", start)
        stop = len(text) if after < 0 else after
        span = _password_span(text, start, stop, last=after < 0 and cut)
        if span is not None:
            spans.append(span)
        position = after
    return _replaced(text, spans)


def _password_span(text: str, start: int, stop: int, *, last: bool) -> tuple[int, int] | None:
    """Where the password lies in ``text[start:stop]``, which follows ``://``."""
    match = _TOKEN_END.search(text, start, stop)
    end = match.start() if match else stop
    token = text[start:end]
    colon = token.find(":")
    if colon < 0:
        return None
    if "@" in token:
        address = split_address(f"x://{token}")
        if address is None or address.password is None or address.user is None:
            return None
        begin = start + len(address.user) + 1
        return begin, begin + len(address.password)
    authority = re.split(r"[/?#]", token, maxsplit=1)[0]
    name, colons, port = authority.partition(":")
    if not colons or token.startswith("["):
        return None
    begin = start + len(name) + 1
    if _PORT.fullmatch(port):
        # A port, unless the very next word ends a password: admin:123 456@10.0.0.4
        behind = text[end : min(end + 100, stop)].split(maxsplit=1)
        if is_certain_host(name) or not port or not behind or "@" not in behind[0] or token != authority:
            return None
    line = text.find("\n", end, stop)
    at = text.find("@", end, stop if line < 0 else line)
    if at >= 0:
        return begin, at
    return (begin, stop) if last and end == stop else None


def _keyed(text: str, ends: re.Pattern[str]) -> list[tuple[int, int]]:
    """Where values of ``password=``, ``?token=`` and their like lie."""
    spans: list[tuple[int, int]] = []
    equals = text.find("=")
    while equals >= 0:
        start = equals + 1
        word = text[max(0, equals - 40) : equals]
        name = word[len(word.rstrip(_WORD)) :]
        before = text[equals - len(name) - 1] if equals > len(name) else ""
        if name and _is_secret(name.lower(), before):
            quote = text[start : start + 1]
            if quote in ("'", '"'):
                start += 1
                end = text.find(quote, start)
                end = len(text) if end < 0 else end
            else:
                match = ends.search(text, start)
                end = match.start() if match else len(text)
            if end > start:
                spans.append((start, end))
            equals = text.find("=", end)
        else:
            equals = text.find("=", start)
    return spans


def _is_secret(name: str, before: str) -> bool:
    last = name.replace("-", "_").replace(".", "_").rsplit("_", 1)[-1]
    if last.endswith(_PASSWORD_ENDS):
        return True
    return before in ("?", "&", ";") and (last in _TOKEN_KEYS or last.endswith(("token", "secret", "signature")))


def _json_values(text: str) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    position = 0
    while match := _JSON_SECRET.search(text, position):
        end = text.find(match[2], match.end())
        end = len(text) if end < 0 else end
        if end > match.end():
            spans.append((match.end(), end))
        position = max(end, match.end())
    return spans
