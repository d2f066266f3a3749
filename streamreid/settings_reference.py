"""What there is to set: the JSON schema of a cameras file by level, and the page docs/settings.md.

``python -m streamreid.settings_reference > docs/settings.md`` writes the page anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Literal, get_args

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from streamreid._sections import Level, level_of
from streamreid._yaml_messages import model_inside
from streamreid.config import Config

__all__ = ["SHOWN", "View", "markdown", "schema", "settings"]

View = Literal["basic", "advanced", "all"]
"""How much is shown: basic settings; these and advanced ones; everything."""

SHOWN: dict[View, tuple[Level, ...]] = {
    "basic": ("basic",),
    "advanced": ("basic", "advanced"),
    "all": ("basic", "advanced", "experimental"),
}


_NO_LIMIT = 1e9
"""Bounds from here on only keep numbers finite; nobody meets them."""


def schema(view: View = "advanced") -> dict[str, Any]:
    """The JSON schema of a cameras file. Keys that are not shown are not forbidden by it.

    Args:
        view: How much is shown.
    """
    full = Config.model_json_schema()
    for part in (full, *full["$defs"].values()):
        properties = part.get("properties", {})
        hidden = {key for key, value in properties.items() if not _is_shown(key, value, part is full, view)}
        part["properties"] = {key: value for key, value in properties.items() if key not in hidden}
        if hidden:
            del part["additionalProperties"]
    return _used_definitions(full)


def _is_shown(key: str, value: dict[str, Any], is_section: bool, view: View) -> bool:
    if is_section:
        return view != "basic" or key != "topology"  # all other sections have basic settings
    return level_of(value) in SHOWN[view]


def _used_definitions(full: dict[str, Any]) -> dict[str, Any]:
    """Without the models that nothing refers to any more."""

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"].rsplit("/", 1)[-1]
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    used: set[str] = set()
    left = set(references({k: v for k, v in full.items() if k != "$defs"}))
    while left:
        used |= left
        left = {name for known in left for name in references(full["$defs"][known])} - used
    full["$defs"] = {name: value for name, value in full["$defs"].items() if name in used}
    return full


def settings(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting by dotted key; those of lists (cameras, transits) once."""
    for name, field in model.model_fields.items():
        inner = model_inside(field.annotation)
        if inner is None:
            yield f"{prefix}{name}", field
        else:
            if isinstance(field.json_schema_extra, dict):
                yield f"{prefix}{name}", field
            yield from settings(inner, f"{prefix}{name}.")


def markdown() -> str:
    """The text of docs/settings.md: every setting with unit, range and default."""
    lines = [
        "# Settings",
        "",
        "Made by `python -m streamreid.settings_reference`; do not edit. `streamreid config schema` prints the same "
        "for editors, `--level basic` less, `--level all` also what is for comparisons only. "
        "`--set SECTION.KEY=VALUE` changes one for a run.",
        "",
        "Most users need only the basic ones. A setting without a unit is a choice, a name or a switch.",
    ]
    sections: dict[str, list[tuple[str, FieldInfo]]] = {}
    for key, field in settings():
        sections.setdefault(key.split(".")[0], []).append((key.split(".", 1)[-1], field))
    for section, found in sections.items():
        lines += ["", f"## {section}", "", _summary(section)]
        some = [(key, field) for key, field in found if level_of(field.json_schema_extra) == "basic"]
        if some:
            lines += ["", "| setting | default | unit, range | what it does | too low | too high |"]
            lines += ["|---|---|---|---|---|---|", *(_row(key, field, consequences=True) for key, field in some)]
        more = [(key, field) for key, field in found if level_of(field.json_schema_extra) == "advanced"]
        if more:
            lines += ["", "Advanced:", "", "| setting | default | range | what it does |", "|---|---|---|---|"]
            lines += [_row(key, field, consequences=False) for key, field in more]
    return "\n".join(lines) + "\n"


def _summary(section: str) -> str:
    inner = model_inside(Config.model_fields[section].annotation)
    assert inner is not None
    return " ".join((inner.__doc__ or "").split("\n\n")[0].split())


def _row(key: str, field: FieldInfo, *, consequences: bool) -> str:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    unit = ", ".join(str(v) for v in (extra.get("x-unit"), _range(field)) if v)
    alias = field.validation_alias
    older = [c for c in alias.choices if isinstance(c, str) and c != key] if isinstance(alias, AliasChoices) else []
    older = [name for name in older if name != key.rsplit(".", 1)[-1]]
    text = (field.description or "") + (f" Also: {', '.join(older)}." if older else "")
    cells = [f"`{key}`", _default(field), unit, text]
    if consequences:
        cells += [str(extra.get("x-too-low", "")), str(extra.get("x-too-high", ""))]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("][", "]\\[").replace("\n", " ") for cell in cells) + " |"


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined or isinstance(field.default, BaseModel):
        return "" if field.default_factory is None else "none"
    if field.default is None or field.default in ((), "", {}):
        return "empty"
    if isinstance(field.default, bool):
        return str(field.default).lower()
    return ", ".join(map(str, field.default)) if isinstance(field.default, tuple) else str(field.default)


def _range(field: FieldInfo) -> str:
    choices = [str(c) for c in _literals(field.annotation) if c is not None]
    limits = _limits([*field.metadata, *_metadata(field.annotation)])
    return " or ".join(text for text in (limits, ", ".join(choices)) if text)


def _limits(metadata: list[Any]) -> str:
    words = {"ge": "from {}", "gt": "above {}", "le": "to {}", "lt": "below {}"}
    found = [
        text.format(f"{value:g}" if isinstance(value, float) else value)
        for name, text in words.items()
        for item in metadata
        if (value := getattr(item, name, None)) is not None and abs(value) < _NO_LIMIT
    ]
    return " ".join(found)


def _metadata(annotation: Any) -> list[Any]:
    """Limits of the alternatives of a union, which pydantic leaves where they were written."""
    found: list[Any] = []
    for inner in get_args(annotation):
        for item in getattr(inner, "__metadata__", ()):
            found += item.metadata if isinstance(item, FieldInfo) else [item]
    return found


def _literals(annotation: Any) -> list[Any]:
    if getattr(annotation, "__origin__", None) is Literal:
        return list(get_args(annotation))
    return [choice for inner in get_args(annotation) for choice in _literals(inner)]


if __name__ == "__main__":
    sys.stdout.write(markdown())
