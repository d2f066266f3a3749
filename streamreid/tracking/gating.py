"""Which box can be which track: by reach, by place, by leaving the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamreid.types import BoolArray, FloatArray

__all__ = ["leaving", "place_odds", "walked", "within_reach"]

SCENE_AREA = 50.0
"""Body heights squared over which a stranger may appear."""
WALK = 0.9
"""Body heights per second of a brisk walk (1.5 m/s at 1.7 m)."""
WALK_SLACK = 0.2
"""Body heights by which the centres of two boxes of one person differ anyway."""


def within_reach(predicted: FloatArray, boxes: FloatArray, gap: NDArray[np.float64]) -> BoolArray:
    """Which box a person can have walked to: half a body height plus 2 per second (at most 4), and of a similar height.

    Args:
        predicted: ``[T, 4]`` xyxy of the tracks.
        boxes: ``[N, 4]`` xyxy found.
        gap: ``[T]`` seconds since each track was seen.

    Returns:
        ``[T, N]`` bool.
    """
    height = (predicted[:, 3] - predicted[:, 1])[:, None]
    ratio = (boxes[:, 3] - boxes[:, 1])[None] / np.maximum(height, 1.0)
    limit = height * (0.5 + np.minimum(2.0 * gap[:, None], 4.0))
    return np.asarray((_squared_ways(predicted, boxes) <= limit**2) & (ratio > 0.6) & (ratio < 1.67))


def walked(predicted: FloatArray, boxes: FloatArray, seconds: float) -> tuple[FloatArray, BoolArray]:
    """Which box somebody of unknown velocity can have walked to since the frame before, and how near it is; for frames
    so far apart that boxes of a person who walks no longer overlap.

    Args:
        predicted: ``[T, 4]`` xyxy of the tracks.
        boxes: ``[N, 4]`` xyxy found.
        seconds: Since the frame before.

    Returns:
        score: ``[T, N]``, 1 in the same place and 0 at the end of the reach.
        allowed: ``[T, N]`` bool.
    """
    height = (predicted[:, 3] - predicted[:, 1])[:, None]
    ratio = (boxes[:, 3] - boxes[:, 1])[None] / np.maximum(height, 1.0)
    reach = height * (WALK_SLACK + WALK * seconds)
    score = 1.0 - np.sqrt(_squared_ways(predicted, boxes)) / np.maximum(reach, 1e-6)
    return np.asarray(score, np.float32), np.asarray((score > 0) & (ratio > 0.6) & (ratio < 1.67))


def _squared_ways(a: FloatArray, b: FloatArray) -> FloatArray:
    """Squared distances ``[T, N]`` of the centres of ``a`` [T, 4] and ``b`` [N, 4], pixels."""
    x = (a[:, 0] + a[:, 2])[:, None] - (b[:, 0] + b[:, 2])
    y = (a[:, 1] + a[:, 3])[:, None] - (b[:, 1] + b[:, 3])
    return np.asarray((x * x + y * y) / 4)


def place_odds(predicted: FloatArray, boxes: FloatArray, deviation: FloatArray) -> FloatArray:
    """What places say for one person rather than a stranger: log of the normal density around the prediction over the
    uniform one of the scene.

    Args:
        predicted: ``[T, 4]`` xyxy of the tracks.
        boxes: ``[N, 4]`` xyxy found.
        deviation: ``[T]`` standard deviation of the prediction in pixels. People who are hidden stop and turn, so it is
            doubled, and a quarter of a height is added for where in the box a person is.

    Returns:
        ``[T, N]`` log-likelihood ratio.
    """
    height = np.maximum(predicted[:, 3] - predicted[:, 1], 1.0)
    spread = (2.0 * deviation / height + 0.25)[:, None]
    far = _squared_ways(predicted, boxes) / (spread * height[:, None]) ** 2
    return np.asarray(np.log(SCENE_AREA / (2 * np.pi * spread**2)) - 0.5 * far, np.float32)


def leaving(boxes: FloatArray, size: tuple[int, int]) -> BoolArray:
    """``[T]`` whether each of ``boxes`` touches the border of a picture of ``size`` (width, height), or lies
    outside."""
    margin = 0.01 * max(size)
    low, high = boxes[:, :2] <= margin, boxes[:, 2:] >= np.asarray(size, np.float32) - margin
    low |= high
    return np.asarray(low[:, 0] | low[:, 1])
