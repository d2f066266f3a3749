"""When a live picture was taken: the camera's own reports if it sends any, else its time stamps anchored at arrival,
else arrival."""

from __future__ import annotations

from collections import deque

import numpy as np

from streamreid.sources.base import Notes
from streamreid.sources.timeline import StampLine
from streamreid.types import ClockName

__all__ = ["CaptureClock"]

_BUCKET = 5.0
"""Seconds of arrivals of which only the least delayed counts."""

_WINDOW = 12
"""Buckets whose least delay anchors the stream: a minute, in which a clock wrong by 100 ppm drifts 6 ms."""

_HISTORY = 120
"""Buckets from which drift is estimated: ten minutes."""

_JUMP = 1.0
"""Seconds. Stamps that disagree with arrival by more are a changed clock (or a network that held data back), not
jitter."""

_PATIENCE = 10.0
"""Seconds that a delay above `_JUMP` must last before it is taken for a changed clock: networks hold data back for
less."""

_AHEAD, _BEHIND = 2.0, 10.0
"""A sender report that lets pictures arrive so many seconds before or after they were taken comes from a clock that is
not set."""

_SAME = 0.002
"""Seconds by which the same report may differ from picture to picture, by rounding."""

_TRUSTED = 0.005
"""Seconds by which a time may still be off the clock it is named after."""

_LEAST_STEP = 1e-6
"""Seconds: times of frames increase by at least as much."""


class CaptureClock:
    """Capture times of one connection to a live camera. Times strictly increase; corrections backwards slow them to
    half speed instead.

    Args:
        notes: Where jumps and unusable reports are noted.
        last: Time of the last picture of the connection before, seconds; None at the beginning.
        steer: Whether to follow arrivals. Not for data that comes as fast as it is read: a finite file over HTTP.
    """

    def __init__(self, notes: Notes, *, last: float | None = None, steer: bool = True) -> None:
        self._anchor = _Anchor(notes, steer)
        self._reports = _Reports(notes)
        self._steer = steer
        self._last = last
        self._previous: float | None = None

    @property
    def jumps(self) -> int:
        """How often the stream's clock jumped."""
        return self._anchor.jumps + self._reports.jumps

    @property
    def delay(self) -> float | None:
        """Seconds from capture by the camera's reports to arrival: the way here plus the difference of the two clocks.
        None without reports."""
        return self._reports.delay

    @property
    def drift(self) -> float | None:
        """Parts per million by which the stream's clock runs slower than this machine's. None until it was watched for
        half a minute."""
        return self._anchor.drift

    def stamp(self, stamp: float | None, arrival: float, report: float | None = None) -> tuple[float, ClockName]:
        """Time of the next picture.

        Args:
            stamp: Its presentation time, seconds from any origin; None if it has none.
            arrival: When its data came, seconds since 1970.
            report: Its capture time by the camera's sender reports, seconds since 1970; None if there was none yet.

        Returns:
            Seconds since 1970, and where they come from.
        """
        if stamp is None:
            return self._forward(arrival, None, arrival), "arrival"
        anchored = self._anchor.time(stamp, arrival)
        reported = self._reports.time(stamp, arrival, report)
        target = anchored if reported is None else reported
        time = self._forward(target, stamp, arrival)
        # On its way from one clock to the other a time belongs to neither; the weaker name is the honest one.
        return time, "rtcp" if reported is not None and abs(time - target) <= _TRUSTED else "pts"

    def _forward(self, target: float, stamp: float | None, arrival: float) -> float:
        """``target``, or half a picture's distance after the picture before where that would be earlier."""
        if self._last is not None:
            step = 0.0 if stamp is None or self._previous is None else max(0.0, stamp - self._previous)
            if step > _JUMP or (self._steer and self._last > arrival + _JUMP):
                # Wrong stamps must not carry the times away: far ahead they wait for the world.
                step = 0.0
            target = max(target, self._last + max(_LEAST_STEP, step / 2))
        self._previous = stamp
        self._last = target
        return target


class _Anchor:
    """Time stamps anchored at arrival: capture = stamp + min over the last minute of (arrival - stamp).

    The least delayed of many pictures is the one that queues and jitter held up least (the minimum filter of NTP, RFC
    5905, section 10).
    """

    def __init__(self, notes: Notes, steer: bool) -> None:
        self._notes = notes
        self._steer = steer
        self._line: StampLine | None = None
        self._last = self._began = 0.0
        self._late_since: float | None = None
        self._buckets: deque[tuple[float, float, float]] = deque(maxlen=_HISTORY)
        self._former = self._buckets
        self.drift: float | None = None
        self.jumps = 0

    def time(self, stamp: float, arrival: float) -> float:
        """Capture time of the next picture, seconds since 1970."""
        delay = arrival - stamp
        if self._line is None:
            self._line = StampLine(delay)
            self._restart(arrival, delay)
        elif self._jumped(stamp, arrival, delay - self._line.offset):
            if self._line.back(stamp, arrival - _JUMP, arrival + _JUMP):
                # As in a recording's `Timeline`: the stamps since the jump were wrong, the anchor is as good as before.
                self._notes.count("1 wrong time stamp mended", "{n} wrong time stamps mended")
                self._buckets, self._late_since = self._former, None
            else:
                self.jumps += 1
                self._notes.count("time stamps jumped once; times go on", "time stamps jumped {n} times; times go on")
                self._former = self._buckets
                self._line.move(delay)
                self._restart(arrival, delay)
        elif self._steer and arrival > self._began:
            # Also at once: cameras begin with a burst of stored pictures, or with a first one that was long on its way.
            self._line.offset = self._follow(arrival, delay)
        self._last = stamp
        return stamp + self._line.offset

    def _follow(self, arrival: float, delay: float) -> float:
        """The least delay lately, with this one."""
        if not self._buckets or not 0 <= arrival - self._buckets[-1][0] < _BUCKET:
            self.drift = self._slope()
            self._buckets.append((arrival, arrival, delay))
        elif delay < self._buckets[-1][2]:
            self._buckets[-1] = (self._buckets[-1][0], arrival, delay)
        return min(delay for _, _, delay in list(self._buckets)[-_WINDOW:])

    def _slope(self) -> float | None:
        """How the least delays grow, parts per million."""
        if len(self._buckets) < 7:
            return None
        # Not the first, which holds the beginning.
        whole = list(self._buckets)[1:]
        times = np.array([time - whole[0][1] for _, time, _ in whole])
        return float(np.polyfit(times, np.array([delay for _, _, delay in whole]), 1)[0] * 1e6)

    def _jumped(self, stamp: float, arrival: float, late: float) -> bool:
        """Whether the stream's clock was changed: backwards, or so that pictures come before they were taken, or much
        too late for long."""
        if stamp < self._last - _JUMP or (self._steer and late < -_JUMP):
            return True
        if not self._steer or late <= _JUMP:
            self._late_since = None
            return False
        self._late_since = arrival if self._late_since is None else self._late_since
        return arrival - self._late_since > _PATIENCE

    def _restart(self, arrival: float, delay: float) -> None:
        self._began = arrival
        self._late_since = None
        self.drift = None
        self._buckets = deque([(arrival, arrival, delay)], maxlen=_HISTORY)


class _Reports:
    """Capture times by the camera's sender reports (RFC 3550, section 6.4.1): its own clock at a time stamp of the
    stream."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._offset: float | None = None
        self._fresh = False
        self._strange_since: float | None = None
        self.delay: float | None = None
        self.jumps = 0

    def time(self, stamp: float, arrival: float, report: float | None) -> float | None:
        """Capture time of the next picture, also of one that has no report itself; None if there was no report, or none
        to be trusted."""
        if report is not None:
            offset = report - stamp
            # FFmpeg hangs the first use of a new report on the picture before: it counts from its second picture on.
            if self._fresh or (self._offset is not None and abs(offset - self._offset) < _SAME):
                self._offset, self._fresh = offset, False
            else:
                self._fresh = True
        if self._offset is None:
            return None
        time = stamp + self._offset
        if not self._steady(arrival - time, arrival):
            return None
        self._strange_since = None
        self.delay = arrival - time
        return time if -_AHEAD <= self.delay <= _BEHIND else None

    def _steady(self, delay: float, arrival: float) -> bool:
        """Whether a delay fits those before. A damaged packet's does not, nor one after a break of the network; a clock
        set anew lasts."""
        strange = not -_AHEAD <= delay <= _BEHIND if self.delay is None else abs(delay - self.delay) > _JUMP
        if not strange:
            return True
        self._strange_since = arrival if self._strange_since is None else self._strange_since
        if arrival - self._strange_since <= _PATIENCE:
            return False
        if self.delay is not None:
            self.jumps += 1
            self._notes.count("the camera's clock was set once", "the camera's clock was set {n} times")
        if not -_AHEAD <= delay <= _BEHIND:
            side = "behind" if delay > 0 else "ahead of"
            self._notes.add(
                f"the camera's clock is {_rounded(abs(delay))} {side} this machine's; its reports are not used. Set "
                "both by a time server (NTP)"
            )
        return True


def _rounded(seconds: float) -> str:
    """A duration for people; coarse, so that a message about it is one message."""
    for size, name in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"
