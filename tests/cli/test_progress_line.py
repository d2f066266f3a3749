"""Long work says something at least every minute, also where nobody watches a bar."""

import io
import itertools
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from streamreid._startup import Startup
from streamreid.cameras.statistics import CameraCount, Statistics
from streamreid.cli.progress import RunProgress
from streamreid.cli.progress_line import Heartbeat, Work, duration
from streamreid.gallery import Gallery
from streamreid.sinks import PeopleCount


class Clock:
    """Seconds that a test lets pass."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def lines(console):
    """What was said, without the times of day."""
    return [line.split(" ", 1)[1] for line in console.file.getvalue().splitlines()]


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=80)


def test_every_minute_of_silence_has_a_line(console):
    clock = Clock()
    work = Work("labels", total=400, console=console, clock=clock)
    when = []
    for second in range(600):
        clock.now += 1
        if second < 200:
            work.advance()
        if second == 200:
            work.note("loss 2.31")
        before = console.file.tell()
        work.check()
        if console.file.tell() > before:
            when.append(second + 1)
    assert when == list(range(60, 601, 60))
    assert lines(console)[:4] == [
        "labels: 60 of 400; 60 s so far, about 6 min left",
        "labels: 120 of 400; 2 min so far, about 5 min left",
        "labels: 180 of 400; 3 min so far, about 4 min left",
        "labels: 200 of 400, loss 2.31; 4 min so far, about 4 min left",
    ]


def test_what_is_said_otherwise_ends_the_silence_and_a_step_counts_anew(console):
    clock = Clock()
    work = Work("reading", console=console, clock=clock)
    clock.now += 59
    work.say("12:00 two people more")
    clock.now += 59
    work.check()
    clock.now += 1
    work.check()
    work.step("fitting")
    clock.now += 60
    work.check()
    assert lines(console) == ["two people more", "reading: 119 s so far", "fitting: 60 s so far"]


def test_quiet_work_and_quick_work_say_nothing(console):
    clock = Clock()
    with Work("reading", console=console, clock=clock) as work:
        work.advance()
    work = Work("reading", console=console, quiet=True, clock=clock)
    clock.now += 1000
    work.check()
    work.say("12:00 something")
    assert console.file.getvalue() == ""


def test_the_watching_thread_speaks_while_one_step_takes_long(monkeypatch):
    monkeypatch.setattr("streamreid.cli.progress_line._TICK_SECONDS", 0.01)
    clock, said = Clock(), []
    with Heartbeat(lambda: said.append(clock.now), clock=clock):
        for _ in range(3):
            clock.now += 60
            deadline = time.monotonic() + 10
            while (not said or said[-1] < clock.now) and time.monotonic() < deadline:
                time.sleep(0.005)
    assert said == [1060, 1120, 1180]
    assert not [t for t in threading.enumerate() if t.name == "heartbeat"]


def test_a_run_that_hangs_in_one_step_says_so_and_one_that_goes_on_does_not_twice(console):
    clock = Clock()
    statistics = Statistics({"gate": CameraCount(frames=7)})
    pipeline = SimpleNamespace(statistics=statistics, people_count=PeopleCount(), failed={})
    progress = RunProgress(console, clock=clock)
    for _ in range(300):
        clock.now += 1
        progress.update(pipeline)
        progress.check()
    assert not [line for line in lines(console) if line.startswith("still")]
    progress.say("drawing the videos")
    for _ in range(185):
        clock.now += 1
        progress.check()
    assert [line for line in lines(console) if line.startswith("still")] == [
        f"still, after {after}: drawing the videos" for after in ("60 s", "2 min", "3 min")
    ]


def test_durations_are_said_as_people_do():
    assert [duration(s) for s in (0.4, 75, 119.4, 121, 600, 7300, 90000)] == [
        "0 s",
        "75 s",
        "119 s",
        "2 min",
        "10 min",
        "2.0 h",
        "25.0 h",
    ]


def test_a_slow_start_is_said_every_minute(monkeypatch):
    clock, when = Clock(), []
    monkeypatch.setattr("streamreid._startup.time", SimpleNamespace(monotonic=clock))
    monkeypatch.setattr("streamreid._startup.log", SimpleNamespace(warning=lambda *_: when.append(clock.now - 1000)))
    startup = Startup()

    class Enough(Exception):
        pass

    def wait(seconds):
        clock.now += seconds
        if clock.now > 1600:
            raise Enough

    startup.idle = SimpleNamespace(wait=wait, clear=int, set=int)
    startup.watcher = SimpleNamespace(join=int)  # this test watches itself
    with startup.step("compiling"), pytest.raises(Enough):
        startup.watch()
    assert when[0] == 10
    assert max(b - a for a, b in itertools.pairwise(when)) <= 60
    assert when[-2] > 540


@pytest.fixture
def people(tmp_path):
    with Gallery.open(tmp_path / "people.db"):
        pass
    return tmp_path / "people.db"


@pytest.mark.parametrize(
    "command",
    [
        "gallery check --gallery {people}",
        "gallery backup {folder}/backup.db --gallery {people}",
        "gallery copy {people} {folder}/copy.db",
        "gallery export {folder}/export --gallery {people}",
        "gallery expire --gallery {people}",
        "learn-topology {folder}/nowhere --out {folder}/topology.yaml",
        "tune {folder}/nowhere --truth a=b.txt --out {folder}/tuned.yaml",
        "synth {folder}/nowhere --out {folder}/scene",
        "engine import {folder}/nowhere.onnx --out {folder}/engine",
        "build-engine {folder}/nowhere --target openvino --out {folder}/engine",
        "evaluate mot {folder}/nowhere {folder}/truth",
        "evaluate multicam {folder}/nowhere {folder}/truth",
        "weights fetch nothing",
    ],
)
def test_every_command_that_may_take_long_is_watched(call, people, tmp_path, monkeypatch, command):
    monkeypatch.setattr(Heartbeat, "__enter__", lambda self: self.speak())
    monkeypatch.setattr(Heartbeat, "__exit__", lambda *_: None)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    _, _, err = call(*command.format(people=people, folder=tmp_path).split())
    assert "0 s so far" in err
