"""What a run counts: frames, drops and ages by camera, seconds by stage."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streamreid.cameras.latency_histogram import Histogram, LatencyHistogram
from streamreid.errors import StreamReIDError
from streamreid.secrets import redact
from streamreid.sinks import PeopleCount
from streamreid.sources import SourceStatus
from streamreid.types import ClockName

if TYPE_CHECKING:
    from streamreid.association.second_looks import SecondLookCount
    from streamreid.messages.deliveries import DeliveryState

__all__ = ["STAGES", "CameraCount", "Stage", "Statistics"]

log = logging.getLogger(__name__)

STAGES = ("wait", "detect", "embed", "track", "associate", "write")
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of the buckets of stage times, seconds."""

_WINDOW = 10.0
"""Seconds over which the busy share of each stage is measured."""

_BUSY = 0.5
"""Share of the time below which no stage is the bottleneck: the cameras are."""


@dataclass(slots=True)
class CameraCount:
    """Figures of one camera.

    Args:
        frames: Frames with a result.
        detected: Those that the detector looked at.
        boxes: People in frames with a result.
        tracks: Tracks reported.
        drops: Frames of a live camera without a result, by reason.
        ages: How old its frames were when their results came; only of live cameras.
        clocks: Frames by the clock of their capture time.
        first_time: Capture time of the first frame.
        last_time: Capture time of the newest frame.
        size: Width and height of the first frame.
        expected: About how many frames will come, None if unknown.
        live: Whether its frames are lost when nobody takes them.
        paused: Whether it is not read for the time being.
        removed: Whether it was taken out of the run.
        status: How its source is doing; None for files.
        warnings: What was met and survived.
        findings: What the first minute showed, see ``FirstMinute``.
        error: Why it failed, or None.
    """

    frames: int = 0
    detected: int = 0
    boxes: int = 0
    tracks: int = 0
    drops: dict[str, int] = field(default_factory=dict)
    ages: LatencyHistogram = field(default_factory=LatencyHistogram)
    clocks: dict[ClockName, int] = field(default_factory=dict)
    first_time: float | None = None
    last_time: float | None = None
    size: tuple[int, int] | None = None
    expected: int | None = None
    live: bool = False
    paused: bool = False
    removed: bool = False
    status: SourceStatus | None = None
    warnings: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    error: str | None = None

    @property
    def dropped(self) -> int:
        """Frames without a result, for all reasons."""
        return sum(self.drops.values())


class Stage:
    """A stage that is timed, in ``with``.

    Args:
        statistics: Where its time is added.
        name: Which stage.
    """

    __slots__ = ("_begin", "_name", "_statistics")

    def __init__(self, statistics: Statistics, name: str) -> None:
        self._statistics = statistics
        self._name = name

    def __enter__(self) -> None:
        self._begin = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        spent = time.perf_counter() - self._begin
        self._statistics.seconds[self._name] += spent
        self._statistics.histograms[self._name].add(spent)


@dataclass(slots=True)
class Statistics:
    """Figures of a run. Times are wall-clock seconds of this process (never capture times).

    ``beat`` is when the pipeline last came round (on the clock of ``time.monotonic``), ``load`` how many seconds of
    inference one second of live frames needs, ``settled`` how many identities are over and no longer listed,
    ``settled_people`` the same in three numbers, ``outputs`` why outputs were given up, by their name,
    ``deliveries`` how messages get to each broker, ``second_looks`` what was looked at once more, None if nothing is to
    be.
    """

    cameras: dict[str, CameraCount]
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    histograms: dict[str, Histogram] = field(default_factory=lambda: {name: Histogram(_BOUNDS) for name in STAGES})
    started: float = field(default_factory=time.perf_counter)
    ended: float | None = None
    beat: float = field(default_factory=time.monotonic)
    load: float = 0.0
    settled: int = 0
    settled_people: PeopleCount = field(default_factory=PeopleCount)
    findings: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    deliveries: list[DeliveryState] = field(default_factory=list)
    second_looks: SecondLookCount | None = None
    _marks: deque[tuple[float, dict[str, float]]] = field(default_factory=lambda: deque(maxlen=32))

    def of(self, camera: str) -> CameraCount:
        """The figures of a camera, which begin with the first question."""
        count = self.cameras.get(camera)  # asked for with every frame, and a new one has tables
        return self.cameras.setdefault(camera, CameraCount()) if count is None else count

    def record_drop(self, camera: str, reason: str) -> None:
        """Count a frame that has no result."""
        drops = self.of(camera).drops
        drops[reason] = drops.get(reason, 0) + 1

    def record_failure(self, camera: str, error: StreamReIDError) -> str:
        """Note and log why a camera cannot go on; the reason, empty if it had failed before."""
        count = self.of(camera)
        if count.error is not None:
            return ""
        count.error = redact(error).removeprefix(f"camera '{camera}': ")
        log.error("camera '%s' failed: %s", camera, count.error)
        return count.error

    def stage(self, name: str) -> Stage:
        """Add the time spent inside to a stage."""
        return Stage(self, name)

    @property
    def frames(self) -> int:
        """Number of frames that were processed, of all cameras together."""
        return sum(c.frames for c in list(self.cameras.values()))

    @property
    def elapsed(self) -> float:
        """Seconds since the start, or from start to end."""
        return (self.ended if self.ended is not None else time.perf_counter()) - self.started

    @property
    def rate(self) -> float:
        """Frames of all cameras per second."""
        return self.frames / self.elapsed if self.elapsed > 0 else 0.0

    def per_frame(self) -> dict[str, float]:
        """Milliseconds per frame of each stage."""
        return {name: 1000 * s / max(self.frames, 1) for name, s in self.seconds.items()}

    def mark(self) -> None:
        """Remember the present figures: `busy` and `bottleneck` speak of the time since about ten seconds ago. Call
        about once a second."""
        self._marks.append((time.perf_counter(), dict(self.seconds)))

    def busy(self) -> dict[str, float]:
        """Share of the last ten seconds (or of the run so far) that each stage but the waiting took, in [0, 1]."""
        now = self.ended if self.ended is not None else time.perf_counter()
        began, before = self.started, dict.fromkeys(STAGES, 0.0)
        for moment, seconds in reversed(list(self._marks)):
            began, before = moment, seconds
            if now - moment >= _WINDOW:
                break
        span = max(now - began, 1e-9)
        return {name: min(1.0, (self.seconds[name] - before[name]) / span) for name in STAGES if name != "wait"}

    @property
    def bottleneck(self) -> str | None:
        """The stage that limits the rate; None while inference waits for frames most of the time."""
        busy = self.busy()
        # Detection and embedding take turns in one thread, what follows runs in another.
        if max(busy["detect"] + busy["embed"], busy["track"] + busy["associate"] + busy["write"]) < _BUSY:
            return None
        return max(busy, key=lambda name: busy[name])
