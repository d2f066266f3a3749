"""Live streams in figures: time to the first frame, time to recover after the server was killed, and error of the
capture time.

    python benchmarks/streams.py [--connects 5] [--kills 5] [--seconds 20] [--out FILE.json]

The server (``tests/support/rtsp_camera.py``) draws the time into each picture, so the error of a capture time is known
to the millisecond. Server and reader run on this machine with one clock. The PTS column is of a second run in which the
sender reports are hidden; "age by parser" is of a third one in which FFmpeg's parser puts pictures together
(``low_delay: false``), which it can when the next one begins. "FFmpeg defaults" opens the same stream with PyAV without
any option but TCP. The exit code is 1 where a first frame takes more than 1.5 s or recovery, at the median, more than 3
s.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import platform
import sys
import threading
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import _root  # noqa: F401
import av
import numpy as np
from _results import add_json, save_asked

from streamreid.config import CameraConfig
from streamreid.sources import PrefetchReader, StreamSource
from streamreid.types import Frame
from tests.support.rtsp_camera import RtspCamera, missing, read_time

SERVERS = {
    "H.264 10 fps": ("--codec", "h264", "--fps", "10"),
    "H.264 25 fps 1280x720": ("--codec", "h264", "--fps", "25", "--size", "1280x720"),
    "H.264 4 fps": ("--codec", "h264", "--fps", "4"),
    "H.265 10 fps": ("--codec", "h265", "--fps", "10"),
    "MJPEG 10 fps": ("--codec", "mjpeg", "--fps", "10"),
}


def source(server: RtspCamera, transport: str = "tcp", *, low_delay: bool = True) -> StreamSource:
    """A reader of the server's stream."""
    return StreamSource(CameraConfig(name="camera", uri=server.uri, transport=transport, low_delay=low_delay))


def first_frames(server: RtspCamera, connects: int, transport: str) -> list[float]:
    """Seconds from the beginning of a connection to its first frame."""
    result = []
    for _ in range(connects):
        began = time.monotonic()
        with source(server, transport) as camera:
            next(iter(camera))
            result.append(time.monotonic() - began)
    return result


def default_first_frame(server: RtspCamera) -> float:
    """The same with FFmpeg's own probing."""
    began = time.monotonic()
    with av.open(server.uri, container_options={"rtsp_transport": "tcp"}, timeout=30) as container:
        next(container.decode(video=0))
        return time.monotonic() - began


class Follower:
    """Reads a camera in the background; keeps arrival, capture time, clock and the time drawn into the picture."""

    def __init__(self, camera: StreamSource) -> None:
        self.seen: list[tuple[float, float, str, float]] = []
        self._reader = PrefetchReader(camera, latest=True)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while (frame := self._reader.get()) is not None:
            self.seen.append(self._row(frame))

    def _row(self, frame: Frame) -> tuple[float, float, str, float]:
        now = time.time()
        return now, frame.time, frame.clock, read_time(frame.image, now)

    def wait(self, more: int, seconds: float) -> float:
        """Seconds until so many more frames came."""
        began, target = time.monotonic(), len(self.seen) + more
        while len(self.seen) < target:
            if time.monotonic() > began + seconds:
                raise TimeoutError(f"no {more} frames within {seconds:.0f} s")
            time.sleep(0.005)
        return time.monotonic() - began

    def stop(self) -> None:
        """Hang up."""
        self._reader.stop()
        self._thread.join(5)


def recoveries(options: tuple[str, ...], kills: int) -> list[float]:
    """Seconds from the moment a restarted server accepts connections to the next frame; it is away for 0 to 8 s."""
    result = []
    with RtspCamera(*options) as server:
        follower = Follower(source(server))
        follower.wait(10, 30)
        for number in range(kills):
            server.kill()
            time.sleep(8.0 * number / max(1, kills - 1))
            server.start(*options)
            result.append(follower.wait(1, 60))
            follower.wait(5, 30)
        follower.stop()
    return result


def capture_errors(options: tuple[str, ...], seconds: float, *, reports: bool) -> dict[str, Any]:
    """Capture time minus drawn time by clock, and age when handed out, in milliseconds; ``reports=False`` hides the
    sender reports."""
    hidden = contextlib.nullcontext() if reports else patch("streamreid.sources.stream._reported", lambda packet: None)
    with hidden, RtspCamera(*options) as server:
        camera = source(server)
        follower = Follower(camera)
        time.sleep(seconds)
        status = camera.status
        follower.stop()
    rows = follower.seen[1:]
    errors = {
        name: [1000 * (captured - drawn) for _, captured, clock, drawn in rows if clock == name]
        for name in ("rtcp", "pts")
    }
    ages = [1000 * (now - drawn) for now, _, _, drawn in rows]
    steps = [b[1] - a[1] for a, b in itertools.pairwise(rows)]
    return {
        **{name: summary(values) for name, values in errors.items()},
        "age": summary(ages),
        "increasing": min(steps) > 0,
        "drift_ppm": status.drift,
    }


def parsed_age(options: tuple[str, ...], seconds: float) -> float:
    """Median age in milliseconds when FFmpeg's parser puts the pictures together."""
    with RtspCamera(*options) as server:
        follower = Follower(source(server, low_delay=False))
        time.sleep(seconds)
        follower.stop()
    return float(np.median([1000 * (now - drawn) for now, _, _, drawn in follower.seen[1:]]))


def summary(values: list[float]) -> dict[str, float] | None:
    """Count, median and 95th percentile of the absolute values, and the signed median."""
    if not values:
        return None
    return {
        "n": len(values),
        "median": float(np.median(np.abs(values))),
        "p95": float(np.percentile(np.abs(values), 95)),
        "bias": float(np.median(values)),
    }


def summarised(result: dict[str, Any]) -> dict[str, Any]:
    """The figures of a run: per server, and the least and most of all servers."""
    figures: dict[str, Any] = {"recovery s": {"median": np.median(result["recovery"]), "most": max(result["recovery"])}}
    for name, found in result["first_frame"].items():
        tcp, udp = found["tcp"], found["udp"]
        row = {"median": np.median(tcp), "most": max(tcp), "udp median": np.median(udp), "default": found["default"]}
        figures.setdefault("first frame s", {})[name] = row
    for name, found in result["capture"].items():
        row = {"rtcp": found["with reports"]["rtcp"] or {}, "pts": found["without"]["pts"] or {}}
        figures.setdefault("capture ms", {})[name] = {**row, "age": found["with reports"]["age"] or {}}
    rows = list(figures.get("first frame s", {}).values())
    spread = {f"first frame {k} s": [row[k] for row in rows] for k in ("median", "most", "default")}
    for clock in ("rtcp", "pts"):
        for k in ("median", "p95"):
            some = [row[clock][k] for row in figures.get("capture ms", {}).values() if k in row[clock]]
            spread[f"{clock} {k} ms"] = some
    return {**figures, "all": {k: {"least": min(v), "most": max(v)} for k, v in spread.items() if v}}


def cell(value: dict[str, float] | None) -> str:
    """Median and p95 of a summary."""
    return "none" if value is None else f"{value['median']:7.1f} {value['p95']:7.1f} (n={value['n']:.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connects", type=int, default=5)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="how long each stream is followed for its capture times"
    )
    parser.add_argument("--out", type=Path, help="write every single value as JSON")
    add_json(parser, "streams")
    args = parser.parse_args()
    if missing() is not None:
        sys.exit(f"{missing()}")
    load = os.getloadavg()[0]
    print(
        f"PyAV {av.__version__}, {os.cpu_count()} cores, load {load:.1f} at the start, Python "
        f"{platform.python_version()}\n"
    )
    result: dict[str, Any] = {"load": load, "first_frame": {}, "recovery": {}, "capture": {}}
    print(f"{'connect to first frame, s':28s} {'median':>8s} {'max':>8s} {'UDP median':>11s} {'FFmpeg defaults':>16s}")
    for name, options in SERVERS.items():
        with RtspCamera(*options) as server:
            first_frames(server, 1, "tcp")
            tcp, udp = first_frames(server, args.connects, "tcp"), first_frames(server, args.connects, "udp")
            default = default_first_frame(server)
        result["first_frame"][name] = {"tcp": tcp, "udp": udp, "default": default}
        print(f"{name:28s} {np.median(tcp):8.2f} {max(tcp):8.2f} {np.median(udp):11.2f} {default:16.2f}", flush=True)
    times = recoveries(SERVERS["H.264 10 fps"], args.kills)
    result["recovery"] = times
    print(
        f"\nrecovery after {args.kills} kills, s: median {np.median(times):.2f}, max {max(times):.2f}  "
        f"({', '.join(f'{t:.2f}' for t in times)})\n"
    )
    print(
        f"{'capture time error, ms':28s} {'RTCP: median, p95':>26s} {'PTS: median, p95':>26s} "
        f"{'age: median, p95':>27s} {'age by parser':>14s}"
    )
    for name, options in SERVERS.items():
        with_reports = capture_errors(options, args.seconds, reports=True)
        without = capture_errors(options, args.seconds, reports=False)
        parsed = parsed_age(options, max(3.0, args.seconds / 4))
        result["capture"][name] = {"with reports": with_reports, "without": without, "age by parser": parsed}
        print(
            f"{name:28s} {cell(with_reports['rtcp']):>26s} {cell(without['pts']):>26s} "
            f"{cell(with_reports['age']):>27s} {parsed:14.1f}",
            flush=True,
        )
    save_asked(args, summarised(result))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")
    slow = [n for n, f in result["first_frame"].items() if np.median(f["tcp"]) > 1.5]
    late = float(np.median(times)) > 3.0
    sys.exit(f"too slow: {', '.join(slow)}{' recovery' if late else ''}" if slow or late else 0)


if __name__ == "__main__":
    main()
