"""The error browser: one HTML file that shows who was covered by which id when, without a server, a network or a
further file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from streamreid.errors import OutputError
from streamreid.evaluation.mot import MotEvaluation
from streamreid.evaluation.multicam import MulticamEvaluation
from streamreid.evaluation.scores import MotScores
from streamreid.evaluation.timelines import Mixture, Runs, Timelines
from streamreid.sinks.base import atomic_text
from streamreid.sinks.jsonl_reader import find_results, read_lines
from streamreid.sinks.segments import result_folders

__all__ = ["Clock", "read_clocks", "write_report"]

Clock = list[tuple[int, float]]
"""Knots (frame, seconds) of one camera, between and beyond which time is a straight line."""

_COLUMNS = ("hota", "deta", "assa", "loca", "mota", "idf1", "idp", "idr", "idsw", "frag", "fp", "fn")
_NAMES = {"hota": "HOTA", "deta": "DetA", "assa": "AssA", "loca": "LocA", "frag": "Frag"}
_TOLERANCE = 0.02
"""Seconds by which the straight lines between kept times may miss the time of a frame."""

_LISTED = 200
"""Mixtures of identities that the page lists; beyond, nobody reads on."""


def read_clocks(results: Path | str) -> dict[str, Clock]:
    """Capture times of frames, from what a run wrote.

    Args:
        results: A run's folder (in segments or not), its ``results.jsonl`` or its ``results.parquet``; anything else
            knows no times.

    Returns:
        Per camera, knots; frames count from 1 as in MOT text.
    """
    path = Path(results)
    if find_results(path) and (path.is_dir() or path.suffix == ".jsonl"):
        times = _jsonl_times(path)
    else:
        tables = (
            [folder / "results.parquet" for folder in result_folders(path)]
            if path.is_dir() and path.suffix != ".parquet"
            else [path]
        )
        times = _parquet_times([table for table in tables if table.suffix == ".parquet" and table.exists()])
    return {camera: clock_knots(sorted(known.items())) for camera, known in times.items()}


def _jsonl_times(path: Path) -> dict[str, dict[int, float]]:
    times: dict[str, dict[int, float]] = {}

    def take(item: dict[str, Any], _: int) -> None:
        if item["type"] == "person":
            times.setdefault(item["camera"], {})[int(item["frame"]) + 1] = float(item["time"])

    read_lines(path, take)
    return times


def _parquet_times(paths: Sequence[Path]) -> dict[str, dict[int, float]]:
    times: dict[str, dict[int, float]] = {}
    for path in paths:
        import pyarrow.parquet as pq  # the results were read from here before, so it is installed

        columns = pq.read_table(path, columns=["camera", "frame", "time"]).to_pydict()
        for camera, frame, time in zip(columns["camera"], columns["frame"], columns["time"], strict=True):
            times.setdefault(camera, {})[frame + 1] = time
    return times


def clock_knots(points: list[tuple[int, float]]) -> Clock:
    """As few knots as keep every time within 20 ms (Ramer, Douglas and Peucker, with the error measured in time)."""
    f, t = np.array([p[0] for p in points], float), np.array([p[1] for p in points], float)
    keep = {0, len(points) - 1}
    todo = [(0, len(points) - 1)]
    while todo:
        a, b = todo.pop()
        if b - a < 2:
            continue
        error = np.abs(np.interp(f[a : b + 1], f[[a, b]], t[[a, b]]) - t[a : b + 1])
        worst = a + int(np.argmax(error))
        if error.max() > _TOLERANCE:
            keep.add(worst)
            todo += [(a, worst), (worst, b)]
    return [(int(f[i]), round(float(t[i]), 3)) for i in sorted(keep)]


def write_report(
    path: Path | str,
    found: MotEvaluation | MulticamEvaluation,
    *,
    title: str,
    clocks: Mapping[str, Clock] | None = None,
    fps: float | None = None,
) -> None:
    """Write the error browser.

    Args:
        path: The .html file; replaced if it exists.
        found: What was scored.
        title: Shown on top.
        clocks: Capture times per camera, see ``read_clocks``.
        fps: Frame rate where there are none.

    Raises:
        OutputError: It cannot be written.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"cannot write '{path}': it is a folder. Name a file: --report {path / 'report.html'}")
    if isinstance(found, MotEvaluation):
        rows = dict(found.sequences)
        if len(rows) > 1:
            rows["combined"] = found.combined
        groups = dict(found.timelines)
    else:
        rows = {**found.cameras, "all cameras": found.combined}
        groups = {"all cameras": found.timelines}
    data = {
        "title": title,
        "scores": _scores(rows),
        "groups": [_group(name, lines, clocks or {}, fps) for name, lines in groups.items()],
    }
    template = (files("streamreid.evaluation") / "report.html").read_text(encoding="utf-8")
    # "</script>" inside a name would end the script.
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    with atomic_text(path) as file:
        file.write(template.replace("/*DATA*/null", text, 1))


def _scores(rows: Mapping[str, MotScores]) -> dict[str, Any]:
    return {
        "columns": [_NAMES.get(c, c.upper()) for c in _COLUMNS],
        "rows": [
            [name, *(v if isinstance(v := getattr(s, c), int) else round(v, 4) for c in _COLUMNS)]
            for name, s in rows.items()
        ],
    }


def _group(name: str, lines: Timelines, clocks: Mapping[str, Clock], fps: float | None) -> dict[str, Any]:
    knots = [clocks.get(camera) or ([(1, 0.0), (2, 1 / fps)] if fps else None) for camera in lines.cameras]
    return {
        "name": name,
        "cameras": list(lines.cameras),
        "frames": list(lines.frames),
        "clocks": knots,
        "people": packed_runs(lines.people),
        "false": packed_runs(lines.false),
        "switches": lines.switches.tolist(),
        "splits": [_mixture(m, lines, lines.people.who, lines.people.id) for m in lines.splits[:_LISTED]],
        "merges": [_mixture(m, lines, lines.people.id, lines.people.who) for m in lines.merges[:_LISTED]],
        "counts": [len(lines.splits), len(lines.merges)],
    }


def packed_runs(runs: Runs) -> list[list[Any]]:
    """``[who, [[camera, gap, length, id, gap, length, id, ...], ...]]``: every run as the frames since the last one
    ended, its frames less one, and its id."""
    result: list[list[Any]] = []
    end = 0
    columns = (runs.who, runs.camera, runs.first, runs.last, runs.id)
    for who, camera, first, last, found in zip(*(c.tolist() for c in columns), strict=True):
        if not result or result[-1][0] != who:
            result.append([who, []])
        lanes = result[-1][1]
        if not lanes or lanes[-1][0] != camera:
            lanes.append([camera])
            end = 0
        lanes[-1] += [first - end, last - first, found]
        end = last
    return result


def _mixture(mixture: Mixture, lines: Timelines, own: Any, other: Any) -> list[Any]:
    """``[id, [[other, boxes, [[camera, first, last], ...]], ...]]``: where and when each of the others was, per
    camera."""
    runs = lines.people
    parts = []
    for part, boxes in mixture.parts:
        rows = np.flatnonzero((own == mixture.id) & (other == part))
        parts.append([part, boxes, list(_places(runs, rows))])
    # In the order of time, so that the list reads as what happened.
    first: Sequence[Any] = sorted(parts, key=lambda p: min((place[1] for place in p[2]), default=0))
    return [mixture.id, list(first)]


def _places(runs: Runs, rows: Any) -> Iterable[list[int]]:
    for camera in np.unique(runs.camera[rows]).tolist():
        here = rows[runs.camera[rows] == camera]
        yield [camera, int(runs.first[here].min()), int(runs.last[here].max())]
