"""The sharpest picture of every track, for galleries that keep pictures."""

from __future__ import annotations

from collections.abc import Container, Iterable

import cv2
import numpy as np

from streamreid.sinks import Blur, blurred
from streamreid.track_update import TrackObservation
from streamreid.types import FloatArray, Frame, Image, TrackKey

__all__ = ["TrackCrops"]

_CROP = (128, 256)
"""Width and height, pixels, that stored pictures of people fit into."""


class TrackCrops:
    """Cuts people out of frames and keeps the sharpest picture of each track.

    Args:
        blur: What is hidden in them.
    """

    def __init__(self, blur: Blur) -> None:
        self._blur = blur
        self._kept: dict[TrackKey, tuple[float, bytes]] = {}

    def __repr__(self) -> str:
        return f"TrackCrops({len(self._kept)})"

    def __contains__(self, key: TrackKey) -> bool:
        return key in self._kept

    def take(self, frame: Frame, observations: Iterable[TrackObservation], blur_boxes: FloatArray | None) -> None:
        """Look at the people of a frame.

        Args:
            frame: With its picture.
            observations: What was seen; what was seen in other frames is left out.
            blur_boxes: ``[M, 4]`` what is hidden.
        """
        for seen in observations:
            if (seen.camera, seen.time) != (frame.camera, frame.time):
                continue  # delayed: its picture has gone
            for row, track_id in enumerate(seen.tracks.ids.tolist()):
                key, quality = (seen.camera, track_id), float(seen.quality[row])
                sharper = quality > 1.1 * self._kept.get(key, (0.0, b""))[0] + 0.01
                if sharper and seen.tracks.scores[row] > 0:  # a box that was carried on may show anything
                    picture = _jpeg(frame.image, seen.tracks.boxes[row], blur_boxes, self._blur)
                    if picture:
                        self._kept[key] = quality, picture

    def jpeg(self, key: TrackKey) -> bytes | None:
        """The picture of a track; None where there is none."""
        kept = self._kept.get(key)
        return None if kept is None else kept[1]

    def keep_only(self, keys: Container[TrackKey]) -> None:
        """Let go of all other tracks."""
        self._kept = {key: crop for key, crop in self._kept.items() if key in keys}

    def discard(self, key: TrackKey) -> None:
        """Let go of a track."""
        self._kept.pop(key, None)


def _jpeg(image: Image, box: np.ndarray, blur_boxes: FloatArray | None, blur: Blur) -> bytes:
    """A person cut out, at most 128 x 256 pixels; empty if nothing is inside the picture."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = np.clip(np.rint(box), 0, [width, height, width, height]).astype(int).tolist()
    if x1 - x0 < 2 or y1 - y0 < 2:
        return b""
    crop = blurred(image, blur_boxes, blur, (x0, y0, x1, y1))
    scale = min(_CROP[0] / crop.shape[1], _CROP[1] / crop.shape[0], 1.0)
    if scale < 1:
        crop = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return bytes(data) if done else b""
