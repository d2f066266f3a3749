"""Where MakeHuman's clothes, shoes, hair and skins come from (CC0-1.0): a folder, or fetched once, each file with its
checksum."""

from __future__ import annotations

import csv
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import cv2

from streamreid._download import DownloadError, ProgressFunction, download_url
from streamreid._startup import starting
from streamreid.errors import DataError, WeightsError, WeightsUnavailableError
from streamreid.files import atomic_write
from streamreid.synth.people.assets import read_texture
from streamreid.weights import cache_folder, offline_only, sha256_file

__all__ = ["FOLDER_VARIABLE", "clothes_folder", "fingerprint"]

FOLDER_VARIABLE = "STREAMREID_MAKEHUMAN"
"""Environment variable: folder of MakeHuman's clothes, one folder per item."""

_PUBLISHED = "https://github.com/makehumancommunity/makehuman-assets"
_MESHES = "https://raw.githubusercontent.com/makehumancommunity/makehuman-assets/master/base/"
_TEXTURES = "https://media.githubusercontent.com/media/makehumancommunity/makehuman-assets/master/base/"
"""Pictures lie in Git LFS, which has addresses of its own."""

Downloader = Callable[[str, Path, ProgressFunction], Path]
"""Brings the file of an address into a folder and returns its path."""


@dataclass(frozen=True, slots=True)
class _File:
    """A file of the clothes.

    Args:
        name: Path below the folder of the clothes.
        origin: Path below ``base`` where it is published.
        size: Bytes, as published.
        sha256: Checksum as published, hexadecimal.
    """

    name: str
    origin: str
    size: int
    sha256: str

    @property
    def is_texture(self) -> bool:
        return self.name.endswith(".png")

    @property
    def url(self) -> str:
        return (_TEXTURES if self.is_texture else _MESHES) + self.origin


def clothes_folder(chosen: Path | None = None, *, downloader: Downloader = download_url) -> Path:
    """The folder of the clothes: the one that is named, that of ``$STREAMREID_MAKEHUMAN``, or the cache's, into which
    what is missing is fetched (about 150 MB once; textures are kept at 512 x 512 pixels, 25 MB in all).

    Args:
        chosen: The folder that is named.
        downloader: Brings files instead of https.

    Raises:
        DataError: The folder that is named is not there.
        WeightsError: What was fetched has another checksum.
        WeightsUnavailableError: They are not here and cannot be fetched.
    """
    named = chosen or (Path(text) if (text := os.environ.get(FOLDER_VARIABLE)) else None)
    if named is not None:
        if not named.is_dir():
            raise DataError(f"{named}: no such folder of MakeHuman's clothes (--clothes, ${FOLDER_VARIABLE})")
        return named
    folder = cache_folder() / "synth" / "makehuman"
    missing = [f for f in _published() if not (folder / f.name).is_file()]
    if missing:
        _fetch(missing, folder, downloader)
    return folder


def fingerprint(folder: Path) -> str:
    """Of the names and sizes of all clothes."""
    found = sorted(p for p in folder.rglob("*") if p.is_file())
    listing = "\n".join(f"{p.relative_to(folder).as_posix()} {p.stat().st_size}" for p in found)
    return hashlib.sha256(listing.encode()).hexdigest()[:16]


def _published() -> list[_File]:
    text = (files("streamreid.synth.people") / "makehuman_files.csv").read_text(encoding="utf-8")
    return [_File(r["file"], r["origin"], int(r["bytes"]), r["sha256"]) for r in csv.DictReader(text.splitlines())]


def _fetch(missing: list[_File], folder: Path, downloader: Downloader) -> None:
    """Fetch files one by one; each is in its place as soon as it is here, so that an interrupted fetch goes on."""
    needed = f"MakeHuman's clothes (CC0-1.0; {len(missing)} files, {sum(f.size for f in missing) / 1e6:.0f} MB)"
    where = f"or give their folder (--clothes, ${FOLDER_VARIABLE})"
    if offline_only():
        raise WeightsUnavailableError(f"{needed}: fetching is switched off (offline); fetch them elsewhere, {where}")
    print(f"{needed} are fetched from {_PUBLISHED} into {folder}", file=sys.stderr)
    for number, file in enumerate(missing, 1):
        try:
            with starting(f"fetching MakeHuman's clothes, file {number} of {len(missing)}"):
                _bring(file, folder / file.name, downloader)
        except DownloadError as error:
            raise WeightsUnavailableError(f"{needed}: {error}; try again later, {where}") from error


def _bring(file: _File, path: Path, downloader: Downloader) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=path.parent) as temporary:
            brought = downloader(file.url, Path(temporary), lambda done, total: None)
            if (found := sha256_file(brought)) != file.sha256:
                raise WeightsError(
                    f"{file.url}: what was fetched has a wrong checksum: expected sha256 {file.sha256}, found {found}. "
                    f"It was not kept. Give a folder of MakeHuman's clothes instead (--clothes, ${FOLDER_VARIABLE})"
                )
            with atomic_write(path, part=Path(temporary) / f"part{path.suffix}") as part:
                if file.is_texture:
                    cv2.imwrite(str(part), read_texture(brought))
                else:
                    part.write_bytes(brought.read_bytes())
    except OSError as error:
        raise DownloadError(
            f"{path}: cannot be written ({error.strerror or error}); choose another folder with STREAMREID_CACHE"
        ) from None
