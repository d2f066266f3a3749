"""What messages cost a run: one run, in which events are told in every other block of frames, so that whatever else the
machine does meets both alike."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

from streamreid import Pipeline
from streamreid.config import Config
from streamreid.messages import MessageSink
from streamreid.runs import run

BLOCK = 10
"""Frames with messages, then as many without."""

WARM_UP = 4
"""Blocks that are not counted: graphs are compiled, connections made."""

CALLS = ("write", "tell", "event", "place")
"""What a run calls of the sink for every frame."""

NATIVE = ("AwsEventLoop", "rdk:")
"""Threads of client libraries in C; Python's are called ``messages-...``."""


def delivery_seconds() -> float:
    """Processor seconds of all threads that deliver messages, so far."""
    named = {t.native_id for t in threading.enumerate() if t.name.startswith("messages-")}
    total = 0
    for task in Path("/proc/self/task").iterdir():
        comm = (task / "comm").read_text().strip()
        if int(task.name) in named or comm.startswith(NATIVE):
            values = (task / "stat").read_text().rpartition(")")[2].split()
            total += int(values[11]) + int(values[12])
    return total / os.sysconf("SC_CLK_TCK")


class Meter:
    """Times the sink's calls in the run's thread, and leaves every other block out."""

    def __init__(self) -> None:
        self.frames = 0
        self.called = [0.0, 0.0]
        """Seconds inside the sink: clock, and processor of the run's thread."""
        self.blocks: list[tuple[float, float, float, float, float]] = []
        """At the beginning of each block: clock, processor time of the process, of deliveries, and ``called``."""
        self._inside = False

    @property
    def telling(self) -> bool:
        return self.frames // BLOCK % 2 == 0

    def wrap(self, name: str) -> Callable[..., None]:
        original = getattr(MessageSink, name)

        def call(sink: MessageSink, *args: Any) -> None:
            if self._inside:
                original(sink, *args)
                return
            if name == "write":
                if self.frames % BLOCK == 0:
                    clock, cpu = time.perf_counter(), time.process_time()
                    self.blocks.append((clock, cpu, delivery_seconds(), *self.called))
                self.frames += 1
            if not self.telling:
                return
            self._inside = True
            begin, cpu = time.perf_counter(), time.thread_time()
            try:
                original(sink, *args)
            finally:
                self.called[0] += time.perf_counter() - begin
                self.called[1] += time.thread_time() - cpu
                self._inside = False

        return call

    def figures(self) -> dict[str, float]:
        """Per frame, in milliseconds, and as shares of a frame without messages. What deliveries cost in blocks without
        messages, to keep their connections, is counted with the others."""
        used = self.blocks[WARM_UP:]
        used = used[: len(used) - (len(used) - 1) % 2]  # as many blocks with messages as without
        spans = [later[0] - earlier[0] for earlier, later in pairwise(used)]
        clock, cpu, delivering, inside, inside_cpu = (b - a for a, b in zip(used[0], used[-1], strict=True))
        frames = BLOCK * len(spans)
        told = frames / 2
        run_ms = 1000 * (cpu - delivering - inside_cpu) / frames
        messages_ms = 1000 * (delivering + inside_cpu) / told
        return {
            "frames": frames,
            "cpu_ms_per_frame_of_run": run_ms,
            "cpu_ms_per_frame_of_messages": messages_ms,
            "share_of_processor_time": messages_ms / run_ms,
            "clock_ms_per_frame": 1000 * clock / frames,
            "clock_ms_per_frame_in_sink": 1000 * inside / told,
            "share_of_clock_in_sink": (inside / told) / (clock / frames),
            "frame_rate_with_over_without": median(b / a for a, b in zip(spans[::2], spans[1::2], strict=True)),
        }


def frame_rates(
    video: str, models: dict[str, str], sections: dict[str, Any], frames: int, rounds: int, folder: Path
) -> dict[str, float]:
    """Frames/s of whole runs without messages and with them, in turns; see :func:`measure_run`."""
    rates: dict[str, list[float]] = {"without": [], "with": []}
    for number in range(rounds + 1):
        for name, found in rates.items():
            messages = {"messages": {**sections, "site": f"bench{number}"}} if name == "with" else {}
            settings = {**models, "cameras.frames": frames}
            config = Config.from_sources(video, **messages).with_settings(settings)
            with Pipeline(config) as pipeline:
                summary = run(pipeline, folder / f"{name}-{number}")
            found.append(summary.frames_per_second)
    pairs = list(zip(rates["with"], rates["without"], strict=True))[1:]  # in the first, graphs are compiled
    return {
        **{f"frames_per_second_{name}": median(found[1:]) for name, found in rates.items()},
        "rate_with_over_without": median(a / b for a, b in pairs),
    }


def measure_run(
    video: str, models: dict[str, str], sections: dict[str, Any], frames: int, folder: Path
) -> dict[str, float]:
    """Follow people in a recording, detector and engine included, with all brokers.

    Args:
        video: A recording.
        models: ``detector.model`` and ``engine.model``, where they are not the usual ones.
        sections: Brokers under ``messages``.
        frames: How many.
        folder: For the results.
    """
    messages = {**sections, "site": "bench"}
    config = Config.from_sources(video, messages=messages).with_settings({**models, "cameras.frames": frames})
    meter = Meter()
    with mock.patch.multiple(MessageSink, **{name: meter.wrap(name) for name in CALLS}), Pipeline(config) as pipeline:
        run(pipeline, folder / "run")
    return meter.figures()
