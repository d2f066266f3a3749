"""Clocks that are set while cameras run."""

import pytest

from streamreid.clocks.clock_jumps import ClockJumpFilter


def run(*frames):
    """frames: (camera, time by its clock); the times they are taken to be."""
    times = ClockJumpFilter()
    return [times.take(camera, time) for camera, time in frames], times


def second(camera, start, count=10):
    return [(camera, start + i / 10) for i in range(count)]


def both(a, b, count=30):
    return [pair for i in range(count) for pair in (("a", a + i / 10), ("b", b + i / 10))]


def test_times_of_sane_clocks_are_left_alone():
    frames = both(100.0, 100.05) + both(150.0, 130.0)
    taken, times = run(*frames)
    assert taken == [t for _, t in frames]
    assert times.now == pytest.approx(152.9)


@pytest.mark.parametrize("step", [-4000.0, 4000.0])
def test_a_clock_that_is_set_does_not_take_the_others_along(step, caplog):
    taken, times = run(*both(5000.0, 5000.0), *both(5003.0 + step, 5003.0))
    assert times.now == pytest.approx(5005.9, abs=0.2)
    assert all(later > earlier for earlier, later in zip(taken[::2], taken[2::2], strict=False))
    assert all(abs(a - b) < 0.3 for a, b in zip(taken[::2], taken[1::2], strict=True))
    assert caplog.text.count("camera 'a': its clock") == 1


def test_time_that_passes_for_all_cameras_has_passed():
    taken, times = run(*both(100.0, 100.0), *both(5000.0, 5000.3))
    assert taken[-1] == pytest.approx(5003.2)
    assert times.now == pytest.approx(5003.2)


def test_a_single_camera_may_pause():
    frames = second("a", 10.0) + second("a", 9000.0)
    assert run(*frames)[0] == [t for _, t in frames]


def test_a_camera_that_goes_on_alone_is_believed_in_the_end():
    taken, _ = run(*both(100.0, 100.0), *second("a", 5000.0, 400))
    assert taken[60] == pytest.approx(102.9, abs=0.1)
    assert taken[-1] == pytest.approx(5039.9)


def test_one_wrong_time_stamp_changes_nothing():
    taken, times = run(*both(100.0, 100.0), ("a", 9e8), *both(103.0, 103.0))
    assert taken[-1] == pytest.approx(105.9)
    assert times.now == pytest.approx(105.9)
