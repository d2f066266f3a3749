"""What every detector offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from streamreid.types import Detections, Frame

__all__ = ["Detector"]


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
