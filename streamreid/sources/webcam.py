"""Cameras of this machine, by number."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import cast

import cv2
import numpy as np

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.sources.clock import Clock
from streamreid.sources.live import LiveSource, Received
from streamreid.sources.reader import Connection, Pulse
from streamreid.types import Image

__all__ = ["WebcamSource"]

_MAX_FAILED_READS = 5
"""Reads in a row without a picture before a webcam counts as gone."""


class WebcamSource(LiveSource):
    """A webcam, through OpenCV (the PyAV wheels are built without capture devices).

    Capture time is the arrival of the picture, clock "arrival"; pictures that arrive at the same instant are kept apart
    by a microsecond. A camera that is unplugged, or hangs, is opened again (see `LiveSource`).

    Args:
        config: The camera; ``uri`` is the number.
        clock: Tells the arrival time.
        capture: An opened ``cv2.VideoCapture`` to read from first, instead of opening the camera.

    Raises:
        SourceError: ``reconnect`` is 0, and there is no such camera, or another program holds it.
    """

    def __init__(
        self, config: CameraConfig, *, clock: Clock | None = None, capture: cv2.VideoCapture | None = None
    ) -> None:
        self._capture = capture
        super().__init__(config, clock=clock, where=f"camera '{config.name}': webcam {config.uri}")

    def _connection(self, pulse: Pulse) -> Connection[Received]:
        capture, self._capture = self._capture, None
        return _WebcamConnection(int(self._config.uri), self._where, self._clock, pulse, capture)

    def _image(self, received: Received) -> Image:
        return cast(Image, received.picture)


class _WebcamConnection:
    """One webcam, opened through OpenCV."""

    finite = False

    def __init__(self, number: int, where: str, clock: Clock, pulse: Pulse, capture: cv2.VideoCapture | None) -> None:
        self._number = number
        self._where = where
        self._clock = clock
        self._pulse = pulse
        self._capture = capture

    def open(self) -> None:
        if self._capture is None:
            self._capture = _open(self._number)
        if not self._capture.isOpened():
            raise SourceError(
                f"{self._where}: cannot be opened. Check its number and permission, and that no other program uses it"
            )

    def pictures(self) -> Iterator[Received]:
        assert self._capture is not None
        count = failed = 0
        while failed < _MAX_FAILED_READS:
            self._pulse.beat()
            ok, image = self._capture.read()
            if not ok or image is None:
                failed += 1
                continue
            failed = 0
            count += 1
            yield Received(np.asarray(image, np.uint8), self._clock.now())
        raise SourceError(f"{self._where}: sends no more pictures (after {count}). Check the cable")

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()


def _open(number: int) -> cv2.VideoCapture:
    # On Windows the default backend takes half a minute to open some cameras; elsewhere it tries to read files by that
    # number.
    backend = {"win32": cv2.CAP_DSHOW, "darwin": cv2.CAP_AVFOUNDATION, "linux": cv2.CAP_V4L2}.get(
        sys.platform, cv2.CAP_ANY
    )
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.VideoCapture(number, backend)
    finally:
        cv2.utils.logging.setLogLevel(level)
