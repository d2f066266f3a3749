"""What a good detector would say of a generated picture: boxes with its usual errors, without a detector."""

from __future__ import annotations

import math

import numpy as np

from streamreid.synth.compositing import Shown

__all__ = ["Boxes"]


class Boxes:
    """Boxes with scores; misses, false boxes and noise about as measured with YOLO11n on generated scenes.

    The less of a person is seen, the more likely it is missed, the lower its score and the more its box shrinks to the
    visible part.

    Args:
        size: Width and height of the pictures.
        seed: For the noise.
        false_rate: False boxes per picture.
    """

    def __init__(self, size: tuple[int, int], seed: int, *, false_rate: float = 0.2) -> None:
        self._size = size
        self._rng = np.random.default_rng(seed)
        self._false_rate = false_rate

    def __call__(self, shown: list[Shown]) -> list[tuple[float, float, float, float, float]]:
        """Left, top, width, height, score of every box."""
        rng = self._rng
        result = []
        for one in shown:
            height = one.box[3] - one.box[1]
            sharp = 1 / (1 + math.exp(-(height - 35) / 8))  # small people are missed
            chance = 0.975 * sharp / (1 + math.exp(-(one.visibility - 0.28) / 0.12))
            noise = rng.normal(size=5)
            if rng.uniform() > chance:
                continue
            trust = min(max((one.visibility - 0.2) / 0.5, 0.0), 1.0)  # how well the hidden part is guessed
            box = np.array(one.visible_box) * (1 - trust) + np.array(one.box) * trust
            scale = np.array([box[2] - box[0], box[3] - box[1]] * 2)
            box += noise[:4] * np.maximum(0.033 * scale, 0.7)
            score = 0.25 + 0.65 * min(1.0, one.visibility / 0.8) * sharp + 0.06 * float(noise[4])
            result.append(self._clip(box, min(max(score, 0.11), 0.97)))
        for _ in range(rng.poisson(self._false_rate)):
            tall = rng.uniform(0.15, 0.45) * self._size[1]
            corner = rng.uniform(0, 1, 2) * (np.array(self._size) - [tall * 0.4, tall])
            result.append(
                self._clip(np.array([*corner, corner[0] + tall * 0.4, corner[1] + tall]), float(rng.uniform(0.11, 0.5)))
            )
        return [box for box in result if box[2] >= 2 and box[3] >= 4]

    def _clip(self, box: np.ndarray, score: float) -> tuple[float, float, float, float, float]:
        wide, high = self._size
        x0, y0, x1, y1 = box.tolist()
        x0, x1 = min(max(x0, 0.0), wide), min(max(x1, 0.0), wide)
        y0, y1 = min(max(y0, 0.0), high), min(max(y1, 0.0), high)
        return x0, y0, x1 - x0, y1 - y0, score
