"""Writes a run's detections and part features; `streamreid.cache.layout` says what is where."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from streamreid._folders import FolderLock, Replacement
from streamreid.cache.layout import DETECTED, EMBEDDED, IGNORED, cache_files, part_file, pyarrow, schema
from streamreid.cache.manifest import MANIFEST, Manifest
from streamreid.errors import DataError, OutputError
from streamreid.files import OWNER_ONLY, atomic_write
from streamreid.gallery import make_folder
from streamreid.types import EmbeddedFrame

__all__ = ["CacheWriter", "remove_cache"]

_FRAMES = 1024
"""Frames per row group of the Parquet file."""

_VALUES = 16 << 20
"""Feature values per row group: 64 MB of float32, however many people there are."""

_SECONDS = 10.0
"""Seconds after which waiting rows are written, so that a killed run loses no more."""


class CacheWriter:
    """Stores frames as they are followed.

    Args:
        folder: Made if needed, and locked until `close`.
        manifest: What is run.
        overwrite: Replace the cache in the folder, once there are frames to be stored.
        private: Only the owner can read it (files 0600, folders that are made for it 0700).

    Raises:
        DataError: The folder holds a cache already.
        FolderBusy: Another process stores a cache there.
        OutputError: It cannot be written.
        MissingExtraError: pyarrow is not installed.
    """

    def __init__(self, folder: Path, manifest: Manifest, *, overwrite: bool = False, private: bool = True) -> None:
        self._pa = pyarrow()
        self._private = private
        self._folder, self._manifest = folder, manifest
        try:
            make_folder(folder, private=private)
        except OSError as error:
            raise OutputError(
                f"cannot make the folder '{folder}': {error.strerror or error}. Choose another folder (--cache)"
            ) from error
        self._lock = FolderLock(folder, name=".cache.lock", option="--cache")
        self._old = Replacement(folder, cache_files, name=".cache.replaced", option="--cache")
        self._lock.__enter__()
        try:
            self._old.recover()
            if (folder / MANIFEST).exists() and not overwrite:
                raise DataError(
                    f"'{folder}' holds a cache already; pass --overwrite to replace it or choose another folder "
                    "(--cache)"
                )
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        self._schema = schema(self._pa, manifest.key)
        self._waiting: dict[str, list[dict[str, Any]]] = {}
        self._frames = self._values = self._order = 0
        self._closed = False
        self._flushed = time.monotonic()
        self._replacing = overwrite and (folder / MANIFEST).exists()
        if not self._replacing:
            self._guarded(lambda: self._save(manifest))

    def write(self, seen: EmbeddedFrame) -> None:
        """Take one frame; parts are written every 1024 frames, 64 MiB of features or 10 s of wall time.

        Raises:
            OutputError: They cannot be written; what was stored before is kept, and the cache is closed.
        """
        if self._closed:
            return
        frame, found, features = seen.frame, seen.detections, seen.features
        looked = np.flatnonzero(features.visibility.any(1))
        row = {
            "order": self._order,
            "frame": frame.index,
            "time": float(frame.time),
            "clock": frame.clock,
            "width": frame.size[0],
            "height": frame.size[1],
            "boxes": found.boxes.ravel(),
            "scores": found.scores,
            "classes": found.classes.astype(np.int32),
            "looked": looked.astype(np.int32),
            "visibility": features.visibility[looked].ravel(),
            "parts": features.parts[looked].ravel(),
            IGNORED: np.zeros(0, np.float32) if seen.ignored is None else seen.ignored.boxes.ravel(),
            DETECTED: seen.detected,
            EMBEDDED: (looked if seen.embedded is None else np.flatnonzero(seen.embedded)).astype(np.int32),
            "motion": np.zeros(0, np.float32) if seen.motion is None else seen.motion.ravel(),
        }
        self._waiting.setdefault(frame.camera, []).append(row)
        self._order += 1
        self._frames += 1
        self._values += len(looked) * features.parts[0].size if len(looked) else 0
        if self._frames >= _FRAMES or self._values >= _VALUES or time.monotonic() - self._flushed >= _SECONDS:
            self._guarded(self._flush)

    def _guarded(self, action: Callable[[], None]) -> None:
        """Do something; an error closes the cache, and brings one back that was to be replaced."""
        try:
            action()
        except BaseException:
            self._closed = True
            try:
                self._old.restore()
            finally:
                self._lock.__exit__(None, None, None)
            raise

    def _flush(self) -> None:
        """All cameras together, so that what is left after a kill ends at one moment."""
        if self._replacing:
            self._replacing = False
            self._old.begin()
        cameras = dict(self._manifest.cameras)
        for camera, rows in self._waiting.items():
            mark = cameras[camera]
            self._write_part(part_file(self._folder, camera, len(mark.parts)), rows)
            cameras[camera] = mark.model_copy(update={"parts": (*mark.parts, len(rows))})
        self._manifest = self._manifest.model_copy(update={"cameras": cameras})
        self._save(self._manifest)
        self._old.commit()
        self._waiting, self._frames, self._values, self._flushed = {}, 0, 0, time.monotonic()

    def _write_part(self, path: Path, rows: list[dict[str, Any]]) -> None:
        pa = self._pa
        columns = []
        for field in self._schema:
            values = [row[field.name] for row in rows]
            if pa.types.is_binary(field.type):
                columns.append(pa.array([v.tobytes() for v in values], field.type))
                continue
            if not pa.types.is_list(field.type):
                columns.append(pa.array(values, field.type))
                continue
            ends = np.cumsum([0, *(len(v) for v in values)], dtype=np.int32)
            flat = pa.array(np.concatenate(values), field.type.value_type)
            columns.append(pa.ListArray.from_arrays(pa.array(ends), flat).cast(field.type))
        try:
            make_folder(path.parent, private=self._private)
            table = pa.Table.from_arrays(columns, schema=self._schema)
            # Features look random: packing them costs time and saves nothing.
            paths = {f.name: f"{f.name}.list.element" if pa.types.is_list(f.type) else f.name for f in self._schema}
            packing = {place: "none" if name == "parts" else "zstd" for name, place in paths.items()}
            with atomic_write(
                path, part=path.with_name(f".{path.name}.part"), mode=OWNER_ONLY if self._private else None
            ) as part:
                pa.parquet.write_table(table, part, compression=packing, use_dictionary=["clock"])
        except OSError as error:
            raise OutputError(
                f"cannot write '{path}': {error.strerror or error}. Free space or choose another folder (--cache)"
            ) from error

    def _save(self, manifest: Manifest) -> None:
        path = self._folder / MANIFEST
        try:
            make_folder(self._folder, private=self._private)
            with atomic_write(
                path, part=path.with_name(f".{path.name}.part"), mode=OWNER_ONLY if self._private else None
            ) as part:
                part.write_text(manifest.model_dump_json(indent=2, by_alias=True) + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(
                f"cannot write the cache '{self._folder}': {error.strerror or error}. Choose another folder (--cache)"
            ) from error

    def close(self, errors: Mapping[str, str | None], *, complete: bool) -> None:
        """Write what is waiting; again is harmless. A cache that was to be replaced stays where no frame came.

        Args:
            errors: Why cameras failed.
            complete: Whether the run came to its end.

        Raises:
            OutputError: It cannot be written.
        """
        if self._closed:
            return
        self._closed = True
        if self._replacing and not self._waiting:
            self._lock.__exit__(None, None, None)
            return
        cameras = {
            name: mark.model_copy(update={"error": errors.get(name)}) for name, mark in self._manifest.cameras.items()
        }
        self._manifest = self._manifest.model_copy(update={"complete": complete, "cameras": cameras})
        self._guarded(self._flush)
        self._lock.__exit__(None, None, None)


def remove_cache(folder: Path) -> None:
    """Remove a cache, the manifest first, so that no half of one is ever taken for a whole. Other files in the folder
    stay.

    Raises:
        FolderBusy: A run is storing there.
        OutputError: A file cannot be removed.
    """
    with FolderLock(folder, name=".cache.lock", option="--cache"):
        try:
            for path in sorted(cache_files(folder), key=lambda p: p.name != MANIFEST):
                path.unlink()
            for inside in sorted(p for p in folder.iterdir() if p.is_dir() and not any(p.iterdir())):
                inside.rmdir()
        except OSError as error:
            raise OutputError(
                f"cannot remove the cache '{folder}': {error.strerror or error}. Change its permissions, then repeat"
            ) from error
