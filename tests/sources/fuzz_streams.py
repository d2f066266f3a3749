"""Feeds damaged videos to the readers for a while: ``python tests/sources/fuzz_streams.py SECONDS [SEED]``. Prints what
happened as JSON.

A program of its own, so that a crash inside FFmpeg is seen as such. Damage: cut off, flipped bits, missing, repeated
and swapped pieces; read from files and from HTTP streams without a length, as H.264, MPEG-TS and MP4.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import http.server
import json
import os
import random
import socketserver
import sys
import tempfile
import threading
import time
from pathlib import Path

import av
import numpy as np

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.sources import FrameSource, PrefetchReader, StreamSource, VideoFileSource, few_arenas

SUFFIXES = (".264", ".ts", ".mp4")


def sample(folder: Path, suffix: str, codec: str, frames: int = 30) -> bytes:
    """A small video."""
    path = folder / f"sample{suffix}"
    noise = np.random.default_rng(0)
    with av.open(str(path), "w", format={".264": "h264", ".ts": "mpegts", ".mp4": "mp4"}[suffix]) as container:
        stream = container.add_stream(codec, rate=10, options={"g": "10"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(frames):
            image = noise.integers(0, 255, (15, 20, 3), np.uint8).repeat(8, 0).repeat(8, 1)
            image[:, : 5 * number] = 30
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()


def damaged(data: bytes, dice: random.Random) -> bytes:
    """The same with something wrong."""
    result = bytearray(data)
    for _ in range(dice.randint(1, 3)):
        kind = dice.choice(("cut", "flip", "flip", "remove", "repeat", "swap", "noise"))
        a, b = sorted(dice.randrange(len(result)) for _ in range(2))
        length = min(b - a, 4000)
        if kind == "cut" and len(result) > 2000:
            del result[max(b, 1000) :]
        elif kind == "flip":
            for _ in range(int(10 ** dice.uniform(0, 3.5))):
                result[dice.randrange(len(result))] ^= 1 << dice.randrange(8)
        elif kind == "remove":
            del result[a : a + length]
        elif kind == "repeat":
            result[a:a] = result[a : a + length]
        elif kind == "swap":
            result[a:], result[:a] = result[:a], result[a:]
        elif kind == "noise":
            result[a : a + length] = dice.randbytes(length)
        if len(result) < 10:
            return bytes(data[:500])
    return bytes(result)


class Live(http.server.BaseHTTPRequestHandler):
    """Sends ``content`` and hangs up."""

    content = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        pass


def read(source: FrameSource) -> int:
    """All frames of a source, whatever happens; times must increase."""
    count, last = 0, float("-inf")
    with PrefetchReader(source) as reader:
        # A stream that can be read is read again and again.
        while count < 60 and (frame := reader.get(timeout=30)) is not None:
            assert frame.time > last, f"time went from {last} to {frame.time}"
            assert frame.image.size
            last = frame.time
            count += 1
        error = reader.error
        assert error is None or "unexpectedly" not in str(error), str(error)
    return count


def usage() -> tuple[int, int, float]:
    """Threads, descriptors, and resident MiB, without what is only waiting to be collected or given back."""
    gc.collect()
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).malloc_trim(0)
    status = Path("/proc/self/status").read_text() if os.path.exists("/proc/self/status") else "VmRSS: 0"
    memory = next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))
    return threading.active_count(), len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0, memory


def main() -> None:
    seconds, seed = float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    faulthandler.enable()
    few_arenas()  # as the command line does for live cameras
    av.logging.set_level(av.logging.PANIC)
    dice = random.Random(seed)
    runs = frames = refused = 0
    slowest = 0.0
    early = (0, 0, 0.0)
    with tempfile.TemporaryDirectory() as name, socketserver.ThreadingTCPServer(("127.0.0.1", 0), Live) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        samples = {
            s: [sample(Path(name), s, codec) for codec in ("libx264", "mpeg4") if s != ".264" or codec == "libx264"]
            for s in SUFFIXES
        }
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            suffix = dice.choice(SUFFIXES)
            data = damaged(dice.choice(samples[suffix]), dice)
            start = time.monotonic()
            try:
                if dice.random() < 0.5:
                    path = Path(name) / f"damaged{suffix}"
                    path.write_bytes(data)
                    frames += read(VideoFileSource(CameraConfig(name="fuzz", uri=str(path))))
                else:
                    Live.content = data
                    uri = f"http://127.0.0.1:{server.server_address[1]}/live{suffix}"
                    settings = {
                        "timeout": 2.0,
                        "connect_timeout": 2.0,
                        "reconnect": dice.choice((0, 0, 1)),
                        "reconnect_seconds": 0.05,
                    }
                    frames += read(StreamSource(CameraConfig(name="fuzz", uri=uri, **settings)))
            except SourceError:
                refused += 1
            slowest = max(slowest, time.monotonic() - start)
            runs += 1
            if runs == 20:
                early = usage()
        deadline = time.monotonic() + 5
        while usage()[0] > 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        threads, files, memory = usage()
        server.shutdown()
    print(
        json.dumps(
            {
                "runs": runs,
                "frames": frames,
                "refused": refused,
                "slowest": slowest,
                "threads": threads,
                "files": files,
                "files_early": early[1],
                "memory": memory,
                "memory_early": early[2],
            }
        )
    )


if __name__ == "__main__":
    main()
