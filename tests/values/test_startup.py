"""A start that takes long says what it waits for; one that does not says nothing."""

import logging
import subprocess
import sys
import threading
import time

import pytest

from streamreid import _startup
from streamreid._startup import Startup, starting


@pytest.fixture
def heard(monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("streamreid"), "propagate", True)
    caplog.set_level("WARNING")
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.mark.wall_time
def test_a_short_start_is_silent(heard):
    startup = Startup(expected=0.5, tick=0.01)
    with startup.step("engine 'a'"), startup.step("reading a.onnx"):
        time.sleep(0.05)
    assert heard() == []


@pytest.mark.wall_time
def test_a_long_start_names_model_step_and_seconds(heard):
    startup = Startup(expected=0.1, tick=0.01)
    with startup.step("engine 'a'"):
        time.sleep(0.06)
        with startup.step("compiling a.onnx for input 1x3x8x6"):
            time.sleep(0.6)
    messages = heard()
    assert messages[0] == (
        "the start takes longer than expected; waiting since 0 s for engine 'a' > compiling a.onnx for input 1x3x8x6 "
        "(this step: 0 s)"
    )
    assert 2 <= len(messages) <= 5  # ever more rarely
    assert messages[-1] == "engine 'a': done after 1 s"


@pytest.mark.wall_time
def test_threads_are_told_apart(heard):
    startup, go = Startup(expected=0.1, tick=0.01), threading.Event()

    def opening():
        with startup.step("engine 'b'"):
            go.wait(5)

    thread = threading.Thread(target=opening)
    thread.start()
    with startup.step("detector 'a'"):
        time.sleep(0.25)
    go.set()
    thread.join()
    first = heard()[:2]
    assert {m.split(" for ")[1].split(" (")[0] for m in first} == {"detector 'a'", "engine 'b'"}


@pytest.mark.wall_time
def test_a_step_that_fails_is_over(heard):
    startup = Startup(expected=0.05, tick=0.01)
    with pytest.raises(ValueError, match="x"), startup.step("detector 'a'"):
        raise ValueError("x")
    time.sleep(0.1)
    assert heard() == []


@pytest.mark.parametrize("what", ["detector", "engine", "gallery"])
def test_every_way_in_is_watched(what, monkeypatch, tmp_path, heard):
    """What opens detectors, engines and galleries for run, serve, batch, doctor, search and the engine commands."""
    from streamreid.config import DetectorConfig, EngineConfig, GalleryConfig
    from streamreid.detection import open_detector
    from streamreid.gallery import open_gallery
    from streamreid.reid import open_embedder
    from streamreid.runtimes import OpenVINORuntime

    steps = []
    step = _startup.STARTUP.step
    monkeypatch.setattr(OpenVINORuntime, "proven", lambda *_: False)  # an earlier test may have opened the engine
    monkeypatch.setattr(_startup.STARTUP, "step", lambda name: steps.append(name) or step(name))
    (tmp_path / "boxes").mkdir()
    {
        "detector": lambda: open_detector(DetectorConfig(model=f"mot:{tmp_path / 'boxes'}")),
        "engine": lambda: open_embedder(EngineConfig(model="auto")),
        "gallery": lambda: open_gallery(GalleryConfig(store=str(tmp_path / "people.db"))).close(),
    }[what]()
    assert steps[0].startswith(what)
    if what == "engine":
        assert any("first inference" in s for s in steps)


def test_native_code_that_keeps_python_from_running_is_shown(monkeypatch):
    """As in the deadlock of two threads in OpenVINO, when no Python thread can log."""
    script = """
import ctypes, streamreid._startup as s
s._STUCK_SECONDS = 1.0
s.dump_when_stuck()
with s.starting("engine 'a'"):
    ctypes.PyDLL(None).sleep(3)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        pytest.skip(f"no sleep() that keeps the lock here: {done.stderr[-200:]}")
    assert "Timeout" in done.stderr
    assert "line 6" in done.stderr


def test_starting_is_the_one_of_the_process():
    with starting("x"):
        assert _startup.STARTUP.threads
