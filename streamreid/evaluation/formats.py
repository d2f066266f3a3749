"""Reading results and ground truth: MOT text, AI City text, JSON lines, Parquet.

Every reader gives ``{camera: Table}`` with frames as MOT text counts them (from 1; AI City's own numbers are kept as
they are).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from streamreid.errors import DataError, MissingExtraError
from streamreid.evaluation.table import Table, one_of_each
from streamreid.mot_text import Layout, NumberTable, first_frame, layout_of, read_numbers
from streamreid.sinks.jsonl_reader import find_results, read_lines
from streamreid.sinks.segments import list_segments

__all__ = ["Ids", "match_cameras", "read_mot", "read_tables", "read_truth", "whole_numbers"]

log = logging.getLogger(__name__)

Ids = Literal["local", "global"]


def read_tables(
    path: Path | str, *, ids: Ids = "global", camera: str | None = None, layout: Layout | None = None
) -> dict[str, Table]:
    """Read results of one or several cameras.

    Args:
        path: A MOT text file (camera = its name without ending), an AI City text file (nine columns separated by
            blanks: camera, id, frame, left, top, width, height, x, y), JSON lines or Parquet of ``streamreid run``, or
            a folder: of a run (its ``mot/`` is read) or of MOT text files, one per camera.
        ids: Which ids of a run: of tracks inside each camera, or of people across cameras (as believed at the end of
            the run).
        camera: Name for a single MOT text file.
        layout: What a text file is; default: recognised by its values (`mot_text.layout_of`).

    Raises:
        DataError: Missing, malformed (with line) or without any camera.
    """
    path = Path(path)
    if path.suffix == ".parquet" and path.exists():  # that of a live run is a folder of parts
        return _read_parquet([path], str(path), ids)
    if path.is_dir():
        return _read_folder(path, ids)
    if not path.is_file():
        raise DataError(
            f"'{path}' does not exist; give a MOT text file, a .jsonl or .parquet file, or a folder with them"
        )
    if path.suffix == ".jsonl":
        return _read_jsonl(path, ids)
    table = read_numbers(path)
    return _aicity_tables(table) if layout_of(table, layout) == "aicity" else {camera or path.stem: _mot_table(table)}


def read_truth(paths: Sequence[str | Path], *, layout: Layout | None = None) -> dict[str, Table]:
    """Read ground truth given as several files.

    Args:
        paths: Files or folders as ``read_tables`` takes them; ``NAME=FILE`` says which camera a MOT text file belongs
            to.
        layout: What a text file is; default: recognised by its values.

    Raises:
        DataError: A camera occurs twice, or a file is wrong.
    """
    found: dict[str, Table] = {}
    for item in paths:
        name, _, file = str(item).partition("=")
        named = bool(file) and not Path(item).exists()
        tables = read_tables(file, camera=name, layout=layout) if named else read_tables(item, layout=layout)
        for camera, table in tables.items():
            if camera in found:
                raise DataError(
                    f"camera '{camera}' is in '{found[camera].where}' and in '{table.where}'; give each camera once"
                )
            found[camera] = table
    return found


def match_cameras(truth: Mapping[str, Table], results: Mapping[str, Table]) -> dict[str, Table]:
    """Give the ground truth's tables the names of the results' cameras.

    A name that is not a camera of the results but contains exactly one of them is taken for it ("gt_cam001" for
    "cam001").

    Raises:
        DataError: A table of the truth fits no camera or several, or two fit one.
    """
    renamed: dict[str, Table] = {}
    for name, table in truth.items():
        fitting = [name] if name in results else [camera for camera in results if camera in name]
        if len(fitting) > 1:  # cam1 is part of cam10: only the longest counts, if it explains the others
            longest = max(fitting, key=len)
            fitting = [longest] if all(camera in longest for camera in fitting) else fitting
        if len(fitting) != 1:
            which = f"fits {fitting or 'none'} of the cameras {sorted(results)}"
            raise DataError(f"ground truth '{name}' ({table.where}) {which}; write CAMERA=FILE")
        if fitting[0] in renamed:
            both = f"{renamed[fitting[0]].where} and {table.where}"
            raise DataError(f"camera '{fitting[0]}' has two ground truths: {both}; write CAMERA=FILE")
        renamed[fitting[0]] = table
    return renamed


def _read_folder(folder: Path, ids: Ids) -> dict[str, Table]:
    if list_segments(folder):
        return _read_pieces(folder, ids)
    inner = [folder / "mot", folder]
    if ids == "global":
        inner = [folder / "mot" / "global", folder / "global", *inner]
    for candidate in inner:
        files = sorted(candidate.glob("*.txt")) if candidate.is_dir() else []
        if files:
            return {file.stem: read_mot(file) for file in files}
    for name in ("results.jsonl", "results.parquet"):
        if (folder / name).exists():
            return read_tables(folder / name, ids=ids)
    sequences = {file.parent.parent.name: read_mot(file) for file in sorted(folder.glob("*/gt/gt.txt"))}
    if not sequences:
        wanted = "<camera>.txt, mot/<camera>.txt, results.jsonl, results.parquet or <sequence>/gt/gt.txt"
        raise DataError(f"'{folder}' has no results: expected {wanted}")
    return sequences


def _read_pieces(folder: Path, ids: Ids) -> dict[str, Table]:
    """The segments of a run together. JSON lines first: what a later segment says of somebody counts for all, which the
    other files do not know."""
    folders = [segment.path for segment in list_segments(folder)]
    if len(find_results(folder)) == len(folders):
        return _read_jsonl(folder, ids)
    tables = sorted(path / "results.parquet" for path in folders if (path / "results.parquet").exists())
    if tables and not any((path / "mot").is_dir() for path in folders):
        return _read_parquet(tables, str(folder), ids)
    parts: dict[str, list[Table]] = defaultdict(list)
    for path in folders:
        for camera, table in _read_folder(path, ids).items():
            parts[camera].append(table)
    names = ("frames", "ids", "boxes", "scores", "classes")
    return {
        c: Table.build(*(np.concatenate([getattr(t, n) for t in some]) for n in names), where=str(folder))
        for c, some in parts.items()
    }


def whole_numbers(values: Any, lines: Any, path: Path, what: str, least: int) -> Any:
    """A column as int64.

    Raises:
        DataError: A value is not whole or below ``least`` (with file and line).
    """
    bad = np.flatnonzero(~np.isfinite(values) | (values != np.floor(values)) | (values < least))
    if len(bad):
        hint = " (id -1 is a detection that no track owns; tracks are needed here)" if what == "id" else ""
        raise DataError(
            f"{path}:{lines[bad[0]]}: {what} {values[bad[0]]:g} is not a whole number from {least} on{hint}"
        )
    return values.astype(np.int64)


def read_mot(path: Path | str) -> Table:
    """Read MOTChallenge text: ``frame,id,left,top,width,height[,score[,class[,visibility]]]``, in any spelling that
    `mot_text.read_numbers` knows.

    A file with a frame 0 counts from 0: its frames are one later here.

    Raises:
        DataError: Not readable, or malformed (with file and line).
    """
    return _mot_table(read_numbers(Path(path)))


def _mot_table(table: NumberTable) -> Table:
    rows, lines, path = table.rows, table.lines, table.path
    shift = 1 - first_frame(table)
    if shift:
        log.warning("%s: frames are counted from 0; they are taken as 1, 2, ... (as MOT text counts)", path)
    frames = whole_numbers(rows[:, 0] + shift, lines, path, "frame", 1)
    ids = whole_numbers(rows[:, 1], lines, path, "id", 0)
    scores = np.where(np.isnan(rows[:, 6]), 1.0, rows[:, 6])
    classes = np.where(np.isnan(rows[:, 7]), 1.0, rows[:, 7])
    return Table.build(frames, ids, rows[:, 2:6], scores, classes, where=str(path), lines=lines)


def _aicity_tables(table: NumberTable) -> dict[str, Table]:
    rows, lines, path = table.rows, table.lines, table.path
    cameras = whole_numbers(rows[:, 0], lines, path, "camera", 0)
    ids = whole_numbers(rows[:, 1], lines, path, "id", 0)
    frames = whole_numbers(rows[:, 2], lines, path, "frame", 0)
    tables = {}
    for camera in np.unique(cameras).tolist():
        own = cameras == camera
        tables[str(camera)] = Table.build(frames[own], ids[own], rows[own, 3:7], where=str(path), lines=lines[own])
    return tables


def _read_jsonl(path: Path, ids: Ids) -> dict[str, Table]:
    people: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    final: dict[tuple[str, int], int] = {}

    def take(item: dict[str, Any], number: int) -> None:
        if item["type"] == "header":
            for camera in item["cameras"]:
                people[camera]
        elif item["type"] == "person":
            who = int(item["track_id"]), item["global_id"]
            numbers = (*map(float, item["box"]), float(item["score"]), number)
            people[item["camera"]].append((int(item["frame"]) + 1, *who, *numbers))
        elif item["type"] == "identity":
            final.update({(camera, int(track)): int(item["global_id"]) for camera, track in item["members"]})
        elif item["type"] == "unlinked" and item["global_id"] is not None:  # nobody, but a track that is scored
            final[item["camera"], int(item["track_id"])] = int(item["global_id"])

    read_lines(path, take)
    return {camera: _choose_ids(camera, rows, final, ids, path) for camera, rows in people.items()}


def _choose_ids(
    camera: str, rows: list[tuple[Any, ...]], final: Mapping[tuple[str, int], int], ids: Ids, path: Path
) -> Table:
    if ids == "global":
        rows = [(row[0], final.get((camera, row[1]), row[2]), *row[2:]) for row in rows]
        rows = [row for row in rows if row[1] is not None]
    table = np.array([(row[0], row[1], *row[3:]) for row in rows], np.float64).reshape(-1, 8)
    if ids == "global":
        table = table[one_of_each(table[:, 0], table[:, 1], table[:, 6])]
    lines = table[:, 7].astype(np.int64) if path.is_file() else None
    return Table.build(table[:, 0], table[:, 1], table[:, 2:6], table[:, 6], where=str(path), lines=lines)


def _read_parquet(paths: Sequence[Path], where: str, ids: Ids) -> dict[str, Table]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet", "Reading Parquet") from error
    columns = ["camera", "frame", "left", "top", "width", "height", "score", "track_id", "global_id", "final_global_id"]
    try:
        data = pa.concat_tables([pq.read_table(path, columns=columns) for path in paths]).to_pydict()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"'{where}' is not a table of streamreid's results: {error}") from error
    who = data["track_id"]
    if ids == "global":
        who = [
            now if last is None else last for last, now in zip(data["final_global_id"], data["global_id"], strict=True)
        ]
    known = np.array([one is not None for one in who], bool)
    table = np.array(
        [[0 if one is None else one for one in who], *(data[name] for name in columns[1:7])], np.float64
    ).T.reshape(-1, 7)
    cameras = np.array(data["camera"], object)
    result = {}
    for camera in sorted(set(data["camera"])):
        own = table[known & (cameras == camera)]
        if ids == "global":
            own = own[one_of_each(own[:, 1], own[:, 0], own[:, 6])]
        result[camera] = Table.build(own[:, 1] + 1, own[:, 0], own[:, 2:6], own[:, 6], where=where)
    return result
