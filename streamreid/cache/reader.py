"""Reads what a run stored: frames without pictures, in the order of the run."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from streamreid.cache.layout import DETECTED, EMBEDDED, IGNORED, LATER, part_file, pyarrow, schema
from streamreid.cache.manifest import Manifest, read_manifest
from streamreid.errors import DataError
from streamreid.types import Detections, EmbeddedFrame, FloatArray, Frame, PartFeatures

__all__ = ["read_frames"]

_NOBODY = Detections.empty()


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
    pa = pyarrow()
    try:
        table = pa.parquet.ParquetFile(path, memory_map=True, pre_buffer=False).read(use_threads=False)
    except FileNotFoundError:
        raise DataError(f"'{path}' is missing, so the cache is not whole. Store the run again with --cache") from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"'{path}' is damaged: {error}. Store the run again with --cache") from None
    found = (table.schema.metadata or {}).get(b"streamreid.cache", b"").decode()
    names = schema(pa, key).names
    if found != key or not set(names) - set(LATER) <= set(table.schema.names) <= set(names):
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
    ignored = _Lists(table[IGNORED], 4) if IGNORED in known else None
    embedded = _marked(_Lists(table[EMBEDDED]), scores) if EMBEDDED in known else None
    detected = table[DETECTED].to_pylist() if DETECTED in known else [True] * table.num_rows
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
