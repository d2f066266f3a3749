"""The gallery of a run, opened and checked before there is an association."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamreid.config import AssociationConfig, Config
from streamreid.errors import ConfigError
from streamreid.features.similarity import SiteCalibration
from streamreid.gallery import (
    EngineStamp,
    Gallery,
    GallerySearch,
    IdAllocator,
    Retention,
    open_gallery,
    retention_of,
)
from streamreid.reid import Embedder

if TYPE_CHECKING:
    from streamreid.association import Associator
    from streamreid.association.identity_view import IdentityView
    from streamreid.pipeline.engine_description import EngineDescription
    from streamreid.pipeline.gallery_sync import GallerySync

__all__ = ["RunGallery", "stamp_of"]


def stamp_of(embedder: Embedder) -> EngineStamp:
    """What a gallery notes of an engine."""
    return EngineStamp(embedder.name, embedder.fingerprint, len(embedder.parts), embedder.dim)


@dataclass(frozen=True, slots=True)
class RunGallery:
    """A gallery opened for a run, before there is an association.

    Args:
        store: The gallery; closed by ``GallerySync``.
        search: Over its prototypes.
        ids: Gives new global ids, unique among all processes that share the gallery.
        retention: How long it keeps what.
        calibration: From similarity to probability.
    """

    store: Gallery
    search: GallerySearch
    ids: IdAllocator
    retention: Retention
    calibration: SiteCalibration

    @classmethod
    def of(
        cls, config: Config, stamp: EngineStamp, calibration: SiteCalibration, *, first_id: int = 1
    ) -> RunGallery | None:
        """Open the configured gallery; None if none is.

        Args:
            config: Of the run.
            stamp: The engine of the features.
            calibration: From similarity to probability.
            first_id: No new id is below.

        Raises:
            GalleryError: It cannot be opened.
            EngineMismatchError: It holds features of another engine.
            ConfigError: There is no engine.
        """
        if config.gallery.store is None:
            return None
        if stamp.fingerprint == "none":
            raise ConfigError(
                "a gallery remembers what people look like, and this run has no ReID engine (engine.model is 'none')"
            )
        retention = retention_of(config.gallery)
        store = open_gallery(config.gallery)
        try:
            store.claim(stamp)
            store.set_retention(retention)
            store.expire()
            ids = IdAllocator(store, first_id)
            scratch = store.scratch_folder
            search = GallerySearch(store, calibration, index_from=config.gallery.index_from, folder=scratch)
        except BaseException:
            store.close()
            raise
        return cls(store, search, ids, retention, calibration)

    def beside(
        self, config: Config, associator: Associator, view: IdentityView, engine: EngineDescription
    ) -> GallerySync:
        """The gallery as it goes along with an association."""
        from streamreid.pipeline.gallery_sync import GallerySync  # which needs this one

        return GallerySync(config, self, associator, view, engine)

    def bounded(self, config: AssociationConfig) -> AssociationConfig:
        """Settings of an association that keeps nothing in memory for longer than the gallery may keep it on disk."""
        if self.retention.shortest is None or self.retention.shortest >= config.memory:
            return config
        return config.model_copy(update={"memory": self.retention.shortest})
