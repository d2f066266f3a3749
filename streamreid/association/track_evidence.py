"""What is known of each track: when it was where, and per part a few views of it, in sums that can be added."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.types import FloatArray, KnownIdentity, PartFeatures, Tracklet

__all__ = ["FULL", "Evidence", "Presence", "descriptors", "known_well"]

FULL = 3.0
"""Seen mass (sum of visibility * quality) at which a part counts as fully known."""


@dataclass(slots=True)
class Presence:
    """When one track was seen by one camera (seconds)."""

    camera: str
    start: float
    end: float


@dataclass(slots=True)
class Evidence:
    """What was seen of one track, or of all forgotten tracks of one identity.

    Each part has up to ``slots`` views, learnt by leader clustering (Hartigan, "Clustering Algorithms", 1975, chapter
    3): an observation of weight w = visibility * quality joins the nearest view, or begins one where it is less alike
    than ``join`` to all and a slot is free. A front and a back stay two views instead of one blurred average. A part
    seen at any time counts, a part never seen does not.

    Args:
        presence: Where and when.
        slots: Views per part.
        join: Least cosine similarity to join a view while slots are free.
        mass: ``[V, K]`` sum of w.
        square: ``[K]`` sum of w^2.
        observations: How often it was seen.
        looks: How often it was looked at, that is, anything of it was described.
        quality: Sum of the qualities of those looks.
        views: ``[V, K, D]`` float32 sum of w * part for each view; packed, int16 of the same direction.
        length: ``[2, V, K]`` while packed, the lengths of the sums and of the packed vectors, else None.
    """

    presence: list[Presence]
    slots: int = 3
    join: float = 0.65
    mass: FloatArray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    square: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    observations: int = 0
    looks: int = 0
    quality: float = 0.0
    views: NDArray[Any] = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32))
    length: FloatArray | None = None

    @property
    def total(self) -> FloatArray:
        """``[V, K, D]`` sum of w * part for each view."""
        if self.length is None:
            return self.views
        return np.asarray(self.views * (self.length[0] / np.maximum(self.length[1], 1e-9))[..., None], np.float32)

    def pack(self) -> None:
        """Take half the memory: for what is remembered of thousands for an hour. Undone by whatever is added."""
        if self.length is None and self.mass.size:
            # Sixteen bits from the greatest value on: ten times as exact as float16, and back several times as fast.
            peak = np.maximum(np.abs(self.views).max(2, keepdims=True), 1e-9)
            packed = np.rint(self.views * (32767 / peak))
            self.length = np.stack([np.linalg.norm(self.views, axis=2), np.linalg.norm(packed, axis=2)])
            self.views = packed.astype(np.int16)

    @property
    def start(self) -> float:
        """First time it was seen."""
        return min(p.start for p in self.presence)

    @property
    def end(self) -> float:
        """Last time it was seen."""
        return max(p.end for p in self.presence)

    @property
    def seen(self) -> float:
        """Mass of the part that was seen best."""
        return float(self.mass.sum(0).max()) if self.mass.size else 0.0

    def observe(self, time: float, parts: FloatArray, weight: FloatArray, quality: float = 1.0) -> None:
        """Add one observation.

        Args:
            time: Capture time in seconds.
            parts: ``[K, D]`` L2-normalised.
            weight: ``[K]`` visibility * quality; 0 everywhere for a person who was not looked at.
            quality: Of the picture, in [0, 1].
        """
        self.glimpse(time)
        if np.count_nonzero(weight):
            self.looks += 1
            self.quality += quality
            self._learn(parts, weight)

    def glimpse(self, time: float) -> None:
        """Add one observation of a person who was not looked at."""
        self.observations += 1
        self.presence[0].end = max(self.presence[0].end, time)

    def _learn(self, parts: FloatArray, weight: FloatArray) -> None:
        """Add parts [K, D] of any length with weights [K] to the views."""
        if not self.mass.size:
            self.views, self.mass = np.zeros((0, *parts.shape), np.float32), np.zeros((0, len(weight)), np.float32)
            self.square = np.zeros(len(weight), np.float32)
        self.views, self.length = self.total, None
        views, here = len(self.mass), weight > 0
        slot = np.zeros(len(weight), np.intp)
        fresh = here.copy()
        if views:
            length = np.sqrt(np.add.reduce(self.views * self.views, axis=2)) * np.sqrt(
                np.add.reduce(parts * parts, axis=1)
            )
            near = np.einsum("vkd,kd->vk", self.views, parts) / np.maximum(length, 1e-9)
            near = np.where(self.mass > 0, near, -2.0)
            slot = near.argmax(0)
            empty = self.mass <= 0
            some, unknown = empty.any(0), empty.all(0)
            # A blurred or half hidden view is no reason for a view of its own.
            other = (near.max(0) < self.join) & (weight >= 0.5) & (some | (views < self.slots))
            fresh = here & (unknown | other)
            first = np.where(some, empty.argmax(0), views)
            slot = np.where(fresh, first, slot)
        if np.count_nonzero(slot[here] >= views):
            self.views = np.concatenate([self.views, np.zeros((1, *parts.shape), np.float32)])
            self.mass = np.concatenate([self.mass, np.zeros((1, len(weight)), np.float32)])
        at = slot[here], here.nonzero()[0]
        self.views[at] += parts[here] * weight[here, None]
        self.mass[at] += weight[here]
        self.square += weight**2

    def absorb(self, other: Evidence) -> None:
        """Add the presence, counts and features of another track of the same person."""
        self.presence.extend(other.presence)
        self.observations += other.observations
        self.looks += other.looks
        self.quality += other.quality
        for total, mass in zip(other.total, other.mass, strict=True):
            norm = np.linalg.norm(total, axis=1, keepdims=True)
            self._learn(np.divide(total, norm, out=np.zeros_like(total), where=norm > 1e-9), mass)
        if other.mass.size:
            self.square += other.square - (other.mass**2).sum(0)

    def tracklet(self, track_id: int) -> Tracklet:
        """As a value for others to read."""
        p = self.presence[0]
        features = descriptors([self]) if self.mass.size else PartFeatures.unseen(1)
        return Tracklet(p.camera, track_id, p.start, p.end, self.observations, features)

    def remember(self, gid: int, cameras: Iterable[str], first_seen: float, last_seen: float) -> KnownIdentity:
        """As a value that a later run can be given."""
        total = self.total
        norm = np.linalg.norm(total, axis=2, keepdims=True)
        parts = np.divide(total, norm, out=np.zeros_like(total), where=norm > 1e-9)
        clarity = _clarity(self.square, self.mass.sum(0))
        visibility = (np.minimum(self.mass / FULL, 1.0) * clarity).astype(np.float32)
        quality = np.full(len(parts), min(self.quality / max(self.looks, 1), 1.0), np.float32)
        return KnownIdentity(
            gid, PartFeatures(parts, visibility), quality, min(first_seen, last_seen), last_seen, frozenset(cameras)
        )

    @classmethod
    def remembered(cls, known: KnownIdentity, *, slots: int = 3) -> Evidence:
        """What is known of somebody from an earlier run."""
        camera = min(known.cameras, default="")
        made = cls([Presence(camera, known.last_seen, known.last_seen)], slots=max(slots, len(known.prototypes)))
        mass = (known.prototypes.visibility * FULL).astype(np.float32)
        made.views, made.mass = known.prototypes.parts * mass[..., None], mass
        made.square = mass.sum(0)
        made.observations = made.looks = max(1, int(np.ceil(made.seen)))
        made.quality = float(known.quality.mean()) * made.looks if len(known.quality) else 0.0
        return made


def known_well(mass: FloatArray, square: FloatArray) -> FloatArray:
    """``[..., K]`` visibility of each part from the sums of w and of w^2; see :func:`descriptors`."""
    return np.asarray(np.minimum(mass / FULL, 1.0) * _clarity(square, mass), np.float32)


def _clarity(square: FloatArray, mass: FloatArray) -> FloatArray:
    return np.minimum(np.divide(square, mass, out=np.zeros_like(mass), where=mass > 1e-9), 1.0)


def descriptors(items: list[Evidence]) -> PartFeatures:
    """One row per item: per-part average over all views, L2-normalised; visibility says how well the part was seen.

    visibility_k = min(1, mass_k / FULL) * square_k / mass_k: a part seen well at any time counts, a part never seen
    does not, and a part of which only a little was ever seen counts little however often that was.

    Args:
        items: At least one, all of one engine; those of whom nothing was seen have visibility 0.
    """
    shape = max((i.views.shape[1:] for i in items if i.mass.size), default=(1, 1))
    parts = np.zeros((len(items), *shape), np.float32)
    visibility = np.zeros(parts.shape[:2], np.float32)
    for row, item in enumerate(items):
        if item.mass.size:
            parts[row], visibility[row] = item.total.sum(0), known_well(item.mass.sum(0), item.square)
    norm = np.linalg.norm(parts, axis=2, keepdims=True)
    return PartFeatures(np.divide(parts, norm, out=np.zeros_like(parts), where=norm > 1e-9), visibility)
