"""Recordings that are read once more, for further pictures of people in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from streamreid.association.second_looks import FurtherPicture
from streamreid.config import CameraConfig
from streamreid.errors import SourceError
from streamreid.secrets import redact
from streamreid.sources import FrameSource, is_live, open_source
from streamreid.sources.pipes import is_pipe
from streamreid.types import Detections, FloatArray, Frame, PartFeatures

__all__ = ["RecordingsAgain", "read_once"]

Embed = Callable[[Sequence[Frame], Sequence[Detections]], list[PartFeatures]]
Described = tuple[FurtherPicture, FloatArray, FloatArray]


class RecordingsAgain:
    """Frames of recordings once more, from front to back: each is decoded at most once more, however often is asked.

    Args:
        cameras: The recordings.
        embed: Describes people in frames.
        stopped: Whether the run is to end; no more is read then.
        batch: Crops that are embedded at once.

    Attributes:
        lost: Cameras that cannot be read once more, with the reason.
    """

    def __init__(
        self, cameras: Sequence[CameraConfig], embed: Embed, *, stopped: Callable[[], bool], batch: int
    ) -> None:
        self._cameras = {camera.name: camera for camera in cameras}
        self._embed = embed
        self._stopped = stopped
        self._batch = batch
        self._marks = {name: _mark(camera) for name, camera in self._cameras.items()}
        self._open: dict[str, tuple[FrameSource, Iterator[Frame]]] = {}
        self.lost = {camera.name: why for camera in cameras if (why := read_once(camera))}

    def __repr__(self) -> str:
        return f"RecordingsAgain(cameras={len(self._cameras)}, open={len(self._open)})"

    def describe(self, wanted: Sequence[FurtherPicture]) -> Iterator[Described]:
        """See `FurtherPictures`. Batches do not depend on what else is read, so neither do features."""
        frames: list[Frame] = []
        pictures: list[list[FurtherPicture]] = []
        for frame, people in self._frames(wanted):
            frames.append(frame)
            pictures.append(people)
            if sum(map(len, pictures)) >= self._batch:
                yield from self._described(frames, pictures)
                frames, pictures = [], []
        if frames and not self._stopped():
            yield from self._described(frames, pictures)

    def close(self) -> None:
        """Close all files."""
        for source, _ in self._open.values():
            source.close()
        self._open = {}

    def _described(self, frames: list[Frame], pictures: list[list[FurtherPicture]]) -> Iterator[Described]:
        boxes = [Detections.from_arrays(np.array([p.box for p in people], np.float32)) for people in pictures]
        for people, features in zip(pictures, self._embed(frames, boxes), strict=True):
            yield from zip(people, features.parts, features.visibility, strict=True)

    def _frames(self, wanted: Sequence[FurtherPicture]) -> Iterator[tuple[Frame, list[FurtherPicture]]]:
        for camera, some in groupby(wanted, key=lambda p: p.camera):
            asked = [(time, list(people)) for time, people in groupby(some, key=lambda p: p.time)]
            if camera in self.lost:
                continue
            try:
                yield from self._frames_of(camera, asked)
            except SourceError as error:
                self.lost[camera] = redact(error).removeprefix(f"camera '{camera}': ")
            if self._stopped():
                return

    def _frames_of(
        self, camera: str, asked: list[tuple[float, list[FurtherPicture]]]
    ) -> Iterator[tuple[Frame, list[FurtherPicture]]]:
        left = iter(asked)
        time, people = next(left, (np.inf, []))
        for frame in self._reader(camera) if people else ():
            if self._stopped():
                return
            while time < frame.time:  # a frame that is not there this time
                time, people = next(left, (np.inf, []))
            if time == frame.time:
                yield frame, people
                time, people = next(left, (np.inf, []))
            if not people:
                return

    def _reader(self, name: str) -> Iterator[Frame]:
        if name not in self._open:
            camera = self._cameras[name]
            if _mark(camera) != self._marks[name]:
                raise SourceError(f"camera '{name}': {redact(camera.uri)} is not what it was when the run began")
            source = open_source(camera)
            self._open[name] = source, iter(source)
        return self._open[name][1]


def read_once(camera: CameraConfig) -> str:
    """Why a camera cannot be read once more; empty if it can."""
    if is_live(camera):
        return "a live camera is not read once more"
    if "://" not in camera.uri and is_pipe(Path(camera.uri)):
        return "a pipe can be read only once"
    return ""


def _mark(camera: CameraConfig) -> tuple[int, int] | None:
    """What tells whether a file was replaced; None where there is none."""
    try:
        found = Path(camera.uri).stat()
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns
