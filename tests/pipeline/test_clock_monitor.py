"""Clocks of a run without end: compared a pair at a time, told when found, never holding the end up."""

import logging
import time

import numpy as np
import pytest

from streamreid.cameras.status_log import StatusLogger
from streamreid.pipeline.clock_monitor import ClockMonitor
from streamreid.sources import SourceStatus
from streamreid.types import Tracks

CAMERAS = {"a": 0.0, "b": 0.0, "c": 2.4}
SIZE = (640, 480)


@pytest.fixture
def keeper():
    """A keeper that has seen eight people in three cameras, of which one has another clock."""

    def make(mode, seconds=60):
        found = ClockMonitor(mode, {})
        found.live = True
        phase = np.random.default_rng(3).uniform(0, 6.28, (8, 4))
        for step in range(seconds * 6):
            for name, skew in CAMERAS.items():
                now = step / 6 + skew
                x = 320 + 140 * np.sin(0.5 * now + phase[:, 0]) + 60 * np.sin(0.23 * now + phase[:, 1])
                y = 280 + 90 * np.cos(0.41 * now + phase[:, 2]) + 60 * np.sin(0.3 * now + phase[:, 3])
                boxes = np.stack([x - 20, y - 90, x + 20, y], 1).astype(np.float32)
                found.observe(
                    name, step / 6, Tracks(np.arange(1, 9), boxes, np.ones(8, np.float32), np.arange(8)), SIZE
                )
        return found

    return make


PEOPLE = {(camera, track): (track, 1.0) for camera in CAMERAS for track in range(1, 9)}


def test_a_live_run_is_told_while_it_goes_on_and_once(keeper, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("streamreid"), "propagate", True)
    clocks, told = keeper("report"), []
    for now in range(0, 400, 5):
        if clocks.due(now):
            assert not clocks.update(now, PEOPLE)  # a report moves nothing
            told.append(len(caplog.records))
    clocks.finish(PEOPLE)
    assert told[:1] == [0]
    assert told[-1] == 1
    assert len(caplog.records) == 1
    assert "camera 'c': its clock is 2.4" in caplog.text
    assert {o.camera: o.wrong for o in clocks.offsets} == {"b": False, "c": True}


def test_a_correction_is_made_while_the_run_goes_on(keeper):
    clocks = keeper("apply")
    assert any(clocks.due(now) and clocks.update(now, PEOPLE) for now in range(0, 400, 5))
    assert clocks.shift["c"] - clocks.shift.get("a", 0.0) == pytest.approx(2.4, abs=0.15)


def test_the_end_does_not_wait_for_all_pairs(keeper, monkeypatch):
    clocks, compared = keeper("report"), []

    def slow(a, b, *_):
        compared.append((a, b))
        time.sleep(0.4)

    monkeypatch.setattr(clocks.estimator, "_compare", slow)
    clocks.estimator.sizes |= {f"more-{n}": SIZE for n in range(30)}
    clocks.finish(PEOPLE)
    assert 1 <= len(compared) <= 4


def test_switched_off_nothing_is_compared(keeper):
    clocks = keeper("off", seconds=2)
    assert not clocks.due(1e9)
    clocks.finish(PEOPLE)
    assert clocks.offsets == []


def test_a_drifting_camera_is_told_once_and_only_if_it_lasts(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("streamreid"), "propagate", True)
    now = 0.0
    status_logger = StatusLogger(lambda: now)
    for second, drift in [*((s, 350.0) for s in range(100)), (100, 20.0), *((s, -350.0) for s in range(101, 400))]:
        now = float(second)
        status_logger.check(SourceStatus("gate", drift=drift))
        assert bool(caplog.records) == (second >= 281)
    assert len(caplog.records) == 1
    assert "camera 'gate': its clock runs 350 ppm fast" in caplog.text
