"""YAML with line numbers, and pydantic errors turned into sentences that name line, key and the nearest right key."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from streamreid._sections import Section
from streamreid._yaml_messages import MOST_MESSAGES, sentence
from streamreid.errors import ConfigError
from streamreid.secrets import expand, redact
from streamreid.textfiles import LARGEST_SETTINGS, read_text

__all__ = ["Lines", "Location", "find_mistakes", "in_words", "parse_yaml", "read_yaml", "validate"]

Location = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""LibYAML where PyYAML has it: thirty times as fast, and linear where the Python scanner is not."""

_DEEPEST = 50
"""Levels of lists and mappings inside each other; a cameras file has six."""

_MOST_REPEATED = 100_000
"""Values that may come from aliases: a few lines can stand for a billion ("billion laughs")."""

_MERGE = "tag:yaml.org,2002:merge"
_DOLLAR = re.compile(r"(?<![$\w])\$(?P<name>[A-Za-z_][A-Za-z0-9_]{0,99})")
_BRACES = re.compile(r"(?<!\$)\{(?P<name>[A-Z_][A-Z0-9_]{2,99})\}")
_ENVIRONMENT_NAME = re.compile(r"[A-Z][A-Z0-9_]{2,}")
_VARIABLE = re.compile(r"\$\{([^{}\n'\"]{1,1000})\}")
_SHIELDED = re.compile("\ue000([^\ue001]{1,1000})\ue001")
"""``${NAME}`` while YAML is parsed: private-use characters are plain text everywhere, braces are syntax inside
``{...}``."""

_UNFINISHED = re.compile(r"(?<!\$)\$\{(?![^{}\n]{0,1000}\})")


class Lines(dict[Location, int]):
    """The line, from 1, of every key and item, and what was found wrong while reading.

    Args:
        path: Of the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.mistakes: list[str] = []
        self.unknown: set[Location] = set()

    def add(self, line: int, text: str, where: Location = ()) -> None:
        """A mistake; the value at ``where`` is not known because of it."""
        self.mistakes.append(f"{self.path}:{line}: {text}")
        self.unknown.add(where)

    def check(self) -> None:
        """Raise what was found wrong.

        Raises:
            ConfigError: One line per mistake.
        """
        if self.mistakes:
            raise ConfigError(redact("\n".join(dict.fromkeys(self.mistakes[:MOST_MESSAGES]))))


def read_yaml(path: Path) -> tuple[Any, Lines]:
    """Data of a YAML file, environment variables expanded, aliases and merge keys resolved, and the line of every key
    and item.

    Keys of the top level that begin with ``x-`` are left out: they are places for anchors. A variable that is not set
    is no reason to stop reading: `validate` reports it together with all other mistakes (or call ``check``).

    Raises:
        ConfigError: Missing or unreadable file, broken YAML, a key given twice.
    """
    try:
        text = read_text(path, largest=LARGEST_SETTINGS)
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file. Write one, or pass videos directly: streamreid run a.mp4 b.mp4"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: cannot be read as a text file: {getattr(error, 'strerror', None) or error}"
        ) from None
    node = _compose(_VARIABLE.sub("\ue000\\1\ue001", text), str(path))
    if node is None:
        raise ConfigError(f"{path}: the file is empty; it needs at least a 'cameras' list")
    builder = _Builder(path)
    data = builder.build(node, ())
    if isinstance(data, dict):
        data = {key: value for key, value in data.items() if not str(key).startswith("x-")}
    return data, builder.lines


def parse_yaml(text: str, where: str) -> Any:
    """The value that a short text stands for, as ``--set KEY=TEXT`` has it. Environment variables stay as they are.

    Raises:
        ConfigError: It is no YAML.
    """
    _compose(text, where)
    try:
        return yaml.load(text, Loader=_LOADER)  # noqa: S506 - the safe loader
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise ConfigError(f"{where}: not a value: {_problem(error)}") from None


def _compose(text: str, where: str) -> yaml.Node | None:
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > _DEEPEST:
                    line = event.start_mark.line + 1 if event.start_mark else 1
                    raise ConfigError(
                        f"{where}:{line}: lists and keys are nested more than {_DEEPEST} levels deep; check the "
                        "brackets"
                    )
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
        return yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(f"{where}:{line}: not valid YAML: {_problem(error)}") from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise ConfigError(f"{where}: not valid YAML: {error}") from None


def _problem(error: Exception) -> str:
    text = getattr(error, "problem", None) or getattr(error, "context", None) or str(error)
    return redact(_unshielded(" ".join(str(text).split())[:200]))


def _unshielded(text: str) -> str:
    return _SHIELDED.sub(r"${\1}", text)


class _Builder:
    """From the nodes of a YAML file to plain data."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._scalars = yaml.constructor.SafeConstructor()
        self._seen: set[int] = set()
        self._open: set[int] = set()
        self._repeated = 0
        self.lines = Lines(path)

    def _wrong(self, node: yaml.Node, text: str) -> ConfigError:
        return ConfigError(f"{self._path}:{node.start_mark.line + 1}: {text}")

    def build(self, node: yaml.Node, where: Location) -> Any:
        """The data of a node at a place."""
        self.lines.setdefault(where, node.start_mark.line + 1)
        if id(node) in self._open:
            raise self._wrong(node, "an anchor contains its own alias; a value cannot be part of itself")
        if id(node) in self._seen:
            self._repeated += 1
            if self._repeated > _MOST_REPEATED:
                raise self._wrong(
                    node,
                    f"aliases stand for more than {_MOST_REPEATED} values; write them out, or take smaller anchors",
                )
        self._seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, where)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, where)
            return [self.build(item, (*where, i)) for i, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, where: Location) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                continue
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._wrong(
                    key_node, "a key is a word, not a list or a mapping; check the brackets and the indentation"
                )
            key = _unshielded(key_node.value)
            if key in result:
                raise ConfigError(f"{self._path}:{line}: key '{key[:200]}' is given twice")
            self.lines[(*where, key)] = line
            result[key] = self.build(value_node, (*where, key))
        for source in merged:
            if not isinstance(source, yaml.MappingNode):
                raise self._wrong(
                    source, "'<<' takes keys from an anchor with keys (or a list of such); this one has none"
                )
            # What is written here counts, then the first of several.
            for key, value in self.build(source, where).items():
                result.setdefault(key, value)
        return result

    def _scalar(self, node: yaml.ScalarNode, where: Location) -> Any:
        try:
            value = self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
            raise self._wrong(node, f"not a value: {_problem(error)}") from None
        finally:
            self._scalars.constructed_objects.clear()
            self._scalars.recursive_objects.clear()
        if not isinstance(value, str):
            return value
        value = _unshielded(value)
        if "$" not in value and "{" not in value:
            return value
        line = node.start_mark.line + 1
        self._check_references(value, line, where)
        try:
            return expand(value, lambda name: _Missing(name))
        except _Missing as missing:
            name = str(missing)[:200]
            if re.fullmatch(r"\w+", name):
                self.lines.add(
                    line, f"environment variable '{name}' is not set; set it before the run: export {name}=...", where
                )
            else:
                self.lines.add(line, f"'${{{name}}}' is not understood; write ${{NAME}} or ${{NAME:-default}}", where)
            return value

    def _check_references(self, value: str, line: int, where: Location) -> None:
        """Spellings of variables that other tools know, and that would otherwise go on as they are, as a password for
        example."""
        if _UNFINISHED.search(value):
            self.lines.add(
                line,
                "'${' begins a variable that does not end; write ${NAME} or ${NAME:-default}, without another one "
                "inside",
                where,
            )
        found = [(m.group(), m["name"]) for m in _DOLLAR.finditer(value)]
        if "://" in value:
            found += [(m.group(), m["name"]) for m in _BRACES.finditer(value)]
        for written, name in found[:3]:
            if name in os.environ or _ENVIRONMENT_NAME.fullmatch(name):
                advice = (
                    "for a '$' that is meant write %24 in an address"
                    if written[0] == "$"
                    else "braces that are meant are %7B and %7D"
                )
                self.lines.add(
                    line,
                    f"'{written}' is not replaced by the environment variable; write ${{{name}}} ({advice})",
                    where,
                )


class _Missing(Exception):
    """A variable that is not set."""


def validate(model: type[Model], data: Any, *, where: str, lines: dict[Location, int] | None = None) -> Model:
    """Check ``data`` against ``model``.

    Args:
        model: The pydantic model.
        data: What was read.
        where: Name of the file or the thing, for messages.
        lines: Line numbers from ``read_yaml``; mistakes that were found while reading are reported too.

    Raises:
        ConfigError: One line per mistake.
    """
    checked, mistakes, _ = find_mistakes(model, data, where=where, lines=lines)
    if checked is None or mistakes:
        raise ConfigError(in_words(mistakes, where))
    return checked


def find_mistakes(
    model: type[Model], data: Any, *, where: str, lines: dict[Location, int] | None = None
) -> tuple[Model | None, list[str], list[Location]]:
    """The same without raising, for whoever looks for further mistakes.

    Returns:
        The checked model (None where it cannot be built), a sentence per mistake, and where pydantic found them.

    Raises:
        ConfigError: ``data`` has no keys.
    """
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: expected keys and values (for example 'cameras:'), got {type(data).__name__}")
    mistakes = list(lines.mistakes) if isinstance(lines, Lines) else []
    unknown = lines.unknown if isinstance(lines, Lines) else set()
    try:
        checked = model.model_validate(data)
    except ValidationError as error:
        items = error.errors()
    else:
        for location, text in checked.contradictions() if isinstance(checked, Section) else ():
            mistake = {"type": "value_error", "loc": location, "msg": text, "input": ()}
            mistakes.append(sentence(model, mistake, where, lines))
        return checked, mistakes, []
    # A list that lost its only item to a mistake inside it is also "too short": say only the cause.
    inner = {tuple(i["loc"])[:n] for i in items for n in range(1, len(i["loc"]))}
    for item in items:
        location = tuple(item["loc"])
        if location not in inner and not any(location[:n] in unknown for n in range(1, len(location) + 1)):
            mistakes.append(sentence(model, item, where, lines))
        if len(mistakes) > MOST_MESSAGES:
            break
    return None, mistakes, [tuple(item["loc"]) for item in items]


def in_words(mistakes: Sequence[str], where: str) -> str:
    """Mistakes of ``where`` as one message without secrets: one a line, each once, and not more than can be read."""
    said = list(dict.fromkeys(mistakes))
    if len(said) > MOST_MESSAGES:
        said = [*said[:MOST_MESSAGES], f"{where}: and more; mend these first"]
    return redact("\n".join(said))
