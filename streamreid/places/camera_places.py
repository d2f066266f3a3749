"""One camera of the monitor: from results to where people are, and to the state of its tracks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamreid.config import LineConfig, ZoneConfig
from streamreid.ground.camera_model import GroundCamera
from streamreid.places.anchors import WHOLE, BodyHeights, feet_hidden, feet_of, whole
from streamreid.places.camera_geometry import CameraGeometry
from streamreid.places.track_table import TrackChanges, TrackTable
from streamreid.types import BoolArray, Float64Array, FloatArray, FrameResult

__all__ = ["CameraPlaces"]

_FEET_SECONDS = 3.0
"""Seconds for which holds what the engine saw of somebody's feet: people are embedded anew every two seconds."""

_RATIO_WEIGHT = 0.1
"""Of a new box in what is known of a person's own height: about ten boxes decide."""

_RATIOS = (0.7, 1.3)
"""How much smaller or taller than others somebody may be: children to tall adults."""


class CameraPlaces:
    """Where a camera's people are, at its zones and lines.

    Args:
        camera: Its name.
        zones: Of all cameras.
        lines: Of all cameras.
        size: Width and height of its pictures.
        calibrated: Its model, where it is calibrated.
        feet: Which of the engine's parts the feet are, if there is one.
        forget_after: Seconds after which a track that is not shown comes back no more.

    Attributes:
        table: State of its tracks.
    """

    def __init__(
        self,
        camera: str,
        zones: Sequence[ZoneConfig],
        lines: Sequence[LineConfig],
        size: tuple[int, int],
        *,
        calibrated: GroundCamera | None = None,
        feet: int | None = None,
        forget_after: float = 30.0,
    ) -> None:
        self._geometry = CameraGeometry(camera, zones, lines, size, calibrated=calibrated is not None)
        self.table = TrackTable(camera, self._geometry, forget_after=forget_after)
        self._model = calibrated
        self._feet_part = feet
        self._heights = BodyHeights()

    def redraw(self, zones: Sequence[ZoneConfig], lines: Sequence[LineConfig]) -> TrackChanges:
        """Zones and lines are others from now on; what is known of tracks stays.

        Returns:
            Visits of zones that are gone, closed.
        """
        calibrated = self._model is not None
        self._geometry = CameraGeometry(self.table.camera, zones, lines, self._geometry.size, calibrated=calibrated)
        return self.table.redraw(self._geometry)

    def observe(self, result: FrameResult, clock: float) -> TrackChanges:
        """Take a frame.

        Args:
            result: People of this camera.
            clock: Time of the site.
        """
        tracks, time, changes = result.tracks, float(result.frame.time), TrackChanges()
        rows = self.table.enter(tracks.ids, time, changes.begun)
        if not self._geometry:
            self.table.observe(time, clock, rows, result.global_ids, result.probabilities, None, changes)
            return changes
        scale = np.array([*result.frame.size, *result.frame.size], np.float64)
        boxes = tracks.boxes.astype(np.float64) / scale
        world = None if result.world is None else result.world.astype(np.float64)
        feet = np.zeros((len(rows), 2))
        if len(rows):
            feet, hidden = self._feet(boxes, rows, result)
            if self._geometry.on_ground and self._model is not None and world is not None:
                world = self._on_ground(world, feet * scale[:2], hidden, result.frame.size)
        placed = self._geometry.place(boxes, feet, world)
        self.table.observe(time, clock, rows, result.global_ids, result.probabilities, placed, changes)
        return changes

    def _feet(self, boxes: Float64Array, rows: NDArray[np.intp], result: FrameResult) -> tuple[Float64Array, BoolArray]:
        """Where the feet are, ``[N, 2]``, and ``[N]`` whether that had to be inferred."""
        hidden = feet_hidden(boxes, self._feet_visibility(rows, result))
        ratio = self.table.column("ratio")
        short = np.zeros(len(rows), bool)
        if self._heights.known:
            short, cut = self._cut_off(boxes, rows)
            hidden |= cut
        detected = result.tracks.rows >= 0  # where a box was predicted, nothing is learnt
        seen = whole(boxes, hidden) & detected & ~short
        self._heights.learn(boxes[seen])
        if self._heights.known:
            of = rows[seen]
            new = (boxes[seen, 3] - boxes[seen, 1]) / np.maximum(self._heights.expected(boxes[seen]), 1e-6)
            old = np.where(ratio[of] > 0, ratio[of], new)
            ratio[of] = np.clip(old + _RATIO_WEIGHT * (new - old), *_RATIOS)
        own = ratio[rows]
        feet = feet_of(boxes, hidden, self._heights, np.where(own > 0, own, 1.0))
        return feet, feet[:, 1] != boxes[:, 3]

    def _cut_off(self, boxes: Float64Array, rows: NDArray[np.intp]) -> tuple[BoolArray, BoolArray]:
        """``[N]`` boxes that are shorter than the person is, and those of them whose lower end went: something hides
        the feet. Of somebody who sits down or bends, the upper end went."""
        top, bottom, cut = (self.table.column(name) for name in ("top", "bottom", "cut"))
        ratio = self.table.column("ratio")[rows]
        known = ratio > 0
        height = boxes[:, 3] - boxes[:, 1]
        short = known & (height < WHOLE * self._heights.expected(boxes) * np.where(known, ratio, 1.0))
        fresh = short & (bottom[rows] > 0)  # it was whole in the frame before
        cut[rows[fresh]] = (np.abs(boxes[:, 3] - bottom[rows]) > np.abs(boxes[:, 1] - top[rows]))[fresh]
        cut[rows[~short]] = False
        top[rows] = np.where(short, 0.0, boxes[:, 1])
        bottom[rows] = np.where(short, 0.0, boxes[:, 3])
        return short, np.asarray(cut[rows], bool)

    def _feet_visibility(self, rows: NDArray[np.intp], result: FrameResult) -> FloatArray:
        """``[N]`` how much the engine saw of the feet lately; NaN where it did not look."""
        if self._feet_part is None or result.visibility.shape[1] <= self._feet_part:
            return np.full(len(rows), np.nan, np.float32)
        time, feet, at = float(result.frame.time), self.table.column("feet"), self.table.column("feet_at")
        now = result.visibility.any(1)
        feet[rows[now]], at[rows[now]] = result.visibility[now, self._feet_part], time
        lately = (at[rows] != 0) & (np.abs(time - at[rows]) <= _FEET_SECONDS)
        return np.where(lately, feet[rows], np.nan).astype(np.float32)

    def _on_ground(
        self, world: Float64Array, feet: Float64Array, inferred: BoolArray, size: tuple[int, int]
    ) -> Float64Array:
        """Places on the ground, with those of people whose feet are hidden where the body says they are."""
        unknown = inferred & ~np.isfinite(world).all(1)
        if unknown.any() and self._model is not None:
            self._model = self._model.scaled(size)
            world = world.copy()
            world[unknown] = self._model.to_plane(feet[unknown])
        return world
