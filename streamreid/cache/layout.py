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

from pathlib import Path
from typing import Any

from streamreid.cache.manifest import MANIFEST
from streamreid.errors import MissingExtraError

__all__ = ["DETECTED", "EMBEDDED", "IGNORED", "LATER", "cache_files", "part_file", "pyarrow", "schema"]

EMBEDDED = "embedded"
IGNORED = "ignored"
DETECTED = "detected"
LATER = (EMBEDDED, IGNORED, DETECTED)
"""Columns that caches of older versions lack."""


def pyarrow() -> Any:
    """The package, with its Parquet part.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet", "Storing or replaying detections and features") from error
    return pa


def schema(pa: Any, key: str) -> Any:
    """The columns of a part, with the key of its cache."""
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
        [*fields, (EMBEDDED, pa.list_(whole)), (IGNORED, pa.list_(real)), (DETECTED, pa.bool_())],
        metadata={"streamreid.cache": key},
    )


def part_file(folder: Path, camera: str, number: int) -> Path:
    """Path of one Parquet file of a camera's rows, numbered from 0."""
    return folder / camera / f"part-{number:05d}.parquet"


def cache_files(folder: Path) -> list[Path]:
    """What a cache consists of: the manifest first, so that no half of one is ever taken for a whole."""
    return [
        *(p for p in [folder / MANIFEST] if p.exists()),
        *sorted(p for p in folder.glob("*/part-*.parquet") if p.parent.name[0] != "."),
    ]
