"""How a camera renders light: gain, contrast and colour of its own, a slow change of the day, blur, noise."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.types import Image

__all__ = ["Light"]

_BLACK, _GREY, _SPAN = 16.0, 128.0, 219 / 255  # of video's YUV (ITU-R BT.601)


class Light:
    """One camera's light. What does not change with time is done once, on what the picture is made of.

    Args:
        size: Width and height of the pictures.
        strength: How far light and colour depart from neutral; 0 is not at all.
        rng: Decides how.
    """

    def __init__(self, size: tuple[int, int], strength: float, rng: np.random.Generator) -> None:
        gain = float(np.exp(rng.normal(0, 0.12 * strength)))
        self._gamma = float(np.exp(rng.normal(0, 0.12 * strength)))
        tint = np.exp(rng.normal(0, 0.05 * strength, 3))
        ramp = 255 * (np.arange(256) / 255) ** self._gamma
        self._table = np.clip(ramp[:, None] * gain * tint[None], 0, 255).astype(np.uint8).reshape(1, 256, 3)
        self._drift = rng.uniform(0, 0.05 * strength), rng.uniform(40, 120), rng.uniform(0, 2 * np.pi)
        sigma = 1.0 + rng.uniform(0, 2.5) * strength
        self._grain = np.clip(rng.normal(128, sigma, (size[1] + 64, size[0] + 64)), 0, 255).astype(np.uint8)
        self._blur = float(rng.uniform(0, 0.8)) * strength
        self._rng = rng
        self._height = size[1]

    def surface(self, colour: Image) -> Image:
        """What this camera makes of a colour."""
        return np.asarray(cv2.LUT(colour, self._table), np.uint8)

    def shade(self, share: float) -> float:
        """What is left of a rendered colour where only a share of the light falls."""
        return float(share**self._gamma)

    def develop(self, image: Image, time: float) -> NDArray[np.uint8]:
        """The finished picture ``[3 H / 2, W]`` (planar YUV 4:2:0) of rendered surfaces ``[H, W, 3]`` at a time."""
        swing, period, phase = self._drift
        gain = 1 + swing * float(np.sin(2 * np.pi * time / period + phase))
        planes = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)
        luma, chroma = planes[: self._height], planes[self._height :]
        if self._blur > 0.3:
            cv2.GaussianBlur(luma, (3, 3), self._blur, dst=luma)
        x, y = self._rng.integers(0, 64, 2).tolist()
        grain = self._grain[y : y + luma.shape[0], x : x + luma.shape[1]]
        cv2.addWeighted(luma, gain, grain, _SPAN, _BLACK * (1 - gain) - _GREY * _SPAN, dst=luma)
        cv2.convertScaleAbs(chroma, dst=chroma, alpha=gain, beta=_GREY * (1 - gain))
        return planes
