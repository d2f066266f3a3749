"""Occluding pictures of people: where the occluder lies (one of four sides, a quarter or a half) and what covers it.

Follows OAMN (Chen et al., ICCV 2021): one patch from a corner of another training image, where people seldom are,
stretched over a side. Other people are pasted whole or cut out along their part labels. Pure numpy and OpenCV; pictures
are uint8 BGR.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.types import Image

__all__ = ["SIDES", "Occlusion", "Side", "corner_patch", "cover", "draw_occlusion", "paste_person", "rectangle"]

Side = Literal["left", "right", "bottom", "top"]
SIDES: tuple[Side, ...] = ("left", "right", "bottom", "top")
SHARES = (0.25, 0.5)
"""Shares of the picture that an occluder covers (OAMN, ICCV 2021)."""


@dataclass(frozen=True)
class Occlusion:
    """Which side of a picture is covered, and how much of its area."""

    side: Side
    share: float


def draw_occlusion(random: np.random.Generator) -> Occlusion:
    """One of the four sides and a quarter or a half, all equally likely."""
    return Occlusion(SIDES[random.integers(4)], SHARES[random.integers(2)])


def rectangle(size: tuple[int, int], occlusion: Occlusion) -> tuple[slice, slice]:
    """Rows and columns of a picture of ``size`` (height, width) that are covered."""
    height, width = size
    rows, columns = round(height * occlusion.share), round(width * occlusion.share)
    return {
        "left": (slice(0, height), slice(0, columns)),
        "right": (slice(0, height), slice(width - columns, width)),
        "top": (slice(0, rows), slice(0, width)),
        "bottom": (slice(height - rows, height), slice(0, width)),
    }[occlusion.side]


def corner_patch(image: Image, random: np.random.Generator) -> Image:
    """A patch at a corner of ``image``: area 2 to 20 %, height over width 0.3 to 3.3 (OAMN's augmentation)."""
    height, width = image.shape[:2]
    for _ in range(10):
        area, ratio = random.uniform(0.02, 0.2) * height * width, random.uniform(0.3, 3.3)
        h, w = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
        if 0 < h < height and 0 < w < width:
            break
    else:
        h, w = height // 4, width // 4
    top, left = random.integers(2) * (height - h), random.integers(2) * (width - w)
    return image[top : top + h, left : left + w]


def cover(image: Image, occluder: Image, occlusion: Occlusion) -> tuple[Image, NDArray[np.bool_]]:
    """Stretch ``occluder`` over one side of ``image``.

    Returns:
        The covered picture, and a ``[H, W]`` mask of the covered pixels.
    """
    rows, columns = rectangle(image.shape[:2], occlusion)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    result, mask = image.copy(), np.zeros(image.shape[:2], bool)
    result[rows, columns] = cv2.resize(occluder, size, interpolation=cv2.INTER_LINEAR)
    mask[rows, columns] = True
    return result, mask


def paste_person(
    image: Image, person: Image, silhouette: NDArray[np.float32], occlusion: Occlusion, random: np.random.Generator
) -> tuple[Image, NDArray[np.bool_]]:
    """Paste another person, cut out along a silhouette, so that the person comes in from one side.

    Args:
        image: ``[H, W, 3]`` picture to cover.
        person: ``[H, W, 3]`` picture of another person, same size.
        silhouette: ``[H, W]`` in [0, 1], 1 on the other person.
        occlusion: Side, and the share of the picture into which the person reaches.
        random: Draws scale and shift.

    Returns:
        The covered picture, and a ``[H, W]`` mask of the covered pixels.
    """
    height, width = image.shape[:2]
    scale = random.uniform(0.85, 1.25)
    down = random.uniform(-0.1, 0.2) * height
    reach = {"left": (occlusion.share - 0.75, down), "right": (0.75 - occlusion.share, down)}
    x, y = reach.get(occlusion.side, (random.uniform(-0.15, 0.15), 0.0))
    if occlusion.side == "bottom":
        y = (1 - occlusion.share) * height
    elif occlusion.side == "top":
        y = (occlusion.share - 1) * height
    centre = ((1 - scale) * width / 2 + x * width, (1 - scale) * height / 2 * (occlusion.side in ("left", "right")) + y)
    matrix = np.array([[scale, 0, centre[0]], [0, scale, centre[1]]], np.float32)
    moved = cv2.warpAffine(person, matrix, (width, height), flags=cv2.INTER_LINEAR)
    alpha = cv2.warpAffine(silhouette, matrix, (width, height), flags=cv2.INTER_LINEAR)
    result = image + alpha[..., None] * (moved.astype(np.float32) - image)
    return np.clip(result, 0, 255).astype(np.uint8), alpha > 0.5
