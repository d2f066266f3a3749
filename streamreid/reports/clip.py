"""One film of one person: all appearances in all cameras, in the order of time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from streamreid.errors import DataError, SourceError
from streamreid.reports.camera_pictures import CameraPictures, Period, Picture
from streamreid.reports.track_boxes import BoxesAt, TrackBoxes, boxes_of
from streamreid.runs.finished_identity import Appearance, FinishedIdentity
from streamreid.sinks.drawing import DrawStyle, Painter, caption, colour_of, draw_text, unit_of
from streamreid.sinks.video_encoder import VideoWriter
from streamreid.types import Image

__all__ = ["Clip", "ClipPart", "write_clip"]

MARGIN = 1.0
"""Seconds that are shown before and after each appearance."""

_JOIN = 2.0
"""Seconds between two appearances in a camera up to which they are shown in one."""

_SUBPIXELS = 8
"""Parts of a pixel in which lines are drawn."""

_CUT = 0.04
"""Seconds of the film from the last picture of one camera to the first of the next."""


@dataclass(frozen=True, slots=True)
class ClipPart:
    """A part of the film.

    Args:
        camera: That it shows.
        start: Capture time of its first picture, seconds.
        end: Capture time of its last picture, seconds.
        film_start: Where it begins in the film, seconds.
        pictures: How many there are.
    """

    camera: str
    start: float
    end: float
    film_start: float
    pictures: int


@dataclass(frozen=True, slots=True)
class Clip:
    """What was written.

    Args:
        path: The film.
        identity: Whom it shows.
        parts: In their order.
        missing: Why appearances in a camera are not shown, by camera.
    """

    path: Path
    identity: FinishedIdentity
    parts: tuple[ClipPart, ...]
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Shot:
    """An appearance, or several close together in one camera."""

    camera: str
    period: Period


def write_clip(
    pictures: CameraPictures,
    identity: FinishedIdentity,
    path: Path,
    *,
    margin: float = MARGIN,
    paths: bool = False,
) -> Clip:
    """Cut one person's appearances in all cameras into one film.

    Args:
        pictures: Of the run; people are hidden there as configured.
        identity: Of the same run.
        path: The .mp4 file.
        margin: Seconds before and after each appearance.
        paths: Draw where the person walked.

    Returns:
        Which parts the film has, and which appearances could not be shown, and why.

    Raises:
        DataError: No appearance can be shown; the message says why.
        OutputError: The film cannot be written.
    """
    run = pictures.run
    shots = _shots(identity.appearances, margin)
    keys = None if pictures.blur != "none" else {appearance.key for appearance in identity.appearances}
    boxes = boxes_of(run, keys)
    film = _ClipFilm(path, identity, len(shots), paths=paths)
    cameras = {
        camera: _Reader(pictures, camera, [shot.period for shot in shots if shot.camera == camera], boxes.get(camera))
        for camera in identity.cameras
    }
    try:
        for number, shot in enumerate(shots):
            reader = cameras[shot.camera]
            film.add(number, shot.camera, reader.next_period(), boxes.get(shot.camera))
    finally:
        film.close()
    missing = {camera: reader.problem for camera, reader in cameras.items() if reader.problem}
    if not film.parts:
        reasons = "; ".join(missing.values()) or "the recordings end before"
        raise DataError(f"no appearance of identity {identity.label} can be shown: {reasons}")
    return Clip(path, identity, tuple(film.parts), missing)


def _shots(appearances: Sequence[Appearance], margin: float) -> list[_Shot]:
    """What is shown, by its start."""
    shots: list[_Shot] = []
    last: dict[str, int] = {}
    for appearance in appearances:
        start, end = appearance.start - margin, appearance.end + margin
        before = last.get(appearance.camera)
        if before is not None and start - shots[before].period[1] <= max(0.0, _JOIN - 2 * margin):
            first, until = shots[before].period
            shots[before] = _Shot(appearance.camera, (first, max(until, end)))
        else:
            last[appearance.camera] = len(shots)
            shots.append(_Shot(appearance.camera, (start, end)))
    return shots


class _Reader:
    """The pictures of one camera, period by period; what goes wrong is kept."""

    def __init__(
        self, pictures: CameraPictures, camera: str, periods: Sequence[Period], boxes: TrackBoxes | None
    ) -> None:
        self.problem = ""
        self._pictures = iter(pictures.read(camera, periods, boxes))
        self._next: Picture | None = None
        self._number = -1

    def next_period(self) -> Iterable[Picture]:
        """The pictures of the next period."""
        self._number += 1
        while (picture := self._peek()) is not None and picture.period <= self._number:
            self._next = None
            if picture.period == self._number:
                yield picture

    def _peek(self) -> Picture | None:
        if self._next is None and not self.problem:
            try:
                self._next = next(self._pictures, None)
            except (DataError, SourceError) as error:
                self.problem = str(error)
        return self._next


class _ClipFilm:
    """The film while it is written."""

    def __init__(self, path: Path, identity: FinishedIdentity, count: int, *, paths: bool) -> None:
        self.parts: list[ClipPart] = []
        self._writer = VideoWriter(path, threads=0)
        self._identity, self._count, self._paths = identity, count, paths
        self._painter = Painter(DrawStyle(traces=False))
        self._keys = {appearance.key for appearance in identity.appearances}
        self._time = -_CUT

    def add(self, number: int, camera: str, pictures: Iterable[Picture], boxes: TrackBoxes | None) -> None:
        """Write the pictures of one period."""
        start = end = begin = 0.0
        count = 0
        for picture in pictures:
            if not count:
                start = end = picture.time
                begin = self._time + _CUT
            self._time = begin + picture.time - start
            image = self._draw(picture, camera, boxes)
            _label(image, f"{self._identity.label} · {number + 1} of {self._count}")
            self._writer.write(image, self._time)
            end, count = picture.time, count + 1
        if count:
            self.parts.append(ClipPart(camera, start, end, begin, count))

    def _draw(self, picture: Picture, camera: str, boxes: TrackBoxes | None) -> Image:
        image = picture.image.copy()
        at = self._of_identity(camera, picture.time, boxes)
        if self._paths and boxes is not None:
            self._draw_paths(image, camera, picture.time, boxes)
        who = np.full(len(at.ids), self._identity.global_id, np.int64)
        names = {self._identity.global_id: self._identity.name}
        image = self._painter.draw(image, at.boxes, who, at.ids, names=names)
        if not picture.drawn:  # a film has name and time in its pictures
            caption(image, camera, picture.time)
        return image

    def _draw_paths(self, image: Image, camera: str, time: float, boxes: TrackBoxes) -> None:
        """Draw where the person's feet were in this camera until now."""
        thickness = max(2, round(2.5 * unit_of(image)))
        for track, (times, seen) in boxes.tracks.items():
            if (camera, track) in self._keys:
                past = seen[: int(np.searchsorted(times, time, "right"))]
                feet = np.stack([(past[:, 0] + past[:, 2]) / 2, past[:, 3]], 1)
                points = np.round(feet * _SUBPIXELS).astype(np.int32)
                colour, bits = colour_of(self._identity.global_id), int(np.log2(_SUBPIXELS))
                cv2.polylines(image, [points], False, colour, thickness, cv2.LINE_AA, bits)

    def _of_identity(self, camera: str, time: float, boxes: TrackBoxes | None) -> BoxesAt:
        if boxes is None:
            return BoxesAt(np.zeros(0, np.int64), np.zeros((0, 4), np.float32))
        at = boxes.at(time)
        own = np.array([(camera, track) in self._keys for track in at.ids.tolist()], bool)
        return BoxesAt(at.ids[own], at.boxes[own])

    def close(self) -> None:
        """Finish the film; without a picture there is none."""
        self._writer.close()


def _label(image: Image, text: str) -> None:
    size = max(11, round(19 * unit_of(image)))
    edge = max(3, size // 3)
    draw_text(image, text, (edge, image.shape[0]), size)
