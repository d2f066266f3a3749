"""Small files that outlive a run: what was measured, and compiled graphs. Losing them costs time, never a result."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from streamreid.files import atomic_write

__all__ = ["CompiledGraphs", "read_json", "write_json"]

log = logging.getLogger(__name__)

_ROOM = 1 << 30
"""Bytes that compiled graphs may take; those unused for longest go first."""


def read_json(path: Path) -> Any:
    """A JSON file; None if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file in one step; a folder that cannot be written is passed over."""
    _write(path, json.dumps(value, indent=2).encode())


class CompiledGraphs:
    """Compiled graphs in a folder, each behind its own checksum, so that a damaged one is compiled again instead of
    computing something else.

    Args:
        folder: Created when first needed.
        room: Bytes that may be used; the least recently used graphs go first.
        root: Where that is counted, if graphs of other machines or versions lie beside the folder.
    """

    def __init__(self, folder: Path, *, room: int = _ROOM, root: Path | None = None) -> None:
        self._folder, self._root = folder, root or folder
        self._room = room

    def get(self, key: str) -> bytes | None:
        """The graph that was stored under that key; None if there is none or it is damaged."""
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if len(data) <= 32 or hashlib.sha256(data[32:]).digest() != data[:32]:
            log.info("%s is damaged; the graph is compiled again", path)
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path)
        return data[32:]

    def put(self, key: str, data: bytes) -> None:
        """Store a graph; a full disk or a folder that cannot be written is passed over."""
        if len(data) > self._room:
            return
        _write(self._path(key), hashlib.sha256(data).digest() + data)
        self._tidy()

    def _path(self, key: str) -> Path:
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.graph"

    def _tidy(self) -> None:
        with suppress(OSError):
            files = sorted(
                ((f.stat().st_mtime, f.stat().st_size, f) for f in self._root.rglob("*.graph")), reverse=True
            )
            used = 0
            for _, size, file in files:
                used += size
                if used > self._room:
                    file.unlink()


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, part=path.with_name(f".{path.name}.{os.getpid()}")) as part:
            part.write_bytes(data)
    except OSError as error:
        log.debug("%s cannot be written: %s", path, error)
