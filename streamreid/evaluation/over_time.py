"""Identities over time: scores of equal parts of a recording, and whether people who come back have their id again.

A stay is an uninterrupted time of one person in one camera, by the ground truth. When a stay begins, the person was
last seen some time ago, in any camera; the return is right if the stay has the same most frequent id as the one that
ended last before it (or that still goes on elsewhere: the person is seen by two cameras at once). Roboflow's trackers
call the same, inside one camera, re-association after a gap.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from streamreid.errors import DataError
from streamreid.evaluation.multicam import paired_tables
from streamreid.evaluation.preprocessing import ious, matching, prepare
from streamreid.evaluation.scores import MotScores, score
from streamreid.evaluation.table import Table
from streamreid.mot_text import Layout

__all__ = ["GAPS", "OverTime", "PartScores", "Returns", "evaluate_over_time", "rate_of"]

GAPS = (0.0, 2.0, 10.0, 60.0, 300.0)
"""Seconds since somebody was last seen at which the rows of the table begin; the first row ends where it begins: the
person is seen elsewhere at that moment."""

_PAUSE = 1.0
"""Seconds without a person in a camera that end a stay."""


@dataclass(frozen=True, slots=True)
class PartScores:
    """Scores of a part of the recording.

    Args:
        frames: First and last frame.
        scores: All cameras as one sequence.
    """

    frames: tuple[int, int]
    scores: MotScores


@dataclass(frozen=True, slots=True)
class Returns:
    """People who came back after some time.

    Args:
        least: Seconds since they were last seen, at least.
        most: Less than so many seconds; None: no limit. 0: they were in another camera at that moment.
        count: How many returns.
        right: How many of them had the id of the stay before.
        other_camera: How many were to another camera.
        other_camera_right: How many of those had it.
    """

    least: float
    most: float | None
    count: int
    right: int
    other_camera: int
    other_camera_right: int


@dataclass(frozen=True, slots=True)
class OverTime:
    """How identities do over time.

    Args:
        parts: The recording in equal parts; ids mean the same person in all of them.
        returns: By time since somebody was last seen.
    """

    parts: tuple[PartScores, ...]
    returns: tuple[Returns, ...]

    def as_dict(self) -> dict[str, Any]:
        """The same figures as plain values, for JSON."""
        return {
            "parts": [{"frames": list(p.frames), **p.scores.as_dict()} for p in self.parts],
            "returns": [asdict(r) for r in self.returns],
        }


def rate_of(clocks: Mapping[str, Sequence[tuple[int, float]]]) -> float | None:
    """Frames per second of a run by its capture times (`read_clocks`), the median over the cameras; None where they say
    nothing."""
    ends = [(knots[0], knots[-1]) for knots in clocks.values() if len(knots) > 1]
    rates = sorted((last[0] - first[0]) / (last[1] - first[1]) for first, last in ends if last[1] > first[1])
    return rates[len(rates) // 2] if rates else None


@dataclass(slots=True)
class _Stay:
    camera: str
    first: int
    last: int
    ids: Counter[int]


def evaluate_over_time(
    results: Mapping[str, Table] | Path | str,
    truth: Mapping[str, Table] | Path | str | Sequence[Path | str],
    *,
    fps: float,
    parts: int = 3,
    frames: tuple[int, int] | None = None,
    partial: Collection[str] = (),
    layout: Layout | None = None,
) -> OverTime:
    """Score ids across cameras over time.

    Args:
        results: See `evaluate_multicam`; so are the others.
        truth: See there.
        fps: Frames per second, positive; gaps are told in seconds.
        parts: In how many equal parts.
        frames: See there.
        partial: See there.
        layout: See there.

    Raises:
        DataError: A file is malformed, cameras do not fit, or there are fewer frames than parts.
        MissingExtraError: TrackEval is not installed.
    """
    pairs, span = paired_tables(results, truth, frames=frames, partial=partial, layout=layout)
    count = span[1] - span[0] + 1
    if not 1 <= parts <= count:
        raise DataError(f"{count} frames cannot be scored in {parts} parts; choose 1 to {count}")
    edges = [span[0] + count * i // parts for i in range(parts + 1)]
    inside = [(first, end - 1) for first, end in pairwise(edges)]
    return OverTime(tuple([PartScores(part, _score(pairs, part)) for part in inside]), _returns(pairs, span, fps))


def _score(pairs: Mapping[str, tuple[Table, Table]], span: tuple[int, int]) -> MotScores:
    cut = [(own.between(*span), true.between(*span)) for own, true in pairs.values()]
    return score(prepare(cut, span, name="all cameras"))


def _returns(pairs: Mapping[str, tuple[Table, Table]], span: tuple[int, int], fps: float) -> tuple[Returns, ...]:
    found: dict[int, list[tuple[float, bool, bool]]] = defaultdict(list)  # row: gap, right, other camera
    for stays in _stays(pairs, span, pause=max(1, round(_PAUSE * fps))).values():
        stays.sort(key=lambda stay: (stay.first, stay.camera))
        for at, stay in enumerate(stays[1:], 1):
            before = max(stays[:at], key=lambda s: (min(s.last, stay.first), s.first))
            gap = (stay.first - before.last) / fps
            row = sum(gap > least for least in GAPS)
            found[row].append((gap, _most(stay.ids) == _most(before.ids), stay.camera != before.camera))
    rows = []
    for row in range(len(GAPS) + 1):
        least = GAPS[row - 1] if row else 0.0
        most = GAPS[row] if row < len(GAPS) else None
        seen = found[row]
        others = [right for _, right, other in seen if other]
        rows.append(Returns(least, most, len(seen), sum(r for _, r, _ in seen), len(others), sum(others)))
    return tuple(rows)


def _stays(pairs: Mapping[str, tuple[Table, Table]], span: tuple[int, int], *, pause: int) -> dict[int, list[_Stay]]:
    """Stays of each person with the ids that they were matched with; those in which nobody found them are left out."""
    found: dict[int, list[_Stay]] = defaultdict(list)
    for camera, (results, truth) in pairs.items():
        current: dict[int, _Stay] = {}
        rows = zip(results.by_frame(*span), truth.by_frame(*span), strict=True)
        for frame, (own, true) in enumerate(rows, span[0]):
            for person in truth.ids[true].tolist():
                stay = current.get(person)
                if stay is None or frame - stay.last > pause:
                    stay = current[person] = _Stay(camera, frame, frame, Counter())
                    found[person].append(stay)
                stay.last = frame
            people, columns = matching(ious(truth.boxes[true], results.boxes[own]))
            for person, who in zip(truth.ids[true][people].tolist(), results.ids[own][columns].tolist(), strict=True):
                current[person].ids[who] += 1
    return {person: [stay for stay in stays if stay.ids] for person, stays in found.items()}


def _most(ids: Counter[int]) -> int:
    return max(sorted(ids), key=ids.__getitem__)
