"""What is known of each track: when it was where, and per part a few prototypes of it, in sums that can be added."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from streamreid.features.prototype_bank import FULL_MASS, JOIN, SLOTS, PrototypeSums
from streamreid.types import FloatArray, KnownIdentity, PartFeatures, Tracklet

__all__ = ["Evidence", "Presence", "descriptors", "known_well"]


@dataclass(slots=True)
class Presence:
    """When one track was seen by one camera (seconds)."""

    camera: str
    start: float
    end: float


@dataclass(slots=True)
class Evidence:
    """What was seen of one track, or of all forgotten tracks of one identity. A part seen at any time counts, a part
    never seen does not.

    Args:
        presence: Where and when.
        prototypes: What it looked like, per part.
        observations: How often it was seen.
        looks: How often it was embedded, that is, anything of it was described.
        quality: Sum of the qualities of those embeddings.
        looked: How many of them each camera gave, where they are not all of one track.
    """

    presence: list[Presence]
    prototypes: PrototypeSums = field(default_factory=PrototypeSums)
    observations: int = 0
    looks: int = 0
    quality: float = 0.0
    looked: dict[str, float] = field(default_factory=dict)

    def origin(self) -> dict[str, float]:
        """How much of what is known of it each camera gave, up to a factor."""
        if self.looked or not self.presence:
            return self.looked
        return {self.presence[0].camera: float(max(self.looks, 1))}

    @property
    def start(self) -> float:
        """First time it was seen."""
        if len(self.presence) == 1:  # of a track; asked of every track at every step
            return self.presence[0].start
        return min(p.start for p in self.presence)

    @property
    def end(self) -> float:
        """Last time it was seen."""
        if len(self.presence) == 1:
            return self.presence[0].end
        return max(p.end for p in self.presence)

    @property
    def seen(self) -> float:
        """Mass of the part that was seen best."""
        return float(mass.sum(0).max()) if (mass := self.prototypes.mass).size else 0.0

    def observe(self, time: float, parts: FloatArray, weight: FloatArray, quality: float = 1.0) -> None:
        """Add one observation.

        Args:
            time: Capture time in seconds.
            parts: ``[K, D]`` L2-normalised.
            weight: ``[K]`` visibility * quality; 0 everywhere for a person who was not looked at.
            quality: Of the picture, in [0, 1].
        """
        self.glimpse(time)
        self.add_features(parts, weight, quality)

    def add_features(self, parts: FloatArray, weight: FloatArray, quality: float = 1.0) -> None:
        """Add what one picture shows, as in ``observe``, without counting an observation."""
        if np.count_nonzero(weight):
            self.looks += 1
            self.quality += quality
            self.prototypes.learn(parts, weight)

    def glimpse(self, time: float) -> None:
        """Add one observation of a person who was not looked at."""
        self.observations += 1
        self.presence[0].end = max(self.presence[0].end, time)

    def absorb(self, other: Evidence) -> None:
        """Add the presence, counts and features of another track of the same person."""
        looked = dict(self.origin()) if self.looks else {}
        for camera, looks in other.origin().items():
            looked[camera] = looked.get(camera, 0.0) + looks
        self.looked = looked
        self.presence.extend(other.presence)
        self.observations += other.observations
        self.looks += other.looks
        self.quality += other.quality
        self.prototypes.add(other.prototypes)

    def tracklet(self, track_id: int) -> Tracklet:
        """As a value for others to read."""
        p = self.presence[0]
        features = descriptors([self]) if self.prototypes.mass.size else PartFeatures.unseen(1)
        return Tracklet(p.camera, track_id, p.start, p.end, self.observations, features)

    def remember(self, gid: int, cameras: Iterable[str], first_seen: float, last_seen: float) -> KnownIdentity:
        """As a value that a later run can be given."""
        parts, mass = self.prototypes.directions, self.prototypes.mass
        clarity = _clarity(self.prototypes.square, mass.sum(0))
        visibility = (np.minimum(mass / FULL_MASS, 1.0) * clarity).astype(np.float32)
        quality = np.full(len(parts), min(self.quality / max(self.looks, 1), 1.0), np.float32)
        return KnownIdentity(
            gid, PartFeatures(parts, visibility), quality, min(first_seen, last_seen), last_seen, frozenset(cameras)
        )

    @classmethod
    def remembered(cls, known: KnownIdentity, *, slots: int = SLOTS) -> Evidence:
        """What is known of somebody from an earlier run."""
        camera = min(known.cameras, default="")
        mass = (known.prototypes.visibility * FULL_MASS).astype(np.float32)
        sums = PrototypeSums(
            max(slots, len(known.prototypes)), JOIN, mass, mass.sum(0), known.prototypes.parts * mass[..., None]
        )
        made = cls([Presence(camera, known.last_seen, known.last_seen)], sums)
        made.observations = made.looks = max(1, int(np.ceil(made.seen)))
        made.looked = {name: made.looks / len(known.cameras) for name in sorted(known.cameras)}
        made.quality = float(known.quality.mean()) * made.looks if len(known.quality) else 0.0
        return made


def known_well(mass: FloatArray, square: FloatArray) -> FloatArray:
    """``[..., K]`` visibility of each part from the sums of w and of w^2; see :func:`descriptors`."""
    return np.asarray(np.minimum(mass / FULL_MASS, 1.0) * _clarity(square, mass), np.float32)


def _clarity(square: FloatArray, mass: FloatArray) -> FloatArray:
    return np.minimum(np.divide(square, mass, out=np.zeros_like(mass), where=mass > 1e-9), 1.0)


def descriptors(items: list[Evidence]) -> PartFeatures:
    """One row per item: per-part average over all views, L2-normalised; visibility says how well the part was seen.

    visibility_k = min(1, mass_k / FULL_MASS) * square_k / mass_k: a part seen well at any time counts, a part never
    seen does not, and a part of which only a little was ever seen counts little however often that was.

    Args:
        items: At least one, all of one engine; those of whom nothing was seen have visibility 0.
    """
    shape = max((i.prototypes.vectors.shape[1:] for i in items if i.prototypes.mass.size), default=(1, 1))
    parts = np.zeros((len(items), *shape), np.float32)
    mass, square = np.zeros(parts.shape[:2], np.float32), np.zeros(parts.shape[:2], np.float32)
    for row, item in enumerate(items):
        sums = item.prototypes
        if sums.mass.size:
            total = sums.total
            parts[row] = total[0] if len(total) == 1 else total.sum(0)
            mass[row], square[row] = sums.mass.sum(0), sums.square
    norm = np.linalg.norm(parts, axis=2, keepdims=True)
    unit = np.divide(parts, norm, out=np.zeros_like(parts), where=norm > 1e-9)
    return PartFeatures(unit, known_well(mass, square))
