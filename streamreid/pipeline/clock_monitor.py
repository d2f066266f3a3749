"""Cameras whose clocks disagree, in a run: noticed, told, and put right for the association if asked."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING, Literal

from streamreid.clocks.clock_offsets import ClockOffset, ClockOffsetEstimator
from streamreid.types import Tracks

if TYPE_CHECKING:
    from streamreid.ground.camera_model import GroundCamera

__all__ = ["ClockMode", "ClockMonitor", "describe_clock"]

log = logging.getLogger(__name__)
ClockMode = Literal["off", "report", "apply"]
_EVERY = 20.0  # seconds of capture time between two looks at the clocks
_LIVE_EVERY = 60.0  # the same in a live run, for one pair of cameras: it holds the run up for a moment
_STOP_SECONDS = 0.7  # a live run has five to end
_SETTLED = 0.1  # seconds: an offset is not moved by less


class ClockMonitor:
    """Compares the cameras' clocks.

    Args:
        mode: Not at all, only to tell (once, at the end), or to correct while the run goes on.
        cameras: Those that are calibrated.
        live: A run without end must not wait for this, nor may its last word come after months: two cameras are
            compared now and then, and what is found is told at once.
    """

    def __init__(self, mode: ClockMode, cameras: Mapping[str, GroundCamera], *, live: bool = False) -> None:
        self.mode = mode
        self.offsets: list[ClockOffset] = []
        self.shift: dict[str, float] = {}
        self.estimator = ClockOffsetEstimator(cameras)
        self._next: float | None = None
        self._wait = _EVERY
        self._told: set[str] = set()
        self.live = live

    def observe(self, camera: str, time: float, tracks: Tracks, size: tuple[int, int]) -> None:
        """Take the people of one frame, by the camera's own clock."""
        if self.mode != "off":
            self.estimator.observe(camera, time, tracks, size)

    def forget(self, camera: str) -> None:
        """A camera is gone; what its clock was found to be wrong by stays."""
        self.estimator.forget(camera)

    def due(self, time: float) -> bool:
        """Whether it is time to compare the clocks."""
        if self.mode == "off" or (self.mode == "report" and not self.live):
            return False
        if self._next is None:
            self._next = time + (_LIVE_EVERY if self.live else self._wait)
        return time >= self._next

    def update(self, time: float, identities: Mapping[tuple[str, int], tuple[int, float]]) -> bool:
        """Compare the clocks if it is time to, and correct them if that is wanted; whether any correction changed."""
        if not self.due(time) or self._next is None:
            return False
        if not self.live:
            self._wait = min(1.5 * self._wait, 600.0)  # clocks do not change often
        self._next = time + (_LIVE_EVERY if self.live else self._wait)
        self.offsets = self.estimator.estimate(identities, most=1 if self.live else None)
        self._tell()
        return self.mode == "apply" and self._apply()

    def _apply(self) -> bool:
        wanted = dict(self.shift)
        for offset in self.offsets:
            if offset.by != "transits" and (offset.wrong or offset.camera in wanted):
                wanted.setdefault(offset.reference, 0.0)
                wanted[offset.camera] = wanted[offset.reference] + offset.seconds
        # Times only ever move forward, so that nothing seems to happen before what is known already.
        least = min([*wanted.values(), 0.0])
        wanted = {name: value - least for name, value in wanted.items()}
        moved = {name for name, value in wanted.items() if abs(value - self.shift.get(name, 0.0)) > _SETTLED}
        for name in sorted(moved):
            log.warning(
                "camera '%s': its clock is taken to be %+.2f s off; its times are moved by that for the association",
                name,
                -wanted[name],
            )
        if moved:
            self.shift = wanted
        return bool(moved)

    def finish(self, identities: Mapping[tuple[str, int], tuple[int, float]]) -> None:
        """The last look, and a warning for every clock that disagrees."""
        if self.mode == "off":
            return
        if not self.live:
            self.offsets = self.estimator.estimate(identities)
        began = monotonic()
        for _ in range(self.estimator.pairs if self.live else 0):
            self.offsets = self.estimator.estimate(identities, most=1)
            if monotonic() - began > _STOP_SECONDS:
                break
        self._tell()

    def _tell(self) -> None:
        """Warn of every clock that disagrees, once."""
        for offset in self.offsets:
            if offset.wrong and self.mode == "report" and offset.camera not in self._told:
                self._told.add(offset.camera)
                log.warning("%s", describe_clock(offset))


def describe_clock(offset: ClockOffset) -> str:
    """One sentence, with what to do."""
    return (
        f"camera '{offset.camera}': its clock is {abs(offset.seconds):.2f} s "
        f"{'behind' if offset.seconds > 0 else 'ahead of'} that of '{offset.reference}' (+-{1.96 * offset.spread:.2f} "
        f"s in 95 of 100 cases, by {offset.by}); add {offset.seconds:+.2f} to its offset, or set association.clock: "
        "apply"
    )
