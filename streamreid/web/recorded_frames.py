"""Frames of a finished run at any capture time: the picture, where it may still be shown, and who is where in it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from time import monotonic
from typing import Any

import numpy as np

from streamreid.errors import StreamReIDError
from streamreid.reports.camera_pictures import CameraPictures, Picture
from streamreid.reports.track_boxes import TrackBoxes, boxes_of
from streamreid.runs.finished_run import FinishedRun
from streamreid.sinks.result_reader import Observations
from streamreid.types import Float64Array, FloatArray, IntArray
from streamreid.web.pictures import encoded, share_boxes

__all__ = ["ObservedBoxes", "RecordedFrames"]

_AHEAD = 10.0
"""Seconds up to which a recording is read on instead of being opened anew: as fast, and nothing is decoded twice."""

_BEFORE = 1.0
"""Seconds before a moment from which a recording is read, so that a picture is there that is shown then."""

_STRETCH = 10.0
"""Seconds that are read at once where people are hidden: who has to be is found by a detector."""

_NEAR = 0.5
"""Seconds by which a frame of the results may differ from a moment that is asked for, where there is no picture."""

_SAME = 2e-3
"""Seconds by which the time of a picture and that of its line in the results differ by rounding."""

_IDLE_SECONDS = 30.0
"""After which a recording that nobody looks at is closed."""

_BLANK = (640, 480)
"""Width and height where nothing says how large pictures were."""


class ObservedBoxes:
    """Who was where in the frames of one camera.

    Args:
        times: ``[N]`` capture times, rising.
        tracks: ``[N]`` track ids.
        boxes: ``[N, 4]`` xyxy in pixels.
    """

    def __init__(self, times: Float64Array, tracks: IntArray, boxes: FloatArray) -> None:
        order = np.argsort(times, kind="stable")
        self.times, self.tracks, self.boxes = times[order], tracks[order], boxes[order]

    def nearest(self, time: float, within: float) -> float | None:
        """The capture time of the frame next to a moment; None if there is none so near."""
        place = int(np.searchsorted(self.times, time))
        near = [float(self.times[i]) for i in (place - 1, place) if 0 <= i < len(self.times)]
        best = min(near, key=lambda other: abs(other - time), default=None)
        return best if best is not None and abs(best - time) <= within else None

    def at(self, time: float) -> tuple[IntArray, FloatArray]:
        """Track ids and boxes of the frame of a capture time."""
        first, last = np.searchsorted(self.times, (time - _SAME, time + _SAME))
        return self.tracks[first:last], self.boxes[first:last]


class RecordedFrames:
    """Frames of a run that is over. May be asked from any thread.

    Args:
        run: The run.
        pictures: Where its pictures are.
    """

    def __init__(self, run: FinishedRun, pictures: CameraPictures) -> None:
        self._run, self._pictures = run, pictures
        self._readers = {camera: _Reader(camera, pictures, self._tracks) for camera in run.cameras}
        self._lock = threading.Lock()
        self.reasons: dict[str, str] = {}
        """Why a camera has no pictures."""

    def follow(self, run: FinishedRun) -> None:
        """Somebody was corrected: the same run with other identities."""
        self._run = run

    @cached_property
    def _boxes(self) -> dict[str, ObservedBoxes]:
        return _observed(self._run) if self._run.has_boxes else {}

    def _tracks(self, camera: str) -> TrackBoxes | None:
        """What is hidden beside what the detector finds."""
        return self._hidden.get(camera) if self._pictures.blur != "none" else None

    @cached_property
    def _hidden(self) -> dict[str, TrackBoxes]:
        return boxes_of(self._run) if self._run.has_boxes else {}

    def frame(self, camera: str, width: int, time: float | None) -> tuple[bytes, bytes]:
        """JSON of who is where (as of moving pictures), and a JPEG; empty where no picture may be shown.

        Args:
            camera: Its name.
            width: At most so many pixels.
            time: Capture time; None for the beginning.
        """
        with self._lock:
            known = self._boxes.get(camera)
        moment = self._run.start or 0.0 if time is None else time
        picture = self._picture(camera, moment)
        if picture is not None:
            size = picture.image.shape[1], picture.image.shape[0]
            people = [] if known is None or picture.drawn else self._people(camera, known, picture.time, size)
            return _header(camera, picture.time, size, people), encoded(picture.image, width)
        size = self._size(camera)
        nearest = None if known is None else known.nearest(moment, _NEAR)
        people = [] if known is None or nearest is None else self._people(camera, known, nearest, size)
        return _header(camera, moment, size, people), b""

    def _picture(self, camera: str, time: float) -> Picture | None:
        if camera in self.reasons:
            return None
        for other in self._readers.values():
            other.close_if_idle()
        try:
            return self._readers[camera].at(time)
        except StreamReIDError as error:
            self.reasons[camera] = str(error)
            return None

    def _people(self, camera: str, known: ObservedBoxes, time: float, size: tuple[int, int]) -> list[dict[str, Any]]:
        tracks, boxes = known.at(time)
        links, names = self._run.links, self._run.links.names
        people = []
        for track, box in zip(tracks.tolist(), share_boxes(boxes, size), strict=True):
            who, probability = links.get((camera, track), (0, 0.0))
            person = {"box": box, "track_id": track, "global_id": who or None, "name": names.get(who)}
            people.append({**person, "probability": round(probability, 3) if who else None, "visibility": []})
        return people

    def _size(self, camera: str) -> tuple[int, int]:
        with suppress(StreamReIDError, KeyError, TypeError):
            width, height = (self._run.summary or {})["cameras"][camera]["frame_size"]
            return int(width), int(height)
        known = self._boxes.get(camera)
        if known is None or not len(known.boxes):
            return _BLANK
        right, bottom = known.boxes[:, 2:].max(axis=0)
        return max(1, int(right)), max(1, int(bottom))

    def close(self) -> None:
        """Close recordings."""
        for reader in self._readers.values():
            reader.close()


class _Reader:
    """The recording of one camera, read on from picture to picture where time goes on."""

    def __init__(self, camera: str, pictures: CameraPictures, tracks: Callable[[str], TrackBoxes | None]) -> None:
        self._camera, self._source, self._tracks = camera, pictures, tracks
        self._lock = threading.Lock()
        self._pictures: Iterator[Picture] | None = None
        self._now: Picture | None = None
        self._next: Picture | None = None
        self._used = monotonic()

    def at(self, time: float) -> Picture | None:
        """The picture that is shown at a moment: the last one that is not after it, or the first one.

        Raises:
            StreamReIDError: There is none that may be shown.
        """
        with self._lock:
            self._used = monotonic()
            if not self._goes_on(time):
                self._open(time)
            while self._next is not None and self._next.time <= time + _SAME:
                self._now, self._next = self._next, self._following()
            return self._now or self._next

    def _goes_on(self, time: float) -> bool:
        first, last = self._now, self._next or self._now
        if self._pictures is None or first is None or last is None:
            return False
        return first.time - _SAME <= time <= last.time + _AHEAD

    def _open(self, time: float) -> None:
        self._shut()
        until = time + _STRETCH if self._source.blur != "none" else float("inf")
        periods = [(time - _BEFORE, until)]
        self._pictures = self._source.read(self._camera, periods, self._tracks(self._camera))
        self._next = self._following()

    def _following(self) -> Picture | None:
        return None if self._pictures is None else next(self._pictures, None)

    def close_if_idle(self) -> None:
        """Close the recording if nobody has looked at it for a while."""
        if monotonic() - self._used > _IDLE_SECONDS and self._lock.acquire(blocking=False):
            try:
                self._shut()
            finally:
                self._lock.release()

    def close(self) -> None:
        """Close the recording."""
        with self._lock:
            self._shut()

    def _shut(self) -> None:
        if self._pictures is not None:
            getattr(self._pictures, "close", lambda: None)()
        self._pictures = self._now = self._next = None


def _observed(run: FinishedRun) -> dict[str, ObservedBoxes]:
    """Everybody in every frame, by camera: 32 bytes per person and frame."""
    parts: dict[str, list[tuple[Float64Array, IntArray, FloatArray]]] = {}

    def take(rows: Observations) -> None:
        cameras = np.array(rows.cameras)
        for camera in dict.fromkeys(rows.cameras):
            here = cameras == camera
            parts.setdefault(camera, []).append((rows.times[here], rows.track_ids[here], rows.boxes[here]))

    run.observations(take)
    return {
        camera: ObservedBoxes(*(np.concatenate(column) for column in zip(*chunks, strict=True)))
        for camera, chunks in parts.items()
    }


def _header(camera: str, time: float, size: tuple[int, int], people: list[dict[str, Any]]) -> bytes:
    values = {"camera": camera, "time": round(time, 3), "size": list(size), "people": people}
    return json.dumps(values, ensure_ascii=False).encode()
