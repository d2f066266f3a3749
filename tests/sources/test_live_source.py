"""Watching, giving up and retrying, with connections that behave as told; and files played as cameras."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.sources import LiveSource, ManualClock, PacedSource, PrefetchReader, SourceStatus, open_source
from streamreid.sources.live import Received
from streamreid.sources.reader import Pulse, Reader
from streamreid.sources.reconnection import Backoff, HopelessError
from streamreid.sources.status import StatusBoard
from streamreid.types import Image

PICTURE = np.zeros((4, 6, 3), np.uint8)


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Until it is set, hanging connections hang. Afterwards no thread may be left."""
    before = set(threading.enumerate())
    event = threading.Event()
    yield event
    event.set()
    wait_until(lambda: not set(threading.enumerate()) - before)


class Scripted:
    """A connection that opens, sends so many pictures, and then hangs, fails or ends."""

    def __init__(self, gate: threading.Event, pictures: int, then: str, pulse: Pulse) -> None:
        self._gate, self._pictures, self._then, self._pulse = gate, pictures, then, pulse
        self.finite = then == "finish"
        self.closed = False

    def open(self) -> None:
        if self._then == "hang opening":
            self._gate.wait()
        if self._then == "refuse":
            raise SourceError("camera 'cam': test: refused")
        if self._then == "crash":
            raise RuntimeError("rtsp://user:hunter2@host exploded")

    def pictures(self) -> Iterator[Received]:
        for number in range(self._pictures):
            self._pulse.beat()
            yield Received(PICTURE, 1000.0 + number)
        if self._then == "hang":
            self._gate.wait()
        if self._then == "break":
            raise SourceError("camera 'cam': test: broke")
        if self._then == "count":
            raise SourceError(f"camera 'cam': test: connection lost after {self._pictures} pictures (x)")

    def close(self) -> None:
        self.closed = True


class Camera(LiveSource):
    """Goes through a list of (pictures, then); the last one repeats."""

    def __init__(self, gate: threading.Event, script: list[tuple[int, str]], **settings: object) -> None:
        self._gate, self._script = gate, script
        self.made: list[Scripted] = []
        settings = {"timeout": 0.1, "connect_timeout": 0.05, "reconnect_seconds": 0.05, **settings}
        super().__init__(
            CameraConfig(name="cam", uri="tcp://test", **settings), clock=ManualClock(5.0), where="camera 'cam': test"
        )

    def _connection(self, pulse: Pulse) -> Scripted:
        pictures, then = self._script[min(len(self.made), len(self._script) - 1)]
        self.made.append(Scripted(self._gate, pictures, then, pulse))
        return self.made[-1]

    def _image(self, received: Received) -> Image:
        return received.picture


@pytest.mark.wall_time
def test_frames_go_on_over_connections(gate: threading.Event) -> None:
    source = Camera(gate, [(3, "break"), (0, "refuse"), (0, "crash"), (2, "finish")])
    states: list[SourceStatus] = []
    source.subscribe(states.append)
    frames = list(source)
    assert [f.index for f in frames] == [0, 1, 2, 3, 4]
    assert all(a.time < b.time for a, b in itertools.pairwise(frames))
    assert {f.clock for f in frames} == {"arrival"}
    names = [s.state for s in states]
    assert names == [
        "connected",
        "lost",
        "connecting",
        "lost",
        "connecting",
        "lost",
        "connecting",
        "connected",
        "ended",
    ]
    assert (source.status.reconnects, source.status.frames, source.status.size) == (1, 5, (6, 4))
    assert [w.split(" (")[0] for w in source.warnings] == [
        "lost: broke",
        "lost: refused",
        "lost: failed unexpectedly",
        "reconnected once",
    ]
    assert "hunter2" not in " ".join([*source.warnings, *(s.reason for s in states)])
    assert all(c.closed for c in source.made)


@pytest.mark.wall_time
def test_the_same_loss_is_one_warning_whatever_its_figures(gate: threading.Event) -> None:
    source = Camera(gate, [(1, "count"), (2, "count"), (3, "count"), (1, "finish")])
    assert len(list(source)) == 7
    assert source.warnings == ["lost: connection lost (x)", "reconnected 3 times"]


@pytest.mark.wall_time
def test_stall_is_told_before_the_loss(gate: threading.Event) -> None:
    source = Camera(gate, [(2, "hang")], timeout=0.4)
    states: list[str] = []
    source.subscribe(lambda s: states.append(s.state))
    with PrefetchReader(source) as reader:
        wait_until(lambda: "lost" in states)
        assert "hangs while reading" in source.status.reason or states[-1] == "connecting"
    assert states[:3] == ["connected", "stalled", "lost"]
    assert reader.error is None


@pytest.mark.parametrize("then", ["hang", "hang opening"])
def test_hanging_connections_are_left_behind_but_never_more_than_three(gate: threading.Event, then: str) -> None:
    source = Camera(gate, [(1, then)])
    with PrefetchReader(source) as reader:
        wait_until(lambda: source.status.hung == 3)
        time.sleep(0.3)
        assert len(source.made) == 3
        assert source.status.state == "lost"
        assert "3 connections hang" in source.status.reason
        assert [t.name for t in threading.enumerate()].count("connection-cam") == 3
        gate.set()
        wait_until(lambda: len(source.made) > 3)
        assert reader.error is None


@pytest.mark.wall_time
def test_zero_reconnects_opens_at_once_and_fails_for_good(gate: threading.Event) -> None:
    with pytest.raises(SourceError, match="refused"):
        Camera(gate, [(0, "refuse")], reconnect=0)
    with pytest.raises(SourceError, match="hangs while connecting"):
        Camera(gate, [(0, "hang opening")], reconnect=0)
    source = Camera(gate, [(2, "break")], reconnect=0)
    with PrefetchReader(source) as reader:
        assert [f.index for f in iter(reader.get, None)] == [0, 1]
        assert "broke" in str(reader.error)
    assert source.status.state == "failed"
    assert len(source.made) == 1
    # Opened and never read: closing hangs up.
    source = Camera(gate, [(20, "finish")], reconnect=0)
    source.close()
    wait_until(lambda: source.made[0].closed)


@pytest.mark.wall_time
def test_limit_counts_attempts_in_a_row(gate: threading.Event) -> None:
    source = Camera(gate, [(0, "refuse"), (0, "refuse"), (1, "break"), (0, "refuse")], reconnect=2)
    with PrefetchReader(source) as reader:
        assert len(list(iter(reader.get, None))) == 1
        assert "refused" in str(reader.error)
    assert len(source.made) == 5


@pytest.mark.wall_time
def test_a_slow_consumer_is_no_hang(gate: threading.Event) -> None:
    source = Camera(gate, [(20, "finish")])
    count = 0
    for _ in source:
        count += 1
        if count == 3:
            time.sleep(1.5)
    assert count == 20
    assert source.status.reconnects == 0


def test_backoff_grows_with_jitter_and_knows_what_is_hopeless() -> None:
    error = SourceError("x")
    for longest, limits in ((2.0, [0.25, 0.5, 1.0, 2.0, 2.0]), (0.1, [0.1, 0.1])):
        backoff = Backoff(longest, None)
        waits = [backoff.after(error) for _ in limits]
        assert all(w is not None and limit / 2 <= w <= limit for w, limit in zip(waits, limits, strict=True))
    assert len({Backoff(2.0, None).after(error) for _ in range(8)}) > 1
    backoff = Backoff(2.0, None)
    missing, locked = HopelessError("x", wait=10.0, always=False), HopelessError("x", wait=60.0, always=True)
    assert 8 <= (backoff.after(missing) or 0) <= 12
    backoff.worked()
    assert (backoff.after(missing) or 99) < 1
    assert 48 <= (backoff.after(locked) or 0) <= 72
    backoff.lasted()
    assert (backoff.after(error) or 99) <= 0.25
    assert Backoff(2.0, 0).after(error) is None


def test_board_tells_changes_once_and_stays_at_the_end() -> None:
    clock = ManualClock(1.0)
    board = StatusBoard("cam", clock)
    told: list[SourceStatus] = []
    board.subscribe(told.append)
    board.move("connected", frames=1)
    clock.advance(1)
    board.move("connected", frames=2)
    assert (board.status.since, board.status.frames, len(told)) == (1.0, 2, 1)
    board.move("ended")
    board.move("lost", "x")
    assert (board.status.state, board.status.since) == ("ended", 2.0)


def test_reader_ends_when_abandoned(gate: threading.Event) -> None:
    made: list[Scripted] = []

    def connect(pulse: Pulse) -> Scripted:
        made.append(Scripted(gate, 1000, "break", pulse))
        return made[0]

    reader: Reader[Received] = Reader(connect, "cam", opening=1, reading=1)
    assert reader.get(2) is not None
    reader.abandon()
    assert reader.get(2) is None
    wait_until(lambda: made[0].closed and not reader.alive)


def test_dropped_frames_have_a_reason(make_video) -> None:
    source = open_source(CameraConfig(name="cam", uri=str(make_video("a.mp4", frames=12))))
    with PrefetchReader(source, latest=True) as reader:
        wait_until(lambda: reader.dropped == 11)
        assert reader.drops == {"newer frame": 11}
    with PrefetchReader(open_source(CameraConfig(name="cam", uri=str(make_video("b.mp4", frames=3))))) as reader:
        assert len(list(iter(reader.get, None))) == 3
        assert reader.drops == {}


@pytest.mark.wall_time
def test_a_file_plays_at_its_own_speed(make_video) -> None:
    path = make_video("a.mp4", frames=10, fps=20)
    source = open_source(CameraConfig(name="cam", uri=str(path), live=True, repeat=2))
    assert isinstance(source, PacedSource)
    assert source.live
    began = time.time()
    ages, frames = [], []
    for frame in source:
        ages.append(time.time() - frame.time)
        frames.append(frame)
    assert len(frames) == 20 == source.expected_frames
    assert time.time() - began > 0.9
    assert frames[0].time == pytest.approx(began, abs=0.5)
    np.testing.assert_allclose(np.diff([f.time for f in frames]), 0.05, atol=0.001)
    assert min(ages) >= 0
    assert (source.status.state, source.status.frames, source.status.clock) == ("ended", 20, "pts")


@pytest.mark.wall_time
def test_a_played_file_can_be_closed_while_it_waits(make_video) -> None:
    source = open_source(
        CameraConfig(name="cam", uri=str(make_video("a.mp4", frames=3, pts=[0, 60_000, 120_000])), live=True)
    )
    with PrefetchReader(source) as reader:
        assert reader.get(5) is not None
        began = time.monotonic()
    assert time.monotonic() - began < 1.0
    assert source.status.state == "ended"


@pytest.mark.slow
def test_damaged_videos_do_not_crash_hang_or_leak() -> None:
    script = Path(__file__).with_name("fuzz_streams.py")
    # A program of its own: a crash inside FFmpeg fails this test instead of ending all.
    done = subprocess.run(
        [sys.executable, str(script), "6"], capture_output=True, text=True, timeout=120, cwd=script.parents[2]
    )
    assert done.returncode == 0, done.stderr[-3000:]
    match = re.search(r"^\{.*\}$", done.stdout, re.MULTILINE)
    assert match is not None
    seen = json.loads(match[0])
    assert seen["runs"] >= 10
    assert seen["frames"] > 100
    assert seen["slowest"] < 20
    assert seen["threads"] == 2, "the main thread and the server's"
    assert seen["files"] <= seen["files_early"] + 1
    assert seen["runs"] < 25 or seen["memory"] < seen["memory_early"] + 64


def test_memory_goes_back_now_and_then_and_arenas_are_few() -> None:
    program = (
        "from streamreid.sources._memory import few_arenas, give_back; print(few_arenas(), give_back(), give_back())"
    )
    environment = {key: value for key, value in os.environ.items() if key != "MALLOC_ARENA_MAX"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=60, check=True
    )
    expected = "True True False" if sys.platform.startswith("linux") else "False False False"
    assert done.stdout.split() == expected.split()
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**environment, "MALLOC_ARENA_MAX": "4"},
        timeout=60,
    )
    assert done.stdout.split()[0] == "False", "the user's own choice stays"
