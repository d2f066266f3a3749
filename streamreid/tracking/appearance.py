"""What each track looks like, per part: a few diverse prototypes. A part that is hidden is not learnt, and a part never
seen says nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import EngineMismatchError
from streamreid.types import BoolArray, FloatArray, PartFeatures

__all__ = ["AppearanceBank"]

Rows = NDArray[np.intp]


class AppearanceBank:
    """Per-part prototypes of T tracks, learnt by leader clustering (Hartigan, "Clustering Algorithms", 1975, chapter
    3).

    An observation f of part k with weight w = visibility * quality joins the nearest prototype m, ``m <- normalise((1 -
    s) m + s f)``, where s is w / (mass + w) while the prototype is young and at least ``rate`` w later. If it is less
    similar than ``join`` to all of them and a slot is free, it begins a new one: a front and a back view stay two
    prototypes instead of one blurred average.

    The similarity of a track with a person is the visibility-weighted mean over the parts seen in both (see
    :func:`streamreid.features.similarity.part_similarity`) with every part compared to its nearest prototype.

    Args:
        rate: Weight of a new, fully visible observation once the prototype is settled.
        mass: Seen mass (sum of w) at which a part counts as fully known.
        prototypes: Slots per part.
        join: Least cosine similarity to join a prototype while slots are free.
    """

    def __init__(self, *, rate: float = 0.1, mass: float = 3.0, prototypes: int = 3, join: float = 0.65) -> None:
        self._rate = rate
        self._full = mass
        self._slots = prototypes
        self._join = join
        self._parts: FloatArray = np.zeros((0, prototypes, 1, 1), np.float32)
        self._mass: FloatArray = np.zeros((0, prototypes, 1), np.float32)

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

    def summary(self, rows: Rows | slice) -> PartFeatures:
        """The same of some tracks."""
        mean = (self._parts[rows] * self._mass[rows][..., None]).sum(1)
        return PartFeatures(_normalised(mean), self._known(rows))

    def _known(self, rows: Rows | slice) -> FloatArray:
        return np.asarray(np.minimum(self._mass[rows].sum(1) / self._full, 1.0), np.float32)

    def similarity(self, rows: Rows | slice, features: PartFeatures) -> tuple[FloatArray, FloatArray]:
        """Similarity in [-1, 1] and seen share in [0, 1], each ``[M, N]``, of tracks ``rows`` [M] (or a slice of them)
        with ``features`` [N].

        Raises:
            EngineMismatchError: ``features`` come from another engine than those learnt.
        """
        mass = self._mass[rows]
        count, people = len(mass), len(features)
        zero = np.zeros((count, people), np.float32)
        if not count or not people or not np.count_nonzero(features.visibility):
            return zero, zero
        self._check(features)
        each = self._nearest(self._parts[rows], mass, features.parts)
        weight = np.sqrt(self._known(rows).T[:, :, None] * features.visibility.T[:, None, :])
        total = weight.sum(0)
        k = self.shape[0]
        similarity = np.divide((weight * each).sum(0), total, out=zero, where=total > 1e-6)
        np.minimum(np.maximum(similarity, -1, out=similarity), 1, out=similarity)
        return similarity, np.asarray(total / k, np.float32)

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
        w = features.visibility[people] * quality[:, None]
        told = (w != 0).any(1).nonzero()[0]
        if not len(told):
            return
        self._check(features)
        rows, features, w = rows[told], features[people[told]], w[told]
        mass = self._mass[rows]  # [M, P, K]
        near = np.where(mass > 0, np.einsum("mpkd,mkd->mpk", self._parts[rows], features.parts), -2.0)
        slot = near.argmax(1)
        # A blurred or half hidden view is no reason for a prototype of its own.
        fresh = (near.max(1) < self._join) & (mass == 0).any(1) & ((w >= 0.5) | ~(mass > 0).any(1))
        slot = np.where(fresh, (mass == 0).argmax(1), slot)
        at = (rows[:, None], slot, np.arange(self.shape[0])[None])
        old, had = self._parts[at], self._mass[at]
        young = w / (had + w + 1e-9) * (had < self._full)
        step = np.where(had > 0, np.maximum(self._rate * w, young), w > 0).astype(np.float32)
        self._parts[at] = _normalised(old * (1 - step[..., None]) + features.parts * step[..., None])
        self._mass[at] = np.minimum(had + w, 100.0 * self._full)

    def add(self, features: PartFeatures, quality: FloatArray) -> None:
        """Append tracks that look like ``features`` [M]."""
        k, d = features.shape
        if not self._mass.any():  # nothing learnt yet: the first features decide about the shape
            self._parts = np.zeros((len(self), self._slots, k, d), np.float32)
            self._mass = np.zeros((len(self), self._slots, k), np.float32)
        elif features.visibility.any():
            self._check(features)
        parts = np.zeros((len(features), self._slots, *self.shape), np.float32)
        mass = np.zeros(parts.shape[:3], np.float32)
        if (k, d) == self.shape:
            parts[:, 0] = features.parts
            mass[:, 0] = features.visibility * quality[:, None]
        self._parts = np.concatenate([self._parts, parts])
        self._mass = np.concatenate([self._mass, mass])

    def merge(self, into: Rows, source: Rows) -> None:
        """Tracks ``into`` [M] turn out to be the persons of tracks ``source`` [M]: learn what those had learnt of
        unknown parts."""
        unknown = (self._mass[into].max(1, keepdims=True) <= 0) & (self._mass[source] > 0)
        self._parts[into] = np.where(unknown[..., None], self._parts[source], self._parts[into])
        self._mass[into] = np.where(unknown, self._mass[source], self._mass[into])

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drop every track that is not in the mask ``rows`` [T]."""
        self._parts, self._mass = self._parts[rows], self._mass[rows]

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Copies of all features and their masses, for :meth:`restore`."""
        return {"parts": self._parts.copy(), "mass": self._mass.copy()}

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Go on from what :meth:`state` gave."""
        self._parts = np.array(state["parts"], np.float32)
        self._mass = np.array(state["mass"], np.float32)
        self._slots = self._parts.shape[1]

    def _check(self, features: PartFeatures) -> None:
        if features.shape != self.shape and self._mass.any():
            raise EngineMismatchError(
                f"the tracks of this camera look like {self.shape[0]} parts of {self.shape[1]} values, the new people "
                f"like {features.shape[0]} of {features.shape[1]}. Use one engine per tracker."
            )
        if features.shape != self.shape:
            k, d = features.shape
            self._parts = np.zeros((len(self), self._slots, k, d), np.float32)
            self._mass = np.zeros((len(self), self._slots, k), np.float32)


def _normalised(vectors: FloatArray) -> FloatArray:
    norm = np.sqrt(np.add.reduce(vectors * vectors, axis=-1, keepdims=True))
    return np.asarray(np.divide(vectors, norm, out=np.zeros_like(vectors), where=norm > 1e-9), np.float32)
