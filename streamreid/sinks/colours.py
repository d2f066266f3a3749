"""``colours.jsonl`` in the folder of a run: the mean colours of tracks by body part, for figures where no picture is
stored.

One line per track: ``{"camera": ..., "track_id": ..., "head": "#rrggbb", "torso": ..., "legs": ..., "feet": ...}``;
parts that were never seen are left out. Written when the run ends; of a track that has several lines the last one
counts.
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from streamreid.errors import DataError, OutputError
from streamreid.features.part_colours import BODY
from streamreid.sinks.base import FinalIdentities, SinkContext
from streamreid.types import Float64Array, FrameResult, IdentityEvent, TrackKey

__all__ = ["COLOURS", "ColourSink", "Colours", "read_colours"]

COLOURS = "colours.jsonl"

_MOST_TRACKS = 50_000
"""Whose colours are remembered until the run ends, the newest: some 15 MB."""

_TOLD = re.compile(r"#[0-9a-f]{6}")

Colours = dict[str, str]
"""``#rrggbb`` by body part."""


class ColourSink(SinkContext):
    """Means of the colours of each track; from any thread.

    Args:
        path: The file; None keeps them in memory only, and lets go of whom the run forgets.
        append: Go on behind an earlier run.
    """

    output = "colours"

    def __init__(self, path: Path | None = None, *, append: bool = False) -> None:
        self._path, self._append = path, append
        self._lock = threading.Lock()
        self._sums: OrderedDict[TrackKey, Float64Array] = OrderedDict()
        self._who: dict[TrackKey, int] = {}

    def write(self, result: FrameResult) -> None:
        """Take a frame."""
        colours = result.colours
        if colours is None:
            return
        with self._lock:
            for row in np.flatnonzero(colours[..., 3].any(1)).tolist():
                key = result.frame.camera, int(result.tracks.ids[row])
                weight = colours[row, :, 3:].astype(np.float64)
                total = np.concatenate([colours[row, :, :3] * weight, weight], 1)
                self._sums[key] = self._sums[key] + total if key in self._sums else total
                self._who[key] = int(result.global_ids[row])
            while len(self._sums) > _MOST_TRACKS:
                self._who.pop(self._sums.popitem(last=False)[0], None)

    def event(self, event: IdentityEvent) -> None:
        """Of whom the run lets go nothing stays in memory; what is written, is erased in the file."""
        if self._path is not None:
            return
        with self._lock:
            if event.kind == "merge" and event.other_id:
                self._who |= {key: event.global_id for key, who in self._who.items() if who == event.other_id}
            elif event.kind == "expire":
                for key in {*(key for key, who in self._who.items() if who == event.global_id), *event.members}:
                    self._sums.pop(key, None)
                    self._who.pop(key, None)

    def colours(self, key: TrackKey) -> Colours:
        """Of a track; empty where nothing is known."""
        with self._lock:
            total = self._sums.get(key)
        return {} if total is None else _told(total)

    def close(self, identities: FinalIdentities) -> None:
        """Write the file, if there is anything to be written."""
        if self._path is None or not self._sums:
            return
        try:
            with self._path.open("a" if self._append else "w", encoding="utf-8") as file:
                for (camera, track), total in self._sums.items():
                    line = {"camera": camera, "track_id": track, **_told(total)}
                    file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
        except OSError as error:
            raise OutputError(f"cannot write '{self._path}': {error.strerror or error}") from error

    def abort(self) -> None:
        """Nothing is written."""


def _told(total: Float64Array) -> Colours:
    found = {}
    for name, (blue, green, red, weight) in zip(BODY, total.tolist(), strict=True):
        if weight > 0:
            found[name] = "#" + "".join(f"{round(value / weight):02x}" for value in (red, green, blue))
    return found


def read_colours(folder: Path) -> dict[TrackKey, Colours]:
    """Colours by track; empty where the run wrote none.

    Raises:
        DataError: The file is damaged.
    """
    path = folder / COLOURS
    found: dict[TrackKey, Colours] = {}
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    item = json.loads(line)
                    found[str(item["camera"]), int(item["track_id"])] = _checked(item)
                except (ValueError, KeyError, TypeError) as error:
                    raise DataError(f"'{path}', line {number}: {error}; remove the file") from None
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror or error}") from error
    return found


def _checked(item: Mapping[str, object]) -> Colours:
    said: Iterable[tuple[str, str]] = ((name, str(item[name])) for name in BODY if name in item)
    return {name: colour for name, colour in said if _TOLD.fullmatch(colour)}
