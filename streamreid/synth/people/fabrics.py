"""Colours, prints and textures of clothes, hair and skin."""

from __future__ import annotations

import colorsys
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.synth.people.meshes import Material, Pattern, PatternKind
from streamreid.types import FloatArray

__all__ = ["draw_colour", "fabric", "hair_material", "linear", "plain_detail", "shoe_colour", "skin_material"]

Colour = tuple[float, float, float]

_CLOTHES: tuple[tuple[float, float, tuple[float, float], tuple[float, float]], ...] = (
    # share, hue (degrees, -1 for any), saturation, value; what people wear in streets: dark and grey first
    (0.20, -1, (0.0, 0.12), (0.06, 0.2)),
    (0.12, -1, (0.0, 0.1), (0.25, 0.6)),
    (0.12, -1, (0.0, 0.08), (0.75, 0.98)),
    (0.14, 222, (0.35, 0.85), (0.12, 0.45)),
    (0.07, 215, (0.25, 0.6), (0.45, 0.85)),
    (0.06, 32, (0.25, 0.6), (0.3, 0.75)),
    (0.05, 355, (0.6, 0.95), (0.3, 0.8)),
    (0.04, 90, (0.2, 0.6), (0.2, 0.5)),
    (0.20, -1, (0.2, 0.95), (0.25, 0.95)),
)
_LEGS: tuple[tuple[float, float, tuple[float, float], tuple[float, float]], ...] = (
    (0.32, -1, (0.0, 0.12), (0.05, 0.18)),
    (0.30, 218, (0.3, 0.7), (0.15, 0.5)),
    (0.10, 212, (0.15, 0.4), (0.5, 0.8)),
    (0.10, -1, (0.0, 0.1), (0.25, 0.6)),
    (0.08, 36, (0.2, 0.45), (0.35, 0.75)),
    (0.03, -1, (0.0, 0.06), (0.8, 0.97)),
    (0.07, -1, (0.2, 0.9), (0.2, 0.8)),
)
_HAIR: tuple[tuple[float, Colour], ...] = (  # sRGB
    (0.34, (0.07, 0.055, 0.05)),
    (0.28, (0.17, 0.11, 0.08)),
    (0.14, (0.32, 0.2, 0.12)),
    (0.09, (0.6, 0.45, 0.28)),
    (0.04, (0.5, 0.22, 0.1)),
    (0.09, (0.55, 0.55, 0.55)),
    (0.02, (0.6, 0.2, 0.45)),
)


def linear(rgb: Colour) -> Colour:
    """sRGB in [0, 1] as linear BGR."""
    red, green, blue = (float(c) ** 2.2 for c in rgb)
    return blue, green, red


def draw_colour(rng: np.random.Generator, *, legs: bool = False) -> Colour:
    """The colour of a garment, linear BGR, as often as people wear it."""
    rows = _LEGS if legs else _CLOTHES
    shares = np.array([row[0] for row in rows])
    _, hue, saturation, value = rows[rng.choice(len(rows), p=shares / shares.sum())]
    angle = rng.uniform(0, 360) if hue < 0 else rng.normal(hue, 10)
    return linear(colorsys.hsv_to_rgb((angle % 360) / 360, rng.uniform(*saturation), rng.uniform(*value)))


def shoe_colour(rng: np.random.Generator) -> Colour:
    """The colour of shoes: black, brown, white or as clothes."""
    kind = rng.choice(4, p=[0.45, 0.15, 0.2, 0.2])
    if kind == 3:
        return draw_colour(rng)
    level = rng.uniform(0.8, 1.2)
    red, green, blue = ((0.1, 0.1, 0.1), (0.3, 0.2, 0.13), (0.75, 0.75, 0.75))[kind]
    return linear((red * level, green * level, blue * level))


def fabric(
    rng: np.random.Generator,
    colour: Colour,
    *,
    texture: FloatArray | None = None,
    alpha: FloatArray | None = None,
    printed: float = 0.35,
    heights: tuple[float, float] = (0.9, 1.4),
) -> Material:
    """A garment's material.

    Args:
        rng: Decides prints and folds.
        colour: Linear BGR.
        texture: Factors of the colour; see `Material`.
        alpha: Opacity.
        printed: Probability of a print.
        heights: Lower and upper end of the garment in metres, for prints that have a place.
    """
    patterns: list[Pattern] = []
    if rng.random() < printed:
        kinds: list[PatternKind] = ["hoops", "stripes", "checks", "blocks", "camouflage", "dots", "logo"]
        kind = kinds[rng.choice(7, p=[0.2, 0.08, 0.16, 0.16, 0.06, 0.06, 0.28])]
        low, high = heights
        period = {"hoops": (0.025, 0.12), "stripes": (0.015, 0.06), "checks": (0.03, 0.12), "dots": (0.03, 0.08)}.get(
            kind, (0.08, 0.26)
        )
        phase = rng.uniform(low + 0.25 * (high - low), low + 0.85 * (high - low))
        if kind == "logo":
            phase = low + rng.uniform(0.6, 0.75) * (high - low)
        patterns.append(
            Pattern(kind, draw_colour(rng), float(rng.uniform(*period)), float(phase), float(rng.uniform(0.2, 0.6)))
        )
    return Material(
        colour,
        texture=texture,
        alpha=alpha,
        patterns=tuple(patterns),
        wrinkles=float(rng.uniform(0.05, 0.2)),
        gloss=float(rng.choice([0.0, 0.03, 0.15], p=[0.6, 0.3, 0.1])),
    )


def hair_material(rng: np.random.Generator, texture: NDArray[np.uint8], age: float) -> Material:
    """Hair of a usual colour; grey more often in the old."""
    shares = np.array([row[0] for row in _HAIR])
    shares[5] *= 1 + 14 * max(0.0, age - 0.7)
    colour = np.array(_HAIR[rng.choice(len(_HAIR), p=shares / shares.sum())][1]) * rng.uniform(0.7, 1.3)
    return Material(
        linear((float(colour[0]), float(colour[1]), float(colour[2]))),
        texture=plain_detail(texture, 1.0),
        alpha=_opacity(texture),
        gloss=0.08,
    )


def skin_material(rng: np.random.Generator, texture: NDArray[np.uint8]) -> Material:
    """Skin of a photographed texture, a little lighter or darker."""
    tone = rng.uniform(0.75, 1.2)
    return Material((tone * 0.97, tone * 0.99, tone), texture=np.ascontiguousarray(texture[..., :3]), gloss=0.04)


def plain_detail(texture: NDArray[np.uint8], strength: float = 0.8) -> FloatArray:
    """What remains of a texture without its colours and areas: folds, seams, strands, as factors around 1."""
    return _detail(texture.tobytes(), texture.shape, strength)


@lru_cache(maxsize=64)
def _detail(raw: bytes, shape: tuple[int, ...], strength: float) -> FloatArray:
    texture = np.frombuffer(raw, np.uint8).reshape(shape)
    grey = cv2.cvtColor(texture[..., :3], cv2.COLOR_BGR2GRAY).astype(np.float32) + 12
    inside = (texture[..., 3] > 40).astype(np.float32) + 1e-3
    mean = cv2.GaussianBlur(grey * inside, (0, 0), 14) / cv2.GaussianBlur(inside, (0, 0), 14)
    factor = np.clip((grey / mean) ** (1.6 * strength), 0.35, 1.9)
    return np.asarray(factor[..., None], np.float32)


def _opacity(texture: NDArray[np.uint8]) -> FloatArray:
    return texture[..., 3].astype(np.float32) / np.float32(255)
