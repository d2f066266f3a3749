"""How far around a box somebody may be: the geometry of what is blurred."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streamreid.sinks.drawing import HEAD_HEIGHT, HEAD_WIDTH, head_heights
from streamreid.types import Detections, FloatArray

__all__ = ["MOST_GROWTH", "SURE_SCORE", "MaskMoment", "cut_off", "grown", "inner_boxes"]

PADDING = 0.06
"""Share of its height by which every box is enlarged: detectors cut hands, feet and hair."""
MOST_GROWTH = 0.6
"""Body heights by which a box grows at most, so that those who are lost do not hide the whole picture."""
UPWARDS = 0.35
"""How much of the growth sideways a box grows upwards: people walk on the ground, and heads stay in the upper third of
their box."""
DOWNWARDS = 0.6
"""The same downwards: legs come out from behind whatever hides them."""
CUT = 0.3
"""Share of its size by which a box below `SURE_SCORE` is enlarged on every side: detectors that are unsure of somebody
end at the knees, at the neck or at an arm."""
INSIDE = 0.6
"""Share of a box inside a larger one from which it counts as a part of that."""
SURE_SCORE = 0.5
"""Score from which a box shows how tall people are in the picture."""


@dataclass(slots=True)
class MaskMoment:
    """What is to be blurred in one frame.

    Args:
        index: Number of the frame in its source.
        time: Capture time in seconds.
        areas: Arrays ``[M, 4]`` of boxes, xyxy in pixels.
        held: Boxes ``[1, 4]`` where somebody who is not seen is expected; removed where it turns out later that they
            were elsewhere.
        released: Whether the frame's result was handed out.
    """

    index: int
    time: float
    areas: list[FloatArray] = field(default_factory=list)
    held: dict[tuple[str, int], FloatArray] = field(default_factory=dict)
    released: bool = False

    @property
    def boxes(self) -> FloatArray:
        """``[M, 4]`` xyxy in pixels."""
        areas = [*self.areas, *self.held.values()]
        return np.concatenate(areas) if areas else np.zeros((0, 4), np.float32)


def inner_boxes(boxes: FloatArray) -> NDArray[np.bool_]:
    """``[M]`` which boxes lie within a larger one: mostly the same person once more. Who steps out from there is new
    then."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    common = np.clip(np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - low, 0, None).prod(2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    larger = areas[None] > areas[:, None]
    inner: NDArray[np.bool_] = (larger & (common >= INSIDE * areas[:, None])).any(1)
    return inner


def cut_off(found: Detections) -> FloatArray:
    """``[M, 2]`` pixels of width and height by which the body may be larger than its box on every side."""
    size = found.boxes[:, 2:] - found.boxes[:, :2]
    return np.asarray(np.where((found.scores < SURE_SCORE)[:, None], CUT, PADDING) * size, np.float32)


def grown(
    boxes: FloatArray,
    margin: FloatArray | NDArray[np.float64] | float,
    *,
    cut: FloatArray | None = None,
    height: FloatArray | NDArray[np.float64] | float = 0.0,
    faces: bool = False,
) -> FloatArray:
    """Boxes ``[M, 4]`` enlarged by ``margin`` pixels ``[M]`` sideways, less up and down, and by the padding.

    Args:
        boxes: xyxy in pixels.
        margin: How far somebody may have gone.
        cut: ``[M, 2]`` by how much more than the padding a box is enlarged at least: see :func:`cut_off`.
        height: Of the body, in pixels, where the box shows only a part of it: feet may come out below.
        faces: Give the boxes of which :func:`streamreid.sinks.pixelate` hides the enlarged heads.
    """
    fine = np.isfinite(boxes).all(axis=1)
    margin, height = np.broadcast_to(margin, len(boxes))[fine], np.broadcast_to(height, len(boxes))[fine]
    boxes = boxes[fine]
    own = boxes[:, 3] - boxes[:, 1]
    pad = PADDING * own
    wide, high = (pad, pad) if cut is None else np.maximum(cut[fine], pad[:, None]).T
    side = np.minimum(margin, MOST_GROWTH * np.maximum(own, height))
    up = np.maximum(UPWARDS * side + pad, high)
    down = np.maximum(np.maximum(DOWNWARDS * side + pad, high), np.minimum(height - own, own))
    side = np.maximum(side + pad, wide)
    larger = np.stack([boxes[:, 0] - side, boxes[:, 1] - up, boxes[:, 2] + side, boxes[:, 3] + down], 1)
    if faces:
        heads = head_heights(boxes) + 2 * up
        flat = HEAD_WIDTH * (larger[:, 2] - larger[:, 0]) >= heads
        larger[:, 3] = larger[:, 1] + np.where(flat, heads, heads / HEAD_HEIGHT)
    return np.asarray(larger, np.float32)
