"""The mean colours of a person's head, torso, legs and feet, for a figure that is drawn where no picture is stored.

Bands of fixed shares of the box stand for the parts, as in part-based ReID with horizontal stripes (Sun et al., PCB,
ECCV 2018). Twelve bytes tell nobody from a stranger in the same clothes: nothing is searched or linked by them.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.types import FloatArray, Image

__all__ = ["BODY", "ColourArray", "PartColours", "part_colours", "part_weights"]

BODY = ("head", "torso", "legs", "feet")
"""The parts, from above."""

_BANDS = ((0.02, 0.13), (0.2, 0.47), (0.53, 0.86), (0.93, 1.0))
"""From where to where of a box's height each part is, with gaps where one ends and the other begins."""

_ALSO = {"torso": ("torso", "arms"), "legs": ("legs",), "head": ("head",), "feet": ("feet",)}
"""Parts of an engine whose visibility counts for each of ours."""

_MIDDLE = (0.3, 0.7)
"""From where to where of a box's width is looked at: beside it is background."""

_ROWS = 32
"""To which the middle of a box is scaled down."""

_LEAST = 12
"""Pixels of a box's height below which it tells nothing."""

_AGAIN_SECONDS = 1.0
"""Of capture time between two looks at a track: what people wear does not change."""

_MOST_TRACKS = 4096
"""Whose last look is remembered."""

ColourArray = NDArray[np.uint8]
"""``[N, 4, 4]``: of each person and part blue, green, red, and how well the part was seen; 0 where it was not."""


def part_colours(image: Image, boxes: FloatArray) -> ColourArray:
    """Mean colours of people.

    Args:
        image: ``[H, W, 3]`` uint8 BGR.
        boxes: ``[N, 4]`` xyxy in pixels.

    Returns:
        See `ColourArray`; the weight is 255 for each part that is inside of the picture.
    """
    high, wide = image.shape[:2]
    found = np.zeros((len(boxes), len(BODY), 4), np.uint8)
    for row, (left, top, right, bottom) in enumerate(boxes.tolist()):
        width, height = right - left, bottom - top
        if not (np.isfinite(width) and np.isfinite(height)):
            continue
        x0, x1 = (round(left + share * width) for share in _MIDDLE)
        y0, y1 = max(round(top), 0), min(round(bottom), high)
        x0, x1 = max(x0, 0), min(x1, wide)
        if height < _LEAST or x1 - x0 < 1 or y1 - y0 < 2:
            continue
        rows = cv2.resize(image[y0:y1, x0:x1], (1, _ROWS), interpolation=cv2.INTER_AREA).reshape(_ROWS, 3)
        for part, (begin, end) in enumerate(_BANDS):
            first, last = (((top + share * height) - y0) / (y1 - y0) * _ROWS for share in (begin, end))
            lowest, highest = max(round(first), 0), min(max(round(last), round(first) + 1), _ROWS)
            if lowest < highest:
                found[row, part, :3] = rows[lowest:highest].mean(0).round()
                found[row, part, 3] = 255
    return found


def part_weights(visibility: FloatArray, parts: Sequence[str]) -> FloatArray:
    """How well our parts were seen, by the parts of an engine.

    Args:
        visibility: ``[N, K]`` in [0, 1].
        parts: Their names; an engine without a part of ours counts with the part that it saw best.
    """
    result = np.repeat(visibility.max(1, initial=0.0)[:, None], len(BODY), 1)
    for column, name in enumerate(BODY):
        known = [
            parts.index(other) for other in _ALSO[name] if other in parts and parts.index(other) < visibility.shape[1]
        ]
        if known:
            result[:, column] = visibility[:, known].max(1)
    return result.astype(np.float32)


class PartColours:
    """Looks at the colours of tracks, at each about once a second.

    Args:
        parts: Names of the engine's parts.
    """

    def __init__(self, parts: Sequence[str]) -> None:
        self._parts = tuple(parts)
        self._last: dict[tuple[str, int], float] = {}

    def __call__(
        self, camera: str, time: float, image: Image, ids: Sequence[int], boxes: FloatArray, visibility: FloatArray
    ) -> ColourArray | None:
        """Colours of the people of a frame who were embedded and not looked at lately; None if there are none.

        Args:
            camera: Of the frame.
            time: Capture time in seconds.
            image: The frame, BGR.
            ids: ``[N]`` track ids.
            boxes: ``[N, 4]`` xyxy.
            visibility: ``[N, K]``; 0 for who was not embedded.
        """
        seen = [bool(row.any()) for row in visibility]
        rows = [
            row
            for row, track in enumerate(ids)
            if seen[row] and abs(time - self._last.get((camera, track), -np.inf)) >= _AGAIN_SECONDS
        ]
        if not rows:
            return None
        for row in rows:
            self._last[camera, ids[row]] = time
        while len(self._last) > _MOST_TRACKS:
            del self._last[next(iter(self._last))]
        colours = np.zeros((len(ids), len(BODY), 4), np.uint8)
        found = part_colours(image, boxes[rows])
        found[..., 3] = (found[..., 3] * part_weights(visibility[rows], self._parts)).round()
        colours[rows] = found
        return colours
