"""What is seen in one frame: the picture, the people in it, what they look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from streamreid.types.arrays import BoolArray, ClockName, FloatArray, Image, IntArray

if TYPE_CHECKING:
    import supervision as sv

__all__ = ["Detections", "EmbeddedFrame", "Frame", "PartFeatures", "SimilaritySums"]

_NO_IMAGE: Image = np.zeros((0, 0, 3), np.uint8)


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
