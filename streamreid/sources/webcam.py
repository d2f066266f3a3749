"""Cameras of this machine, by number."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import cv2
import numpy as np

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.sources.base import Selection, SourceBase
from streamreid.sources.clock import Clock, SystemClock
from streamreid.types import Frame

__all__ = ["WebcamSource"]

_MAX_FAILED_READS = 5


class WebcamSource(SourceBase):
    """A webcam, through OpenCV (the PyAV wheels are built without capture devices).

    Capture time is the arrival of the picture, clock "arrival"; pictures that arrive at the same instant are kept apart by a microsecond.

    Args:
        config: The camera; ``uri`` is the number.
        clock: Tells the arrival time.
        capture: An opened ``cv2.VideoCapture`` to read from, instead of opening the camera.

    Raises:
        SourceError: There is no such camera, or another program holds it.
    """

    def __init__(self, config: CameraConfig, *, clock: Clock | None = None, capture: cv2.VideoCapture | None = None) -> None:
        super().__init__(config, live=True)
        self._clock = clock or SystemClock()
        self._where = f"camera '{config.name}': webcam {config.uri}"
        self._capture = capture if capture is not None else _open(int(config.uri))
        if not self._capture.isOpened():
            raise SourceError(f"{self._where}: cannot be opened. Check its number and permission, and that no other program uses it")
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        """The frames as they arrive.

        Raises:
            SourceError: The camera stopped sending.
        """
        selection = Selection(self._config, from_start=False)
        last = -np.inf
        index = failed = 0
        while not (self._closed.is_set() or selection.done):
            with self._lock:
                if self._closed.is_set():
                    return
                ok, image = self._capture.read()
            if not ok or image is None:
                failed += 1
                if failed >= _MAX_FAILED_READS:
                    raise SourceError(f"{self._where}: sends no more pictures (after {index}). Check the cable")
                continue
            failed = 0
            last = max(self._clock.now(), float(np.nextafter(last, np.inf)) if last < 0 else last + 1e-6)
            if selection.take(0.0):
                self._notes.size(image.shape[1], image.shape[0], index)
                yield Frame(self.camera, index, last, np.asarray(image, np.uint8), "arrival")
            index += 1

    def close(self) -> None:
        """Release the camera; an iterator that is at work ends before its next frame."""
        self._closed.set()
        # Never wait for a camera that hangs: its reader releases nothing, the process's end does.
        if self._lock.acquire(timeout=0.5):
            try:
                self._capture.release()
            finally:
                self._lock.release()


def _open(number: int) -> cv2.VideoCapture:
    # On Windows the default backend takes half a minute to open some cameras; elsewhere it tries to read files by that number.
    backend = {"win32": cv2.CAP_DSHOW, "darwin": cv2.CAP_AVFOUNDATION, "linux": cv2.CAP_V4L2}.get(sys.platform, cv2.CAP_ANY)
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.VideoCapture(number, backend)
    finally:
        cv2.utils.logging.setLogLevel(level)
