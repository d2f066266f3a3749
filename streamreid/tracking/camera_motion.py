"""How the camera moved between two pictures, as an affine map that the tracker applies to its predictions. For
handheld, pan and drone cameras; a fixed camera needs none of it."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from streamreid.types import FloatArray, Image

__all__ = ["CameraMotion"]

POINTS = 400
"""Corners followed per frame: bounds the cost of the estimate."""

FEWEST = 12
"""Followed points below which the pictures are taken to show nothing in common."""


class CameraMotion:
    """Map from the previous picture to the present one: shift, turn and zoom (4 degrees of freedom).

    Args:
        method: ``flow`` follows corners by pyramidal Lucas-Kanade flow and fits the map by RANSAC; ``ecc`` maximises
            the correlation of the whole pictures (Evangelidis and Psarakis, "Parametric Image Alignment using Enhanced
            Correlation Coefficient Maximization", PAMI 2008), slower, for scenes without corners.
        width: Pictures are reduced to this width first, pixels.
    """

    def __init__(self, method: Literal["flow", "ecc"] = "flow", *, width: int = 480) -> None:
        if method not in ("flow", "ecc"):
            raise ValueError(f"camera motion method '{method}': choose flow or ecc")
        self._method = method
        self._width = width
        self._last: Image | None = None
        self._mask: Image | None = None

    def __call__(self, image: Image, people: FloatArray | None = None) -> FloatArray:
        """Take the next picture.

        Args:
            image: ``[H, W, 3]`` uint8 BGR.
            people: ``[N, 4]`` xyxy of people in it: they move by themselves and are left out of the next estimate.

        Returns:
            ``[2, 3]`` affine map of full-resolution pixels; the identity for the first picture, after a change of size,
            and where nothing is found in common.
        """
        scale = min(1.0, self._width / image.shape[1])
        gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        small = np.asarray(cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        last, mask = self._last, self._mask
        self._last, self._mask = small, _without(small.shape, people, scale)
        if last is None or mask is None or last.shape != small.shape:
            return np.eye(2, 3, dtype=np.float32)
        found = _by_flow(last, small, mask) if self._method == "flow" else _by_correlation(last, small)
        if found is None or not np.isfinite(found).all():
            return np.eye(2, 3, dtype=np.float32)
        affine = np.asarray(found, np.float32)
        affine[:, 2] /= scale
        return affine


def _without(shape: tuple[int, ...], people: FloatArray | None, scale: float) -> Image:
    mask = np.full(shape[:2], 255, np.uint8)
    for x0, y0, x1, y1 in (np.zeros((0, 4)) if people is None else np.clip(np.asarray(people) * scale, 0, None)).astype(
        int
    ):
        mask[y0 : y1 + 1, x0 : x1 + 1] = 0
    return mask


def _by_flow(last: Image, image: Image, mask: Image) -> FloatArray | None:
    corners = cv2.goodFeaturesToTrack(last, POINTS, 0.01, 5, mask=mask)
    if corners is None or len(corners) < FEWEST:
        return None
    moved, ok, _ = cv2.calcOpticalFlowPyrLK(last, image, corners, None)
    back, again, _ = cv2.calcOpticalFlowPyrLK(image, last, moved, None)
    # A point that does not find its way back was followed wrongly.
    good = (ok[:, 0] > 0) & (again[:, 0] > 0) & (np.abs(corners - back).max((1, 2)) < 1.0)
    if good.sum() < FEWEST:
        return None
    affine, inliers = cv2.estimateAffinePartial2D(
        corners[good], moved[good], method=cv2.RANSAC, ransacReprojThreshold=1.5
    )
    return None if affine is None or inliers.sum() < FEWEST else np.asarray(affine, np.float32)


def _by_correlation(last: Image, image: Image) -> FloatArray | None:
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4)
    try:
        _, affine = cv2.findTransformECC(last, image, np.eye(2, 3, dtype=np.float32), cv2.MOTION_EUCLIDEAN, stop)
    except cv2.error:  # it did not converge
        return None
    return np.asarray(affine, np.float32)
