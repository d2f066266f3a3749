"""One camera at a time: results against ground truth."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from streamreid.errors import DataError
from streamreid.evaluation.formats import match_cameras, read_tables
from streamreid.evaluation.preprocessing import Rules, prepare
from streamreid.evaluation.scores import MotScores, combine, score
from streamreid.evaluation.table import Table
from streamreid.evaluation.timelines import Timelines, timelines
from streamreid.mot_text import Layout

__all__ = ["MotEvaluation", "evaluate_mot", "frames_of"]

Tables = Path | str | Table | Mapping[str, Table]


@dataclass(frozen=True, slots=True)
class MotEvaluation:
    """Scores per sequence and combined.

    Args:
        sequences: By name.
        combined: All together.
        rules: Which boxes counted.
        frames: First and last frame scored, per sequence.
        left_out: Rows of the results outside those frames, per sequence.
        timelines: Who was covered by which id when, per sequence.
    """

    sequences: dict[str, MotScores]
    combined: MotScores
    rules: Rules
    frames: dict[str, tuple[int, int]]
    left_out: dict[str, int]
    timelines: dict[str, Timelines] = field(repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """The same figures as plain values, for JSON."""
        return {
            "rules": self.rules,
            "frames": {name: list(span) for name, span in self.frames.items()},
            "results_left_out": self.left_out,
            "sequences": {name: s.as_dict() for name, s in self.sequences.items()},
            "combined": self.combined.as_dict(),
        }


def frames_of(truth: Table) -> tuple[int, int]:
    """The frames a ground truth covers: ``seqLength`` of a seqinfo.ini beside the file (or one folder up), else 1 to
    its last frame.

    Raises:
        DataError: It is empty, so nothing says how long the sequence is.
    """
    path = Path(truth.where)
    for ini in (path.parent / "seqinfo.ini", path.parent.parent / "seqinfo.ini"):
        if path.is_file() and ini.is_file():
            parser = configparser.ConfigParser()
            try:
                parser.read(ini, encoding="utf-8")
                return 1, int(parser["Sequence"]["seqLength"])
            except (configparser.Error, KeyError, ValueError) as error:
                raise DataError(
                    f"'{ini}' has no usable seqLength in section [Sequence]: {error}. Say --frames FIRST:LAST"
                ) from error
    if not len(truth):
        raise DataError(
            f"'{truth.where}' has no rows, so the length of the sequence is unknown. Say --frames FIRST:LAST"
        )
    return min(1, int(truth.frames[0])), int(truth.frames[-1])


def _tables(what: Tables, layout: Layout | None) -> Mapping[str, Table]:
    if isinstance(what, Table):
        return {"sequence": what}
    if isinstance(what, str | Path):
        return read_tables(what, ids="local", layout=layout)
    return what


def _pairs(results: Mapping[str, Table], truth: Mapping[str, Table]) -> dict[str, tuple[Table, Table]]:
    if len(results) == len(truth) == 1:
        name, own = next(iter(results.items()))
        return {name: (own, next(iter(truth.values())))}
    named = match_cameras(truth, results)
    return {name: (results[name], named[name]) for name in sorted(named)}


def evaluate_mot(
    results: Tables,
    truth: Tables,
    *,
    frames: tuple[int, int] | None = None,
    rules: Rules = "plain",
    layout: Layout | None = None,
) -> MotEvaluation:
    """Score tracks inside cameras.

    Args:
        results: A table, tables by sequence, or a path as ``read_tables`` takes it (ids of tracks).
        truth: The same for the ground truth. A single pair is compared whatever the names, otherwise names must fit
            (``match_cameras``).
        frames: First and last frame to score, both included; default: the frames that the ground truth covers.
        rules: Which boxes count, see ``streamreid.evaluation.preprocessing``.
        layout: What text files are; default: recognised by their values (`mot_text.layout_of`).

    Returns:
        HOTA, CLEAR MOT and identity scores.

    Raises:
        DataError: A file is malformed, or a sequence of the ground truth has no results.
        MissingExtraError: TrackEval is not installed.
    """
    scores: dict[str, MotScores] = {}
    spans: dict[str, tuple[int, int]] = {}
    left_out: dict[str, int] = {}
    lines: dict[str, Timelines] = {}
    for name, (own, true) in _pairs(_tables(results, layout), _tables(truth, layout)).items():
        span = spans[name] = frames or frames_of(true)
        left_out[name] = int(np.sum((own.frames < span[0]) | (own.frames > span[1])))
        data = prepare([(own, true)], span, rules, name=name)
        scores[name], lines[name] = score(data), timelines(data, [name], span)
    return MotEvaluation(scores, combine(scores), rules, spans, left_out, lines)
