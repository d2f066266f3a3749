"""Recordings and cameras by HTTP and HLS: what has an end is a recording and read whole, whatever its address is
called."""

from __future__ import annotations

import http.server
import itertools
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.sources import (
    FrameSource,
    PacedSource,
    PrefetchReader,
    StreamSource,
    VideoFileSource,
    is_live,
    open_source,
    with_kinds,
)
from tests.inputs.media import encode, ffmpeg, picture, pictures_of

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the ffmpeg program")


class Files(http.server.SimpleHTTPRequestHandler):
    """Files with their length; /live/NAME is NAME without one, and then silence; /mjpeg is a camera."""

    asked: list[str]
    ended: threading.Event

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/live/"):
            self.path = self.path.removeprefix("/live")
            data = Path(self.translate_path(self.path)).read_bytes()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(data)
            self.wfile.flush()
            self.ended.wait(20)
        elif self.path == "/mjpeg":
            self._multipart()
        else:
            super().do_GET()

    def _multipart(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
        self.end_headers()
        for number in itertools.count():
            data = cv2.imencode(".jpg", picture(number))[1].tobytes()
            try:
                self.wfile.write(
                    b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(data), data)
                )
            except OSError:
                return
            if self.ended.wait(0.02):
                return

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    ended = threading.Event()
    kind = type("Serving", (Files,), {"asked": asked, "ended": ended})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: kind(*a, directory=str(folder))) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            ended.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """``rec`` is MPEG-TS, ``download`` MP4; ``vod.m3u8`` has three segments of 1 s with a discontinuity between any
    two, ``open.m3u8`` is not ended."""
    ts, mp4 = encode(tmp_path / "a.ts", 30, g="10", bf="0"), encode(tmp_path / "a.mp4", 30, bf="2")
    ffmpeg("-i", mp4, "-c", "copy", "-movflags", "faststart", "-f", "mp4", tmp_path / "download")
    shutil.copy(ts, tmp_path / "rec")
    for number in range(3):
        part = encode(tmp_path / f"p{number}.mp4", 10, g="10", bf="0")
        ffmpeg("-i", part, "-c", "copy", "-f", "mpegts", tmp_path / f"s{number}.bin")
    head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n"
    entries = "#EXT-X-DISCONTINUITY\n".join(f"#EXTINF:1.0,\ns{number}.bin\n" for number in range(3))
    (tmp_path / "vod.m3u8").write_text(head + entries + "#EXT-X-ENDLIST\n")
    (tmp_path / "open.m3u8").write_text(head + entries)
    return tmp_path


def camera(uri: str, **settings: object) -> CameraConfig:
    return CameraConfig(name="gate", uri=uri, **{"timeout": 5, "connect_timeout": 3, **settings})


def slowly(source: FrameSource) -> list[int]:
    """What a run gets that takes its time, with the reader that it uses for such a source."""
    with PrefetchReader(source, capacity=4, latest=source.live) as reader:
        images = []
        while (frame := reader.get(10)) is not None:
            images.append(frame.image)
            time.sleep(0.005)
        assert reader.error is None
    return pictures_of(images)


@pytest.mark.parametrize("name", ["rec", "download", "a.ts", "vod.m3u8"])
def test_what_has_an_end_is_read_whole(folder: Path, name: str) -> None:
    with serving(folder) as (host, _):
        source = open_source(camera(f"{host}/{name}?token=1"))
        assert isinstance(source, VideoFileSource)
        numbers = slowly(source)
    assert numbers == ([*range(10)] * 3 if name == "vod.m3u8" else [n % 28 for n in range(30)])


def test_discontinuities_take_no_time(folder: Path) -> None:
    with serving(folder) as (host, _):
        source = open_source(camera(f"{host}/vod.m3u8"))
        assert source.expected_frames == 30
        times = [frame.time for frame in source]
    assert not any("ends early" in warning for warning in source.warnings)
    np.testing.assert_allclose(times, np.arange(30) / 10, atol=1e-3)


@pytest.mark.parametrize("name", ["open.m3u8", "mjpeg", "live/rec"])
def test_what_has_no_end_is_a_camera(folder: Path, name: str) -> None:
    with serving(folder) as (host, _):
        config = camera(f"{host}/{name}", frames=3)
        source = open_source(config)
        assert isinstance(source, StreamSource)
        assert [c.live for c in with_kinds([config])] == [None]
        assert is_live(config)
        with PrefetchReader(source, latest=True) as reader:
            assert reader.get(10) is not None


def test_live_in_the_settings_counts_first(folder: Path) -> None:
    with serving(folder) as (host, _):
        paced = open_source(camera(f"{host}/rec", live=True, frames=4))
        assert isinstance(paced, PacedSource)
        began = time.monotonic()
        frames = list(paced)
        assert time.monotonic() - began > 0.25, "at its own speed"
        assert abs(frames[-1].time - time.time()) < 20
        assert isinstance(open_source(camera(f"{host}/mjpeg", live=True)), StreamSource)
        whole = open_source(camera(f"{host}/mjpeg", live=False, frames=40))
        assert isinstance(whole, VideoFileSource)
        assert slowly(whole) == [n % 28 for n in range(40)]


def test_many_addresses_are_asked_together_and_once(folder: Path) -> None:
    with serving(folder) as (host, asked):
        cameras = [camera(f"{host}/rec?{n}") for n in range(5)] + [
            camera("clip.mp4"),
            camera("rtsp://127.0.0.1:9/1"),
            camera("0"),
        ]
        known = with_kinds(cameras)
        assert [c.live for c in known] == [False] * 5 + [None] * 3
        assert [is_live(c) for c in known] == [False] * 6 + [True] * 2
        count = len(asked)
        assert with_kinds(cameras) == known
        assert len(asked) == count


def test_address_that_cannot_be_opened(folder: Path) -> None:
    with serving(folder) as (host, _):
        with pytest.raises(SourceError, match=r"gate.*404"):
            open_source(camera(f"{host}/nothing.mp4"))
        waited_for = open_source(camera(f"{host}/nothing"))
        assert waited_for.live, "a camera may come later"
        waited_for.close()
