"""Which box can be which track: places against strangers, outages against hiding."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from streamreid.config import TrackerConfig
from streamreid.features.similarity import Calibration
from streamreid.tracking import Tracker
from streamreid.tracking.gating import SCENE_AREA, place_odds
from streamreid.types import Detections, PartFeatures

CALIBRATION = Calibration(slope=12.0, intercept=-6.0, source="test")


def box(cx, foot=300.0, h=100.0):
    return [cx - h / 5, foot - h, cx + h / 5, foot]


def person(alike=1.0):
    """Looks of that cosine similarity with somebody."""
    return PartFeatures(np.array([[[alike, np.sqrt(1 - alike**2)]]], np.float32), np.ones((1, 1), np.float32))


@pytest.mark.parametrize("deviation", [0.0, 20.0, 200.0])
def test_place_odds_are_a_density_against_a_uniform_one(deviation):
    boxes = np.array([box(100), box(150), box(480)], np.float32)
    odds = place_odds(np.array([box(100)], np.float32), boxes, np.array([deviation]))[0]
    spread = 2 * deviation / 100 + 0.25
    for x, value in zip((0.0, 0.5, 3.8), odds, strict=True):
        density = multivariate_normal(mean=[0, 0], cov=spread**2).logpdf([x, 0])
        assert value == pytest.approx(density + np.log(SCENE_AREA), abs=1e-3)


def test_the_farther_away_the_more_a_look_alike_must_be_alike():
    """Somebody walks to the right and is hidden for a second; then somebody stands where they are expected, or far
    behind."""

    def last(cx, alike):
        tracker = Tracker(TrackerConfig(split_probability=0.0), CALIBRATION)
        for i in range(30):
            tracks = tracker.update(Detections.from_arrays([box(100 + 10 * i)]), person(), i * 0.1)
        for i in range(30, 40):
            tracker.update(Detections.empty(), None, i * 0.1)
        for i in range(40, 46):
            tracks = tracker.update(Detections.from_arrays([box(cx)]), person(alike), i * 0.1)
        return tracks.ids.tolist()

    assert last(480.0, 0.7) == [1]
    assert last(220.0, 1.0) == [1]
    assert last(220.0, 0.7) == [2]


@pytest.mark.parametrize(("people", "ids"), [(4, {1, 2, 3, 4}), (1, {2})])
def test_where_all_vanish_at_once_nobody_hides(people, ids):
    """Fast walkers, 1.3 seconds without a box, no looks: several are expected to have walked on, a single one to have
    slowed down."""
    tracker = Tracker(TrackerConfig(), CALIBRATION)
    for i in range(50):
        boxes = [] if 20 <= i < 33 else [box(100 + 15 * i, 200 + 110 * k) for k in range(people)]
        tracks = tracker.update(Detections.from_arrays(boxes), None, i * 0.1)
    assert set(tracks.ids.tolist()) == ids
