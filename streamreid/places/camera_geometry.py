"""The zones and lines of one camera, and who is inside or on which side in a frame.

A picture's places are kept as fractions of it: pictures of another size change nothing. Pixels count in pictures of the
size that the camera shows first.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from streamreid.config import LineConfig, ZoneConfig
from streamreid.places.anchors import points_of
from streamreid.places.geometry import Lines, Polygons
from streamreid.types import BoolArray, Float64Array, IntArray

__all__ = ["CameraGeometry", "PlacedPeople"]

_log = logging.getLogger(__name__)

Size = tuple[int, int]

_MARGIN = 0.08
"""Somebody must be so far beyond a boundary, as a share of the body's height, before that counts: boxes of people who
stand still tremble by .03 to .05."""

_MARGIN_METRES = 0.15
"""The same on the ground."""


class PlacedPeople(NamedTuple):
    """Where the people of a frame are.

    Args:
        inside: ``[N, Z]``.
        known: ``[N, Z]`` whether that is known.
        points: ``[N, L, 2]`` what crosses each line, in its frame of reference.
        sides: ``[N, L]``, 0 where not known.
        zone_points: ``[N, Z, 2]`` what is inside each zone; NaN where that is no single point.
        heights: ``[N]`` of the boxes, as shares of the picture's height.
    """

    inside: BoolArray
    known: BoolArray
    points: Float64Array
    sides: IntArray
    zone_points: Float64Array
    heights: Float64Array


class CameraGeometry:
    """Zones and lines as one camera shows them.

    Args:
        camera: Its name.
        zones: Of all cameras.
        lines: Of all cameras.
        size: Width and height of its pictures.
        calibrated: Whether its places on the ground are known.

    Attributes:
        size: Width and height of its pictures.
        zones: Of the columns.
        lines: Of the columns.
        zone_names: Of the columns.
        line_names: Of the columns.
        on_ground: Whether any of them lies on the ground.
    """

    def __init__(
        self, camera: str, zones: Sequence[ZoneConfig], lines: Sequence[LineConfig], size: Size, *, calibrated: bool
    ) -> None:
        self.size = size
        own = [z for z in zones if z.camera == camera or (z.camera is None and calibrated)]
        ground = [z for z in own if z.ground is not None]
        self._anchors = sorted({z.anchor for z in own if z.polygon is not None})
        drawn = [[z for z in own if z.polygon is not None and z.anchor == a] for a in self._anchors]
        self._drawn = [Polygons([self._fractions(z.polygon or ()) for z in group]) for group in drawn]
        self._ground = Polygons([z.ground or () for z in ground])
        self.zones = [z for group in drawn for z in group] + ground
        self.zone_names = [z.name for z in self.zones]
        self.zone_inertia = [z.inertia for z in self.zones]
        self.lost_seconds = [z.lost_seconds for z in self.zones]
        crossed = [n for n in lines if n.camera == camera or (n.camera is None and calibrated)]
        self._line_groups: list[tuple[str, Lines, list[LineConfig]]] = []
        for kind in ("center", "feet", "ground"):
            group = [n for n in crossed if (n.ground and kind == "ground") or (not n.ground and n.anchor == kind)]
            if group:
                begins, ends = [self._place(n, n.begin) for n in group], [self._place(n, n.end) for n in group]
                self._line_groups.append((kind, Lines(begins, ends, up=kind == "ground"), group))
        self.lines = [n for _, _, group in self._line_groups for n in group]
        self.line_names = [n.name for n in self.lines]
        self.line_inertia = [n.inertia for n in self.lines]
        self._line_of = [(lines, k) for _, lines, group in self._line_groups for k in range(len(group))]
        self.on_ground = bool(ground) or any(kind == "ground" for kind, _, _ in self._line_groups)
        # Shares of the picture's height, across as well as down: distances are the same in every direction.
        self._square = np.array([size[0] / size[1], 1.0])
        groups = [(a, p) for a, p in zip(self._anchors, self._drawn, strict=True)] + [("ground", self._ground)]
        self._zone_of = [(kind, polygons, k) for kind, polygons in groups for k in range(len(polygons))]
        self._warn_of_places_outside(camera, own, crossed)

    def __bool__(self) -> bool:
        return bool(self.zone_names or self.line_names)

    def _fractions(self, corners: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        if max(v for corner in corners for v in corner) <= 1.0:
            return list(corners)
        return [(x / self.size[0], y / self.size[1]) for x, y in corners]

    def _place(self, line: LineConfig, point: tuple[float, float]) -> tuple[float, float]:
        if line.ground or max(*line.begin, *line.end) <= 1.0:
            return point
        return point[0] / self.size[0], point[1] / self.size[1]

    def _warn_of_places_outside(self, camera: str, zones: Sequence[ZoneConfig], lines: Sequence[LineConfig]) -> None:
        drawn = [(f"zone '{z.name}'", self._fractions(z.polygon)) for z in zones if z.polygon is not None]
        drawn += [(f"line '{n.name}'", [self._place(n, p) for p in (n.begin, n.end)]) for n in lines if not n.ground]
        for what, points in drawn:
            low, high = np.min(points, 0), np.max(points, 0)
            if (high <= 0).any() or (low >= 1).any():
                _log.warning(
                    "%s lies outside of the pictures of camera '%s' (%dx%d): nobody will be there",
                    what,
                    camera,
                    *self.size,
                )

    def place(self, boxes: Float64Array, feet: Float64Array, world: Float64Array | None) -> PlacedPeople:
        """Where the people of a frame are.

        Args:
            boxes: ``[N, 4]`` xyxy as fractions of the picture.
            feet: ``[N, 2]`` fractions of the picture.
            world: ``[N, 2]`` metres, NaN where not known; None without calibration.
        """
        n = len(boxes)
        world = np.full((n, 2), np.nan) if world is None else world
        inside: list[BoolArray] = []
        known: list[BoolArray] = []
        zone_points: list[Float64Array] = []
        for anchor, polygons in zip(self._anchors, self._drawn, strict=True):
            points = points_of(anchor, boxes, feet)
            found = polygons.contain(points.reshape(-1, 2)).reshape(n, points.shape[1], len(polygons))
            inside.append(2 * np.count_nonzero(found, axis=1) >= points.shape[1])
            known.append(np.ones(inside[-1].shape, bool))
            single = points if points.shape[1] == 1 else np.full((n, 1, 2), np.nan)
            zone_points.append(np.repeat(single, len(polygons), 1))
        if len(self._ground):
            inside.append(self._ground.contain(world))
            finite: BoolArray = np.asarray(np.isfinite(world).all(1), bool)
            known.append(np.repeat(finite[:, None], len(self._ground), 1))
            zone_points.append(np.repeat(world[:, None], len(self._ground), 1))
        line_points: list[Float64Array] = []
        sides: list[IntArray] = []
        for kind, lines, _ in self._line_groups:
            where = {"feet": feet, "ground": world}.get(kind)
            where = points_of(kind, boxes, feet)[:, 0] if where is None else where
            sides.append(lines.sides(where))
            line_points.append(np.repeat(where[:, None], len(lines), 1))
        return PlacedPeople(
            np.concatenate(inside, 1) if inside else np.zeros((n, 0), bool),
            np.concatenate(known, 1) if known else np.zeros((n, 0), bool),
            np.concatenate(line_points, 1) if line_points else np.zeros((n, 0, 2)),
            np.concatenate(sides, 1) if sides else np.zeros((n, 0), np.int64),
            np.concatenate(zone_points, 1) if zone_points else np.zeros((n, 0, 2)),
            boxes[:, 3] - boxes[:, 1],
        )

    def clear_of_zone(self, zone: int, placed: PlacedPeople, row: int) -> bool:
        """Whether somebody is so far inside or outside of a zone that it is no trembling of the box."""
        kind, polygons, k = self._zone_of[zone]
        point = placed.zone_points[row, zone]
        if not np.isfinite(point).all():
            return True
        return self._is_clear(kind, polygons.distance(k, point, self._scale(kind)), placed.heights[row])

    def clear_of_line(self, line: int, placed: PlacedPeople, row: int) -> bool:
        """The same of a line."""
        lines, k = self._line_of[line]
        kind = next(kind for kind, group, _ in self._line_groups if group is lines)
        distance = lines.distance(k, placed.points[row, line], self._scale(kind))
        return self._is_clear(kind, distance, placed.heights[row])

    def _scale(self, kind: str) -> Float64Array:
        return np.ones(2) if kind == "ground" else self._square

    def _is_clear(self, kind: str, distance: float, height: float) -> bool:
        return distance >= (_MARGIN_METRES if kind == "ground" else _MARGIN * height)

    def passed(self, line: int, before: Float64Array, after: Float64Array) -> tuple[float, float] | None:
        """Where a way leads through a line: pixels of the picture, metres on the ground; None if it passes its ends.

        Args:
            line: Its column.
            before: ``[2]``.
            after: ``[2]``.
        """
        lines, k = self._line_of[line]
        at = lines.passed(k, before, after)
        if at is None or any(lines is group and kind == "ground" for kind, group, _ in self._line_groups):
            return at
        return at[0] * self.size[0], at[1] * self.size[1]
