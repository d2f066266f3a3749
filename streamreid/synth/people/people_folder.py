"""Writing synthetic people to a folder that ``streamreid train`` and ``streamreid evaluate reid`` read; what is there
already is kept, so an interrupted or smaller run goes on."""

from __future__ import annotations

import csv
import json
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from streamreid._folders import FolderLock
from streamreid.datasets.part_grouping import PART_NAMES, write_parts
from streamreid.errors import ConfigError, DataError, OutputError
from streamreid.files import write_json
from streamreid.synth.people.body_data import load_body
from streamreid.synth.people.cameras import Camera, make_camera
from streamreid.synth.people.config import GENERATOR, PeopleConfig
from streamreid.synth.people.makehuman import clothes_folder, fingerprint
from streamreid.synth.people.pictures import Picture, Studio
from streamreid.synth.people.rendering import load_embree
from streamreid.synth.people.wardrobe import Wardrobe, check_clothes

__all__ = ["FolderReport", "Generator", "Shot", "plan_person", "write_people"]

_TABLE = "visibility.csv"
_ABOUT = "people.json"
_COLUMNS = ("file", "person", "camera", "hidden_by", "yaw", "whole", *PART_NAMES)

_TEST_FROM = 9_100_000
"""Number of the first person of the test set; training people are numbered from 1."""

_TEST_CAMERA_FROM = 901
"""Number of the first camera of the test set."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture to be taken.

    Args:
        folder: Where it goes: ``bounding_box_train``, ``query`` or ``bounding_box_test``.
        camera: Number of the camera.
        index: Of the person's pictures, from 0.
    """

    folder: str
    camera: int
    index: int


@dataclass(frozen=True, slots=True)
class FolderReport:
    """How many people and pictures a folder holds, and how many of the pictures are new."""

    people: int
    pictures: int
    made: int


def plan_person(config: PeopleConfig, person: int) -> list[Shot]:
    """Which cameras take which pictures of a person."""
    rng = np.random.default_rng((config.seed, 4, person))
    if person < _TEST_FROM:
        cameras = 1 + np.sort(rng.choice(config.cameras, config.cameras_per_person, replace=False))
        return [
            Shot("bounding_box_train", int(camera), number * config.pictures + k)
            for number, camera in enumerate(cameras)
            for k in range(config.pictures)
        ]
    count = min(max(2, config.cameras_per_person), config.test_cameras)
    cameras = _TEST_CAMERA_FROM + np.sort(rng.choice(config.test_cameras, count, replace=False))
    shots = []
    for number, camera in enumerate(cameras):
        for k in range(config.pictures):
            folder = "query" if k == 0 and number < 2 else "bounding_box_test"
            shots.append(Shot(folder, int(camera), number * config.pictures + k))
    return shots


class Generator:
    """Makes people one after the other, in this process.

    Args:
        config: What they are like.
        clothes: Folder of MakeHuman's clothes; see `clothes_folder`.

    Raises:
        MissingExtraError: embreex is not installed.
        WeightsUnavailableError: The body or the clothes are not here and cannot be fetched.
    """

    def __init__(self, config: PeopleConfig, clothes: Path) -> None:
        build = load_embree()
        self.config = config
        self.wardrobe = Wardrobe(load_body(), clothes)
        self.studio = Studio(self.wardrobe, config, build)
        self._cameras: dict[int, Camera] = {}

    def person(self, number: int) -> Iterator[tuple[Shot, Picture]]:
        """All pictures of a person."""
        dressed = self.wardrobe.dress((self.config.seed, 0, number))
        for shot in plan_person(self.config, number):
            if shot.camera not in self._cameras:
                self._cameras[shot.camera] = make_camera(self.config.seed, shot.camera)
            seed = (self.config.seed, 3, number, shot.index)
            yield shot, self.studio.take(dressed, self._cameras[shot.camera], seed)


def write_people(
    config: PeopleConfig,
    out: Path,
    *,
    clothes: Path | None = None,
    processes: int = 1,
    tick: Callable[[], None] | None = None,
) -> FolderReport:
    """Write pictures, class maps and visibilities; people who are there already are not made again.

    Args:
        config: The people. A folder may be continued with more of them, everything else being the same.
        out: Gets ``bounding_box_train``, ``query``, ``bounding_box_test`` (names as in Market-1501), ``labels`` with
            the same folders, ``visibility.csv`` and ``people.json``.
        clothes: Folder of MakeHuman's clothes; None looks for them, and fetches them.
        processes: People made at once; the pictures are the same.
        tick: Called after every person, those that were there included.

    Raises:
        ConfigError: The folder holds people of other settings.
        OutputError: It cannot be written, or a process died.
        DataError: The clothes are not there.
        MissingExtraError: See `Generator`.
    """
    load_embree()
    clothes = clothes_folder(clothes)
    check_clothes(clothes)
    with FolderLock(out):
        _check(out, config, clothes)
        rows = _kept(out, config)
        wanted = [*range(1, 1 + config.people), *range(_TEST_FROM, _TEST_FROM + config.test_people)]
        missing = [number for number in wanted if number not in rows]
        for _ in range(len(wanted) - len(missing)):
            if tick:
                tick()
        made = 0
        try:
            with (out / _TABLE).open("a", newline="", encoding="utf-8") as file:
                for lines in _made(config, out, clothes, missing, processes):
                    csv.writer(file).writerows(lines)
                    file.flush()
                    made += len(lines)
                    if tick:
                        tick()
        except OSError as error:
            raise OutputError(f"{out}: cannot be written ({error.strerror or error})") from error
    return FolderReport(len(rows.keys() | set(missing)), sum(map(len, rows.values())) + made, made)


def _made(
    config: PeopleConfig, out: Path, clothes: Path, people: list[int], processes: int
) -> Iterator[list[list[object]]]:
    """Rows of the table, person by person, in order."""
    if processes <= 1 or len(people) < 2:
        generator = Generator(config, clothes) if people else None
        for number in people:
            assert generator is not None
            yield _write_person(generator, out, number)
        return
    context = multiprocessing.get_context("spawn")
    start = (config.model_dump(), str(clothes), str(out))
    with ProcessPoolExecutor(min(processes, len(people)), context, _begin, start) as pool:
        try:
            yield from pool.map(_one, people, chunksize=1)
        except BrokenProcessPool as error:
            raise OutputError("a process that made people ended; make fewer at once (--processes 1)") from error


_worker: tuple[Generator, Path] | None = None


def _begin(config: dict[str, Any], clothes: str, out: str) -> None:
    global _worker
    cv2.setNumThreads(1)
    _worker = Generator(PeopleConfig.model_validate(config), Path(clothes)), Path(out)


def _one(number: int) -> list[list[object]]:
    assert _worker is not None
    return _write_person(*_worker, number)


def _write_person(generator: Generator, out: Path, number: int) -> list[list[object]]:
    rows: list[list[object]] = []
    for shot, picture in generator.person(number):
        name = f"{number:04d}_c{shot.camera}s1_{shot.index:06d}_00"
        (out / shot.folder / f"{name}.jpg").write_bytes(picture.jpeg)
        label = cv2.imencode(".png", picture.label)[1]
        (out / "labels" / shot.folder / f"{name}.png").write_bytes(bytes(label))
        values = [f"{picture.yaw:.3f}", picture.whole, *picture.visibility]
        rows.append([f"{shot.folder}/{name}.jpg", number, shot.camera, picture.hidden_by, *values])
    return rows


def _check(out: Path, config: PeopleConfig, clothes: Path) -> None:
    """Make the folder, or make sure that it may be continued."""
    about: dict[str, Any] = {
        "generator": GENERATOR,
        "clothes": fingerprint(clothes),
        "settings": {k: v for k, v in config.model_dump().items() if k not in ("people", "test_people")},
    }
    path = out / _ABOUT
    if path.exists():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            before.pop("licences", None)
        except ValueError as error:
            raise DataError(f"{path}: damaged; choose another folder (--out)") from error
        if before != about:
            changed = [k for k, v in about["settings"].items() if before.get("settings", {}).get(k) != v]
            what = ", ".join(changed) or "another version of the generator or of the clothes"
            raise ConfigError(f"{out}: holds people of other settings ({what}); choose another folder (--out)")
        return
    if out.is_dir() and any(p.name != ".lock" for p in out.iterdir()):
        raise OutputError(f"{out}: is not empty and holds no synthetic people; choose another folder (--out)")
    for folder in ("bounding_box_train", "query", "bounding_box_test"):
        (out / folder).mkdir(parents=True, exist_ok=True)
        (out / "labels" / folder).mkdir(parents=True, exist_ok=True)
        write_parts(out / "labels" / folder, PART_NAMES)
    (out / _TABLE).write_text(",".join(_COLUMNS) + "\n", encoding="utf-8")
    write_json(
        path, about | {"licences": "bodies and clothes: MakeHuman, CC0-1.0; nobody in these pictures ever lived"}
    )


def _kept(out: Path, config: PeopleConfig) -> dict[int, list[list[str]]]:
    """Rows of people who are complete; rows of others are dropped from the table."""
    path = out / _TABLE
    found: dict[int, list[list[str]]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.reader(file):
            if len(row) == len(_COLUMNS) and row[1].isdigit():
                found.setdefault(int(row[1]), []).append(row)
    whole = {number: rows for number, rows in found.items() if len(rows) == len(plan_person(config, number))}
    with path.with_suffix(".part").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow(_COLUMNS)
        for rows in whole.values():
            csv.writer(file).writerows(rows)
    path.with_suffix(".part").replace(path)
    return whole
