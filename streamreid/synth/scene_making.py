"""A scene from folders of person pictures: people are drawn by lot, cut out, and recorded by the scene's cameras."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2

from streamreid.datasets.layouts import list_pictures
from streamreid.errors import ConfigError, DataError
from streamreid.runtimes.base import available_threads
from streamreid.synth.config import SceneConfig
from streamreid.synth.cutouts import Masks, Person, Picture, read_people
from streamreid.synth.scene_folder import fresh_scene
from streamreid.synth.scene_writer import Report, record

__all__ = ["load_people", "make_scene"]

log = logging.getLogger(__name__)

_PARTS = ("query", "bounding_box_test")
"""Of a whole Market-1501 data set these are taken: engines are trained on the rest of it."""


def make_scene(
    config: SceneConfig,
    images: Sequence[Path],
    out: Path,
    *,
    labels: Sequence[Path] = (),
    parser: Path | None = None,
    clothes: Path | None = None,
    processes: int | None = None,
    overwrite: bool = False,
    tick: Callable[[], None] | None = None,
    stage: Callable[[str, int], None] | None = None,
) -> Report:
    """Make videos of several cameras with exact ground truth.

    Args:
        config: The scene.
        images: Folders of person pictures named as in Market-1501; none: people that never lived are made.
        out: Folder of the scene: videos, ``truth/``, ``detections/`` and ``cams.yaml``.
        labels: Part labels of the pictures, one folder for all or one for each folder of pictures.
        parser: A body-part model, which finds the people where there are no labels.
        clothes: Folder of MakeHuman's clothes, for people that never lived; None looks for them.
        processes: Cameras drawn at once; None: one per core. The scene is the same.
        overwrite: Replace a scene that is in the folder.
        tick: Called after every person that is cut out and every frame that is recorded.
        stage: Called with "frames" and their number when recording begins.

    Raises:
        ConfigError: Labels that do not fit the folders, or people of one camera only for a scene of several.
        DataError: A folder is missing or holds no pictures, or a name does not tell person and camera.
        OutputError: The folder holds something else, or cannot be written.
    """
    workers = processes or available_threads()
    if images:
        people, names = load_people(images, labels, parser, config, threads=workers, tick=tick)
    else:
        from streamreid.synth.people.scene_people import invent_people  # needs the extra

        people = invent_people(config.people, seed=config.seed, clothes=clothes, tick=tick)
        names = "synthetic/{:04d}".format
    if stage is not None:
        stage("frames", config.frames * config.cameras)
    with fresh_scene(out, overwrite=overwrite) as folder:
        return record(config, people, folder, processes=workers, tick=tick, describe=names)


def load_people(
    images: Sequence[Path],
    labels: Sequence[Path],
    parser: Path | None,
    config: SceneConfig,
    *,
    threads: int = 2,
    tick: Callable[[], None] | None = None,
) -> tuple[list[Person], Callable[[int], str]]:
    """The people of a scene, drawn by lot from some folders and cut out; and what the folders call them.

    Raises:
        DataError: A folder is missing, holds no pictures, or a name does not tell person and camera.
    """
    if len(labels) not in (0, 1, len(images)):
        raise ConfigError(
            f"{len(labels)} folders of labels for {len(images)} folders of pictures; give one for all or one for each "
            "(--labels)"
        )
    pictures: list[Picture] = []
    label_of: dict[Path, Path] = {}
    names: dict[int, str] = {}
    for number, folder in enumerate(images):
        parts = [folder / part for part in _PARTS if (folder / part).is_dir()] or [folder]
        own = labels[number if len(labels) > 1 else 0] if labels else None
        for named in (n for part in parts for n in list_pictures(part)):
            person = number * 1_000_000 + named.person
            names[person] = f"{folder.name}/{named.person:04d}"
            pictures.append(Picture(named.path, person, named.camera))
            if own is not None:
                label_of[named.path] = own
    _check_cameras(pictures, config, images)
    people = read_people(
        pictures, _masks(label_of, parser), config.people, seed=config.seed, threads=threads, tick=tick
    )
    alike = sum(len(p.cutouts) == 1 for p in people)
    if alike and config.cameras > 1:
        log.warning(
            "%d of %d people have pictures of one camera only: they look alike in all cameras of the scene",
            alike,
            len(people),
        )
    return people, names.__getitem__


def _check_cameras(pictures: list[Picture], config: SceneConfig, images: Sequence[Path]) -> None:
    seen: dict[int, set[int]] = {}
    for picture in pictures:
        seen.setdefault(picture.person, set()).add(picture.camera)
    if config.cameras > 1 and all(len(cameras) == 1 for cameras in seen.values()):
        raise ConfigError(
            f"{', '.join(map(str, images))}: nobody has pictures of two cameras, so everybody would look alike in all "
            "of the scene's; give a folder with two or more cameras, or --cameras 1"
        )


def _masks(label_of: dict[Path, Path], parser: Path | None) -> Masks:
    """Part masks from labels that were written before, else from the body-part model, else none."""
    for folder in set(label_of.values()):
        if not folder.is_dir():
            raise DataError(
                f"{folder}: no such folder of labels; make it with streamreid parse-labels, or leave out --labels"
            )
    if label_of and not any((label / f"{path.stem}.png").exists() for path, label in label_of.items()):
        raise DataError(
            f"{', '.join(sorted({str(folder) for folder in label_of.values()}))}: no label of any of the pictures; "
            "labels have the pictures' names. Make them with streamreid parse-labels, or leave out --labels"
        )
    find = None if parser is None else _parser(parser)

    def mask(path: Path, image: Any) -> Any:
        label = label_of.get(path)
        if label is not None and (file := label / f"{path.stem}.png").exists():
            found = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
            if found is None:
                raise DataError(f"{file}: not a picture; delete it and run parse-labels again")
            return found
        return None if find is None else find(image)

    return mask


def _parser(model: Path) -> Callable[[Any], Any]:
    from streamreid.datasets.bodypix import BodyPix
    from streamreid.datasets.labels import class_map, unusable

    network = BodyPix(model)

    def find(image: Any) -> Any:
        found = class_map(network(image))
        return None if unusable(found) else found

    return find
