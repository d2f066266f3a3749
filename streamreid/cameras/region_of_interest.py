"""Region of interest: only people who stand inside the polygon count."""

from __future__ import annotations

import cv2
import numpy as np

from streamreid.types import BoolArray, FloatArray

__all__ = ["inside"]


def inside(boxes: FloatArray, polygon: tuple[tuple[float, float], ...] | None, size: tuple[int, int]) -> BoolArray:
    """Which people have their foot point (middle of the lower edge) in the polygon.

    Args:
        boxes: ``[N, 4]`` xyxy in pixels.
        polygon: Corners in pixels, or in fractions of the frame if all values are <= 1; None is the whole frame.
        size: Width and height of the frame.

    Returns:
        ``[N]`` bool.
    """
    if polygon is None or not len(boxes):
        return np.ones(len(boxes), bool)
    corners = np.asarray(polygon, np.float32)
    if corners.max() <= 1.0:
        corners = corners * np.asarray(size, np.float32)
    feet = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]], 1)
    return np.array([cv2.pointPolygonTest(corners[:, None], (float(x), float(y)), False) >= 0 for x, y in feet])
