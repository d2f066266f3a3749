"""Times that go on however cameras' clocks are set.

A clock that is set back is noticed at once. One that leaps ahead of everybody may have been set, or time may have
passed in which no camera saw anything (all were off, a recording has a gap): what the others show next tells. Until
then the camera's times are taken to go on from where they were.
"""

from __future__ import annotations

import logging

import numpy as np

__all__ = ["ClockJumpFilter"]

log = logging.getLogger(__name__)
_JUMP = 61.0  # seconds; delayed results arrive up to a minute late, clocks that move by more have jumped
_PROOF = 1.0  # seconds that another camera must have gone on by
_PATIENCE = 30.0  # seconds; if nobody else showed anything by then, there is nobody whose time could be wrong


class ClockJumpFilter:
    """Capture times of several cameras, by one clock each.

    Attributes:
        now: The newest time of any camera.
    """

    def __init__(self) -> None:
        self.now = -np.inf
        self._newest: dict[str, float] = {}
        self._shift: dict[str, float] = {}
        self._ahead: dict[str, tuple[float, float]] = {}

    def __repr__(self) -> str:
        return f"ClockJumpFilter(now={self.now}, shifted={sorted(self._shift)})"

    def take(self, camera: str, time: float) -> float:
        """The time of a camera's frame, to go by.

        Args:
            camera: Name of the camera.
            time: Seconds by its clock.
        """
        moved = time + self._shift.get(camera, 0.0)
        newest = self._newest.get(camera)
        if camera in self._ahead:
            moved = self._waiting(camera, moved)
        elif newest is not None and moved < newest - _JUMP:
            log.warning(
                "camera '%s': its clock went back by %.1f s; its times are taken to go on from now",
                camera,
                newest - moved,
            )
            moved = self._set(camera, moved, max(newest, self.now) + 1e-3)
        elif newest is not None and len(self._newest) > 1 and moved > self.now + _JUMP:
            moved = self._leapt(camera, moved)
        elif self._ahead:
            self._tell(moved)
            moved = time + self._shift.get(camera, 0.0)
        self._newest[camera] = moved if newest is None else max(newest, moved)
        self.now = max(self.now, moved)
        return moved

    def _set(self, camera: str, moved: float, to: float) -> float:
        self._shift[camera] = self._shift.get(camera, 0.0) + to - moved
        return to

    def _leapt(self, camera: str, moved: float) -> float:
        """The time of a camera that leaps ahead of everybody."""
        along = [name for name, (leap, _) in self._ahead.items() if abs(leap - moved) < _JUMP]
        for name in along:  # not the clock of one: time has passed
            del self._ahead[name]
        if along:
            return moved
        self._ahead[camera] = (moved, self.now + 1e-3)
        return self.now + 1e-3

    def _waiting(self, camera: str, moved: float) -> float:
        """The time of a camera that leapt, while it is not known why."""
        leap, then = self._ahead[camera]
        if moved < leap - _JUMP:  # it came back: a single wrong time
            del self._ahead[camera]
            return moved
        if moved > leap + _PATIENCE:
            del self._ahead[camera]
            return moved
        return then + max(moved - leap, 0.0)

    def _tell(self, moved: float) -> None:
        """Another camera's time says whether those that leapt did so with everybody."""
        for name, (leap, then) in sorted(self._ahead.items()):
            if moved > leap - _JUMP:
                del self._ahead[name]
            elif moved > then + _PROOF:
                log.warning(
                    "camera '%s': its clock leapt ahead by %.1f s while others went on; its times are taken to go on "
                    "from then",
                    name,
                    leap - then,
                )
                self._set(name, leap, then)
                del self._ahead[name]
