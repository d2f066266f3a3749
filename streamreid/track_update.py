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
from streamreid.features.eight_bits import from_eight_bits, in_eight_bits, to_eight_bits
from streamreid.features.part_colours import ColourArray
from streamreid.types import Detections, FloatArray, Frame, IntArray, PartFeatures, SimilaritySums, Tracks

__all__ = ["TrackObservation", "TrackUpdate", "TrackedFrame"]

_KIND = b"SRTU"
_VERSION = 4
"""Of the bytes; it grows when an older reader could not read them."""


@dataclass(frozen=True, slots=True, eq=False)
class TrackedFrame:
    """A frame whose tracks are final, so that its result can be given.

    Args:
        frame: The frame; without its picture where it was sent.
        tracks: N people.
        visibility: ``[N, K]`` float32 in [0, 1]; 0 for a person who was not embedded.
        blur_boxes: ``[M, 4]`` float32 xyxy of what is to be blurred; None if nothing is.
        colours: ``[N, 4, 4]`` uint8 of body parts, see :mod:`streamreid.features.part_colours`; None where nobody was
            looked at.
    """

    frame: Frame
    tracks: Tracks
    visibility: FloatArray
    blur_boxes: FloatArray | None = None
    colours: ColourArray | None = None

    def __getitem__(self, rows: IntArray) -> TrackedFrame:
        """The same frame with some of its tracks, by row; everybody is blurred as before."""
        colours = None if self.colours is None else self.colours[rows]
        return TrackedFrame(self.frame, self.tracks[rows], self.visibility[rows], self.blur_boxes, colours)

    def one_box_each(self, global_ids: IntArray) -> IntArray | None:
        """Where everybody is: a lost track's predicted box gives way to that of the track in which the person goes on.

        Args:
            global_ids: ``[N]`` who the tracks are; 0 where that is undecided.

        Returns:
            Rows that stay, ascending; None if all do.
        """
        known = [who for who in global_ids.tolist() if who]
        if len(set(known)) == len(known):
            return None
        order = np.lexsort((self.tracks.ids, self.tracks.rows >= 0))[::-1]  # detected first, then the newest track
        seen: set[int] = set()
        kept = []
        for row in order.tolist():
            who = int(global_ids[row])
            if not who or who not in seen or self.tracks.rows[row] >= 0:
                kept.append(row)
            seen.add(who)
        return np.array(sorted(kept), np.int64)


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
        """This update without pictures: 6 KB for every person who was embedded with an engine of six parts of 256
        values, 0.5 KB for ten people of whom nobody was."""
        out = _Writer(self.frame)
        values = [
            None if self.frame is None else _frame_values(self.frame),
            out.optional(self.detections, out.detections),
            [out.observation(o) for o in self.observations],
            [out.released(r) for r in self.released],
            None if self.impostors is None else list(self.impostors),
            out.optional(self.blur_boxes, out.arrays.append),
            list(self.removed),
            self.last,
        ]
        return pack(_KIND, _VERSION, values, out.arrays)

    @classmethod
    def from_bytes(cls, data: bytes) -> TrackUpdate:
        """The update of which ``to_bytes`` made these bytes.

        Raises:
            DataError: They are something else, of another version, or damaged.
        """
        values, arrays = unpack(_KIND, _VERSION, data)
        try:
            frame, detections, observations, released, impostors, blur, removed, last = values
            read = _Reader(arrays, None if frame is None else _frame(frame))
            return cls(
                read.frame,
                read.detections() if detections else None,
                tuple([read.observation(item) for item in observations]),
                tuple([read.released(item) for item in released]),
                None if impostors is None else SimilaritySums(*impostors),
                read.next() if blur else None,
                tuple(removed),
                bool(last),
            )
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(f"a track update is damaged: {error}") from None


class _Writer:
    """Collects the arrays of an update in the order in which ``_Reader`` takes them. What is as in its frame is
    left out."""

    def __init__(self, frame: Frame | None) -> None:
        self._frame = None if frame is None else _frame_values(frame)
        self.arrays: list[NDArray[Any]] = []

    def optional(self, value: Any, write: Callable[[Any], object]) -> bool:
        if value is not None:
            write(value)
        return value is not None

    def detections(self, found: Detections) -> None:
        self.arrays += [found.boxes, found.scores, found.classes]

    def _tracks(self, tracks: Tracks) -> None:
        self.arrays += [tracks.ids, tracks.boxes, tracks.scores, tracks.rows]

    def observation(self, item: TrackObservation) -> list[Any] | None:
        self._tracks(item.tracks)
        embedded = np.flatnonzero(item.features.visibility.any(1))  # of the others there is nothing to send
        parts = _narrow(item.features.parts[embedded])
        self.arrays += [item.quality, embedded, parts, item.features.visibility[embedded]]
        about = [item.camera, float(item.time)]
        same = self._frame is not None and about == [self._frame[0], self._frame[2]]
        return None if same else about

    def released(self, item: TrackedFrame) -> list[Any]:
        self._tracks(item.tracks)
        seen = np.flatnonzero(item.visibility.any(1))
        self.arrays += [seen, item.visibility[seen]]
        values = _frame_values(item.frame)
        blur = self.optional(item.blur_boxes, self.arrays.append)
        coloured = self.optional(item.colours, self._colours)
        return [None if values == self._frame else values, blur, coloured]

    def _colours(self, colours: ColourArray) -> None:
        rows = np.flatnonzero(colours[..., 3].any(1))
        self.arrays += [rows, colours[rows]]


class _Reader:
    def __init__(self, arrays: Sequence[NDArray[Any]], frame: Frame | None) -> None:
        self._arrays = iter(arrays)
        self.frame = frame

    def _own_frame(self) -> Frame:
        if self.frame is None:
            raise ValueError("a frame is missing")
        return self.frame

    def next(self) -> NDArray[Any]:
        try:
            return next(self._arrays)
        except StopIteration:
            raise ValueError("an array is missing") from None

    def detections(self) -> Detections:
        return Detections(self.next(), self.next(), self.next())

    def _tracks(self) -> Tracks:
        return Tracks(self.next(), self.next(), self.next(), self.next())

    def observation(self, item: Sequence[Any] | None) -> TrackObservation:
        tracks, quality, embedded, parts, visibility = (
            self._tracks(),
            self.next(),
            self.next(),
            self.next(),
            self.next(),
        )
        if parts.dtype == np.int64:
            parts = from_eight_bits(parts)
        features = PartFeatures.unseen(len(tracks), *parts.shape[1:])
        features.parts[embedded], features.visibility[embedded] = parts, visibility
        camera, time = (self._own_frame().camera, self._own_frame().time) if item is None else item
        return TrackObservation(str(camera), float(time), tracks, features, quality)

    def released(self, item: Sequence[Any]) -> TrackedFrame:
        frame, blur, coloured = item
        tracks, seen, some = self._tracks(), self.next(), self.next()
        visibility = np.zeros((len(tracks), *some.shape[1:]), np.float32)
        visibility[seen] = some
        given = self._own_frame() if frame is None else _frame(frame)
        boxes = self.next() if blur else None
        return TrackedFrame(given, tracks, visibility, boxes, self._colours(len(tracks)) if coloured else None)

    def _colours(self, count: int) -> ColourArray:
        rows, some = self.next(), self.next()
        colours = np.zeros((count, *some.shape[1:]), np.uint8)
        colours[rows] = some
        return colours


def _narrow(parts: FloatArray) -> NDArray[Any]:
    """Features as whole numbers where they were rounded to them, see `in_eight_bits`; as they are otherwise."""
    if not len(parts) or not _are_rounded(parts[:1]) or not _are_rounded(parts):
        return parts
    return to_eight_bits(parts).astype(np.int64)  # a byte each in ``pack``


def _are_rounded(parts: FloatArray) -> bool:
    return in_eight_bits(parts).tobytes() == parts.tobytes()


def _frame_values(frame: Frame) -> list[Any]:
    return [frame.camera, int(frame.index), float(frame.time), *map(int, frame.size), frame.clock]


def _frame(values: list[Any]) -> Frame:
    camera, index, time, width, height, clock = values
    return Frame.without_image(camera, index, time, size=(width, height), clock=clock)
