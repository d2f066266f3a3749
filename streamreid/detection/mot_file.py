"""Boxes that somebody else found, read from MOTChallenge text."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamreid.camera_names import legal_name
from streamreid.config import DetectorConfig
from streamreid.detection.base import Detector
from streamreid.errors import DataError, DetectorError
from streamreid.files import searched_from
from streamreid.mot_text import COLUMNS, NumberTable, first_frame, layout_of, read_numbers
from streamreid.types import BoolArray, Detections, FloatArray, Frame

__all__ = ["BoxFileDetector", "MotFileDetector"]

log = logging.getLogger(__name__)

_PEDESTRIAN = 1
"""The class of MOTChallenge (Dendorfer et al., IJCV 2021, table 3)."""


class MotFileDetector:
    """Reads ``frame, id, left, top, width, height[, score, ...]`` (frames from 1, pixels) instead of looking at
    pictures.

    Boxes are taken as they are: no suppression, no clipping; only ``confidence`` is applied. A score of -1 or none
    means 1. Files with other scores outside [0, 1] (margins of older detectors) are brought into it by the logistic
    function. Where column 8 holds classes, only people are taken: ``detector.classes`` if it is set, else 0 (person of
    COCO) where the file has it, else 1 (pedestrian of MOTChallenge). Which spellings are read: `mot_text.read_numbers`.

    Args:
        path: A folder with ``<camera>.txt`` (or the name that the camera's name was made of: ``Büro Süd.txt`` for
            Buro_Sud) or ``<camera>/det/det.txt``, or one file for one camera.
        config: For ``confidence``.

    Raises:
        DetectorError: The folder or file does not exist.
    """

    def __init__(self, path: str | Path, config: DetectorConfig) -> None:
        self._path = Path(path)
        self._confidence = config.confidence
        self._classes = config.classes
        self._cameras: dict[str, dict[int, FloatArray]] = {}
        if not self._path.exists():
            raise DetectorError(f"detector 'mot:{self._path}': no such file or folder{searched_from(self._path)}")
        self.name = f"mot:{self._path.name}"

    @property
    def fingerprint(self) -> str:
        """Hash of every file, of the confidence and of the classes, if any were set."""
        return (
            self.checksum
            if self._classes is None
            else hashlib.sha256(f"{self.checksum} {self._classes}".encode()).hexdigest()
        )

    @property
    def checksum(self) -> str:
        """Hash of every file and of the confidence, which is what caches of all versions store."""
        digest = hashlib.sha256(repr(self._confidence).encode())
        files = (
            [self._path]
            if self._path.is_file()
            else sorted({*self._path.glob("*.txt"), *self._path.glob("*/det/det.txt")})
        )
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

    def prepare_camera(self, camera: str) -> None:
        """Read the boxes of a camera now, and not with its first frame, for which others would wait.

        Raises:
            DataError: See ``__call__``.
        """
        if camera not in self._cameras:
            self._cameras[camera] = self._read(self.file_of(camera, beside=self._cameras))

    def _find(self, frame: Frame) -> Detections:
        self.prepare_camera(frame.camera)
        rows = self._cameras[frame.camera].get(frame.index + 1)
        if rows is None:
            return Detections.empty()
        rows = rows[rows[:, 4] >= self._confidence]
        return Detections.from_arrays(rows[:, :4], rows[:, 4])

    def file_of(self, camera: str, *, beside: Iterable[str] = ()) -> Path:
        """The file with a camera's boxes, which is not read.

        Args:
            camera: The camera's name.
            beside: Other cameras, which have boxes here too.

        Raises:
            DataError: There is none, there are several, or it is that of another camera.
        """
        if self._path.is_file():
            first = next((name for name in beside if name != camera), None)
            if first is not None:
                raise DataError(
                    f"{self._path}: one file holds the boxes of one camera ('{first}'), but there is also '{camera}'; "
                    "pass a folder"
                )
            return self._path
        names = [self._path / f"{camera}.txt", self._path / camera / "det" / "det.txt"]
        for name in names:
            if name.is_file():
                return name
        called = self._called_otherwise(camera)
        if len(called) > 1:
            raise DataError(
                f"no boxes for camera '{camera}': {', '.join(str(p) for p in called)} could all be meant; call the "
                f"right one {names[0].name}"
            )
        if called:
            return called[0]
        raise DataError(f"no boxes for camera '{camera}': neither {names[0]} nor {names[1]} exists")

    def _called_otherwise(self, camera: str) -> list[Path]:
        """Files or folders whose names become this camera's name: of ``Büro Süd.mp4`` and ``Büro Süd.txt`` that is
        Buro_Sud."""
        found = [p for p in self._path.glob("*.txt") if legal_name(p.stem) == camera]
        return sorted(
            found
            + [
                p / "det" / "det.txt"
                for p in self._path.iterdir()
                if legal_name(p.name) == camera and (p / "det" / "det.txt").is_file()
            ]
        )

    def _read(self, file: Path) -> dict[int, FloatArray]:
        table = read_numbers(file)
        rows, scores = table.rows, _scores(table)
        _check(table)
        shift = 1 - first_frame(table)
        if shift:
            log.warning("%s: frames are counted from 0; they are taken as 1, 2, ... (as MOT text counts)", file)
        people = self._people(table)
        corners = np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6], scores[:, None]], 1).astype(np.float32)[
            people
        ]
        frames = (rows[people, 0] + shift).astype(np.int64)
        order = np.argsort(frames, kind="stable")
        numbers, starts = np.unique(frames[order], return_index=True)
        return dict(zip(numbers.tolist(), np.split(corners[order], starts[1:]), strict=True)) if len(numbers) else {}

    def _people(self, table: NumberTable) -> BoolArray:
        """Which rows show people, by the class in column 8, if there is one."""
        classes = _classes(table)
        if classes is None:
            return np.ones(len(table), bool)
        known = np.unique(classes).tolist()
        # MOTChallenge counts from 1, pedestrian; files of COCO detectors from 0, person.
        wanted = self._classes if self._classes is not None else ((0,) if 0 in known else (_PEDESTRIAN,))
        chosen: BoolArray = np.isin(classes, wanted)
        other = [c for c in known if c not in wanted]
        if other:
            log.warning(
                "%s: column 8 holds classes; of %d boxes the %d of class %s are taken as people, those of %s are left "
                "out (detector.classes chooses)",
                table.path,
                len(table),
                int(chosen.sum()),
                ", ".join(map(str, wanted)),
                ", ".join(map(str, other[:10])),
            )
        return chosen


def _check(table: NumberTable) -> None:
    """Refuse what is no box.

    Raises:
        DataError: Names the first such line.
    """
    rows = table.rows
    if layout_of(table, None if table.blanks else "mot") == "aicity":
        raise DataError(
            f"{table.path}: AI City text (camera, id, frame, ...); write one file per camera: frame, id, left, top, "
            "width, height, score"
        )
    faults = (
        (~np.isfinite(rows[:, :6]).all(1) | np.isinf(rows[:, 6]), "a value is not finite"),
        ((rows[:, 0] != np.floor(rows[:, 0])) | (rows[:, 0] < 0), "frame numbers are whole and begin at 1 (or 0)"),
        ((rows[:, 4:6] <= 0).any(1), "width and height must be above 0"),
    )
    for wrong, why in faults:
        if wrong.any():
            row = int(np.argmax(wrong))
            values = ", ".join(f"{v:g}" for v in rows[row, :6])
            raise DataError(f"{table.at(row)}: {why}, got {values}")


def _scores(table: NumberTable) -> NDArray[np.float64]:
    given = table.rows[:, 6]
    scores = np.where(np.isnan(given) | (given == -1), 1.0, given)
    if len(scores) and (scores.min() < 0 or scores.max() > 1):
        log.warning(
            "%s: scores outside [0, 1] are taken as margins and brought into it by the logistic function", table.path
        )
        scores = 1 / (1 + np.exp(-np.clip(scores, -500, 500)))
    return np.asarray(scores, np.float64)


def _classes(table: NumberTable) -> NDArray[np.int64] | None:
    """Column 8, where it holds classes: whole numbers, not followed by the other two coordinates of a place in the
    world; else None."""
    rows = table.rows
    values = rows[:, 7]
    if not len(rows) or np.isnan(values).any() or (values != np.floor(values)).any() or (values < 0).any():
        return None
    rest = rows[:, 8:10]
    place = table.columns >= COLUMNS and not (np.isnan(rest) | (rest == -1)).all()
    return None if place else values.astype(np.int64)


class BoxFileDetector:
    """For cameras that are text files of boxes, the boxes in them; for all others a detector.

    Args:
        files: By camera.
        config: For ``confidence``.
        others: Finds the people of the other cameras; None if there is no other.

    Raises:
        DetectorError: A file does not exist.
    """

    def __init__(self, files: Mapping[str, Path], config: DetectorConfig, others: Detector | None = None) -> None:
        self._files = {camera: MotFileDetector(path, config) for camera, path in files.items()}
        self._others = others
        self.name = "boxes of files" if others is None else f"{others.name}, boxes of files"

    @property
    def fingerprint(self) -> str:
        """Hash of every file and of the other detector."""
        marks = [f"{camera} {found.fingerprint}" for camera, found in sorted(self._files.items())]
        return hashlib.sha256(
            "\n".join([*marks, "" if self._others is None else self._others.fingerprint]).encode()
        ).hexdigest()

    def __call__(self, frames: Sequence[Frame]) -> list[Detections]:
        """See ``Detector``.

        Raises:
            DataError: A malformed line (file and line named).
            DetectorError: A camera with pictures, and no detector for it.
        """
        seen = [f for f in frames if f.camera not in self._files]
        if seen and self._others is None:
            raise DetectorError(
                f"camera '{seen[0].camera}' came while the run had no detector, because all cameras were files of "
                "boxes; start again"
            )
        found = iter(self._others(seen)) if self._others is not None and seen else iter(())
        return [self._files[f.camera]([f])[0] if f.camera in self._files else next(found) for f in frames]
