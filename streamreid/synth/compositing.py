"""One camera's pictures: people from far to near before the scenery, seen through this camera's own rendering of
light."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.synth.crowd_simulation import Walks
from streamreid.synth.cutouts import Cutout
from streamreid.synth.photometry import Light
from streamreid.synth.scene_layout import MARGIN, FloorArea, View
from streamreid.synth.scenery import paint_scenery
from streamreid.types import Image

__all__ = ["Painter", "Shown"]

_NOBODY = -1
"""Number of pixels that no person covers."""

_LEAST_HEIGHT = 12.0  # pixels
_POSE = 1.7  # seconds for which one picture of a person is shown
_AROUND = np.array([0.0, -0.1, 0.1, -0.3, 0.3])  # seconds: now, whether somebody moves, which way they go
_REMEMBERED = 256  # cutouts rendered for this camera; many more than people in view


@dataclass(frozen=True, slots=True)
class Shown:
    """One person in one picture.

    Args:
        person: Number from 0.
        box: Left, top, right, bottom of the whole silhouette in pixels, cut at the border of the picture.
        visible_box: The same of what is not hidden; equal to ``box`` if nothing is seen.
        visibility: Share of the silhouette that is seen, in [0, 1]; what lies outside the picture is not.
    """

    person: int
    box: tuple[float, float, float, float]
    visible_box: tuple[float, float, float, float]
    visibility: float


@dataclass(slots=True)
class _Sprite:
    depth: float
    left: int
    top: int
    colour: Image
    alpha: NDArray[np.uint8]
    owner: int


class Painter:
    """Draws what a camera sees.

    Args:
        view: The camera.
        place: What it looks at.
        walks: Everybody's way.
        looks: Cutouts, as this camera sees them, of those who come by here.
        lighting: How far light and colour depart from neutral; 0 is not at all.
        seed: For textures, light and poses.
    """

    def __init__(
        self,
        view: View,
        place: FloorArea,
        walks: Walks,
        looks: Mapping[int, Sequence[Cutout]],
        *,
        lighting: float,
        seed: int,
    ) -> None:
        self._view, self._place, self._walks, self._looks = view, place, walks, looks
        self._visitors = np.array([n for n in sorted(looks) if looks[n]], np.int64)
        rng = np.random.default_rng(seed)
        scenery = paint_scenery(view, place, rng)
        self._phase = rng.uniform(0, 10, len(walks.heights))
        self._mirrored = rng.uniform(size=len(walks.heights)) < 0.5
        self._light = Light(view.size, lighting, rng)
        self._background = self._light.surface(scenery.image)
        self._obstacles = scenery.depth
        self._shade = self._light.shade(0.68)
        self._owner = np.zeros((view.size[1], view.size[0]), np.int16)
        self._rendered: dict[tuple[int, int, bool], Cutout] = {}

    def draw(self, time: float) -> tuple[NDArray[np.uint8], list[Shown]]:
        """The picture at a (true) time as planar YUV 4:2:0 ``[3 H / 2, W]``, and who is in it."""
        canvas = self._background.copy()
        self._owner[:] = _NOBODY
        people = self._people(time)
        for sprite in people:
            self._shadow(canvas, sprite)
        for sprite in sorted(people, key=lambda s: -s.depth):
            self._put(canvas, sprite)
        shown = [self._shown(sprite) for sprite in people]
        return self._light.develop(canvas, time), [s for s in shown if s is not None]

    def _people(self, time: float) -> list[_Sprite]:
        around = self._walks.at(time + _AROUND, self._visitors)
        here = np.flatnonzero(self._place.inside(around[0], MARGIN))
        if not len(here):
            return []
        around, people = around[:, here], self._visitors[here]
        moving = np.nan_to_num(np.clip(np.linalg.norm(around[2] - around[1], axis=1) / 0.15, 0, 1))
        step = 0.05 * np.abs(np.sin(2 * np.pi * 0.9 * time + self._phase[people])) * moving
        heads = np.concatenate([around[0], (self._walks.heights[people] - step)[:, None]], 1)
        ground = np.concatenate([around[[0, 3, 4]].reshape(-1, 2), np.zeros((3 * len(here), 1))], 1)
        pixels, depths = self._view.project(np.concatenate([heads, ground]))
        above, below, past, future = pixels.reshape(4, -1, 2)
        depth = depths[len(here) : 2 * len(here)]
        # Mirror who walks the other way; who hardly moves sideways stays as before.
        sideways = np.nan_to_num((future - past)[:, 0])
        self._mirrored[people] = np.where(np.abs(sideways) > 6, sideways < 0, self._mirrored[people])
        tall = np.linalg.norm(above - below, axis=1)
        left, bottom = (below[:, 0] + above[:, 0]) / 2, below[:, 1]
        found = []
        for row in np.flatnonzero((depth >= 0.8) & (tall >= _LEAST_HEIGHT)).tolist():
            sprite = self._sprite(
                int(people[row]), (float(left[row]), float(bottom[row])), float(tall[row]), float(depth[row]), time
            )
            if sprite is not None:
                found.append(sprite)
        return found

    def _sprite(self, person: int, foot: tuple[float, float], tall: float, depth: float, time: float) -> _Sprite | None:
        pose = int(time / _POSE + self._phase[person]) % len(self._looks[person])
        high, wide = self._looks[person][pose].alpha.shape
        height, width = max(1, round(tall)), max(1, round(wide * tall / high))
        left, top = round(foot[0] - width / 2), round(foot[1]) - height
        wider, higher = self._view.size
        if left >= wider or top >= higher or left + width <= 0 or top + height <= 0 or height > 4 * higher:
            return None
        cutout = self._look(person, pose, bool(self._mirrored[person]))
        method = cv2.INTER_AREA if height < high else cv2.INTER_LINEAR
        colour = cv2.resize(cutout.colour, (width, height), interpolation=method)
        alpha = cv2.resize(cutout.alpha, (width, height), interpolation=method)
        return _Sprite(depth, left, top, np.asarray(colour, np.uint8), np.asarray(alpha, np.uint8), person)

    def _look(self, person: int, pose: int, mirrored: bool) -> Cutout:
        """A cutout in this camera's light."""
        key = person, pose, mirrored
        found = self._rendered.pop(key, None)
        if found is None:
            found = _render(self._looks[person][pose], self._light, mirrored)
            if len(self._rendered) >= _REMEMBERED:
                del self._rendered[next(iter(self._rendered))]
        self._rendered[key] = found
        return found

    def _shadow(self, canvas: Image, sprite: _Sprite) -> None:
        height, width = sprite.alpha.shape
        middle = sprite.left + width // 2, sprite.top + height
        reach = max(2, int(width * 0.45)), max(1, int(width * 0.14))
        box = [
            max(0, middle[1] - reach[1] - 1),
            middle[1] + reach[1] + 2,
            max(0, middle[0] - reach[0] - 1),
            middle[0] + reach[0] + 2,
        ]
        if box[1] <= 0 or box[3] <= 0:
            return
        patch = canvas[box[0] : box[1], box[2] : box[3]]
        if patch.size:
            dark = cv2.convertScaleAbs(patch, alpha=self._shade)
            inside = np.zeros(patch.shape[:2], np.uint8)
            cv2.ellipse(inside, (middle[0] - box[2], middle[1] - box[0]), reach, 0, 0, 360, 1, -1)
            inside[self._obstacles[box[0] : box[1], box[2] : box[3]] < np.inf] = 0
            cv2.copyTo(dark, inside, patch)

    def _put(self, canvas: Image, sprite: _Sprite) -> None:
        region, own = self._overlap(sprite)
        alpha, colour = sprite.alpha[own], sprite.colour[own]
        if not alpha.size:
            return
        hidden = self._obstacles[region] <= sprite.depth
        if hidden.any():
            free = np.uint8(255) * ~hidden
            alpha, colour = cv2.bitwise_and(alpha, free), cv2.bitwise_and(colour, cv2.merge([free] * 3))
        behind = cv2.multiply(canvas[region], cv2.merge([255 - alpha] * 3), scale=1 / 255)
        canvas[region] = cv2.add(behind, colour)
        self._owner[region][alpha > 127] = sprite.owner

    def _overlap(self, sprite: _Sprite) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        height, width = sprite.alpha.shape
        wide, high = self._view.size
        x0, x1 = max(0, sprite.left), min(wide, sprite.left + width)
        y0, y1 = max(0, sprite.top), min(high, sprite.top + height)
        return (slice(y0, y1), slice(x0, x1)), (
            slice(y0 - sprite.top, y1 - sprite.top),
            slice(x0 - sprite.left, x1 - sprite.left),
        )

    def _shown(self, sprite: _Sprite) -> Shown | None:
        (rows, columns), _ = self._overlap(sprite)
        seen = (self._owner[rows, columns] == sprite.owner).view(np.uint8)
        area = cv2.countNonZero(cv2.compare(sprite.alpha, 127, cv2.CMP_GT))
        box = float(columns.start), float(rows.start), float(columns.stop), float(rows.stop)
        if not area or not seen.size:
            return None
        visible, count = box, cv2.countNonZero(seen)
        if count:
            x, y, width, height = cv2.boundingRect(seen)
            visible = box[0] + x, box[1] + y, box[0] + x + width, box[1] + y + height
        return Shown(sprite.owner, box, visible, min(1.0, count / area))


def _render(cutout: Cutout, light: Light, mirrored: bool) -> Cutout:
    """A cutout as a camera renders its colours, which are stored multiplied by alpha."""
    alpha = cutout.alpha
    weight = cv2.merge([alpha] * 3)
    plain = cv2.divide(cutout.colour, weight, scale=255)  # 0 where alpha is 0
    colour = cv2.multiply(light.surface(np.asarray(plain, np.uint8)), weight, scale=1 / 255)
    if mirrored:
        colour, alpha = cv2.flip(colour, 1), cv2.flip(alpha, 1)
    return Cutout(np.asarray(colour, np.uint8), np.asarray(alpha, np.uint8))
