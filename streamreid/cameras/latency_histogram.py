"""Distributions in bounded memory: ages of frames and seconds of stages, also read while another thread writes."""

from __future__ import annotations

import bisect
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Histogram", "LatencyHistogram", "Quantiles"]

_RECENT = 600
"""LatencyHistogram from which the present quantiles are taken: a minute at ten frames per second."""

_BOUNDS = (0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Upper bounds of the age buckets, seconds."""

_LEAST, _RATIO, _BINS = 1e-3, 1.05, 290
"""Bins of 5 % from a millisecond to twenty minutes: the quantiles of a whole run are right to 2.5 %."""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of a distribution, in seconds.

    Args:
        p50: Median.
        p95: 95th percentile.
        p99: 99th percentile.
    """

    p50: float
    p95: float
    p99: float

    def as_dict(self) -> dict[str, float]:
        """For JSON, rounded to a tenth of a millisecond."""
        return {name: round(getattr(self, name), 4) for name in ("p50", "p95", "p99")}


class Histogram:
    """Counts by upper bound, as Prometheus wants them.

    Args:
        bounds: Upper bounds in seconds, rising; the last bin is open.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration in seconds."""
        self.counts[bisect.bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class LatencyHistogram:
    """How old frames were when their result was handed out (now minus capture): of the last minute and of the whole
    run.

    One thread adds, any may ask. A camera whose clock is ahead gives negative ages; they count as zero.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._bins = np.zeros(_BINS, np.int64)
        self._bounds = Histogram(_BOUNDS)
        self.count = 0

    def add(self, seconds: float) -> None:
        """Count the age of one frame, in seconds; negative ages count as 0."""
        value = max(0.0, seconds)
        bin_ = 0 if value <= _LEAST else min(_BINS - 1, int(np.ceil(np.log(value / _LEAST) / np.log(_RATIO))))
        with self._lock:
            self._recent.append(value)
            self._bins[bin_] += 1
            self._bounds.add(value)
            self.count += 1

    def histogram(self) -> Histogram:
        """Of all frames, as it is now."""
        with self._lock:
            result = Histogram(_BOUNDS)
            result.counts, result.total = list(self._bounds.counts), self._bounds.total
        return result

    def recent(self) -> Quantiles | None:
        """Of the last 600 frames; None if there were none."""
        with self._lock:
            values = list(self._recent)
        if not values:
            return None
        return Quantiles(*(float(v) for v in np.percentile(values, (50, 95, 99))))

    def whole(self) -> Quantiles | None:
        """Of all frames, right to 2.5 %; None if there were none."""
        with self._lock:
            bins, count = self._bins.copy(), self.count
        if not count:
            return None
        if count <= _RECENT:
            return self.recent()
        rows = np.searchsorted(np.cumsum(bins), np.array([0.5, 0.95, 0.99]) * count)
        # The middle of a bin, on the logarithmic scale.
        return Quantiles(*(float(_LEAST * _RATIO ** (row - 0.5)) for row in rows))
