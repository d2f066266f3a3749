"""What `doctor` says of a recording that is taken for a camera."""

from __future__ import annotations

import http.server
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from streamreid.config import Config
from streamreid.runs.doctor import examine


@pytest.fixture
def clip(tmp_path: Path) -> bytes:
    """A recording of one second."""
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), 20 * number, np.uint8), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return (tmp_path / "clip.mp4").read_bytes()


def test_a_recording_that_could_not_be_opened_at_the_start_is_named(clip: bytes, tmp_path: Path) -> None:
    class Late(http.server.BaseHTTPRequestHandler):
        asked = 0

        def do_GET(self) -> None:
            type(self).asked += 1
            self.send_response(503 if self.asked == 1 else 200)
            self.send_header("Content-Length", "0" if self.asked == 1 else str(len(clip)))
            self.end_headers()
            if self.asked > 1:
                self.wfile.write(clip)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Late) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (tmp_path / "none.txt").write_text("")
        config = Config.from_dict(
            {
                "cameras": [{"name": "gate", "uri": f"http://127.0.0.1:{server.server_port}/clip", "timeout": 5}],
                "detector": {"model": f"mot:{tmp_path / 'none.txt'}"},
                "engine": {"model": "none"},
            }
        )
        (check,) = examine(config, seconds=3).cameras
        server.shutdown()
    assert any("its address is that of a recording, which has come to its end" in w for w in check.warnings), check
    assert check.error is None
