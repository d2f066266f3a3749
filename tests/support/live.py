"""What the benchmarks of live cameras share: clips to serve, a sink that measures ages, and figures of this process and
machine."""

from __future__ import annotations

import os
import threading
import time
from array import array
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from streamreid.sinks.base import SinkContext
from streamreid.types import FrameResult, IdentityEvent

__all__ = ["Machine", "Recorder", "looped_clip", "slope"]


def looped_clip(video: Path, seconds: float, path: Path, *, fps: int = 10, width: int | None = None) -> Path:
    """An H.264 clip of a given length without B frames: the video once encoded, its packets repeated. A second between
    key frames.

    Args:
        video: What to show.
        seconds: Length of the result.
        path: An .mp4 file.
        fps: Frames per second, whatever the video says.
        width: Of the result; default the video's.
    """
    single = path.with_suffix(".once.mp4")
    with av.open(str(video)) as source, av.open(str(single), "w") as target:
        stream = source.streams.video[0]
        size = (width or stream.width) // 2 * 2, round((width or stream.width) * stream.height / stream.width) // 2 * 2
        out = target.add_stream(
            "libx264",
            rate=fps,
            options={"preset": "veryfast", "tune": "zerolatency", "crf": "26", "g": str(fps), "bf": "0"},
        )
        out.width, out.height, out.pix_fmt = *size, "yuv420p"
        for number, frame in enumerate(source.decode(video=0)):
            picture = frame.reformat(*size, format="yuv420p")
            picture.pts, picture.time_base, picture.pict_type = number, Fraction(1, fps), 0
            target.mux(out.encode(picture))
        target.mux(out.encode())
    with av.open(str(path), "w") as target:
        out, shift, length = None, 0, 0
        while out is None or float(shift * out.time_base) < seconds:
            with av.open(str(single)) as source:
                stream = source.streams.video[0]
                if out is None:
                    out = target.add_stream_from_template(stream)
                for packet in source.demux(stream):
                    if packet.dts is None:
                        continue
                    length = max(length, packet.pts + packet.duration)
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, out
                    target.mux(packet)
            shift += length
    single.unlink()
    return path


class Recorder(SinkContext):
    """Keeps when each result came and how old its frame was, by camera. In plain numbers: what measures memory must not
    grow with what it measures."""

    def __init__(self) -> None:
        self._rows: dict[str, array[float]] = defaultdict(lambda: array("d"))
        self.ids: set[int] = set()
        self.events = 0

    @property
    def rows(self) -> dict[str, list[tuple[float, float]]]:
        """Seconds since 1970, and age, of every result."""
        return {
            name: list(zip(data[::2], data[1::2], strict=False))
            for name in list(self._rows)
            if len(data := self._rows[name][:])
        }

    def forget(self, keep: int) -> None:
        """Keep only the newest rows of each camera."""
        for data in self._rows.values():
            del data[: -2 * keep]

    def write(self, result: FrameResult) -> None:
        """Take a result."""
        now = time.time()
        self._rows[result.frame.camera].extend((now, now - result.frame.time))
        self.ids.update(i for i in result.global_ids.tolist() if i)

    def event(self, event: IdentityEvent) -> None:
        """Count."""
        self.events += 1

    def close(self, identities: Any) -> None:
        """Nothing is open."""

    def abort(self) -> None:
        """Nothing is open."""

    def between(self, begin: float, end: float, camera: str | None = None) -> list[float]:
        """Ages of the results that came in a time."""
        found = [data[:] for name, data in list(self._rows.items()) if camera in (None, name)]
        pairs = [np.array(data[: len(data) // 2 * 2]).reshape(-1, 2) for data in found]
        return [age for rows in pairs for age in rows[(rows[:, 0] >= begin) & (rows[:, 0] < end), 1].tolist()]


class Machine:
    """Memory, descriptors, threads of this process, and how busy others keep the cores. Linux only."""

    def __init__(self) -> None:
        self._last = self._cpu()

    def _cpu(self) -> tuple[float, float, float]:
        """Seconds: now, all cores busy, this process."""
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
        ticks = [int(f) for f in fields]
        busy = (sum(ticks[:8]) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
        times = os.times()
        return time.monotonic(), busy, times.user + times.system

    def cores(self) -> tuple[float, float]:
        """Cores used since the last call: by this process, by others."""
        before, self._last = self._last, self._cpu()
        span, busy, own = (b - a for a, b in zip(before, self._last, strict=True))
        return own / max(span, 1e-9), max(0.0, busy - own) / max(span, 1e-9)

    @staticmethod
    def memory() -> float:
        """Resident MiB."""
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("/proc/self/status has no VmRSS")

    @staticmethod
    def descriptors() -> int:
        """Open files and sockets."""
        return len(os.listdir("/proc/self/fd"))

    @staticmethod
    def threads() -> int:
        """Python threads."""
        return threading.active_count()


def slope(times: list[float], values: list[float]) -> tuple[float, float]:
    """Growth per unit of time by least squares, and its standard error."""
    if len(times) < 3:
        return 0.0, float("inf")
    x, y = np.asarray(times) - np.mean(times), np.asarray(values) - np.mean(values)
    grade = float(x @ y / (x @ x))
    return grade, float(np.sqrt(((y - grade * x) ** 2).sum() / (len(x) - 2) / (x @ x)))
