"""What people said about a run, as files that others learn from.

========================  =============================================================================================
file                      what
========================  =============================================================================================
``constraints.csv``       Pairs of tracks that are one person or two: what was said, and what merges and splits say.
``pairs.csv``             The same pairs, for ``streamreid calibrate CACHE --pairs pairs.csv``.
``training_pairs.csv``    Pairs of pictures (only where the run stored crops): two files, and whether they show one
                          person.
``truth/CAMERA.txt``      Boxes with global ids after all corrections, as MOT text (frame, id, left, top, width, height,
                          1, 1, 1): ground truth across cameras for ``streamreid evaluate``.
``manifest.json``         How many of each, and the run.
========================  =============================================================================================
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import Any

from streamreid._version import __version__
from streamreid.association.track_constraints import TrackConstraints
from streamreid.corrections import Correction
from streamreid.errors import DataError, OutputError
from streamreid.files import write_json
from streamreid.runs.finished_run import FinishedRun
from streamreid.runs.review import said_so_far
from streamreid.sinks.jsonl_reader import read_lines
from streamreid.types import TrackKey

__all__ = ["COLUMNS", "all_pairs_said", "export_review", "read_pairs"]

COLUMNS = ("camera", "track_id", "other_camera", "other_track_id", "same")
"""Of the files of pairs; ``same`` is 1 for one person and 0 for two."""

MOST_PAIRS = 100_000
"""Pairs that are written of each kind; merges of long histories say very many."""

Row = tuple[str, int, str, int, int]


def all_pairs_said(history: Sequence[Correction]) -> TrackConstraints:
    """What was said of pairs of tracks: answers, and of merges and splits that hold one pair each."""
    constraints, _ = said_so_far(history)
    undone = {c.undoes for c in history}
    for said in history:
        if said.number in undone or said.kind != "split" or not said.tracks:
            continue
        first = said.tracks[0]
        for other in said.tracks[1:]:
            _say(constraints, first, other, same=True)
    return constraints


def _say(constraints: TrackConstraints, one: TrackKey, other: TrackKey, *, same: bool) -> None:
    with suppress(ValueError):  # an answer says otherwise, and answers are about these two tracks
        constraints.say(one, other, same=same)


def _pairs(constraints: TrackConstraints) -> list[Row]:
    """All pairs that are said, with those that follow."""
    tracks = sorted({key for pair in constraints.pairs for key in pair})
    rows: list[Row] = []
    for one, other in combinations(tracks, 2):
        answer = constraints.answer(one, other)
        if answer is not None:
            rows.append((*one, *other, int(answer)))
    return rows[:MOST_PAIRS]


def read_pairs(path: Path) -> TrackConstraints:
    """Pairs from ``pairs.csv`` or ``constraints.csv``.

    Raises:
        DataError: The file is none, or contradicts itself.
    """
    constraints = TrackConstraints()
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise DataError(f"'{path}' is no file of pairs: its first line must be {','.join(COLUMNS)}")
            for number, row in enumerate(reader, 2):
                try:
                    one = row["camera"], int(row["track_id"])
                    other = row["other_camera"], int(row["other_track_id"])
                    if row["same"] not in ("0", "1"):
                        raise ValueError(f"same is 0 or 1, not '{row['same']}'")
                    constraints.say(one, other, same=row["same"] == "1")
                except (ValueError, TypeError) as error:
                    raise DataError(f"'{path}', line {number}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read '{path}': {error}") from error
    return constraints


def export_review(run: FinishedRun, folder: str | Path) -> dict[str, int]:
    """Write what people said about a run, and its boxes with the corrected identities.

    Args:
        run: As it is corrected.
        folder: A new or empty folder.

    Returns:
        How many constraints, pairs of pictures, boxes and cameras were written.

    Raises:
        OutputError: The folder holds something, or cannot be written.
        DataError: The results are damaged.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"the folder '{folder}' is not empty; choose another one for the export")
    rows = _pairs(all_pairs_said(run.corrections))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("constraints.csv", "pairs.csv"):
            _write(folder / name, COLUMNS, rows)
        pictures = _pictures(run, rows)
        if pictures:
            _write(folder / "training_pairs.csv", ("picture", "other_picture", "same"), pictures)
        boxes = _write_truth(run, folder / "truth")
    except OSError as error:
        raise OutputError(f"cannot write the export '{folder}': {error.strerror or error}") from error
    counts = {"constraints": len(rows), "training_pairs": len(pictures), "boxes": sum(boxes.values())}
    told = {"schema": 1, "version": __version__, "run": str(run.path), **counts, "boxes_by_camera": boxes}
    write_json(folder / "manifest.json", told)
    return {**counts, "cameras": len(boxes)}


def _write(path: Path, columns: Iterable[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def _pictures(run: FinishedRun, rows: Sequence[Row]) -> list[tuple[str, str, int]]:
    """The sharpest choice there is without looking: the middle picture of each track of the newest recording."""
    runs = sorted((run.path / "crops").glob("run-*"))
    if not runs:
        return []
    middle: dict[TrackKey, str] = {}
    for camera, track, other_camera, other_track, _ in rows:
        for key in ((camera, track), (other_camera, other_track)):
            if key not in middle:
                found = sorted((runs[-1] / key[0]).glob(f"{key[1]:06d}_*.jpg"))
                middle[key] = str(found[len(found) // 2].relative_to(run.path)) if found else ""
    pairs = [(middle[c, t], middle[d, u], same) for c, t, d, u, same in rows]
    return [pair for pair in pairs if pair[0] and pair[1]]


def _write_truth(run: FinishedRun, folder: Path) -> dict[str, int]:
    """MOT text per camera, of everybody who is a person; how many boxes."""
    rows: dict[str, list[tuple[int, int, float, float, float, float]]] = defaultdict(list)

    def take(line: dict[str, Any], _: int) -> None:
        if line["type"] == "person":
            who = run.identity_of(line["camera"], line["track_id"])
            if who:
                rows[line["camera"]].append((line["frame"] + 1, who, *line["box"]))

    read_lines(run.path, take)
    folder.mkdir(exist_ok=True)
    for camera, found in rows.items():
        with (folder / f"{camera}.txt").open("w", encoding="utf-8") as file:
            for frame, who, *box in sorted(found):
                file.write(f"{frame},{who},{','.join(f'{value:.2f}' for value in box)},1,1,1\n")
    return {camera: len(found) for camera, found in sorted(rows.items())}
