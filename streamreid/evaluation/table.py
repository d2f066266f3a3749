"""Boxes with ids: what results and ground truth are once they are read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import DataError
from streamreid.types import Float64Array

__all__ = ["Table", "one_of_each"]

Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The boxes of one camera, ordered by frame.

    Args:
        frames: ``[N]`` int64 frame numbers; MOT text counts from 1.
        ids: ``[N]`` int64, unique within a frame.
        boxes: ``[N, 4]`` float64 left, top, width, height in pixels.
        scores: ``[N]`` float64; in ground truth, 0 marks a row that is not to be counted.
        classes: ``[N]`` float64, column 8 of MOT text (its meaning depends on the benchmark); 1 where there is none.
        where: What the rows came from, for messages.
    """

    frames: Whole
    ids: Whole
    boxes: Float64Array
    scores: Float64Array
    classes: Float64Array
    where: str = ""

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, rows: Any) -> Table:
        """Rows by slice, integer array or boolean mask."""
        return Table(
            self.frames[rows], self.ids[rows], self.boxes[rows], self.scores[rows], self.classes[rows], self.where
        )

    def __repr__(self) -> str:
        return f"Table(rows={len(self)}, ids={len(np.unique(self.ids))}, where={self.where!r})"

    @classmethod
    def build(
        cls,
        frames: Any,
        ids: Any,
        boxes: Any,
        scores: Any = None,
        classes: Any = None,
        *,
        where: str = "",
        lines: Whole | None = None,
    ) -> Table:
        """Check and order rows.

        Args:
            frames: ``[N]``.
            ids: ``[N]``.
            boxes: ``[N, 4]`` left, top, width, height.
            scores: ``[N]``, default 1.
            classes: ``[N]``, default 1.
            where: What the rows came from, usually a file.
            lines: ``[N]`` line numbers for messages.

        Raises:
            DataError: A value is not finite, a size is negative, or an id occurs twice in a frame.
        """
        f, i = np.asarray(frames, np.int64).reshape(-1), np.asarray(ids, np.int64).reshape(-1)
        b = np.asarray(boxes, np.float64).reshape(-1, 4)
        s = np.ones(len(f)) if scores is None else np.asarray(scores, np.float64).reshape(-1)
        c = np.ones(len(f)) if classes is None else np.asarray(classes, np.float64).reshape(-1)
        if not len(f) == len(i) == len(b) == len(s) == len(c):
            raise DataError(
                f"{where}: {len(f)} frames, {len(i)} ids, {len(b)} boxes, {len(s)} scores, {len(c)} classes; need one "
                "of each per row"
            )

        def at(row: int) -> str:
            return f"{where}:{lines[row]}" if lines is not None else f"{where} row {row}"

        bad = np.flatnonzero(~np.isfinite(b).all(axis=1) | (b[:, 2:] < 0).any(axis=1))
        if len(bad):
            raise DataError(
                f"{at(bad[0])}: box {b[bad[0]].tolist()} has a negative size or a value that is not a number"
            )
        order = np.lexsort((i, f))
        same = (np.diff(f[order]) == 0) & (np.diff(i[order]) == 0)
        if same.any():
            first = int(np.argmax(same))
            one, two = sorted((int(order[first]), int(order[first + 1])))
            raise DataError(
                f"{at(two)}: id {i[two]} occurs twice in frame {f[two]} (first at {at(one)}); each id may have one "
                "box per frame"
            )
        return cls(f[order], i[order], b[order], s[order], c[order], where)

    @classmethod
    def empty(cls, where: str = "") -> Table:
        """A table of no rows, for a source where nobody was found."""
        return cls.build([], [], np.zeros((0, 4)), where=where)

    def between(self, first: int, last: int) -> Table:
        """Rows of frames ``first`` to ``last``, both included."""
        low, high = np.searchsorted(self.frames, [first, last + 1])
        return self[int(low) : int(high)]

    def by_frame(self, first: int, last: int) -> list[slice]:
        """For each frame from ``first`` to ``last``, its rows as a slice."""
        edges = np.searchsorted(self.frames, np.arange(first, last + 2))
        return [slice(int(a), int(b)) for a, b in pairwise(edges)]


def one_of_each(frames: Float64Array, ids: Float64Array, scores: Float64Array) -> Whole:
    """Rows that stay where a person has one box in a frame: where one track of a person is carried on while another
    begins, the box with the higher score stays.

    Args:
        frames: ``[N]`` of one camera.
        ids: ``[N]`` of people.
        scores: ``[N]`` of boxes; one that was carried on has 0.

    Returns:
        Row numbers, ascending.
    """
    order = np.lexsort((-scores, ids, frames))
    first = np.ones(len(order), bool)
    first[1:] = (np.diff(frames[order]) != 0) | (np.diff(ids[order]) != 0)
    return np.sort(order[first])
