"""Which time stamp belongs to which decoded picture, and with which stamp a recording begins."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from av.codec import context

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["LONGEST_LEAD", "PacketStamps", "has_stamps", "restarts"]

LONGEST_LEAD = 30.0
"""Seconds between two key frames, at most: what a recording may lose at its beginning."""

_DECODE_ORDER = frozenset({"avi"})
"""Formats that number pictures in the order of decoding and have no presentation times; those that FFmpeg makes up jump
with B frames."""

_UNSTAMPED = frozenset({"h264", "hevc", "image2pipe", "jpeg_pipe", "mjpeg", "mpjpeg"})
_NO_STAMPS, _DISCONTINUOUS = 0x0080, 0x0200
"""FFmpeg's flags of a format, AVFMT_NOTIMESTAMPS and AVFMT_TS_DISCONT (libavformat/avformat.h)."""


def has_stamps(container: InputContainer) -> bool:
    """Whether a format has time stamps; without them FFmpeg makes some up from a guessed frame rate (raw H.264, H.265,
    MJPEG, ...)."""
    return container.format.name not in _UNSTAMPED and not container.format.flags & _NO_STAMPS


def restarts(container: InputContainer) -> bool:
    """Whether a format's time stamps may begin anew in the middle (MPEG-TS, MPEG-PS, HLS), as those of an encoder that
    was restarted."""
    return bool(container.format.flags & _DISCONTINUOUS)


class PacketStamps:
    """Follows packets through the decoder.

    Args:
        container: The open file.
        stream: Its video, of which nothing was decoded yet.

    Attributes:
        first: The earliest stamp of the packets up to the first picture, in units of the stream's time base; None
            without stamps.
        lost: Packets before that of the first picture: what cannot be decoded where a recording begins between key
            frames.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._stamped = has_stamps(container)
        self._by_decoding = container.format.name in _DECODE_ORDER
        self._count = 0
        self._waiting: deque[tuple[int, int | None]] = deque()
        self.first: int | None = None
        self.lost = 0
        self._out = False
        flag = getattr(context.Flags, "copy_opaque", None)
        self._numbered = flag is not None
        if flag is not None:
            stream.codec_context.flags |= flag

    def push(self, packet: Packet[VideoStream]) -> None:
        """Note a packet before it is decoded."""
        if self._numbered:
            packet.opaque = self._count
        stamp = packet.dts if self._by_decoding else packet.pts
        if self._by_decoding:
            self._waiting.append((self._count, stamp))
        if not self._out and self._stamped and stamp is not None and not packet.is_discard:
            self.first = stamp if self.first is None else min(self.first, stamp)
        self._count += 1

    def of(self, picture: VideoFrame) -> int | None:
        """Stamp of the next picture in units of the stream's time base; None if there is none."""
        number = picture.opaque if self._numbered else None
        if not self._out:
            self._out = True
            self.lost = number if isinstance(number, int) and picture.key_frame else 0
        if not self._stamped:
            return None
        if not self._by_decoding:
            return picture.pts if picture.pts is not None else picture.dts
        if picture.key_frame and isinstance(number, int):
            # All pictures that were decoded before a key frame are shown before it: those that have not come were lost.
            while self._waiting and self._waiting[0][0] < number:
                self._waiting.popleft()
        return self._waiting.popleft()[1] if self._waiting else None
