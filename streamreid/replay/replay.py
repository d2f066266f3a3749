"""A run once more from its cache: the same tracking and association, with other settings if wanted, without a detector,
an engine or a picture."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from streamreid.cache.manifest import MANIFEST, Manifest, check_fits, check_sources, read_manifest
from streamreid.cache.reader import read_frames
from streamreid.cameras.resolved import resolved
from streamreid.cameras.statistics import CameraCount, Statistics
from streamreid.config import Config
from streamreid.errors import DataError
from streamreid.pipeline.camera_tracking import CameraTracking
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.pipeline.frame_faults import FrameFaults
from streamreid.pipeline.ground_plane import load_calibrations
from streamreid.pipeline.run import Run
from streamreid.pipeline.site import Site
from streamreid.replay.cached_frames import CachedFrames
from streamreid.replay.cached_pictures import CachedPictures
from streamreid.track_update import TrackUpdate
from streamreid.types import EmbeddedFrame

__all__ = ["Replay", "engine_of", "replayed_config"]

log = logging.getLogger(__name__)


def replayed_config(folder: Path | str) -> Config:
    """The configuration of the run that was stored, without films.

    Raises:
        DataError: The folder is no cache, or it is damaged.
    """
    folder = Path(folder)
    config = Config.stored(read_manifest(folder).config, where=str(folder / MANIFEST))
    # Films need the sources once more, and nobody is remembered twice by accident; who wants either says so.
    output = config.output.model_copy(update={"video": False, "mosaic": False, "dir": None})
    return config.model_copy(update={"output": output, "gallery": config.gallery.model_copy(update={"store": None})})


def engine_of(manifest: Manifest) -> EngineDescription:
    """The engine that made the features of a cache."""
    engine = manifest.engine
    return EngineDescription(engine.name, engine.fingerprint, engine.parts, engine.dim, manifest.calibration)


class Replay(Run):
    """Tracks and identities from a cache. With unchanged settings, the results are those of the run that was stored, to
    the last digit.

    Example:
        >>> from streamreid import Config, Pipeline, Replay
        >>> with Pipeline(Config.from_sources("entrance.mp4"), cache="cache") as pipeline:
        ...     frames = len(list(pipeline))
        >>> with Replay("cache") as replay:  # seconds instead of minutes, for any other tracker settings
        ...     len(list(replay)) == frames
        True
        >>> with Replay("cache", replay.config.with_settings({"tracker.confirm_frames": 5})) as other:
        ...     len(list(other))
        40

    Args:
        folder: The cache.
        config: Settings to replay with; default those of the run that was stored. Only tracker, association, gallery
            and output may differ.
        frames: Used instead of reading the parts: frames that were read before (``read_frames``), for many replays of
            one cache.
        observers: Called with every track update before the site takes it.

    Raises:
        DataError: No cache, a damaged one, or one of another detector or other settings; or videos are wanted but the
            sources have changed.
        EngineMismatchError: One of another engine.
        MissingExtraError: pyarrow is not installed.
    """

    perception: CachedFrames

    def __init__(
        self,
        folder: Path | str,
        config: Config | None = None,
        *,
        frames: Iterable[EmbeddedFrame] | None = None,
        observers: Sequence[Callable[[TrackUpdate], None]] = (),
    ) -> None:
        folder = Path(folder)
        manifest = read_manifest(folder)
        config = resolved(config or replayed_config(folder))
        check_fits(folder, manifest, config)
        if config.output.video or config.output.mosaic:
            check_sources(manifest, config)
        if not manifest.frames:
            raise DataError(f"cache '{folder}' holds no frame. Store the run again with --cache")
        statistics = _statistics(manifest, config)
        faults, engine, calibrated = FrameFaults.counted(statistics), engine_of(manifest), load_calibrations(config)
        if not manifest.complete:
            log.warning(
                "cache '%s': the run that was stored did not come to its end; replaying its %d frames",
                folder,
                manifest.frames,
            )
        again = frames if isinstance(frames, Sequence) else None
        pictures = CachedPictures(lambda: read_frames(folder, manifest) if again is None else again)
        super().__init__(
            CachedFrames(folder, manifest, config, frames=frames),
            CameraTracking(config, engine, live=False, statistics=statistics, faults=faults, calibrated=calibrated),
            Site(config, engine, statistics=statistics, faults=faults, calibrated=calibrated, pictures=pictures),
            observers=observers,
        )

    @property
    def folder(self) -> Path:
        """Folder of the cache that is replayed."""
        return self.perception.folder

    @property
    def manifest(self) -> Manifest:
        """What the cache says of the run that was stored."""
        return self.perception.manifest


def _statistics(manifest: Manifest, config: Config) -> Statistics:
    statistics = Statistics({c.name: CameraCount() for c in config.cameras})
    for name, camera in manifest.cameras.items():
        count = statistics.cameras[name]
        count.expected = sum(camera.parts)
        if camera.error is not None:
            count.warnings.append(f"failed in the run that was stored: {camera.error}")
    return statistics
