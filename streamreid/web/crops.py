"""Pictures of single tracks, for cards and strips: cut out of what a viewer may see, with the same people hidden."""

from __future__ import annotations

import json
from collections.abc import Callable

import cv2
import numpy as np

from streamreid.types import TrackKey

__all__ = ["CropMaker", "crop_times"]

_WIDE = 1280
"""Width of the frame that a picture is cut out of."""

_SIZE = (192, 384)
"""Width and height, pixels, that a picture fits into."""

_MARGIN = 0.08
"""Share of a box that is shown around it."""

Frames = Callable[[str, int, "float | None"], "tuple[bytes, bytes] | None"]


class CropMaker:
    """Cuts people out of frames.

    Args:
        frames: Gives a frame of a camera: JSON of who is where, and a JPEG; see `SiteView.frame`.
    """

    def __init__(self, frames: Frames) -> None:
        self._frames = frames

    def crop(self, key: TrackKey, time: float) -> bytes | None:
        """JPEG of a track at a capture time; None where no picture of it is to be had."""
        camera, track = key
        found = self._frames(camera, _WIDE, time)
        if found is None or not found[1]:
            return None
        header = json.loads(found[0])
        box = next((p["box"] for p in header["people"] if p["track_id"] == track), None)
        image = cv2.imdecode(np.frombuffer(found[1], np.uint8), cv2.IMREAD_COLOR)
        if box is None or image is None:
            return None
        return _cut(np.asarray(image, np.uint8), box)


def _cut(image: np.ndarray, box: list[float]) -> bytes | None:
    """A box, in shares of the picture: left, top, width and height."""
    high, wide = image.shape[:2]
    left, top, width, height = (value * size for value, size in zip(box, (wide, high, wide, high), strict=True))
    x0, y0 = int(max(left - _MARGIN * width, 0)), int(max(top - _MARGIN * height, 0))
    x1, y1 = int(min(left + (1 + _MARGIN) * width, wide)), int(min(top + (1 + _MARGIN) * height, high))
    if x1 - x0 < 2 or y1 - y0 < 2:
        return None
    crop = image[y0:y1, x0:x1]
    scale = min(_SIZE[0] / crop.shape[1], _SIZE[1] / crop.shape[0])
    if scale < 1:
        crop = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return bytes(data) if done else None


def crop_times(start: float, end: float, count: int = 3) -> list[float]:
    """Moments at which a track is shown: spread over it, not at its very ends, where people are half hidden."""
    return [round(start + (end - start) * (i + 1) / (count + 1), 3) for i in range(count)]
