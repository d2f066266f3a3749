"""Whether something moves in a camera's pictures: what tells an empty scene from a detector that finds nobody."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.types import Image

__all__ = ["MovementWitness"]

_SIDE = 64
"""Longest side in pixels to which pictures are shrunk: a person who is worth finding covers some pixels of it, noise of
single pixels averages out, and a picture costs a tenth of a millisecond."""

_SECONDS = 0.4
"""Least capture time between the two pictures that are compared: somebody who walks moves by a third of a metre."""

_DIFFERENCE = 12.0
"""Grey levels (of 255), after a change of all the light is taken out, from which a pixel has changed; compression and
noise stay below 5 at this size."""

_LEAST = 3
"""Pixels that touch one another which must have changed."""

_MOST = 0.4
"""Share of the picture above which the camera itself moved, or the picture changed: that is nobody."""


@dataclass(slots=True)
class _Camera:
    time: float
    picture: NDArray[np.float32]
    compared: int = 0
    moved: int = 0


class MovementWitness:
    """Compares pictures of each camera with earlier ones of it."""

    def __init__(self) -> None:
        self._cameras: dict[str, _Camera] = {}

    def observe(self, camera: str, time: float, image: Image) -> None:
        """Take a picture.

        Args:
            camera: Name of the camera.
            time: Capture time in seconds.
            image: ``[H, W, 3]`` BGR, uint8.
        """
        state = self._cameras.get(camera)
        if state is not None and state.time <= time < state.time + _SECONDS:
            return
        small = _small(image)
        if state is None or small.shape != state.picture.shape or time < state.time:
            self._cameras[camera] = _Camera(time, small)
            return
        state.compared += 1
        state.moved += _moves(state.picture, small)
        state.time, state.picture = time, small

    def seen(self, camera: str) -> tuple[int, int]:
        """In how many of how many comparisons something moved."""
        state = self._cameras.get(camera)
        return (0, 0) if state is None else (state.moved, state.compared)


def _small(image: Image) -> NDArray[np.float32]:
    height, width = image.shape[:2]
    scale = _SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # Rows and columns are left out before averaging: all pixels of a large picture would take ten times as long.
    step = max(1, int(1 / scale) // 4)
    small = cv2.resize(image[::step, ::step], size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.float32)


def _moves(before: NDArray[np.float32], now: NDArray[np.float32]) -> bool:
    difference = now - before
    changed = np.asarray(np.abs(difference - np.median(difference)) >= _DIFFERENCE, np.uint8)
    if not 0 < changed.sum() <= _MOST * changed.size:
        return False
    _, _, stats, _ = cv2.connectedComponentsWithStats(changed, connectivity=8)
    return bool(stats[1:, cv2.CC_STAT_AREA].max() >= _LEAST)
