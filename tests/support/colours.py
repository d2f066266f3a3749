"""An engine of one part: the colour of whoever is shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamreid.features.similarity import Calibration
from streamreid.types import Detections, Frame, PartFeatures

__all__ = ["GREY", "ColourEmbedder"]

GREY = 96
"""Of the backgrounds."""


class ColourEmbedder:
    """What people look like: the mean colour of the middle of the box."""

    name = "colour"
    parts = ("foreground",)
    dim = 3
    fingerprint = "colour"
    calibration = Calibration(slope=20.0, intercept=-12.0, source="test")

    def __call__(self, frames: Sequence[Frame], detections: Sequence[Detections]) -> list[PartFeatures]:
        result = []
        for frame, found in zip(frames, detections, strict=True):
            parts = np.zeros((len(found), 1, 3), np.float32)
            for row, (x0, y0, x1, y1) in enumerate(found.boxes.astype(int)):
                cx, cy = (x0 + x1) // 2, (y0 + y1) // 2
                colour = frame.image[cy - 5 : cy + 5, cx - 5 : cx + 5].reshape(-1, 3).mean(0) - GREY
                parts[row, 0] = colour / max(float(np.linalg.norm(colour)), 1e-6)
            result.append(PartFeatures(parts, np.ones((len(found), 1), np.float32)))
        return result
