"""Prototypes: what each track looks like, per part, as a few diverse vectors instead of one blurred average.

Both classes learn by leader clustering (Hartigan, "Clustering Algorithms", 1975, chapter 3): an observation of weight w
= visibility * quality joins the nearest prototype of its part, or begins one where it is less similar than ``join`` to
all of them and a slot is free. A front and a back view stay two prototypes. A part that is hidden is not learnt, and a
part never seen says nothing.

:class:`PrototypeBank` keeps the tracks of one camera in one array and forgets slowly, for frame-to-frame association.
:class:`PrototypeSums` keeps one track as sums, which can be added up exactly when tracks turn out to be one person, for
association across cameras.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import EngineMismatchError
from streamreid.features.similarity import combine_parts
from streamreid.types import BoolArray, FloatArray, PartFeatures

__all__ = ["FULL_MASS", "JOIN", "SLOTS", "PrototypeBank", "PrototypeSums", "assign_slots", "normalised"]

SLOTS = 3
"""Prototypes per part: front, back and side."""

JOIN = 0.65
"""Least cosine similarity at which an observation joins a prototype while slots are free: views of one side of a person
lie above it."""

FULL_MASS = 3.0
"""Seen mass (sum of visibility * quality) at which a part counts as fully known: three clear observations."""

CLEAR = 0.5
"""Least weight of an observation that begins a prototype beside others: a blurred or half hidden view is no reason for
one of its own."""

_MOST_MASS = 100.0
"""Mass beyond which a prototype gets no heavier, in multiples of the full mass; it keeps float32 exact and has no other
effect."""

_NONE = np.float32(-2.0)
"""Similarity that stands for a free slot: below that of any prototype."""

Rows = NDArray[np.intp]


def assign_slots(
    similarity: FloatArray, mass: FloatArray, weight: FloatArray, *, join: float, room: bool = False
) -> Rows:
    """Leader clustering: which prototype each observed part belongs to.

    Args:
        similarity: ``[..., V, K]`` cosine of the observation with each prototype.
        mass: ``[..., V, K]``; 0 marks a free slot.
        weight: ``[..., K]`` visibility * quality of the observation.
        join: Least similarity to join a prototype while slots are free.
        room: Whether slot V may be opened where all slots are taken.

    Returns:
        ``[..., K]`` slot of each part, V where a new one is opened; of no meaning where the weight is 0.
    """
    known = mass > 0
    near = np.where(known, similarity, _NONE)
    best, slot = np.maximum.reduce(near, -2), near.argmax(-2)
    fresh = best < join
    if np.count_nonzero(fresh):
        fresh &= (weight >= CLEAR) | (best == _NONE)
    if not np.count_nonzero(fresh):  # as nearly always
        return np.asarray(slot, np.intp)
    free = ~known.all(-2)
    if not room:
        fresh &= free
    return np.asarray(np.where(fresh, np.where(free, known.argmin(-2), mass.shape[-2]), slot), np.intp)


def normalised(vectors: FloatArray) -> FloatArray:
    """``[..., D]`` vectors of length 1; zero vectors stay zero."""
    norm = np.sqrt(np.add.reduce(vectors * vectors, axis=-1, keepdims=True))
    return np.asarray(np.divide(vectors, norm, out=np.zeros_like(vectors), where=norm > 1e-9), np.float32)


class PrototypeBank:
    """Per-part prototypes of T tracks, as moving averages.

    An observation f joins a prototype m by ``m <- normalise((1 - s) m + s f)``, where s is w / (mass + w) while the
    prototype is young and at least ``rate`` w later.

    The similarity of a track with a person is the visibility-weighted mean over the parts seen in both (see
    :func:`streamreid.features.similarity.combine_parts`) with every part compared to its nearest prototype.

    Args:
        rate: Weight of a new, fully visible observation once the prototype is old. Higher forgets sooner; lower follows
            new light too late.
        mass: Seen mass (sum of w) at which a part counts as fully known.
        prototypes: Slots per part.
        join: Least cosine similarity to join a prototype while slots are free.
    """

    def __init__(
        self, *, rate: float = 0.1, mass: float = FULL_MASS, prototypes: int = SLOTS, join: float = JOIN
    ) -> None:
        self._rate = rate
        self._full = mass
        self._slots = prototypes
        self._join = join
        self._parts: FloatArray = np.zeros((0, prototypes, 1, 1), np.float32)
        self._mass: FloatArray = np.zeros((0, prototypes, 1), np.float32)
        self._known: FloatArray | None = None  # asked for several times between changes
        self._used = 0

    def __len__(self) -> int:
        return len(self._parts)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of parts K and dimension D."""
        return self._parts.shape[2], self._parts.shape[3]

    @property
    def features(self) -> PartFeatures:
        """One row per track: the mass-weighted mean of its prototypes; visibility is how well each part is known."""
        return self.summary(slice(None))

    @property
    def known(self) -> FloatArray:
        """``[T, K]`` in [0, 1]: how well each part of each track is known."""
        if self._known is None:
            self._known = _known(self._mass, self._full)
        return self._known

    def summary(self, rows: Rows | slice) -> PartFeatures:
        """:attr:`features` of the tracks ``rows``."""
        mean = (self._parts[rows] * self._mass[rows][..., None]).sum(1)
        return PartFeatures(normalised(mean), self.known[rows].copy())

    def similarity(self, rows: Rows | slice, features: PartFeatures) -> tuple[FloatArray, FloatArray]:
        """Similarity in [-1, 1] and seen share in [0, 1], each ``[M, N]``, of tracks ``rows`` [M] (or a slice of them)
        with ``features`` [N].

        Raises:
            EngineMismatchError: ``features`` come from another engine than those learnt.
        """
        mass = self._mass[rows]
        count, people = len(mass), len(features)
        if not count or not people or not np.count_nonzero(features.visibility):
            zero = np.zeros((count, people), np.float32)
            return zero, zero
        self._check(features)
        each = self._nearest(self._parts[rows], mass, features.parts)
        return combine_parts(each, np.sqrt(self.known[rows].T[:, :, None] * features.visibility.T[:, None, :]))

    def similarity_of_pairs(self, rows: Rows, features: PartFeatures, people: Rows) -> tuple[FloatArray, FloatArray]:
        """The same of the tracks ``rows`` [P], each with the one of ``features`` beside it in ``people`` [P]: ``[P]``
        similarity and seen share.

        Raises:
            EngineMismatchError: ``features`` come from another engine than those learnt.
        """
        self._check(features)
        others = features.parts.take(people, 0)
        each = np.einsum("pkd,pkd->pk", self._parts[rows, 0], others)
        for slot in range(1, self._slots_in_use()):
            mass = self._mass[rows, slot]
            some = np.logical_or.reduce(mass, 1).nonzero()[0]
            if not len(some):
                continue
            more = np.einsum("pkd,pkd->pk", self._parts[rows[some], slot], others[some])
            each[some] = np.maximum(each[some], np.where(mass[some] > 0, more, np.float32(-1.0)))
        return combine_parts(each.T, np.sqrt((self.known.take(rows, 0) * features.visibility.take(people, 0)).T))

    def _slots_in_use(self) -> int:
        """Number of the last slot that any track uses, and one more; the first is used before the others are."""
        if not self._used:
            self._used = 1 + int(np.flatnonzero(self._mass.any((0, 2))).max(initial=0))
        return self._used

    def _changed(self) -> None:
        """Tracks came, went or were merged."""
        self._known, self._used = None, 0

    def _nearest(self, parts: FloatArray, mass: FloatArray, people: FloatArray) -> FloatArray:
        """Cosine similarity ``[K, M, N]`` of each part of ``people`` [N, K, D] with the nearest of the prototypes
        ``parts`` [M, P, K, D]; -1 where there is none."""
        used: BoolArray = np.asarray((mass > 0).any(axis=2))
        track, slot = used.nonzero()
        each = np.full((self.shape[0], len(parts), len(people)), -1.0, np.float32)
        if not len(track):
            return each
        # Most people look the same from all sides: only the slots in use are multiplied.
        found = parts[track, slot].transpose(1, 0, 2) @ people.transpose(1, 2, 0)
        known = (mass[track, slot] > 0).T
        if np.count_nonzero(known) < known.size:
            found = np.where(known[..., None], found, np.float32(-1.0))
        owners = np.asarray(used.any(1)).nonzero()[0]
        each[:, owners] = np.maximum.reduceat(found, np.searchsorted(track, owners), axis=1)
        return each

    def update(self, rows: Rows, features: PartFeatures, quality: FloatArray, people: Rows | None = None) -> None:
        """Learn ``features`` [M] of tracks ``rows``, or the rows ``people`` [M] of features of more people; ``quality``
        [M] in [0, 1] is how little of the person was hidden."""
        people = np.arange(len(rows)) if people is None else people
        w = features.visibility.take(people, 0) * quality[:, None]
        seen = np.logical_or.reduce(w, 1).nonzero()[0]
        if not len(seen):
            return
        self._check(features)
        if len(seen) < len(rows):
            rows, people, w = rows.take(seen), people.take(seen), w.take(seen, 0)
        parts = features.parts.take(people, 0)  # [M, K, D]
        at: tuple[Any, ...] = (rows, 0)
        mass, old = self._mass.take(rows, 0), self._parts[at]  # [M, P, K], [M, K, D]
        near, had = np.einsum("mkd,mkd->mk", old, parts), mass[:, 0]
        others = self._slots_in_use() > 1 and np.count_nonzero(mass[:, 1:]) > 0
        if others or np.count_nonzero((near >= self._join) & (had > 0)) < near.size:
            slot, alike = self._slots_of(rows, mass, near, parts, w)
            if np.count_nonzero(slot):
                number, part = np.arange(len(rows))[:, None], np.arange(self.shape[0])
                at = (rows[:, None], slot, part)
                old, had, near = self._parts[at], mass[number, slot, part], alike[number, slot, part]
                self._used = max(self._used, 1 + int(slot.max()))
        young = w / (had + w + 1e-9) * (had < self._full)
        there = had > 0
        step = np.where(there, np.maximum(self._rate * w, young), w > 0).astype(np.float32)
        keep = 1 - step
        # Prototypes have length 1 or 0, so their cosine with the parts, known already, gives the length of the sum.
        square = keep * (keep * there + 2 * step * near) + step * step * np.einsum("mkd,mkd->mk", parts, parts)
        scale = 1 / np.sqrt(np.where(square > 1e-18, square, np.inf))
        old *= (keep * scale)[..., None]
        parts *= (step * scale)[..., None]
        old += parts
        self._parts[at] = old
        self._mass[at] = np.minimum(had + w, _MOST_MASS * self._full)
        if self._known is not None:
            self._known[rows] = _known(self._mass.take(rows, 0), self._full)

    def _slots_of(
        self, rows: Rows, mass: FloatArray, first: FloatArray, parts: FloatArray, weight: FloatArray
    ) -> tuple[Rows, FloatArray]:
        """``[M, K]`` the prototype that each of ``parts`` [M, K, D] joins or begins, and ``[M, P, K]`` how alike they
        are; ``mass`` [M, P, K] is what the tracks ``rows`` have, ``first`` [M, K] how alike they are to the first."""
        near = np.zeros_like(mass)
        near[:, 0] = first
        for number in range(1, self._slots_in_use()):
            some = np.logical_or.reduce(mass[:, number], 1).nonzero()[0]
            if len(some):
                near[some, number] = np.einsum("mkd,mkd->mk", self._parts[rows[some], number], parts.take(some, 0))
        return assign_slots(near, mass, weight, join=self._join), near

    def add(self, features: PartFeatures, quality: FloatArray) -> None:
        """Append tracks that look like ``features`` [M]."""
        k, d = features.shape
        if not self._mass.any():  # nothing learnt yet: the first features decide about the shape
            self._reset(k, d)
        elif features.visibility.any():
            self._check(features)
        parts = np.zeros((len(features), self._slots, *self.shape), np.float32)
        mass = np.zeros(parts.shape[:3], np.float32)
        if (k, d) == self.shape:
            parts[:, 0] = normalised(features.parts)
            mass[:, 0] = features.visibility * quality[:, None]
        self._parts = np.concatenate([self._parts, parts])
        self._mass = np.concatenate([self._mass, mass])
        self._changed()

    def merge(self, into: Rows, source: Rows) -> None:
        """Tracks ``into`` [M] turn out to be the persons of tracks ``source`` [M]: learn what those had learnt of
        unknown parts."""
        unknown = (self._mass[into].max(1, keepdims=True) <= 0) & (self._mass[source] > 0)
        self._parts[into] = np.where(unknown[..., None], self._parts[source], self._parts[into])
        self._mass[into] = np.where(unknown, self._mass[source], self._mass[into])
        self._changed()

    def absorb(self, into: Rows, source: Rows) -> None:
        """Tracks ``into`` [M] turn out to be the persons of tracks ``source`` [M], seen from other sides: they know
        what both knew, their own looks as one more observation."""
        own = self.summary(into)
        self._parts[into], self._mass[into] = self._parts[source], self._mass[source]
        self._changed()
        self.update(into, own, np.ones(len(into), np.float32))

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drop every track that is not in the mask ``rows`` [T]."""
        self._parts, self._mass = self._parts[rows], self._mass[rows]
        self._changed()

    def _check(self, features: PartFeatures) -> None:
        if features.shape != self.shape and self._mass.any():
            raise EngineMismatchError(
                f"the tracks of this camera look like {self.shape[0]} parts of {self.shape[1]} values, the new people "
                f"like {features.shape[0]} of {features.shape[1]}. Use one engine per tracker."
            )
        if features.shape != self.shape:
            self._reset(*features.shape)

    def _reset(self, parts: int, dim: int) -> None:
        self._parts = np.zeros((len(self), self._slots, parts, dim), np.float32)
        self._mass = np.zeros((len(self), self._slots, parts), np.float32)
        self._changed()


def _known(mass: FloatArray, full: float) -> FloatArray:
    """``[..., K]`` how well each part is known, by the ``mass`` [..., P, K] of its prototypes."""
    return np.asarray(np.minimum(np.add.reduce(mass, -2) / full, 1.0), np.float32)


@dataclass(slots=True)
class PrototypeSums:
    """Per-part prototypes of one track, or of all forgotten tracks of one identity, as sums that can be added.

    Args:
        slots: Prototypes per part.
        join: Least cosine similarity to join a prototype while slots are free.
        mass: ``[V, K]`` sum of w.
        square: ``[K]`` sum of w^2.
        vectors: ``[V, K, D]`` float32 sum of w * part for each prototype; packed, int16 of the same direction.
        length: ``[2, V, K]`` while packed, the lengths of the sums and of the packed vectors, else None.
    """

    slots: int = SLOTS
    join: float = JOIN
    mass: FloatArray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    square: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    vectors: NDArray[Any] = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32))
    length: FloatArray | None = None

    @property
    def total(self) -> FloatArray:
        """``[V, K, D]`` sum of w * part for each prototype."""
        if self.length is None:
            return self.vectors
        return np.asarray(self.vectors * (self.length[0] / np.maximum(self.length[1], 1e-9))[..., None], np.float32)

    @property
    def norms(self) -> FloatArray:
        """``[V, K]`` lengths of the vectors as they are kept."""
        if self.length is None:
            return np.asarray(np.sqrt(np.add.reduce(self.vectors * self.vectors, axis=2)), np.float32)
        return np.asarray(self.length[1], np.float32)

    @property
    def directions(self) -> FloatArray:
        """``[V, K, D]`` prototypes of length 1; zero where there is none."""
        total = self.total
        norm = np.linalg.norm(total, axis=2, keepdims=True)
        return np.asarray(np.divide(total, norm, out=np.zeros_like(total), where=norm > 1e-9), np.float32)

    def pack(self) -> None:
        """Take half the memory: for what is remembered of thousands for an hour. Undone by whatever is added."""
        if self.length is None and self.mass.size:
            # Sixteen bits from the greatest value on: ten times as exact as float16, and back several times as fast.
            peak = np.maximum(np.abs(self.vectors).max(2, keepdims=True), 1e-9)
            packed = np.rint(self.vectors * (32767 / peak))
            self.length = np.stack([np.linalg.norm(self.vectors, axis=2), np.linalg.norm(packed, axis=2)])
            self.vectors = packed.astype(np.int16)

    def learn(self, parts: FloatArray, weight: FloatArray) -> None:
        """Add one observation.

        Args:
            parts: ``[K, D]`` of any length.
            weight: ``[K]`` visibility * quality.
        """
        if not self.mass.size:
            self.vectors, self.mass = np.zeros((0, *parts.shape), np.float32), np.zeros((0, len(weight)), np.float32)
            self.square = np.zeros(len(weight), np.float32)
        self.vectors, self.length = self.total, None
        count, here = len(self.mass), weight > 0
        if count == 1 and np.count_nonzero(here) == np.count_nonzero(self.mass > 0) == len(here):
            length = self.norms[0] * np.sqrt(np.add.reduce(parts * parts, axis=1))
            near = np.einsum("kd,kd->k", self.vectors[0], parts) / np.maximum(length, 1e-9)
            if np.count_nonzero(near >= self.join) == len(near):  # as nearly always: the look of before
                self.vectors[0] += parts * weight[:, None]
                self.mass[0] += weight
                self.square += weight**2
                return
        slot = np.zeros(len(weight), np.intp)
        if count:
            length = self.norms * np.sqrt(np.add.reduce(parts * parts, axis=1))
            near = np.einsum("vkd,kd->vk", self.vectors, parts) / np.maximum(length, 1e-9)
            slot = assign_slots(near, self.mass, weight, join=self.join, room=count < self.slots)
        if np.count_nonzero(slot[here] >= count):
            self.vectors = np.concatenate([self.vectors, np.zeros((1, *parts.shape), np.float32)])
            self.mass = np.concatenate([self.mass, np.zeros((1, len(weight)), np.float32)])
        at = slot[here], here.nonzero()[0]
        self.vectors[at] += parts[here] * weight[here, None]
        self.mass[at] += weight[here]
        self.square += weight**2

    def add(self, other: PrototypeSums) -> None:
        """Add all that ``other`` learnt."""
        for total, mass in zip(other.total, other.mass, strict=True):
            norm = np.linalg.norm(total, axis=1, keepdims=True)
            self.learn(np.divide(total, norm, out=np.zeros_like(total), where=norm > 1e-9), mass)
        if other.mass.size:
            self.square += other.square - (other.mass**2).sum(0)
