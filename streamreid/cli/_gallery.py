"""What the verbs of the gallery share: which store, which engine, what a picture shows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from streamreid._yaml import read_yaml, validate
from streamreid.cli.console import errors
from streamreid.config import Config, GalleryConfig
from streamreid.errors import ConfigError
from streamreid.gallery import Gallery, open_gallery
from streamreid.reid.feature_extractor import Picture
from streamreid.runs.gallery_search import Box, operator, read_video_frame

__all__ = [
    "Json",
    "Sources",
    "Store",
    "choose_store",
    "not_audited",
    "note",
    "parse_box",
    "read_query",
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
        not_audited()
    else:
        store.audit(action, detail, actor=operator())


def not_audited() -> None:
    """Say that the audit log lacks what was just done."""
    errors.print("the gallery cannot be written: this is not noted in its audit log", highlight=False)


def read_query(
    image: Path | None, video: str | None, seconds: float, ltwh: str | None, corners: str | None
) -> tuple[Picture, list[Box] | None]:
    """The picture of the command line, and where the person is in it.

    Args:
        image: A picture file, or
        video: a video.
        seconds: Time of the video's frame.
        ltwh: See ``parse_box``.
        corners: See ``parse_box``.

    Raises:
        ConfigError: No box, or none that makes sense.
        SourceError: The video cannot be read.
    """
    box = parse_box(ltwh, corners)
    if image is not None:
        return image, None if box is None else [box]
    assert video is not None
    if box is None:
        raise ConfigError("a frame of a video needs --box LEFT,TOP,RIGHT,BOTTOM or --box-ltwh LEFT,TOP,WIDTH,HEIGHT")
    return read_video_frame(video, seconds), [box]


def parse_box(ltwh: str | None, corners: str | None = None) -> Box | None:
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
