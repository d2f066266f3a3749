"""When the pictures of a film were captured.

Beside a film ``hall.mp4`` lies ``hall.times.csv``: a row ``film_seconds,capture_time`` for its first picture, and a
further one wherever capture time and film run apart, because a camera was away and the gap was shortened, or a clock
was set. From a row on, capture time passes as the film does. So a moment of the run is found in the film, also where
the run was killed.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamreid.errors import DataError
from streamreid.sinks.base import LineFile
from streamreid.types import Float64Array

__all__ = ["FilmClock", "FilmTimes", "film_camera", "read_film_times", "times_name"]

_HEADER = "film_seconds,capture_time\n"
_APART = 0.005
"""Seconds by which film and capture time may differ before a row is written: less than half of any frame's time."""

_HALF_TICK = 5e-6
"""Seconds: half of the least distance of two pictures. A row holds for the picture that it was written for."""


def times_name(film: Path) -> Path:
    """The file with the times of a film."""
    return film.with_name(film.stem + ".times.csv")


def film_camera(film: Path, cameras: Collection[str]) -> str:
    """Whose film it is: films of live cameras are called ``hall.mp4``, ``hall-2.mp4``, ..., and ``.part.mp4`` while
    they are written."""
    stem = film.stem.removesuffix(".part").removesuffix(".final")
    return stem if stem in cameras else re.sub(r"-\d+$", "", stem)


class FilmClock:
    """Writes the times of a film while it grows.

    Args:
        path: The .csv file; it is made with the first picture.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: LineFile | None = None
        self._film = self._time = 0.0

    def tick(self, film: float, time: float) -> None:
        """Take a picture.

        Args:
            film: Seconds since the beginning of the film.
            time: Its capture time in seconds.

        Raises:
            OutputError: The file cannot be written.
        """
        if self._file is None:
            self._file = LineFile(self._path)
            self._file.write(_HEADER)
        elif abs((time - self._time) - (film - self._film)) <= _APART:
            return
        self._film, self._time = film, time
        self._file.write(f"{film:.6f},{time:.6f}\n")

    def close(self) -> None:
        """Close the file; again is harmless."""
        if self._file is not None:
            self._file.close()


@dataclass(frozen=True, slots=True, eq=False)
class FilmTimes:
    """The times of a film.

    Args:
        film: ``[N]`` float64 seconds since the beginning of the film, rising.
        capture: ``[N]`` float64 capture times in seconds.
    """

    film: Float64Array
    capture: Float64Array

    @property
    def start(self) -> float:
        """Capture time of the first picture."""
        return float(self.capture[0])

    def captured(self, film: float) -> float:
        """Capture time of the picture that the film shows after so many seconds."""
        row = max(0, int(np.searchsorted(self.film, film + _HALF_TICK, "right")) - 1)
        return float(self.capture[row] + (film - self.film[row]))

    def intervals(self, start: float, end: float) -> list[tuple[float, float]]:
        """Where the film shows a period, as seconds since its beginning; one interval for each row of the times.

        Args:
            start: Capture time in seconds.
            end: Capture time in seconds.
        """
        found = []
        for film, capture, until in zip(self.film, self.capture, np.append(self.film[1:], np.inf), strict=True):
            first, last = max(film, film + start - capture), min(until, film + end - capture)
            if first <= last:
                found.append((float(first), float(last)))
        return found


def read_film_times(film: Path) -> FilmTimes | None:
    """The times of a film; None where no file with them lies beside it.

    Raises:
        DataError: The file is damaged.
    """
    path = times_name(film)
    if not path.is_file():
        return None
    rows = []
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(keepends=True), 1):
            if number > 1 and line.endswith("\n"):
                film_seconds, time = line.split(",")
                rows.append((float(film_seconds), float(time)))
    except (OSError, ValueError) as error:
        raise DataError(f"'{path}' is not a file of film times ({error}); delete it to do without it") from None
    if not rows:
        return None
    table = np.array(rows, np.float64)
    return FilmTimes(table[:, 0], table[:, 1])
