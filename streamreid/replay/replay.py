"""A run once more from its cache: the same tracking and association, with other settings if wanted, without a detector,
an engine or a picture."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from streamreid.cache.manifest import MANIFEST, check_fits, check_sources, read_manifest, same_schedule
from streamreid.cache.store import read_frames
from streamreid.cameras.embedding_scheduler import EmbeddingScheduler
from streamreid.config import Config
from streamreid.errors import DataError
from streamreid.gallery import EngineStamp
from streamreid.pipeline.frame_processor import FrameProcessor
from streamreid.pipeline.gallery_sync import GallerySync
from streamreid.types import EmbeddedFrame

__all__ = ["Replay", "replayed_config"]

log = logging.getLogger(__name__)


def replayed_config(folder: Path | str) -> Config:
    """The configuration of the run that was stored, without films.

    Raises:
        DataError: The folder is no cache, or it is damaged.
    """
    folder = Path(folder)
    config = Config.from_dict(read_manifest(folder).config, where=str(folder / MANIFEST))
    # Films need the sources once more, and nobody is remembered twice by accident; who wants either says so.
    output = config.output.model_copy(update={"video": False, "mosaic": False, "dir": None})
    return config.model_copy(update={"output": output, "gallery": config.gallery.model_copy(update={"store": None})})


class Replay(FrameProcessor):
    """Tracks and identities from a cache. With unchanged settings, the results are those of the run that was stored, to
    the last digit.

    Args:
        folder: The cache.
        config: Settings to replay with; default those of the run that was stored. Only tracker, association, gallery
            and output may differ.
        frames: Used instead of reading the parts: frames that were read before (``read_frames``), for many replays of
            one cache.

    Raises:
        DataError: No cache, a damaged one, or one of another detector or other settings; or videos are wanted but the
            sources have changed.
        EngineMismatchError: One of another engine.
        MissingExtraError: pyarrow is not installed.
    """

    def __init__(
        self, folder: Path | str, config: Config | None = None, *, frames: Iterable[EmbeddedFrame] | None = None
    ) -> None:
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder)
        config = config or replayed_config(self.folder)
        check_fits(self.folder, self.manifest, config)
        if config.output.video or config.output.mosaic:
            check_sources(self.manifest, config)
        if not self.manifest.frames:
            raise DataError(f"cache '{self.folder}' holds no frame. Store the run again with --cache")
        engine = self.manifest.engine
        super().__init__(
            config, self.manifest.calibration, (self.manifest.detector.name, engine.name), parts=engine.parts
        )
        self._given = frames
        self._scheduler = None if same_schedule(self.manifest, config) else EmbeddingScheduler(config)
        films = config.output.video or config.output.mosaic
        self._needs_ignored = (
            {c.name for c in config.cameras if c.roi is not None} if films and config.output.blur != "none" else set()
        )
        for name, camera in self.manifest.cameras.items():
            count = self.statistics.cameras[name]
            count.expected = sum(camera.parts)
            if camera.error is not None:
                count.warnings.append(f"failed in the run that was stored: {camera.error}")
        if not self.manifest.complete:
            log.warning(
                "cache '%s': the run that was stored did not come to its end; replaying its %d frames",
                self.folder,
                self.manifest.frames,
            )
        if config.gallery.store is not None:
            stamp = EngineStamp(engine.name, engine.fingerprint, len(engine.parts), engine.dim)
            self.memory = GallerySync(config, stamp, self._associator, self._calibration)

    def _frames(self) -> Iterator[EmbeddedFrame]:
        for seen in self._given if self._given is not None else read_frames(self.folder, self.manifest):
            if self.interrupted:
                return
            yield self._scheduled(seen)

    def _scheduled(self, seen: EmbeddedFrame) -> EmbeddedFrame:
        """With the choice of the stored run whose features are used, or a new one where that is not known or the
        settings are others."""
        if seen.embedded is None and self._scheduler is None:
            self._scheduler = EmbeddingScheduler(self.config)
        if self._scheduler is None:
            return seen
        due = self._scheduler.due(seen.frame.camera, seen.detections, seen.frame.time, seen.frame.size)
        return replace(seen, embedded=self._scheduler.record(seen.frame.camera, due))

    @property
    def live(self) -> bool:
        """Never: what was live once is a recording now."""
        return False

    def close(self) -> None:
        """Only a gallery is held open."""
        if self.memory is not None:
            self.memory.close()
