"""On the ground plane: positions instead of boxes, for results of several calibrated cameras.

Two positions at distance d have the similarity ``max(0, 1 - d / (2 radius))``, so that similarity .5, TrackEval's
threshold for CLEAR MOT and IDF1, is the radius itself (TrackEval's ``_calculate_euclidean_similarity``, as of
MOTChallenge 3D with a radius of 1 m). HOTA averages over the thresholds .05 to .95, which are distances of 1.9 down to
0.1 radii.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import ConfigError, DataError
from streamreid.evaluation.formats import whole_numbers
from streamreid.evaluation.scores import MotScores, Prepared, score
from streamreid.mot_text import Layout, layout_of, read_numbers
from streamreid.sinks.segments import result_folders

__all__ = ["Positions", "WorldEvaluation", "evaluate_world", "read_positions"]


@dataclass(frozen=True, slots=True, eq=False)
class Positions:
    """Where people stood, ordered by frame and id; one row per id and frame.

    Args:
        frames: ``[N]`` int64.
        ids: ``[N]`` int64.
        points: ``[N, 2]`` float64, ground-plane coordinates, usually metres.
        averaged: How many rows were the mean of several cameras' positions.
        where: What was read.
    """

    frames: NDArray[np.int64]
    ids: NDArray[np.int64]
    points: NDArray[np.float64]
    averaged: int = 0
    where: str = ""

    def __len__(self) -> int:
        return len(self.frames)

    @classmethod
    def build(cls, frames: Any, ids: Any, points: Any, *, where: str = "") -> Positions:
        """Order rows; an id that occurs several times in a frame (in several cameras) stands at the mean of its
        positions.

        Raises:
            DataError: Lengths differ or a position is not finite.
        """
        f, i = np.asarray(frames, np.int64).reshape(-1), np.asarray(ids, np.int64).reshape(-1)
        p = np.asarray(points, np.float64).reshape(-1, 2)
        if not len(f) == len(i) == len(p):
            raise DataError(f"{where}: {len(f)} frames, {len(i)} ids, {len(p)} positions; need one of each per row")
        bad = np.flatnonzero(~np.isfinite(p).all(1))
        if len(bad):
            raise DataError(f"{where}: frame {f[bad[0]]}, id {i[bad[0]]}: position {p[bad[0]].tolist()} is not finite")
        keys, inverse, counts = np.unique(np.stack([f, i], 1), axis=0, return_inverse=True, return_counts=True)
        sums = np.zeros((len(keys), 2))
        np.add.at(sums, inverse.reshape(-1), p)
        means = sums / np.maximum(counts, 1)[:, None]
        return cls(keys[:, 0], keys[:, 1], means, int(np.sum(counts > 1)), where)


@dataclass(frozen=True, slots=True)
class WorldEvaluation:
    """Scores on the ground plane.

    Args:
        scores: HOTA, CLEAR MOT and identity; ``motp`` and ``loca`` are mean similarities.
        mean_distance: Mean distance of the matches of CLEAR MOT, in the unit of the coordinates; NaN without a match.
        radius: Greatest distance of a match.
        frames: First and last frame scored.
        averaged: Result rows that were the mean of several cameras.
    """

    scores: MotScores
    mean_distance: float
    radius: float
    frames: tuple[int, int]
    averaged: int

    def as_dict(self) -> dict[str, Any]:
        """The same figures as plain values, for JSON."""
        distance = None if np.isnan(self.mean_distance) else self.mean_distance
        return {
            "radius": self.radius,
            "frames": list(self.frames),
            "mean_distance": distance,
            "averaged_over_cameras": self.averaged,
            "scores": self.scores.as_dict(),
        }


def read_positions(path: Path | str, layout: Layout | None = None) -> Positions:
    """Read ground-plane positions.

    Args:
        path: AI City text (nine columns separated by blanks: camera, id, frame, left, top, width, height, xworld,
            yworld), MOT text with world coordinates in columns 8 and 9
            (``frame,id,left,top,width,height,score,x,y[,z...]``, commas or blanks, as in MOTChallenge 3D and CMC; rows
            with -1,-1 are left out), JSON lines whose person lines carry ``"world": [x, y]``, a folder of MOT text
            files, one per camera, or of a live run in segments.
        layout: What text files are; default: recognised by their values (`mot_text.layout_of`).

    Raises:
        DataError: Missing, malformed, or without world coordinates.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(path.glob("*.txt")) or [
            f / "world.txt" for f in result_folders(path) if (f / "world.txt").is_file()
        ]
        if not files:
            raise DataError(f"'{path}' has no text file with world coordinates")
        parts = [_read_text(file, layout) for file in files]
        return Positions.build(*(np.concatenate(column) for column in zip(*parts, strict=True)), where=str(path))
    if not path.is_file():
        raise DataError(
            f"'{path}' does not exist; give AI City text, MOT text with world coordinates in columns 8 and 9, or JSON "
            "lines"
        )
    rows = _read_jsonl(path) if path.suffix == ".jsonl" else _read_text(path, layout)
    return Positions.build(*rows, where=str(path))


def _read_text(path: Path, layout: Layout | None = None) -> tuple[Any, Any, Any]:
    table = read_numbers(path)
    city = layout_of(table, layout) == "aicity"
    # Of nine values, the last two of MOT16 and later are class and visibility: world coordinates come with a height.
    least = 9 if city else 10
    rows, lines = table.rows, table.lines
    short = np.flatnonzero(np.isnan(rows[:, :least]).any(1) & np.isnan(rows[:, least - 1]))
    if len(short):
        raise DataError(
            f"{table.at(short[0])}: expected at least {least} columns, got {int((~np.isnan(rows[short[0]])).sum())}"
        )
    camera = whole_numbers(rows[:, 0], lines, path, "camera", 0) if city else np.zeros(len(rows), np.int64)
    ids = whole_numbers(rows[:, 1], lines, path, "id", 0)
    frames = whole_numbers(rows[:, 2] if city else rows[:, 0], lines, path, "frame", 0)
    points = rows[:, 7:9]
    if len(rows) and (points == -1).all():
        raise DataError(
            f"'{path}' has no world coordinates: columns 8 and 9 are -1 in every row. Use `evaluate mot` or `evaluate "
            "multicam`"
        )
    if not city:  # -1,-1 says that the place is not known
        known = (points != -1).any(1)
        lines, camera, ids, frames, points = lines[known], camera[known], ids[known], frames[known], points[known]
    bad = np.flatnonzero(~np.isfinite(points).all(1))
    if len(bad):
        raise DataError(
            f"{path}:{lines[bad[0]]}: world coordinates {points[bad[0]].tolist()} in columns 8 and 9 are not finite"
        )
    order = np.lexsort((ids, frames, camera))
    same = [np.diff(values[order]) == 0 for values in (camera, frames, ids)]
    twice = np.flatnonzero(same[0] & same[1] & same[2])
    if len(twice):
        row = order[twice[0] + 1]
        raise DataError(
            f"{path}:{lines[row]}: id {ids[row]} occurs twice in frame {frames[row]}; each id stands in one place"
        )
    return frames, ids, points


def _read_jsonl(path: Path) -> tuple[Any, Any, Any]:
    found: list[tuple[int, str, int, int | None, float, float]] = []
    final: dict[tuple[str, int], int] = {}
    people = 0
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith("\n"):
                break  # a run that was killed: only complete lines count
            try:
                item = json.loads(line)
                if item["type"] == "identity":
                    final.update({(camera, int(track)): int(item["global_id"]) for camera, track in item["members"]})
                elif item["type"] == "unlinked" and item["global_id"] is not None:
                    final[item["camera"], int(item["track_id"])] = int(item["global_id"])
                elif item["type"] == "person":
                    people += 1
                    if item.get("world") is not None:
                        x, y = map(float, item["world"][:2])
                        found.append(
                            (int(item["frame"]) + 1, item["camera"], int(item["track_id"]), item["global_id"], x, y)
                        )
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{path}:{number}: not a line of results ({type(error).__name__}: {error})") from error
    if people and not found:
        raise DataError(f"'{path}' has no world coordinates: no person line carries \"world\": [x, y]")
    known = [(frame, final.get((camera, track), who), x, y) for frame, camera, track, who, x, y in found]
    table = np.array([row for row in known if row[1] is not None], np.float64).reshape(-1, 4)
    return table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2:]


def evaluate_world(
    results: Positions | Path | str,
    truth: Positions | Path | str,
    *,
    radius: float = 1.0,
    frames: tuple[int, int] | None = None,
    layout: Layout | None = None,
) -> WorldEvaluation:
    """Score positions on the ground plane.

    Args:
        results: Positions, or a path as ``read_positions`` takes it. Positions of one id in several cameras are
            averaged in each frame.
        truth: The same for the ground truth.
        radius: Greatest distance of a match, in the unit of the coordinates.
        frames: First and last frame to score, both included; default: 1 (or 0) to the last frame of the ground truth.
        layout: What text files are; default: recognised by their values.

    Raises:
        ConfigError: ``radius`` is not above 0.
        DataError: A file is malformed or has no world coordinates.
        MissingExtraError: TrackEval is not installed.
    """
    if not radius > 0 or not np.isfinite(radius):
        raise ConfigError(f"--radius must be above 0, got {radius:g}")
    own = results if isinstance(results, Positions) else read_positions(results, layout)
    true = truth if isinstance(truth, Positions) else read_positions(truth, layout)
    if frames is None:
        if not len(true):
            raise DataError(
                f"'{true.where}' has no rows, so the length of the sequence is unknown. Say --frames FIRST:LAST"
            )
        frames = min(1, int(true.frames[0])), int(true.frames[-1])
    scores = score(_prepare(own, true, radius, frames))
    matched = scores.truth_boxes - scores.fn
    return WorldEvaluation(
        scores, 2 * radius * (1 - scores.motp) if matched else float("nan"), radius, frames, own.averaged
    )


def _prepare(own: Positions, true: Positions, radius: float, frames: tuple[int, int]) -> Prepared:
    steps = np.arange(frames[0], frames[1] + 2)
    data: Prepared = {"num_timesteps": len(steps) - 1, "similarity_scores": []}
    edges = {}
    for name, table in (("gt", true), ("tracker", own)):
        ends = edges[name] = np.searchsorted(table.frames, steps)
        inside = slice(int(ends[0]), int(ends[-1]))
        known, numbers = np.unique(table.ids[inside], return_inverse=True)
        data[f"{name}_ids"] = np.split(numbers, ends[1:-1] - ends[0])
        data[f"num_{name}_ids"], data[f"num_{name}_dets"] = len(known), len(numbers)
    for (a, b), (c, d) in zip(*(np.stack([e[:-1], e[1:]], 1) for e in (edges["gt"], edges["tracker"])), strict=True):
        distance = np.linalg.norm(true.points[a:b, None] - own.points[None, c:d], axis=2)
        data["similarity_scores"].append(np.maximum(0.0, 1.0 - distance / (2 * radius)))
    return data
