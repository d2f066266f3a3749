"""The homography from the ground to a picture, fitted to points that are known in both."""

from __future__ import annotations

import cv2
import numpy as np

from streamreid.types import Float64Array

__all__ = ["fit_homography", "inverse", "through"]


def fit_homography(pixels: Float64Array, ground: Float64Array) -> Float64Array | None:
    """``[3, 3]`` from the ground to pixels, with the least squared error in the picture, since that is where points are
    clicked; None where the points say nothing of it.

    Args:
        pixels: ``[N, 2]``, N >= 4.
        ground: ``[N, 2]`` metres.
    """
    onto, _ = cv2.findHomography(ground, pixels, 0)
    return None if onto is None or not np.isfinite(onto).all() else np.asarray(onto, np.float64)


def inverse(homography: Float64Array) -> Float64Array:
    """From pixels to the ground."""
    return np.asarray(np.linalg.inv(homography), np.float64)


def through(homography: Float64Array, points: Float64Array) -> Float64Array:
    """Points ``[N, 2]`` through a homography."""
    moved = np.concatenate([points, np.ones((len(points), 1))], 1) @ homography.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(moved[:, :2] / moved[:, 2:], np.float64)
