"""Decoding ahead in a thread per camera."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.sources import PrefetchReader, VideoFileSource
from streamreid.types import Frame


class Scripted:
    """A source whose iterator is given; closing sets an event."""

    live = True
    expected_frames = None
    warnings: tuple[str, ...] = ()

    def __init__(self, frames: Callable[[threading.Event], Iterator[Frame]], camera: str = "cam") -> None:
        self.camera = camera
        self.closed = threading.Event()
        self._frames = frames

    def __iter__(self) -> Iterator[Frame]:
        return self._frames(self.closed)

    def close(self) -> None:
        self.closed.set()


def frame(number: int) -> Frame:
    return Frame("cam", number, number / 10, np.zeros((4, 4, 3), np.uint8))


def counting(count: int, produced: list[int] | None = None) -> Callable[[threading.Event], Iterator[Frame]]:
    def frames(_: threading.Event) -> Iterator[Frame]:
        for i in range(count):
            if produced is not None:
                produced.append(i)
            yield frame(i)

    return frames


def wait_until(condition: Callable[[], bool]) -> None:
    tick = threading.Event()
    for _ in range(1000):
        if condition():
            return
        tick.wait(0.005)
    raise AssertionError("did not happen within 5 s")


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    wait_until(lambda: not set(threading.enumerate()) - before)


def test_lossless_keeps_every_frame_and_reads_no_further_than_its_capacity() -> None:
    produced: list[int] = []
    with PrefetchReader(Scripted(counting(50, produced)), capacity=4) as reader:
        wait_until(lambda: len(produced) == 5)
        threading.Event().wait(0.05)
        assert len(produced) == 5, "four in the queue and one in hand"
        got = []
        while (item := reader.get()) is not None:
            got.append(item.index)
        assert got == list(range(50))
        assert reader.ended
        assert reader.error is None
        assert (reader.frames, reader.dropped) == (50, 0)
        assert reader.get() is None


def test_peek_time_waits_and_does_not_take() -> None:
    go = threading.Event()

    def frames(_: threading.Event) -> Iterator[Frame]:
        go.wait()
        yield frame(3)

    with PrefetchReader(Scripted(frames)) as reader:
        assert reader.try_get() is None
        assert not reader.ended
        with pytest.raises(TimeoutError):
            reader.peek_time(timeout=0.02)
        with pytest.raises(TimeoutError):
            reader.get(timeout=0.02)
        go.set()
        assert reader.peek_time() == pytest.approx(0.3)
        assert reader.peek_time() == pytest.approx(0.3)
        item = reader.get(timeout=1)
        assert item is not None
        assert item.index == 3
        assert reader.peek_time() is None


def test_latest_keeps_the_newest_and_counts_the_dropped() -> None:
    step = threading.Semaphore(0)

    def frames(_: threading.Event) -> Iterator[Frame]:
        for i in range(10):
            yield frame(i)
        step.acquire()
        yield frame(10)

    with PrefetchReader(Scripted(frames), latest=True) as reader:
        wait_until(lambda: reader.dropped == 9)
        item = reader.try_get()
        assert item is not None
        assert item.index == 9
        assert reader.try_get() is None
        step.release()
        item = reader.get(timeout=5)
        assert item is not None
        assert item.index == 10
        assert reader.get() is None
        assert (reader.frames, reader.dropped) == (2, 9)


def test_error_comes_behind_the_frames_before_it() -> None:
    def frames(_: threading.Event) -> Iterator[Frame]:
        yield frame(0)
        yield frame(1)
        raise SourceError("cable cut")

    with PrefetchReader(Scripted(frames)) as reader:
        wait_until(lambda: not reader.thread.is_alive())
        assert reader.error is None
        assert not reader.ended
        assert [f.index for f in iter(reader.get, None)] == [0, 1]
        assert str(reader.error) == "cable cut"
        reader.stop()
        assert str(reader.error) == "cable cut"


def test_unexpected_errors_end_the_reader_too_without_secrets() -> None:
    def frames(_: threading.Event) -> Iterator[Frame]:
        yield frame(0)
        raise RuntimeError("rtsp://user:hunter2@host/1 exploded")

    with PrefetchReader(Scripted(frames, camera="gate")) as reader:
        assert reader.get() is not None
        assert reader.get() is None
        assert isinstance(reader.error, SourceError)
        assert "gate" in str(reader.error)
        assert "hunter2" not in str(reader.error)
        assert isinstance(reader.error.__cause__, RuntimeError)


def test_stop_with_a_full_queue_and_waiting_consumers() -> None:
    reader = PrefetchReader(Scripted(counting(100)), capacity=2)
    wait_until(lambda: reader.peek_time() is not None)
    reader.stop()
    assert reader.ended
    assert reader.get() is None
    assert reader.peek_time() is None
    reader.stop()


def test_stop_wakes_a_waiting_consumer_and_leaves_a_hung_source_behind() -> None:
    release = threading.Event()

    def frames(_: threading.Event) -> Iterator[Frame]:
        release.wait()
        yield frame(0)

    reader = PrefetchReader(Scripted(frames))
    got: list[Frame | None] = []
    consumer = threading.Thread(target=lambda: got.append(reader.get()))
    consumer.start()
    stopper = threading.Thread(target=reader.stop)
    stopper.start()
    stopper.join(5)
    assert not stopper.is_alive(), "stop does not wait for the source"
    consumer.join(5)
    assert got == [None]
    assert reader.error is None
    release.set()


def test_stop_survives_a_source_whose_close_hangs() -> None:
    source = Scripted(counting(3))
    release = threading.Event()
    source.close = release.wait  # type: ignore[method-assign]
    reader = PrefetchReader(source)
    stopper = threading.Thread(target=reader.stop)
    stopper.start()
    stopper.join(5)
    assert not stopper.is_alive()
    release.set()


def test_capacity_must_be_positive() -> None:
    with pytest.raises(ValueError, match="capacity"):
        PrefetchReader(Scripted(counting(1)), capacity=0)


def test_many_readers_of_real_files(make_video) -> None:
    path = make_video("a.mp4", frames=30, codec="libx264")
    readers = [
        PrefetchReader(VideoFileSource(CameraConfig(name=f"c{i}", uri=str(path), repeat=3)), capacity=3)
        for i in range(6)
    ]
    readers[0].stop()
    for reader in readers[1:]:
        assert [f.index for f in iter(reader.get, None)] == list(range(90))
        assert reader.error is None
        reader.stop()
