"""Scores of the parts of a recording, and whether people who come back have their id again."""

from __future__ import annotations

import numpy as np
import pytest

from streamreid.errors import DataError
from streamreid.evaluation import Table, evaluate_over_time, rate_of

pytest.importorskip("trackeval")


def stay(person: int, first: int, last: int, *, who: int | None = None) -> list[tuple[float, ...]]:
    """Rows of somebody in one camera: frame, id, left, top, width, height."""
    return [(f, person if who is None else who, 60 * person + f % 7, 50, 20, 50) for f in range(first, last + 1)]


def table(*stays: list[tuple[float, ...]]) -> Table:
    data = np.array(sorted(row for one in stays for row in one), float).reshape(-1, 6)
    return Table.build(data[:, 0], data[:, 1], data[:, 2:6])


# Two frames per second. Person 1: hall 1-20, yard 25-40 (2.5 s later), hall 70-80 (15 s later). Person 2: both at once.
TRUTH = {
    "hall": table(stay(1, 1, 20), stay(1, 70, 80), stay(2, 1, 90)),
    "yard": table(stay(1, 25, 40), stay(2, 30, 60)),
}


def test_returns_are_counted_by_time_since_the_person_was_last_seen() -> None:
    results = {
        "hall": table(stay(1, 1, 20, who=5), stay(1, 70, 80, who=9), stay(2, 1, 90, who=6)),
        "yard": table(stay(1, 25, 40, who=5), stay(2, 30, 60, who=6)),
    }
    found = evaluate_over_time(results, TRUTH, fps=2.0)
    rows = {(r.least, r.most): (r.count, r.right, r.other_camera, r.other_camera_right) for r in found.returns}
    assert rows == {
        (0.0, 0.0): (1, 1, 1, 1),  # person 2 in the yard, who is in the hall at that moment
        (0.0, 2.0): (0, 0, 0, 0),
        (2.0, 10.0): (1, 1, 1, 1),
        (10.0, 60.0): (1, 0, 1, 0),
        (60.0, 300.0): (0, 0, 0, 0),
        (300.0, None): (0, 0, 0, 0),
    }


def test_parts_are_scored_with_ids_that_hold_for_all_of_them() -> None:
    results = {"hall": table(stay(2, 1, 30, who=6), stay(2, 31, 90, who=7)), "yard": TRUTH["yard"]}
    found = evaluate_over_time({"hall": results["hall"]}, {"hall": table(stay(2, 1, 90))}, fps=2.0)
    assert [p.frames for p in found.parts] == [(1, 30), (31, 60), (61, 90)]
    assert [p.scores.idf1 for p in found.parts] == [1.0, 1.0, 1.0]
    found = evaluate_over_time({"hall": results["hall"]}, {"hall": table(stay(2, 1, 90))}, fps=2.0, parts=2)
    assert [round(p.scores.idf1, 3) for p in found.parts] == [0.667, 1.0]
    assert found.as_dict()["parts"][1]["frames"] == [46, 90]


def test_somebody_whom_nobody_found_is_no_return() -> None:
    found = evaluate_over_time({"hall": TRUTH["hall"], "yard": table(stay(2, 30, 60))}, TRUTH, fps=2.0)
    assert sum(r.count for r in found.returns) == 2  # person 1 back in the hall, person 2 in the yard
    assert sum(r.right for r in found.returns) == 2


def test_more_parts_than_frames_are_refused() -> None:
    with pytest.raises(DataError, match="90 frames cannot be scored in 91 parts"):
        evaluate_over_time(TRUTH, TRUTH, fps=2.0, parts=91)


def test_the_frame_rate_is_that_of_the_capture_times() -> None:
    assert rate_of({"a": [(1, 10.0), (101, 20.0)], "b": [(1, 0.0)]}) == pytest.approx(10.0)
    assert rate_of({}) is None
