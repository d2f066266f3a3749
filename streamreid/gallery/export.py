"""People's corrections and what they are about, as training data: features, pairs, and pictures in Market-1501 names
where they were stored.

| file | what |
|---|---|
| ``features.npz`` | per view: ``parts`` [P, K, D] and ``visibility`` [P, K] float16, ``quality``, ``global_id``, |
| | ``appearance``, ``start``, ``camera`` |
| ``pairs.csv`` | what people said: kind (same, different), two global ids, when |
| ``images/`` | ``PPPP_cCs1_FFFFFF_00.jpg``: person, camera number, appearance; only if the gallery keeps pictures |
| ``manifest.json`` | identities with names and cameras, the engine, numbers of the cameras, which pictures show whom |
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamreid.errors import GalleryError
from streamreid.gallery.copy_registry import EXPORT_MANIFEST, FEATURES, PAIRS, write_arrays
from streamreid.gallery.gallery import Gallery
from streamreid.gallery.permissions import make_folder, make_private
from streamreid.gallery.records import TrackRecord

__all__ = ["export_gallery"]


def export_gallery(
    store: Gallery, folder: Path, ids: Sequence[int] | None = None, *, private: bool = True
) -> dict[str, int]:
    """Write an export and note it in the store, so that who is forgotten is erased in it, too.

    Args:
        store: The gallery.
        folder: A new or empty folder.
        ids: Global ids; None for everybody.
        private: Only the owner can read it (files 0600, folders 0700).

    Returns:
        How many identities, views, pairs and pictures were written.

    Raises:
        GalleryError: The folder holds something, or cannot be written.
    """
    records = store.identities(ids)
    people = [r.global_id for r in records]
    if folder.exists() and any(folder.iterdir()):
        raise GalleryError(f"the export folder '{folder}' is not empty; choose another one")
    try:
        make_folder(folder, private=private)
        if private:
            folder.chmod(0o700)
        appearances = store.track_records(people)
        cameras = {name: number for number, name in enumerate(sorted({a.camera for a in appearances.values()}), 1)}
        views = _views(store, people, {row: (a.start, a.camera) for row, a in appearances.items()})
        write_arrays(folder / FEATURES, views)
        pairs = [c for c in store.constraints() if ids is None or {c.one, c.other} & set(people)]
        lines = ["kind,one,other,stored", *(f"{c.kind},{c.one},{c.other},{c.stored:.3f}" for c in pairs)]
        (folder / PAIRS).write_text("\n".join(lines) + "\n", encoding="utf-8")
        pictures = _pictures(store, folder, appearances, cameras)
        stamp = store.engine()
        manifest: dict[str, Any] = {
            "schema": 1,
            "gallery": store.address,
            "exported": time.time(),
            "engine": None
            if stamp is None
            else {"name": stamp.name, "fingerprint": stamp.fingerprint, "parts": stamp.parts, "dim": stamp.dim},
            "cameras": cameras,
            "identities": [{"global_id": r.global_id, "name": r.name, "cameras": sorted(r.cameras)} for r in records],
            "pictures": pictures,
        }
        (folder / EXPORT_MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise GalleryError(f"the export '{folder}' cannot be written: {error.strerror or error}") from error
    for path in folder.rglob("*"):
        make_private(path, private=private and path.is_file())
    store.note_copy("export", folder, people)
    return {
        "identities": len(records),
        "views": len(views["global_id"]),
        "pairs": len(pairs),
        "pictures": sum(len(names) for names in pictures.values()),
    }


def _pictures(
    store: Gallery, folder: Path, appearances: Mapping[int, TrackRecord], cameras: Mapping[str, int]
) -> dict[str, list[str]]:
    """Write the stored pictures; their names by person."""
    written: dict[str, list[str]] = {}
    for row, data in store.crops(sorted(appearances)).items():
        a = appearances[row]
        name = f"images/{a.global_id:04d}_c{cameras[a.camera]}s1_{row:06d}_00.jpg"
        (folder / "images").mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
        written.setdefault(str(a.global_id), []).append(name)
    return written


def _views(store: Gallery, people: Sequence[int], seen: dict[int, tuple[float, str]]) -> dict[str, Any]:
    stamp = store.engine()
    k, d = (stamp.parts, stamp.dim) if stamp else (1, 1)
    blocks = list(store.prototypes(ids=people))
    rows = np.concatenate([b.track_records for b in blocks]) if blocks else np.zeros(0, np.int64)
    return {
        "parts": np.concatenate(
            [np.zeros((0, k, d), np.float16), *(b.features.parts.astype(np.float16) for b in blocks)]
        ),
        "visibility": np.concatenate(
            [np.zeros((0, k), np.float16), *(b.features.visibility.astype(np.float16) for b in blocks)]
        ),
        "quality": np.concatenate([np.zeros(0, np.float32), *(b.quality for b in blocks)]),
        "global_id": np.concatenate([np.zeros(0, np.int64), *(b.global_ids for b in blocks)]),
        "appearance": rows,
        "start": np.array([seen[r][0] for r in rows.tolist()], np.float64),
        "camera": np.array([seen[r][1] for r in rows.tolist()], np.str_),
    }
