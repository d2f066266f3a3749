"""Cameras that speak HTTP: MJPEG and HLS."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from streamreid.config import CameraConfig
from streamreid.sources import PrefetchReader, StreamSource


@contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class MotionJpeg(http.server.BaseHTTPRequestHandler):
    """Pictures at an uneven rate, far from the 25 per second that FFmpeg assumes; hangs up after ``count``."""

    count = 12
    sizes = ((160, 120),)
    sent: list[float]

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        width, height = self.sizes[min(len(self.sent) // self.count, len(self.sizes) - 1)]
        for number in range(self.count):
            image = np.full((height, width, 3), 20 * number, np.uint8)
            data = cv2.imencode(".jpg", image)[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            self.sent.append(time.time())
            self.wfile.write(head + data + b"\r\n")
            time.sleep(0.05 if number % 2 else 0.15)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.wall_time
def test_motion_jpeg_is_stamped_with_arrival_and_comes_back() -> None:
    sent: list[float] = []
    handler = type("Camera", (MotionJpeg,), {"sent": sent, "sizes": ((160, 120), (320, 240))})
    with serving(handler) as host:
        source = StreamSource(CameraConfig(name="gate", uri=f"{host}/video.mjpg", frames=20, timeout=5))
        with PrefetchReader(source, capacity=100) as reader:
            frames = list(iter(reader.get, None))
            assert reader.error is None
    assert len(frames) == 20
    assert {f.clock for f in frames} == {"arrival"}
    assert [f.index for f in frames] == list(range(20))
    assert frames[0].size == (160, 120)
    assert frames[-1].size == (320, 240)
    assert source.status.reconnects >= 1
    # By its brightness each picture is known; the distances are those of sending, not of an assumed rate.
    first = [f.time for f in frames[2:8]]
    known = [sent[round(float(f.image.mean()) / 20)] for f in frames[2:8]]
    np.testing.assert_allclose(np.diff(first), np.diff(known), atol=0.06)


@pytest.fixture
def playlist(tmp_path: Path) -> Path:
    """An HLS recording of 3 s in segments of 1 s."""
    path = tmp_path / "index.m3u8"
    with av.open(str(path), "w", format="hls", options={"hls_time": "1", "hls_list_size": "0"}) as container:
        stream = container.add_stream("libx264", rate=10, options={"g": "10", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), 8 * number, np.uint8), format="bgr24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def files(folder: Path, ended: bool) -> type[http.server.BaseHTTPRequestHandler]:
    class Files(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            if not self.path.endswith(".m3u8") or ended:
                super().do_GET()
                return
            text = (folder / "index.m3u8").read_text().replace("#EXT-X-ENDLIST", "").encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    return Files


def test_hls_recording_ends_like_a_file(playlist: Path) -> None:
    with serving(files(playlist.parent, ended=True)) as host:
        frames = list(StreamSource(CameraConfig(name="gate", uri=f"{host}/index.m3u8", timeout=5)))
    assert len(frames) == 30
    np.testing.assert_allclose(np.diff([f.time for f in frames]), 0.1, atol=0.002)


@pytest.mark.wall_time
def test_hls_camera_begins_with_the_newest_segment_and_may_be_closed(playlist: Path) -> None:
    with serving(files(playlist.parent, ended=False)) as host:
        source = StreamSource(CameraConfig(name="gate", uri=f"{host}/index.m3u8", timeout=2))
        with PrefetchReader(source, capacity=100) as reader:
            frames = [reader.get(10) for _ in range(8)]
            began = time.monotonic()
        assert time.monotonic() - began < 1.0
    assert all(f is not None and f.image.mean() > 8 * 19 for f in frames)
