"""What a file says about itself before it is read: how many pictures, how long, how many per second, and whether all of
them came."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av

from streamreid.sources.stamps import has_stamps

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["DEFAULT_RATE", "Extent", "extent_of", "index_is_wrong"]

DEFAULT_RATE = 25.0
"""Pictures per second where nothing says how many: FFmpeg's own guess."""

_PLAUSIBLE = (0.01, 1000.0)
"""Pictures per second between which a rate is believed: from a picture in 100 s to a high-speed camera."""

_FASTEST_RAW = 240.0
"""The same for raw streams: they have no other figure to check it by, and encoders fed with uneven times write their
tick (600, 1000, 90000) there."""

_INDEXED = frozenset({"avi", "mov,mp4,m4a,3gp,3g2,mj2"})
"""Formats whose index names every picture, as FFmpeg reads it."""

_MEASURED = frozenset({"mpeg", "mpegts"})
"""Formats that do not say how long they are."""

_END_TOLD = frozenset({"asf", "flv", "matroska,webm"})
"""Formats whose duration is when the last picture ends; a video that begins late lasts less."""

_WHOLE = 0.9
"""Share of the announced pictures that an index must reach to be a whole one."""

_TS_PACKET = 188
"""Bytes of a packet of an MPEG transport stream (ISO/IEC 13818-1)."""

_SAMPLES = 32
"""Entries of an index that are looked at."""

_CHUNK = re.compile(rb"[0-9]{2}(dc|db|pc|wb|tx|sb)|ix[0-9]{2}|LIST|JUNK", re.IGNORECASE)
_CONTAINER_SHARE = 0.95
"""Of the container's length that its pictures take at least: it is that of its longest stream, and sound may go on a
little after the pictures."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How long a video is by its own account.

    Args:
        rate: Pictures per second on average.
        guessed: Whether nothing in the file says so.
        pictures: How many there should be, None if unknown; with ``exact``, how many the index names.
        exact: Whether ``pictures`` comes from an index.
        seconds: How long it should last, None if unknown.
        times: Seconds from the first to each picture in the order of decoding, where an index tells.
        packets: How many pictures the index names with those that an edit list hides.
        announced: Whether ``pictures`` is what the header says.
        measured: Whether ``seconds`` is the distance of the first and last stamp of the data, which tells nothing of
            what is missing.
    """

    rate: float
    guessed: bool = False
    pictures: int | None = None
    exact: bool = False
    seconds: float | None = None
    times: tuple[float, ...] | None = None
    packets: int | None = None
    announced: bool = False
    measured: bool = False

    def from_start(self, start: float) -> int | None:
        """About how many pictures there are from ``start`` seconds on; None if unknown."""
        if self.times is not None:
            return sum(time >= start - 5e-4 for time in self.times)
        if self.pictures is None:
            return None
        seconds = self.seconds if self.seconds else self.pictures / self.rate
        return max(0, self.pictures - round(self.pictures * start / max(seconds, 1e-9)))

    def missing(self, packets: int, seconds: float) -> str | None:
        """What a file lacks that ends before its time, as a sentence; None if it is whole.

        Args:
            packets: How many pictures were read.
            seconds: From the first to the last of them.
        """
        if self.exact and self.packets is not None:
            if packets < self.packets:
                return f"only {packets} of {self.packets} pictures are there: the file ends early or is damaged"
            return None
        # Recorders leave out pictures on purpose (AVI) or write a long last one: where pictures are announced, both
        # figures must fall short.
        slack = max(1.5 / self.rate, 0.0 if self.announced else 1.0)
        if (
            self.measured
            or self.seconds is None
            or seconds + slack >= self.seconds
            or (self.announced and packets >= (self.pictures or 0))
        ):
            return None
        return f"only {seconds:.1f} of {self.seconds:.1f} s are there: the file ends early or is damaged"


def extent_of(container: InputContainer, stream: VideoStream, fps: float | None) -> Extent:
    """What an open file says about its video.

    Args:
        container: The file.
        stream: Its video.
        fps: The configured rate; counts where the file has no time stamps.
    """
    if not has_stamps(container):
        stated = _stated_rate(stream)
        return Extent(fps or stated or DEFAULT_RATE, guessed=not fps and stated is None)
    indexed = _indexed(container, stream)
    seconds = _seconds(container, stream)
    if indexed is not None:
        times, packets = indexed
        rate = len(times) / seconds if seconds else 0.0
        rate = rate if _plausible(rate) else _average_rate(stream)
        return Extent(rate, pictures=len(times), exact=True, seconds=seconds, times=times, packets=packets)
    rate = _average_rate(stream)
    if stream.frames:
        return Extent(rate, pictures=stream.frames, seconds=seconds, announced=True)
    count = None if seconds is None else round(seconds * rate)
    if count is not None and container.format.name in _MEASURED and count > max(container.size, 0) / _TS_PACKET > 0:
        # More pictures than packets: the clock restarted in the middle, and last stamp minus first says nothing.
        count = seconds = None
    return Extent(rate, pictures=count, seconds=seconds, measured=container.format.name in _MEASURED)


def _stated_rate(stream: VideoStream) -> float | None:
    # The codec's own rate: FFmpeg's average of a raw stream is its default of 25.
    value = stream.codec_context.framerate
    return float(value) if value and _PLAUSIBLE[0] <= float(value) <= _FASTEST_RAW else None


def _average_rate(stream: VideoStream) -> float:
    # The codec's own rate last: of variable-rate H.264 it is the tick of the time base.
    for value in (stream.average_rate, stream.guessed_rate, stream.codec_context.framerate):
        if value and _plausible(float(value)):
            return float(value)
    return DEFAULT_RATE


def _plausible(rate: float) -> bool:
    return _PLAUSIBLE[0] <= rate <= _PLAUSIBLE[1]


def _indexed(container: InputContainer, stream: VideoStream) -> tuple[tuple[float, ...], int] | None:
    """Times of the pictures that are shown, and how many there are with the hidden ones; None without a complete
    index."""
    # PyAV has it since 17.
    entries = getattr(stream, "index_entries", None)
    if container.format.name not in _INDEXED or not entries or not stream.time_base or not stream.frames:
        return None
    # Of an AVI file that has lost its index FFmpeg knows the first pictures; recorders leave out pictures on purpose,
    # so only the end tells.
    known = entries[-1].timestamp if container.format.name == "avi" else len(entries)
    if known < _WHOLE * stream.frames - 1:
        return None
    whole = [entry for entry in entries if entry.size]
    shown = [entry.timestamp for entry in whole if not entry.is_discard]
    return tuple(float((stamp - shown[0]) * stream.time_base) for stamp in shown), len(whole)


def _seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """How long the video should last by its header, None if unknown."""
    if container.format.name == "avi" and stream.frames and stream.average_rate:
        # Not the duration, which FFmpeg measures anew in an AVI file that was cut off.
        return float(stream.frames / stream.average_rate)
    start = stream.start_time if container.format.name in _END_TOLD else None
    begin = float(start * stream.time_base) if start and stream.time_base else 0.0
    if stream.duration and stream.time_base:
        return _after(begin, float(stream.duration * stream.time_base))
    match = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", "").strip())
    if match is not None:
        return _after(begin, int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]))
    if container.duration:
        return _after(begin, container.duration / av.time_base) * (
            1.0 if len(container.streams) == 1 else _CONTAINER_SHARE
        )
    return None


def _after(begin: float, end: float) -> float:
    return end - begin if 0 < begin < end else end


def index_is_wrong(path: Path, stream: VideoStream) -> bool:
    """Whether an AVI file's index points at anything but chunks: the recorder lost power while it wrote it. Looks at a
    few of them."""
    entries = getattr(stream, "index_entries", None)
    if not entries:
        return False
    step = max(1, len(entries) // _SAMPLES)
    with open(path, "rb") as file:
        for number in range(0, len(entries), step):
            position = entries[number].pos
            if position < 0:
                return True
            file.seek(position)
            if not _CHUNK.match(file.read(4)):
                return True
    return False
