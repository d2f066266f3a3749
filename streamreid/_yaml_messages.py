"""Sentences about what is wrong in a file of settings: place, key, reason, and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel, SecretStr
from pydantic.fields import FieldInfo

from streamreid.secrets import is_secret_key, redact
from streamreid.suggestions import nearest

__all__ = ["MOST_MESSAGES", "model_inside", "sentence"]

MOST_MESSAGES = 50
"""Mistakes that are reported at once."""

_LONGEST_VALUE = 200
"""Characters of a wrong value that are shown."""

_LONGEST_READ = 4096
"""Characters of a wrong value that are worked on; of a longer one only the length is shown."""

_SHAPES = {
    "dict_type": "expected keys and values, as in 'key: value'",
    "model_type": "expected keys and values, as in 'key: value'",
    "model_attributes_type": "expected keys and values, as in 'key: value'",
    "list_type": "expected a list, as in [a, b] or with a line '- ...' for each item",
    "tuple_type": "expected a list, as in [a, b] or with a line '- ...' for each item",
    "set_type": "expected a list, as in [a, b] or with a line '- ...' for each item",
}
"""What pydantic says of these in words of Python, in words of YAML."""

_FOREIGN = {
    "address": ("uri", "servers"),
    "bootstrap_servers": ("servers",),
    "broker": ("address", "servers"),
    "brokers": ("servers",),
    "database": ("address",),
    "db": ("address",),
    "endpoint": ("address", "servers"),
    "ffmpeg": ("uri",),
    "host": ("address", "servers"),
    "id": ("name",),
    "input": ("uri",),
    "inputs": ("uri",),
    "path": ("uri",),
    "port": ("address", "servers"),
    "rtsp": ("uri",),
    "rtsp_url": ("uri",),
    "server": ("address", "servers"),
    "src": ("uri",),
    "stream": ("uri",),
    "topic_prefix": ("topic",),
    "uri": ("address", "servers"),
    "url": ("uri", "address", "servers"),
    "username": ("user",),
}
"""What other tools (Frigate, go2rtc, DeepStream, client libraries of brokers) call our keys."""


def sentence(model: type[BaseModel], item: Any, where: str, lines: Mapping[tuple[str | int, ...], int] | None) -> str:
    """One of pydantic's errors in words.

    Args:
        model: The model that was checked.
        item: One of ``ValidationError.errors()``.
        where: Name of the file.
        lines: Line numbers from ``read_yaml``.
    """
    location: tuple[str | int, ...] = tuple(item["loc"])
    if len(location) > 1 and _is_union(_field(model, location[:-1])):
        location = location[:-1]  # the last part names which of the forms was tried; one sentence is said of all
    place = where
    if lines is not None:
        known = location
        while known and known not in lines:
            known = known[:-1]
        place = f"{where}:{lines.get(known, 1)}"
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part[:_LONGEST_VALUE]}" for part in location).lstrip(
        "."
    )
    if item["type"] == "extra_forbidden":
        return f"{place}: unknown key '{name}'; {_hint(model, location)}"
    if item["type"] == "missing":
        return f"{place}: '{name}' is missing"
    message = (
        _expected(model, item, location)
        or _SHAPES.get(item["type"])
        or _wrong_length(item)
        or item["msg"].removeprefix("Value error, ")
    )
    return (
        f"{place}: {name or 'configuration'}: "
        f"{message[:1].lower()}{message[1:]}{'' if _is_secret(model, location) else _shown(item, location)}"
    )


def _expected(model: type[BaseModel], item: Any, location: tuple[str | int, ...]) -> str | None:
    """What is to be written instead, where pydantic would only name a pattern or a class."""
    if item["type"] == "model_type":
        keys = _keys(model, location)
        return f"write keys and values below it; known keys: {', '.join(keys)}" if keys else None
    field = _field(model, location)
    if item["type"] in ("string_pattern_mismatch", "string_type") or _is_union(field):
        extra = field.json_schema_extra if field is not None and isinstance(field.json_schema_extra, dict) else {}
        return str(extra["x-expected"]) if "x-expected" in extra else None
    return None


def _is_union(field: FieldInfo | None) -> bool:
    """Whether a value may have one of several forms, None left aside."""
    if field is None or get_origin(field.annotation) not in (Union, UnionType):
        return False
    return sum(form is not type(None) for form in get_args(field.annotation)) > 1


def _field(model: type[BaseModel], location: tuple[str | int, ...]) -> FieldInfo | None:
    """The field at ``location``, if there is one."""
    annotation: Any = model
    field: FieldInfo | None = None
    for part in location:
        if isinstance(part, int):
            continue
        found = model_inside(annotation)
        field = None if found is None else found.model_fields.get(part)
        if field is None:
            return None
        annotation = field.annotation
    return field


def _wrong_length(item: Any) -> str | None:
    """What is wrong with a list of too many or too few items; None where that is not the mistake."""
    bounds = item.get("ctx") or {}
    if item["type"] not in ("too_long", "too_short") or "actual_length" not in bounds:
        return None
    side, number = (
        ("at most", bounds["max_length"]) if item["type"] == "too_long" else ("at least", bounds["min_length"])
    )
    got = "more" if bounds["actual_length"] is None else bounds["actual_length"]
    return f"expected {side} {number} {'item' if number == 1 else 'items'}, got {got}"


def _shown(item: Any, location: tuple[str | int, ...]) -> str:
    value = item.get("input")
    if location and is_secret_key(str(location[-1])):
        return ""
    if isinstance(value, str) and len(value) > _LONGEST_READ:
        return f" (got {len(value)} characters)"
    if isinstance(value, str):
        # Hidden before it is cut or written with quotes: what is hidden must be whole to be recognised.
        value = redact(value)
        value = value if len(value) <= _LONGEST_VALUE else value[:_LONGEST_VALUE] + "..."
    if not isinstance(value, (str, int, float, bool, date)) and value is not None:
        return ""
    quotes = "; put it in quotes if it is meant as text" if item["type"] == "string_type" and value is not None else ""
    return f" (got {value if isinstance(value, date) else repr(value)}{quotes})"


def _is_secret(model: type[BaseModel], location: tuple[str | int, ...]) -> bool:
    """Whether the value at ``location`` is one that is never shown."""
    field = _field(model, location)
    return field is not None and SecretStr in (field.annotation, *get_args(field.annotation))


def _hint(model: type[BaseModel], location: tuple[str | int, ...]) -> str:
    key, keys = str(location[-1]), _keys(model, location[:-1])
    for ours in _FOREIGN.get(key, ()):
        if ours in keys:
            return f"did you mean '{ours}'?"
    near = nearest(key, keys)
    if near is not None:
        return f"did you mean '{near}'?"
    elsewhere = [section for section, names in _sections(model) if key in names]
    if len(elsewhere) == 1:
        return f"it belongs into '{elsewhere[0]}:'"
    return f"known keys: {', '.join(keys)}"


def model_inside(annotation: Any) -> type[BaseModel] | None:
    """The model inside a field's type, if there is one: ``X``, ``X | None``, ``tuple[X, ...]``."""
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def _names(model: type[BaseModel]) -> list[str]:
    keys: list[str] = []
    for name, field in model.model_fields.items():
        keys.append(name)
        if isinstance(field.validation_alias, AliasChoices):
            keys += [c for c in field.validation_alias.choices if isinstance(c, str)]
    return sorted(set(keys))


def _sections(model: type[BaseModel]) -> Iterator[tuple[str, list[str]]]:
    for name, field in model.model_fields.items():
        if (found := model_inside(field.annotation)) is not None:
            yield name, _names(found)


def _keys(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """Every key that is known at ``location``: names and aliases."""
    for part in location:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        found = None if field is None else model_inside(field.annotation)
        if found is None:
            return []
        model = found
    return _names(model)
