"""Network cameras: RTSP, RTMP, UDP, HTTP streams."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from fractions import Fraction
from typing import TYPE_CHECKING

from av.error import FFmpegError

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.secrets import redact
from streamreid.sources._av import Decoder, ImageConverter, frame_rate, open_container, reason
from streamreid.sources.base import Notes, Selection, SourceBase
from streamreid.sources.clock import Clock, SystemClock
from streamreid.sources.timeline import Timeline
from streamreid.types import ClockName, Frame

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["StreamSource"]


class StreamSource(SourceBase):
    """A live network stream.

    Capture time is the arrival of the first picture + (time stamp - first time stamp), clock "pts"; a picture without time stamp is stamped
    with its arrival, clock "arrival". A stream that goes silent for ``timeout`` seconds, fails or ends raises
    `SourceError` after its frames; an HTTP stream of known length ends like a file. ``start``, ``offset`` and ``repeat`` are for files and do nothing here.

    Args:
        config: The camera; ``uri`` is the address.
        clock: Tells the arrival time.

    Raises:
        SourceError: No connection, wrong password, no video.
    """

    def __init__(self, config: CameraConfig, *, clock: Clock | None = None) -> None:
        super().__init__(config, live=True)
        self._clock = clock or SystemClock()
        self._where = f"camera '{config.name}': {redact(config.uri)}"
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._opened: tuple[InputContainer, VideoStream] | None = self._connect()

    def __iter__(self) -> Iterator[Frame]:
        """The frames as they arrive.

        Raises:
            SourceError: The stream failed, went silent, or ended.
        """
        selection = Selection(self._config, from_start=False)
        converter = ImageConverter()
        with closing(self._pictures()) as pictures:
            for index, (picture, time, clock) in enumerate(pictures):
                if selection.take(0.0):
                    image = converter(picture)
                    self._notes.size(image.shape[1], image.shape[0], index)
                    yield Frame(self.camera, index, time, image, clock)
                    if selection.done:
                        return

    def close(self) -> None:
        """Hang up; an iterator that is at work ends before its next frame, or when its read times out."""
        self._closed.set()
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened[0].close()

    def _connect(self) -> tuple[InputContainer, VideoStream]:
        scheme = self._config.uri.split("://", 1)[0].lower()
        return open_container(self._config.uri, self.camera, options=_options(scheme, self._config.timeout), timeout=self._config.timeout)

    def _pictures(self) -> Generator[tuple[VideoFrame, float, ClockName], None, None]:
        """Pictures of one connection with their times. Reconnecting is a loop around this."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is None and self._closed.is_set():
            return
        container, stream = opened or self._connect()
        pictures = 0
        try:
            finite = _is_finite(container)
            times = _LiveTimes(self._clock, 1.0 / frame_rate(stream), self._notes)
            for picture in Decoder(container, stream, self._notes):
                if self._closed.is_set():
                    return
                time, clock = times.stamp(picture, stream.time_base)
                yield picture, time, clock
                pictures += 1
        except FFmpegError as e:
            raise SourceError(f"{self._where}: lost after {pictures} pictures ({reason(e)}). Check the camera and the network") from None
        finally:
            container.close()
        if not (finite and pictures) and not self._closed.is_set():
            raise SourceError(f"{self._where}: the other side ended the stream after {pictures} pictures. Check the camera")


class _LiveTimes:
    """Time stamps of a live stream, anchored at the arrival of its first picture."""

    def __init__(self, clock: Clock, interval: float, notes: Notes) -> None:
        self._clock = clock
        self._interval = interval
        self._notes = notes
        self._timeline: Timeline | None = None
        self._last: float | None = None

    def stamp(self, picture: VideoFrame, time_base: Fraction | None) -> tuple[float, ClockName]:
        pts = picture.pts if picture.pts is not None else picture.dts
        clock: ClockName
        if pts is None:
            time, clock = self._clock.now(), "arrival"
        else:
            if self._timeline is None:
                self._timeline = Timeline(self._clock.now(), self._interval, self._notes)
            time, clock = self._timeline.stamp(pts, time_base)
        if self._last is not None and time <= self._last:
            time = self._last + 1e-6
        self._last = time
        return time, clock


def _options(scheme: str, timeout: float) -> dict[str, str]:
    """Low latency: short probing; RTSP over TCP, because lost UDP packets are damaged pictures.

    Not ``fflags=nobuffer``: it throws away what was read while probing, and with it the first key frame.
    """
    microseconds = str(round(timeout * 1e6))
    common = {
        "probesize": "500000",
        "analyzeduration": "1000000",
        "rw_timeout": microseconds,
    }
    if scheme.startswith("rtsp"):
        return {**common, "rtsp_transport": "tcp", "timeout": microseconds}
    return common


def _is_finite(container: InputContainer) -> bool:
    """Whether the end of the data is expected: an HTTP answer of known length, or a playlist with an end."""
    if container.duration:
        return True
    return container.format.name in ("mpegts", "matroska,webm", "h264", "hevc", "avi", "flv") and container.size > 0
