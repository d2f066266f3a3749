"""Video files that can be watched even when the process was killed, and a thread that writes them.

While it is written, the file is fragmented MP4: what is on disk plays up to the last fragment, half a second ago. When
it is closed it is rewritten (without encoding again) as ordinary MP4 with its index in front, which every player and
browser reads from the first byte; a live film that has become so long that this would take seconds stays fragmented,
which most players read as well.
"""

from __future__ import annotations

import logging
import os
import queue
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Generic, TypeVar

import av
import cv2
import numpy as np

from streamreid._threads import Thread
from streamreid.errors import OutputError
from streamreid.media import ffmpeg_name
from streamreid.sinks.film_times import FilmClock, times_name
from streamreid.types import Image

__all__ = ["VideoWriter", "Worker", "adopt_unfinished", "fit"]

_log = logging.getLogger(__name__)
_BASE = 90_000
"""Ticks per second of the time stamps, as in MPEG-TS."""

_KEY = 2.0  # seconds from key frame to key frame, for slow cameras too
_FRAGMENT = 500_000  # microseconds
_QUICKLY = 50 * 2**20  # bytes that are rewritten in a fraction of a second
Item = TypeVar("Item")


def fit(
    image: Image, width: int, height: int, ground: tuple[int, int, int] = (24, 20, 18)
) -> tuple[Image, float, int, int]:
    """Scale a picture into a rectangle, keeping its shape, with bars where it does not fill it.

    Returns:
        The picture ``[height, width, 3]``, the scale, and the left and top offset in pixels.
    """
    high, wide = image.shape[:2]
    scale = min(width / wide, height / high)
    new_w, new_h = max(1, round(wide * scale)), max(1, round(high * scale))
    left, top = (width - new_w) // 2, (height - new_h) // 2
    inner = (
        image
        if scale == 1
        else cv2.resize(image, (new_w, new_h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    )
    if (new_w, new_h) == (width, height):
        return (inner.copy() if inner is image else np.asarray(inner, np.uint8)), scale, 0, 0
    result = np.empty((height, width, 3), np.uint8)
    result[:] = ground
    result[top : top + new_h, left : left + new_w] = inner
    return result, scale, left, top


class VideoWriter:
    """Encodes pictures with their capture times; the frame rate may vary.

    The file takes the size of the first picture (rounded down to even numbers); later pictures of another size are
    fitted into it.

    Args:
        path: An .mp4 file.
        threads: Threads of the encoder; 0 lets it choose.
        max_gap: Longer gaps between two pictures (seconds) are shortened to this, so that a camera that was off for a
            night does not freeze the film for a night. The capture time is written in the picture.
        live: Films of earlier runs are kept: this one is called ``<name>-2.mp4``, ... and what a killed run left gets
            its name. The encoder holds nothing back.
        times: Write the capture times beside the film; see `film_times`.
    """

    def __init__(
        self, path: Path | str, *, threads: int = 1, max_gap: float = 10.0, live: bool = False, times: bool = False
    ) -> None:
        self.path = Path(path)
        self.frames = 0
        self._live = live
        if live:
            left = _part(self.path)
            if left.exists():
                _adopt(left, _free(self.path))
            self.path = _free(self.path)
        # One name for all runs, so that the next one finds what this one may leave.
        self._part = _part(Path(path))
        self._clock = FilmClock(times_name(self._part)) if times else None
        self._threads = threads
        self._gap = max_gap
        self._container: Any = None
        self._stream: Any = None
        self._pts = self._key = 0
        self._time = 0.0

    def write(self, image: Image, time: float) -> None:
        """Encode one picture.

        Args:
            image: ``[H, W, 3]`` uint8 BGR.
            time: Capture time, seconds; a picture that is not later than the last one follows it at once.

        Raises:
            OutputError: The file cannot be written.
        """
        try:
            if self._container is None:
                self._open(image.shape[1] // 2 * 2, image.shape[0] // 2 * 2)
            else:
                self._pts += max(1, round(min(time - self._time, self._gap) * _BASE))
            self._time = time
            if self._clock is not None:
                self._clock.tick(self._pts / _BASE, time)
            image = self._sized(image)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = self._pts, Fraction(1, _BASE)
            if self._pts - self._key >= _KEY * _BASE:
                frame.pict_type, self._key = av.video.frame.PictureType.I, self._pts
            self._container.mux(self._stream.encode(frame))
            self.frames += 1
        except (OSError, av.FFmpegError) as error:
            raise self._failed(error) from error

    def _sized(self, image: Image) -> Image:
        width, height = int(self._stream.width), int(self._stream.height)
        high, wide = image.shape[:2]
        if (high, wide) == (height, width):
            return image
        if (
            0 <= high - height <= 1 and 0 <= wide - width <= 1
        ):  # yuv420p wants even numbers: the last row or column goes
            return np.ascontiguousarray(image[:height, :width])
        return fit(image, width, height)[0]

    def _open(self, width: int, height: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        options = {
            "movflags": "frag_keyframe+empty_moov+default_base_moof",
            "frag_duration": str(_FRAGMENT),
            "flush_packets": "1",
        }
        self._container = av.open(ffmpeg_name(self._part), "w", format="mp4", options=options)
        x264 = "libx264" in av.codecs_available
        stream: Any = self._container.add_stream("libx264" if x264 else "mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = max(2, width), max(2, height), "yuv420p"
        stream.codec_context.time_base = Fraction(1, _BASE)
        stream.codec_context.gop_size = 50
        stream.codec_context.max_b_frames = 0  # their delay would shift all times of a fragmented file
        stream.codec_context.thread_count = self._threads
        if x264:
            stream.options = {"preset": "veryfast", "crf": "23", **({"tune": "zerolatency"} if self._live else {})}
        else:
            stream.bit_rate = max(1_000_000, width * height * 6)
        self._stream = stream

    def _failed(self, error: Exception) -> OutputError:
        advice = f"Free space or choose another folder; what was encoded is in '{self._part}'."
        return OutputError(f"cannot write the video '{self.path}': {error}. {advice}")

    def close(self) -> None:
        """Finish the file; without any picture there is none.

        Raises:
            OutputError: The file cannot be written.
        """
        if self._container is None:
            return
        container, self._container = self._container, None
        try:
            container.mux(self._stream.encode(None))
            container.close()
            if self._clock is not None:
                self._clock.close()
                os.replace(times_name(self._part), times_name(self.path))
            if self._live and self._part.stat().st_size > _QUICKLY:
                self._part.rename(self.path)
            else:
                self._remux()
        except (OSError, av.FFmpegError) as error:
            raise self._failed(error) from error

    def _remux(self) -> None:
        final = self.path.with_name(self.path.stem + ".final.mp4")
        try:
            part, whole = ffmpeg_name(self._part), ffmpeg_name(final)
            with (
                av.open(part) as source,
                av.open(whole, "w", format="mp4", options={"movflags": "faststart"}) as target,
            ):
                stream = source.streams.video[0]
                copy = target.add_stream_from_template(stream)
                for packet in source.demux(stream):
                    if packet.dts is not None:
                        packet.stream = copy
                        target.mux(packet)
            os.replace(final, self.path)
        finally:
            final.unlink(missing_ok=True)
        self._part.unlink(missing_ok=True)


def _part(path: Path) -> Path:
    """The file while it is written."""
    return path.with_name(path.stem + ".part.mp4")


def _adopt(left: Path, film: Path) -> None:
    """Give what a killed run left of a film its name, and its times theirs."""
    left.rename(film)
    if times_name(left).exists():
        times_name(left).rename(times_name(film))


def adopt_unfinished(folder: Path) -> None:
    """Give films that a killed run left below a folder their names; they play up to the last half second.

    Raises:
        OutputError: One cannot be renamed.
    """
    for left in folder.rglob("*.part.mp4"):
        final = _free(left.with_name(left.name.removesuffix(".part.mp4") + ".mp4"))
        try:
            _adopt(left, final)
            final.with_name(final.stem + ".final.mp4").unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot rename '{left}': {error.strerror or error}. Choose another folder (--out)"
            ) from error


def _free(path: Path) -> Path:
    """The first of ``name.mp4``, ``name-2.mp4``, ... that does not exist."""
    number, free = 2, path
    while free.exists():
        number, free = number + 1, path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


class Worker(Generic[Item]):
    """Hands items to a function in a thread of its own through a queue of bounded length.

    An error in the function is kept and raised by the next ``put`` or by ``finish``; items after it are discarded.

    Args:
        work: Called with each item, in order.
        name: Of the thread, for messages.
        length: Items that may wait.
        drop: With a full queue, drop the new item and count it (the caller is never held up); otherwise wait.
    """

    def __init__(self, work: Callable[[Item], None], *, name: str, length: int = 32, drop: bool = True) -> None:
        self.dropped = 0
        self._work = work
        self._drop = drop
        self._queue: queue.Queue[Item | None] = queue.Queue(length)
        self._error: Exception | None = None
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._error is None:
                try:
                    self._work(item)
                except Exception as error:
                    self._error = error

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            self._work = lambda item: None
            if isinstance(error, OutputError):
                raise error
            raise OutputError(f"{self._thread.name} failed: {type(error).__name__}: {error}") from error

    def put(self, item: Item) -> None:
        """Hand over an item.

        Raises:
            OutputError: An earlier item failed.
        """
        self._raise()
        if not self._drop:
            self._queue.put(item)
            return
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            self.dropped += 1

    def finish(self) -> None:
        """Wait until all items are done and end the thread.

        Raises:
            OutputError: An item failed.
        """
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
            if self.dropped:
                _log.warning(
                    "%s: %d pictures were left out because encoding could not keep up", self._thread.name, self.dropped
                )
        self._raise()
