"""Clocks compared by people whom two cameras see at once."""

import numpy as np
import pytest

from streamreid.clocks.clock_offsets import ClockOffset, ClockOffsetEstimator
from streamreid.types import Tracks

PEOPLE = 6


def offsets(seed: int, *, every: float, seconds: float, skew: float) -> list[ClockOffset]:
    """Two cameras with one view of people who cross it; one has ten frames a second."""
    rng = np.random.default_rng(seed)
    watch, ids = ClockOffsetEstimator(), np.arange(PEOPLE)
    left, lane = rng.uniform(0, 700, PEOPLE), rng.uniform(200, 520, PEOPLE)
    speed = rng.choice([-1, 1], PEOPLE) * rng.uniform(25, 60, PEOPLE)
    drift = rng.normal(0, 8, PEOPLE)
    for camera, step, late in (("a", 0.1, 0.0), ("b", every, skew)):
        for time in np.arange(0, seconds, step):
            foot = np.stack([left + speed * time, lane + drift * time], 1) + rng.normal(0, 2, (PEOPLE, 2))
            boxes = np.concatenate([foot - np.array([20, 120]), foot + np.array([20, 0])], 1).astype(np.float32)
            watch.observe(camera, time + late, Tracks(ids, boxes, np.ones(PEOPLE, np.float32), ids), (768, 576))
    return watch.estimate({(camera, n): (n + 1, 0.95) for camera in "ab" for n in range(PEOPLE)})


def test_ten_frames_of_a_slow_camera_say_nothing() -> None:
    """Places between its frames are drawn through them, and are no evidence of their own."""
    assert not any(offsets(seed, every=1.0, seconds=10.0, skew=0.0) for seed in range(5))
    assert sum(bool(offsets(seed, every=0.1, seconds=10.0, skew=0.0)) for seed in range(5)) >= 4


@pytest.mark.parametrize("skew", [2.0, -2.0])
def test_a_minute_of_a_slow_camera_tells_a_wrong_clock(skew: float) -> None:
    (found,) = offsets(0, every=1.0, seconds=60.0, skew=skew)
    assert found.seconds == pytest.approx(-skew, abs=0.3)
    assert found.wrong
