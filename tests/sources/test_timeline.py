"""Repair of time stamps."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreid.sources import ManualClock
from streamreid.sources.base import Notes
from streamreid.sources.timeline import Timeline

MS = Fraction(1, 1000)


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        ([0, 100, 200], [0.0, 0.1, 0.2]),
        ([700, 800], [0.0, 0.1]),
        ([0, 0, 200, 200], [0.0, 0.05, 0.2, 0.25]),
        ([0, 100, 60, 200], [0.0, 0.1, 0.15, 0.2]),
        ([None, None, None], [0.0, 0.1, 0.2]),
        ([0, None, 200], [0.0, 0.1, 0.2]),
        ([None, None, 5000, 5100], [0.0, 0.1, 0.2, 0.3]),
        ([9000, 9100, 0, 100, 200], [0.0, 0.1, 0.2, 0.3, 0.4]),
        ([0, 0, 0, 0], [0.0, 0.05, 0.15, 0.25]),
    ],
)
def test_times_from_stamps(stamps: list[int | None], times: list[float]) -> None:
    timeline = Timeline(10.0, 0.1, Notes())
    assert [timeline.stamp(s, MS)[0] - 10.0 for s in stamps] == pytest.approx(times)


def test_labels_and_notes() -> None:
    notes = Notes()
    timeline = Timeline(0.0, 0.1, notes)
    assert [timeline.stamp(s, MS)[1] for s in [0, 100, 100, None, 400]] == ["pts", "pts", "rate", "rate", "pts"]
    assert notes.all() == ["1 repeated or backward time stamp repaired"]
    timeline.stamp(400, MS)
    assert notes.all() == ["2 repeated or backward time stamps repaired"]


@given(st.lists(st.one_of(st.none(), st.integers(-(10**9), 10**9)), min_size=1, max_size=60), st.integers(0, 50))
def test_times_always_increase(stamps: list[int | None], turn: int) -> None:
    timeline = Timeline(1.0, 0.04, Notes())
    times = []
    for i, stamp in enumerate(stamps):
        if i == turn:
            timeline.next_pass()
        times.append(timeline.stamp(stamp, MS)[0])
    assert all(a < b for a, b in itertools.pairwise(times))


def test_notes_are_bounded() -> None:
    notes = Notes()
    for i in range(1000):
        notes.add(f"event {i}")
        notes.add("event 0")
        notes.size(10 + i % 2, 10, i)
    assert len(notes.all()) == 52  # fifty, how many more, and how often the size changed
    assert notes.all()[0] == "event 0"
    assert "more warnings" in notes.all()[-2]


def test_manual_clock() -> None:
    clock = ManualClock(100.0)
    clock.advance(2.5)
    assert clock.now() == 102.5
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
