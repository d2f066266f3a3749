"""The folder of a scene: nothing that was there is lost before the new scene is complete, nothing of anybody else's is
touched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamreid._folders import FolderLock
from streamreid.errors import ConfigError, OutputError

__all__ = ["check_folder", "fresh_scene"]

_LISTING, _ABOUT = "cams.yaml", "scene.json"
_BESIDE = ("world.txt", "truth", "visible", "detections", "calibration", _ABOUT, _LISTING)
_UNFINISHED = ".unfinished"
_LOCK = ".lock"


def check_folder(out: Path, *, overwrite: bool) -> None:
    """Whether a scene may be written to a folder: it is missing, empty, or holds a scene that may be replaced.

    Raises:
        ConfigError: It may not.
        OutputError: It cannot be read.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise ConfigError(f"'{out}' is a file; a scene needs a folder (--out)")
    try:
        there = {p.name for p in out.iterdir()} - {_UNFINISHED, _LOCK}
    except OSError as error:
        raise OutputError(f"cannot read the folder '{out}': {error.strerror or error}") from error
    if not there:
        return
    if _LISTING not in there or not (old := _made(out)):
        raise ConfigError(
            f"'{out}' is not empty and holds no scene; choose another folder (--out). Nothing in it was changed"
        )
    if not overwrite:
        raise ConfigError(
            f"'{out}' already holds a scene; pass --overwrite to replace it or choose another folder (--out)"
        )
    strangers = sorted(name for name in there - old if name.startswith("cam") and name.endswith(".mp4"))
    if strangers:
        raise ConfigError(
            f"'{out}' holds {', '.join(strangers)}, which the scene in it did not bring; move them or choose another "
            "folder (--out)"
        )


@contextmanager
def fresh_scene(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """A folder to make a scene in; what is in it moves to ``out`` when all is done, and is deleted when something went
    wrong.

    Raises:
        ConfigError: ``out`` must not be written to.
        FolderBusy: Another process makes a scene there.
        OutputError: It cannot be.
    """
    check_folder(out, overwrite=overwrite)
    unfinished = out / _UNFINISHED
    with FolderLock(out, name=_LOCK):
        try:
            if unfinished.exists():  # of a program that was killed
                shutil.rmtree(unfinished)
            unfinished.mkdir(parents=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder '{out}': {error.strerror or error}") from error
        try:
            yield unfinished
            check_folder(out, overwrite=overwrite)  # again: making took its time
            try:
                _replace(out, unfinished)
            except OSError as error:
                raise OutputError(f"cannot write the scene to '{out}': {error.strerror or error}") from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def _made(folder: Path) -> set[str]:
    """Names in a folder that its scene consists of; none where it is not a scene."""
    try:
        cameras = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))["cameras"]
        return {*_BESIDE, *(f"{name}.mp4" for name in cameras)}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _replace(out: Path, unfinished: Path) -> None:
    for name in _made(out) if (out / _LISTING).exists() else ():
        path = out / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    # The list of cameras last: a folder that has it is complete.
    for path in sorted(unfinished.iterdir(), key=lambda p: p.name == _LISTING):
        path.replace(out / path.name)
