"""The table of all people in all frames as Parquet (extra ``parquet``).

Columns: camera, frame (from 0), time (capture time, seconds), clock, left, top, width, height (pixels), score,
track_id, global_id (as believed when the row was written; null if not decided yet), link_probability, visibility (list,
per part), final_global_id (as believed when the run ended; null in the parts of an unfinished recording. Live runs: as
believed when the run ended, or, in what is older than an hour, when its part was merged last; null for a track that had
no identity then), world_x and world_y (metres on the ground; null where they are not known, as in cameras without
calibration). Events are in the JSON lines.

Every second a complete file ``part-....parquet`` appears in ``<path>.parts/``, so a killed run leaves a readable table
but for its last second (``pyarrow.parquet.read_table("<path>.parts")``); sixty parts become one, and sixty of those
again. When the run ends they are merged into ``<path>`` and removed. Live runs, which may go on for months and in
several segments, stay parts: ``<path>`` is then the folder itself, which every Parquet reader takes for a table.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from streamreid._threads import Thread
from streamreid.errors import MissingExtraError, OutputError
from streamreid.files import atomic_write
from streamreid.sinks.base import FinalIdentities, SinkContext, ltwh, write_failed
from streamreid.sinks.parquet_parts import PartFolder
from streamreid.types import FrameResult, IdentityEvent

__all__ = ["ParquetSink"]

_ROWS = 20_000
"""Rows that are written at once."""

_SECONDS = 1.0
"""Seconds after which fewer are written."""

_GROUP_ROWS = 100_000
"""Rows per row group of the final file."""

_PATIENCE = 2.0
"""Seconds for writing final identities into the parts of a live run that ends: an hour of ten busy cameras."""


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
    return pa.schema(
        [*fields, ("visibility", pa.list_(real)), ("final_global_id", whole), ("world_x", real), ("world_y", real)]
    )


class ParquetSink(SinkContext):
    """Writes the table of this module, in a thread of its own.

    Args:
        path: The file written at the end; parts go to the folder ``<path>.parts`` until then.
        append: A live run: ``path`` is a folder of parts, to which further runs add theirs.
        believed: Who is who at present; may be asked from any thread. Without it, parts hold what was believed when
            each row was written.

    Raises:
        MissingExtraError: pyarrow is not installed.
        OutputError: The folder is not writable.
    """

    output = "parquet"

    def __init__(
        self, path: Path | str, *, append: bool = False, believed: Callable[[], FinalIdentities] | None = None
    ) -> None:
        self._believed = believed or FinalIdentities
        self._settled: dict[tuple[str, int], int] = {}
        self.path = Path(path)
        self.parts = self.path if append else self.path.with_name(self.path.name + ".parts")
        self._append = append
        self._pa = _pyarrow()
        self._schema = _schema(self._pa)
        self._frames: list[dict[str, Any]] = []
        self._rows = 0
        self._closed = False
        self._error: OutputError | None = None
        self._changed = threading.Condition()
        try:
            if not append:
                shutil.rmtree(self.parts, ignore_errors=True)
            self._folder = PartFolder(self.parts, self._pa)
        except OSError as error:
            raise write_failed(self.parts, error) from error
        self._thread: threading.Thread | None = None
        self._start()

    def _start(self) -> None:
        """Begin to write in a thread of its own; where there is none, the next frame tries again."""
        thread = Thread(target=self._run, name="parquet", daemon=True)
        with suppress(RuntimeError):
            thread.start()
            self._thread = thread

    def write(self, result: FrameResult) -> None:
        """Take one frame's people; a part is written every second of wall time or 20,000 rows.

        Raises:
            OutputError: An earlier part could not be written.
        """
        self._raise()
        if self._thread is None:
            self._start()
        tracks, frame, n = result.tracks, result.frame, len(result.tracks)
        if not n:
            return
        box = ltwh(tracks.boxes).astype(np.float32)
        world = np.full((n, 2), np.nan, np.float32) if result.world is None else result.world
        columns = {
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
            "world_x": world[:, 0],
            "world_y": world[:, 1],
        }
        with self._changed:
            # A disk that is slower than the results holds the run up here, instead of filling the memory.
            self._changed.wait_for(lambda: self._rows < 10 * _ROWS or self._error is not None or not self._alive())
            self._frames.append(columns)
            self._rows += n
            if self._rows >= _ROWS:
                self._changed.notify_all()

    def _alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def event(self, event: IdentityEvent) -> None:
        """Events are not part of this table."""

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _run(self) -> None:
        """Write what has come, every second."""
        ended = False
        while not ended:
            due = time.monotonic() + _SECONDS
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._rows >= _ROWS, max(0.0, due - time.monotonic()))
                frames, rows, self._frames, self._rows = self._frames, self._rows, [], 0
                ended = self._closed
                self._changed.notify_all()
            if not frames:
                continue
            try:
                self._folder.add(self._table(frames, rows))
                if not ended:
                    self._folder.merge(self._as_believed)
            except Exception as error:
                failed = error if isinstance(error, OSError) else OSError(str(error))
                with self._changed:
                    self._error = write_failed(self.parts, failed)
                    self._changed.notify_all()

    def _table(self, frames: list[dict[str, Any]], rows: int) -> Any:
        pa, columns = self._pa, []
        for field in self._schema:
            if field.name == "final_global_id":
                unknown = np.concatenate([f["undecided"] for f in frames]) if self._append else np.ones(rows, bool)
                columns.append(pa.array(np.concatenate([f["global_id"] for f in frames]), field.type, mask=unknown))
            elif field.name in ("global_id", "link_probability"):
                unknown = np.concatenate([f["undecided"] for f in frames])
                values = np.concatenate([f[field.name] for f in frames])
                columns.append(pa.array(values, field.type, mask=unknown))
            elif field.name in ("world_x", "world_y"):
                values = np.concatenate([f[field.name] for f in frames])
                columns.append(pa.array(values, field.type, mask=np.isnan(values)))
            elif field.name in ("camera", "clock", "visibility"):
                columns.append(pa.array([v for f in frames for v in f[field.name]], field.type))
            else:
                columns.append(pa.array(np.concatenate([f[field.name] for f in frames]), field.type))
        return pa.Table.from_arrays(columns, schema=self._schema)

    def close(self, identities: FinalIdentities) -> None:
        """Merge the parts into the file, with the final identities; those of a live run stay, and get them where they
        are young.

        Raises:
            OutputError: It cannot be written.
        """
        if self._closed:
            return
        self._finish()
        if self._append:
            self._finish_parts(identities)
            return
        try:
            with atomic_write(self.path) as part:
                self._merge(part, identities)
        except OSError as error:
            raise write_failed(self.path, error) from error
        shutil.rmtree(self.parts, ignore_errors=True)

    def finalize_tracks(self, identities: FinalIdentities) -> None:
        """These tracks will not be named again."""
        self._settled.update({key: who for key, (who, _) in identities.items()})

    def _as_believed(self, table: Any) -> Any:
        return self._with_final(table, self._now()) if self._append else table

    def _now(self) -> FinalIdentities:
        """Who is who at present, also of tracks that were let go since the last look."""
        settled, self._settled = self._settled, {}
        return FinalIdentities({**{key: (who, 0.0) for key, who in settled.items()}, **self._believed()})

    def _finish_parts(self, identities: FinalIdentities) -> None:
        """Write the final identities into the parts, the youngest first. Stopping must not take long: what is older is
        as it was believed an hour after."""
        final = FinalIdentities({**{key: (who, 0.0) for key, who in self._settled.items()}, **identities})
        deadline = time.monotonic() + _PATIENCE
        try:
            for file in reversed(self._folder.files()):
                if time.monotonic() > deadline:
                    return
                self._folder.rewrite(file, lambda table: self._with_final(table, final))
        except OSError as error:
            raise write_failed(self.parts, error) from error

    def _merge(self, path: Path, identities: FinalIdentities) -> None:
        pa = self._pa
        waiting: list[Any] = []
        with pa.parquet.ParquetWriter(path, self._schema) as writer:
            for file in self._folder.files():
                waiting.append(self._with_final(pa.parquet.ParquetFile(file).read(), identities))
                if sum(table.num_rows for table in waiting) >= _GROUP_ROWS:
                    writer.write_table(pa.concat_tables(waiting))
                    waiting = []
            if waiting:
                writer.write_table(pa.concat_tables(waiting))

    def _with_final(self, table: Any, identities: FinalIdentities) -> Any:
        """A table with the identities as given; of tracks that are not in them (of earlier runs, or forgotten) as it
        has them."""
        pairs = zip(table["camera"].to_pylist(), table["track_id"].to_pylist(), strict=True)
        before = table["final_global_id"].to_pylist()
        final = [identities.get(pair, (0, 0.0))[0] or last for pair, last in zip(pairs, before, strict=True)]
        column = self._schema.get_field_index("final_global_id")
        return table.set_column(column, self._schema.field(column), self._pa.array(final, self._pa.int64())).cast(
            self._schema
        )

    def _finish(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is None:
            self._run()
        else:
            self._thread.join()
        self._raise()

    def abort(self) -> None:
        """Write what is waiting as a last part and leave the parts."""
        if not self._closed:
            self._finish()
