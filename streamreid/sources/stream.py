"""Network cameras: RTSP, RTMP, UDP, HTTP, MJPEG and HLS streams."""

from __future__ import annotations

import os
import socket
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from time import monotonic
from typing import TYPE_CHECKING, cast

import av
from av.error import FFmpegError

from streamreid.addresses import check_address, split_address
from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.secrets import redact
from streamreid.sources._av import HTTP_OPTIONS, Decoder, demuxed, open_container, reason
from streamreid.sources.base import Notes
from streamreid.sources.clock import Clock
from streamreid.sources.deinterlace import Deinterlacer
from streamreid.sources.display import ImageConverter, PixelAspect
from streamreid.sources.kinds import has_end
from streamreid.sources.live import LiveSource, Received
from streamreid.sources.nal_assembler import Unit, Units, units_of
from streamreid.sources.reader import Connection, Pulse
from streamreid.sources.reconnection import HopelessError
from streamreid.sources.stamps import has_stamps
from streamreid.types import Image

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["StreamSource"]

_LATE_PARSED = frozenset({"h264", "hevc"})
"""Over RTP, FFmpeg's parser knows that such a picture is complete when the next one begins: each is handed out one
picture late."""

_UNKNOWN_NAME_WAIT = 10.0
"""Seconds before the next attempt at a host whose name is unknown."""

_REMEMBERED = 256
"""Arrival times kept until their pictures are decoded."""


class StreamSource(LiveSource):
    """A live network stream.

    Capture time is what the camera's RTCP sender reports say, clock "rtcp"; before the first report, and where there
    are none (or PyAV does not hand them over; 18 does), or they are wrong by many seconds, the time stamp anchored at
    the least delayed arrivals, clock "pts"; without time stamps the arrival, clock "arrival". A stream that cannot be
    opened, goes silent for ``timeout`` seconds, breaks, ends or hangs is opened again (see `LiveSource`); an HTTP
    stream of known length ends like a file. ``start``, ``offset`` and ``repeat`` are for files and do nothing here.

    Args:
        config: The camera; ``uri`` is the address.
        clock: Tells the arrival time.

    Raises:
        SourceError: ``reconnect`` is 0, and: no connection, wrong password, no video.
    """

    def __init__(self, config: CameraConfig, *, clock: Clock | None = None) -> None:
        self._how = _How(config.low_delay and config.uri.lower().startswith("rtsp"))
        super().__init__(config, clock=clock, where=f"camera '{config.name}': {redact(config.uri)}")
        self._converter = ImageConverter(self._notes)

    def _connection(self, pulse: Pulse) -> Connection[Received]:
        return _StreamConnection(self._config, self._clock, pulse, self._notes, self._board.corrupted, self._how)

    def _image(self, received: Received) -> Image:
        return self._converter(cast("VideoFrame", received.picture), received.aspect)


@dataclass(slots=True)
class _How:
    """What one connection learnt for the next: whether pictures are put together here (`units_of`), early, or by
    FFmpeg's parsers."""

    unparsed: bool


class _StreamConnection:
    """One connection to a network camera, through FFmpeg."""

    def __init__(
        self, config: CameraConfig, clock: Clock, pulse: Pulse, notes: Notes, corrupted: Callable[[], None], how: _How
    ) -> None:
        self._config = config
        self._clock = clock
        self._pulse = pulse
        self._notes = notes
        self._corrupted = corrupted
        self._how = how
        self._unparsed = how.unparsed
        self._where = f"camera '{config.name}': {redact(config.uri)}"
        self._opened: tuple[InputContainer, VideoStream] | None = None
        self._fruitless_since: float | None = None
        self.finite = False

    def open(self) -> None:
        scheme = self._config.uri.split("://", 1)[0].lower()
        _resolve(self._config.uri, self._where)
        self._pulse.beat()
        timeouts = (self._config.connect_timeout, self._config.timeout)
        options = _options(scheme, self._config, unparsed=self._unparsed)
        self._opened = open_container(
            self._config.uri,
            self._config.name,
            options=options,
            timeout=timeouts,
            sized=not self._unparsed,
            stream=self._config.stream,
            notes=self._notes,
        )
        context = self._opened[1].codec_context
        if self._unparsed and context.name == "h264":
            # The decoder takes a picture's units one by one and hands it out with the last.
            context.options = {**context.options, "flags2": "+chunks"}
        self.finite = has_end(self._opened[0])
        if self.finite:
            self._notes.add(
                "a recording that could not be opened at the start was taken for a camera: frames may be left out. "
                "Set live: false"
            )

    def pictures(self) -> Iterator[Received]:
        assert self._opened is not None
        container, stream = self._opened
        decoder = _LiveDecoder(
            container, stream, self._notes, self, units_of(stream.codec_context.name) if self._unparsed else None
        )
        count = 0
        try:
            for received in self._progressive(decoder, stream):
                count += 1
                yield received
        except FFmpegError as e:
            raise SourceError(
                f"{self._where}: connection lost after {count} pictures ({reason(e)}). Check the camera and the network"
            ) from None
        if not (self.finite and count):
            self.finite = False
            hint = ", or say live: false if it is a recording" if count and self._config.uri.startswith("http") else ""
            raise SourceError(
                f"{self._where}: the other side ended the stream after {count} pictures. Check the camera{hint}"
            )

    def _progressive(self, decoder: _LiveDecoder, stream: VideoStream) -> Iterator[Received]:
        """Pictures as the decoder hands them out, but progressive, with what is known of their times.

        Raises:
            FFmpegError: The connection broke.
        """
        deinterlacer: Deinterlacer[Received] = Deinterlacer(self._config, stream, self._notes)
        aspect = PixelAspect(stream)
        try:
            for picture in decoder:
                self._fruitless_since = None
                for whole, received in deinterlacer.push(picture, decoder.received(picture, aspect())):
                    yield replace(received, picture=whole)
        except FFmpegError:
            for whole, received in deinterlacer.flush():
                yield replace(received, picture=whole)
            raise
        for whole, received in deinterlacer.flush():
            yield replace(received, picture=whole)

    def close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened[0].close()

    def now(self) -> float:
        return self._clock.now()

    def corrupted(self) -> None:
        if not self._pulse.abandoned:
            self._corrupted()

    def check(self) -> None:
        """With every packet: whether to go on."""
        self._pulse.beat()
        now = monotonic()
        self._fruitless_since = now if self._fruitless_since is None else self._fruitless_since
        if now - self._fruitless_since > self._config.timeout:
            # Perhaps a kind of stream that is not cut as thought: FFmpeg's own way next time.
            self._how.unparsed = False
            raise SourceError(
                f"{self._where}: sends data but no picture for {self._config.timeout:g} s. Check the camera"
            )


class _LiveDecoder(Decoder):
    """Remembers when the data of each picture came and what the sender said about its time."""

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        notes: Notes,
        connection: _StreamConnection,
        units: Units | None,
    ) -> None:
        super().__init__(container, stream, notes)
        self._connection = connection
        self._units = units
        self._broken = 0
        self._stamped = has_stamps(container)
        self._late = units is None and container.format.name == "rtsp" and stream.codec_context.name in _LATE_PARSED
        self._time_base = stream.time_base
        self._arrivals: OrderedDict[int, tuple[float, float | None]] = OrderedDict()
        self._read: float | None = None
        self._newest = 0.0

    def received(self, picture: VideoFrame, aspect: Fraction | None) -> Received:
        """A picture with what is known of its time."""
        units = picture.pts if picture.pts is not None else picture.dts
        arrival, report = self._arrivals.pop(units, (self._newest, None)) if units is not None else (self._newest, None)
        stamp = float(units * self._time_base) if units is not None and self._time_base and self._stamped else None
        return Received(picture, arrival, stamp, report, aspect)

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        # All streams, not only the video: a camera that sends nothing but sound must not keep the reader inside the
        # library.
        for packet in demuxed(self._container):
            if packet.size:
                self._connection.check()
            if packet.stream_index != self._stream.index:
                continue
            if self._units is None:
                self._remember(packet)
                yield packet
            elif packet.size:
                if packet.pts not in self._arrivals:
                    self._remember(packet)
                yield from self._whole(self._units.push(bytes(packet), packet.pts), corrupt=packet.is_corrupt)
        if self._units is not None:
            yield from self._whole(self._units.flush())

    def _whole(self, units: list[Unit], *, corrupt: bool = False) -> Iterator[Packet[VideoStream]]:
        """Packets that can be decoded."""
        if self._units is not None and self._units.broken > self._broken:
            self._broken = self._units.broken
            self._damage("1 packet with missing or damaged data", "{n} packets with missing or damaged data")
        for data, stamp in units:
            packet = cast("Packet[VideoStream]", av.Packet(data))
            packet.pts, packet.is_corrupt = stamp, corrupt
            if self._time_base is not None:
                packet.time_base = self._time_base
            yield packet

    def _remember(self, packet: Packet[VideoStream]) -> None:
        now = self._connection.now()
        self._newest = self._read if self._late and self._read is not None else now
        self._read = now
        if packet.pts is not None:
            self._arrivals[packet.pts] = self._newest, _reported(packet)
            if len(self._arrivals) > _REMEMBERED:
                self._arrivals.popitem(last=False)

    def _damage(self, one: str, many: str) -> None:
        super()._damage(one, many)
        self._connection.corrupted()


def _reported(packet: Packet[VideoStream]) -> float | None:
    """Capture time by the sender's reports: FFmpeg attaches it as `AVProducerReferenceTime` (int64 microseconds since
    1970, int flags)."""
    try:
        if packet.has_sidedata("prft"):
            return float(struct.unpack_from("=q", bytes(packet.get_sidedata("prft")))[0]) / 1e6
    except (AttributeError, KeyError, ValueError, struct.error):
        pass
    return None


def _options(scheme: str, config: CameraConfig, *, unparsed: bool = False) -> dict[str, str]:
    """Low latency: short probing.

    By default FFmpeg looks at twenty pictures for the frame rate (``fpsprobesize``) and at up to fifty until it can
    number them in decoding order (``max_ts_probe``), which takes seconds of a slow camera; here nothing needs either.
    Not ``fflags=nobuffer``: it throws away what was read while probing, and with it the first key frame.
    """
    microseconds = str(round(config.timeout * 1e6))
    options = {
        "probesize": "500000",
        "analyzeduration": "1000000",
        "fpsprobesize": "0",
        "max_ts_probe": "0",
        "max_streams": "64",
        "rw_timeout": microseconds,
    }
    if unparsed:
        options["fflags"] = "noparse"
    if scheme.startswith("rtsp"):
        # Without the sound FFmpeg leaves the time stamps as the camera sent them.
        options |= {
            "rtsp_transport": config.transport,
            "timeout": microseconds,
            "allowed_media_types": "video",
            "max_delay": "200000",
        }
    elif scheme.startswith("http"):
        options |= {"live_start_index": "-1", **HTTP_OPTIONS}
    elif scheme == "udp":
        options["overrun_nonfatal"] = "1"
    return options


def _resolve(uri: str, where: str) -> None:
    """Look the host up, because FFmpeg says no more than "Input/output error" of a name that does not exist.

    Raises:
        HopelessError: There is no such name.
    """
    try:
        address = split_address(check_address(uri))
    except ValueError as e:
        raise SourceError(f"{where}: {e}") from None
    if address is None or (":" in address.host and address.host.count(":") < 2):
        raise SourceError(
            f"{where}: not an address (the port is no number). Write it as rtsp://user:password@host:port/path"
        )
    host, port = address.host, address.port
    proxied = address.scheme.startswith("http") and any(os.environ.get(n) for n in ("http_proxy", "https_proxy"))
    if not host or proxied:
        return
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as e:
        message = (
            f"{where}: the name '{host}' does not resolve ({getattr(e, 'strerror', None) or e}). Check it and the "
            "name server"
        )
        raise HopelessError(message, wait=_UNKNOWN_NAME_WAIT, always=False) from None
