"""What is known of each track, in sums that can be added: per part the weighted sum of features and the weight."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from streamreid.types import FloatArray, KnownIdentity, PartFeatures, Tracklet

__all__ = ["Evidence", "Presence", "descriptors"]


@dataclass(slots=True)
class Presence:
    """When one track was seen by one camera (seconds)."""

    camera: str
    start: float
    end: float

    def overlaps(self, other: Presence) -> bool:
        """Whether both were seen by the same camera at the same time, so cannot be one person."""
        return self.camera == other.camera and self.start <= other.end and other.start <= self.end


@dataclass(slots=True)
class Evidence:
    """Sums over the observations of one track, or of all forgotten tracks of one identity.

    Args:
        presence: Where and when.
        total: ``[K, D]`` sum of w * part with w = visibility * quality.
        mass: ``[K]`` sum of w.
        square: ``[K]`` sum of w^2.
        observations: Number of observations.
    """

    presence: list[Presence]
    total: FloatArray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    mass: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    square: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    observations: int = 0

    @classmethod
    def remembered(cls, known: KnownIdentity) -> Evidence:
        """What is known of somebody from an earlier run; each view counts as one good observation per part it shows."""
        weight = known.prototypes.visibility * known.quality[:, None]
        total = (known.prototypes.parts * weight[..., None]).sum(0)
        camera = min(known.cameras, default="")
        presence = [Presence(camera, known.last_seen, known.last_seen)]
        mass, square = weight.sum(0), (weight**2).sum(0)
        return cls(presence, total.astype(np.float32), mass.astype(np.float32), square.astype(np.float32), len(weight))

    @property
    def end(self) -> float:
        """Last time it was seen."""
        return max(p.end for p in self.presence)

    def observe(self, time: float, parts: FloatArray, weight: FloatArray) -> None:
        """Add one observation: ``parts`` [K, D], ``weight`` [K]."""
        if not len(self.mass):
            self.total = np.zeros_like(parts)
            self.mass = np.zeros_like(weight)
            self.square = np.zeros_like(weight)
        self.total += parts * weight[:, None]
        self.mass += weight
        self.square += weight**2
        self.observations += 1
        self.presence[0].end = max(self.presence[0].end, time)

    def absorb(self, other: Evidence) -> None:
        """Add all of ``other``."""
        self.presence.extend(other.presence)
        self.observations += other.observations
        if len(self.mass):
            self.total += other.total
            self.mass += other.mass
            self.square += other.square
        else:
            self.total, self.mass, self.square = other.total.copy(), other.mass.copy(), other.square.copy()

    def tracklet(self, track_id: int) -> Tracklet:
        """As a value for others to read."""
        p = self.presence[0]
        return Tracklet(p.camera, track_id, p.start, p.end, self.observations, descriptors([self]))


def descriptors(items: list[Evidence], *, full: float = 3.0) -> PartFeatures:
    """One row per item: per-part average, L2-normalised; visibility says how well the part was seen.

    visibility_k = min(1, mass_k / full) * square_k / mass_k: a part seen well at any time counts, a part never seen does not, and a part of which
    only a little was ever seen counts little however often that was.

    Args:
        items: At least one.
        full: Seen mass at which a part counts as fully known.
    """
    total = np.stack([i.total for i in items])
    mass = np.stack([i.mass for i in items])
    square = np.stack([i.square for i in items])
    norm = np.linalg.norm(total, axis=2, keepdims=True)
    parts = np.divide(total, norm, out=np.zeros_like(total), where=norm > 1e-9)
    clarity = np.divide(square, mass, out=np.zeros_like(mass), where=mass > 1e-9)
    return PartFeatures(parts, (np.minimum(mass / full, 1.0) * np.minimum(clarity, 1.0)).astype(np.float32))
