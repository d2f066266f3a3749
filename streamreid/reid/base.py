"""What every embedder offers, and how similarity becomes probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from streamreid.types import Detections, Frame, PartFeatures

__all__ = ["Calibration", "Embedder"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Probability that two single features belong to one person, where same and different were equally likely beforehand.

    ``p = 1 / (1 + exp(-(slope * similarity + intercept)))`` (logistic calibration, Platt 1999).

    Args:
        slope: Evidence per unit of similarity.
        intercept: Evidence at similarity 0.
        source: What it was fitted on; "default" if on nothing.
    """

    slope: float
    intercept: float
    source: str = "default"

    def probability(self, similarity: Any) -> NDArray[np.float64]:
        """Probabilities in [0, 1] for similarities in [-1, 1] of any shape."""
        evidence = np.clip(self.slope * np.asarray(similarity, np.float64) + self.intercept, -700, 700)
        return np.asarray(1.0 / (1.0 + np.exp(-evidence)))


@runtime_checkable
class Embedder(Protocol):
    """Turns people in frames into part features.

    Attributes:
        parts: Names of the K parts; the first is the whole person.
        dim: Values per part.
        fingerprint: Features of equal fingerprints may be compared.
        calibration: From similarity to probability.
    """

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
