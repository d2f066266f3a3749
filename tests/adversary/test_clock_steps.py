"""This machine's clock is set while a run goes on: nothing stands still, and capture times are right afterwards."""

import time

import numpy as np
import pytest

from streamreid.config import CameraConfig, TrackerConfig
from streamreid.sources import open_source
from streamreid.sources.clock import ClockSteps, ManualClock, SystemClock
from streamreid.sources.live import LiveSource, Received
from streamreid.tracking import Tracker
from streamreid.types import Detections, PartFeatures

DAY = 86_400.0


class Set:
    """A clock of the machine that can be set."""

    def __init__(self, monkeypatch):
        self.by = 0.0
        real = time.time
        monkeypatch.setattr("streamreid.sources.clock.time.time", lambda: real() + self.by)


@pytest.fixture
def machine(monkeypatch):
    return Set(monkeypatch)


@pytest.mark.parametrize("by", [-DAY, 2 * DAY])
def test_a_file_as_a_camera_goes_on(scene, machine, by):
    source = open_source(CameraConfig(name="cam", uri=str(scene.camera("a", [0], frames=12)), live=True))
    began, times = time.monotonic(), []
    for number, frame in enumerate(source):
        times.append(frame.time)
        if number == 5:
            machine.by = by
    assert len(times) == 12
    assert 1.0 < time.monotonic() - began < 60
    steps = np.diff(times)
    assert steps[5] == pytest.approx(by + 0.1, abs=0.05)
    np.testing.assert_allclose(np.delete(steps, 5), 0.1, atol=0.01)
    assert times[-1] == pytest.approx(time.time(), abs=20)


class Arriving(LiveSource):
    """A camera whose pictures have no time of their own."""

    def __init__(self, machine, set_at):
        self.machine, self.set_at = machine, set_at
        super().__init__(
            CameraConfig(name="cam", uri="rtsp://camera.test/1"), clock=SystemClock(), where="camera 'cam': test"
        )

    def _connection(self, pulse):
        source = self

        class Connection:
            finite = True

            def open(self):
                pass

            def pictures(self):
                for number in range(20):
                    pulse.beat()
                    if number in source.set_at:
                        source.machine.by = source.set_at[number]
                    yield Received(np.zeros((4, 6, 3), np.uint8), time.time())
                    time.sleep(0.02)

            def close(self):
                pass

        return Connection()

    def _image(self, received):
        return received.picture


@pytest.mark.parametrize("set_at", [{8: -DAY}, {5: 2 * DAY, 12: 0.0}])
def test_a_camera_never_stays_in_the_future(machine, set_at):
    source = Arriving(machine, set_at)
    late = [time.time() - frame.time for frame in source]
    assert len(late) == 20
    assert abs(late[-1]) < 20
    assert sum(abs(x) > 20 for x in late) <= 4  # pictures that were on their way
    assert any("this machine's clock was set" in w for w in source.warnings)


def test_tracks_go_on_when_times_go_back():
    tracker = Tracker(TrackerConfig())
    ids = []
    for number in range(60):
        now = 1000.0 + 0.1 * number - (DAY if number >= 20 else 0.0)
        boxes = [[10.0 + 2 * number, 50, 50.0 + 2 * number, 150]] if number < 40 else []
        found = Detections.from_arrays(boxes, [0.9] * len(boxes))
        tracks = tracker.update(found, PartFeatures.unseen(len(boxes)), now, size=(640, 480))
        ids.append(tracks.ids.tolist())
    assert {i for row in ids[5:40] for i in row} == {1}
    assert ids[-1] == []  # time goes on: who has left is let go


def test_what_is_a_step(machine):
    steps = ClockSteps(SystemClock())
    machine.by = 0.4
    assert steps.take() == 0.0
    machine.by = -DAY
    assert steps.take() == pytest.approx(-DAY, abs=0.1)
    assert steps.take() == 0.0
    still = ClockSteps(ManualClock(5.0))
    machine.by = DAY
    assert still.take() == 0.0
