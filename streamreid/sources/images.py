"""Folders of pictures, one per frame, also in the layout of MOTChallenge sequences."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.media import is_picture
from streamreid.sources.base import Selection, SourceBase
from streamreid.sources.local_files import NO_PICTURES, picture_folder
from streamreid.sources.picture_names import frame_numbers, name_times, usual_step
from streamreid.types import ClockName, Frame, Image

__all__ = ["ImageFolderSource", "natural_key"]

_MARKER = re.compile(rb"\xff[^\x00\xff]")
"""A marker of JPEG: 0xFF in the data of a scan is followed by 0, and filling 0xFF may stand before a marker."""

_EOI = 0xD9
"""Second byte of the JPEG marker that ends a picture."""

_STANDALONE = frozenset([0x01, *range(0xD0, 0xD9)])
"""Markers without a segment behind them: TEM, the restarts inside a scan, and the beginning of a picture."""

_PNG_SIGNATURE = 8
"""Bytes before the first chunk of a PNG."""


class ImageFolderSource(SourceBase):
    """The pictures of a folder in natural order (``2.jpg`` before ``10.jpg``); other files are ignored.

    Where the names differ in one number only (``000001.jpg``, ``img_5.png``), that is the frame number, and what is
    missing between two takes its time; else pictures are numbered as they come. Numbers begin at 0 if one of them is 0,
    else at 1.

    Capture time is ``start_time`` + ``offset`` + seconds since the first picture, clock "rate": by ``fps`` of the
    configuration, which counts pictures (of 0, 5, 10, ... a step of 5 is one picture); else by ``frameRate`` of a
    MOTChallenge ``seqinfo.ini`` in the folder or the one above, which counts numbers; else by dates in the names, clock
    "pts". A folder with an ``img1`` subfolder is a MOTChallenge sequence: that is read. A picture that cannot be
    decoded, or is cut off, is skipped and named in ``warnings``; it keeps its number.

    Args:
        config: The camera; ``uri`` is the folder.

    Raises:
        SourceError: The folder is missing or has no pictures, or nothing says how many per second they are.
    """

    def __init__(self, config: CameraConfig) -> None:
        super().__init__(config, live=False)
        self._where = f"camera '{config.name}': {config.uri}"
        folder = Path(config.uri)
        if not folder.is_dir():
            raise SourceError(f"{self._where}: no such folder. Check the path")
        self._folder = picture_folder(folder)
        try:
            self._files = sorted((p for p in self._folder.iterdir() if is_picture(p) and p.is_file()), key=natural_key)
        except OSError as e:
            raise SourceError(
                f"{self._where}: the folder cannot be read ({e.strerror}). Check its permissions"
            ) from None
        if not self._files:
            raise SourceError(f"{self._where}: {NO_PICTURES}")
        self._places, self._lasts, self._clock = self._placed()
        self._closed = False

    @property
    def expected_frames(self) -> int | None:
        """How many frames will come if every picture is readable."""
        left = sum(seconds >= self._config.start - 5e-4 for _, seconds in self._places)
        return Selection(self._config).of(left * self._config.repeat)

    def __iter__(self) -> Iterator[Frame]:
        """The frames, from the beginning.

        Raises:
            SourceError: Not one picture could be read, or nothing is left after ``start``.
        """
        selection = Selection(self._config)
        delivered = False
        for turn in range(self._config.repeat):
            for path, (number, seconds) in zip(self._files, self._places, strict=True):
                if self._closed or selection.done:
                    return
                if not selection.take(seconds):
                    continue
                image = self._read(path)
                if image is not None:
                    delivered = True
                    index = number + turn * self._lasts[0]
                    self._notes.size(image.shape[1], image.shape[0], index)
                    yield Frame(
                        self.camera, index, self._config.begin + seconds + turn * self._lasts[1], image, self._clock
                    )
        if not delivered and selection.taken:
            raise SourceError(f"{self._where}: none of its {len(self._files)} pictures can be read. {self.warnings[0]}")
        if not delivered:
            seconds = self._lasts[1]
            raise SourceError(
                f"{self._where}: nothing is left after start: {self._config.start:g}; they last {seconds:.1f} s. "
                "Lower it"
            )

    def _placed(self) -> tuple[list[tuple[int, float]], tuple[int, float], ClockName]:
        """For each picture its frame number and its seconds since the first, how much a pass is of both, and the
        clock."""
        names = [path.name for path in self._files]
        fps, listed = self._config.fps, _sequence_rate(self._folder)
        dates = name_times(names)
        if dates is not None and not fps and not listed:
            seconds = [date - dates[0] for date in dates]
            usual = float(np.median(np.diff(dates)))
            return list(enumerate(seconds)), (len(names), seconds[-1] + usual), "pts"
        numbers = (frame_numbers(names) if dates is None else None) or list(range(len(names)))
        # In MOT text frames count from 1, inside from 0.
        base = min(numbers[0], 1)
        step = usual_step(numbers)
        if fps is None and listed is None and len(names) > 1:
            raise SourceError(
                f"{self._where}: nothing says how many pictures per second these {len(names)} are. Write fps into its "
                "entry of cameras (fps: 2), or on the command line --set cameras.fps=2 (detector bench: --fps 2)"
            )
        rate = fps * step if fps else listed or 1.0
        self._note_numbers(numbers, step, rate)
        places = [(number - base, (number - numbers[0]) / rate) for number in numbers]
        span = numbers[-1] - numbers[0] + step
        return places, (span, span / rate), "rate"

    def _note_numbers(self, numbers: list[int], step: int, rate: float) -> None:
        """Say how numbers were understood where another reading is possible."""
        if step > 1 and self._config.fps:
            self._notes.add(
                f"the pictures are numbered in steps of {step}; fps: {self._config.fps:g} counts pictures, so two of "
                f"them are {step / rate:g} s apart"
            )
        missing = (numbers[-1] - numbers[0]) // step + 1 - len(numbers)
        if missing > 0:
            self._notes.add(
                f"by their numbers {missing} pictures are missing among {len(numbers)}; their time is left free"
            )

    def close(self) -> None:
        """The iterator ends before its next frame."""
        self._closed = True

    def _read(self, path: Path) -> Image | None:
        try:
            data = path.read_bytes()
        except OSError as e:
            self._notes.add(f"skipped {path.name}: {e.strerror}")
            return None
        if not data:
            self._notes.add(f"skipped {path.name}: empty file")
        elif _cut_off(data):
            self._notes.add(f"skipped {path.name}: the picture is cut off")
        else:
            # Decoding from memory, because OpenCV cannot open every file name on Windows.
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            if image is not None:
                return np.asarray(image, np.uint8)
            self._notes.add(f"skipped {path.name}: not a readable picture")
        return None


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sorts names with numbers as people do."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts]


def _cut_off(data: bytes) -> bool:
    """Whether a JPEG or PNG ends before its end mark: decoders then fill the rest with grey and say nothing.

    What stands behind the end mark does not matter: phones put the video of a moving picture there, cameras their own
    data.
    """
    if data.startswith(b"\xff\xd8"):
        return not _jpeg_ends(data)
    return data.startswith(b"\x89PNG") and not _png_ends(data)


def _jpeg_ends(data: bytes) -> bool:
    """Whether the segments of a JPEG lead to its end mark (ITU-T T.81, annex B)."""
    position = 2
    while (match := _MARKER.search(data, position)) is not None:
        position = match.end()
        marker = data[position - 1]
        if marker == _EOI:
            return True
        if marker in _STANDALONE:
            continue
        # Segments are skipped as a whole, for thumbnails in them have end marks too. Behind a scan's header come its
        # data, up to the next marker.
        if len(data) < position + 2:
            return False
        position += int.from_bytes(data[position : position + 2], "big")
    return False


def _png_ends(data: bytes) -> bool:
    """Whether the chunks of a PNG lead to its last one, IEND."""
    position = _PNG_SIGNATURE
    while position + 8 <= len(data):
        kind = data[position + 4 : position + 8]
        position += 12 + int.from_bytes(data[position : position + 4], "big")
        if kind == b"IEND":
            return position <= len(data)
    return False


def _sequence_rate(folder: Path) -> float | None:
    for path in (folder / "seqinfo.ini", folder.parent / "seqinfo.ini"):
        if path.is_file():
            parser = configparser.ConfigParser()
            try:
                parser.read(path, encoding="utf-8")
                rate = parser.getfloat("Sequence", "frameRate", fallback=0.0)
            except (configparser.Error, ValueError, OSError):
                continue
            if rate > 0:
                return rate
    return None
