"""Where a person stands in the picture, also where something hides the feet.

The feet are the middle of the box's lower edge, unless they are hidden: then the detector's box ends where the body
can no longer be seen, and the feet are as far below the head as the person is tall there. How tall people are in a
camera's picture is learnt from those who are seen whole.
"""

from __future__ import annotations

import numpy as np

from streamreid.boxes import cover_matrix
from streamreid.types import BoolArray, Float64Array, FloatArray

__all__ = ["WHOLE", "BodyHeights", "feet_hidden", "feet_of", "points_of", "whole"]

_DECAY = 0.9995
"""Per frame: at 10 frames per second, what was learnt three minutes ago counts a third, and still decides where few
people come by."""

_LEAST_PEOPLE = 150.0
"""Boxes of whole people from which heights are trusted: those of about two people who walk through."""

_RIDGE = 1.0
"""Added to the diagonal of the normal equations: keeps the slope small where everybody was equally far away."""

_STRIP = 0.15
"""The lowest share of a box, in which the feet are."""

_STRIP_HIDDEN = 0.35
"""Share of that strip which somebody nearer covers when feet are hidden: of .2 and .5, the results are the same."""

_EDGE = 0.99
"""Boxes that reach below this share of the picture go on outside of it."""

WHOLE = 0.85
"""A box at least so tall, as a share of what is expected, shows the whole body: people's heights and steps differ by
about a tenth."""

_TALLEST = 1.3
"""Most that hidden feet are put below the head, in learnt heights."""

_SAMPLES = np.stack(np.meshgrid(np.linspace(0.1, 0.9, 3), np.linspace(0.07, 0.93, 7)), -1).reshape(-1, 2)
"""Where in a box it is looked at whether it lies in a zone."""


class BodyHeights:
    """How tall people are in one camera's picture, by where their heads are: a plane, as on flat ground.

    All values are shares of the picture.
    """

    def __init__(self) -> None:
        self._normal = np.zeros((3, 3))
        self._target = np.zeros(3)
        self._plane: Float64Array = np.zeros(3)

    @property
    def known(self) -> bool:
        """Whether enough people were seen whole."""
        return bool(self._normal[0, 0] >= _LEAST_PEOPLE)

    def learn(self, boxes: Float64Array) -> None:
        """Take boxes ``[N, 4]`` xyxy of people who are seen whole."""
        self._normal *= _DECAY
        self._target *= _DECAY
        if not len(boxes):
            return
        rows = _rows(boxes)
        self._normal += rows.T @ rows
        self._target += rows.T @ (boxes[:, 3] - boxes[:, 1])
        count = self._normal[0, 0]
        # The ridge pulls to a height that is the same everywhere, and not to none.
        mean = self._target[0] / count
        ridge = np.diag([0.0, _RIDGE, _RIDGE])
        solved = np.linalg.solve(self._normal + ridge, self._target) if count > 3 else np.array([mean, 0.0, 0.0])
        self._plane = np.asarray(solved, np.float64)

    def expected(self, boxes: Float64Array) -> Float64Array:
        """Heights ``[N]`` of standing people with their heads where those of the boxes are."""
        return np.asarray(np.maximum(_rows(boxes) @ self._plane, 0.0))


def _rows(boxes: Float64Array) -> Float64Array:
    return np.stack([np.ones(len(boxes)), boxes[:, 1] - 0.5, (boxes[:, 0] + boxes[:, 2]) / 2 - 0.5], 1)


def feet_hidden(boxes: Float64Array, feet_visibility: FloatArray) -> BoolArray:
    """Where the lower end of a box may not be where the feet are.

    Args:
        boxes: ``[N, 4]`` xyxy as shares of the picture.
        feet_visibility: ``[N]`` in [0, 1] of the engine's part for the feet, NaN where it did not look.

    Returns:
        ``[N]``: somebody nearer covers the feet, the picture ends above them, or the engine does not see them.
    """
    if not len(boxes):
        return np.zeros(0, bool)
    strips = boxes.copy()
    strips[:, 1] = boxes[:, 3] - _STRIP * (boxes[:, 3] - boxes[:, 1])
    nearer = boxes[:, 3] > boxes[:, None, 3]
    covered = np.where(nearer, cover_matrix(strips.astype(np.float32), boxes.astype(np.float32)), 0).max(1)
    with np.errstate(invalid="ignore"):
        return np.asarray((covered > _STRIP_HIDDEN) | (boxes[:, 3] > _EDGE) | (feet_visibility < 0.5), bool)


def feet_of(boxes: Float64Array, hidden: BoolArray, heights: BodyHeights, ratio: Float64Array) -> Float64Array:
    """Where the feet are.

    Args:
        boxes: ``[N, 4]`` xyxy as shares of the picture.
        hidden: ``[N]`` whose feet may be hidden.
        heights: Of the camera.
        ratio: ``[N]`` how tall each person is beside others at the same place, 1 where that is not known.

    Returns:
        ``[N, 2]``.
    """
    feet = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]], 1)
    if heights.known and hidden.any():
        expected = heights.expected(boxes) * ratio
        cut = hidden & (boxes[:, 3] - boxes[:, 1] < WHOLE * expected)
        feet[cut, 1] = boxes[cut, 1] + expected[cut]
    return feet


def points_of(anchor: str, boxes: Float64Array, feet: Float64Array) -> Float64Array:
    """The points of an anchor: ``[N, P, 2]``, P = 1 but for ``body``.

    Args:
        anchor: feet, center or body.
        boxes: ``[N, 4]`` xyxy.
        feet: ``[N, 2]``.
    """
    if anchor == "feet":
        return feet[:, None]
    size = boxes[:, None, 2:] - boxes[:, None, :2]
    return np.asarray(boxes[:, None, :2] + size * (_SAMPLES if anchor == "body" else 0.5))


def whole(boxes: Float64Array, hidden: BoolArray) -> BoolArray:
    """Boxes ``[N, 4]`` of people from head to feet, of which heights are learnt."""
    return np.asarray(~hidden & (boxes[:, 1] > 1 - _EDGE) & (boxes[:, 3] < _EDGE), bool)
