"""Presentation time stamps as a camera's time axis: missing, repeated and backward stamps are repaired, so that times strictly increase."""

from __future__ import annotations

from fractions import Fraction

from streamreid.sources.base import Notes
from streamreid.types import ClockName

__all__ = ["Timeline"]

_JUMP_BACK = 1.0
"""Seconds. A stamp further back than this is a restarted clock (joined recordings, wrap-around), not jitter."""


class Timeline:
    """Capture times of one source.

    Args:
        origin: Time of the first picture, seconds.
        interval: Nominal distance of two pictures, seconds: used where stamps are missing or wrong.
        notes: Where repairs are counted.
    """

    def __init__(self, origin: float, interval: float, notes: Notes) -> None:
        self._base = origin
        self._interval = interval
        self._notes = notes
        self._first: float | None = None
        self._last: float | None = None
        self._repairs = 0

    def stamp(self, pts: int | None, time_base: Fraction | None) -> tuple[float, ClockName]:
        """Time of the next picture.

        Args:
            pts: Presentation time stamp in units of ``time_base``, None if the picture has none.
            time_base: Seconds per unit.

        Returns:
            Seconds, and "pts", or "rate" where the time had to be computed from the frame rate.
        """
        if pts is None or not time_base:
            return self._advance(self._base if self._last is None else self._last + self._interval), "rate"
        raw = float(pts * time_base)
        if self._first is None:
            # Pictures without a stamp may have come first; the stamps go on where those ended.
            self._first = raw
            if self._last is not None:
                self._base = self._last + self._interval
        time = self._base + (raw - self._first)
        if self._last is None or time > self._last:
            self._repairs = 0
            return self._advance(time), "pts"
        return self._advance(self._repaired(time)), "rate"

    def next_pass(self) -> None:
        """The file begins again: its first picture comes one interval after the last."""
        if self._last is not None:
            self._base = self._last + self._interval
        self._first = None

    def _repaired(self, time: float) -> float:
        assert self._last is not None
        self._repairs += 1
        if self._last - time > _JUMP_BACK:
            self._notes.count("time stamps jumped back once; times go on", "time stamps jumped back {n} times; times go on")
            self._base += self._last + self._interval - time
            return self._last + self._interval
        self._notes.count("1 repeated or backward time stamp repaired", "{n} repeated or backward time stamps repaired")
        # Half an interval leaves room for the next right stamp; in a row of wrong ones the nominal rate is the better guess.
        return self._last + self._interval * (0.5 if self._repairs == 1 else 1.0)

    def _advance(self, time: float) -> float:
        self._last = time
        return time
