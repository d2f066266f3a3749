"""A process without descriptors, memory or threads for a while: what it could not do passes, and cameras go on."""

import asyncio
import errno
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from streamreid import Pipeline, _threads
from streamreid._scarcity import is_scarcity
from streamreid.config import CameraConfig
from streamreid.errors import DataError, SourceError
from streamreid.runs import run
from streamreid.sources.clock import SystemClock
from streamreid.sources.live import LiveSource, Received


def _live(config):
    cameras = tuple(c.model_copy(update={"live": True}) for c in config.cameras)
    return config.model_copy(update={"cameras": cameras})


def _without_descriptor(self):
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.mark.parametrize("live", [True, False])
def test_boxes_that_cannot_be_opened_for_a_while_do_not_end_a_live_camera(scene, tmp_path, monkeypatch, live, caplog):
    """Six frames in a row: more than a fault of a camera may last."""
    config = scene.config(scene.camera("a", [0, 1], frames=40))
    read, calls = Path.read_bytes, []

    def limited(self):
        if self.suffix == ".txt" and len(calls) < 9:  # three while warming up
            calls.append(self)
            _without_descriptor(self)
        return read(self)

    with Pipeline(_live(config) if live else config) as pipeline:
        monkeypatch.setattr(Path, "read_bytes", limited)
        if not live:
            with pytest.raises(SourceError):
                run(pipeline, tmp_path / "out")
            return
        summary = run(pipeline, tmp_path / "out")
    assert not summary.failed
    assert summary.frames > 20
    assert pipeline.statistics.cameras["a"].drops["out of resources"] >= 5
    assert caplog.text.count("is passed over") == 1


def test_a_run_begins_and_ends_without_new_threads(scene, tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    config = _live(scene.config(scene.camera("a", [0], frames=20), output={"parquet": True}))
    start, refused = threading.Thread.start, []

    def limited(self):
        if self.name.startswith(("startup", "close-", "give-back", "Thread-", "parquet")):
            refused.append(self.name)
            raise RuntimeError("can't start new thread")
        start(self)

    with Pipeline(config) as pipeline:
        monkeypatch.setattr(threading.Thread, "start", limited)
        summary = run(pipeline, tmp_path / "out")
    assert summary.frames > 10
    assert not summary.outputs_failed
    assert {"parquet"} < set(refused)
    lines = [
        line
        for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()
        if line.startswith('{"type":"person"')
    ]
    assert len(parquet.read_table(tmp_path / "out" / "results.parquet")) == len(lines) > 10


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("can't start new thread"), OSError(errno.EMFILE, os.strerror(errno.EMFILE))]
)
def test_a_command_that_lacks_something_ends_with_a_sentence(call, scene, tmp_path, monkeypatch, error):
    def lacking(*_args, **_kwargs):
        raise error

    monkeypatch.setattr(sys.modules["streamreid.runs.run"], "ResultWriter", lacking)
    video = scene.camera("a", [0])
    code, _, err = call("run", video, "--detector", f"mot:{scene.boxes}", "--engine", "none", "-o", tmp_path / "out")
    assert code == 2
    assert "LimitNOFILE" in err
    assert "Traceback" not in err


def test_what_is_a_lack_and_what_a_fault():
    def raised(inner):
        try:
            try:
                raise inner
            except type(inner):
                raise DataError("cannot read") from None
        except DataError as error:
            return error

    assert is_scarcity(raised(OSError(errno.EMFILE, "")))
    assert is_scarcity(raised(RuntimeError("Exception from infer: std::bad_alloc")))
    assert is_scarcity(raised(RuntimeError("Exception from src/core: Resource temporarily unavailable")))
    assert is_scarcity(raised(Exception("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : std::bad_alloc")))
    assert is_scarcity(MemoryError())
    assert not is_scarcity(DataError("'out of memory.txt' is not a text file"))
    assert not is_scarcity(raised(OSError(errno.ENOENT, "")))
    assert not is_scarcity(raised(RuntimeError("shapes do not match")))


def test_requests_that_found_no_thread_take_no_place_from_later_ones(monkeypatch):
    worker_pool = pytest.importorskip("streamreid.serving.worker_pool")
    start = threading.Thread.start

    def refused(self):
        raise RuntimeError("can't start new thread")

    async def ask():
        pool = worker_pool.WorkerPool("reading", threads=2, waiting=1, seconds=5)
        monkeypatch.setattr(threading.Thread, "start", refused)
        for _ in range(4):
            with pytest.raises(worker_pool.BusyError, match="reading: no thread is left"):
                await pool.run(lambda: 1)
        monkeypatch.setattr(threading.Thread, "start", start)
        return await pool.run(lambda: 1)

    with ThreadPoolExecutor(1) as pool:  # whatever loop another test left in this thread
        assert pool.submit(asyncio.run, ask()).result() == 1


@pytest.mark.parametrize("late", [False, True])
def test_a_thread_that_does_not_begin_keeps_nobody_waiting(monkeypatch, late):
    """Without memory it ends, or with too little time it begins, before or after whoever started it has given it up."""
    begin, go, done = threading.Thread._bootstrap, threading.Event(), []

    def bootstrap(self):
        if late:
            go.wait(10)
            begin(self)

    monkeypatch.setattr(threading.Thread, "_bootstrap", bootstrap)
    monkeypatch.setattr(_threads, "START_SECONDS", 0.1)
    thread = _threads.Thread(target=lambda: done.append(1), daemon=True)
    with pytest.raises(RuntimeError, match="can't start new thread") as error:
        thread.start()
    assert is_scarcity(error.value)
    go.set()
    if late:
        deadline = time.monotonic() + 10
        while not thread._started.is_set() and time.monotonic() < deadline:
            time.sleep(0.01)
        thread.join(10)
    assert not done
    thread.run()  # without a thread, as `start_or_call` does
    assert done == [1]


def test_a_thread_does_its_work_once():
    done = []
    thread = _threads.Thread(target=done.append, args=(1,))
    thread.start()
    thread.join(10)
    assert done == [1]
    with pytest.raises(RuntimeError, match="only be started once"):
        thread.start()


def test_everything_that_goes_on_beside_cameras_has_such_threads():
    package = Path(_threads.__file__).parent
    rooms = [
        p for p in package.rglob("*.py") if p.relative_to(package).parts[0] not in ("training", "synth", "compiling")
    ]
    assert [p.name for p in rooms if "threading.Thread(" in p.read_text(encoding="utf-8")] == []


class Hungry(LiveSource):
    """A camera of twenty pictures; there is no memory for some of them, and once none to receive one."""

    def __init__(self):
        self.opened = 0
        super().__init__(
            CameraConfig(name="cam", uri="rtsp://camera.test/1", reconnect_seconds=0.01),
            clock=SystemClock(),
            where="camera 'cam': test",
        )

    def _connection(self, pulse):
        source = self

        class Connection:
            finite = True

            def open(self):
                source.opened += 1

            def pictures(self):
                for number in range(20):
                    pulse.beat()
                    if source.opened == 1 and number == 3:
                        raise MemoryError
                    yield Received(np.full((4, 6, 3), number, np.uint8), time.time())
                    time.sleep(0.02)

            def close(self):
                pass

        return Connection()

    def _image(self, received):
        if 5 <= received.picture[0, 0, 0] < 15:
            raise MemoryError
        return received.picture


def test_pictures_without_memory_do_not_end_a_camera():
    source = Hungry()
    with closing(iter(source)) as frames:
        seen = list(frames)
    assert source.opened == 2
    assert [f.image[0, 0, 0] for f in seen] == [0, 1, 2, 0, 1, 2, 3, 4, 15, 16, 17, 18, 19]
    numbers = [f.index for f in seen]
    assert numbers == sorted(set(numbers))
