"""What runs learn of how their cameras relate, kept in the folder of the results and in the gallery, so that a run that
goes on begins with it."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

from streamreid.association import Associator
from streamreid.association.learnt_cameras import LearntCameras
from streamreid.errors import DataError
from streamreid.files import atomic_write
from streamreid.pipeline.engine_description import EngineDescription

__all__ = ["LEARNT", "begin_with", "read_learnt", "understood", "write_learnt"]

log = logging.getLogger(__name__)

LEARNT = "learnt.json"


def understood(text: str, where: str) -> LearntCameras | None:
    """What was kept as text; None where that is nothing or cannot be read, which is said.

    Args:
        text: From `LearntCameras.to_json`; empty for nothing.
        where: It is kept, for the message.
    """
    if not text:
        return None
    try:
        return LearntCameras.from_json(text)
    except DataError as error:
        log.warning("%s: what earlier runs learnt of the cameras cannot be used, %s; it is learnt anew", where, error)
        return None


def read_learnt(folder: Path) -> LearntCameras | None:
    """What earlier runs left in a folder of results; None where there is nothing that can be used."""
    path = folder / LEARNT
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        log.warning("'%s': what earlier runs learnt of the cameras cannot be read (%s); it is learnt anew", path, error)
        return None
    return understood(text, f"'{path}'")


def write_learnt(folder: Path, learnt: LearntCameras) -> None:
    """Keep what was learnt in a folder of results; nothing is written of nothing.

    Raises:
        OSError: It cannot be written.
    """
    if learnt:
        with atomic_write(folder / LEARNT) as part:
            part.write_text(learnt.to_json(), encoding="utf-8")


def begin_with(
    associator: Associator, learnt: LearntCameras | None, engine: EngineDescription, cameras: Collection[str]
) -> None:
    """Let an association begin with what earlier runs learnt, as far as it is of this engine and these cameras.

    Args:
        associator: Nothing was observed yet.
        learnt: None for nothing.
        engine: Of this run.
        cameras: Names of the cameras of this run.
    """
    if learnt is None or engine.name == "none":
        return
    if learnt.engine != engine.fingerprint:
        log.info(
            "what earlier runs learnt of how the cameras relate is left out: they used another engine than '%s'",
            engine.name,
        )
        return
    others = sorted(learnt.cameras - set(cameras))
    if others:
        log.info("what earlier runs learnt of cameras that this one does not have is left out: %s", ", ".join(others))
    associator.begin(learnt.only(cameras))
