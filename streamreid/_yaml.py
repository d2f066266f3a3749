"""YAML with line numbers, and pydantic errors turned into sentences that name line, key and the nearest right key."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import AliasChoices, BaseModel, SecretStr, ValidationError

from streamreid.errors import ConfigError
from streamreid.secrets import expand, redact

__all__ = ["read_yaml", "validate"]

Location = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SHIELDED = re.compile("\ue000([A-Za-z_][A-Za-z0-9_]*)\ue001")
"""``${NAME}`` while YAML is parsed: private-use characters are plain text everywhere, braces are syntax inside ``{...}``."""


def read_yaml(path: Path) -> tuple[Any, dict[Location, int]]:
    """Data of a YAML file (environment variables expanded) and the line, from 1, of every key and item.

    Raises:
        ConfigError: Missing or unreadable file, broken YAML, a key given twice, an unset environment variable.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file. Write one, or pass videos directly: streamreid run a.mp4 b.mp4") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a text file: {error}") from None
    try:
        node = yaml.compose(_VARIABLE.sub("\ue000\\1\ue001", text), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(f"{path}:{line}: not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if node is None:
        raise ConfigError(f"{path}: the file is empty; it needs at least a 'cameras' list")
    lines: dict[Location, int] = {}
    return _build(node, (), lines, path), lines


def _build(node: yaml.Node, where: Location, lines: dict[Location, int], path: Path) -> Any:
    lines.setdefault(where, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = _unshielded(key_node.value)
            line = key_node.start_mark.line + 1
            if key in result:
                raise ConfigError(f"{path}:{line}: key '{key}' is given twice")
            lines[(*where, key)] = line
            result[key] = _build(value_node, (*where, key), lines, path)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*where, i), lines, path) for i, item in enumerate(node.value)]
    loader = yaml.SafeLoader("")
    value = loader.construct_object(node)
    loader.dispose()
    if not isinstance(value, str):
        return value
    line = node.start_mark.line + 1
    return expand(
        _unshielded(value),
        lambda name: ConfigError(f"{path}:{line}: environment variable '{name}' is not set; set it before the run: export {name}=..."),
    )


def _unshielded(value: Any) -> Any:
    return _SHIELDED.sub(r"${\1}", value) if isinstance(value, str) else value


def validate(model: type[Model], data: Any, *, where: str, lines: dict[Location, int] | None = None) -> Model:
    """Check ``data`` against ``model``.

    Args:
        model: The pydantic model.
        data: What was read.
        where: Name of the file or the thing, for messages.
        lines: Line numbers from ``read_yaml``.

    Raises:
        ConfigError: One line per mistake.
    """
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: expected keys and values (for example 'cameras:'), got {type(data).__name__}")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        items = error.errors()
        # A list that lost its only item to a mistake inside it is also "too short": say only the cause.
        inner = {tuple(i["loc"])[:n] for i in items for n in range(1, len(i["loc"]))}
        messages = [_sentence(model, item, where, lines) for item in items if tuple(item["loc"]) not in inner]
    raise ConfigError(redact("\n".join(dict.fromkeys(messages))))


def _sentence(model: type[BaseModel], item: Any, where: str, lines: dict[Location, int] | None) -> str:
    location: Location = tuple(item["loc"])
    place = where
    if lines is not None:
        known = location
        while known and known not in lines:
            known = known[:-1]
        place = f"{where}:{lines.get(known, 1)}"
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    if item["type"] == "extra_forbidden":
        keys = _keys(model, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), keys, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(keys)}"
        return f"{place}: unknown key '{name}'; {hint}"
    if item["type"] == "missing":
        return f"{place}: '{name}' is missing"
    message = item["msg"].removeprefix("Value error, ")
    shown = "" if _is_secret(model, location) else _shown(item.get("input"))
    return f"{place}: {name or 'configuration'}: {message[:1].lower()}{message[1:]}{shown}"


_LONGEST_SHOWN = 4096
"""Characters of a value that are worked on for a message; of these, 200 are shown."""


def _shown(value: Any) -> str:
    """A value for a message, without passwords; nothing for what is no single value, and the length of what is too long to be shown."""
    if isinstance(value, str) and len(value) > _LONGEST_SHOWN:
        return f" (got {len(value)} characters)"
    if not isinstance(value, (str, int, float, bool)) and value is not None:
        return ""
    text = redact(repr(value))
    return f" (got {text if len(text) <= 200 else text[:200] + '...'})"


def _is_secret(model: type[BaseModel], location: Location) -> bool:
    """Whether the value at ``location`` is one that is never shown."""
    annotation: Any = model
    for part in location:
        if isinstance(part, int):
            continue
        models = [t for t in (annotation, *get_args(annotation)) if isinstance(t, type) and issubclass(t, BaseModel)]
        field = models[0].model_fields.get(part) if models else None
        if field is None:
            return False
        annotation = field.annotation
    return SecretStr in (annotation, *get_args(annotation))


def _keys(model: type[BaseModel], location: Location) -> list[str]:
    """Every key that is known at ``location``: names and aliases."""
    for part in location:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        if field is None:
            return []
        found = [t for t in (field.annotation, *get_args(field.annotation)) if isinstance(t, type) and issubclass(t, BaseModel)]
        if not found:
            return []
        model = found[0]
    keys: list[str] = []
    for name, field in model.model_fields.items():
        keys.append(name)
        if isinstance(field.validation_alias, AliasChoices):
            keys += [c for c in field.validation_alias.choices if isinstance(c, str)]
    return sorted(set(keys))
