"""What crosses the seam between the cameras' half of a run and the people's half: tracks and features of one frame,
without its picture.

Perception (cameras, detector, engine, trackers) makes a :class:`TrackUpdate` of every frame; the site (association,
ground plane, gallery, events) needs nothing else, and runs as well in another process or on another machine:
``TrackUpdate.from_bytes(update.to_bytes())``
gives the same results to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid._packing import pack, unpack
from streamreid.errors import DataError
from streamreid.types import Detections, FloatArray, Frame, PartFeatures, SimilaritySums, Tracks

__all__ = ["TrackObservation", "TrackUpdate", "TrackedFrame"]

_KIND = b"SRTU"
_VERSION = 1
"""Of the bytes; it grows when an older reader could not read them."""


@dataclass(frozen=True, slots=True, eq=False)
class TrackedFrame:
    """A frame whose tracks are final, so that its result can be given.

    Args:
        frame: The frame; without its picture where it was sent.
        tracks: N people.
        visibility: ``[N, K]`` float32 in [0, 1]; 0 for a person who was not embedded.
        blur_boxes: ``[M, 4]`` float32 xyxy of what is to be blurred; None if nothing is.
    """

    frame: Frame
    tracks: Tracks
    visibility: FloatArray
    blur_boxes: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TrackObservation:
    """People of one frame whose track ids are final, for the association.

    Args:
        camera: Name of the camera.
        time: Capture time in seconds.
        tracks: N people who were detected, not predicted.
        features: N rows.
        quality: ``[N]`` in [0, 1]: how little of the person was hidden, how sure the detector was.
    """

    camera: str
    time: float
    tracks: Tracks
    features: PartFeatures
    quality: FloatArray

    def pick(self, rows: np.ndarray) -> TrackObservation:
        """Some of the people, by index or mask."""
        return TrackObservation(self.camera, self.time, self.tracks[rows], self.features[rows], self.quality[rows])

    def renamed(self, track_id: int) -> TrackObservation:
        """The same, single person under another id."""
        t = self.tracks
        return TrackObservation(
            self.camera,
            self.time,
            Tracks(np.full_like(t.ids, track_id), t.boxes, t.scores, t.rows),
            self.features,
            self.quality,
        )


@dataclass(frozen=True, slots=True, eq=False)
class TrackUpdate:
    """What the next frame of one camera adds; also what is released or given up without a frame.

    Args:
        frame: The frame, None where no camera gave one. In one process it still has its picture, for sinks that draw;
            ``to_bytes`` leaves that out.
        detections: N boxes of the frame inside the region of interest, tracked or not; calibrated cameras place them on
            the ground.
        observations: People whose track ids have become final, in this frame and, if results are delayed, in frames
            before.
        released: Frames whose tracks are final, oldest first, each once.
        impostors: Similarities of different people in the frame, for the calibration of the site.
        blur_boxes: ``[M, 4]`` float32 xyxy of what is to be blurred in the frame, as far as is known now; None if
            nothing is.
        removed: Cameras that were taken out for good; ``observations`` is then what was held back of them, and there is
            no frame.
        last: Whether the run ends here.
    """

    frame: Frame | None = None
    detections: Detections | None = None
    observations: tuple[TrackObservation, ...] = ()
    released: tuple[TrackedFrame, ...] = ()
    impostors: SimilaritySums | None = None
    blur_boxes: FloatArray | None = None
    removed: tuple[str, ...] = ()
    last: bool = False

    def __repr__(self) -> str:
        what = "None" if self.frame is None else f"{self.frame.camera}/{self.frame.index}"
        return f"TrackUpdate(frame={what}, observations={len(self.observations)}, released={len(self.released)})"

    def to_bytes(self) -> bytes:
        """This update without pictures: about 5 KB for four people who were embedded, 0.5 KB where nobody was."""
        out = _Writer()
        values = {
            "version": _VERSION,
            "frame": None if self.frame is None else _frame_values(self.frame),
            "detections": out.optional(self.detections, out.detections),
            "observations": [out.observation(o) for o in self.observations],
            "released": [out.released(r) for r in self.released],
            "impostors": None if self.impostors is None else list(self.impostors),
            "blur": out.optional(self.blur_boxes, out.arrays.append),
            "removed": list(self.removed),
            "last": self.last,
        }
        return pack(_KIND, values, out.arrays)

    @classmethod
    def from_bytes(cls, data: bytes) -> TrackUpdate:
        """The update of which ``to_bytes`` made these bytes.

        Raises:
            DataError: They are something else, of another version, or damaged.
        """
        values, arrays = unpack(_KIND, data)
        if values.get("version") != _VERSION:
            raise DataError(
                f"a track update of version {values.get('version')}, expected {_VERSION}: "
                "run the same streamreid on both sides"
            )
        read = _Reader(arrays)
        try:
            return cls(
                None if values["frame"] is None else _frame(values["frame"]),
                read.detections() if values["detections"] else None,
                tuple([read.observation(item) for item in values["observations"]]),
                tuple([read.released(item) for item in values["released"]]),
                None if values["impostors"] is None else SimilaritySums(*values["impostors"]),
                read.next() if values["blur"] else None,
                tuple(values["removed"]),
                bool(values["last"]),
            )
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(f"a track update is damaged: {error}") from None


class _Writer:
    """Collects the arrays of an update in the order in which ``_Reader`` takes them."""

    def __init__(self) -> None:
        self.arrays: list[NDArray[Any]] = []

    def optional(self, value: Any, write: Callable[[Any], object]) -> bool:
        if value is not None:
            write(value)
        return value is not None

    def detections(self, found: Detections) -> None:
        self.arrays += [found.boxes, found.scores, found.classes]

    def _tracks(self, tracks: Tracks) -> None:
        self.arrays += [tracks.ids, tracks.boxes, tracks.scores, tracks.rows]

    def observation(self, item: TrackObservation) -> dict[str, Any]:
        self._tracks(item.tracks)
        embedded = np.flatnonzero(item.features.visibility.any(1))  # of the others there is nothing to send
        self.arrays += [item.quality, embedded, item.features.parts[embedded], item.features.visibility[embedded]]
        return {"camera": item.camera, "time": float(item.time)}

    def released(self, item: TrackedFrame) -> dict[str, Any]:
        self._tracks(item.tracks)
        self.arrays.append(item.visibility)
        return {"frame": _frame_values(item.frame), "blur": self.optional(item.blur_boxes, self.arrays.append)}


class _Reader:
    def __init__(self, arrays: Sequence[NDArray[Any]]) -> None:
        self._arrays = iter(arrays)

    def next(self) -> NDArray[Any]:
        try:
            return next(self._arrays)
        except StopIteration:
            raise ValueError("an array is missing") from None

    def detections(self) -> Detections:
        return Detections(self.next(), self.next(), self.next())

    def _tracks(self) -> Tracks:
        return Tracks(self.next(), self.next(), self.next(), self.next())

    def observation(self, item: dict[str, Any]) -> TrackObservation:
        tracks, quality, embedded, parts, visibility = (
            self._tracks(),
            self.next(),
            self.next(),
            self.next(),
            self.next(),
        )
        features = PartFeatures.unseen(len(tracks), *parts.shape[1:])
        features.parts[embedded], features.visibility[embedded] = parts, visibility
        return TrackObservation(str(item["camera"]), float(item["time"]), tracks, features, quality)

    def released(self, item: dict[str, Any]) -> TrackedFrame:
        tracks, visibility = self._tracks(), self.next()
        return TrackedFrame(_frame(item["frame"]), tracks, visibility, self.next() if item["blur"] else None)


def _frame_values(frame: Frame) -> list[Any]:
    return [frame.camera, int(frame.index), float(frame.time), *map(int, frame.size), frame.clock]


def _frame(values: list[Any]) -> Frame:
    camera, index, time, width, height, clock = values
    return Frame.without_image(camera, index, time, size=(width, height), clock=clock)
