"""What a run learns of its cameras and not of anybody, kept with the gallery for the next one."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection

from streamreid.association import Associator
from streamreid.association.camera_normalisation import CameraMean, pack_means, unpack_means
from streamreid.association.learnt_cameras import LearntCameras
from streamreid.gallery import Gallery
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.pipeline.kept_learning import begin_with, understood

__all__ = ["GalleryLearning"]

log = logging.getLogger(__name__)

_SECONDS = 30.0
"""Seconds after which what was learnt is taken down anew."""


class GalleryLearning:
    """How the cameras render people, and how they relate.

    Args:
        store: The gallery.
        associator: Learns.
        engine: Which made the features.
        cameras: Names of the cameras of this run.
    """

    def __init__(
        self, store: Gallery, associator: Associator, engine: EngineDescription, cameras: Collection[str]
    ) -> None:
        self._store, self._associator, self._engine, self._cameras = store, associator, engine, cameras
        self._others: LearntCameras | None = None
        self._means: dict[str, CameraMean] = {}
        self._learnt: LearntCameras | None = None
        self._next = 0.0

    def begin(self) -> None:
        """Let the association begin with what earlier runs learnt. What cannot be read is said, and learnt anew."""
        where = f"gallery '{self._store.address}'"
        try:
            self._associator.means.begin(unpack_means(self._store.camera_means()))
        except ValueError as error:
            log.warning("%s: %s; they are learnt anew", where, error)
        self._others = understood(self._store.learnt_cameras(), where)
        begin_with(self._associator, self._others, self._engine, self._cameras)

    def note(self, *, over: bool = False) -> None:
        """Take down what was learnt so far, for `keep`; by the thread that follows people.

        Args:
            over: Do so whenever that was done last.
        """
        if not over and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _SECONDS
        self._means = self._associator.means.known()
        self._learnt = self._associator.learnt(self._engine.fingerprint)

    def keep(self) -> None:
        """Write what was last noted; from any thread. What other runs learnt of other cameras stays.

        Raises:
            GalleryError: It cannot be written.
        """
        means, learnt = self._means, self._learnt
        if means:
            self._store.set_camera_means(pack_means(means))
        if learnt:
            self._store.set_learnt_cameras(learnt.beside(self._others).to_json())
