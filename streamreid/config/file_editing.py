"""A cameras file written anew with some of its cameras, zones and lines changed: comments, order, quotes and everything
else stay as they are, and what would change is shown first.

.. code-block:: python

    file = CamerasFile("cams.yaml")
    change = file.proposal(cameras, zones, lines)
    print(change.diff)
    file.write(change)  # refused if somebody else has changed the file since
"""

from __future__ import annotations

import difflib
import hashlib
import io
import os
import re
import stat
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from streamreid.config import CameraConfig, LineConfig, ZoneConfig, load_config
from streamreid.errors import ConfigError, FileChanged, MissingExtraError, OutputError
from streamreid.files import atomic_write
from streamreid.secrets import redact
from streamreid.textfiles import decode_text

__all__ = ["CamerasFile", "FileChange"]

_VARIABLE = re.compile(r"\$\{([^{}\n'\"]{1,1000})\}")
_SHIELDED = re.compile("\ue000([^\ue001]{1,1000})\ue001")
"""``${NAME}`` while YAML is parsed, as `_yaml` has it: braces are syntax inside ``{...}``."""

_WIDE = 1 << 20
"""Columns: no line is broken that was not broken before."""

_OTHER_NAMES = {"uri": ("source",), "stride": ("vid_stride",), "begin": ("from",), "end": ("to",)}
"""Names by which a setting may stand in the file."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """What would be written.

    Args:
        digest: Of the file that it was worked out for.
        diff: Unified, without passwords; empty where nothing changes.
        data: The whole file.
    """

    digest: str
    diff: str
    data: bytes

    @property
    def new_digest(self) -> str:
        """Of the file once it is written."""
        return hashlib.sha256(self.data).hexdigest()


class CamerasFile:
    """The file. Methods may be called from any thread.

    Args:
        path: The YAML file; where it is a link, the file behind it is written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()

    def proposal(
        self, cameras: Sequence[CameraConfig], zones: Sequence[ZoneConfig], lines: Sequence[LineConfig]
    ) -> FileChange:
        """What would have to be written so that the file says these cameras, zones and lines, and all else that it says
        now. Only settings that differ are touched; what comes from ``${VARIABLES}`` and anchors stays so.

        Raises:
            ConfigError: The file cannot be read, or has a mistake, or would have one then.
            MissingExtraError: ruamel.yaml is not installed.
        """
        data = self._read()
        text = _shield(decode_text(data))
        before = load_config(self.path)
        editor = _round_trip(text)
        tree = editor.load(text)
        formatted = _dumped(editor, tree)
        folder = self.path.parent
        _edit_list(tree, "cameras", _listed(before.cameras), {c.name: c for c in cameras}, folder)
        _edit_list(tree, "zones", {z.key: z for z in before.zones}, {z.key: z for z in zones}, folder)
        _edit_list(tree, "lines", {n.key: n for n in before.lines}, {n.key: n for n in lines}, folder)
        new = _unshield(_merged(text, formatted, _dumped(editor, tree)))
        encoded = _encoded(new, data)
        self._check(encoded, cameras, zones, lines)
        return FileChange(hashlib.sha256(data).hexdigest(), _diff(decode_text(data), new, self.path.name), encoded)

    def write(self, change: FileChange) -> None:
        """Write a proposal, in one step.

        Raises:
            FileChanged: The file is no longer what the proposal was made for; nothing is written.
            OutputError: It cannot be written.
        """
        target = self.path.resolve()
        with self._lock:
            if hashlib.sha256(self._read()).hexdigest() != change.digest:
                raise FileChanged(str(self.path))
            try:
                mode = stat.S_IMODE(os.stat(target).st_mode)
                with atomic_write(
                    target, part=target.with_name(f".{target.name}.part"), mode=mode, durable=True
                ) as part:
                    part.write_bytes(change.data)
            except OSError as error:
                raise OutputError(f"cannot write '{self.path}': {error.strerror or error}") from error

    def _read(self) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise ConfigError(f"'{self.path}' cannot be read: {error.strerror or error}") from None

    def _check(
        self, data: bytes, cameras: Sequence[CameraConfig], zones: Sequence[ZoneConfig], lines: Sequence[LineConfig]
    ) -> None:
        """Whether the new file says what it is meant to, before anything is written."""
        part = self.path.with_name(f".{self.path.name}.{os.getpid()}.{threading.get_ident()}.check")
        try:
            with atomic_write(part, mode=0o600) as written:
                written.write_bytes(data)
                now = load_config(written)
        except OSError as error:
            raise OutputError(f"cannot write beside '{self.path}': {error.strerror or error}") from error
        finally:
            part.unlink(missing_ok=True)
        meant, said = _said(cameras, zones, lines), _said(now.cameras, now.zones, now.lines)
        if meant != said:
            raise ConfigError(
                f"'{self.path}' cannot be changed so that it says this, because of how it is written (anchors or merge "
                "keys, for example); edit it by hand"
            )


def _said(
    cameras: Sequence[CameraConfig], zones: Sequence[ZoneConfig], lines: Sequence[LineConfig]
) -> tuple[dict[str, CameraConfig], dict[Any, ZoneConfig], dict[Any, LineConfig]]:
    return {c.name: _comparable(c) for c in cameras}, {z.key: z for z in zones}, {n.key: n for n in lines}


def _listed(cameras: Sequence[CameraConfig]) -> dict[str, CameraConfig]:
    return {camera.name: camera for camera in cameras}


def _comparable(camera: CameraConfig) -> CameraConfig:
    """Without what a run works out for itself, with paths that do not depend on a folder."""
    update: dict[str, Any] = {"live": None}
    if _is_path(camera.uri):
        update["uri"] = os.path.abspath(camera.uri)
    if camera.calibration is not None and camera.calibration.file is not None:
        update["calibration"] = camera.calibration.model_copy(update={"file": os.path.abspath(camera.calibration.file)})
    return camera.model_copy(update=update)


def _is_path(uri: str) -> bool:
    return "://" not in uri and not uri.isdigit()


# ---------------------------------------------------------------- text


def _shield(text: str) -> str:
    return _VARIABLE.sub("\ue000\\1\ue001", text)


def _unshield(text: str) -> str:
    return _SHIELDED.sub(r"${\1}", text)


def _encoded(text: str, before: bytes) -> bytes:
    """In the encoding and with the line ends of the file."""
    if b"\r\n" in before[:4096]:
        text = text.replace("\n", "\r\n")
    for mark, name in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if before.startswith(mark):
            return text.encode(name)
    return text.encode()


def _diff(before: str, after: str, name: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), name, f"{name} (new)", lineterm="")
    return "\n".join(redact(line) for line in lines)


def _round_trip(text: str) -> Any:
    try:
        from ruamel.yaml import YAML
    except ImportError as error:
        raise MissingExtraError("ruamel.yaml", "server", "Writing a cameras file") from error
    editor = YAML(typ="rt")
    editor.preserve_quotes, editor.width = True, _WIDE
    item = re.search(r"^( *)[\w'\"-]+:[^\S\n]*\n(?:[^\S\n]*(?:#[^\n]*)?\n)*( *)-( +)", text, re.MULTILINE)
    if item is not None:
        offset = len(item[2]) - len(item[1])
        editor.indent(mapping=2, sequence=offset + 1 + len(item[3]), offset=offset)
    return editor


def _dumped(editor: Any, tree: Any) -> str:
    written = io.StringIO()
    editor.dump(tree, written)
    return written.getvalue()


def _merged(text: str, formatted: str, changed: str) -> str:
    """The file with what is different between ``formatted`` (the file as it is written anew) and ``changed``; lines
    that are only written in another way stay as they are.

    A three-way merge by lines; where a change touches a line that is written in another way, the new line counts. If
    the result does not say the same as ``changed``, that is what counts.
    """
    own, base, new = (part.splitlines(keepends=True) for part in (text, formatted, changed))
    to_own = _positions(base, own)
    result: list[str] = []
    taken = 0
    for tag, low, high, first, last in difflib.SequenceMatcher(None, base, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        begin, end = to_own[low], to_own[high]
        deeper = _indent(own[to_own[low - 1]]) - _indent(base[low - 1]) if low else 0
        result += [*own[taken:begin], *_indented(new[first:last], deeper)]
        taken = end
    merged = "".join([*result, *own[taken:]])
    try:
        same = yaml.safe_load(merged) == yaml.safe_load(changed)
    except yaml.YAMLError:
        same = False
    return merged if same else changed


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _indented(lines: Sequence[str], deeper: int) -> list[str]:
    """Lines of a section as deep as the file has it; from the next section on as they are."""
    for number, line in enumerate(lines):
        if line[:1] not in (" ", "-", "\n"):
            return [*_indented(lines[:number], deeper), *lines[number:]]
    return [line[-deeper:] if deeper < 0 and line.startswith(" " * -deeper) else " " * deeper + line for line in lines]


def _positions(base: list[str], own: list[str]) -> list[int]:
    """For each line of ``base``, and its end, the line of ``own`` that it belongs to."""
    positions = [0] * (len(base) + 1)
    for _, low, high, first, last in difflib.SequenceMatcher(None, base, own, autojunk=False).get_opcodes():
        for i in range(low, high):
            positions[i] = min(first + i - low, last)
    positions[len(base)] = len(own)
    return positions


# ---------------------------------------------------------------- the tree


def _edit_list(tree: Any, section: str, before: Mapping[Any, Any], now: Mapping[Any, Any], folder: Path) -> None:
    """Make a list of the tree say what it is to say."""
    if before == now:
        return
    items = tree.get(section)
    if items is None:
        items = tree[section] = []
    numbers = {key: i for i, key in enumerate(before)}
    for key, place in now.items():
        if key in before and before[key] != place:
            _edit_item(items[numbers[key]], before[key], place, folder)
    for key in sorted((key for key in before if key not in now), key=lambda key: -numbers[key]):
        del items[numbers[key]]
    for key, place in now.items():
        if key not in before:
            items.append(_new_item(_data(place, folder)))
    if not items and section != "cameras":
        del tree[section]


def _data(place: Any, folder: Path) -> dict[str, Any]:
    """An item with the keys of the file, without what is as by default; paths from the folder of the file."""
    data: dict[str, Any] = place.model_dump(mode="json", exclude_defaults=True)
    if isinstance(place, LineConfig):
        data = {{"begin": "from", "end": "to"}.get(key, key): value for key, value in data.items()}
    if isinstance(place, CameraConfig):
        if _is_path(place.uri):
            data["uri"] = _relative(place.uri, folder)
        calibration = data.get("calibration")
        if isinstance(calibration, dict) and "file" in calibration:
            calibration["file"] = _relative(calibration["file"], folder)
        data = {key: value for key, value in data.items() if value is not None}
    return data


def _relative(path: str, folder: Path) -> str:
    """A path as seen from a folder; one that lies elsewhere as it is from the root."""
    whole = Path(os.path.abspath(path))
    try:
        return str(whole.relative_to(os.path.abspath(folder)))
    except ValueError:
        return str(whole)


def _edit_item(item: Any, before: Any, now: Any, folder: Path) -> None:
    old, new = _data(before, folder), _data(now, folder)
    for key in {**old, **new}:
        if old.get(key) == new.get(key):
            continue
        name = next((other for other in (*_OTHER_NAMES.get(key, ()), key) if other in item), key)
        if key in new:
            item[name] = _with_variables(item.get(name), old.get(key), new[key]) if key == "uri" else _node(new[key])
        elif name in item:
            del item[name]
        if key not in new and name in item:  # from a merge key
            item[name] = getattr(now, key)


def _with_variables(written: Any, old: Any, new: Any) -> Any:
    """An address, with ``${VARIABLES}`` of the one in the file where their values still stand."""
    if not isinstance(written, str) or not isinstance(old, str) or not isinstance(new, str):
        return _node(new)
    parts = re.split("(\ue000[^\ue001]*\ue001)", written)
    pattern = "".join("(.*?)" if part.startswith("\ue000") else re.escape(part) for part in parts)
    values = re.fullmatch(pattern, old, re.DOTALL)
    if values is None:
        return _node(new)
    for variable, value in zip([p for p in parts if p.startswith("\ue000")], values.groups(), strict=True):
        if len(value) >= 4:
            new = new.replace(value, variable, 1)
    return _node(new)


def _new_item(data: dict[str, Any]) -> Any:
    from ruamel.yaml.comments import CommentedMap

    return CommentedMap({key: _node(value) for key, value in data.items()})


def _node(value: Any) -> Any:
    """A value as ruamel writes it: lists of numbers on one line, texts quoted where YAML 1.1 takes them for something
    else."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, (list, tuple)):
        items = CommentedSeq([_node(item) for item in value])
        items.fa.set_flow_style()
        return items
    if isinstance(value, dict):
        mapping = CommentedMap({key: _node(item) for key, item in value.items()})
        mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, str):
        try:
            plain = yaml.safe_load(value) == value
        except yaml.YAMLError:
            plain = False
        return value if plain else DoubleQuotedScalarString(value)
    return value
