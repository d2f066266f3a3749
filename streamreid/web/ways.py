"""The way of a person on the ground, as lines of a drawing: above the plan where there is one, else on a grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from streamreid.ground.ground_plan import GroundPlan
from streamreid.runs.path_board import Way
from streamreid.types import Float64Array, TrackKey

__all__ = ["drawn_way"]

_MARGIN = 1.0
"""Metres around a way that is drawn without a plan."""

_GRID = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""Metres between lines of the grid; the first with which there are few enough lines."""

_MOST_LINES = 12

_MOST_POINTS = 1500
"""Of one line: more cannot be told apart."""


def drawn_way(ways: Mapping[TrackKey, Way], plan: GroundPlan | None) -> dict[str, Any] | None:
    """A drawing of ways.

    Args:
        ways: By track.
        plan: Of the ground; without a picture or a scale they are drawn on a grid in metres.

    Returns:
        ``size`` of the drawing, ``lines`` (camera, track_id, points as text, start, end), ``first`` and ``last`` point,
        ``grid`` (metres between its lines, x and y of these); None where nothing is known of the ground.
    """
    pieces = [piece for key in sorted(ways, key=lambda k: ways[k][0][0]) for piece in _pieces(key, ways[key])]
    if not pieces:
        return None
    scale = None if plan is None or plan.picture is None else plan.scale
    pixels = None if plan is None or scale is None else plan.size
    points = [points for *_, points in pieces]
    grid: dict[str, Any] | None = None
    size: tuple[float, float]
    if scale is not None and pixels is not None:
        moved, size = [scale.to_plan(p) for p in points], pixels
    else:
        moved, size, grid = _on_grid(points)
    lines = [
        {"camera": camera, "track_id": track, "start": start, "end": end, "points": _text(p)}
        for (camera, track, start, end, _), p in zip(pieces, moved, strict=True)
    ]
    first = min(range(len(pieces)), key=lambda i: pieces[i][2])
    last = max(range(len(pieces)), key=lambda i: pieces[i][3])
    return {
        "size": size,
        "lines": lines,
        "first": moved[first][0].round(2).tolist(),
        "last": moved[last][-1].round(2).tolist(),
        "dot": max(size) / 60,
        "grid": grid,
        "metres": round(float(sum(np.linalg.norm(np.diff(p, axis=0), axis=1).sum() for p in points)), 1),
    }


def _pieces(key: TrackKey, way: Way) -> Iterable[tuple[str, int, float, float, Float64Array]]:
    """What is not interrupted: camera, track, start, end, ``[N, 2]`` metres."""
    array = np.array(way, np.float64).reshape(-1, 3)
    known = np.isfinite(array.sum(1))
    for piece in np.split(np.arange(len(array)), np.flatnonzero(~known)):
        rows = array[piece[known[piece]]]
        if len(rows):
            rows = rows[:: max(1, len(rows) // _MOST_POINTS)]
            yield key[0], key[1], float(rows[0, 0]), float(rows[-1, 0]), rows[:, 1:]


def _on_grid(points: list[Float64Array]) -> tuple[list[Float64Array], tuple[float, float], dict[str, Any]]:
    """Points in metres from the upper left corner of a drawing, y downwards."""
    every = np.concatenate(points)
    low, high = np.floor(every.min(0) - _MARGIN), np.ceil(every.max(0) + _MARGIN)
    width, height = (float(v) for v in high - low)
    step = next((s for s in _GRID if max(width, height) / s <= _MOST_LINES), _GRID[-1])
    moved = [np.stack([p[:, 0] - low[0], high[1] - p[:, 1]], 1) for p in points]
    columns = (np.arange(np.ceil(low[0] / step), np.floor(high[0] / step) + 1) * step - low[0]).tolist()
    rows = (high[1] - np.arange(np.ceil(low[1] / step), np.floor(high[1] / step) + 1) * step).tolist()
    return moved, (width, height), {"step": step, "columns": columns, "rows": rows}


def _text(points: Float64Array) -> str:
    shown = np.concatenate([points, points]) if len(points) == 1 else points  # one point is a dot
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in shown.tolist())
