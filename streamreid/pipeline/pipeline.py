"""The pipeline: frames in, people with identities out. The only place that knows all rooms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from streamreid.cache.manifest import describe
from streamreid.cache.store import CacheWriter
from streamreid.camera_names import camera_name
from streamreid.cameras.capture_times import check_mixed
from streamreid.cameras.registry import Cameras
from streamreid.cameras.resolved import resolved
from streamreid.cameras.statistics import CameraCount, Statistics
from streamreid.config import Config, load_config
from streamreid.config.association import check_cameras
from streamreid.config.place_checks import check_names
from streamreid.detection import Detector
from streamreid.pipeline.camera_tracking import CameraTracking
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.pipeline.ground_plane import load_calibrations
from streamreid.pipeline.models import OpeningModels
from streamreid.pipeline.perception import Perception
from streamreid.pipeline.run import Run
from streamreid.pipeline.run_state import RunState
from streamreid.pipeline.site import Site
from streamreid.reid import Embedder

__all__ = ["Pipeline", "camera_name"]


class Pipeline(Run):
    """Follow people across cameras.

    Iterate to get one :class:`FrameResult` per used frame, in the order of capture time (files) or arrival (live).

    Example:
        >>> from streamreid import Pipeline
        >>> with Pipeline.from_sources("entrance.mp4", "hall.mp4", tracker={"delay": 2}) as pipeline:
        ...     for result in pipeline:
        ...         ids = result.global_ids  # result.frame, result.tracks, result.to_supervision()
        ...     identity, probability = pipeline.identities["entrance", 1]  # of a camera's track
        >>> identity, 0.0 <= probability <= 1.0
        (1, True)

    Args:
        config: Cameras and settings.
        detector: Used instead of the configured one.
        embedder: Used instead of the configured one.
        begin: Where the ids and frame numbers of an earlier run end, to go on from there.
        stay: Go on without any camera, because cameras may be added to ``cameras``.
        cache: Folder in which detections and features are stored for ``Replay``. All people are then embedded, not only
            those of high score, so that every tracker setting can be tried; the results are the same.
        overwrite: Replace a cache that is in the folder, once there are frames to be stored.
        models: The configured detector and engine, if they are being opened already.

    Raises:
        ConfigError: Recordings beside live cameras whose capture times have nothing in common with theirs.
        WeightsError, DetectorError, EngineError, GalleryError: Something needed cannot be had. A camera that cannot be
            opened does not raise here: it is noted in ``statistics`` and the others go on.
        DataError: ``cache`` holds a cache already.
        FolderBusy: Another process stores a cache there.
        MissingExtraError: ``cache`` without pyarrow.
    """

    perception: Perception

    def __init__(
        self,
        config: Config,
        *,
        detector: Detector | None = None,
        embedder: Embedder | None = None,
        cache: str | Path | None = None,
        overwrite: bool = False,
        begin: RunState | None = None,
        stay: bool = False,
        models: OpeningModels | None = None,
    ) -> None:
        config = _with_one_mask(resolved(config, serving=stay))
        cache = None if cache is None else Path(cache)
        check_names(config.alerts, config.gallery.store)
        check_mixed(config.cameras, window=config.association.window, serving=stay)
        begin = begin or RunState()
        if models is None or not models.fit(config):
            models = OpeningModels(config, detector=detector, embedder=embedder)
        finder, describer = models.take()
        calibrated = load_calibrations(config)  # before any camera is opened
        if config.topology is not None and not begin.runs:
            check_cameras(config.topology, [c.name for c in config.cameras])
        store = None
        if cache is not None:
            manifest = describe(config, finder, describer, None if detector is not None else config.detector)
            store = CacheWriter(cache, manifest, overwrite=overwrite, private=config.gallery.private)
        statistics = Statistics({c.name: CameraCount() for c in config.cameras})
        perception = Perception(
            config, finder, describer, statistics=statistics, numbers=begin.frames, stay=stay, cache=store
        )
        try:
            engine, live, faults = EngineDescription.of(describer), perception.live, perception.faults
            tracking = CameraTracking(
                config,
                engine,
                live=live,
                statistics=statistics,
                faults=faults,
                first_ids=begin.tracks,
                calibrated=calibrated,
                best_scores=lambda: perception.best_scores,
            )
            site = Site(
                config,
                engine,
                live=live,
                begin=begin,
                statistics=statistics,
                faults=faults,
                calibrated=calibrated,
                pictures=None if live else perception.again(),
            )
        except BaseException:
            perception.close()
            raise
        super().__init__(perception, tracking, site)
        if cache is not None and site.gallery is not None:  # it holds features of whoever is forgotten later
            site.gallery.store.note_copy("cache", cache, [])

    @classmethod
    def from_yaml(cls, path: str | Path) -> Pipeline:
        """A pipeline from a cameras file."""
        return cls(load_config(path))

    @classmethod
    def from_sources(cls, *sources: str | Path, **sections: Any) -> Pipeline:
        """A pipeline for videos, folders or addresses with default settings; ``sections`` are those of the YAML
        (``engine={"model": "none"}``)."""
        return cls(Config.from_sources(*sources, **sections))

    @property
    def cameras(self) -> Cameras:
        """The cameras being read; they may come, go and change while a live run goes on."""
        return self.perception.cameras


def _with_one_mask(config: Config) -> Config:
    """Whole people are hidden everywhere if files hide them and the page faces, or the other way round: there is one
    mask, and what is cut from that of bodies might miss a face."""
    if {config.output.blur, config.page_blur} != {"people", "faces"}:
        return config
    return config.model_copy(
        update={
            "output": config.output.model_copy(update={"blur": "people"}),
            "server": config.server.model_copy(update={"blur": "people"}),
        }
    )
