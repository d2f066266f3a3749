"""Which source reads which address, and network streams from a server in this process."""

from __future__ import annotations

import http.server
import re
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.sources import (
    FrameSource,
    ImageFolderSource,
    ManualClock,
    PrefetchReader,
    StreamSource,
    VideoFileSource,
    WebcamSource,
    open_source,
)
from streamreid.types import Frame


class Server(http.server.BaseHTTPRequestHandler):
    """Serves ``content`` with its length, or, at /live, without one and then hangs up or falls silent."""

    content = b""
    silent: threading.Event | None = None

    def do_GET(self) -> None:
        live = self.path.startswith("/live")
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t" if self.path.endswith("ts") else "video/mp4")
        if not live:
            self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)
        if live and self.silent is not None:
            self.wfile.flush()
            self.silent.wait(20)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve(handler: type[socketserver.BaseRequestHandler]) -> Iterator[str]:
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def serving(content: bytes, silent: threading.Event | None = None) -> type[Server]:
    return type("Serving", (Server,), {"content": content, "silent": silent})


def drain(source: FrameSource, after_each: Callable[[int], None] = lambda count: None) -> tuple[list[Frame], str]:
    """All frames of a source that fails, and its error."""
    frames: list[Frame] = []
    try:
        for frame in source:
            frames.append(frame)
            after_each(len(frames))
    except SourceError as e:
        return frames, str(e)
    raise AssertionError("the source should have failed")


def camera(uri: str, **settings: object) -> CameraConfig:
    return CameraConfig(name="gate", uri=uri, **{"reconnect": 0, **settings})


class Rtsp(socketserver.StreamRequestHandler):
    """A camera: one MPEG transport stream in RTP packets on the RTSP connection (RFC 2326, 10.12), then the connection
    closes."""

    content = b""
    transports: list[str]

    def handle(self) -> None:
        while True:
            lines: list[str] = []
            while (line := self.rfile.readline().decode()) not in ("\r\n", ""):
                lines.append(line.strip())
            if not lines:
                return
            method, url, _ = lines[0].split()
            headers = dict(line.split(": ", 1) for line in lines[1:])
            extra, body = [], ""
            if method == "OPTIONS":
                extra = ["Public: DESCRIBE, SETUP, PLAY, TEARDOWN"]
            elif method == "DESCRIBE":
                body = (
                    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP "
                    "33\r\na=control:track1\r\n"
                )
                extra = [f"Content-Base: {url}/", "Content-Type: application/sdp", f"Content-Length: {len(body)}"]
            elif method == "SETUP":
                self.transports.append(headers["Transport"])
                extra = ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1"]
            answer = ["RTSP/1.0 200 OK", f"CSeq: {headers['CSeq']}", "Session: 1", *extra, "", body]
            self.wfile.write("\r\n".join(answer).encode())
            if method == "PLAY":
                self._play()
                return

    def _play(self) -> None:
        packets = [self.content[i : i + 7 * 188] for i in range(0, len(self.content), 7 * 188)]
        for number, payload in enumerate(packets):
            rtp = struct.pack(">BBHII", 0x80, 33, number, number * 90, 1) + payload
            self.wfile.write(b"$\0" + struct.pack(">H", len(rtp)) + rtp)


def test_kind_of_source_by_address(make_video, tmp_path: Path) -> None:
    path = make_video("a.mp4", frames=3)
    (tmp_path / "seq" / "img1").mkdir(parents=True)
    (tmp_path / "seq" / "img1" / "1.png").write_bytes(cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes())
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "1.png").write_bytes((tmp_path / "seq" / "img1" / "1.png").read_bytes())
    assert isinstance(open_source(camera(str(path))), VideoFileSource)
    assert isinstance(open_source(camera(path.as_uri())), VideoFileSource)
    assert isinstance(open_source(camera(str(tmp_path / "seq"))), ImageFolderSource)
    with serve(serving(path.read_bytes())) as host:
        source = open_source(camera(f"http://{host}/clips/a.mp4?x=1"))
        assert isinstance(source, VideoFileSource)
        assert not source.live
        assert len(list(source)) == 3


def test_rtsp_camera(make_video) -> None:
    content = make_video("a.ts", frames=40, codec="libx264").read_bytes()
    transports: list[str] = []
    clock = ManualClock(1_700_000_000.0)
    with serve(type("Camera", (Rtsp,), {"content": content, "transports": transports})) as host:
        source = open_source(camera(f"rtsp://user:hunter2@{host}/1", timeout=5, stride=2), clock=clock)
        assert isinstance(source, StreamSource)
        assert source.live
        assert source.expected_frames is None
        frames, error = drain(source)
    assert re.search(r"gate.*user:\*\*\*@.*after \d+ pictures", error)
    assert "hunter2" not in error
    assert "TCP" in transports[0]
    assert len(frames) >= 15
    assert {f.clock for f in frames} == {"pts"}
    # Anchored at the arrival of the first picture, then by time stamps, until they run away from the clock, which stood
    # still.
    assert frames[0].time == 1_700_000_000.0
    times = np.array([f.time for f in frames])
    np.testing.assert_allclose(np.diff(times)[:4], 0.2, atol=0.001)
    assert np.all(np.diff(times) > 0)
    assert times[-1] < 1_700_000_002.0


def test_http_stream_of_known_length_is_a_recording(make_video) -> None:
    with serve(serving(make_video("a.ts", frames=40, codec="libx264").read_bytes())) as host:
        source = open_source(camera(f"http://{host}/video?token=hunter2", timeout=5), clock=ManualClock(50.0))
        assert isinstance(source, VideoFileSource)
        frames = list(source)
    assert len(frames) == 40
    assert frames[-1].time == pytest.approx(3.9)


def test_recording_that_could_not_be_asked_is_read_as_a_camera_and_said(make_video) -> None:
    with serve(serving(make_video("a.ts", frames=40, codec="libx264").read_bytes())) as host:
        source = StreamSource(camera(f"http://{host}/video", timeout=5), clock=ManualClock(50.0))
        frames = list(source)
    assert len(frames) == 40
    assert frames[-1].time == pytest.approx(53.9)
    assert "live: false" in source.warnings[0]


def test_live_stream_that_hangs_up_is_an_error_after_its_frames(make_video) -> None:
    with (
        serve(serving(make_video("a.ts", frames=40, codec="libx264").read_bytes())) as host,
        PrefetchReader(open_source(camera(f"http://{host}/live.ts", timeout=5)), capacity=100) as reader,
    ):
        assert len(list(iter(reader.get, None))) >= 38
        assert re.search(r"gate.*after \d+ pictures", str(reader.error))


def test_silent_stream_is_an_error_after_its_timeout(make_video) -> None:
    silent = threading.Event()
    with serve(serving(make_video("a.ts", frames=60, codec="libx264").read_bytes(), silent)) as host:
        frames, error = drain(open_source(camera(f"http://{host}/live.ts", timeout=1.0)))
        silent.set()
    assert re.search(r"gate.*lost after \d+ pictures", error)
    assert len(frames) > 20


@pytest.mark.parametrize(
    "uri",
    [
        "rtsp://user:hunter2@{}/1",
        "http://user:hunter2@{}/x.mp4",
        "http://{}/stream?password=hunter2",
        "rtmp://user:hunter2@{}/1",
    ],
)
def test_refused_connections_name_the_address_without_password(uri: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(SourceError, match="gate") as error:
            open_source(camera(uri.format(host), timeout=2))
    assert "hunter2" not in str(error.value)
    assert host in str(error.value)
    assert error.value.__cause__ is None


def test_camera_that_never_answers_is_given_up() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with pytest.raises(SourceError, match="gate"):
            open_source(camera(f"rtsp://127.0.0.1:{server.getsockname()[1]}/1", timeout=0.5))


def test_webcam_that_is_not_there() -> None:
    with pytest.raises(SourceError, match=r"gate.*webcam 97.*cannot be opened"):
        open_source(camera("97"))


@pytest.mark.wall_time  # the thread that reads must come after the one that advances the clock
def test_webcam_is_stamped_with_arrival(make_video) -> None:
    clock = ManualClock(10.0)
    capture = cv2.VideoCapture(str(make_video("a.mp4", frames=6)))
    source = WebcamSource(camera("0", stride=2), clock=clock, capture=capture)
    assert source.live
    frames, error = drain(source, lambda count: clock.advance(0.0 if count < 2 else 1.0))
    assert re.search(r"gate.*sends no more pictures \(after 6\)", error)
    assert [f.index for f in frames] == [0, 2, 4]
    assert {f.clock for f in frames} == {"arrival"}
    assert frames[0].time == 10.0
    assert 10.0 < frames[1].time < 10.001
    assert frames[2].time >= 11.0
    source.close()
    assert not capture.isOpened()
