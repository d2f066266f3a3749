"""From the fragments of RTP to what a decoder takes, as early as can be known.

A picture of H.264 or H.265 comes in many RTP packets, and FFmpeg's parser sees its end only when the next picture
begins: a frame of 10 per second is handed out 100 ms late. The packets themselves say more (RFC 6184 section 5.8, RFC
7798 section 4.4.3): a NAL unit that does not fit into one packet is cut into fragments of equal size but for the last,
so a shorter fragment is the end of its unit, and so is a first fragment that would have had room. Where that guess is
wrong (a unit that fills its last packet to the byte), the unit waits for the next one, as it would have anyway.
"""

from __future__ import annotations

from collections import deque

__all__ = ["H264Units", "H265Units", "Unit", "Units", "WholeUnits", "units_of"]

_START = b"\0\0\0\1"
_ROOM = 6
"""Bytes by which a first fragment is longer than the full ones behind it: start code and NAL header."""

_FIRST_GUESS = 1000
"""A first fragment shorter than this is taken for a whole unit until fragments were seen."""

_STEADY = 10
"""Pictures in a row with the same number of slices after which the last slice is taken for the end."""

_LARGEST = 16 * 2**20
"""Bytes of a unit or picture; more is a stream without time stamps or beginnings."""

Unit = tuple[bytes, int | None]
"""What is to be decoded, and its time stamp."""


class _Nals:
    """NAL units out of fragments.

    Attributes:
        broken: Pieces without a beginning so far (packets were lost, or a unit was taken for complete too early).
    """

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._last: tuple[int, bool] = (0, False)
        self._full: deque[int] = deque(maxlen=8)
        self.broken = 0

    def push(self, fragment: bytes) -> list[bytes]:
        """Take the next fragment; returns the units that are complete by it: the one before, itself, both, or none."""
        if fragment.startswith(_START):
            done = self.flush()
            self._held = [fragment]
            complete = len(fragment) < (min(self._full) if self._full else _FIRST_GUESS)
            self._last = len(fragment), complete
            return [*done, *(self.flush() if complete else [])]
        first, early = self._last
        if not self._held:
            self.broken += 1
            if early:
                # It was no whole unit after all: this sender's fragments are smaller than thought.
                self._full.append(first)
            return []
        self._held.append(fragment)
        if len(self._held) * len(fragment) > _LARGEST:
            return self.flush()
        if len(self._held) == 2:
            self._full.append(first)
        return self.flush() if len(fragment) < first - _ROOM else []

    def flush(self) -> list[bytes]:
        """The unit that is held, whole or not."""
        held, self._held = self._held, []
        return [b"".join(held)] if held else []


class H264Units:
    """For a decoder that takes NAL units one by one and knows by itself when a picture is complete (FFmpeg's with the
    flag ``chunks``)."""

    def __init__(self) -> None:
        self._nals = _Nals()
        self._stamp: int | None = None

    @property
    def broken(self) -> int:
        """Number of fragments whose beginning never came."""
        return self._nals.broken

    def push(self, fragment: bytes, stamp: int | None) -> list[Unit]:
        """Take the next fragment of the stream; returns what can be decoded now."""
        before, self._stamp = self._stamp, stamp
        held = self._nals.flush() if stamp != before else []
        return [*((unit, before) for unit in held), *((unit, stamp) for unit in self._nals.push(fragment))]

    def flush(self) -> list[Unit]:
        """What is left at the end."""
        return [(unit, self._stamp) for unit in self._nals.flush()]


class H265Units:
    """Whole pictures: complete with their last slice, once all pictures lately had equally many slices; else when the
    next picture begins."""

    def __init__(self) -> None:
        self._nals = _Nals()
        self._stamp: int | None = None
        self._parts: list[bytes] = []
        self._slices = 0
        self._handed = False
        self._lately: deque[int] = deque(maxlen=_STEADY)
        self._late = 0

    @property
    def broken(self) -> int:
        """Pieces without a beginning, and slices that came after their picture was handed out."""
        return self._nals.broken + self._late

    def push(self, fragment: bytes, stamp: int | None) -> list[Unit]:
        """Take the next fragment of the stream; returns the pictures that are complete by it."""
        result = self.flush() if stamp != self._stamp or sum(map(len, self._parts)) > _LARGEST else []
        self._stamp = stamp
        for nal in self._nals.push(fragment):
            self._take(nal)
        steady = len(self._lately) == _STEADY and len(set(self._lately)) == 1
        if steady and not self._handed and self._slices == self._lately[0]:
            result += self._hand()
        return result

    def flush(self) -> list[Unit]:
        """The picture that is held, for the next one begins or the stream ends."""
        for nal in self._nals.flush():
            self._take(nal)
        if self._slices:
            self._lately.append(self._slices)
        result = [] if self._handed else self._hand()
        self._slices, self._handed, self._parts = 0, False, []
        return result

    def _take(self, nal: bytes) -> None:
        vcl = len(nal) > 4 and (nal[4] >> 1) & 63 < 32
        self._slices += vcl
        if self._handed and vcl:
            self._late += 1
            self._lately.clear()
        else:
            self._parts.append(nal)

    def _hand(self) -> list[Unit]:
        parts, self._parts = self._parts, []
        self._handed = self._slices > 0
        return [(b"".join(parts), self._stamp)] if parts else []


class WholeUnits:
    """Everything of one time stamp, handed out when the next one begins: for codecs whose fragments tell nothing."""

    broken = 0

    def __init__(self) -> None:
        self._stamp: int | None = None
        self._parts: list[bytes] = []

    def push(self, fragment: bytes, stamp: int | None) -> list[Unit]:
        """Take the next fragment of the stream; returns the picture before it."""
        result = self.flush() if stamp != self._stamp or len(self._parts) * len(fragment) > _LARGEST else []
        self._stamp = stamp
        self._parts.append(fragment)
        return result

    def flush(self) -> list[Unit]:
        """What is left at the end."""
        parts, self._parts = self._parts, []
        return [(b"".join(parts), self._stamp)] if parts else []


Units = H264Units | H265Units | WholeUnits
_CUT = frozenset({"h261", "h263", "h263p", "mpeg1video", "mpeg2video", "mpeg4"})
"""Codecs of which FFmpeg hands RTP payloads on as they come. The others (MJPEG, VP8, ...) it puts together itself."""


def units_of(codec: str) -> Units | None:
    """What puts a codec's fragments together; None for codecs that need nothing.

    Args:
        codec: FFmpeg's name.
    """
    if codec == "h264":
        return H264Units()
    if codec == "hevc":
        return H265Units()
    return WholeUnits() if codec in _CUT else None
