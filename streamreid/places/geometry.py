"""Points in polygons and on the sides of lines, for all people and all places of a camera at once.

Everything is in one frame of reference: fractions of the picture, so that pictures of another size change nothing, or
metres on the ground.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamreid.types import BoolArray, Float64Array, IntArray

__all__ = ["Lines", "Polygons"]


class Polygons:
    """Polygons that points lie in or not.

    Args:
        outlines: For each polygon its corners ``[[x, y], ...]``, at least three, in order.
    """

    def __init__(self, outlines: Sequence[Sequence[tuple[float, float]]]) -> None:
        corners = [np.asarray(outline, np.float64) for outline in outlines]
        begin = np.concatenate(corners) if corners else np.zeros((0, 2))
        end = np.concatenate([np.roll(c, -1, 0) for c in corners]) if corners else np.zeros((0, 2))
        self._x, self._y = begin[:, 0], begin[:, 1]
        self._end_y = end[:, 1]
        rise = end[:, 1] - begin[:, 1]
        level = rise == 0  # no ray to the right crosses a level side
        self._slope = np.where(level, 0.0, (end[:, 0] - begin[:, 0]) / np.where(level, 1.0, rise))
        self._first = np.cumsum([0, *(len(c) for c in corners)])[:-1].astype(np.intp)
        self._corners = corners

    def __len__(self) -> int:
        return len(self._first)

    def contain(self, points: Float64Array) -> BoolArray:
        """Which points lie inside which polygons.

        Args:
            points: ``[N, 2]``.

        Returns:
            ``[N, Z]`` bool; False for a point that is NaN.
        """
        if not len(self._first) or not len(points):
            return np.zeros((len(points), len(self._first)), bool)
        # Even-odd rule: a ray to the right crosses the outline an odd number of times.
        x, y = points[:, :1], points[:, 1:]
        crosses = ((self._y > y) != (self._end_y > y)) & (x < self._x + (y - self._y) * self._slope)
        return np.asarray(np.bitwise_xor.reduceat(crosses, self._first, axis=1))

    def distance(self, polygon: int, point: Float64Array, scale: Float64Array) -> float:
        """From a point ``[2]`` to the outline of one polygon, in coordinates that are ``scale`` ``[2]`` times these."""
        begin = self._corners[polygon] * scale
        way = np.roll(begin, -1, 0) - begin
        gap = point * scale - begin
        length = np.maximum((way * way).sum(1), 1e-18)
        share = np.clip((gap * way).sum(1) / length, 0.0, 1.0)
        return float(np.sqrt(((gap - share[:, None] * way) ** 2).sum(1).min()))


class Lines:
    """Segments that people cross.

    Args:
        begins: ``[L, 2]`` first points.
        ends: ``[L, 2]`` second points.
        up: Whether y points up (on the ground), not down (in a picture); the right-hand side follows.
    """

    def __init__(
        self, begins: Sequence[tuple[float, float]], ends: Sequence[tuple[float, float]], *, up: bool = False
    ) -> None:
        self._begin = np.asarray(begins, np.float64).reshape(-1, 2)
        self._way = np.asarray(ends, np.float64).reshape(-1, 2) - self._begin
        self._right = -1.0 if up else 1.0

    def __len__(self) -> int:
        return len(self._begin)

    def sides(self, points: Float64Array) -> IntArray:
        """On which side points ``[N, 2]`` lie: ``[N, L]``, 1 right, -1 left, 0 on the line or unknown (NaN)."""
        x, y = points[:, :1] - self._begin[:, 0], points[:, 1:] - self._begin[:, 1]
        across = self._right * (self._way[:, 0] * y - self._way[:, 1] * x)
        return np.nan_to_num(np.sign(across)).astype(np.int64)

    def passed(self, line: int, before: Float64Array, after: Float64Array) -> tuple[float, float] | None:
        """Where the way between two points ``[2]`` on both sides of a line leads through the segment; None where it
        leads past its ends."""
        begin, way = self._begin[line], self._way[line]
        move = after - before
        turn = way[0] * move[1] - way[1] * move[0]
        if turn == 0:
            return None
        gap = before - begin
        share = (gap[0] * move[1] - gap[1] * move[0]) / turn
        if not 0.0 <= share <= 1.0:
            return None
        x, y = begin + share * way
        return float(x), float(y)

    def distance(self, line: int, point: Float64Array, scale: Float64Array) -> float:
        """From a point ``[2]`` to the infinite line, in coordinates that are ``scale`` ``[2]`` times these."""
        way, gap = self._way[line] * scale, (point - self._begin[line]) * scale
        return float(abs(way[0] * gap[1] - way[1] * gap[0]) / max(np.hypot(*way), 1e-9))
