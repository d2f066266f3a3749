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
from collections.abc import Iterable, Mapping
from pathlib import Path

from streamreid.errors import DataError, OutputError
from streamreid.features.colour_sums import ColourSums
from streamreid.features.part_colours import BODY, ColourArray
from streamreid.sinks.base import FinalIdentities, SinkContext
from streamreid.types import FrameResult, IdentityEvent, TrackKey

__all__ = ["COLOURS", "ColourSink", "Colours", "read_colours", "told_colours"]

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
        self._sums = ColourSums(_MOST_TRACKS)
        self._who: dict[TrackKey, int] = {}

    def write(self, result: FrameResult) -> None:
        """Take a frame."""
        colours = result.colours
        if colours is None:
            return
        with self._lock:
            camera, ids = result.frame.camera, result.tracks.ids.tolist()
            for row in self._sums.add(camera, ids, colours):
                self._who[camera, ids[row]] = int(result.global_ids[row])
            while len(self._who) > len(self._sums):
                self._who.pop(next(key for key in self._who if key not in self._sums))

    def event(self, event: IdentityEvent) -> None:
        """Of whom the run lets go nothing stays in memory; what is written, is erased in the file."""
        if self._path is not None:
            return
        with self._lock:
            if event.kind == "merge" and event.other_id:
                self._who |= {key: event.global_id for key, who in self._who.items() if who == event.other_id}
            elif event.kind == "expire":
                for key in {*(key for key, who in self._who.items() if who == event.global_id), *event.members}:
                    self._sums.discard(key)
                    self._who.pop(key, None)

    def colours(self, key: TrackKey) -> Colours:
        """Of a track; empty where nothing is known."""
        with self._lock:
            mean = self._sums.mean(key)
        return {} if mean is None else told_colours(mean)

    def close(self, identities: FinalIdentities) -> None:
        """Write the file, if there is anything to be written."""
        if self._path is None or not self._sums:
            return
        try:
            with self._path.open("a" if self._append else "w", encoding="utf-8") as file:
                for camera, track in self._sums:
                    line = {"camera": camera, "track_id": track, **self.colours((camera, track))}
                    file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
        except OSError as error:
            raise OutputError(f"cannot write '{self._path}': {error.strerror or error}") from error

    def abort(self) -> None:
        """Nothing is written."""


def told_colours(mean: ColourArray) -> Colours:
    """Colours ``[4, 4]`` of a track (blue, green, red, whether the part was seen) by body part."""
    return {
        name: f"#{red:02x}{green:02x}{blue:02x}"
        for name, (blue, green, red, seen) in zip(BODY, mean.tolist(), strict=True)
        if seen
    }


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
