"""The table of all people in all frames as Parquet (extra ``parquet``).

Columns: camera, frame (from 0), time (capture time, seconds), clock, left, top, width, height (pixels), score, track_id, global_id (as
believed when the row was written; null if not decided yet), link_probability, visibility (list, per part), final_global_id (as believed
when the run ended; null in the parts of an unfinished run). Events are in the JSON lines.

During the run, complete files ``part-00000.parquet``, ... appear in ``<path>.parts/``, so a killed run leaves a readable table
(``pyarrow.parquet.read_table("<path>.parts")``); when the run ends they are merged into ``<path>`` and removed.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from streamreid.errors import MissingExtraError
from streamreid.sinks.base import FinalIdentities, SinkContext, ltwh, write_failed
from streamreid.types import FrameResult, IdentityEvent

__all__ = ["ParquetSink"]

_ROWS = 20_000
_SECONDS = 10.0
_GROUP_ROWS = 100_000


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet", "Writing Parquet") from error
    return pyarrow


def _schema(pa: Any) -> Any:
    name = pa.dictionary(pa.int32(), pa.string())
    whole, real = pa.int64(), pa.float32()
    fields = [("camera", name), ("frame", whole), ("time", pa.float64()), ("clock", name)]
    fields += [(side, real) for side in ("left", "top", "width", "height")]
    fields += [("score", real), ("track_id", whole), ("global_id", whole), ("link_probability", real)]
    return pa.schema([*fields, ("visibility", pa.list_(real)), ("final_global_id", whole)])


class ParquetSink(SinkContext):
    """Writes the table of this module.

    Args:
        path: The file written at the end; parts go to the folder ``<path>.parts`` until then.

    Raises:
        MissingExtraError: pyarrow is not installed.
        OutputError: The folder is not writable.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.parts = self.path.with_name(self.path.name + ".parts")
        self._pa = _pyarrow()
        self._schema = _schema(self._pa)
        self._frames: list[dict[str, Any]] = []
        self._rows = self._count = 0
        self._closed = False
        self._flushed = time.monotonic()
        try:
            shutil.rmtree(self.parts, ignore_errors=True)
            self.parts.mkdir(parents=True)
        except OSError as error:
            raise write_failed(self.parts, error) from error

    def write(self, result: FrameResult) -> None:
        """Take one frame's people; a part is written every 10 s of wall time or 20,000 rows."""
        tracks, frame, n = result.tracks, result.frame, len(result.tracks)
        if n:
            box = ltwh(tracks.boxes).astype(np.float32)
            self._frames.append(
                {
                    "camera": [frame.camera] * n,
                    "frame": np.full(n, frame.index),
                    "time": np.full(n, float(frame.time)),
                    "clock": [frame.clock] * n,
                    **{side: box[:, i] for i, side in enumerate(("left", "top", "width", "height"))},
                    "score": tracks.scores,
                    "track_id": tracks.ids,
                    "global_id": result.global_ids,
                    "link_probability": result.probabilities,
                    "undecided": result.global_ids == 0,
                    "visibility": list(result.visibility),
                }
            )
            self._rows += n
        if self._rows >= _ROWS or (self._rows and time.monotonic() - self._flushed >= _SECONDS):
            self._flush()

    def event(self, event: IdentityEvent) -> None:
        """Events are not part of this table."""

    def _flush(self) -> None:
        pa, path = self._pa, self.parts / f"part-{self._count:05d}.parquet"
        columns = []
        for field in self._schema:
            if field.name == "final_global_id":
                columns.append(pa.nulls(self._rows, field.type))
            elif field.name in ("global_id", "link_probability"):
                unknown = np.concatenate([f["undecided"] for f in self._frames])
                values = np.concatenate([f[field.name] for f in self._frames])
                columns.append(pa.array(values, field.type, mask=unknown))
            elif field.name in ("camera", "clock", "visibility"):
                columns.append(pa.array([v for f in self._frames for v in f[field.name]], field.type))
            else:
                columns.append(pa.array(np.concatenate([f[field.name] for f in self._frames]), field.type))
        part = path.with_name(f".{path.name}.part")  # a leading dot keeps readers of the folder away from it
        try:
            pa.parquet.write_table(pa.Table.from_arrays(columns, schema=self._schema), part)
            os.replace(part, path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise write_failed(path, error) from error
        self._frames, self._rows, self._count, self._flushed = [], 0, self._count + 1, time.monotonic()

    def close(self, identities: FinalIdentities) -> None:
        """Merge the parts into the file, with the final identities."""
        if self._closed:
            return
        self.abort()
        part = self.path.with_name(self.path.name + ".part")
        try:
            self._merge(part, identities)
            os.replace(part, self.path)
        except OSError as error:
            raise write_failed(self.path, error) from error
        finally:
            part.unlink(missing_ok=True)
        shutil.rmtree(self.parts, ignore_errors=True)

    def _merge(self, path: Path, identities: FinalIdentities) -> None:
        pa = self._pa
        waiting: list[Any] = []
        with pa.parquet.ParquetWriter(path, self._schema) as writer:
            for file in sorted(self.parts.glob("part-*.parquet")):
                waiting.append(self._with_final(pa.parquet.ParquetFile(file).read(), identities))
                if sum(table.num_rows for table in waiting) >= _GROUP_ROWS:
                    writer.write_table(pa.concat_tables(waiting))
                    waiting = []
            if waiting:
                writer.write_table(pa.concat_tables(waiting))

    def _with_final(self, table: Any, identities: FinalIdentities) -> Any:
        pairs = zip(table["camera"].to_pylist(), table["track_id"].to_pylist(), strict=True)
        final = [identities.get(pair, (0, 0.0))[0] or None for pair in pairs]
        column = self._schema.get_field_index("final_global_id")
        return table.set_column(column, self._schema.field(column), self._pa.array(final, self._pa.int64())).cast(self._schema)

    def abort(self) -> None:
        """Write what is waiting as a last part and leave the parts."""
        if not self._closed:
            self._closed = True
            if self._rows:
                self._flush()
