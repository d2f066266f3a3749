"""Detector and engine of a worker, which all its cameras share."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress

from streamreid._version import __version__
from streamreid.detection import Detector
from streamreid.errors import StreamReIDError
from streamreid.features.similarity import Calibration
from streamreid.reid import Embedder
from streamreid.types import Detections, Frame, PartFeatures

__all__ = ["SharedDetector", "SharedEmbedder", "model_stamp"]


def model_stamp(detector: Detector, embedder: Embedder) -> dict[str, str]:
    """What a worker tells the site of itself: names of detector and engine, the engine's fingerprint, version."""
    return {"detector": detector.name, "engine": embedder.fingerprint, "version": __version__}


class SharedDetector:
    """A detector that several threads may call; they take turns.

    Args:
        inner: The detector.
        lock: Held while it runs; the engine's as well, for both use all cores.
    """

    def __init__(self, inner: Detector, lock: threading.Lock) -> None:
        self._inner, self._lock = inner, lock
        self.name, self.fingerprint = inner.name, inner.fingerprint

    @property
    def best_scores(self) -> Mapping[str, float]:
        """The best score of a person so far, by camera, where the detector says so."""
        return dict(getattr(self._inner, "best_scores", {}))

    def prepare_camera(self, camera: str) -> None:
        """Get ready for a camera, where the detector has anything to do for it: others go on meanwhile. What fails
        here fails with its first frame, and is then told."""
        prepare = getattr(self._inner, "prepare_camera", None)
        if prepare is not None:
            with suppress(StreamReIDError):
                prepare(camera)

    def __call__(self, frames: Sequence[Frame]) -> list[Detections]:
        """See ``Detector``."""
        with self._lock:
            return self._inner(frames)


class SharedEmbedder:
    """The same of an engine.

    Args:
        inner: The engine.
        lock: Held while it runs.
    """

    def __init__(self, inner: Embedder, lock: threading.Lock) -> None:
        self._inner, self._lock = inner, lock
        self.name = inner.name
        self.parts = tuple(inner.parts)
        self.dim = inner.dim
        self.fingerprint = inner.fingerprint
        self.calibration: Calibration = inner.calibration

    def __call__(self, frames: Sequence[Frame], detections: Sequence[Detections]) -> list[PartFeatures]:
        """See ``Embedder``."""
        with self._lock:
            return self._inner(frames, detections)
