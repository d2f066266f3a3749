"""Overload on purpose: which cameras' newest frames go into the next batch, and how much more comes than can be
followed.

A batch is as large as takes about ``seconds`` of inference; cameras that were served longest ago come first. Below the
limit that changes nothing. Above it, every camera gives the same share of its frames, the rest is replaced by newer
frames and counted, and a frame never waits longer than until the next newest one: no queue, so ages stay where they are
however long it lasts. Fewer frames make tracks ambiguous, which requests more embeddings, which lowers the frame rate
further; so embeddings per frame are capped under overload.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from time import monotonic

import numpy as np
from numpy.typing import NDArray

__all__ = ["BatchScheduler"]

log = logging.getLogger(__name__)

_SMOOTH = 0.1
"""Weight of the newest measurement in a running mean: follows a change within some ten batches."""

_OVER, _UNDER = 1.05, 0.9
"""Load (needed time / available time) above which a run counts as overloaded, and below which no longer. The gap keeps
it from flickering."""

_PATIENCE = 5.0
"""Seconds a load must last before it is announced."""

_RATE_SECONDS = 2.0
"""Seconds over which arriving frames are counted."""


class BatchScheduler:
    """Chooses cameras for batches, and tells of overload when it begins and ends.

    Args:
        seconds: How long inference on one batch should take.
        largest: Frames per batch at most.
    """

    def __init__(self, seconds: float, largest: int) -> None:
        self._seconds = seconds
        self._largest = largest
        self._cost: float | None = None
        self._served: dict[str, int] = {}
        self._turn = 0
        self._arrived: tuple[float, Mapping[str, int]] | None = None
        self._rates: dict[str, float] = {}
        self._since: float | None = None
        self._detection_cost: float | None = None
        self._crop_cost: float | None = None
        self.overloaded = False

    @property
    def load(self) -> float:
        """Seconds of inference that the frames of one second need; above 1, frames are dropped."""
        return sum(self._rates.values()) * (self._cost or 0.0)

    @property
    def rates(self) -> dict[str, float]:
        """Frames per second that arrive, by camera."""
        return dict(self._rates)

    @property
    def batch(self) -> int:
        """How many frames the next batch may have."""
        if not self._cost:
            return self._largest
        return max(1, min(self._largest, round(self._seconds / self._cost)))

    def choose(self, ready: Sequence[str]) -> list[str]:
        """Of the cameras that have a frame, those whose turn it is."""
        waiting = sorted(ready, key=lambda name: (self._served.get(name, 0), name))[: self.batch]
        for name in waiting:
            self._turn += 1
            self._served[name] = self._turn
        return waiting

    def record_inference(self, frames: int, seconds: float) -> None:
        """Inference on a batch of so many frames took so long."""
        if frames:
            self._cost = _smoothed(self._cost, seconds / frames)

    def record_embedding(self, frames: int, detecting: float, crops: int, embedding: float) -> None:
        """Detection in so many frames, and embedding of so many crops, took so many seconds."""
        if frames:
            self._detection_cost = _smoothed(self._detection_cost, detecting / frames)
        if crops:
            self._crop_cost = _smoothed(self._crop_cost, embedding / crops)

    def limit_crops(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Of the people who are due in one frame, those who are embedded: under overload as many as take as long as
        detection does.

        Args:
            rows: Row numbers, the most urgent first (see ``EmbeddingScheduler.due``).

        Returns:
            The first of them.
        """
        if not self.overloaded or not self._detection_cost or not self._crop_cost:
            return rows
        return rows[: max(1, int(self._detection_cost / self._crop_cost))]

    def record_arrivals(self, counts: Mapping[str, int], *, bottleneck: str | None = None) -> None:
        """Frames that came so far, by camera. Call about once a second.

        Args:
            counts: Frames since the beginning, taken or dropped.
            bottleneck: Named in the warning.
        """
        now = monotonic()
        if self._arrived is None:
            self._arrived = now, dict(counts)
            return
        began, before = self._arrived
        if now - began < _RATE_SECONDS:
            return
        self._rates = {name: (count - before.get(name, count)) / (now - began) for name, count in counts.items()}
        self._arrived = now, dict(counts)
        self._judge(now, bottleneck)

    def _judge(self, now: float, bottleneck: str | None) -> None:
        """Overload and its end are said once each, when they have lasted."""
        other = self.load > _OVER if not self.overloaded else self.load < _UNDER
        if not other:
            self._since = None
            return
        self._since = self._since or now
        if now - self._since < _PATIENCE:
            return
        self.overloaded, self._since = not self.overloaded, None
        if self.overloaded:
            coming = sum(self._rates.values())
            log.warning(
                "overload: %.0f frames/s come, about %.0f can be followed; every camera gives %.0f %% of its frames "
                "in turn%s. Use fewer or slower cameras (stride), a smaller detector, or a faster machine",
                coming,
                coming / self.load,
                100 / self.load,
                f" (bottleneck: {bottleneck})" if bottleneck else "",
            )
        else:
            log.warning("no longer overloaded: every camera gives all its frames")


def _smoothed(before: float | None, now: float) -> float:
    return now if before is None else (1 - _SMOOTH) * before + _SMOOTH * now
