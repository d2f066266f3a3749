"""What cameras look at when nobody is there: floors, walls, fronts of houses, things that stand about; all drawn."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from streamreid.synth.people.fabrics import linear
from streamreid.types import FloatArray

__all__ = ["Backdrop", "paint_backdrop"]

_SIZE = (480, 900)
"""Height and width of a backdrop in pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Backdrop:
    """A scenery without people.

    Args:
        image: ``[H, W, 3]`` float32 linear BGR.
        horizon: Row of the horizon, which may lie above the picture.
        edge: Row where the floor ends.
        floor_colour: ``[3]`` linear BGR of the floor on average.
    """

    image: FloatArray
    horizon: float
    edge: float
    floor_colour: FloatArray

    def behind(self, tall: float, window: tuple[float, float, float, float], rng: np.random.Generator) -> FloatArray:
        """What is behind somebody, from the top to the bottom of a box.

        Args:
            tall: Height of a camera above the floor in heights of the person.
            window: Left, right, bottom, top of the box in heights of the person, from the middle of their feet.
            rng: Where they stand.

        Returns:
            ``[h, w, 3]`` float32 linear BGR of the window's shape, in the backdrop's own resolution.
        """
        height, width = self.image.shape[:2]
        foot = rng.uniform(self.edge + 0.12 * (height - self.edge), height * 1.02)
        person = max(36.0, (foot - self.horizon) / max(tall, 1.1))  # level camera: heights go with the distance below
        left, right, bottom, top = (person * v for v in window)
        column = rng.uniform(-left, max(-left + 1, width - right))
        columns, rows = round(right - left), round(top - bottom)
        source = np.array([[1, 0, column + left], [0, 1, foot - top]], np.float32)
        return np.asarray(
            cv2.warpAffine(
                self.image,
                source,
                (max(4, columns), max(8, rows)),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REFLECT_101,
            ),
            np.float32,
        )


def paint_backdrop(rng: np.random.Generator, *, indoors: bool, level: FloatArray) -> Backdrop:
    """Draw a scenery.

    Args:
        rng: Decides everything.
        indoors: A room, else a street or a square.
        level: ``[3]`` linear BGR of the light.
    """
    height, width = _SIZE
    horizon = rng.uniform(-0.5, 0.25) * height
    edge = max(horizon + 20, rng.uniform(0.08, 0.5) * height)
    image = np.empty((height, width, 3), np.float32)
    image[:] = _tone(rng, 0.2 if indoors else 0.35)
    _front(image[: int(edge)], rng, indoors=indoors)
    floor = _floor(rng, height, width, horizon, edge, indoors=indoors)
    image[int(edge) :] = floor
    for _ in range(int(rng.integers(0, 8))):
        _thing(image, rng, edge)
    image *= np.exp(0.35 * _noise(rng, height, width, 3))[..., None]  # uneven light
    image *= np.exp(0.06 * rng.normal(size=(height, width, 1)).astype(np.float32))
    if rng.random() < 0.5:
        _sunlight(image, rng, edge)
    image *= level.astype(np.float32)
    mean = image[int(edge) :].mean((0, 1))
    return Backdrop(np.clip(image, 0, 2.5).astype(np.float32), float(horizon), float(edge), mean)


def _tone(rng: np.random.Generator, saturation: float) -> FloatArray:
    grey = rng.uniform(0.15, 0.95)
    tint = rng.normal(0, saturation * 0.3, 3) * rng.choice([0.15, 1.0], p=[0.6, 0.4])
    red, green, blue = np.clip(grey + tint * grey, 0.02, 1)
    return np.array(linear((float(red), float(green), float(blue))), np.float32)


def _noise(rng: np.random.Generator, height: int, width: int, cells: int) -> FloatArray:
    small = rng.normal(size=(cells, max(2, cells * width // height))).astype(np.float32)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _front(wall: FloatArray, rng: np.random.Generator, *, indoors: bool) -> None:
    """Doors, windows, shelves, pillars and posters; outdoors trees and bushes too."""
    height, width = wall.shape[:2]
    if height < 8:
        return
    for _ in range(int(rng.integers(2, 14))):
        w, h = int(rng.uniform(12, 160)), int(rng.uniform(0.1, 1.0) * height)
        x, y = int(rng.integers(-20, width)), int(rng.uniform(0, height - h * 0.5))
        colour = _tone(rng, 0.8).tolist()
        cv2.rectangle(wall, (x, y), (x + w, y + h), colour, -1)
        if rng.random() < 0.5:
            cv2.rectangle(wall, (x, y), (x + w, y + h), _tone(rng, 0.2).tolist(), int(rng.integers(1, 5)))
        if rng.random() < 0.3:
            for k in range(1, int(rng.integers(2, 8))):
                row = y + k * h // 8
                cv2.line(wall, (x, row), (x + w, row), _tone(rng, 0.4).tolist(), int(rng.integers(1, 4)))
    if not indoors:
        for _ in range(int(rng.integers(0, 4))):
            w = int(rng.uniform(40, 300))
            x = int(rng.integers(0, max(1, width - w)))
            green = np.array(linear((rng.uniform(0.1, 0.35), rng.uniform(0.2, 0.5), rng.uniform(0.05, 0.2))))
            leaves = np.exp(0.8 * _noise(rng, height, w, 40) + 0.4 * _noise(rng, height, w, 12))[..., None]
            shape = (_noise(rng, height, w, 5) > -0.1)[..., None]
            region = wall[:, x : x + w]
            region[:] = np.where(shape[:, : region.shape[1]], (green * leaves)[:, : region.shape[1]], region)


def _floor(
    rng: np.random.Generator, height: int, width: int, horizon: float, edge: float, *, indoors: bool
) -> FloatArray:
    """Tiles, planks, asphalt or grass, with some perspective."""
    rows = np.arange(int(edge), height, dtype=np.float32)
    depth = 400.0 / (rows - horizon + 5)[:, None]
    x = (np.arange(width, dtype=np.float32)[None] - width / 2) * depth / 60
    floor = np.broadcast_to(_tone(rng, 0.3), (len(rows), width, 3)).copy()
    kind = rng.choice(
        ["tiles", "planks", "plain", "grass"], p=[0.3, 0.15, 0.45, 0.1] if not indoors else [0.45, 0.25, 0.3, 0]
    )
    size = rng.uniform(0.5, 2.5)
    if kind in ("tiles", "planks"):
        across = np.abs((x / size + rng.uniform(0, 1)) % 1 - 0.5) > 0.5 - 0.03
        along = np.abs((depth * 6 / size) % 1 - 0.5) > 0.5 - 0.04
        lines = across | (along & (kind == "tiles"))
        floor[np.broadcast_to(lines, floor.shape[:2])] *= rng.uniform(0.5, 1.4)
        if rng.random() < 0.3:
            board = ((x / size).astype(int) + (depth * 6 / size).astype(int)) % 2 == 0
            floor[np.broadcast_to(board, floor.shape[:2])] *= rng.uniform(0.6, 1.5)
    elif kind == "grass":
        floor[:] = linear((rng.uniform(0.2, 0.4), rng.uniform(0.3, 0.5), rng.uniform(0.1, 0.25)))
        floor *= np.exp(0.5 * _noise(rng, len(rows), width, 60))[..., None]
    if rng.random() < 0.4:  # a line or a kerb
        slope, start = rng.uniform(-1.5, 1.5), rng.uniform(0, width)
        away = np.abs(np.arange(width)[None] - (start + slope * (rows[:, None] - edge)))
        floor[away < rng.uniform(2, 9)] = _tone(rng, 0.4)
    return np.asarray(floor, np.float32)


def _thing(image: FloatArray, rng: np.random.Generator, edge: float) -> None:
    """Something that stands on the floor: a box, a bench, a car, a post."""
    height, width = image.shape[:2]
    foot = int(rng.uniform(edge, height))
    w, h = int(rng.uniform(8, 150)), int(rng.uniform(10, 120))
    x = int(rng.integers(0, width))
    colour = _tone(rng, 0.9)
    cv2.ellipse(image, (x + w // 2, foot), (int(w * 0.6), 6), 0, 0, 360, (0.5 * image[foot - 1, x]).tolist(), -1)
    cv2.rectangle(image, (x, foot - h), (x + w, foot), colour.tolist(), -1)
    cv2.rectangle(image, (x, foot - h), (x + w, foot - h + max(2, h // 5)), (1.3 * colour).tolist(), -1)


def _sunlight(image: FloatArray, rng: np.random.Generator, edge: float) -> None:
    """A patch of light or shadow on the floor."""
    height, width = image.shape[:2]
    points = np.stack([rng.uniform(-100, width + 100, 4), rng.uniform(edge, height + 60, 4)], 1)
    mask = np.zeros((height, width), np.float32)
    cv2.fillConvexPoly(mask, cv2.convexHull(points.astype(np.int32)), 1.0)
    mask[: int(edge)] = 0
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 2.0), np.float32)
    image *= 1 + (rng.choice([0.45, 1.9]) - 1) * mask[..., None]
