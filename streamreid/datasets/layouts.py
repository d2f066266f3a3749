"""How ReID datasets lay out their folders and name their files.

``market``: one folder, names begin with person and camera (``0002_c1s1_000451_03.jpg``); Market-1501, DukeMTMC-reID,
Occluded-Duke, CUHK in that form, own crops. ``msmt17``: a folder per person, ``0000_000_01_0303morning_0015_0.jpg``
(person, number, camera). ``cuhk03``: one folder, ``1_001_1_01.png`` (camera pair, person, view, number), as the
original release is usually unpacked (``images_labeled``, ``images_detected``); people of different pairs are different
people. CUHK03-NP has Market-1501 names. ``tracks``: what `streamreid run` saved under ``output.crops``:
``RUN/CAMERA/TRACK_FRAME.jpg`` and ``RUN/identities.csv``. ``occluded_reid``: ``occluded_body_images`` (camera 0) and
``whole_body_images`` (camera 1), a folder per person, ``001_01.tif``. ``p_dukemtmc``: the same two folders inside
``train`` or ``test``; names begin with the person. The two cameras of the last two exist so that the same-camera rule
never removes a true match.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Literal, NamedTuple

from streamreid.datasets.market1501 import JUNK, parse_name
from streamreid.errors import DataError
from streamreid.media import PICTURE_SUFFIXES, is_picture

__all__ = ["Layout", "Named", "list_pictures", "list_pictures_of"]

Layout = Literal["market", "msmt17", "cuhk03", "occluded_reid", "p_dukemtmc", "tracks"]

_MSMT = re.compile(r"^(\d+)_\d+_(\d+)_")
_CUHK = re.compile(r"^(\d+)_(\d+)_(\d+)_\d+")
_TRACK = re.compile(r"^(\d+)_(\d+)")
_PERSON = re.compile(r"^(\d+)_")


class Named(NamedTuple):
    """A picture whose name was read.

    Attributes:
        path: The file.
        person: Person number.
        camera: Camera number.
    """

    path: Path
    person: int
    camera: int


def list_pictures(folder: str | Path, layout: Layout = "market") -> list[Named]:
    """Read the names of a folder, sorted by path; person -1 (junk in Market-1501) is left out.

    Raises:
        DataError: The folder is missing or holds no pictures, or a name does not fit the layout.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of person pictures")
    read = {
        "market": _market,
        "msmt17": _msmt17,
        "cuhk03": _cuhk03,
        "occluded_reid": _two_folders,
        "p_dukemtmc": _two_folders,
        "tracks": _tracks,
    }[layout]
    found = read(folder)
    if not found:
        raise DataError(f"{folder}: holds no pictures in the layout '{layout}' ({', '.join(sorted(PICTURE_SUFFIXES))})")
    return [n for n in found if n.person != JUNK]


def list_pictures_of(table: str | Path, folder: str | Path) -> list[Named]:
    """Pictures that a list of MSMT17 names (``list_query.txt``: ``0000/0000_000_01_0303morning_0015_0.jpg 0`` per
    line).

    Args:
        table: The list.
        folder: What its paths start from (``test``, ``mask_test_v2``).

    Raises:
        DataError: The list or a picture is missing, or a name does not fit.
    """
    table, folder = Path(table), Path(folder)
    if not table.is_file():
        raise DataError(f"{table}: no such list of pictures")
    paths = [folder / line.split()[0] for line in table.read_text(encoding="utf-8").splitlines() if line.strip()]
    for path in paths:
        if not path.is_file():
            raise DataError(f"{table}: names {path}, which does not exist")
    if not paths:
        raise DataError(f"{table}: names no pictures")
    return [_person_camera(p, _MSMT, "0000_000_01_") for p in paths]


def _market(folder: Path) -> list[Named]:
    paths = sorted(p for p in folder.iterdir() if is_picture(p))
    found = []
    for path in paths:
        read = parse_name(path.name)
        if read is None:
            raise _misnamed(path, "0002_c1")
        found.append(Named(path, *read))
    return found


def _msmt17(folder: Path) -> list[Named]:
    paths = sorted(p for p in folder.glob("*/*") if is_picture(p))
    return [_person_camera(p, _MSMT, "0000_000_01_") for p in paths]


def _person_camera(path: Path, pattern: re.Pattern[str], example: str) -> Named:
    match = _match(path, pattern, example)
    return Named(path, int(match[1]), int(match[2]))


def _cuhk03(folder: Path) -> list[Named]:
    found = []
    for path in sorted(p for p in folder.iterdir() if is_picture(p)):
        pair, person, view = (int(v) for v in _match(path, _CUHK, "1_001_1_01").groups())
        found.append(Named(path, pair * 10_000 + person, 2 * (pair - 1) + view))
    return found


def _tracks(folder: Path) -> list[Named]:
    """Pictures of tracks whose identity is known; persons are numbered over all runs, cameras by name."""
    people: dict[tuple[str, str], int] = {}
    who: dict[tuple[Path, int], int] = {}
    for table in sorted(folder.glob("*/identities.csv")):
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                try:
                    track = (table.parent / row["camera"], int(row["track"]))
                    who[track] = people.setdefault((row["scope"], row["global_id"]), len(people))
                except (KeyError, TypeError, ValueError) as error:
                    raise DataError(f"{table}: not written by streamreid run ({error})") from error
    if not who:
        raise DataError(
            f"{folder}: no run with an identities.csv; save crops with: streamreid run ... --set output.crops=true"
        )
    names = sorted({camera.name for camera, _ in who})
    found = []
    for path in sorted(p for p in folder.glob("*/*/*") if is_picture(p)):
        person = who.get((path.parent, int(_match(path, _TRACK, "000001_00000001")[1])))
        if person is not None:
            found.append(Named(path, person, names.index(path.parent.name)))
    return found


def _two_folders(folder: Path) -> list[Named]:
    found: list[Named] = []
    for camera, name in enumerate(("occluded_body_images", "whole_body_images")):
        paths = sorted(p for p in (folder / name).glob("*/*") if is_picture(p))
        found += [Named(p, int(_match(p, _PERSON, "001_")[1]), camera) for p in paths]
    return found


def _match(path: Path, pattern: re.Pattern[str], example: str) -> re.Match[str]:
    match = pattern.match(path.name)
    if match is None:
        raise _misnamed(path, example)
    return match


def _misnamed(path: Path, example: str) -> DataError:
    return DataError(f"{path}: the name does not begin like {example}; rename or remove it, or choose another layout")
