"""What stands still in a camera's picture: ground, wall and obstacles, painted once."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.synth.scene_layout import MARGIN, FloorArea, Obstacle, View
from streamreid.types import Image

__all__ = ["Scenery", "paint_scenery"]

_PER_METRE, _SPAN = 30, 40.0  # pixels of the paving; metres


class Scenery(NamedTuple):
    """A painted background.

    Attributes:
        image: ``[H, W, 3]`` uint8 BGR, obstacles included.
        depth: ``[H, W]`` float32 metres to the nearest obstacle, infinite where there is none.
    """

    image: Image
    depth: NDArray[np.float32]


class _Solid(NamedTuple):
    """An obstacle's picture: where it begins, its depth, ``[h, w, 3]`` colour times alpha, ``[h, w]`` alpha."""

    left: int
    top: int
    depth: float
    colour: Image
    alpha: NDArray[np.uint8]


def paint_scenery(view: View, place: FloorArea, rng: np.random.Generator) -> Scenery:
    """Paint the place as a camera sees it, without people."""
    image = _ground(view, place, rng)
    depth = np.full(image.shape[:2], np.inf, np.float32)
    solids = [s for o in place.obstacles if (s := _cylinder(view, o, rng)) is not None]
    for solid in sorted(solids, key=lambda s: -s.depth):
        high, wide = solid.alpha.shape
        rows = slice(max(0, solid.top), min(view.size[1], solid.top + high))
        columns = slice(max(0, solid.left), min(view.size[0], solid.left + wide))
        own = (
            slice(rows.start - solid.top, rows.stop - solid.top),
            slice(columns.start - solid.left, columns.stop - solid.left),
        )
        alpha = solid.alpha[own]
        behind = cv2.multiply(image[rows, columns], cv2.merge([255 - alpha] * 3), scale=1 / 255)
        image[rows, columns] = cv2.add(behind, solid.colour[own])
        depth[rows, columns][alpha > 127] = solid.depth
    return Scenery(image, depth)


def _ground(view: View, place: FloorArea, rng: np.random.Generator) -> Image:
    """Paving up to the edge of what is seen of the place, a wall behind it."""
    width, height = view.size
    to_ground = np.array(
        [[1 / _PER_METRE, 0, place.centre[0] - _SPAN / 2], [0, 1 / _PER_METRE, place.centre[1] - _SPAN / 2], [0, 0, 1]]
    )
    image = cv2.warpPerspective(
        _paving(1 + view.place), view.ground @ to_ground, (width, height), flags=cv2.INTER_LINEAR
    )
    wall = np.linspace(rng.uniform(150, 200), rng.uniform(80, 120), height)[:, None, None] + rng.normal(0, 6, 3)
    bricks = cv2.resize(
        rng.normal(0, 10, (height // 14 + 1, width // 40 + 1)).astype(np.float32),
        (width, height),
        interpolation=cv2.INTER_NEAREST,
    )
    behind = np.clip(wall.astype(np.float32) + bricks[..., None], 0, 255).astype(np.uint8)
    return np.asarray(np.where(_on_floor(view, place)[..., None], image, behind), np.uint8)


def _paving(seed: int) -> Image:
    """The floor from above; cameras of one place see the same."""
    shade = np.random.default_rng(seed)
    side = int(_SPAN * _PER_METRE)
    base = shade.uniform(105, 165) + shade.normal(0, 4, 3)
    cloud = cv2.resize(shade.normal(0, 9, (24, 24)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    rough = cloud + 5 * shade.standard_normal((side, side), np.float32)
    tile = int(shade.uniform(0.5, 1.5) * _PER_METRE)
    rough[::tile] -= 22
    rough[:, ::tile] -= 22
    floor = [cv2.convertScaleAbs(np.maximum(rough + np.float32(one), 0)) for one in base]
    return np.asarray(cv2.merge(floor), np.uint8)


def _on_floor(view: View, place: FloorArea) -> NDArray[np.bool_]:
    """Which pixels ``[H, W]`` show the floor of the place."""
    width, height = view.size
    # A pixel sees the ground at (a / c, b / c), where a, b and c are linear in the pixel; c has another sign above the
    # horizon.
    ray = np.linalg.inv(view.ground)
    x, y = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
    a, b, c = (row[0] * x + row[1] * y + row[2] for row in ray)
    with np.errstate(divide="ignore", invalid="ignore"):
        points = np.stack([a / c, b / c], -1)
    return np.asarray(place.inside(np.nan_to_num(points, nan=1e9), MARGIN + 0.5) & (c > 0), bool)


def _cylinder(view: View, obstacle: Obstacle, rng: np.random.Generator) -> _Solid | None:
    centre, radius, height = obstacle.centre, obstacle.radius, obstacle.height
    angles = np.linspace(0, 2 * np.pi, 33)
    ring = np.stack(
        [centre[0] + radius * np.cos(angles), centre[1] + radius * np.sin(angles), np.zeros_like(angles)], 1
    )
    (low, depth), (high, _) = view.project(ring), view.project(ring + np.array([0, 0, height]))
    points = np.concatenate([low, high])
    if depth.min() < 0.8 or not np.isfinite(points).all():
        return None
    left, top = np.floor(points.min(0)).astype(int).tolist()
    right, bottom = (np.ceil(points.max(0)).astype(int) + 1).tolist()
    if (
        left >= view.size[0]
        or top >= view.size[1]
        or right <= 0
        or bottom <= 0
        or max(right - left, bottom - top) > 4 * max(view.size)
    ):
        return None
    alpha = np.zeros((bottom - top, right - left), np.uint8)
    hull = cv2.convexHull((points - [left, top]).astype(np.float32)).astype(np.int32)
    cv2.fillConvexPoly(alpha, hull, 255, lineType=cv2.LINE_AA)
    shade = np.cos(np.linspace(-1.25, 1.25, alpha.shape[1])) * 0.55 + 0.45
    colour = (
        np.clip(60 + 110 * obstacle.shade + np.random.default_rng(int(obstacle.shade * 1e6)).normal(0, 12, 3), 20, 235)[
            None, None
        ]
        * shade[None, :, None]
    )
    body = np.clip(np.broadcast_to(colour, (*alpha.shape, 3)) + rng.normal(0, 4, (*alpha.shape, 1)), 0, 255).astype(
        np.uint8
    )
    cv2.fillConvexPoly(
        body,
        cv2.convexHull((high - [left, top]).astype(np.float32)).astype(np.int32),
        [float(c) for c in colour.max((0, 1)) * 1.12],
    )
    body = cv2.multiply(body, cv2.merge([alpha] * 3), scale=1 / 255)
    # A person at the near side of the cylinder stands in front of it: compare with its middle.
    middle = float(view.project(np.array([[*centre, 0.0]]))[1][0])
    return _Solid(left, top, middle, np.asarray(body, np.uint8), alpha)
