"""Single settings by dotted key (``tracker.delay``) in the data of a configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import AliasChoices, BaseModel

from streamreid._yaml import parse_yaml
from streamreid._yaml_messages import model_inside
from streamreid.errors import ConfigError

__all__ = ["as_changes", "change_settings", "parse_settings", "with_present_names"]


def as_changes(sections: Mapping[str, Any]) -> dict[str, Any]:
    """The values of sections by dotted key, so that they change single settings and leave the others of a section."""
    changes: dict[str, Any] = {}
    for section, values in sections.items():
        keyed = isinstance(values, Mapping)
        changes |= {f"{section}.{key}": value for key, value in values.items()} if keyed else {section: values}
    return changes


def change_settings(data: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``data`` with single settings changed; what they mean is not checked.

    Args:
        data: Sections of a configuration.
        changes: Value by dotted key, which may lead deeper than a section: ``output.rotate.keep``. A setting of
            ``cameras`` is one of each of them. A key without a dot replaces a whole section.

    Raises:
        ConfigError: A setting of cameras where none are listed.
    """
    changed = dict(data)
    for key, value in changes.items():
        section, _, rest = key.partition(".")
        if section == "cameras" and rest:
            if not changed.get(section):
                raise ConfigError(f"{key}={value}: no cameras are listed here; write it into their cams.yaml")
            changed[section] = [_with(camera, rest.split("."), value) for camera in changed[section]]
        else:
            changed = _with(changed, key.split("."), value)
    return changed


def with_present_names(model: type[BaseModel], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The same changes by the names that settings have today, where they are given by an earlier or another one
    (``detector.conf``): a configuration that is changed would else hold both."""
    return {".".join(_present(model, key.split("."))): value for key, value in changes.items()}


def _present(model: type[BaseModel] | None, keys: list[str]) -> list[str]:
    if model is None or not keys:
        return keys
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        if keys[0] == name or (isinstance(alias, AliasChoices) and keys[0] in alias.choices):
            return [name, *_present(model_inside(field.annotation), keys[1:])]
    return keys


def parse_settings(items: Iterable[str], *, option: str = "--set") -> dict[str, Any]:
    """Settings as they are written on the command line, by dotted key.

    Args:
        items: ``SECTION.KEY=VALUE``, the value in YAML.
        option: Where they stand, for messages.

    Raises:
        ConfigError: One is written otherwise.
    """
    changes = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or "." not in key:
            raise ConfigError(f"{option} {item}: write SECTION.KEY=VALUE, for example tracker.lost_seconds=5")
        changes[key] = parse_yaml(text, f"{option} {key}")
    return changes


def _with(values: Any, keys: list[str], value: Any) -> dict[str, Any]:
    """``values`` with one set; what is no dictionary on the way there becomes one."""
    values = values if isinstance(values, dict) else {}
    return {**values, keys[0]: value if len(keys) == 1 else _with(values.get(keys[0]), keys[1:], value)}
