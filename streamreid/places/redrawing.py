"""What becomes of the state of tracks where the zones and lines of a camera change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamreid.places.camera_geometry import CameraGeometry

__all__ = ["INSIDE", "OUTSIDE", "UNKNOWN", "Redrawing"]

INSIDE, UNKNOWN, OUTSIDE = 1, 0, -1
"""State of a track at a zone."""

_OF_ZONES = ("state", "against", "since", "start", "last_in", "entered", "redrawn")
_OF_LINES = ("side", "over", "over_at", "over_point", "line_from", "born")
"""Columns of the table of tracks that have a value per zone, and per line."""


class _Outlined(Protocol):
    @property
    def key(self) -> tuple[str, str]: ...

    @property
    def outline(self) -> tuple[Any, ...]: ...


class Redrawing:
    """From the zones and lines of before to those of now, which may stand in another order.

    Args:
        before: As they were.
        now: As they are.

    Attributes:
        zones_before: Numbers of the zones of before that are still there, under whatever outline.
    """

    def __init__(self, before: CameraGeometry, now: CameraGeometry) -> None:
        self._zones, self._moved = _order(before.zones, now.zones)
        lines, moved = _order(before.lines, now.lines)
        self._lines = np.where(moved, -1, lines)  # a line with another outline is another line
        self.zones_before = frozenset(self._zones[self._zones >= 0].tolist())

    def of_lines(self, values: NDArray[Any], empty: float = 0) -> NDArray[Any]:
        """Values per line, ``[lines before, ...]``, as ``[lines now, ...]``; ``empty`` for new lines."""
        return _taken(values, self._lines, empty)

    def columns(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The columns of the table of tracks, a row per track."""
        result = dict(columns)
        for name in _OF_ZONES:
            result[name] = np.moveaxis(_taken(np.moveaxis(columns[name], 1, 0), self._zones, 0), 0, 1).copy()
        for name in _OF_LINES:
            empty = np.nan if name in ("line_from", "born") else 0
            result[name] = np.moveaxis(self.of_lines(np.moveaxis(columns[name], 1, 0), empty), 0, 1).copy()
        state, moved = result["state"], self._moved
        result["redrawn"][:, moved] = state[:, moved] == INSIDE
        state[:, moved] = np.where(state[:, moved] == OUTSIDE, UNKNOWN, state[:, moved])
        result["against"][:, moved] = 0
        return result


def _order(before: Sequence[_Outlined], now: Sequence[_Outlined]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """``[now]`` which of before each one is (-1: new), and whether its outline is another."""
    known = {place.key: i for i, place in enumerate(before)}
    order = [known.get(place.key, -1) for place in now]
    moved = [i >= 0 and before[i].outline != place.outline for i, place in zip(order, now, strict=True)]
    return np.array(order, np.intp), np.array(moved, bool)


def _taken(values: NDArray[Any], order: NDArray[np.intp], empty: float) -> NDArray[Any]:
    result = np.full((len(order), *values.shape[1:]), empty, values.dtype)
    result[order >= 0] = values[order[order >= 0]]
    return result
