"""Things that stand in front of people: tables, walls, posts, railings, plants."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.synth.people.fabrics import draw_colour
from streamreid.types import FloatArray

__all__ = ["draw_obstacle"]


def draw_obstacle(picture: FloatArray, part: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Draw something in front of a person, and take what it hides out of the part map.

    Args:
        picture: ``[H, W, 3]`` linear BGR, changed in place.
        part: ``[H, W]`` parts that are seen, changed in place.
        rng: Decides what and where.
    """
    height, width = part.shape
    mask = np.zeros((height, width), np.float32)
    kind = rng.choice(["table", "wall", "post", "railing", "plant", "panel"], p=[0.2, 0.2, 0.15, 0.1, 0.2, 0.15])
    if kind in ("table", "wall"):
        top = int(height * rng.uniform(0.45, 0.85))
        left, right = (
            (0, width) if kind == "wall" else sorted(rng.integers(-width // 3, width + width // 3, 2).tolist())
        )
        right = max(right, left + width // 2)
        tilt = int(rng.normal(0, 0.05) * width)
        corners = np.array([[left, top], [right, top + tilt], [right, height], [left, height]], np.int32)
        cv2.fillConvexPoly(mask, corners, 1.0)
        if kind == "table" and rng.random() < 0.6:  # legs and nothing between
            board = top + max(3, height // 14)
            mask[board:, max(0, left + 6) : max(0, right - 6)] = 0
    elif kind == "post":
        middle, half = rng.uniform(0.1, 0.9) * width, width * rng.uniform(0.05, 0.2)
        mask[:, max(0, int(middle - half)) : max(0, int(middle + half))] = 1
    elif kind == "railing":
        top, gap, thick = int(height * rng.uniform(0.4, 0.65)), max(6, width // 7), max(1, width // 40)
        for column in range(int(rng.integers(gap)), width, gap):
            mask[top:, column : column + thick] = 1
        mask[top : top + 2 * thick] = 1
    elif kind == "plant":
        middle = np.array([rng.uniform(0, 1) * width, height * rng.uniform(0.75, 1.0)])
        for _ in range(60):
            place = middle + rng.normal(0, 1, 2) * (width * 0.22, height * 0.12)
            axes = max(1, int(rng.uniform(0.02, 0.1) * width)), max(1, int(rng.uniform(0.01, 0.05) * height))
            cv2.ellipse(mask, place.astype(int).tolist(), axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
    else:
        side = int(width * rng.uniform(0.15, 0.5))
        mask[:, (0 if rng.random() < 0.5 else width - side) :][:, :side] = 1
    _paint(picture, mask, str(kind), rng)
    part[mask > 0.5] = 0


def _paint(picture: FloatArray, mask: FloatArray, kind: str, rng: np.random.Generator) -> None:
    height, width = mask.shape
    colour = np.array(draw_colour(rng), np.float32)
    if kind == "plant":
        colour = np.array([rng.uniform(0.01, 0.06), rng.uniform(0.05, 0.2), rng.uniform(0.02, 0.1)], np.float32)
    cells = 24 if kind == "plant" else 3
    rough = rng.normal(size=(cells, cells)).astype(np.float32)
    light = np.exp(0.35 * cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC))
    light = light * (0.5 + float(np.mean(picture)))
    surface = colour * light[..., None]
    if kind in ("table", "wall"):
        edge = cv2.Sobel(mask, cv2.CV_32F, 0, 1) > 0.5
        surface[edge] *= 1.8
    if kind in ("wall", "panel") and rng.random() < 0.4:
        step = int(rng.integers(6, 30))
        surface[::step] *= 0.6
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.7), np.float32)[..., None]
    picture[:] = picture * (1 - soft) + surface * soft
