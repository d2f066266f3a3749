"""Seconds that pass on a site, made of the capture times of its cameras: never backwards, whatever their clocks do."""

from __future__ import annotations

__all__ = ["SiteClock"]

_ACTIVE = 60.0
"""Seconds for which a camera that gives no frame still says how time passes."""

_JUMP = 10.0
"""Seconds between two frames of a camera from which its clock, or the camera, was away."""

_FRAMES = 20.0
"""The same as a multiple of the usual time between its frames, for cameras that give one in ten seconds."""


class SiteClock:
    """One clock for all cameras.

    The camera that is furthest on moves it. A camera begins where the clock stands, so clocks that are hours apart do
    not matter.

    Attributes:
        now: Seconds, from 0.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._last: dict[str, float] = {}
        self._at: dict[str, float] = {}
        self._usual: dict[str, float] = {}

    def frame(self, camera: str, time: float) -> bool:
        """Take the capture time of a camera's next frame.

        Returns:
            Whether the camera's clock jumped, or the camera was away.
        """
        last = self._last.get(camera)
        self._last[camera] = time
        if last is None:
            self._at[camera] = self.now
            return False
        step = time - last
        usual = self._usual.get(camera, 0.0)
        jumped = step < -1.0 or step > max(_JUMP, _FRAMES * usual)
        if step > 0 and not jumped:
            self._usual[camera] = step if not usual else 0.9 * usual + 0.1 * step
        if not jumped:
            self._at[camera] += max(step, 0.0)
        else:
            others = any(at >= self.now - _ACTIVE for name, at in self._at.items() if name != camera)
            # Others say how long it was; alone, a camera is believed, as a recording with a break is.
            self._at[camera] += usual if others or step < 0 else step
            self._at[camera] = max(self._at[camera], self.now)
        self.now = max(self.now, self._at[camera])
        return jumped

    def at(self, camera: str) -> float:
        """Where a camera stands on the clock."""
        return self._at.get(camera, self.now)

    def pass_by(self, seconds: float) -> None:
        """No camera gives a frame, and time passes."""
        self.now += max(seconds, 0.0)

    def forget(self, camera: str) -> None:
        """A camera is gone."""
        for kept in (self._last, self._at, self._usual):
            kept.pop(camera, None)
