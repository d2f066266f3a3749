"""A camera to measure against: an RTSP server whose pictures carry the time at which they were made.

Imported, this is :class:`RtspCamera`, which starts the server as a process of its own and can kill and restart it, and
:func:`read_time`. Run by the Python that has GObject introspection (Debian: gir1.2-gst-rtsp-server-1.0, python3-gi), it
is the server.
"""

from __future__ import annotations

import argparse
import queue
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

__all__ = ["RtspCamera", "missing", "read_time"]

_PYTHONS = ("/usr/bin/python3", "python3")
_COLUMNS, _ROWS = 8, 5
_PROBE = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


def _python() -> str | None:
    """An interpreter that can run the server."""
    for name in _PYTHONS:
        path = shutil.which(name)
        if path and subprocess.run([path, "-c", _PROBE], capture_output=True, timeout=60).returncode == 0:
            return path
    return None


def missing() -> str | None:
    """Why the server cannot run here, None if it can."""
    if _python() is None:
        return (
            "needs a Python with GStreamer's RTSP server (Debian: gir1.2-gst-rtsp-server-1.0 python3-gi "
            "gstreamer1.0-plugins-{good,bad,ugly})"
        )
    return None


def read_time(image: Any, near: float) -> float:
    """The time drawn into a picture.

    Args:
        image: ``[H, W, 3]`` uint8.
        near: Any time less than 17 years away, seconds.

    Returns:
        Seconds since 1970 on the server's clock, to the millisecond.
    """
    height, width = image.shape[:2]
    value = 0
    for row in range(_ROWS):
        for column in range(_COLUMNS):
            y, x = round((row + 0.5) * height / _ROWS), round((column + 0.5) * width / _COLUMNS)
            value = value * 2 + int(image[y - 3 : y + 4, x - 3 : x + 4].mean() > 127)
    whole = 1 << (_ROWS * _COLUMNS)
    return (round(near * 1000 / whole - value / whole) * whole + value) / 1000


class RtspCamera:
    """The server as a process. Its address stays the same over restarts.

    Args:
        options: Command line of the server without the port, as in ``python benchmarks/rtsp_camera.py --help``.
    """

    def __init__(self, *options: str) -> None:
        python = _python()
        if python is None:
            raise RuntimeError(missing())
        self._python = python
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.uri = f"rtsp://127.0.0.1:{self.port}/live"
        self._process: subprocess.Popen[str] | None = None
        self.start(*options)

    def start(self, *options: str) -> None:
        """Start the server; returns when it accepts connections."""
        command = [self._python, str(Path(__file__).resolve()), "--port", str(self.port), *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        lines: queue.Queue[str] = queue.Queue()
        assert self._process.stdout is not None
        threading.Thread(target=lambda out=self._process.stdout: lines.put(out.readline()), daemon=True).start()
        try:
            if lines.get(timeout=30).strip() != "ready":
                raise RuntimeError("the RTSP server did not start")
        except queue.Empty:
            self.kill()
            raise RuntimeError("the RTSP server did not start within 30 s") from None

    def kill(self) -> None:
        """End the server as a power cut would; the connections are reset."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None

    def __enter__(self) -> RtspCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def _luma(size: tuple[int, int], milliseconds: int) -> bytes:
    """A grey picture that tells a time: 40 bits as dark and bright fields."""
    width, height = size
    rows = []
    for row in range(_ROWS):
        line = bytearray()
        for column in range(_COLUMNS):
            bit = milliseconds >> (_ROWS * _COLUMNS - 1 - row * _COLUMNS - column) & 1
            line += bytes([200 if bit else 50]) * (width * (column + 1) // _COLUMNS - len(line))
        rows.append(bytes(line) * (height * (row + 1) // _ROWS - height * row // _ROWS))
    return b"".join(rows)


def _feed(source: Any, gst: Any, size: tuple[int, int], fps: float) -> None:
    """Push pictures at their time until the client is gone."""
    chroma = bytes([128]) * (size[0] * size[1] // 2)
    due = time.monotonic()
    while True:
        picture = _luma(size, round(time.time() * 1000)) + chroma
        if source.emit("push-buffer", gst.Buffer.new_wrapped(picture)) != gst.FlowReturn.OK:
            return
        due += 1 / fps
        time.sleep(max(0.0, due - time.monotonic()))


_CODECS = {
    "h264": (
        "x264enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} bitrate=1500 ! h264parse "
        "config-interval=-1 ! rtph264pay"
    ),
    "h264b": (
        "x264enc speed-preset=ultrafast bframes=2 b-adapt=false rc-lookahead=0 sync-lookahead=0 key-int-max={gop} ! "
        "h264parse config-interval=-1 ! rtph264pay"
    ),
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} ! h265parse config-interval=-1 "
    "! rtph265pay",
    "mjpeg": "jpegenc quality=80 ! rtpjpegpay",
}


def _serve(args: argparse.Namespace) -> None:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    Gst.init(None)
    width, height = (int(v) for v in args.size.split("x"))
    factory = GstRtspServer.RTSPMediaFactory()
    if args.clip:
        launch = f'filesrc location="{args.clip}" ! qtdemux ! h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96'
    else:
        caps = f"video/x-raw,format=I420,width={width},height={height},framerate={round(args.fps * 1000)}/1000"
        # A leaky queue of one: an encoder that falls behind must not delay the stamps.
        launch = f'appsrc name=pictures is-live=true do-timestamp=true format=time max-bytes=0 caps="{caps}" ! '
        launch += _CODECS[args.codec].format(gop=args.gop) + " name=pay0 pt=96"
    factory.set_launch(f"( {launch} )")
    factory.set_shared(args.shared)

    def begin(_: object, media: Any) -> None:
        source = media.get_element().get_by_name("pictures")
        if source is not None:
            threading.Thread(target=_feed, args=(source, Gst, (width, height), args.fps), daemon=True).start()

    factory.connect("media-configure", begin)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(args.port))
    if args.password:
        auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic("viewer", args.password), token)
        server.set_auth(auth)
        rights = GstRtspServer.RTSPPermissions()
        for right in ("media.factory.access", "media.factory.construct"):
            rights.add_permission_for_role("viewer", right, True)
        factory.set_permissions(rights)
    server.get_mount_points().add_factory("/live", factory)
    if not server.attach(None):
        sys.exit(f"port {args.port} cannot be used")
    print("ready", flush=True)
    GLib.timeout_add_seconds(args.seconds, lambda: sys.exit(0))
    GLib.MainLoop().run()


def _main() -> None:
    parser = argparse.ArgumentParser(
        description="An RTSP camera whose pictures tell the time. Address: rtsp://127.0.0.1:PORT/live"
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--size", default="320x240")
    parser.add_argument("--fps", type=float, default=10.0)
    parser.add_argument("--codec", choices=sorted(_CODECS), default="h264")
    parser.add_argument("--gop", type=int, default=20, help="pictures from key frame to key frame")
    parser.add_argument("--clip", help="send this H.264 file in MP4 instead")
    parser.add_argument("--password", help="of the user 'viewer'; without it everybody may look")
    parser.add_argument(
        "--shared", action="store_true", help="one encoder for all clients, who come in the middle of its stream"
    )
    parser.add_argument("--seconds", type=int, default=3600, help="end after so long, so that none is left behind")
    _serve(parser.parse_args())


if __name__ == "__main__":
    _main()
