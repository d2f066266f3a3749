"""Boxes that somebody else found, read from MOTChallenge text."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from streamreid.config import DetectorConfig
from streamreid.errors import DataError, DetectorError
from streamreid.types import Detections, FloatArray, Frame

__all__ = ["MotFileDetector"]

log = logging.getLogger(__name__)


class MotFileDetector:
    """Reads ``frame, id, left, top, width, height[, score, ...]`` (frames from 1, pixels) instead of looking at pictures.

    Boxes are taken as they are: no suppression, no clipping; only ``confidence`` is applied. A score of -1 or none means 1.
    Files with other scores outside [0, 1] (margins of older detectors) are brought into it by the logistic function.

    Args:
        path: A folder with ``<camera>.txt`` or ``<camera>/det/det.txt``, or one file for one camera.
        config: For ``confidence``.

    Raises:
        DetectorError: The folder or file does not exist.
    """

    def __init__(self, path: str | Path, config: DetectorConfig) -> None:
        self._path = Path(path)
        self._confidence = config.confidence
        self._cameras: dict[str, dict[int, FloatArray]] = {}
        if not self._path.exists():
            raise DetectorError(f"detector 'mot:{self._path}': no such file or folder")
        self.name = f"mot:{self._path.name}"

    @property
    def fingerprint(self) -> str:
        """Hash of every file and of the confidence."""
        digest = hashlib.sha256(repr(self._confidence).encode())
        files = [self._path] if self._path.is_file() else sorted({*self._path.glob("*.txt"), *self._path.glob("*/det/det.txt")})
        for file in files:
            digest.update(file.relative_to(self._path.parent).as_posix().encode())
            digest.update(file.read_bytes())
        return digest.hexdigest()

    def __call__(self, frames: Sequence[Frame]) -> list[Detections]:
        """See ``Detector``.

        Raises:
            DataError: No file for a camera, one file for several cameras, or a malformed line (file and line named).
        """
        return [self._find(frame) for frame in frames]

    def _find(self, frame: Frame) -> Detections:
        if frame.camera not in self._cameras:
            self._cameras[frame.camera] = self._read(self._file(frame.camera))
        rows = self._cameras[frame.camera].get(frame.index + 1)
        if rows is None:
            return Detections.empty()
        rows = rows[rows[:, 4] >= self._confidence]
        return Detections.from_arrays(rows[:, :4], rows[:, 4])

    def _file(self, camera: str) -> Path:
        if self._path.is_file():
            if self._cameras:
                first = next(iter(self._cameras))
                raise DataError(
                    f"{self._path}: one file holds the boxes of one camera ('{first}'), but there is also '{camera}'; pass a folder"
                )
            return self._path
        names = [self._path / f"{camera}.txt", self._path / camera / "det" / "det.txt"]
        for name in names:
            if name.is_file():
                return name
        raise DataError(f"no boxes for camera '{camera}': neither {names[0]} nor {names[1]} exists")

    def _read(self, file: Path) -> dict[int, FloatArray]:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{file}: cannot be read as text: {error}") from None
        found: dict[int, list[tuple[float, ...]]] = {}
        for number, line in enumerate(lines, start=1):
            if line.strip():
                frame, box = _parse(line, f"{file}:{number}")
                found.setdefault(frame, []).append(box)
        result = {frame: np.array(rows, np.float32) for frame, rows in found.items()}
        scores = [rows[:, 4] for rows in result.values()]
        if scores and (min(s.min() for s in scores) < 0 or max(s.max() for s in scores) > 1):
            log.warning("%s: scores outside [0, 1] are taken as margins and brought into it by the logistic function", file)
            for rows in result.values():
                rows[:, 4] = 1 / (1 + np.exp(-rows[:, 4]))
        return result


def _parse(line: str, where: str) -> tuple[int, tuple[float, ...]]:
    fields = line.replace(",", " ").split()
    if len(fields) < 6:
        raise DataError(f"{where}: expected 'frame, id, left, top, width, height[, score, ...]', got {len(fields)} values: {line[:80]!r}")
    try:
        values = [float(f) for f in fields[:7]]
    except ValueError:
        raise DataError(f"{where}: not a number among the first seven values: {line[:80]!r}") from None
    if not all(math.isfinite(v) for v in values):
        raise DataError(f"{where}: a value is not finite: {line[:80]!r}")
    frame, _, left, top, width, height = values[:6]
    if frame != int(frame) or frame < 1:
        raise DataError(f"{where}: frame numbers are whole and begin at 1, got {fields[0]}")
    if width <= 0 or height <= 0:
        raise DataError(f"{where}: width and height must be above 0, got {fields[4]} x {fields[5]}")
    score = values[6] if len(values) > 6 and values[6] != -1 else 1.0
    return int(frame), (left, top, left + width, top + height, score)
