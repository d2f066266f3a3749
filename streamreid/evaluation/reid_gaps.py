"""How well people are found again by the time since they were last seen, by viewpoint, and by how much of them is seen.

As in :mod:`streamreid.evaluation.over_time`, somebody was last seen in the newest picture of them that is older than
the query and that the Market protocol lets count (of another camera). By that time queries are scored against what was
there to know: pictures older than the query. By viewpoint and visible share they are scored against the whole gallery.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.datasets.market1501 import parse_frame
from streamreid.errors import DataError
from streamreid.evaluation.reid import PersonImages, rank_scores
from streamreid.types import Float64Array, FloatArray

__all__ = [
    "GAPS",
    "GapScores",
    "GroupScores",
    "PictureTimes",
    "group_tables",
    "read_times",
    "score_gaps",
    "times_of_names",
]

GAPS = (0.0, 2.0, 10.0, 60.0, 300.0)
"""Seconds since somebody was last seen at which the rows begin; the first row ends at the second."""

_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Visible shares at which the rows begin and end."""

_LEAST_SECONDS = 1.0
"""A set whose times all lie closer together has numbers in the place of frames."""


@dataclass(frozen=True, slots=True, eq=False)
class PictureTimes:
    """What is known of N pictures beside who is shown.

    Args:
        sequence: ``[N]`` pictures of different ones have times that cannot be compared.
        time: ``[N]`` seconds.
        viewpoint: ``[N]`` names; None where nobody says: the camera then is the viewpoint.
        visible: ``[N]`` share of the person that is seen; None where nobody says: the engine's visibilities then are.
    """

    sequence: NDArray[np.str_]
    time: Float64Array
    viewpoint: NDArray[np.str_] | None = None
    visible: Float64Array | None = None

    def __getitem__(self, rows: slice) -> PictureTimes:
        view, seen = self.viewpoint, self.visible
        return PictureTimes(
            self.sequence[rows],
            self.time[rows],
            None if view is None else view[rows],
            None if seen is None else seen[rows],
        )


@dataclass(frozen=True, slots=True)
class GroupScores:
    """Scores of some queries.

    Args:
        name: Of the row.
        queries: How many have a match.
        r1: Share of them that found the person first.
        map: Mean average precision.
    """

    name: str
    queries: int
    r1: float
    map: float


@dataclass(frozen=True, slots=True)
class GapScores:
    """Scores by group; rows without queries are left out.

    Args:
        gaps: By the time since the person was last seen.
        new: Queries of people whom no other camera had seen before, which are in no row of ``gaps``.
        viewpoints: By viewpoint or camera of the query.
        visible: By the visible share of the query.
    """

    gaps: tuple[GroupScores, ...]
    new: int
    viewpoints: tuple[GroupScores, ...]
    visible: tuple[GroupScores, ...]

    def as_dict(self) -> dict[str, Any]:
        """The same figures as plain values, for JSON."""
        rows = {name: [asdict(g) for g in getattr(self, name)] for name in ("gaps", "viewpoints", "visible")}
        return {**rows, "not_seen_before": self.new}


def group_tables(found: GapScores) -> list[tuple[str, tuple[GroupScores, ...]]]:
    """The tables with their titles, those with rows."""
    new = f" (of {found.new} no other camera knew before)" if found.new else ""
    tables = [
        (f"last seen{new}", found.gaps),
        ("viewpoint", found.viewpoints),
        ("share visible", found.visible),
    ]
    return [(title, rows) for title, rows in tables if rows]


def times_of_names(paths: Sequence[Path], fps: float) -> PictureTimes:
    """Times from frames in the names of pictures.

    Args:
        paths: Named as in Market-1501 or DukeMTMC-reID.
        fps: Frames per second of the cameras.

    Raises:
        DataError: The names say no frames, or numbers in their place.
    """
    found = [parse_frame(path.name) for path in paths]
    advice = "name a table with the columns picture and time in seconds: --times TABLE.csv"
    for path, read in zip(paths, found, strict=True):
        if read is None:
            raise DataError(
                f"{path}: the name says no frame (like 0002_c1s1_000451_03.jpg), so it has no time; {advice}"
            )
    pairs = [read for read in found if read is not None]
    times = PictureTimes(np.array([str(s) for s, _ in pairs]), np.array([f for _, f in pairs], np.float64) / fps)
    _refuse_numbers(paths, times, advice)
    return times


def _refuse_numbers(paths: Sequence[Path], times: PictureTimes, advice: str) -> None:
    spans = [np.ptp(times.time[times.sequence == s]) for s in np.unique(times.sequence)]
    if not spans or max(spans) < _LEAST_SECONDS:
        where = paths[0].parent if paths else "the set"
        raise DataError(
            f"{where}: its names hold numbers of pictures and not frames (all within {_LEAST_SECONDS:g} s), so the set "
            f"has no times; {advice}"
        )


def read_times(table: Path, paths: Sequence[Path]) -> PictureTimes:
    """Times of pictures from a table: CSV with the columns picture (file name, or folder/name) and time (seconds), and
    if wanted sequence, viewpoint and visible (share in 0..1).

    Raises:
        DataError: The table is missing or malformed, or lacks a picture.
    """
    try:
        with table.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns = set(reader.fieldnames or ())
            if not {"picture", "time"} <= columns:
                raise DataError(
                    f"{table}: needs the columns picture and time, has {', '.join(sorted(columns)) or 'none'}"
                )
            rows = {row["picture"]: row for row in reader}
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{table}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    chosen = []
    for path in paths:
        row = rows.get(f"{path.parent.name}/{path.name}", rows.get(path.name))
        if row is None:
            raise DataError(f"{table}: has no row for {path.name}")
        chosen.append(row)
    return PictureTimes(
        np.array([row.get("sequence") or "" for row in chosen]),
        _numbers(table, chosen, "time", -np.inf, np.inf),
        np.array([row["viewpoint"] for row in chosen]) if "viewpoint" in columns else None,
        _numbers(table, chosen, "visible", 0.0, 1.0) if "visible" in columns else None,
    )


def _numbers(table: Path, rows: Sequence[Mapping[str, str]], name: str, least: float, most: float) -> Float64Array:
    values = []
    for row in rows:
        try:
            value = float(row[name])
        except (TypeError, ValueError):
            value = np.nan
        if not np.isfinite(value) or not least <= value <= most:
            limits = f" in {least:g}..{most:g}" if np.isfinite(most) else ""
            raise DataError(f"{table}: {name} of {row['picture']} is '{row[name]}', expected a number{limits}")
        values.append(value)
    return np.array(values, np.float64)


def score_gaps(
    similarity: FloatArray,
    query: PersonImages,
    gallery: PersonImages,
    times: tuple[PictureTimes, PictureTimes],
    visible: FloatArray | None = None,
) -> GapScores:
    """Score a similarity matrix by groups of queries.

    Args:
        similarity: ``[Q, G]``, larger is more alike.
        query: Q pictures.
        gallery: G pictures.
        times: Of both.
        visible: ``[Q]`` share of the query that is seen, where the times do not say.

    Raises:
        DataError: Nobody was seen by another camera before, or no query has a match at all.
    """
    own, other = times
    gap, first, precision = _earlier(similarity, query, gallery, own, other)
    if np.isnan(gap).all():
        raise DataError(
            "no query shows a person whom another camera saw before at a time that can be compared; nothing can be "
            "scored by gaps"
        )
    edges = (*GAPS, np.inf)
    rows = []
    for least, most in pairwise(edges):
        inside = (gap >= least) & (gap < most)
        if inside.any():
            name = f"{least:g} s and more" if np.isinf(most) else f"{least:g} to {most:g} s"
            rows.append(
                GroupScores(
                    name, int(inside.sum()), float((first[inside] == 1).mean()), float(precision[inside].mean())
                )
            )
    views = own.viewpoint if own.viewpoint is not None else np.array([f"camera {c}" for c in query.cameras.tolist()])
    groups = [(str(v), views == v) for v in np.unique(views)]
    share = own.visible if own.visible is not None else visible
    shares = [] if share is None else [(f"{a:.0%} to {b:.0%}", _inside(share, a, b)) for a, b in pairwise(_SHARES)]
    return GapScores(
        tuple(rows),
        int(np.isnan(gap).sum()),
        _scored(similarity, query, gallery, groups),
        _scored(similarity, query, gallery, shares),
    )


def _inside(share: NDArray[Any], least: float, most: float) -> NDArray[np.bool_]:
    return np.asarray((share >= least) & ((share < most) | ((most == _SHARES[-1]) & (share <= most))))


def _earlier(
    similarity: FloatArray, query: PersonImages, gallery: PersonImages, own: PictureTimes, other: PictureTimes
) -> tuple[Float64Array, NDArray[np.int64], Float64Array]:
    """Of each query, among older pictures: seconds since the person was last seen (NaN: never), rank of the first
    match, and average precision."""
    count = len(query)
    gap, first, precision = np.full(count, np.nan), np.zeros(count, np.int64), np.zeros(count)
    for q in range(count):
        same = gallery.persons == query.persons[q]
        keep = (other.sequence == own.sequence[q]) & (other.time < own.time[q])
        keep &= ~(same & (gallery.cameras == query.cameras[q]))
        if not (same & keep).any():
            continue
        gap[q] = own.time[q] - other.time[same & keep].max()
        ranks = np.flatnonzero(same[keep][np.argsort(-similarity[q, keep], kind="stable")]) + 1
        first[q] = ranks[0]
        precision[q] = np.mean(np.arange(1, len(ranks) + 1) / ranks)
    return gap, first, precision


def _scored(
    similarity: FloatArray,
    query: PersonImages,
    gallery: PersonImages,
    groups: Sequence[tuple[str, NDArray[np.bool_]]],
) -> tuple[GroupScores, ...]:
    found = []
    for name, chosen in groups:
        rows = np.flatnonzero(chosen)
        some = PersonImages(tuple(query.paths[r] for r in rows), query.persons[rows], query.cameras[rows])
        same = (gallery.persons == some.persons[:, None]) & (gallery.cameras != some.cameras[:, None])
        if same.any():
            s = rank_scores(similarity[rows], some, gallery)
            found.append(GroupScores(name, s.queries, s.r1, s.map))
    return tuple(found)
