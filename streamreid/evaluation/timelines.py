"""Who was covered by which id, when: the matches of CLEAR MOT as runs of frames, for the error browser.

In each frame people and results are matched as TrackEval's CLEAR does it (IoU .5, pairs of the frame before first), so
the switches here are those of the score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreid.evaluation.scores import Prepared

__all__ = ["Mixture", "Runs", "Timelines", "mixtures", "timelines"]

Whole = NDArray[np.int64]
NOBODY = -1
"""Identity number of a row that no identity belongs to."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """One id that covers several people (a merge), or one person covered by several ids (a split).

    Args:
        id: The id of the results (merge) or of the ground truth (split).
        parts: The others with their numbers of boxes, most first.
    """

    id: int
    parts: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Frames without a change, ordered by person (or id), camera and frame.

    Args:
        who: ``[R]`` person of the ground truth; in ``Timelines.false``, id of the results.
        camera: ``[R]`` index of the camera.
        first: ``[R]`` first frame.
        last: ``[R]`` last frame.
        id: ``[R]`` id that covered the person, -1 where they were missed (or, for false boxes, that nobody was there).
        boxes: ``[R]`` frames that count; fewer than ``last - first + 1`` if the ground truth has gaps between the
            frames it covers.
    """

    who: Whole
    camera: Whole
    first: Whole
    last: Whole
    id: Whole
    boxes: Whole

    def __len__(self) -> int:
        return len(self.who)


@dataclass(frozen=True, slots=True, eq=False)
class Timelines:
    """What a sequence looked like.

    Args:
        cameras: Names.
        frames: First and last frame.
        people: Runs of every person: covered by an id, or missed.
        false: Runs of every id where it covered nobody.
        switches: ``[S, 5]`` person, camera, frame, id before, id after; inside each camera, as CLEAR counts them.
    """

    cameras: tuple[str, ...]
    frames: tuple[int, int]
    people: Runs
    false: Runs
    switches: Whole

    @property
    def splits(self) -> tuple[Mixture, ...]:
        """People covered by several ids, the worst first."""
        return mixtures(self._counts())

    @property
    def merges(self) -> tuple[Mixture, ...]:
        """Ids that cover several people, the worst first."""
        return mixtures(Counter({(who, person): n for (person, who), n in self._counts().items()}))

    def _counts(self) -> Counter[tuple[int, int]]:
        counts: Counter[tuple[int, int]] = Counter()
        runs = self.people
        for person, who, n in zip(runs.who.tolist(), runs.id.tolist(), runs.boxes.tolist(), strict=True):
            if who != NOBODY:
                counts[person, who] += n
        return counts


def mixtures(counts: Counter[tuple[int, int]], share: float = 0.1) -> tuple[Mixture, ...]:
    """Firsts with several seconds of at least ``share`` of the first's boxes; the most mixed first.

    Args:
        counts: Boxes by (first, second).
        share: Seconds with less do not count, so that a few boxes swapped in passing are no error.
    """
    groups: dict[int, list[tuple[int, int]]] = {}
    for (first, second), n in counts.items():
        groups.setdefault(first, []).append((second, n))
    found = []
    for first, parts in groups.items():
        whole = sum(n for _, n in parts)
        real = sorted((part for part in parts if part[1] >= share * whole), key=lambda part: (-part[1], part[0]))
        if len(real) > 1:
            found.append(Mixture(first, tuple(real)))
    return tuple(sorted(found, key=lambda m: (-sum(n for _, n in m.parts[1:]), m.id)))


def timelines(data: Prepared, cameras: Sequence[str], frames: tuple[int, int]) -> Timelines:
    """Runs and switches of a prepared sequence.

    Args:
        data: From ``prepare``: the frames of all cameras, one camera after the other.
        cameras: Names, in that order.
        frames: First and last frame of every camera.
    """
    count = frames[1] - frames[0] + 1
    covered: list[Whole] = []
    false: list[Whole] = []
    switches: list[tuple[int, ...]] = []
    seen: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
    for camera in range(len(cameras)):
        steps = range(camera * count, (camera + 1) * count)
        last: dict[int, int] = {}
        for step, (people, ids, who) in zip(steps, _matches(data, steps), strict=True):
            frame = frames[0] + step - camera * count
            for person, found in zip(people.tolist(), who.tolist(), strict=True):
                if found != NOBODY:
                    if last.get(person, found) != found:
                        switches.append((person, camera, frame, last[person], found))
                    last[person] = found
            if len(people):
                seen[0].append((camera, frame))
            if len(ids):
                seen[1].append((camera, frame))
            covered.append(_rows(people, camera, frame, who))
            free = ids[~np.isin(ids, who)]
            false.append(_rows(free, camera, frame, np.full(len(free), NOBODY)))
    rows = np.array(sorted(switches), np.int64).reshape(-1, 5)
    return Timelines(tuple(cameras), frames, _runs(covered, seen[0]), _runs(false, seen[1]), rows)


def _rows(who: Whole, camera: int, frame: int, ids: Whole) -> Whole:
    return np.stack([who, np.full(len(who), camera), np.full(len(who), frame), ids], 1)


def _matches(data: Prepared, steps: range) -> Iterator[tuple[Whole, Whole, Whole]]:
    """For each step: people, ids, and for each person the id that covers them or -1 (Bernardin and Stiefelhagen 2008,
    as in TrackEval's CLEAR)."""
    from scipy.optimize import linear_sum_assignment

    before: dict[int, int] = {}
    for step in steps:
        # ``prepare`` hands the ids of the files through as the fifth column of the boxes.
        people, ids = (data[key][step][:, 4].astype(np.int64) for key in ("gt_dets", "tracker_dets"))
        similarity = data["similarity_scores"][step]
        known = np.array([before.get(person, NOBODY) for person in people.tolist()], np.int64)
        total = 1000.0 * (known[:, None] == ids[None]) + similarity
        total[similarity < 0.5 - np.finfo(float).eps] = 0
        who = np.full(len(people), NOBODY)
        rows, columns = linear_sum_assignment(-total)
        real = total[rows, columns] > np.finfo(float).eps
        who[rows[real]] = ids[columns[real]]
        before = {person: found for person, found in zip(people.tolist(), who.tolist(), strict=True) if found != NOBODY}
        yield people, ids, who


def _runs(pieces: list[Whole], seen: list[tuple[int, int]]) -> Runs:
    """Join rows (who, camera, frame, id) of neighbouring frames. Neighbours are frames between which nothing was
    ``seen`` (camera, frame) in that camera, so a ground truth of every fifth frame has runs as well."""
    rows = np.concatenate([*pieces, np.zeros((0, 4), np.int64)])
    rows = rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))]
    known = np.array(seen, np.int64).reshape(-1, 2)
    place = np.zeros(len(rows), np.int64)
    for camera in np.unique(known[:, 0]):
        own = rows[:, 1] == camera
        place[own] = np.searchsorted(known[known[:, 0] == camera, 1], rows[own, 2])
    same = (np.diff(rows[:, [0, 1, 3]], axis=0) == 0).all(1) & (np.diff(place) == 1)
    starts = np.flatnonzero(np.r_[True, ~same]) if len(rows) else np.zeros(0, np.int64)
    ends = np.r_[starts[1:], len(rows)] - 1 if len(rows) else starts
    first = rows[starts]
    return Runs(first[:, 0], first[:, 1], first[:, 2], rows[ends, 2], first[:, 3], ends - starts + 1)
