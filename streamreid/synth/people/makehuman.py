"""Where MakeHuman's clothes come from."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from streamreid.errors import DataError, WeightsUnavailableError
from streamreid.weights import cache_folder

__all__ = ["FOLDER_VARIABLE", "clothes_folder", "fingerprint"]

FOLDER_VARIABLE = "STREAMREID_MAKEHUMAN"
"""Environment variable: folder of MakeHuman's clothes, one folder per item."""


def clothes_folder(chosen: Path | None = None) -> Path:
    """The folder of the clothes: the one that is named, that of ``$STREAMREID_MAKEHUMAN``, or the cache's.

    Raises:
        DataError: The folder that is named is not there.
        WeightsUnavailableError: They are not here.
    """
    named = chosen or (Path(text) if (text := os.environ.get(FOLDER_VARIABLE)) else None)
    if named is not None:
        if not named.is_dir():
            raise DataError(f"{named}: no such folder of MakeHuman's clothes (--clothes, ${FOLDER_VARIABLE})")
        return named
    folder = cache_folder() / "synth" / "makehuman"
    if not folder.is_dir():
        raise WeightsUnavailableError(
            f"MakeHuman's clothes are not on this machine; give their folder (--clothes, ${FOLDER_VARIABLE})"
        )
    return folder


def fingerprint(folder: Path) -> str:
    """Of the names and sizes of all clothes."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    listing = "\n".join(f"{p.relative_to(folder).as_posix()} {p.stat().st_size}" for p in files)
    return hashlib.sha256(listing.encode()).hexdigest()[:16]
