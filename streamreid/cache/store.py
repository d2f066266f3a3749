"""Detections and part features of a run as Parquet, so that tracking and association can be done again without looking
at a picture.

    <folder>/manifest.json                     what was run: hashes, settings, engine, frames per part
    <folder>/<camera>/part-00000.parquet       one row per used frame

Columns: order (number of the frame among all cameras, in the order of the run), frame (number in its source), time
(capture time, seconds), clock, width, height (pixels), boxes (xyxy, 4 N values), scores (N), classes (N), looked (rows
of the M people that have features), visibility (M K values), parts (bytes of M K D float32, little-endian; lists of
numbers in caches of schema 2 and 3, which are read four times as slowly), embedded (rows of those whose features the
run used; caches of schema 2 lack it), ignored (xyxy of boxes outside the region of interest, which are
only blurred; older caches lack it), detected (whether the detector looked at the frame; older caches, in which it
always did, lack it), motion (6 values of the affine map from the previous frame, or none for a camera
that stands still). Features are float32: half precision would halve the files, but then a run that is stored would give
other numbers than one that is not.

Parts and manifest appear complete or not at all, and the manifest names the parts, so a killed run leaves a cache of
what it did until then.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from streamreid._folders import FolderLock, Replacement
from streamreid.cache.manifest import MANIFEST, Manifest, read_manifest
from streamreid.errors import DataError, MissingExtraError, OutputError
from streamreid.files import OWNER_ONLY, atomic_write
from streamreid.gallery import make_folder
from streamreid.types import Detections, EmbeddedFrame, FloatArray, Frame, PartFeatures

__all__ = ["CacheWriter", "part_file", "read_frames", "remove_cache"]

_FRAMES = 1024
"""Frames per row group of the Parquet file."""

_VALUES = 16 << 20
"""Feature values per row group: 64 MB of float32, however many people there are."""

_SECONDS = 10.0
"""Seconds after which waiting rows are written, so that a killed run loses no more."""

_NOBODY = Detections.empty()
_EMBEDDED = "embedded"
_IGNORED = "ignored"
_DETECTED = "detected"
_LATER = (_EMBEDDED, _IGNORED, _DETECTED)
"""Columns that caches of older versions lack."""


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet", "Storing or replaying detections and features") from error
    return pyarrow


def _schema(pa: Any, key: str) -> Any:
    whole, real = pa.int32(), pa.float32()
    fields = [
        ("order", pa.int64()),
        ("frame", pa.int64()),
        ("time", pa.float64()),
        ("clock", pa.string()),
        ("width", whole),
        ("height", whole),
    ]
    fields += [
        ("boxes", pa.list_(real)),
        ("scores", pa.list_(real)),
        ("classes", pa.list_(whole)),
        ("looked", pa.list_(whole)),
    ]
    fields += [("visibility", pa.list_(real)), ("parts", pa.binary()), ("motion", pa.list_(real))]
    return pa.schema(
        [*fields, (_EMBEDDED, pa.list_(whole)), (_IGNORED, pa.list_(real)), (_DETECTED, pa.bool_())],
        metadata={"streamreid.cache": key},
    )


def part_file(folder: Path, camera: str, number: int) -> Path:
    """Path of one Parquet file of a camera's rows, numbered from 0."""
    return folder / camera / f"part-{number:05d}.parquet"


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
        self._pa = _pyarrow()
        self._private = private
        self._folder, self._manifest = folder, manifest
        try:
            make_folder(folder, private=private)
        except OSError as error:
            raise OutputError(
                f"cannot make the folder '{folder}': {error.strerror or error}. Choose another folder (--cache)"
            ) from error
        self._lock = FolderLock(folder, name=".cache.lock", option="--cache")
        self._old = Replacement(folder, _cache_files, name=".cache.replaced", option="--cache")
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
        self._schema = _schema(self._pa, manifest.key)
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
            _IGNORED: np.zeros(0, np.float32) if seen.ignored is None else seen.ignored.boxes.ravel(),
            _DETECTED: seen.detected,
            _EMBEDDED: (looked if seen.embedded is None else np.flatnonzero(seen.embedded)).astype(np.int32),
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


def _cache_files(folder: Path) -> list[Path]:
    """What a cache consists of: the manifest first, so that no half of one is ever taken for a whole."""
    return [
        *(p for p in [folder / MANIFEST] if p.exists()),
        *sorted(p for p in folder.glob("*/part-*.parquet") if p.parent.name[0] != "."),
    ]


def remove_cache(folder: Path) -> None:
    """Remove a cache, the manifest first, so that no half of one is ever taken for a whole. Other files in the folder
    stay.

    Raises:
        FolderBusy: A run is storing there.
        OutputError: A file cannot be removed.
    """
    with FolderLock(folder, name=".cache.lock", option="--cache"):
        try:
            for path in sorted(_cache_files(folder), key=lambda p: p.name != MANIFEST):
                path.unlink()
            for inside in sorted(p for p in folder.iterdir() if p.is_dir() and not any(p.iterdir())):
                inside.rmdir()
        except OSError as error:
            raise OutputError(
                f"cannot remove the cache '{folder}': {error.strerror or error}. Change its permissions, then repeat"
            ) from error


def read_frames(folder: Path, manifest: Manifest | None = None) -> Iterator[EmbeddedFrame]:
    """The stored frames of all cameras, in the order of the run. Frames have no image.

    Args:
        folder: The cache.
        manifest: If it was read already.

    Raises:
        DataError: A part is missing, damaged, or of another cache.
        MissingExtraError: pyarrow is not installed.
    """
    manifest = manifest or read_manifest(folder)
    rows = [_camera(folder, manifest, camera) for camera in manifest.cameras]
    for _, seen in heapq.merge(*rows, key=lambda row: row[0]):
        yield seen


def _camera(folder: Path, manifest: Manifest, camera: str) -> Iterator[tuple[int, EmbeddedFrame]]:
    paths = [part_file(folder, camera, number) for number in range(len(manifest.cameras[camera].parts))]
    for path, frames, table in zip(paths, manifest.cameras[camera].parts, _tables(paths, manifest.key), strict=True):
        if table.num_rows != frames:
            raise DataError(
                f"'{path}' has {table.num_rows} frames, the manifest says {frames}. Store the run again with --cache"
            )
        try:
            yield from _rows(table, camera, (len(manifest.engine.parts), manifest.engine.dim))
        except (ValueError, IndexError) as error:
            raise DataError(
                f"'{path}' does not hold what its manifest says: {error}. Store the run again with --cache"
            ) from error


def _tables(paths: list[Path], key: str) -> Iterator[Any]:
    """The parts, each read while the one before is worked on."""
    with ThreadPoolExecutor(1, thread_name_prefix="cache") as reader:
        ahead = reader.submit(_read, paths[0], key) if paths else None
        for path in [*paths[1:], None]:
            if ahead is None:
                return
            table = ahead.result()
            ahead = reader.submit(_read, path, key) if path is not None else None
            yield table
            del table


def _read(path: Path, key: str) -> Any:
    pa = _pyarrow()
    try:
        table = pa.parquet.ParquetFile(path, memory_map=True, pre_buffer=False).read(use_threads=False)
    except FileNotFoundError:
        raise DataError(f"'{path}' is missing, so the cache is not whole. Store the run again with --cache") from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"'{path}' is damaged: {error}. Store the run again with --cache") from None
    found = (table.schema.metadata or {}).get(b"streamreid.cache", b"").decode()
    names = _schema(pa, key).names
    if found != key or not set(names) - set(_LATER) <= set(table.schema.names) <= set(names):
        raise DataError(
            f"'{path}' belongs to another cache (hash {found[:16] or 'none'}, expected {key[:16]}). Store the run "
            "again with --cache"
        )
    return table


class _Lists:
    """A column of lists, of each as many arrays of one shape as its frame has people.

    Args:
        column: Of lists of numbers, or of bytes that hold float32.
        shape: Of what belongs to one: (4,) of a box.
    """

    def __init__(self, column: Any, *shape: int) -> None:
        array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()  # which copies even a single one
        if hasattr(array, "values"):
            values, ends = array.values.to_numpy(), array.offsets.to_numpy()
        else:
            _, offsets, data = array.buffers()
            ends = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1] // 4
            values = np.frombuffer(data or b"", np.float32)
        whole, rest = np.divmod(ends, prod(shape))
        if rest.any():
            raise ValueError(f"{int(ends[-1])} values do not make arrays of shape {shape}")
        self.ends: list[int] = whole.tolist()
        self.values: Any = values[: ends[-1]].reshape(-1, *shape)

    def __getitem__(self, row: int) -> Any:
        return self.values[self.ends[row] : self.ends[row + 1]]


def _rows(table: Any, camera: str, shape: tuple[int, int]) -> Iterator[tuple[int, EmbeddedFrame]]:
    plain = [table[name].to_pylist() for name in ("order", "frame", "time", "clock", "width", "height")]
    boxes, scores = _Lists(table["boxes"], 4), _Lists(table["scores"])
    classes, looked = _Lists(table["classes"]), _Lists(table["looked"])
    visibility, parts = _Lists(table["visibility"], shape[0]), _Lists(table["parts"], *shape)
    motion = _Lists(table["motion"])
    classes.values = classes.values.astype(np.int64)
    known = table.schema.names
    ignored = _Lists(table[_IGNORED], 4) if _IGNORED in known else None
    embedded = _marked(_Lists(table[_EMBEDDED]), scores) if _EMBEDDED in known else None
    detected = table[_DETECTED].to_pylist() if _DETECTED in known else [True] * table.num_rows
    for row, (order, number, at, clock, width, height) in enumerate(zip(*plain, strict=True)):
        people = Detections(boxes[row], scores[row], classes[row])
        features, seen = PartFeatures(parts[row], visibility[row]), looked[row]
        if len(seen) < len(people):
            everybody = PartFeatures.unseen(len(people), *shape)
            everybody.visibility[seen], everybody.parts[seen] = features.visibility, features.parts
            features = everybody
        moved = motion[row]
        yield (
            order,
            EmbeddedFrame(
                Frame.without_image(camera, number, at, size=(width, height), clock=clock),
                people,
                features,
                moved.reshape(2, 3) if len(moved) else None,
                None if embedded is None else embedded[row],
                None if ignored is None else _without_scores(ignored[row]),
                detected[row],
            ),
        )


def _without_scores(boxes: FloatArray) -> Detections:
    return Detections.from_arrays(boxes) if len(boxes) else _NOBODY


def _marked(rows: _Lists, people: _Lists) -> _Lists:
    """A mask over ``people`` for each frame in the place of the numbers of some of them."""
    mask = np.zeros(people.ends[-1], bool)
    begin = np.repeat(people.ends[:-1], np.diff(rows.ends))
    mask[begin + rows.values] = True
    rows.values, rows.ends = mask, people.ends
    return rows
