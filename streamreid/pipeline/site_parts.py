"""What a site is made of, from its configuration; whatever most sites do without is imported where it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from streamreid.association import Associator, CameraGraph
from streamreid.cameras.statistics import Statistics
from streamreid.config import Config
from streamreid.features.similarity import SiteCalibration
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.pipeline.known_adaptation import known_adaptation
from streamreid.pipeline.run_state import RunState
from streamreid.pipeline.second_looks import FurtherPictures, SecondLookRounds
from streamreid.places.monitor import PlaceMonitor

if TYPE_CHECKING:
    from streamreid.ground.camera_model import GroundCamera
    from streamreid.ground.ground_evidence import GroundEvidence
    from streamreid.pipeline.run_gallery import RunGallery

__all__ = ["associator_of", "gallery_of", "ground_of", "places_of", "second_looks_of"]


def ground_of(config: Config, calibrated: Mapping[str, GroundCamera], *, live: bool) -> GroundEvidence | None:
    """Where people stand; None where no camera is calibrated."""
    if not calibrated:
        return None
    from streamreid.ground.ground_evidence import GroundEvidence

    return GroundEvidence(calibrated, config.ground, live=live)


def gallery_of(
    config: Config, engine: EngineDescription, calibration: SiteCalibration, first_id: int
) -> RunGallery | None:
    """The gallery of the run, opened; None where it has none. Errors: see `RunGallery.of`."""
    if config.gallery.store is None:
        return None
    from streamreid.pipeline.run_gallery import RunGallery

    return RunGallery.of(config, engine.stamp, calibration, first_id=first_id)


def associator_of(
    config: Config,
    engine: EngineDescription,
    calibration: SiteCalibration,
    begin: RunState,
    opened: RunGallery | None,
    ground: GroundEvidence | None,
    *,
    live: bool,
) -> Associator:
    """Which tracks are one person: an association that keeps nothing for longer than the gallery may.

    Raises:
        ConfigError: The topology or the adaptation cannot be used.
    """
    association = config.association if opened is None else opened.bounded(config.association)
    # Where an earlier run is continued, cameras may have been taken out since; ways through them still are ways.
    graph = CameraGraph(config.topology, None if begin.runs else [c.name for c in config.cameras])
    return Associator(
        association,
        calibration,
        first_id=begin.global_id,
        graph=graph,
        place=ground,
        parts=engine.parts,
        keep_all=association.offline and not live,
        new_id=None if opened is None else opened.ids,
        keep_links=True,
        adaptation=known_adaptation(config, engine),
    )


def second_looks_of(
    config: Config,
    associator: Associator,
    statistics: Statistics,
    pictures: FurtherPictures | None,
    *,
    live: bool,
) -> SecondLookRounds | None:
    """Further pictures of doubtful tracks; None where they are not wanted."""
    if not config.association.second_looks or not config.association.enabled:
        return None
    why_not = "cameras are live, and only recordings are read once more" if live else "no recording is at hand"
    return SecondLookRounds(config, associator, statistics, pictures, why_not)


def places_of(
    config: Config, engine: EngineDescription, calibrated: Mapping[str, GroundCamera], *, live: bool
) -> PlaceMonitor:
    """Who is at which zone, and who crossed which line."""
    return PlaceMonitor(
        config.zones,
        config.lines,
        config.alerts,
        calibrated=calibrated,
        parts=engine.parts,
        forget_after=config.tracker.lost_seconds + config.tracker.lag,
        live=live,
    )
