"""Visits, crossings and track spans of a run that is over, read from its folder, or made anew for other zones.

What a run wrote of places is read as it is. With zones and lines of its own, the lines of ``results.jsonl`` go through
the same monitor again: zones can be drawn when the run is long over::

    log = read_place_log("runs/cams")
    log = read_place_log("runs/cams", zones=[ZoneConfig(name="till", camera="hall", polygon=[...])])
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import numpy as np

from streamreid.config import LineConfig, ZoneConfig
from streamreid.errors import DataError
from streamreid.places.monitor import PlaceMonitor
from streamreid.places.place_history import PlaceHistory
from streamreid.places.record_store import merged_spans
from streamreid.places.records import Crossing, PlaceInfo, PlaceKind, PlaceLog, TrackSpan, Visit, places_of
from streamreid.runs.place_overrides import PLACES
from streamreid.sinks.segments import result_folders
from streamreid.types import Frame, FrameResult, TrackKey, Tracks

__all__ = ["read_place_log", "result_lines"]

_FORGET_AFTER = 5.0
"""Seconds after which a track that is not shown comes back no more: longer than ``tracker.lost_seconds`` by default."""


_UNKNOWN_SIZE = (65_535, 65_535)
"""Of pictures of which nothing is known: zones in pixels need no size, and no box reaches the lower end."""


def result_lines(folder: Path) -> Iterator[dict[str, Any]]:
    """The lines of ``results.jsonl`` of a run, through all its segments; a half line at the end is left out.

    Raises:
        DataError: The folder holds no ``results.jsonl``, or it is damaged.
    """
    paths = [place / "results.jsonl" for place in result_folders(folder)]
    if not any(path.is_file() for path in paths):
        raise DataError(f"'{folder}' holds no results.jsonl; give the folder of a run (output.jsonl: true)")
    for path in paths:
        if not path.is_file():
            continue
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    item = json.loads(line)
                except ValueError:
                    raise DataError(f"{path}:{number}: not a line of JSON; the file is damaged") from None
                if isinstance(item, dict):
                    yield item


def read_place_log(
    folder: str | Path, *, zones: Sequence[ZoneConfig] | None = None, lines: Sequence[LineConfig] | None = None
) -> PlaceLog:
    """The records of a run.

    Args:
        folder: Of the run.
        zones: Others than those of the run; the records are then made anew.
        lines: The same of lines.

    Raises:
        DataError: The folder holds no results, or they are damaged, or zones are in fractions of pictures whose size is
            not known.
    """
    folder = Path(folder)
    if zones is None and lines is None:
        return _recorded(folder)
    sizes = _sizes(folder)
    _check_sizes(folder, sizes, [*(zones or ()), *(lines or ())])
    monitor = PlaceMonitor(zones or (), lines or (), forget_after=_FORGET_AFTER)
    for result in _results(result_lines(folder), sizes):
        monitor.observe(result)
    monitor.finish()
    return monitor.log()


# ---------------------------------------------------------------- as it was written


@dataclass(slots=True)
class _Written:
    """What the lines of a run say so far."""

    spans: dict[TrackKey, TrackSpan] = field(default_factory=dict)
    visits: list[Visit] = field(default_factory=list)
    crossings: list[Crossing] = field(default_factory=list)
    open: dict[tuple[str, str, int], dict[str, Any]] = field(default_factory=dict)
    cameras: set[str] = field(default_factory=set)

    def take(self, item: dict[str, Any]) -> None:
        kind = item.get("type")
        if kind == "person":
            time = float(item["time"])
            span = TrackSpan(item["camera"], item["track_id"], time, time)
            known = self.spans.get(span.key)
            self.spans[span.key] = span if known is None else known.joined(span)
        elif kind == "visit":
            names = ("place", "camera", "track_id", "start", "end", "entered", "left")
            visit = Visit(*(item[name] for name in names))
            self.visits.append(visit)
            self.open.pop((visit.place, *visit.key), None)
        elif kind == "place":
            self._event(item)
        elif kind == "header":
            self.cameras |= set(item.get("cameras", ()))

    def _event(self, item: dict[str, Any]) -> None:
        if item["kind"] == "line_crossed":
            x, y = item["point"]
            self.crossings.append(
                Crossing(
                    item["place"],
                    item["camera"],
                    item["track_id"],
                    item["time"],
                    item["direction"],
                    (x, y),
                    item.get("probability", 1.0),
                    item.get("track_before", 0),
                )
            )
        elif item["kind"] == "zone_entered" and item.get("track_id"):
            self.open[item["place"], item["camera"], item["track_id"]] = item

    def left_open(self) -> Iterator[Visit]:
        """Visits of which a run that was killed wrote only the beginning: until the track was shown last."""
        for (place, camera, track_id), item in self.open.items():
            span = self.spans.get((camera, track_id))
            if span is not None and span.end >= item["time"]:
                yield Visit(place, camera, track_id, item["time"], span.end, item.get("entered", False), False)


def _recorded(folder: Path) -> PlaceLog:
    written = _Written()
    try:
        for item in result_lines(folder):
            written.take(item)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"'{folder}': a line of results.jsonl is not as streamreid writes it: {error!r}") from None
    visits = [*written.visits, *written.left_open()]
    zones, lines = _configured(folder)
    places = PlaceHistory(_history(folder)).dated(places_of(zones, lines, sorted(written.cameras)))
    for kind, name, camera in [("zone", v.place, v.camera) for v in visits] + [
        ("line", c.line, c.camera) for c in written.crossings
    ]:
        if name not in places:  # of a run that was killed and has no summary
            places[name] = PlaceInfo(name, cast(PlaceKind, kind), (camera,))
    watched = _times(folder)
    for span in written.spans.values():
        first, last = watched.get(span.camera, (span.start, span.end))
        watched[span.camera] = min(first, span.start), max(last, span.end)
    return PlaceLog(
        tuple(sorted(visits, key=lambda v: v.end)),
        tuple(sorted(written.crossings, key=lambda c: c.time)),
        tuple(merged_spans(written.spans.values())),
        places,
        watched,
    )


def _cameras(folder: Path) -> dict[str, dict[str, Any]]:
    """What the summary of the run says of each camera; nothing where it was killed."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        return dict(json.loads((folder / "summary.json").read_text(encoding="utf-8"))["cameras"])
    return {}


def _times(folder: Path) -> dict[str, tuple[float, float]]:
    """First and last capture time of the cameras."""
    return {
        name: (float(camera["first_time"]), float(camera["last_time"]))
        for name, camera in _cameras(folder).items()
        if camera.get("first_time") is not None and camera.get("last_time") is not None
    }


def _history(folder: Path) -> dict[str, Any]:
    """How zones and lines changed while the run went on."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        return dict(json.loads((folder / PLACES).read_text(encoding="utf-8"))["history"])
    return {}


def _configured(folder: Path) -> tuple[list[ZoneConfig], list[LineConfig]]:
    """Zones and lines of the run, as its summary has them; none where it was killed and has no summary."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        config = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["configuration"]
        zones = [ZoneConfig.model_validate(item) for item in config.get("zones", ())]
        return zones, [LineConfig.model_validate(item) for item in config.get("lines", ())]
    return [], []


# ---------------------------------------------------------------- made anew


def _sizes(folder: Path) -> dict[str, tuple[int, int]]:
    """Width and height of the cameras' pictures, as the summary of the run has them."""
    return {
        name: (int(camera["frame_size"][0]), int(camera["frame_size"][1]))
        for name, camera in _cameras(folder).items()
        if camera.get("frame_size")
    }


def _check_sizes(folder: Path, sizes: Mapping[str, tuple[int, int]], places: Sequence[ZoneConfig | LineConfig]) -> None:
    """Places in fractions need the size of the pictures.

    Raises:
        DataError: It is not known.
    """
    for place in places:
        if place.in_fractions and place.camera is not None and place.camera not in sizes:
            raise DataError(
                f"'{folder}' does not say how large the pictures of camera '{place.camera}' are (its summary.json is "
                f"missing or older); give the corners of '{place.name}' in pixels"
            )


def _results(items: Iterable[dict[str, Any]], sizes: Mapping[str, tuple[int, int]]) -> Iterator[FrameResult]:
    """The frames that show somebody, from the lines of a run."""
    people = (item for item in items if item.get("type") == "person")
    for (camera, index, time), group in groupby(people, key=lambda p: (p["camera"], p["frame"], p["time"])):
        rows = list(group)
        frame = Frame.without_image(camera, index, time, size=sizes.get(camera, _UNKNOWN_SIZE))
        boxes = np.array([p["box"] for p in rows], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        world = None
        if any("world" in p for p in rows):
            world = np.array([p.get("world", (np.nan, np.nan)) for p in rows], np.float32)
        yield FrameResult(
            frame,
            Tracks(
                np.array([p["track_id"] for p in rows], np.int64),
                boxes,
                np.array([p["score"] for p in rows], np.float32),
                np.arange(len(rows)),
            ),
            np.array([p["global_id"] or 0 for p in rows], np.int64),
            np.array([p["link_probability"] or 0.0 for p in rows], np.float32),
            np.array([p["visibility"] for p in rows], np.float32).reshape(len(rows), -1),
            world,
        )
