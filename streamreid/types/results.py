"""What is handed out of a frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from streamreid.types.arrays import FloatArray, IntArray
from streamreid.types.frames import Frame
from streamreid.types.tracks import Tracks

if TYPE_CHECKING:
    import supervision as sv

__all__ = ["FrameResult"]


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
