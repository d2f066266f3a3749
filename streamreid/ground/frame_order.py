"""Clocks that jump: where a camera's frames belong among those of the others."""

from __future__ import annotations

import logging
from collections import deque
from statistics import median

import numpy as np

__all__ = ["FrameOrder"]

_log = logging.getLogger(__name__)
_JUMP = 2.0
"""Seconds by which a camera must leave the others to have jumped."""


class FrameOrder:
    """Takes jumps out of capture times.

    Frames of all cameras come in the order in which they were taken, or nearly. If from one frame of a camera to its
    next much more time passes by its own clock than by those of the others, or less than none, then the clock jumped,
    and its frames go on where they were. A camera that only fell silent comes back with as much time gone as for the
    others.
    """

    def __init__(self) -> None:
        self._own: dict[str, float] = {}
        self._before: dict[str, float] = {}
        self._jumped: dict[str, float] = {}
        self._doubtful: dict[str, tuple[float, float]] = {}
        self._now = -np.inf
        self._steps: dict[str, deque[float]] = {}

    def steady(self, camera: str, time: float) -> float:
        """The time of a camera's next frame without jumps."""
        if camera not in self._own:
            self._steps[camera] = deque(maxlen=51)
            return self._go_on(camera, time)
        moved = time - self._jumped.get(camera, 0.0)
        self._resolve_doubts(camera, moved - self._own[camera])
        step = moved - self._own[camera]
        usual = median(self._steps[camera]) if self._steps[camera] else 0.0
        jump = step - max(usual, self._now - self._before[camera])
        if step < -_JUMP:
            self._jump(camera, jump, time)
            return self._go_on(camera, moved - jump)
        if jump > _JUMP and len(self._own) > 1:
            # Either this clock jumped or nothing came of any camera for a while: the next frame of another one tells.
            self._jumped[camera] = self._jumped.get(camera, 0.0) + jump
            self._doubtful[camera] = jump, time
            return self._go_on(camera, moved - jump)
        if step > 0:
            self._steps[camera].append(step)
        return self._go_on(camera, moved)

    def _resolve_doubts(self, camera: str, step: float) -> None:
        """Another camera's frame says what the jumps in doubt were."""
        for other in [name for name in self._doubtful if name != camera]:
            jump, time = self._doubtful.pop(other)
            self._jumped[other] -= jump
            if step > 0.5 * jump:
                self._own[other] += jump
                self._now = max(self._now, self._own[other])
            else:
                self._jump(other, jump, time)

    def _jump(self, camera: str, jump: float, time: float) -> None:
        self._jumped[camera] = self._jumped.get(camera, 0.0) + jump
        _log.warning(
            "camera '%s': its clock jumped by %+.1f s (at %.1f). On the ground its frames go on as if it had not; "
            "keep its clock set (NTP)",
            camera,
            jump,
            time,
        )

    def _go_on(self, camera: str, moved: float) -> float:
        self._own[camera] = moved
        self._now = max(self._now, moved)
        self._before[camera] = self._now
        return moved
