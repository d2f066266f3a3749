"""Video files, and addresses of video files: every picture once, with the time stamp it was written with."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.error import FFmpegError

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.secrets import redact
from streamreid.sources._av import Decoder, ImageConverter, frame_rate, open_container, reason
from streamreid.sources.base import Selection, SourceBase
from streamreid.sources.timeline import Timeline
from streamreid.types import Frame

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    _Picture = tuple[VideoFrame, Fraction | None, bool]
    """A decoded picture, seconds per unit of its stamp, and whether it is the first of its pass."""

__all__ = ["VideoFileSource"]


class VideoFileSource(SourceBase):
    """A video file, read without loss.

    Capture time is ``start_time`` + ``offset`` + (time stamp - first time stamp), clock "pts"; where the file has no time stamps the frame rate of the
    configuration, else of the stream, is used, clock "rate". ``start`` decodes and drops, so that frame numbers stay those of the file.
    Damaged data is skipped and noted in ``warnings``, as is a file that ends too early. With ``repeat`` times and frame numbers go on.

    Args:
        config: The camera; ``uri`` is a file name or an http(s) address of a file.

    Raises:
        SourceError: The file is missing, empty, not a video, or has no pictures.
    """

    def __init__(self, config: CameraConfig) -> None:
        super().__init__(config, live=False)
        self._where = f"camera '{config.name}': {redact(config.uri)}"
        self._remote = "://" in config.uri
        if not self._remote:
            _check_file(Path(config.uri), self._where)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._opened: tuple[InputContainer, VideoStream] | None = self._open()
        self._rate = config.fps or frame_rate(self._opened[1])
        self._count = _picture_count(*self._opened, self._rate)

    @property
    def expected_frames(self) -> int | None:
        """About how many frames will come, by the file's own account; None if it does not say."""
        return None if self._count is None else Selection(self._config).expected(self._count, self._rate, self._config.repeat)

    def __iter__(self) -> Iterator[Frame]:
        """The frames, from the beginning.

        Raises:
            SourceError: Nothing could be decoded, nothing is left after ``start``, or reading failed.
        """
        selection = Selection(self._config)
        timeline = Timeline(self._config.begin, 1.0 / self._rate, self._notes)
        converter = ImageConverter()
        began = 0.0
        index = -1
        with closing(self._pictures()) as pictures:
            for index, (picture, time_base, first) in enumerate(pictures):
                if first:
                    timeline.next_pass()
                time, clock = timeline.stamp(_units(picture), time_base)
                began = time if first else began
                if selection.take(time - began):
                    image = converter(picture)
                    self._notes.size(image.shape[1], image.shape[0], index)
                    yield Frame(self.camera, index, time, image, clock)
                    if selection.done:
                        return
        if selection.taken == 0 and not self._closed.is_set():
            seconds = (index + 1) / self._config.repeat / self._rate
            raise SourceError(f"{self._where}: nothing is left after start: {self._config.start:g}; it lasts {seconds:.1f} s. Lower it")

    def close(self) -> None:
        """Close the file; an iterator that is at work ends before its next frame."""
        self._closed.set()
        with self._lock:
            # FFmpeg crashes when a file is closed while another thread decodes it, so an iterator closes the one it has taken.
            opened, self._opened = self._opened, None
        if opened is not None:
            opened[0].close()

    def _open(self) -> tuple[InputContainer, VideoStream]:
        return open_container(self._config.uri, self.camera, timeout=self._config.timeout if self._remote else None)

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
        decoder = Decoder(container, stream, self._notes)
        pictures, began, ended = 0, 0.0, 0.0
        try:
            for picture in decoder:
                if self._closed.is_set():
                    return
                units = _units(picture)
                ended = ended if units is None or stream.time_base is None else float(units * stream.time_base)
                began = ended if pictures == 0 else began
                # The stream's time base: pictures that come while the decoder is drained carry none.
                yield picture, stream.time_base, pictures == 0
                pictures += 1
        except FFmpegError as e:
            raise SourceError(f"{self._where}: reading failed after {pictures} pictures ({reason(e)}). Check the disk or network") from None
        if pictures == 0:
            raise SourceError(f"{self._where}: no picture could be decoded. The file is damaged; try to play it")
        self._check_end(decoder, stream.frames, ended - began, _duration(container, stream))

    def _check_end(self, decoder: Decoder, announced: int, seconds: float, duration: float | None) -> None:
        """Note a file that ends before its time: fewer pictures than its header says, or half a picture at the end."""
        # Recorders leave out pictures on purpose (AVI) or write a long last one (MP4): both figures must fall short.
        short = duration is None or seconds + max(1.5 / self._rate, 0.0 if announced else 1.0) < duration
        if decoder.packets < announced and short:
            self._notes.add(f"only {decoder.packets} of {announced} pictures are there: the file ends early or is damaged")
        elif not announced and duration is not None and short:
            self._notes.add(f"only {seconds:.1f} of {duration:.1f} s are there: the file ends early or is damaged")
        elif decoder.last_damaged:
            self._notes.add("the file ends in the middle of a picture, or its last picture is damaged")


def _check_file(path: Path, where: str) -> None:
    if not path.exists():
        raise SourceError(f"{where}: no such file. Check the path (in a YAML file it starts at the folder of that file)")
    if path.is_dir():
        raise SourceError(f"{where}: is a folder, not a video file")
    if path.is_file() and path.stat().st_size == 0:
        raise SourceError(f"{where}: the file is empty (0 bytes). Copy or record it again")
    if not os.access(path, os.R_OK):
        raise SourceError(f"{where}: may not be read. Check its permissions")


def _units(picture: VideoFrame) -> int | None:
    """Time stamp of a picture in units of the stream's time base."""
    return picture.pts if picture.pts is not None else picture.dts


def _duration(container: InputContainer, stream: VideoStream) -> float | None:
    """Seconds the video should last by its header, None if unknown."""
    if stream.frames and stream.average_rate:
        # Not the duration, which FFmpeg measures anew in an AVI file that was cut off.
        return float(stream.frames / stream.average_rate)
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    match = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", "").strip())
    if match is not None:
        return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])
    if container.duration:
        # The container's length is that of its longest stream; the sound may go on a little after the pictures.
        return container.duration / av.time_base * (1.0 if len(container.streams) == 1 else 0.95)
    return None


def _picture_count(container: InputContainer, stream: VideoStream, rate: float) -> int | None:
    if stream.frames:
        return stream.frames
    duration = _duration(container, stream)
    return None if duration is None else round(duration * rate)
