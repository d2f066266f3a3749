"""``links.jsonl`` in the folder of a run: which tracks may be one person, for counts with intervals.

One line per track, in the order in which tracks were compared: ``{"camera": ..., "track_id": ..., "start": ..., "end":
..., "observations": ..., "looks": ..., "quality": ..., "others": [...], "log_odds": [...]}``. ``others`` are line
numbers, from 0, counted from the last line ``{"type": "links", "schema": 1}``, with which each part of a run that was
continued begins; ``log_odds`` are without the prior of one in so many people. It holds no features.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from streamreid.association import TrackLinks
from streamreid.association.link_record import RecordedTrack
from streamreid.errors import DataError, OutputError

__all__ = ["LINKS", "read_links", "write_links"]

LINKS = "links.jsonl"

_HEAD = {"type": "links", "schema": 1}


def write_links(folder: Path, links: TrackLinks, *, append: bool = False) -> None:
    """Write the links of a run.

    Args:
        folder: Of the run.
        links: Of its tracks.
        append: Keep what an earlier part of the run wrote.

    Raises:
        OutputError: They cannot be written.
    """
    others: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for (one, other), log_odds in zip(links.pairs.tolist(), links.log_odds.tolist(), strict=True):
        others[other].append((one, log_odds))
    path = folder / LINKS
    try:
        with path.open("a" if append else "w", encoding="utf-8") as file:
            file.write(json.dumps(_HEAD) + "\n")
            for row, track in enumerate(links.tracks):
                values: dict[str, Any] = {name: getattr(track, name) for name in RecordedTrack.__slots__}
                values |= {"quality": round(track.quality, 3), "others": [o for o, _ in others[row]]}
                values["log_odds"] = [round(p, 2) for _, p in others[row]]
                file.write(json.dumps(values, ensure_ascii=False) + "\n")
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror or error}") from error


def read_links(folder: Path) -> TrackLinks | None:
    """The links of a run; None where it wrote none.

    Raises:
        DataError: The file is damaged.
    """
    path = folder / LINKS
    if not path.exists():
        return None
    tracks: list[RecordedTrack] = []
    pairs: list[tuple[int, int]] = []
    found: list[float] = []
    begin = 0
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                values = json.loads(line)
                if values.get("type") == _HEAD["type"]:
                    begin = len(tracks)
                    continue
                row = len(tracks)
                others = [begin + int(o) for o in values["others"]]
                if any(not begin <= o < row for o in others) or len(others) != len(values["log_odds"]):
                    raise ValueError("it names tracks that are not before it")
                tracks.append(RecordedTrack(**{name: values[name] for name in RecordedTrack.__slots__}))
                pairs += [(o, row) for o in others]
                found += [float(p) for p in values["log_odds"]]
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DataError(
                    f"'{path}', line {number} is no line of links: {error}. Delete the file to count without intervals"
                ) from error
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror or error}") from error
    return TrackLinks(tuple(tracks), np.array(pairs, np.int64).reshape(-1, 2), np.array(found, np.float64))
