"""Clocks compared by people who walk from one camera to another and back."""

import numpy as np
import pytest

from streamreid.clocks.clock_offsets import ClockOffsetEstimator
from streamreid.types import Tracks

SIZE = (640, 480)


def watched(
    way: float, skew: float, *, people: int = 12, stay: float = 4.0
) -> tuple[ClockOffsetEstimator, dict[tuple[str, int], tuple[int, float]]]:
    """Everybody is seen by one camera, then by the other, ``way`` seconds later; every second person walks back."""
    rng = np.random.default_rng(0)
    watch = ClockOffsetEstimator()
    for person in range(people):
        begin = 30.0 * person
        first, second = ("a", "b") if person % 2 else ("b", "a")
        for camera, start in ((first, begin), (second, begin + stay + way + rng.normal(0, 0.2))):
            for number in range(int(stay / 0.5) + 1):
                stamp = start + 0.5 * number + (skew if camera == "b" else 0.0)
                box = np.array([[*rng.uniform(50, 400, 2), 40, 100]])
                box[:, 2:] += box[:, :2]
                watch.observe(
                    camera,
                    stamp,
                    Tracks(np.array([person]), box.astype(np.float32), np.ones(1, np.float32), np.zeros(1, int)),
                    SIZE,
                )
    return watch, {(c, p): (p + 1, 1.0) for c in "ab" for p in range(people)}


@pytest.mark.parametrize("skew", [0.0, 9.0, -9.0])
def test_the_offset_is_half_of_the_difference_of_both_ways(skew: float) -> None:
    watch, identities = watched(6.0, skew)
    (offset,) = watch.estimate(identities)
    assert offset.by == "transits"
    assert abs(offset.seconds) == pytest.approx(abs(skew), abs=0.3)
    assert offset.wrong == (skew != 0)


def test_cameras_that_see_people_at_once_tell_nothing_by_ways() -> None:
    watch, identities = watched(-3.0, 0.0)
    assert watch.estimate(identities) == []
