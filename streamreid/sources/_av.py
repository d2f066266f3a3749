"""PyAV with its corners rounded: opening with clear errors, decoding over damage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from errno import EPROTONOSUPPORT
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

import av
from av.error import (
    ExitError,
    FFmpegError,
    HTTPClientError,
    HTTPForbiddenError,
    HTTPUnauthorizedError,
    InvalidDataError,
)
from av.stream import Disposition

from streamreid.errors import SourceError
from streamreid.media import ffmpeg_name
from streamreid.secrets import redact
from streamreid.sources.base import Notes
from streamreid.sources.reconnection import HopelessError
from streamreid.sources.rtsp_answer import ask
from streamreid.sources.stamps import PacketStamps

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["HTTP_OPTIONS", "Decoder", "demuxed", "open_container", "reason"]

_NOT_VIDEO = frozenset({"ansi", "bintext", "idf", "xbin"})
"""FFmpeg draws text files as pictures of a terminal; nobody means that by a camera."""

_STILL = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
"""FFmpeg's marks of streams that are no videos."""

_TWO_PICTURES = 1.5
"""Pictures from which on a stream is more than one, by its length, which is rounded."""

_MAX_PIXELS = 8192 * 8192
"""Damaged headers announce pictures of a gigabyte; nobody's camera is larger than this."""

_MAX_READ_ERRORS = 64
"""Packets that cannot be read before a file counts as ended."""

HTTP_OPTIONS = {"extension_picky": "0", "allowed_segment_extensions": "ALL"}
"""For HLS playlists, whose segments have any names: FFmpeg else refuses those that do not end in what it expects."""

_SILENT = 0.9
"""Share of the time to wait after which FFmpeg's "invalid data" means that there were none."""

# Before PyAV 19, titles that are not UTF-8 must not keep a video from being opened; since then they do not, and the
# argument is gone.
_METADATA: dict[str, Any] = {} if int(av.__version__.split(".", 1)[0]) >= 19 else {"metadata_errors": "replace"}

_LOCKED_WAIT = 60.0
"""Seconds before the next attempt at a camera that locks out wrong logins."""

_MISSING_WAIT = 10.0
"""Seconds before asking again: after a wrong password, for cameras lock out who asks often, and after 404 and its
like."""


def reason(error: BaseException) -> str:
    """Why FFmpeg failed, in one line, without the address."""
    if isinstance(error, ExitError):
        # FFmpeg's word for a call that PyAV interrupts because its time is over.
        return "no data in time"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return redact(text).strip().rstrip(".")


def open_container(
    uri: str,
    camera: str,
    *,
    name: str | None = None,
    options: dict[str, str] | None = None,
    timeout: float | tuple[float, float] | None = None,
    sized: bool = True,
    stream: int | None = None,
    notes: Notes | None = None,
) -> tuple[InputContainer, VideoStream]:
    """Open a file or address and find its video.

    Args:
        uri: File name or address.
        camera: Name of the camera, for messages.
        name: What FFmpeg is to open, where that is not the address itself.
        options: FFmpeg options of the demuxer and protocol.
        timeout: Seconds to wait for a connection and for data, or one of each; None waits for ever.
        sized: Whether a video whose size is not known yet is none. Without FFmpeg's parsers the first picture tells it.
        stream: Which of its videos, from 0; None chooses.
        notes: Where it is said that there are several.

    Raises:
        HopelessError: The password is wrong, or there is nothing at that address.
        SourceError: It cannot be opened, is not a video, or has no video stream.
    """
    where = f"camera '{camera}': {redact(uri)}"
    container = _opened(where, uri, name, options, timeout)
    try:
        if container.format.name == "rtsp" and not container.streams.video:
            raise SourceError(
                f"{where}: {_offer(uri)}. Check the path after the host name: each of a camera's streams has its own"
            )
        video = _video_stream(container, where, sized, stream, notes)
    except BaseException:
        container.close()
        raise
    return container, video


def _opened(
    where: str,
    uri: str,
    name: str | None,
    options: dict[str, str] | None,
    timeout: float | tuple[float, float] | None,
) -> InputContainer:
    """What FFmpeg opens; see `open_container`. ``where`` begins its messages."""
    patience = timeout[0] if isinstance(timeout, tuple) else timeout
    began = monotonic()
    try:
        # Not `options`: before PyAV 18 those crash the process where streams appear late, as in MPEG-TS over RTSP.
        name = name or (uri if "://" in uri else ffmpeg_name(uri))
        opened: InputContainer = av.open(name, mode="r", container_options=options or {}, timeout=timeout, **_METADATA)
        return opened
    except InvalidDataError as e:
        if patience is not None and monotonic() - began >= _SILENT * patience:
            raise SourceError(
                f"{where}: cannot be opened (no answer for {patience:g} s). Check that it is a camera and that it works"
            ) from None
        live = uri.split("://", 1)[0].lower() in ("rtsp", "rtsps", "rtmp", "udp")
        advice = (
            "the camera hung up or sent nonsense; check it"
            if live
            else "it is damaged, incomplete or not a video; try to play it"
        )
        raise SourceError(f"{where}: not a readable video ({reason(e)}): {advice}") from None
    except (HTTPUnauthorizedError, HTTPForbiddenError) as e:
        message = f"{where}: access denied ({reason(e)}). {_login_advice(uri)}"
        raise HopelessError(message, wait=_LOCKED_WAIT, always=True) from None
    except HTTPClientError as e:
        message = f"{where}: cannot be opened ({reason(e)}). Check the path after the host name"
        raise HopelessError(message, wait=_MISSING_WAIT, always=False) from None
    except (FFmpegError, OSError, ValueError) as e:
        transport = (options or {}).get("rtsp_transport")
        if transport and getattr(e, "errno", None) == EPROTONOSUPPORT:
            other = "udp" if transport == "tcp" else "tcp"
            raise SourceError(
                f"{where}: the camera does not send by {transport.upper()} (461 Unsupported Transport). Write "
                f"transport: {other} in its entry"
            ) from None
        raise SourceError(
            f"{where}: cannot be opened ({reason(e)}). Check the address and whether it may be read"
        ) from None


def _login_advice(uri: str) -> str:
    answer = ask(uri)
    if answer is not None and (algorithm := answer.unknown_login):
        return (
            f"The camera asks for Digest login with {algorithm}, which FFmpeg does not know (it knows Basic, and "
            "Digest with MD5). Allow Digest with MD5, or Basic, in the camera's RTSP settings"
        )
    return "Check user name and password"


def _offer(uri: str) -> str:
    answer = ask(uri)
    kinds = [{"application": "metadata"}.get(m, m) for m in answer.media] if answer is not None else []
    return f"the camera offers no video here, {f'only {_and(kinds)}' if kinds else 'at most sound or metadata'}"


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _video_stream(
    container: InputContainer, where: str, sized: bool, number: int | None, notes: Notes | None
) -> VideoStream:
    if not container.streams.video:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        raise SourceError(f"{where}: contains no video, only {kinds}. Name a file with pictures")
    if number is not None and number >= len(container.streams.video):
        raise SourceError(
            f"{where}: has no video stream {number}: {_streams_told(container)}. Change 'stream', or leave it out"
        )
    usable = [s for s in container.streams.video if _decodable(s, sized)]
    marked = [s for s in usable if not s.disposition & _STILL]
    videos = [s for s in marked if not _is_still(s)] or marked
    if number is not None:
        stream = container.streams.video[number]
        if stream not in usable:
            raise SourceError(f"{where}: its video stream {number} cannot be decoded: {_streams_told(container)}")
    elif videos:
        # As ffmpeg and ffplay choose: what is marked as default, of these the largest, of these the first.
        stream = max(videos, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height, -s.index))
        if len(videos) > 1 and notes is not None:
            notes.add(
                f"holds several videos, of which one is used: {_streams_told(container, stream)}; 'stream' chooses "
                "another"
            )
    elif usable:
        raise SourceError(
            f"{where}: contains no video, only a cover picture or thumbnails. Name a file with pictures that move"
        )
    else:
        raise SourceError(f"{where}: not a video that can be decoded. Convert it, for example to H.264 in MP4")
    # Slices, not frames: measured equally fast with conversion to BGR on two cores at 0 to 15 % less CPU, and with
    # frame threads an error while the decoder is drained takes the pictures behind it along.
    stream.thread_type = "SLICE"
    stream.codec_context.options = {**stream.codec_context.options, "max_pixels": str(_MAX_PIXELS)}
    return stream


def _decodable(stream: VideoStream, sized: bool) -> bool:
    context = stream.codec_context
    return (
        context is not None and context.name not in _NOT_VIDEO and (not sized or bool(stream.width and stream.height))
    )


def _is_still(stream: VideoStream) -> bool:
    """Whether a stream is a cover, a thumbnail or any other single picture: by its mark, its number of pictures, or its
    length (Matroska)."""
    if stream.disposition & _STILL or stream.frames == 1:
        return True
    length = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", "").strip())
    if length is None or not stream.average_rate:
        return False
    seconds = int(length[1]) * 3600 + int(length[2]) * 60 + float(length[3])
    return 0 < seconds * float(stream.average_rate) < _TWO_PICTURES


def _streams_told(container: InputContainer, used: VideoStream | None = None) -> str:
    texts = []
    for number, stream in enumerate(container.streams.video):
        still = ", a still picture" if _is_still(stream) else ""
        name = stream.codec_context.name if stream.codec_context is not None else "unknown"
        texts.append(f"{number}: {name} {stream.width}x{stream.height}{still}{' (used)' if stream is used else ''}")
    return ", ".join(texts)


def demuxed(container: InputContainer, *streams: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Packets of some streams, or of all."""
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, IndexError):
            # At the end PyAV (18.1) stumbles over streams that appeared while it read, as in damaged MPEG-TS.
            return
        yield cast("Packet[VideoStream]", packet)


class Decoder:
    """Every picture of a stream, once; damaged packets are counted and skipped.

    Args:
        container: The open file.
        stream: Its video.
        notes: Where damage is counted.
        stamps: Told of every packet before it is decoded.
    """

    def __init__(
        self, container: InputContainer, stream: VideoStream, notes: Notes, stamps: PacketStamps | None = None
    ) -> None:
        self._container = container
        self._stream = stream
        self._notes = notes
        self._stamps = stamps
        self.packets = 0
        self.last_damaged = False

    def __iter__(self) -> Iterator[VideoFrame]:
        """The pictures in the order of presentation.

        Raises:
            FFmpegError: The file or connection cannot be read further (not: its data is damaged).
        """
        errors = 0
        while errors < _MAX_READ_ERRORS:
            try:
                for packet in self._packets():
                    # An empty packet would put the decoder into its final state; the end is drained below.
                    if packet.size:
                        errors = 0
                        self.packets += 1
                        yield from self._checked(self._decode(packet))
                    elif packet.dts is not None or packet.pts is not None:
                        self.packets += 1
                break
            except InvalidDataError:
                errors += 1
                self._skipped()
            except FFmpegError:
                # What was received whole is still inside the decoder.
                yield from self._drain()
                raise
        yield from self._drain()

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        """What the container delivers of the video."""
        return demuxed(self._container, self._stream)

    def _damage(self, one: str, many: str) -> None:
        """Note damage, and remember that the last packet had some."""
        self.last_damaged = True
        self._notes.count(one, many)

    def _decode(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        if self._stamps is not None and packet is not None:
            self._stamps.push(packet)
        try:
            frames = self._stream.codec_context.decode(packet)
        except EOFError:
            raise
        except FFmpegError:
            self._skipped()
            return []
        self.last_damaged = False
        if packet is not None and packet.is_corrupt:
            self._damage("1 packet with missing or damaged data", "{n} packets with missing or damaged data")
        return frames

    def _drain(self) -> Iterator[VideoFrame]:
        for _ in range(_MAX_READ_ERRORS):
            try:
                frames = self._decode(None)
            except EOFError:
                return
            yield from self._checked(frames)

    def _checked(self, frames: list[VideoFrame]) -> Iterator[VideoFrame]:
        for frame in frames:
            if frame.is_corrupt:
                self._damage(
                    "1 damaged picture, used as far as it could be decoded",
                    "{n} damaged pictures, used as far as they could be decoded",
                )
            yield frame

    def _skipped(self) -> None:
        self._damage("1 damaged packet skipped", "{n} damaged packets skipped")
