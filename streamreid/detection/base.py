"""The seam of detection: pictures in, boxes of people out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from streamreid.errors import DetectorError
from streamreid.types import Detections, Frame

__all__ = ["Detector", "check_pictures"]


@runtime_checkable
class Detector(Protocol):
    """Finds people in frames.

    Attributes:
        name: For messages and tables.
        fingerprint: Equal for equal results: a hash of the model and every setting that matters.
    """

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    def __call__(self, frames: Sequence[Frame]) -> list[Detections]:
        """Find the people.

        Args:
            frames: Any mix of cameras and sizes.

        Returns:
            One ``Detections`` per frame, in the same order, boxes in pixels of that frame.
        """
        ...


def check_pictures(frames: Sequence[Frame]) -> None:
    """For detectors that look at pictures.

    Raises:
        DetectorError: A frame has none; the message says what its camera needs.
    """
    for frame in frames:
        if not frame.has_image:
            raise DetectorError(
                f"camera '{frame.camera}' has boxes but no pictures, so nobody can be found in them: start the run "
                f"with it, or name files of boxes as the detector (detector: {{model: mot:FOLDER}})"
            )
