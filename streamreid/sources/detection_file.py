"""Recordings of which only the boxes are left: frames without pictures, as many as a text file of detections has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from streamreid.config import CameraConfig
from streamreid.errors import DataError, SourceError
from streamreid.mot_text import first_frame, read_numbers
from streamreid.sources.base import Selection, SourceBase
from streamreid.sources.local_files import file_fault
from streamreid.types import Frame

__all__ = ["BoxesSource"]

_MOST_FRAMES = 100_000_000
"""A month at 40 frames per second."""


class BoxesSource(SourceBase):
    """Frames 1 to the last of a MOT text file, without pictures; for ``detector: mot:FOLDER`` and ``engine: none``.

    Capture time is ``start_time`` + ``offset`` + number / ``fps``, clock "rate".

    Args:
        config: The camera; ``uri`` is the file, ``size`` and ``fps`` are needed.

    Raises:
        SourceError: The file is missing or no MOT text, or size or rate are not given.
    """

    def __init__(self, config: CameraConfig) -> None:
        super().__init__(config, live=False)
        self._where = f"camera '{config.name}': {config.uri}"
        if config.size is None or config.fps is None:
            raise SourceError(f"{self._where}: a text file has no pictures; give their size ([width, height]) and fps")
        self._size, self._rate = config.size, config.fps
        self._closed = False
        fault = file_fault(Path(config.uri))
        if fault:
            raise SourceError(f"{self._where}: {fault}")
        try:
            table = read_numbers(Path(config.uri))
        except DataError as error:
            # Only where it is wrong, not what stands there: by HTTP, whoever adds a camera chooses the file.
            place = str(error).partition(": ")[0]
            raise SourceError(
                f"{self._where}: not MOT text (frame, id, left, top, width, height, ...): see {place}"
            ) from None
        last = float(table.rows[:, 0].max()) if len(table) else 0.0
        if not 0 <= last < _MOST_FRAMES:
            raise SourceError(
                f"{self._where}: its last frame would be number {last:g}; frame numbers are whole, from 1 to "
                f"{_MOST_FRAMES}"
            )
        self._count = int(last) + 1 - first_frame(table)
        if self._count < 1:
            raise SourceError(f"{self._where}: holds no boxes, so its length is unknown")

    @property
    def expected_frames(self) -> int | None:
        """How many frames will come."""
        left = max(0, self._count - round(self._config.start * self._rate))
        return Selection(self._config).of(left * self._config.repeat)

    def __iter__(self) -> Iterator[Frame]:
        """The frames, from the beginning."""
        selection = Selection(self._config)
        for index in range(self._count * self._config.repeat):
            if self._closed or selection.done:
                return
            if selection.take(index % self._count / self._rate):
                yield Frame.without_image(
                    self.camera, index, self._config.begin + index / self._rate, size=self._size, clock="rate"
                )

    def close(self) -> None:
        """The iterator ends before its next frame."""
        self._closed = True
