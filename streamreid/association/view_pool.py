"""Packed views of thousands of identities side by side, so that any few dozen of them are compared without being
collected one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.association.track_evidence import Evidence, known_well
from streamreid.association.track_similarity import MOST_MASS, Views
from streamreid.types import FloatArray

__all__ = ["ViewPool"]

_LEAST_ROWS = 64
"""Rows made room for at first; about 200 KB."""

_GROWTH = 1.1
"""Times as many rows where they do not suffice: at most a tenth stands empty."""


class ViewPool:
    """Views of identities by global id. It owns the memory of the packed vectors: those of the evidence are moved here
    and not copied, so nothing is kept twice. One engine: all have the same K and D."""

    def __init__(self) -> None:
        self._vectors: NDArray[np.int16] = np.zeros((0, 0, 0), np.int16)
        self._norms: FloatArray = np.zeros((0, 0), np.float32)
        self._mass: FloatArray = np.zeros((0, 0), np.float32)
        self._end = 0
        self._free: dict[int, list[int]] = {}
        self._slots: dict[int, int] = {}
        self._unused: list[int] = []
        self._first: NDArray[np.int64] = np.zeros(0, np.int64)  # row of the first view, by slot
        self._count: NDArray[np.int64] = np.zeros(0, np.int64)
        self._visibility: FloatArray = np.zeros((0, 0), np.float32)
        self._owners: dict[int, Evidence] = {}

    def __len__(self) -> int:
        return len(self._slots)

    def reserve(self, rows: int, shape: tuple[int, ...]) -> None:
        """Make room for so many more views ``[K, D]`` at once."""
        if not self._end or self._vectors.shape[1:] == shape:
            self._grow(max(_LEAST_ROWS, self._end + rows), shape)

    def put(self, gid: int, evidence: Evidence) -> None:
        """Take over the packed views of an identity, or what became of them; evidence that is not packed, or of another
        engine, is left out."""
        self.drop(gid)
        sums = evidence.prototypes
        if sums.length is None or (self._end and sums.vectors.shape[1:] != self._vectors.shape[1:]):
            return
        count = len(sums.mass)
        start = self._room(count, sums.vectors)
        if not self._unused:
            self._add_slots(max(_LEAST_ROWS, len(self._slots) // 4), sums.vectors.shape[1])
        rows = slice(start, start + count)
        self._vectors[rows], self._norms[rows], self._mass[rows] = sums.vectors, sums.norms, sums.mass
        sums.vectors = self._vectors[rows]
        slot = self._slots[gid] = self._unused.pop()
        self._first[slot], self._count[slot] = start, count
        self._visibility[slot] = known_well(sums.mass.sum(0), sums.square)
        self._owners[gid] = evidence

    def drop(self, gid: int) -> None:
        """Forget an identity; an unknown one is ignored."""
        slot = self._slots.pop(gid, None)
        if slot is not None:
            self._free.setdefault(int(self._count[slot]), []).append(int(self._first[slot]))
            self._unused.append(slot)
            evidence = self._owners.pop(gid)
            if evidence.prototypes.vectors.base is self._vectors:  # whoever still holds it keeps what it says
                evidence.prototypes.vectors = evidence.prototypes.vectors.copy()

    def __contains__(self, gid: int) -> bool:
        return gid in self._slots

    def holds(self, gid: int, evidence: Evidence) -> bool:
        """Whether what is held of an identity is this evidence, as it is now."""
        return self._owners.get(gid) is evidence and evidence.prototypes.length is not None

    def views(self, ids: Sequence[int]) -> Views | None:
        """The views of some identities, as ``track_similarity.stack`` makes them; None if one of them is not held."""
        known = self._slots
        try:
            slots = np.array([known[g] for g in ids])
        except KeyError:
            return None
        first, count = self._first[slots], self._count[slots]
        most = int(count.max())
        if most == 1:
            rows = first[:, None]
        else:
            place = np.arange(most)
            there = place < count[:, None]  # [N, V]
            rows = np.where(there, first[:, None] + place, 0)
        parts = np.empty((*rows.shape, *self._vectors.shape[1:]), np.float32)
        norms = np.maximum(self._norms.take(rows, 0), np.float32(1e-9))[..., None]
        np.divide(self._vectors.take(rows, 0), norms, out=parts, dtype=np.float32)
        mass = np.minimum(self._mass.take(rows, 0), MOST_MASS)
        if most > 1 and not there.all():
            parts[~there], mass[~there] = 0, 0
        return Views(parts, mass, self._visibility[slots])

    def _room(self, count: int, like: NDArray[Any]) -> int:
        """First of ``count`` rows in a row that nobody uses."""
        free = self._free.get(count)
        if free:
            return free.pop()
        if self._end + count > len(self._vectors):
            self._grow(max(_LEAST_ROWS, int(_GROWTH * self._end), self._end + count), like.shape[1:])
        self._end += count
        return self._end - count

    def _add_slots(self, more: int, parts: int) -> None:
        old = len(self._first)
        self._unused = list(range(old + more - 1, old - 1, -1))
        self._first = np.concatenate([self._first, np.zeros(more, np.int64)])
        self._count = np.concatenate([self._count, np.zeros(more, np.int64)])
        self._visibility = np.concatenate([self._visibility.reshape(old, parts), np.zeros((more, parts), np.float32)])

    def _grow(self, rows: int, shape: tuple[int, ...]) -> None:
        old = self._vectors
        vectors, norms, mass = (
            np.zeros((rows, *shape), np.int16),
            np.zeros((rows, shape[0]), np.float32),
            np.zeros((rows, shape[0]), np.float32),
        )
        end = self._end
        if end:
            vectors[:end], norms[:end], mass[:end] = old[:end], self._norms[:end], self._mass[:end]
        self._vectors, self._norms, self._mass = vectors, norms, mass
        for gid, slot in self._slots.items():
            sums = self._owners[gid].prototypes
            if sums.vectors.base is old:
                sums.vectors = vectors[self._first[slot] : self._first[slot] + self._count[slot]]
