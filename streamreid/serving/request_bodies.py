"""Bodies of requests: JSON objects, bounded in every direction before anything works on them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import isfinite
from typing import Any

from starlette.requests import Request

from streamreid.errors import ConfigError

__all__ = ["MOST_VALUES", "TEXT_CHARACTERS", "json_object", "request_object"]

MOST_VALUES = 10_000
"""Numbers, texts, lists and objects in a body, all together."""

DEPTH = 20
"""Levels of nesting in a JSON body."""

TEXT_CHARACTERS = 4096
"""Of a text and of a key."""


async def request_object(request: Request) -> dict[str, Any]:
    """The object in the body of a request; see `json_object`."""
    return json_object(request.headers.get("content-type", ""), await request.body())


def json_object(kind: str, body: bytes, *, what: str = "the keys of a camera") -> dict[str, Any]:
    """The object in a body.

    Args:
        kind: Its content type. A form, which pages of other origins can send too, is refused.
        body: As it was sent.
        what: The object holds, for messages.

    Raises:
        ConfigError: It is none, a key is given twice, or it is too large or too deep. The message never repeats what
            was sent.
    """
    wanted = f"the body is not what is wanted: one JSON object with {what}, sent with 'Content-Type: application/json'"
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise ConfigError(wanted)
    try:
        data = json.loads(body, object_pairs_hook=_unique)
        odd = next(_not_finite(data), None)
    except (ValueError, RecursionError):
        raise ConfigError(wanted) from None
    if odd is not None:
        raise ConfigError(
            f"{odd if 0 < len(odd) < 80 else 'the body'}: JSON has neither infinity nor NaN; give a finite number"
        )
    if not isinstance(data, dict):
        raise ConfigError(wanted)
    _check(data)
    return data


def _not_finite(value: Any, where: str = "") -> Iterator[str]:
    """Where numbers are infinity or NaN, such as ``roi[1][0]``: JSON has neither, though Python reads both."""
    if isinstance(value, float) and not isfinite(value):
        yield where
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _not_finite(one, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from _not_finite(one, f"{where}[{index}]")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for i, name in enumerate(names) if name in names[:i]) if len(names) < 1000 else names[0]
        raise ConfigError(f"key '{_text(twice)[:100]}' is given twice")
    return result


def _check(data: dict[str, Any]) -> None:
    left: list[tuple[Any, int]] = [(data, 1)]
    count = 0
    while left:
        value, depth = left.pop()
        count += 1
        if isinstance(value, str):
            _text(value)
            continue
        if not isinstance(value, (dict, list)):
            continue
        count += len(value)
        if count > MOST_VALUES or depth > DEPTH:
            raise ConfigError(f"the body is too large: at most {MOST_VALUES} values, {DEPTH} deep")
        if isinstance(value, dict):
            for key in value:
                _text(key)
        left += [(item, depth + 1) for item in (value.values() if isinstance(value, dict) else value)]


def _text(text: str) -> str:
    if len(text) > TEXT_CHARACTERS:
        raise ConfigError(f"a text in the body has {len(text)} characters; at most {TEXT_CHARACTERS} are understood")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError("a text in the body is not Unicode: it holds half of a surrogate pair") from None
    return text
