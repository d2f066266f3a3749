"""A live run compares clocks while everybody waits: what that costs must not grow with the hours."""

import numpy as np
import pytest

from streamreid.clocks import clock_offsets as clocks
from streamreid.clocks.clock_offsets import ClockOffsetEstimator
from streamreid.types import Tracks


def regulars(visits, offset):
    """Two people who come again and again, seen by two cameras at once."""
    watch, links, rng = ClockOffsetEstimator(), {}, np.random.default_rng(0)
    for visit in range(visits):
        who = 1 + visit % 2
        links["a", visit] = links["b", visit] = who, 0.9
        place, way, phase = rng.uniform(100, 300, 2), rng.uniform(-8, 8, 2), rng.uniform(0, 6)
        for t in np.arange(0, 8, 0.2):
            x, y = place + way * t + [25 * np.sin(t + phase), 15 * np.cos(1.7 * t + phase)]
            for camera, late, foot in (
                ("a", 0.0, (x, y)),
                ("b", offset, (0.8 * x + 0.1 * y + 30, 0.9 * y - 0.05 * x + 40)),
            ):
                box = np.array([[foot[0] - 10, foot[1] - 50, foot[0] + 10, foot[1]]], np.float32)
                time = 20.0 * visit + t + late
                watch.observe(
                    camera,
                    time,
                    Tracks(np.array([visit]), box, np.ones(1, np.float32), np.zeros(1, np.int64)),
                    (640, 600),
                )
    return watch, links


@pytest.mark.parametrize("most", [1, None])
def test_the_cost_follows_what_can_have_been_seen_at_one_time(monkeypatch, most):
    compared = []
    both = clocks.overlapping_ends
    monkeypatch.setattr(clocks, "overlapping_ends", lambda x, y, shift: compared.append(shift) or both(x, y, shift))
    costs = []
    for visits in (60, 120):
        watch, links = regulars(visits, 1.4)
        compared.clear()
        (found,) = watch.estimate(links, most=most)
        assert found.by == "views"
        assert found.seconds == pytest.approx(-1.4, abs=0.2)
        costs.append(len(compared))
    assert costs == ([41 * 40, 41 * 40] if most else [41 * 60, 41 * 120])
