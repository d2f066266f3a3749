"""The seam of ReID: frames and boxes in, part features out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from streamreid.features.similarity import Calibration
from streamreid.types import Detections, Frame, PartFeatures

__all__ = ["Embedder"]


@runtime_checkable
class Embedder(Protocol):
    """Turns people in frames into part features.

    Attributes:
        name: Shown to people.
        parts: Names of the K parts; the first is the whole person.
        dim: Values per part.
        fingerprint: Features of equal fingerprints may be compared.
        calibration: From similarity to probability.
    """

    @property
    def name(self) -> str: ...

    @property
    def parts(self) -> tuple[str, ...]: ...

    @property
    def dim(self) -> int: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def calibration(self) -> Calibration: ...

    def __call__(self, frames: Sequence[Frame], detections: Sequence[Detections]) -> list[PartFeatures]:
        """Describe the people.

        Args:
            frames: Any mix of cameras and sizes.
            detections: The people in each.

        Returns:
            One ``PartFeatures`` per frame, one row per detection. A box that could not be looked at has visibility 0.
        """
        ...
