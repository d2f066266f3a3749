"""Video files, and addresses of video files: every picture once, with the time stamp it was written with."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from av.error import FFmpegError

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.secrets import redact
from streamreid.sources._av import HTTP_OPTIONS, Decoder, open_container, reason
from streamreid.sources.base import Selection, SourceBase
from streamreid.sources.deinterlace import Deinterlacer
from streamreid.sources.display import ImageConverter, PixelAspect
from streamreid.sources.extent import Extent, extent_of, index_is_wrong
from streamreid.sources.local_files import file_fault
from streamreid.sources.pipes import is_pipe, waiting_pipe
from streamreid.sources.stamps import PacketStamps, restarts
from streamreid.sources.timeline import Timeline
from streamreid.types import Frame

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["VideoFileSource"]

_READING_SECONDS = 86_400.0
"""How long a pipe may give nothing once it is open: whoever writes a recording into it may take their time."""


class _Picture(NamedTuple):
    """A decoded picture, progressive.

    Args:
        picture: The picture.
        stamp: Its time stamp in units of ``time_base``, None if it has none.
        following: That of the picture behind it.
        time_base: Seconds per unit: that of the stream, for pictures that come while the decoder is drained carry none.
        begin: At the first picture of a pass, the earliest stamp of the pass and the number of packets lost before it.
        restarts: Whether the stamps may begin anew.
        aspect: Width of its pixels divided by their height, None if nothing says it.
    """

    picture: VideoFrame
    stamp: int | None
    following: int | None
    time_base: Fraction | None
    begin: tuple[int | None, int] | None
    restarts: bool
    aspect: Fraction | None


class VideoFileSource(SourceBase):
    """A video file, read without loss.

    Capture time is ``start_time`` + ``offset`` + (time stamp - first time stamp), clock "pts"; where the file has no
    time stamps the frame rate of the configuration, else of the stream, is used, clock "rate"; if neither says one, 25,
    which is noted in ``warnings``. What cannot be decoded because the recording begins between key frames counts as
    time. ``start`` decodes and drops, so that frame numbers stay those of the file. Damaged data is skipped and noted
    in ``warnings``, as is a file that ends too early. With ``repeat`` times and frame numbers go on.

    Args:
        config: The camera; ``uri`` is a file name or an http(s) address of a file or an HLS playlist with an end.

    Raises:
        SourceError: The file is missing, empty, not a video, or has no pictures.
    """

    def __init__(self, config: CameraConfig) -> None:
        super().__init__(config, live=False)
        self._where = f"camera '{config.name}': {redact(config.uri)}"
        self._remote = "://" in config.uri
        self._options = _options(config) if self._remote else {}
        if not self._remote:
            _check_file(Path(config.uri), self._where)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        opened = self._open()
        seekable = not self._remote and not is_pipe(Path(config.uri))
        if seekable and opened[0].format.name == "avi" and index_is_wrong(Path(config.uri), opened[1]):
            opened[0].close()
            # What cannot be seeked is read from front to back, without the index.
            self._options = {"seekable": "0"}
            opened = self._open()
        self._opened: tuple[InputContainer, VideoStream] | None = opened
        self._lasted = 0.0
        self._extent: Extent = extent_of(*opened, config.fps)
        self._fields = 1
        """Pictures of the stream per picture of the video, as the first ones tell: two where they are single fields."""
        if self._extent.guessed:
            self._notes.add(
                f"nothing in the file says how many pictures per second it has: {self._extent.rate:g} are assumed; if "
                "that is wrong, give fps in its entry of cameras (--set cameras.fps=12.5)"
            )

    @property
    def expected_frames(self) -> int | None:
        """About how many frames will come, by the file's own account; None if it does not say."""
        pictures = self._extent.from_start(self._config.start)
        return None if pictures is None else Selection(self._config).of(pictures // self._fields * self._config.repeat)

    def __iter__(self) -> Iterator[Frame]:
        """The frames, from the beginning.

        Raises:
            SourceError: Nothing could be decoded, nothing is left after ``start``, or reading failed.
        """
        selection = Selection(self._config)
        timeline: Timeline | None = None
        converter = ImageConverter(self._notes)
        with closing(self._pictures()) as pictures:
            for index, item in enumerate(pictures):
                if timeline is None:
                    timeline = Timeline(
                        self._config.begin, self._fields / self._extent.rate, self._notes, restarts=item.restarts
                    )
                if item.begin is not None:
                    timeline.next_pass()
                    timeline.begin(item.begin[0], item.time_base, item.begin[1])
                time, clock = timeline.stamp(item.stamp, item.time_base, item.following)
                self._lasted = time - timeline.origin
                if selection.take(self._lasted):
                    image = converter(item.picture, item.aspect)
                    self._notes.size(image.shape[1], image.shape[0], index)
                    yield Frame(self.camera, index, time, image, clock)
                    if selection.done:
                        return
        if selection.taken == 0 and timeline is not None and not self._closed.is_set():
            seconds = self._lasted + self._fields / self._extent.rate
            raise SourceError(
                f"{self._where}: nothing is left after start: {self._config.start:g}; it lasts {seconds:.1f} s. Lower "
                "it"
            )

    def close(self) -> None:
        """Close the file; an iterator that is at work ends before its next frame."""
        self._closed.set()
        with self._lock:
            # FFmpeg crashes when a file is closed while another thread decodes it, so an iterator closes the one it has
            # taken.
            opened, self._opened = self._opened, None
        if opened is not None:
            opened[0].close()

    def _open(self) -> tuple[InputContainer, VideoStream]:
        timeout: float | tuple[float, float] | None = self._config.timeout if self._remote else None
        path = Path(self._config.uri)
        if self._remote or not is_pipe(path):
            return self._open_as(None, timeout)
        with waiting_pipe(path, self._where, self._config.connect_timeout) as name:
            return self._open_as(name, (self._config.connect_timeout, _READING_SECONDS))

    def _open_as(
        self, name: str | None, timeout: float | tuple[float, float] | None
    ) -> tuple[InputContainer, VideoStream]:
        return open_container(
            self._config.uri,
            self.camera,
            name=name,
            options=self._options,
            timeout=timeout,
            stream=self._config.stream,
            notes=self._notes,
        )

    def _pictures(self) -> Generator[_Picture, None, None]:
        """All pictures of all passes."""
        for _ in range(self._config.repeat):
            with self._lock:
                opened, self._opened = self._opened, None
            container, stream = opened or self._open()
            try:
                if self._closed.is_set():
                    return
                yield from self._one_pass(container, stream)
            finally:
                container.close()

    def _one_pass(self, container: InputContainer, stream: VideoStream) -> Iterator[_Picture]:
        stamps = PacketStamps(container, stream)
        decoder = Decoder(container, stream, self._notes, stamps)
        aspect = PixelAspect(stream)
        anew = restarts(container)
        held: _Picture | None = None
        pictures = 0
        try:
            for picture, units in self._progressive(decoder, stream, stamps):
                if self._closed.is_set():
                    return
                begin = (stamps.first, stamps.lost) if pictures == 0 else None
                if held is not None:
                    yield held._replace(following=units)
                held = _Picture(picture, units, None, stream.time_base, begin, anew, aspect())
                pictures += 1
            if held is not None:
                yield held
        except FFmpegError as e:
            if held is not None:
                yield held
            raise SourceError(
                f"{self._where}: reading failed after {pictures} pictures ({reason(e)}). Check the disk or network"
            ) from None
        if pictures == 0:
            raise SourceError(f"{self._where}: no picture could be decoded. The file is damaged; try to play it")
        self._check_end(decoder)

    def _progressive(
        self, decoder: Decoder, stream: VideoStream, stamps: PacketStamps
    ) -> Iterator[tuple[VideoFrame, int | None]]:
        """Pictures as the decoder hands them out, but progressive, and their stamps.

        Raises:
            FFmpegError: The file cannot be read further.
        """
        deinterlacer: Deinterlacer[int | None] = Deinterlacer(self._config, stream, self._notes)
        try:
            for picture in decoder:
                ready = deinterlacer.push(picture, stamps.of(picture))
                self._fields = 2 if deinterlacer.weaves else 1
                yield from ready
        except FFmpegError:
            yield from deinterlacer.flush()
            raise
        yield from deinterlacer.flush()

    def _check_end(self, decoder: Decoder) -> None:
        """Note a file that ends before its time: fewer pictures than its header says, or half a picture at the end."""
        missing = self._extent.missing(decoder.packets, self._lasted)
        if missing is not None:
            self._notes.add(missing)
        elif decoder.last_damaged:
            self._notes.add("the file ends in the middle of a picture, or its last picture is damaged")


def _options(config: CameraConfig) -> dict[str, str]:
    """FFmpeg's options for an address."""
    if config.uri.lower().startswith("rtsp"):
        return {"rtsp_transport": config.transport, "allowed_media_types": "video"}
    return HTTP_OPTIONS


def _check_file(path: Path, where: str) -> None:
    fault = file_fault(path)
    if not fault and path.is_dir():
        fault = "is a folder, not a video file"
    if fault:
        raise SourceError(f"{where}: {fault}")
