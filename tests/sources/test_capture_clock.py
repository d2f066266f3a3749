"""Capture times of live pictures from stamps, arrivals and reports."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamreid.sources.base import Notes
from streamreid.sources.capture_clock import CaptureClock

NOW = 1_700_000_000.0


def play(
    clock: CaptureClock,
    seconds: float,
    *,
    fps: float = 10,
    delay: float = 0.0,
    start: float = 0.0,
    report: float | None = None,
    rate: float = 1.0,
) -> list[tuple[float, float, str]]:
    """Pictures from ``start`` on: true time, capture time, clock. ``rate`` is that of the stream's clock, ``report``
    the error of the camera's."""
    dice = np.random.default_rng(0)
    result = []
    for number in range(round(seconds * fps)):
        true = NOW + start + number / fps
        arrival = true + delay + (0.0 if number % 7 == 0 else float(dice.exponential(0.02)))
        time, name = clock.stamp((true - NOW) * rate + 500.0, arrival, None if report is None else true + report)
        result.append((true, time, name))
    return result


def test_jitter_is_not_followed() -> None:
    seen = play(CaptureClock(Notes()), 60, delay=0.05)[20:]
    assert {name for _, _, name in seen} == {"pts"}
    errors = [time - true for true, time, _ in seen]
    assert np.ptp(errors) < 0.002
    assert np.median(errors) == pytest.approx(0.05, abs=0.005)


def test_a_burst_at_the_beginning_leaves_no_lag() -> None:
    clock = CaptureClock(Notes())
    # The camera sends two stored seconds at once, then lives.
    for number in range(20):
        clock.stamp(number / 10, NOW + number * 0.001)
    times = [clock.stamp(2 + number / 10, NOW + number / 10)[0] - (NOW + number / 10) for number in range(100)]
    assert max(times) < 2.5
    assert times[-1] == pytest.approx(0.0, abs=0.01)


def test_reports_are_used_and_named() -> None:
    notes = Notes()
    clock = CaptureClock(notes)
    before = play(clock, 2, delay=0.3)
    after = play(clock, 5, delay=0.3, start=2, report=0.0)
    assert {name for _, _, name in before} == {"pts"}
    assert {name for _, _, name in after[15:]} == {"rtcp"}
    np.testing.assert_allclose([time for _, time, _ in after[15:]], [true for true, _, _ in after[15:]], atol=0.001)
    assert clock.delay == pytest.approx(0.3, abs=0.2)
    # Going back by 0.3 s, times slow down and never stand still.
    assert min(b[1] - a[1] for a, b in itertools.pairwise(before + after)) > 0.04
    assert notes.all() == []


@pytest.mark.parametrize(
    ("error", "words"), [(-86400.0 * 365, "365 days behind"), (40.0, "40 seconds ahead"), (-7200.0, "behind")]
)
def test_reports_of_a_clock_that_is_not_set(error: float, words: str) -> None:
    notes = Notes()
    seen = play(CaptureClock(notes), 15, report=error)
    assert {name for _, _, name in seen} == {"pts"}
    assert abs(seen[-1][1] - seen[-1][0]) < 0.1
    assert len(notes.all()) == 1
    assert words in notes.all()[0]


def test_the_first_use_of_a_report_may_belong_to_the_picture_before() -> None:
    clock = CaptureClock(Notes())
    play(clock, 2)
    first = clock.stamp(502.0, NOW + 2.0, NOW + 2.1)
    second = clock.stamp(502.1, NOW + 2.1, NOW + 2.1)
    assert first[1] == "pts"
    assert second == (pytest.approx(NOW + 2.1, abs=0.001), "rtcp")


def test_a_camera_whose_clock_is_set_while_it_runs() -> None:
    notes = Notes()
    clock = CaptureClock(notes)
    play(clock, 5, report=0.0)
    seen = play(clock, 30, start=5, report=-3.0)
    assert seen[10][1] == pytest.approx(seen[10][0], abs=0.1), "for a while the stamps are trusted more"
    assert seen[-1][1] == pytest.approx(seen[-1][0] - 3.0, abs=0.1)
    assert notes.all() == ["the camera's clock was set once"]
    assert clock.jumps == 1


@pytest.mark.parametrize("jump", [-400.0, -5.0, 5.0, 400.0])
def test_stamps_that_jump(jump: float) -> None:
    notes = Notes()
    clock = CaptureClock(notes)
    times = [clock.stamp(500 + n / 10, NOW + n / 10)[0] for n in range(50)]
    times += [clock.stamp(500 + jump + n / 10, NOW + n / 10)[0] for n in range(50, 100)]
    np.testing.assert_allclose(np.diff(times), 0.1, atol=0.06)
    assert times[-1] == pytest.approx(NOW + 9.9, abs=0.1)
    assert clock.jumps == 1
    assert notes.all() == ["time stamps jumped once; times go on"]


def test_one_wrong_stamp_does_not_carry_the_times_away() -> None:
    clock = CaptureClock(Notes())
    times = []
    for n in range(100):
        stamp = 500 + n / 10 + (40_000.0 if n in (2, 40) else 0.0)
        times.append(clock.stamp(stamp, NOW + n / 10, stamp - 500 + NOW if n > 20 else None)[0])
    assert np.all(np.diff(times) > 0)
    np.testing.assert_allclose(times, NOW + np.arange(100) / 10, atol=0.06)


def test_after_one_wrong_stamp_the_anchor_is_as_good_as_before() -> None:
    notes = Notes()
    clock = CaptureClock(notes)
    dice = np.random.default_rng(0)
    errors = []
    for n in range(300):
        true = NOW + n / 10
        delay = 0.0 if n % 50 == 0 else 0.2 + float(dice.exponential(0.05))
        time, _ = clock.stamp(500 + n / 10 + (40_000.0 if n == 120 else 0.0), true + delay)
        errors.append(time - true)
    assert max(errors[125:]) < 0.01, "it need not wait for another picture that comes without delay"
    assert notes.all() == ["time stamps jumped once; times go on", "1 wrong time stamp mended"]


def test_a_network_that_holds_data_back_does_not_move_the_times() -> None:
    clock = CaptureClock(Notes())
    for n in range(50):
        clock.stamp(n / 10, NOW + n / 10)
    late = [clock.stamp(n / 10, NOW + 9.0)[0] for n in range(50, 90)]
    np.testing.assert_allclose(late, [NOW + n / 10 for n in range(50, 90)], atol=0.01)
    assert clock.jumps == 0


@pytest.mark.parametrize("ppm", [-200.0, 0.0, 100.0])
def test_drift_is_followed_and_reported(ppm: float) -> None:
    clock = CaptureClock(Notes())
    assert clock.drift is None
    seen = play(clock, 1800, fps=2, rate=1 - ppm * 1e-6)
    assert clock.drift == pytest.approx(ppm, abs=20)
    assert abs(seen[-1][1] - seen[-1][0]) < 0.03
    assert clock.jumps == 0


def test_without_stamps_arrival_counts() -> None:
    clock = CaptureClock(Notes(), last=NOW + 1)
    assert clock.stamp(None, NOW) == (pytest.approx(NOW + 1, abs=1e-5), "arrival")
    assert clock.stamp(None, NOW + 2) == (NOW + 2, "arrival")


def test_finite_data_keeps_its_distances_however_fast_it_comes() -> None:
    clock = CaptureClock(Notes(), steer=False)
    times = [clock.stamp(n / 10, NOW + n / 1000)[0] for n in range(2000)]
    np.testing.assert_allclose(np.diff(times), 0.1, atol=1e-6)


numbers = st.floats(-1e5, 1e5)


@given(
    st.lists(
        st.tuples(st.one_of(st.none(), numbers), st.floats(-5, 20), st.one_of(st.none(), st.floats(-1e9, 1e9))),
        min_size=1,
        max_size=80,
    ),
    st.booleans(),
)
def test_times_always_increase_and_stay_near_the_world(
    pictures: list[tuple[float | None, float, float | None]], steer: bool
) -> None:
    clock = CaptureClock(Notes(), steer=steer)
    arrival, times = NOW, []
    for stamp, step, report in pictures:
        arrival += step
        times.append(clock.stamp(stamp, arrival, None if report is None else NOW + report)[0])
    assert all(a < b for a, b in itertools.pairwise(times))
    assert clock.drift is None or np.isfinite(clock.drift)
