"""One camera's pictures: ground, obstacles and people from far to near, seen through this camera's own rendering of light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.synth.cutouts import Cutout
from streamreid.synth.places import MARGIN, Obstacle, Place, View
from streamreid.synth.walking import Walks
from streamreid.types import Image

__all__ = ["Painter", "Shown"]

Array = NDArray[np.float64]
_OBSTACLE = -1
_LEAST_HEIGHT = 12.0  # pixels
_POSE = 1.7  # seconds for which one picture of a person is shown


@dataclass(frozen=True, slots=True)
class Shown:
    """One person in one picture.

    Args:
        person: Number from 0.
        box: Left, top, right, bottom of the whole silhouette in pixels, cut at the border of the picture.
        visible_box: The same of what is not hidden; equal to ``box`` if nothing is seen.
        visibility: Share of the silhouette that is seen, in [0, 1]; what lies outside the picture is not.
        point: Where the person stands, metres.
    """

    person: int
    box: tuple[float, float, float, float]
    visible_box: tuple[float, float, float, float]
    visibility: float
    point: tuple[float, float]


@dataclass(slots=True)
class _Sprite:
    depth: float
    left: int
    top: int
    colour: Image
    alpha: NDArray[np.uint8]
    owner: int
    area: int = 0


class Painter:
    """Draws what a camera sees.

    Args:
        view: The camera.
        place: What it looks at.
        walks: Everybody's way.
        looks: Cutouts of each person as this camera sees them.
        lighting: How far light and colour depart from neutral; 0 is not at all.
        seed: For textures, light and poses.
    """

    def __init__(self, view: View, place: Place, walks: Walks, looks: list[list[Cutout]], *, lighting: float, seed: int) -> None:
        self._view, self._place, self._walks, self._looks = view, place, walks, looks
        rng = np.random.default_rng(seed)
        self._background = _ground(view, place, rng)
        self._obstacles = [s for o in place.obstacles if (s := _cylinder(view, o, rng)) is not None]
        self._phase = rng.uniform(0, 10, len(looks))
        self._mirrored = rng.uniform(size=len(looks)) < 0.5
        self._light = _Light(view.size, lighting, rng)
        self._owner = np.zeros((view.size[1], view.size[0]), np.int16)

    def draw(self, time: float) -> tuple[Image, list[Shown]]:
        """The picture at a (true) time, and who is in it."""
        canvas = self._background.copy()
        self._owner[:] = _OBSTACLE
        people = self._people(time)
        for sprite in people:
            self._shadow(canvas, sprite)
        for sprite in sorted([*people, *self._obstacles], key=lambda s: -s.depth):
            self._put(canvas, sprite)
        where = self._walks.at(time)
        shown = [self._shown(sprite, where[sprite.owner]) for sprite in people]
        return self._light(canvas, time), [s for s in shown if s is not None]

    def _people(self, time: float) -> list[_Sprite]:
        where = self._walks.at(time)
        here = np.flatnonzero(np.isfinite(where[:, 0]) & self._place.inside(where, MARGIN))
        if not len(here):
            return []
        step = 0.05 * np.abs(np.sin(2 * np.pi * 0.9 * time + self._phase[here])) * self._moving(here, time)
        feet = np.concatenate([where[here], np.zeros((len(here), 1))], 1)
        heads = feet + np.stack([np.zeros(len(here)), np.zeros(len(here)), self._walks.heights[here] - step], 1)
        (below, depth), (above, _) = self._view.project(feet), self._view.project(heads)
        self._turn(here, time)
        found = []
        for row, person in enumerate(here.tolist()):
            if depth[row] < 0.8 or not self._looks[person]:
                continue
            tall = float(np.linalg.norm(above[row] - below[row]))
            if tall >= _LEAST_HEIGHT and (sprite := self._sprite(person, below[row], above[row], tall, float(depth[row]), time)):
                found.append(sprite)
        return found

    def _moving(self, here: NDArray[np.int64], time: float) -> Array:
        way = np.linalg.norm(self._walks.at(time + 0.1)[here] - self._walks.at(time - 0.1)[here], axis=1)
        return np.asarray(np.nan_to_num(np.clip(way / 0.15, 0, 1)), np.float64)

    def _turn(self, here: NDArray[np.int64], time: float) -> None:
        """Mirror who walks the other way; who hardly moves sideways stays as before."""
        flat = np.zeros((len(here), 1))
        now, _ = self._view.project(np.concatenate([self._walks.at(time + 0.3)[here], flat], 1))
        past, _ = self._view.project(np.concatenate([self._walks.at(time - 0.3)[here], flat], 1))
        sideways = np.nan_to_num((now - past)[:, 0])
        self._mirrored[here] = np.where(np.abs(sideways) > 6, sideways < 0, self._mirrored[here])

    def _sprite(self, person: int, foot: Array, head: Array, tall: float, depth: float, time: float) -> _Sprite | None:
        looks = self._looks[person]
        cutout = looks[int(time / _POSE + self._phase[person]) % len(looks)]
        high, wide = cutout.alpha.shape
        height, width = max(1, round(tall)), max(1, round(wide * tall / high))
        left, top = round(float(foot[0] + head[0]) / 2 - width / 2), round(float(foot[1])) - height
        if (
            left >= self._view.size[0]
            or top >= self._view.size[1]
            or left + width <= 0
            or top + height <= 0
            or height > 4 * self._view.size[1]
        ):
            return None
        method = cv2.INTER_AREA if height < high else cv2.INTER_LINEAR
        colour = cv2.resize(cutout.colour, (width, height), interpolation=method)
        alpha = cv2.resize(cutout.alpha, (width, height), interpolation=method)
        if self._mirrored[person]:
            colour, alpha = cv2.flip(colour, 1), cv2.flip(alpha, 1)
        return _Sprite(depth, left, top, np.asarray(colour, np.uint8), np.asarray(alpha, np.uint8), person, int((alpha > 127).sum()))

    def _shadow(self, canvas: Image, sprite: _Sprite) -> None:
        height, width = sprite.alpha.shape
        middle = sprite.left + width // 2, sprite.top + height
        reach = max(2, int(width * 0.45)), max(1, int(width * 0.14))
        box = [max(0, middle[1] - reach[1] - 1), middle[1] + reach[1] + 2, max(0, middle[0] - reach[0] - 1), middle[0] + reach[0] + 2]
        patch = canvas[box[0] : box[1], box[2] : box[3]]
        if patch.size:
            dark = cv2.convertScaleAbs(patch, alpha=0.68)
            inside = np.zeros(patch.shape[:2], np.uint8)
            cv2.ellipse(inside, (middle[0] - box[2], middle[1] - box[0]), reach, 0, 0, 360, 1, -1)
            cv2.copyTo(dark, inside, patch)

    def _put(self, canvas: Image, sprite: _Sprite) -> None:
        region, own = self._overlap(sprite)
        alpha = sprite.alpha[own]
        if not alpha.size:
            return
        patch = canvas[region]
        behind = cv2.multiply(patch, cv2.merge([255 - alpha] * 3), scale=1 / 255)
        canvas[region] = cv2.add(behind, sprite.colour[own])
        self._owner[region][alpha > 127] = sprite.owner

    def _overlap(self, sprite: _Sprite) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        height, width = sprite.alpha.shape
        wide, high = self._view.size
        x0, x1 = max(0, sprite.left), min(wide, sprite.left + width)
        y0, y1 = max(0, sprite.top), min(high, sprite.top + height)
        return (slice(y0, y1), slice(x0, x1)), (slice(y0 - sprite.top, y1 - sprite.top), slice(x0 - sprite.left, x1 - sprite.left))

    def _shown(self, sprite: _Sprite, point: Array) -> Shown | None:
        (rows, columns), _ = self._overlap(sprite)
        seen = self._owner[rows, columns] == sprite.owner
        box = float(columns.start), float(rows.start), float(columns.stop), float(rows.stop)
        if not sprite.area or not seen.size:
            return None
        visible = box
        if seen.any():
            y, x = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
            visible = box[0] + float(x[0]), box[1] + float(y[0]), box[0] + float(x[-1]) + 1, box[1] + float(y[-1]) + 1
        return Shown(sprite.owner, box, visible, min(1.0, float(seen.sum()) / sprite.area), (float(point[0]), float(point[1])))


class _Light:
    """How a camera renders light: gain, contrast and colour of its own, a slow change of the day, noise."""

    def __init__(self, size: tuple[int, int], strength: float, rng: np.random.Generator) -> None:
        self._gain = float(np.exp(rng.normal(0, 0.12 * strength)))
        self._gamma = float(np.exp(rng.normal(0, 0.12 * strength)))
        self._tint = np.exp(rng.normal(0, 0.05 * strength, 3))
        self._drift = rng.uniform(0, 0.05 * strength), rng.uniform(40, 120), rng.uniform(0, 2 * np.pi)
        sigma = 1.0 + rng.uniform(0, 2.5) * strength
        self._noise = np.clip(rng.normal(128, sigma, (size[1] + 64, size[0] + 64)), 0, 255).astype(np.uint8)
        self._blur = float(rng.uniform(0, 0.8)) * strength
        self._rng = rng

    def __call__(self, image: Image, time: float) -> Image:
        swing, period, phase = self._drift
        gain = self._gain * (1 + swing * np.sin(2 * np.pi * time / period + phase))
        ramp = 255 * (np.arange(256) / 255) ** self._gamma
        table = np.clip(ramp[:, None] * gain * self._tint[None], 0, 255).astype(np.uint8)[:, None, :]
        image = np.asarray(cv2.LUT(image, table.reshape(1, 256, 3)), np.uint8)
        if self._blur > 0.3:
            image = np.asarray(cv2.GaussianBlur(image, (3, 3), self._blur), np.uint8)
        x, y = self._rng.integers(0, 64, 2)
        grain = self._noise[y : y + image.shape[0], x : x + image.shape[1]]
        return np.asarray(cv2.addWeighted(image, 1.0, cv2.merge([grain] * 3), 1.0, -128.0), np.uint8)


def _ground(view: View, place: Place, rng: np.random.Generator) -> Image:
    """Paving up to the edge of what is seen of the place, a wall behind it."""
    width, height = view.size
    shade = np.random.default_rng(1 + view.place)  # cameras of one place see the same paving
    per_metre, span = 30, 40.0
    side = int(span * per_metre)
    base = shade.uniform(105, 165) + shade.normal(0, 4, 3)
    cloud = cv2.resize(shade.normal(0, 9, (24, 24)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    floor = base[None, None] + cloud[..., None] + shade.normal(0, 5, (side, side, 1))
    tile = int(shade.uniform(0.5, 1.5) * per_metre)
    floor[::tile] -= 22
    floor[:, ::tile] -= 22
    to_ground = np.array([[1 / per_metre, 0, place.centre[0] - span / 2], [0, 1 / per_metre, place.centre[1] - span / 2], [0, 0, 1]])
    image = cv2.warpPerspective(np.clip(floor, 0, 255).astype(np.uint8), view.ground @ to_ground, (width, height), flags=cv2.INTER_LINEAR)
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x, y, np.ones_like(x)], -1).reshape(-1, 3) + np.array([0.5, 0.5, 0])
    ray = pixels @ np.linalg.inv(view.ground).T
    with np.errstate(divide="ignore", invalid="ignore"):
        hit = ray[:, :2] / ray[:, 2:]
    ahead = np.stack([hit[:, 0], hit[:, 1], np.ones(len(hit))], 1) @ view.ground[2] > 0
    seen = (ahead & place.inside(np.nan_to_num(hit, nan=1e9), MARGIN + 0.5)).reshape(height, width)
    wall = np.linspace(rng.uniform(150, 200), rng.uniform(80, 120), height)[:, None, None] + rng.normal(0, 6, 3)
    bricks = cv2.resize(
        rng.normal(0, 10, (height // 14 + 1, width // 40 + 1)).astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST
    )
    return np.asarray(np.where(seen[..., None], image, np.clip(wall + bricks[..., None], 0, 255)), np.uint8)


def _cylinder(view: View, obstacle: Obstacle, rng: np.random.Generator) -> _Sprite | None:
    centre, radius, height = obstacle.centre, obstacle.radius, obstacle.height
    angles = np.linspace(0, 2 * np.pi, 33)
    ring = np.stack([centre[0] + radius * np.cos(angles), centre[1] + radius * np.sin(angles), np.zeros_like(angles)], 1)
    (low, depth), (high, _) = view.project(ring), view.project(ring + np.array([0, 0, height]))
    points = np.concatenate([low, high])
    if depth.min() < 0.8 or not np.isfinite(points).all():
        return None
    left, top = np.floor(points.min(0)).astype(int)
    right, bottom = np.ceil(points.max(0)).astype(int) + 1
    if left >= view.size[0] or top >= view.size[1] or right <= 0 or bottom <= 0 or max(right - left, bottom - top) > 4 * max(view.size):
        return None
    alpha = np.zeros((bottom - top, right - left), np.uint8)
    hull = cv2.convexHull((points - [left, top]).astype(np.float32)).astype(np.int32)
    cv2.fillConvexPoly(alpha, hull, 255, lineType=cv2.LINE_AA)
    shade = np.cos(np.linspace(-1.25, 1.25, alpha.shape[1])) * 0.55 + 0.45
    colour = (
        np.clip(60 + 110 * obstacle.shade + np.random.default_rng(int(obstacle.shade * 1e6)).normal(0, 12, 3), 20, 235)[None, None]
        * shade[None, :, None]
    )
    body = np.clip(np.broadcast_to(colour, (*alpha.shape, 3)) + rng.normal(0, 4, (*alpha.shape, 1)), 0, 255).astype(np.uint8)
    cv2.fillConvexPoly(
        body, cv2.convexHull((high - [left, top]).astype(np.float32)).astype(np.int32), [float(c) for c in colour.max((0, 1)) * 1.12]
    )
    body = cv2.multiply(body, cv2.merge([alpha] * 3), scale=1 / 255)
    # A person at the near side of the cylinder stands in front of it: compare with its middle.
    middle = float(view.project(np.array([[*centre, 0.0]]))[1][0])
    return _Sprite(middle, int(left), int(top), np.asarray(body, np.uint8), alpha, _OBSTACLE)
