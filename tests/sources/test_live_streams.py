"""Live streams against a real RTSP server: normal play, faults, recovery, capture time."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from av.packet import Packet

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.sources import PrefetchReader, SourceStatus, StreamSource
from streamreid.types import Frame


def camera(uri: str, **settings: object) -> CameraConfig:
    return CameraConfig(name="gate", uri=uri, **settings)


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> float:
    """Wait for something to happen; how long it took."""
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        if condition():
            return time.monotonic() - began
        time.sleep(0.01)
    raise AssertionError(f"did not happen within {seconds} s")


class Watch:
    """Reads a source in the background and keeps all frames without their pictures' cost."""

    def __init__(self, source: StreamSource) -> None:
        self.source = source
        self.states: list[SourceStatus] = []
        self.frames: list[Frame] = []
        self.ages: list[float] = []
        source.subscribe(self.states.append)
        self.reader = PrefetchReader(source, capacity=64)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while (frame := self.reader.get()) is not None:
            self.ages.append(time.time() - frame.time)
            self.frames.append(frame)

    def get(self, more: int, seconds: float = 60.0) -> float:
        """Wait for more frames; how long it took."""
        target = len(self.frames) + more
        return wait_until(lambda: len(self.frames) >= target or self.reader.ended, seconds)

    def reached(self, *names: str) -> bool:
        return any(s.state in names for s in self.states)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.stop()
        self._thread.join(30)


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

    threads, files = set(threading.enumerate()), descriptors()
    yield
    wait_until(lambda: not set(threading.enumerate()) - threads and descriptors() <= files)


def increasing(frames: list[Frame]) -> bool:
    return bool(np.all(np.diff([f.time for f in frames]) > 0))


@pytest.mark.wall_time
@pytest.mark.parametrize(("codec", "transport"), [("h264", "tcp"), ("h264", "udp"), ("h265", "tcp"), ("mjpeg", "tcp")])
def test_normal_play(rtsp, codec: str, transport: str) -> None:
    with rtsp.RtspCamera("--codec", codec, "--fps", "20") as server:
        with Watch(StreamSource(camera(server.uri, transport=transport))) as first:
            first.get(
                1
            )  # the server loads its encoder for its first client, which may take longer than a connection waits
        with Watch(StreamSource(camera(server.uri, transport=transport))) as watch:
            watch.get(25)
            status = watch.source.status
    assert status.state == "connected"
    assert (status.connections, status.reconnects, status.corrupt, status.attempts) == (1, 0, 0, 0)
    assert status.size == (320, 240)
    assert status.first_frame_seconds is not None
    assert status.last_frame == pytest.approx(time.time(), abs=5)
    assert [s.state for s in watch.states[:1]] == ["connected"]
    assert [f.index for f in watch.frames] == list(range(len(watch.frames)))
    assert increasing(watch.frames)
    drawn = np.array([rtsp.read_time(f.image, f.time) for f in watch.frames[5:]])
    np.testing.assert_allclose(np.diff(drawn), np.diff([f.time for f in watch.frames[5:]]), atol=0.045)
    assert np.median(np.abs([f.time - d for f, d in zip(watch.frames[5:], drawn, strict=True)])) < 0.1


@pytest.mark.wall_time
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_picture_does_not_wait_for_the_next_one(rtsp, codec: str) -> None:
    with (
        rtsp.RtspCamera("--codec", codec, "--fps", "8", "--size", "640x480") as server,
        Watch(StreamSource(camera(server.uri))) as watch,
    ):
        watch.get(22)
        corrupt = watch.source.status.corrupt
    # FFmpeg's parser would hand out each when the next begins, an eighth of a second later.
    assert np.median(watch.ages[13:]) < 1 / 8
    assert corrupt == 0


@pytest.mark.wall_time
def test_the_first_picture_tells_the_size(rtsp, make_video) -> None:
    clip = make_video("clip.mp4", frames=100, codec="libx264", size=(640, 480), fps=10)
    with rtsp.RtspCamera("--clip", str(clip)) as server:
        for low_delay in (True, False):
            with Watch(StreamSource(camera(server.uri, low_delay=low_delay))) as watch:
                watch.get(12)
                status = watch.source.status
            assert status.size == (640, 480)
            assert (status.corrupt, status.reconnects) == (0, 0)
            assert increasing(watch.frames)


def test_a_stream_that_cannot_be_put_together_is_left_to_ffmpeg(rtsp, monkeypatch) -> None:
    monkeypatch.setattr("streamreid.sources.nal_assembler.H264Units.push", lambda self, piece, stamp: [])
    with rtsp.RtspCamera("--fps", "20") as server, Watch(StreamSource(camera(server.uri, timeout=0.7))) as watch:
        watch.get(5)
        warnings = list(watch.source.warnings)
    assert any("sends data but no picture" in w for w in warnings)
    assert watch.source.status.size == (320, 240)


@pytest.mark.slow
def test_real_people(rtsp, shared: Path, tmp_path: Path) -> None:
    import av

    with (
        av.open(str(shared / "data" / "video" / "vtest.avi")) as source,
        av.open(str(tmp_path / "clip.mp4"), "w") as target,
    ):
        stream = target.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 768, 576, "yuv420p"
        for number, frame in enumerate(source.decode(video=0)):
            if number == 40:
                break
            picture = av.VideoFrame.from_ndarray(frame.to_ndarray(format="bgr24"), format="bgr24")
            picture.pts = number
            target.mux(stream.encode(picture))
        target.mux(stream.encode())
    with (
        rtsp.RtspCamera("--clip", str(tmp_path / "clip.mp4")) as server,
        Watch(StreamSource(camera(server.uri))) as watch,
    ):
        # The clip ends after four seconds; a camera that ends its stream is asked again.
        wait_until(lambda: watch.source.status.reconnects >= 1 and watch.source.status.state == "connected")
        watch.get(5)
    assert watch.frames[0].size == (768, 576)
    assert increasing(watch.frames)
    assert any("other side ended the stream" in w for w in watch.source.warnings)


@pytest.mark.wall_time
@pytest.mark.slow
def test_server_killed_and_restarted_five_times(rtsp) -> None:
    recoveries = []
    with rtsp.RtspCamera() as server, Watch(StreamSource(camera(server.uri))) as watch:
        watch.get(3)
        for number in range(5):
            server.kill()
            wait_until(lambda: watch.source.status.state in ("lost", "connecting"))
            time.sleep(0.3 * number)
            server.start()
            recoveries.append(watch.get(1))
        status = watch.source.status
    assert statistics.median(recoveries) <= 3.0, recoveries
    assert status.reconnects == 5
    assert increasing(watch.frames)
    assert [f.index for f in watch.frames] == list(range(len(watch.frames)))
    assert "reconnected 5 times" in watch.source.warnings
    # After a new connection the anchor is as good as at the beginning.
    assert abs(watch.frames[-1].time - rtsp.read_time(watch.frames[-1].image, watch.frames[-1].time)) < 0.5


def test_everything_may_change_over_a_restart(rtsp) -> None:
    with (
        rtsp.RtspCamera("--codec", "h264", "--size", "320x240") as server,
        Watch(StreamSource(camera(server.uri))) as watch,
    ):
        watch.get(3)
        server.kill()
        server.start("--codec", "mjpeg", "--size", "480x360", "--fps", "25")
        watch.get(10)
        status = watch.source.status
    sizes = [f.size for f in watch.frames]
    assert sizes[0] == (320, 240)
    assert sizes[-1] == (480, 360) == status.size
    assert increasing(watch.frames)
    assert any("320x240 to 480x360" in w for w in watch.source.warnings)


@pytest.mark.wall_time
def test_camera_that_accepts_and_sends_nothing(faults) -> None:
    before = threading.active_count()  # others' pools may not have ended yet
    with faults.MuteCamera() as mute:
        watch = Watch(
            StreamSource(
                camera(f"rtsp://admin:hunter2@127.0.0.1:{mute.port}/1", connect_timeout=0.4, reconnect_seconds=0.3)
            )
        )
        with watch:
            wait_until(lambda: mute.connections >= 3)
            assert watch.source.status.attempts >= 2
            assert threading.active_count() < before + 10
    assert not watch.frames
    assert watch.reached("lost")
    assert "hunter2" not in " ".join([*watch.source.warnings, *(s.reason for s in watch.states)])


@pytest.mark.wall_time
def test_camera_that_falls_silent_is_stalled_then_lost_then_back(rtsp, faults) -> None:
    with (
        rtsp.RtspCamera() as server,
        faults.FaultyProxy(server.port) as proxy,
        Watch(StreamSource(camera(f"rtsp://127.0.0.1:{proxy.port}/live", timeout=1.0, connect_timeout=1.0))) as watch,
    ):
        watch.get(5)
        proxy.mode = "stall"
        wait_until(lambda: watch.reached("stalled"))
        wait_until(lambda: watch.reached("lost"))
        proxy.mode = "pass"
        watch.get(5)
        wait_until(lambda: watch.source.status.state == "connected")
    assert increasing(watch.frames)
    assert watch.source.status.connections >= 2


@pytest.mark.wall_time
@pytest.mark.slow
def test_garbage_in_the_middle(rtsp, faults) -> None:
    with (
        rtsp.RtspCamera("--fps", "25") as server,
        faults.FaultyProxy(server.port) as proxy,
        Watch(StreamSource(camera(f"rtsp://127.0.0.1:{proxy.port}/live", timeout=2.0))) as watch,
    ):
        watch.get(10)
        proxy.mode = "garbage"
        wait_until(lambda: watch.source.status.corrupt + watch.source.status.reconnects > 0)
        proxy.mode = "pass"
        watch.get(50)
        assert watch.reader.error is None
        status = watch.source.status
    assert status.corrupt + status.reconnects > 0
    assert increasing(watch.frames)
    newest = watch.frames[-1]
    assert abs(rtsp.read_time(newest.image, newest.time) - newest.time) < 1.0


@pytest.mark.wall_time
def test_wrong_password_is_said_at_once_and_not_tried_often(rtsp) -> None:
    with rtsp.RtspCamera("--password", "correct") as server:
        uri = f"rtsp://viewer:hunter2@127.0.0.1:{server.port}/live"
        with Watch(StreamSource(camera(uri))) as watch:
            wait_until(lambda: watch.reached("lost"))
            time.sleep(1.5)
            status = watch.source.status
        assert (status.state, status.attempts) == ("lost", 1)
        assert "Check user name and password" in status.reason
        assert "hunter2" not in status.reason + " ".join(watch.source.warnings)
        with pytest.raises(SourceError, match=r"viewer:\*\*\*@.*access denied"):
            StreamSource(camera(uri, reconnect=0))
        with Watch(StreamSource(camera(uri.replace("hunter2", "correct")))) as watch:
            watch.get(2)


def test_name_that_does_not_resolve() -> None:
    uri = "rtsp://admin:hunter2@no-such-camera.invalid/1"
    with Watch(StreamSource(camera(uri))) as watch:
        wait_until(lambda: watch.reached("lost"))
        assert "'no-such-camera.invalid' does not resolve" in watch.source.status.reason
        assert "hunter2" not in watch.source.status.reason
    with pytest.raises(SourceError, match="does not resolve"):
        StreamSource(camera(uri, reconnect=0))


def test_limited_attempts_end_in_an_error() -> None:
    with Watch(StreamSource(camera("rtsp://127.0.0.1:9/1", reconnect=2, reconnect_seconds=0.05))) as watch:
        wait_until(lambda: watch.reader.ended)
    assert "cannot be opened" in str(watch.reader.error)
    assert watch.source.status.state == "failed"
    assert watch.source.status.attempts == 2


@pytest.mark.wall_time
@pytest.mark.slow
def test_capture_time_by_sender_reports(rtsp) -> None:
    if not hasattr(Packet, "has_sidedata"):
        pytest.skip("this PyAV hands over no sender reports")
    with rtsp.RtspCamera("--fps", "10") as server, Watch(StreamSource(camera(server.uri))) as watch:
        wait_until(lambda: sum(f.clock == "rtcp" for f in list(watch.frames)) >= 20)
        status = watch.source.status
    errors = {
        clock: [f.time - rtsp.read_time(f.image, f.time) for f in watch.frames[5:] if f.clock == clock]
        for clock in ("rtcp", "pts")
    }
    assert np.median(np.abs(errors["rtcp"])) < 0.02
    assert np.percentile(np.abs(errors["rtcp"]), 95) < 0.1
    assert np.median(np.abs(errors["pts"])) < 0.1
    assert increasing(watch.frames)
    assert status.clock == "rtcp"
    assert status.delay == pytest.approx(0.0, abs=0.5)


@pytest.mark.wall_time
@pytest.mark.parametrize("state", ["connecting", "lost", "connected", "stalled"])
def test_close_takes_no_second_in_any_state(rtsp, faults, state: str) -> None:
    with rtsp.RtspCamera() as server, faults.FaultyProxy(server.port) as proxy:
        uri = f"rtsp://127.0.0.1:{proxy.port}/live"
        if state == "connecting":
            proxy.mode = "stall"
        if state == "lost":
            proxy.mode = "cut"
        source = StreamSource(camera(uri, timeout=4, connect_timeout=3, reconnect_seconds=30))
        ended = threading.Event()
        thread = threading.Thread(target=lambda: (list(source), ended.set()))
        thread.start()
        if state in ("connected", "stalled"):
            wait_until(lambda: source.status.state == "connected")
            proxy.mode = "stall" if state == "stalled" else "pass"
        wait_until(lambda: source.status.state == state)
        began = time.monotonic()
        source.close()
        assert ended.wait(5)
        assert time.monotonic() - began < 1.0
        thread.join()
        assert source.status.state == "ended"
        proxy.mode = "pass"
