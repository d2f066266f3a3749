"""What the verbs of the gallery share: which store, which engine, what a picture shows."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer

from streamreid._yaml import read_yaml, validate
from streamreid.cli.console import errors
from streamreid.config import CameraConfig, Config, EngineConfig, GalleryConfig
from streamreid.errors import ConfigError, SourceError
from streamreid.features.similarity import Calibration
from streamreid.gallery import Gallery, GallerySearch, open_gallery
from streamreid.pipeline.gallery_sync import stamp_of
from streamreid.reid import Embedder, open_embedder, shipped_engines
from streamreid.sources import open_source
from streamreid.types import Detections, Frame, PartFeatures

__all__ = [
    "Json",
    "Sources",
    "Store",
    "actor",
    "choose_store",
    "describe",
    "finder",
    "note",
    "open_engine",
    "parse_box",
    "read_picture",
    "settings",
    "tidy",
]

Store = Annotated[
    str | None,
    typer.Option("--gallery", "-g", envvar="STREAMREID_GALLERY", help="SQLite file or postgresql:// address."),
]
Sources = Annotated[
    Path | None, typer.Option("--sources", "-s", help="YAML file of a run; its gallery section is used.")
]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]


def settings(store: str | None, sources: Path | None) -> GalleryConfig:
    """The gallery section of a YAML file, with the store from the command line if one is given."""
    config = GalleryConfig()
    if sources is not None:
        data, lines = read_yaml(sources)
        checked = validate(
            Config,
            {"cameras": [{"name": "any", "uri": "any"}], **(data if isinstance(data, dict) else {})},
            where=str(sources),
            lines=lines,
        )
        config = checked.gallery
    if store is not None:
        config = validate(GalleryConfig, {**config.model_dump(exclude_unset=True), "store": store}, where="--gallery")
    if config.store is None:
        raise ConfigError(
            "which gallery? Pass --gallery FILE (or postgresql://...), set STREAMREID_GALLERY, or --sources with a "
            "gallery section"
        )
    return config


def choose_store(store: str | None, sources: Path | None) -> Gallery:
    """Open the gallery; a file must exist, and is opened for reading only where it cannot be written."""
    config = settings(store, sources)
    assert config.store is not None
    read_only = "://" not in config.store and not os.access(Path(config.store).expanduser(), os.W_OK)
    return open_gallery(config, read_only=read_only)


def tidy(store: Gallery) -> None:
    """Erase what is past its time before anything is shown, if the store can be written."""
    if not store.read_only:
        store.expire()


def note(store: Gallery, action: str, detail: dict[str, Any]) -> None:
    """Write into the audit log; say so if that is impossible."""
    if store.read_only:
        errors.print("the gallery cannot be written: this is not noted in its audit log", highlight=False)
    else:
        store.audit(action, detail, actor=actor())


def finder(store: Gallery, calibration: Calibration | None = None) -> GallerySearch:
    """An exact search over a store; the matrix is mapped beside an SQLite file."""
    return GallerySearch(store, calibration, folder=store.scratch_folder)


def actor() -> str:
    """Who is at the keyboard, for the audit log."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def open_engine(store: Gallery, model: str | None) -> Embedder:
    """The engine that the gallery's features were made with.

    Raises:
        EngineMismatchError: Another one was asked for.
        ConfigError: The gallery is empty.
    """
    stamp = store.engine()
    if stamp is None:
        raise ConfigError(f"gallery '{store.address}' is empty: nothing can be found in it")
    chosen = model or (stamp.name if stamp.name in shipped_engines() else "auto")
    embedder = open_embedder(EngineConfig(model=chosen, min_height=0.0))
    store.claim(stamp_of(embedder))
    return embedder


def parse_box(ltwh: str | None, corners: str | None = None) -> tuple[float, float, float, float] | None:
    """Left, top, right and bottom of a box in pixels.

    Args:
        ltwh: ``LEFT,TOP,WIDTH,HEIGHT``, as in every file that streamreid writes.
        corners: ``LEFT,TOP,RIGHT,BOTTOM``, instead.

    Raises:
        ConfigError: Both are given, or one is no box.
    """
    if ltwh is not None and corners is not None:
        raise ConfigError("--box-ltwh and --box say the same in two ways; give one of them")
    if ltwh is not None:
        try:
            left, top, width, height = (float(v) for v in ltwh.split(","))
        except ValueError:
            raise ConfigError(
                f"--box-ltwh {ltwh}: write LEFT,TOP,WIDTH,HEIGHT in pixels, for example --box-ltwh 120,40,60,170"
            ) from None
        if not (width > 0 and height > 0):
            raise ConfigError(f"--box-ltwh {ltwh}: width and height must be above 0")
        return left, top, left + width, top + height
    text = corners
    if text is None:
        return None
    try:
        left, top, right, bottom = (float(v) for v in text.split(","))
    except ValueError:
        raise ConfigError(
            f"--box {text}: write LEFT,TOP,RIGHT,BOTTOM in pixels, for example --box 120,40,180,210"
        ) from None
    if right <= left or bottom <= top:
        raise ConfigError(
            f"--box {text}: right must be greater than left, and bottom greater than top; a box of a results file, "
            f"with width and height, is --box-ltwh {text}"
        )
    return left, top, right, bottom


def read_picture(image: Path | None, video: str | None, time: float) -> Frame:
    """A picture file, or the frame of a video at a time.

    Raises:
        SourceError: It cannot be read.
    """
    if image is not None:
        try:
            data = np.frombuffer(image.read_bytes(), np.uint8)
        except OSError as error:
            raise SourceError(f"picture '{image}' cannot be read: {error.strerror or error}") from None
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
        if picture is None:
            raise SourceError(f"'{image}' is not a picture that can be decoded (JPEG, PNG, ...)")
        return Frame("picture", 0, 0.0, np.asarray(picture, np.uint8))
    assert video is not None
    with open_source(CameraConfig(name="video", uri=video, start=time, frames=1)) as source:
        for frame in source:
            return frame
    raise SourceError(f"video '{video}' has no frame at {time:g} s")


def describe(embedder: Embedder, frame: Frame, box: tuple[float, float, float, float] | None) -> PartFeatures:
    """What the person in a picture looks like.

    Raises:
        ConfigError: There is nothing to see.
    """
    width, height = frame.size
    (features,) = embedder([frame], [Detections.from_arrays([box or (0, 0, width, height)])])
    if not features.visibility.any():
        raise ConfigError(
            "nobody can be seen there: the box is outside the picture, or the engine found no part of a person"
        )
    return features
