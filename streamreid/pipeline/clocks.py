"""Cameras whose clocks disagree, in a run: noticed, told, and put right for the association if asked."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Literal

from streamreid.association.clocks import ClockOffset, ClockWatch
from streamreid.association.geometry import GroundCamera
from streamreid.types import Tracks

__all__ = ["ClockKeeper", "ClockMode", "describe_clock"]

log = logging.getLogger(__name__)
ClockMode = Literal["off", "report", "apply"]
_EVERY = 20.0  # seconds of capture time between two looks at the clocks
_SETTLED = 0.1  # seconds: an offset is not moved by less


class ClockKeeper:
    """Compares the cameras' clocks.

    Args:
        mode: Not at all, only to tell (once, at the end), or to correct while the run goes on.
        cameras: Those that are calibrated.
    """

    def __init__(self, mode: ClockMode, cameras: Mapping[str, GroundCamera]) -> None:
        self.mode = mode
        self.offsets: list[ClockOffset] = []
        self.shift: dict[str, float] = {}
        self._watch = ClockWatch(cameras)
        self._next: float | None = None
        self._wait = _EVERY

    def observe(self, camera: str, time: float, tracks: Tracks, size: tuple[int, int]) -> None:
        """Take the people of one frame, by the camera's own clock."""
        if self.mode != "off":
            self._watch.observe(camera, time, tracks, size)

    def due(self, time: float) -> bool:
        """Whether it is time to correct the clocks."""
        if self.mode != "apply":
            return False
        if self._next is None:
            self._next = time + self._wait
        return time >= self._next

    def update(self, time: float, identities: Mapping[tuple[str, int], tuple[int, float]]) -> bool:
        """Correct the clocks if it is time to; whether any correction changed."""
        if not self.due(time) or self._next is None:
            return False
        self._wait = min(1.5 * self._wait, 600.0)  # clocks do not change often
        self._next = time + self._wait
        self.offsets = self._watch.estimate(identities)
        return self._apply()

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
                "camera '%s': its clock is taken to be %+.2f s off; its times are moved by that for the association", name, -wanted[name]
            )
        if moved:
            self.shift = wanted
        return bool(moved)

    def finish(self, identities: Mapping[tuple[str, int], tuple[int, float]]) -> None:
        """The last look, and a warning for every clock that disagrees."""
        if self.mode == "off":
            return
        self.offsets = self._watch.estimate(identities)
        for offset in self.offsets:
            if offset.wrong and self.mode == "report":
                log.warning("%s", describe_clock(offset))


def describe_clock(offset: ClockOffset) -> str:
    """One sentence, with what to do."""
    return (
        f"camera '{offset.camera}': its clock is {abs(offset.seconds):.2f} s {'behind' if offset.seconds > 0 else 'ahead of'} that of '{offset.reference}' "
        f"(+-{offset.spread:.2f} s, by {offset.by}); add {offset.seconds:+.2f} to its offset, or set association.clock: apply"
    )
