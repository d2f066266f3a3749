"""What the rest of a run must know of the engine that made the features."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streamreid.features.similarity import Calibration
from streamreid.gallery import EngineStamp

if TYPE_CHECKING:
    from streamreid.reid import Embedder

__all__ = ["EngineDescription"]


@dataclass(frozen=True, slots=True)
class EngineDescription:
    """An engine without its graph.

    Args:
        name: Shown to people; "none" where features are not computed.
        fingerprint: Features of equal fingerprints may be compared.
        parts: Names of the K parts.
        dim: Values per part.
        calibration: From similarity to probability.
    """

    name: str = "none"
    fingerprint: str = "none"
    parts: tuple[str, ...] = ("whole",)
    dim: int = 1
    calibration: Calibration = field(default_factory=Calibration)

    @classmethod
    def of(cls, embedder: Embedder) -> EngineDescription:
        """The description of an open engine."""
        return cls(embedder.name, embedder.fingerprint, tuple(embedder.parts), embedder.dim, embedder.calibration)

    @property
    def stamp(self) -> EngineStamp:
        """What a gallery notes of it."""
        return EngineStamp(self.name, self.fingerprint, len(self.parts), self.dim)
