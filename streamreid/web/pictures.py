"""Pictures of a live run for the page: each frame is made a JPEG once for all viewers, at the sizes that are looked at,
and only while somebody looks.

The sink keeps the newest result of a camera that is looked at until a thread has taken it; nothing of it stays. The
thread begins with the first viewer and ends with the last one.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from streamreid._threads import Thread
from streamreid.sinks import FinalIdentities, blurred
from streamreid.sinks.base import SinkContext, ltwh
from streamreid.sinks.drawing import Blur
from streamreid.types import FloatArray, FrameResult, IdentityEvent, Image

__all__ = ["WIDTHS", "EncodedPicture", "PictureFeed", "encoded", "picture_header", "share_boxes", "width_for"]

WIDTHS = (320, 480, 640, 960, 1280, 1920)
"""Pixels. What is asked for is rounded up to one of these, so that viewers share pictures."""

_QUALITY = 80
"""JPEG quality in [0, 100]: people stay recognisable, at about 20 KB for 640 x 480."""

_EMPTY_GREY, _EMPTY_INK = 52, (150, 150, 150)
_EMPTY_TEXT = "the picture stays with the worker of this camera"
_FONT = cv2.FONT_HERSHEY_SIMPLEX

_IDLE_SECONDS = 0.5
"""After which the thread looks whether anybody still looks."""

PictureKey = tuple[str, int]
"""Camera and width."""


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """A picture that is ready to be sent.

    Args:
        number: Rises with every picture of the feed.
        header: JSON: camera, capture time, who is where.
        jpeg: The picture.
        result_time: When its result came, on the clock of `time.monotonic`.
    """

    number: int
    header: bytes
    jpeg: bytes
    result_time: float


def width_for(asked: int) -> int:
    """The smallest of `WIDTHS` that is not below what is asked for."""
    return next((width for width in WIDTHS if width >= asked), WIDTHS[-1])


def encoded(image: Image, width: int) -> bytes:
    """A picture as JPEG, at most so wide, and never wider than it is.

    Args:
        image: ``[H, W, 3]`` uint8 BGR.
        width: In pixels.
    """
    if image.shape[1] > width:
        height = max(1, round(image.shape[0] * width / image.shape[1]))
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    good, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not good:
        raise RuntimeError("a picture cannot be encoded as JPEG")
    return bytes(data)


class PictureFeed(SinkContext):
    """A sink that makes pictures for viewers. `subscribe`, `unsubscribe` and `newest` may be called from any thread.

    Args:
        blur: What is hidden in them.
    """

    output = "page"

    def __init__(self, blur: Blur = "none") -> None:
        self._blur: Blur = blur
        self._lock = threading.Condition()
        self._wanted: Counter[PictureKey] = Counter()
        self._results: dict[str, tuple[FrameResult, float]] = {}
        self._made: dict[PictureKey, EncodedPicture] = {}
        self._number = 0
        self._thread: Thread | None = None
        self._closed = False
        self.encoded = 0
        """Pictures made so far."""

    def __repr__(self) -> str:
        return f"PictureFeed(looks={dict(self._wanted)}, encoded={self.encoded})"

    # ---------------------------------------------------------------- viewers

    def subscribe(self, keys: Iterable[PictureKey]) -> None:
        """Somebody looks at cameras, at widths out of `WIDTHS`."""
        with self._lock:
            self._wanted.update(keys)
            if self._wanted and self._thread is None and not self._closed:
                self._thread = Thread(target=self._work, name="page: pictures", daemon=True)
                self._thread.start()

    def unsubscribe(self, keys: Iterable[PictureKey]) -> None:
        """The same viewer looks no more."""
        with self._lock:
            self._wanted.subtract(keys)
            for key in [key for key, count in self._wanted.items() if count <= 0]:
                del self._wanted[key]
                self._made.pop(key, None)
            watched = {camera for camera, _ in self._wanted}
            for camera in set(self._results) - watched:
                del self._results[camera]
            self._lock.notify_all()

    def newest(self, key: PictureKey) -> EncodedPicture | None:
        """The newest picture of a camera that is looked at; None before there is one."""
        return self._made.get(key)

    # ---------------------------------------------------------------- the run

    def write(self, result: FrameResult) -> None:
        """Take a frame, if anybody looks at its camera."""
        if not self._wanted:
            return
        with self._lock:
            if any(camera == result.frame.camera for camera, _ in self._wanted):
                self._results[result.frame.camera] = result, time.monotonic()
                self._lock.notify_all()

    def event(self, event: IdentityEvent) -> None:
        """Nothing is drawn of events."""

    def close(self, identities: FinalIdentities) -> None:
        """Make no more pictures."""
        with self._lock:
            self._closed = True
            self._results.clear()
            self._lock.notify_all()

    def abort(self) -> None:
        """The same for a run that failed."""
        self.close(FinalIdentities())

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._results and self._wanted and not self._closed:
                    self._lock.wait(_IDLE_SECONDS)
                if self._closed or not self._wanted:
                    self._thread = None
                    return
                camera, (result, told) = self._results.popitem()
                widths = [width for name, width in self._wanted if name == camera]
            self._make(camera, result, told, widths)
            del result

    def _make(self, camera: str, result: FrameResult, result_time: float, widths: list[int]) -> None:
        image = result.frame.image if result.frame.has_image else _empty(result.frame.size)
        if self._blur != "none":
            image = blurred(image, result.blur_boxes, self._blur)
        header = json.dumps(picture_header(result), ensure_ascii=False).encode()
        for width in widths:
            jpeg = encoded(image, width)
            with self._lock:
                self._number += 1
                self.encoded += 1
                if (camera, width) in self._wanted:
                    self._made[camera, width] = EncodedPicture(self._number, header, jpeg, result_time)


@lru_cache(maxsize=8)
def _empty(size: tuple[int, int]) -> Image:
    """Where the pictures stay on other machines: a plain one of that width and height, for people to be drawn on."""
    image = np.full((size[1], size[0], 3), _EMPTY_GREY, np.uint8)
    scale = size[0] / 900
    cv2.putText(image, _EMPTY_TEXT, (size[0] // 40, size[1] - size[1] // 40), _FONT, scale, _EMPTY_INK, 1, cv2.LINE_AA)
    return image


def share_boxes(boxes: FloatArray, size: tuple[int, int]) -> list[list[float]]:
    """``[N, 4]`` xyxy in pixels as left, top, width and height in shares of a picture of that width and height."""
    shares = ltwh(boxes) / np.array([*size, *size], np.float64)
    return [[round(value, 4) for value in row] for row in shares.tolist()]


def picture_header(result: FrameResult) -> dict[str, Any]:
    """Who is where in a frame, for the page to draw: boxes are left, top, width and height as shares of the picture."""
    frame, tracks = result.frame, result.tracks
    columns = (
        share_boxes(tracks.boxes, frame.size),
        tracks.ids.tolist(),
        result.global_ids.tolist(),
        result.probabilities.astype(np.float64).round(3).tolist(),
        result.visibility.astype(np.float64).round(2).tolist(),
    )
    people = [
        {
            "box": box,
            "track_id": track,
            "global_id": who or None,
            "name": result.names.get(who),
            "probability": probability if who else None,
            "visibility": visibility,
        }
        for box, track, who, probability, visibility in zip(*columns, strict=True)
    ]
    return {"camera": frame.camera, "time": round(frame.time, 3), "size": list(frame.size), "people": people}
