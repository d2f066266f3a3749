"""The frames of a cache in the place of perception: a replay needs no camera, no detector and no engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from streamreid.cache.manifest import Manifest, same_schedule
from streamreid.cache.reader import read_frames
from streamreid.cameras.embedding_scheduler import EmbeddingScheduler
from streamreid.config import CameraConfig, Config
from streamreid.types import EmbeddedFrame

__all__ = ["CachedFrames"]


class CachedFrames:
    """Embedded frames in the order of the run that was stored.

    Args:
        folder: The cache.
        manifest: Of the cache.
        config: Settings to replay with.
        frames: Used instead of reading the parts: frames that were read before (``read_frames``), for many replays of
            one cache.
    """

    live = False
    """What was live once is a recording now."""

    stay = False

    def __init__(
        self, folder: Path, manifest: Manifest, config: Config, *, frames: Iterable[EmbeddedFrame] | None = None
    ) -> None:
        self.folder, self.manifest = folder, manifest
        self._config = config
        self._frames = frames
        self._scheduler = None if same_schedule(manifest, config) else EmbeddingScheduler(config)
        self._stopped = False

    def __repr__(self) -> str:
        return f"CachedFrames('{self.folder}', frames={self.manifest.frames})"

    @property
    def detector_name(self) -> str:
        """Of the detector of the run that was stored."""
        return self.manifest.detector.name

    @property
    def configs(self) -> Sequence[CameraConfig]:
        """The cameras that the cache was made of."""
        return self._config.cameras

    def __iter__(self) -> Iterator[EmbeddedFrame | None]:
        for item in self._frames if self._frames is not None else read_frames(self.folder, self.manifest):
            if self._stopped:
                return
            yield self._scheduled(item)

    def _scheduled(self, item: EmbeddedFrame) -> EmbeddedFrame:
        """With the choice of the stored run whose features are used, or a new one where that is not known or the
        settings are others."""
        if item.embedded is None and self._scheduler is None:
            self._scheduler = EmbeddingScheduler(self._config)
        if self._scheduler is None:
            return item
        due = self._scheduler.due(item.frame.camera, item.detections, item.frame.time, item.frame.size)
        # Of people who were carried on only those are stored whom the run embedded.
        chosen = due if item.detected else due[item.features.visibility[due].any(1)]
        return replace(item, embedded=self._scheduler.record(item.frame.camera, chosen))

    def forget(self, camera: str) -> None:
        """No camera of a recording is taken out."""

    def stop(self) -> None:
        """End the iteration after the frame in work."""
        self._stopped = True

    def close(self) -> None:
        """Nothing to close: files are opened only while they are read."""
