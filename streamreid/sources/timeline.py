"""Presentation time stamps as a camera's time axis: missing, wrong and restarted stamps are mended, so that times
strictly increase."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from statistics import median

from streamreid.sources.base import Notes
from streamreid.sources.stamps import LONGEST_LEAD
from streamreid.types import ClockName

__all__ = ["StampLine", "Timeline"]

_JUMP = 1.0
"""Seconds. A stamp that is off by more than this is a restarted clock (joined recordings, wrap-around) or wrong, not
jitter."""

_RESTART = 10.0
"""Seconds. In formats whose clock may restart, a longer gap is a restart: FFmpeg's ``dts_delta_threshold``. Their
pictures have stamps at least every 0.7 s (ISO 13818-1, 2.7.4)."""

_BEHIND = 2.0
"""Intervals by which two stamps in a row must be late to be a restarted clock; less is jitter."""

_STEPS = 9
"""Distances of pictures whose median is the interval."""


class StampLine:
    """The line that turns time stamps into times: time = stamp + ``offset``. It moves when the stream's clock restarts,
    and back after a wrong stamp.

    Args:
        offset: Seconds.
    """

    def __init__(self, offset: float) -> None:
        self.offset = offset
        self._former: deque[float] = deque(maxlen=2)

    def move(self, offset: float) -> None:
        """A stamp does not fit: go on with another line, and remember this one for the case that the stamp was
        wrong."""
        self._former.append(self.offset)
        self.offset = offset

    def back(self, stamp: float, earliest: float, latest: float) -> bool:
        """Return to a former line if a stamp lies on it, at a time in (earliest, latest]: the stamps since were
        wrong."""
        for offset in reversed(self._former):
            if earliest < stamp + offset <= latest:
                self.offset = offset
                self._former.clear()
                return True
        return False


class Timeline:
    """Capture times of one recording.

    Stamps that do not go on from those before are judged by the next ones: a single wrong stamp moves only its own
    picture, after a restart of the stream's clock the times go on evenly.

    Args:
        origin: Time of the recording's beginning, seconds.
        interval: Nominal distance of two pictures, seconds: used where stamps are missing or wrong, until enough
            distances were seen.
        notes: Where repairs are counted.
        restarts: Whether the format's clock may restart, so that a long gap is no gap (see
            `streamreid.sources.stamps.restarts`).

    Attributes:
        origin: Time of the beginning of the present pass, seconds.
    """

    def __init__(self, origin: float, interval: float, notes: Notes, *, restarts: bool = False) -> None:
        self.origin = origin
        self._nominal = interval
        self._notes = notes
        self._restarts = restarts
        self._line: StampLine | None = None
        self._last: float | None = None
        self._raw: float | None = None
        self._steps: deque[float] = deque(maxlen=_STEPS)
        self._repairs = 0
        self._jumped = False

    def begin(self, stamp: int | None, time_base: Fraction | None, lost: int = 0) -> None:
        """Say where the recording begins, before its first picture: what could not be decoded there took time too.

        Args:
            stamp: Its earliest stamp in units of ``time_base``; None without stamps.
            time_base: Seconds per unit.
            lost: Pictures that could not be decoded; counts where there are no stamps.
        """
        if stamp is not None and time_base:
            self._line = StampLine(self.origin - float(stamp * time_base))
        elif lost:
            self._last = self.origin + (lost - 1) * self._nominal
            self._note_lead(lost * self._nominal)

    def stamp(
        self, pts: int | None, time_base: Fraction | None, following: int | None = None
    ) -> tuple[float, ClockName]:
        """Time of the next picture.

        Args:
            pts: Presentation time stamp in units of ``time_base``, None if the picture has none.
            time_base: Seconds per unit.
            following: The stamp of the picture behind it, if known: tells a gap from a wrong stamp.

        Returns:
            Seconds, and "pts", or "rate" where the time had to be computed from the frame rate.
        """
        if pts is None or not time_base:
            return self._advance(self.origin if self._last is None else self._last + self._interval), "rate"
        raw = float(pts * time_base)
        if self._last is None:
            return self._first(raw), "pts"
        if self._line is None:
            # Pictures without a stamp came first; the stamps go on where those ended.
            self._line = StampLine(self._last + self._interval - raw)
        time = raw + self._line.offset
        step = time - self._last
        after = None if following is None else float(following * time_base)
        wild = after is not None and self._is_wild(step, after)
        if wild or not 0 < step <= self._longest or (step > _JUMP and self._fits_former(raw)):
            mended = self._mended(raw, step, after, wild=wild)
            self._raw = None if wild else raw
            return mended
        if self._jumped:
            self._jumped = False
            self._notes.count("time stamps jumped once; times go on", "time stamps jumped {n} times; times go on")
        self._repairs = 0
        self._steps.append(step)
        self._raw = raw
        return self._advance(time), "pts"

    def next_pass(self) -> None:
        """The file begins again: its first picture comes one interval after the last."""
        self.origin = self.origin if self._last is None else self._last + self._interval
        self._line = None
        self._last = self._raw = None
        self._repairs, self._jumped = 0, False

    @property
    def _interval(self) -> float:
        """Distance of two pictures as seen lately, seconds."""
        return median(self._steps) if len(self._steps) == _STEPS else self._nominal

    @property
    def _near(self) -> float:
        """Seconds behind the last picture at which the next one is no surprise."""
        return max(_JUMP, 4 * self._interval)

    @property
    def _longest(self) -> float:
        """Seconds between two pictures that can be a gap."""
        return max(_RESTART, self._near) if self._restarts else float("inf")

    def _first(self, raw: float) -> float:
        lead = 0.0 if self._line is None else raw + self._line.offset - self.origin
        if self._line is None or not 0 <= lead <= LONGEST_LEAD:
            self._line, lead = StampLine(self.origin - raw), 0.0
        self._note_lead(lead)
        self._raw = raw
        return self._advance(raw + self._line.offset)

    def _note_lead(self, lead: float) -> None:
        # Two pictures may be missing in front of the first key frame of any recording (open groups of pictures).
        if lead > 3 * self._nominal:
            self._notes.add(f"the recording begins between key frames: its first {lead:.1f} s cannot be decoded")

    def _is_wild(self, step: float, after: float) -> bool:
        """Whether a picture lies far ahead of the last one and of the next, at ``after``: its stamp is wrong, it is no
        gap."""
        assert self._line is not None
        assert self._last is not None
        return step > self._near and 0 < after + self._line.offset - self._last <= self._near

    def _fits_former(self, raw: float) -> bool:
        assert self._line is not None
        assert self._last is not None
        return self._line.back(raw, self._last, self._last + self._near)

    def _mended(self, raw: float, step: float, after: float | None, *, wild: bool) -> tuple[float, ClockName]:
        """Time of a picture whose stamp does not go on from the last one."""
        assert self._line is not None
        assert self._last is not None
        if wild:
            self._notes.count("1 wrong time stamp mended", "{n} wrong time stamps mended")
            return self._advance(self._last + self._interval), "rate"
        time = raw + self._line.offset
        if 0 < time - self._last <= self._near or self._fits_former(raw):
            # The stamps are those of the former line again.
            self._notes.count("1 wrong time stamp mended", "{n} wrong time stamps mended")
            self._jumped, self._repairs = False, 0
            return self._advance(raw + self._line.offset), "pts"
        behind = step < -_BEHIND * self._interval
        # Two in a row that are late but in order: this one and the next, or, where that is not known, the one before
        # and this.
        anew = (
            behind and after is not None and 0 < after - raw <= self._near and after + self._line.offset <= self._last
        )
        in_row = self._repairs > 0 and self._raw is not None and 0 < raw - self._raw <= self._near
        if step > 0 or step < -_JUMP or anew or (in_row and behind):
            distance = self._interval
            if in_row and self._raw is not None:
                # Together with the half interval after which the one before was put.
                distance = raw - self._raw + (0.5 * self._interval if self._repairs == 1 else 0.0)
            self._line.move(self._last + distance - raw)
            self._jumped, self._repairs = True, 0
            return self._advance(self._last + distance), "rate"
        self._repairs += 1
        self._notes.count("1 repeated or backward time stamp repaired", "{n} repeated or backward time stamps repaired")
        # Half an interval leaves room for the next right stamp; in a row of wrong ones the nominal rate is the better
        # guess.
        return self._advance(self._last + self._interval * (0.5 if self._repairs == 1 else 1.0)), "rate"

    def _advance(self, time: float) -> float:
        self._last = time
        return time
