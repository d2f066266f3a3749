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
from streamreid.sources.base import Selection, SourceBase
from streamreid.types import Frame, Image

__all__ = ["ImageFolderSource", "natural_key"]

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_DEFAULT_RATE = 25.0


class ImageFolderSource(SourceBase):
    """The pictures of a folder in natural order (``2.jpg`` before ``10.jpg``); other files are ignored.

    Capture time is ``start_time`` + ``offset`` + number / rate, clock "rate". The rate is ``fps`` of the configuration, else ``frameRate`` of a MOTChallenge
    ``seqinfo.ini`` in the folder or the one above, else 25. A folder with an ``img1`` subfolder is a MOTChallenge sequence: that is read.
    A picture that cannot be decoded, or is cut off, is skipped and named in ``warnings``; it keeps its number.

    Args:
        config: The camera; ``uri`` is the folder.

    Raises:
        SourceError: The folder is missing or has no pictures.
    """

    def __init__(self, config: CameraConfig) -> None:
        super().__init__(config, live=False)
        self._where = f"camera '{config.name}': {config.uri}"
        folder = Path(config.uri)
        if not folder.is_dir():
            raise SourceError(f"{self._where}: no such folder. Check the path")
        self._folder = folder / "img1" if (folder / "img1").is_dir() else folder
        try:
            self._files = sorted((p for p in self._folder.iterdir() if _is_picture(p)), key=natural_key)
        except OSError as e:
            raise SourceError(f"{self._where}: the folder cannot be read ({e.strerror}). Check its permissions") from None
        if not self._files:
            raise SourceError(f"{self._where}: contains no pictures ({', '.join(sorted(IMAGE_SUFFIXES))}). Name the folder that has them")
        self._rate = config.fps or _sequence_rate(self._folder) or _DEFAULT_RATE
        self._closed = False

    @property
    def expected_frames(self) -> int | None:
        """How many frames will come if every picture is readable."""
        left = max(0, len(self._files) - round(self._config.start * self._rate))
        return Selection(self._config).of(left * self._config.repeat)

    def __iter__(self) -> Iterator[Frame]:
        """The frames, from the beginning.

        Raises:
            SourceError: Not one picture could be read, or nothing is left after ``start``.
        """
        selection = Selection(self._config)
        delivered = False
        for index in range(len(self._files) * self._config.repeat):
            if self._closed or selection.done:
                return
            number = index % len(self._files)
            if not selection.take(number / self._rate):
                continue
            image = self._read(self._files[number])
            if image is not None:
                delivered = True
                self._notes.size(image.shape[1], image.shape[0], index)
                yield Frame(self.camera, index, self._config.begin + index / self._rate, image, "rate")
        if not delivered and selection.taken:
            raise SourceError(f"{self._where}: none of its {len(self._files)} pictures can be read. {self.warnings[0]}")
        if not delivered:
            seconds = len(self._files) / self._rate
            raise SourceError(f"{self._where}: nothing is left after start: {self._config.start:g}; they last {seconds:.1f} s. Lower it")

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


def _is_picture(path: Path) -> bool:
    # Names with a leading dot are thumbnails and resource forks of other systems.
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _cut_off(data: bytes) -> bool:
    """Whether a JPEG or PNG ends before its end mark: decoders then fill the rest with grey and say nothing."""
    if data.startswith(b"\xff\xd8"):
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    return data.startswith(b"\x89PNG") and b"IEND" not in data[-64:]


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
