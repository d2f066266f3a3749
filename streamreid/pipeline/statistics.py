"""What a run counts: frames, tracks, seconds per stage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["CameraCount", "Statistics"]

STAGES = ("wait", "detect", "embed", "track", "associate", "write")


@dataclass(slots=True)
class CameraCount:
    """Figures of one camera."""

    frames: int = 0
    boxes: int = 0
    tracks: int = 0
    dropped: int = 0
    last_time: float | None = None
    expected: int | None = None
    warnings: list[str] = field(default_factory=list)
    error: str | None = None


@dataclass(slots=True)
class Statistics:
    """Figures of a run. Times are wall-clock seconds of this process (never capture times)."""

    cameras: dict[str, CameraCount]
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    started: float = field(default_factory=time.perf_counter)
    ended: float | None = None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside to a stage."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - begin

    @property
    def frames(self) -> int:
        """Frames of all cameras."""
        return sum(c.frames for c in self.cameras.values())

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
