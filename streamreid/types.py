"""The values that travel between the rooms: frames, detections, part features, tracks, tracklets, identities, events.

Images are uint8 BGR ``[H, W, 3]``. Boxes are float32 ``xyxy`` in pixels of the full frame. Times are capture times in
seconds: UTC for live cameras, offset + presentation time for files. Track ids are per camera and per run, global ids
never repeat; 0 means "none yet".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import supervision as sv

__all__ = [
    "BoolArray",
    "ClockName",
    "Detections",
    "EmbeddedFrame",
    "EventKind",
    "Float64Array",
    "FloatArray",
    "Frame",
    "FrameResult",
    "Identity",
    "IdentityEvent",
    "IdentitySummary",
    "Image",
    "IntArray",
    "KnownIdentity",
    "PartFeatures",
    "SimilaritySums",
    "TrackKey",
    "Tracklet",
    "Tracks",
]

Image = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
Float64Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_NO_IMAGE: Image = np.zeros((0, 0, 3), np.uint8)

TrackKey = tuple[str, int]
"""A track of a run: name of its camera, track id in that camera."""

ClockName = Literal["pts", "rtcp", "arrival", "rate"]
"""Where a capture time came from: presentation time stamps, RTCP sender reports, arrival at this machine, or frame
number / frame rate."""

EventKind = Literal["new", "link", "merge", "split", "confirm", "expire", "rename", "staff", "different"]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded picture of one camera.

    Args:
        camera: Name of the camera.
        index: Number of the picture in its source, from 0, counted before any stride.
        time: Capture time in seconds.
        image: ``[H, W, 3]`` uint8 BGR; ``[0, 0, 3]`` where the picture is not at hand (see ``without_image``).
        clock: Where ``time`` came from.
        extent: Width and height of a picture that is not at hand.
    """

    camera: str
    index: int
    time: float
    image: Image = field(repr=False)
    clock: ClockName = "pts"
    extent: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(
                f"Frame.image of camera '{self.camera}': expected [H, W, 3] uint8, got {self.image.shape} "
                f"{self.image.dtype}"
            )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.extent or (self.image.shape[1], self.image.shape[0])

    @property
    def has_image(self) -> bool:
        """False in a replay, where only boxes and features were stored."""
        return self.image.size > 0

    @classmethod
    def without_image(
        cls, camera: str, index: int, time: float, *, size: tuple[int, int], clock: ClockName = "pts"
    ) -> Frame:
        """A frame whose picture is not at hand, only its width and height."""
        return cls(camera, index, time, _NO_IMAGE, clock, size)


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """People found in one frame.

    Args:
        boxes: ``[N, 4]`` float32 xyxy in pixels.
        scores: ``[N]`` float32 in [0, 1].
        classes: ``[N]`` int64 class numbers of the detector (0 = person for COCO models).
    """

    boxes: FloatArray
    scores: FloatArray
    classes: IntArray

    def __post_init__(self) -> None:
        n = len(self.boxes)
        if self.boxes.shape != (n, 4) or self.scores.shape != (n,) or self.classes.shape != (n,):
            raise ValueError(
                f"Detections: expected boxes [N, 4], scores [N], classes [N]; got {self.boxes.shape}, "
                f"{self.scores.shape}, {self.classes.shape}"
            )

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: Any) -> Detections:
        """Rows by slice, integer array or boolean mask."""
        return Detections(self.boxes[rows], self.scores[rows], self.classes[rows])

    def __repr__(self) -> str:
        return f"Detections(n={len(self)})"

    @classmethod
    def empty(cls) -> Detections:
        """A frame in which nobody was detected."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))

    @classmethod
    def concatenate(cls, items: Sequence[Detections]) -> Detections:
        """Stack along the first axis; at least one."""
        columns = ([getattr(i, name) for i in items] for name in ("boxes", "scores", "classes"))
        return cls(*(np.concatenate(column) for column in columns))

    @classmethod
    def from_arrays(cls, boxes: Any, scores: Any = None, classes: Any = None) -> Detections:
        """Build from anything numpy can read; scores default to 1, classes to 0."""
        b = np.asarray(boxes, np.float32).reshape(-1, 4)
        s = np.ones(len(b), np.float32) if scores is None else np.asarray(scores, np.float32).reshape(-1)
        c = np.zeros(len(b), np.int64) if classes is None else np.asarray(classes, np.int64).reshape(-1)
        return cls(b, s, c)

    @classmethod
    def from_supervision(cls, detections: sv.Detections) -> Detections:
        """From ``supervision.Detections`` (any model that supervision can read)."""
        return cls.from_arrays(detections.xyxy, detections.confidence, detections.class_id)

    def to_supervision(self) -> sv.Detections:
        """The same boxes as ``supervision.Detections``, for supervision's annotators and zones."""
        import supervision as sv

        return sv.Detections(xyxy=self.boxes.copy(), confidence=self.scores.copy(), class_id=self.classes.astype(int))


@dataclass(frozen=True, slots=True, eq=False)
class PartFeatures:
    """What people look like, part by part. Slot 0 is the whole person, slots 1..K-1 are body parts.

    A global ReID model is K = 1 with visibility 1. "Not looked at" is visibility 0 everywhere: nothing can then be said
    by looks.

    Args:
        parts: ``[N, K, D]`` float32, L2-normalised along D.
        visibility: ``[N, K]`` float32 in [0, 1].
    """

    parts: FloatArray
    visibility: FloatArray

    def __post_init__(self) -> None:
        if self.parts.ndim != 3 or self.visibility.shape != self.parts.shape[:2]:
            raise ValueError(
                f"PartFeatures: expected parts [N, K, D] and visibility [N, K]; got {self.parts.shape}, "
                f"{self.visibility.shape}"
            )

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, rows: Any) -> PartFeatures:
        """Rows by slice, integer array or boolean mask."""
        return PartFeatures(self.parts[rows], self.visibility[rows])

    def __repr__(self) -> str:
        n, k, d = self.parts.shape
        return f"PartFeatures(n={n}, parts={k}, dim={d})"

    @property
    def shape(self) -> tuple[int, int]:
        """Number of parts K and dimension D."""
        return self.parts.shape[1], self.parts.shape[2]

    @classmethod
    def unseen(cls, count: int, parts: int = 1, dim: int = 1) -> PartFeatures:
        """``count`` people of whom nothing was seen (visibility 0)."""
        return cls(np.zeros((count, parts, dim), np.float32), np.zeros((count, parts), np.float32))

    @classmethod
    def concatenate(cls, items: list[PartFeatures]) -> PartFeatures:
        """Stack along the first axis. All items must have the same K and D."""
        return cls(np.concatenate([i.parts for i in items]), np.concatenate([i.visibility for i in items]))


class SimilaritySums(NamedTuple):
    """Similarities of pairs of different people, as sums: how many, their sum, the sum of their squares."""

    pairs: int
    total: float
    squares: float


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedFrame:
    """One frame after detection and embedding.

    Args:
        frame: The frame; in a replay it has no image.
        detections: N people.
        features: N rows; visibility 0 where a person was not embedded. For a cache, and read from one, the features of
            everybody.
        embedded: ``[N]`` whose features are to be used; None for all. What the run decided: a replay reads it from the
            cache.
        motion: ``[2, 3]`` affine map from pixels of the camera's previous frame to pixels of this one; None if the
            camera stands still.
        ignored: Boxes outside the region of interest, which are only blurred; None where they are not known (caches of
            older versions).
        detected: Whether the detector looked at the frame; otherwise ``detections`` are the people of the detected
            frames around it, carried on (``detector.schedule``).
    """

    frame: Frame
    detections: Detections
    features: PartFeatures
    motion: FloatArray | None = None
    embedded: BoolArray | None = None
    ignored: Detections | None = None
    detected: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """The people that a tracker reports for one frame of one camera.

    Args:
        ids: ``[N]`` int64 track ids, from 1, unique in the frame.
        boxes: ``[N, 4]`` float32 xyxy in pixels.
        scores: ``[N]`` float32, the detector's score; 0 where the person was not detected in this frame.
        rows: ``[N]`` int64, row of the matched detection in this frame's ``Detections``; -1 for a predicted box.
    """

    ids: IntArray
    boxes: FloatArray
    scores: FloatArray
    rows: IntArray

    def __post_init__(self) -> None:
        n = len(self.ids)
        if self.boxes.shape != (n, 4) or self.scores.shape != (n,) or self.rows.shape != (n,):
            raise ValueError(
                f"Tracks: expected ids [N], boxes [N, 4], scores [N], rows [N]; got {self.ids.shape}, "
                f"{self.boxes.shape}, {self.scores.shape}, {self.rows.shape}"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Any) -> Tracks:
        """Rows by slice, integer array or boolean mask."""
        return Tracks(self.ids[rows], self.boxes[rows], self.scores[rows], self.rows[rows])

    def __repr__(self) -> str:
        return f"Tracks(ids={self.ids.tolist()})"

    @classmethod
    def empty(cls) -> Tracks:
        """A frame in which nobody is tracked."""
        return cls(np.zeros(0, np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Tracklet:
    """What is known of one track of one camera: the raw material of identities.

    Args:
        camera: Name of the camera.
        track_id: Its id in that camera.
        start: Capture time of the first observation.
        end: Capture time of the last observation.
        observations: How many observations went into ``features``.
        features: One row: per-part average, weighted by visibility and quality.
    """

    camera: str
    track_id: int
    start: float
    end: float
    observations: int
    features: PartFeatures

    def __post_init__(self) -> None:
        if len(self.features) != 1:
            raise ValueError(
                f"Tracklet {self.camera}/{self.track_id}: expected one row of features, got {len(self.features)}"
            )
        if self.end < self.start:
            raise ValueError(
                f"Tracklet {self.camera}/{self.track_id}: ends at {self.end} before it starts at {self.start}"
            )


@dataclass(frozen=True, slots=True)
class Identity:
    """One person: the tracks, in one or several cameras, that are believed to be the same.

    Args:
        global_id: Never used for anybody else.
        members: ``(camera, track_id)`` pairs.
        probability: Probability in [0, 1] that all members are one person; 1 for a single track.
    """

    global_id: int
    members: frozenset[tuple[str, int]]
    probability: float = 1.0

    @property
    def cameras(self) -> frozenset[str]:
        """Cameras that saw this person."""
        return frozenset(camera for camera, _ in self.members)


@dataclass(frozen=True, slots=True)
class IdentitySummary:
    """What is known of an identity after an event.

    Args:
        first_seen: Capture time in seconds; of an identity of an earlier run as long ago as it was.
        last_seen: Capture time of the newest observation.
        cameras: Cameras that saw it.
        confirmed: Whether it was seen well enough to count as a person of its own.
        unlinked: Whether it only numbers a track that was seen too little to be a person.
        name: Given by a person; empty if none.
        staff: Whether a person said that they work there; counts leave staff out.
    """

    first_seen: float
    last_seen: float
    cameras: frozenset[str]
    confirmed: bool = False
    unlinked: bool = False
    name: str = ""
    staff: bool = False


@dataclass(frozen=True, slots=True)
class IdentityEvent:
    """A change in what is believed about who is who.

    ``new``: a track begins an identity, provisionally. ``link``: a track joins one. ``merge``: identity ``other_id``
    became part of ``global_id``. ``split``: a track left ``other_id`` for ``global_id``. ``confirm``: the identity was
    seen well enough to count as a person of its own. ``expire``: the identity is no longer searched.
    ``rename``: a person gave the identity a name, or took it back. ``staff``: a person said that they work there, or
    took it back (``summary.staff``). ``different``: a person said that ``global_id`` and ``other_id`` are two people
    (probability 0 that they are one), or took it back (probability 1: they may be one again). What a person
    corrected has ``reasons["correction"]``, what further pictures of doubtful tracks changed
    ``reasons["second_looks"]``.

    Args:
        kind: What happened.
        time: Capture time at which it was decided.
        global_id: The identity after the change.
        camera: Camera of the track concerned ('' for merge and expire).
        track_id: Track concerned (0 for merge and expire).
        probability: Link probability in [0, 1].
        other_id: The identity before the change, 0 if none.
        reasons: Why, term by term: what each kind of evidence added to the log-odds, and how alike which part was;
            empty where nothing was compared.
        members: Of a merge, the tracks that came from ``other_id``; of an expired identity, the tracks that it had.
        summary: What is known of ``global_id`` after the change; None where it expired, or the event was read from a
            file.
    """

    kind: EventKind
    time: float
    global_id: int
    camera: str = ""
    track_id: int = 0
    probability: float = 1.0
    other_id: int = 0
    reasons: Mapping[str, float] = field(default_factory=dict, hash=False)
    members: tuple[TrackKey, ...] = field(default=(), compare=False)
    summary: IdentitySummary | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """The name of the identity after the change; empty if it has none."""
        return "" if self.summary is None else self.summary.name


@dataclass(frozen=True, slots=True, eq=False)
class PossibleLinks:
    """Who else a track may be.

    Args:
        tracks: Earlier tracks of the same run, each with the log-odds that both are one person, without the prior of
            one in so many people.
        people: Global ids of people who were known before the run, with the log-odds that the track is one of them.
    """

    tracks: Mapping[TrackKey, float]
    people: Mapping[int, float]


@dataclass(frozen=True, slots=True, eq=False)
class KnownIdentity:
    """What is worth remembering of a person when the tracks are gone.

    Args:
        global_id: Never used for anybody else.
        prototypes: P rows: a few views of the person; visibility says how well each part was seen in each.
        quality: ``[P]`` float32 in [0, 1]: how good the pictures behind each view were.
        first_seen: Capture time in seconds.
        last_seen: Capture time in seconds.
        cameras: Cameras that saw this person.
        name: Given by a person; empty if none.
        staff: Whether a person said that they work there.
    """

    global_id: int
    prototypes: PartFeatures
    quality: FloatArray
    first_seen: float
    last_seen: float
    cameras: frozenset[str] = frozenset()
    name: str = ""
    staff: bool = False

    def __post_init__(self) -> None:
        if self.global_id < 1:
            raise ValueError(f"KnownIdentity: global ids begin at 1, got {self.global_id}")
        if self.quality.shape != (len(self.prototypes),):
            raise ValueError(
                f"KnownIdentity {self.global_id}: {len(self.prototypes)} prototypes but quality of shape "
                f"{self.quality.shape}; expected one value per row"
            )
        if self.last_seen < self.first_seen:
            raise ValueError(
                f"KnownIdentity {self.global_id}: last seen at {self.last_seen}, before it was first seen at "
                f"{self.first_seen}"
            )

    def __repr__(self) -> str:
        return (
            f"KnownIdentity(global_id={self.global_id}, views={len(self.prototypes)}, cameras={sorted(self.cameras)})"
        )


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """Everything known about one frame when it is handed out.

    Args:
        frame: The picture and its capture time.
        tracks: The people in it.
        global_ids: ``[N]`` int64; 0 where no identity was decided yet.
        probabilities: ``[N]`` float32 link probability in [0, 1].
        visibility: ``[N, K]`` float32 part visibilities (0 for predicted boxes).
        world: ``[N, 2]`` float32, where people stand on the ground in metres, NaN where it is not known; None if the
            camera is not calibrated.
        blur_boxes: ``[M, 4]`` float32 xyxy: everything that may show a person, also whom no track follows; None if
            nothing is to be blurred.
        names: Names that people gave to identities in the frame, by global id.
        colours: ``[N, 4, 4]`` uint8, colours of body parts, see :mod:`streamreid.features.part_colours`; None where
            nobody was looked at.
    """

    frame: Frame
    tracks: Tracks
    global_ids: IntArray
    probabilities: FloatArray
    visibility: FloatArray
    world: FloatArray | None = None
    blur_boxes: FloatArray | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    colours: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        n = len(self.tracks)
        if self.global_ids.shape != (n,) or self.probabilities.shape != (n,) or len(self.visibility) != n:
            raise ValueError(
                f"FrameResult: {n} tracks but global_ids {self.global_ids.shape}, probabilities "
                f"{self.probabilities.shape}, visibility {self.visibility.shape}"
            )
        if self.world is not None and self.world.shape != (n, 2):
            raise ValueError(f"FrameResult: {n} tracks but world positions {self.world.shape}")

    def to_supervision(self) -> sv.Detections:
        """As ``supervision.Detections`` with ``tracker_id`` and, in ``.data``, ``global_id``, ``link_probability``,
        ``visibility`` and ``camera``."""
        import supervision as sv

        n = len(self.tracks)
        data = {
            "global_id": self.global_ids.copy(),
            "link_probability": self.probabilities.copy(),
            "visibility": self.visibility.copy(),
            "camera": np.full(n, self.frame.camera),
        }
        return sv.Detections(
            xyxy=self.tracks.boxes.copy(),
            confidence=self.tracks.scores.copy(),
            class_id=np.zeros(n, int),
            tracker_id=self.tracks.ids.astype(int),
            data=cast(Any, data),
        )
