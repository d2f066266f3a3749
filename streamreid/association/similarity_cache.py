"""Comparisons of the tracks in the window, kept from step to step: only what changed is compared anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.association.camera_normalisation import CameraMeans
from streamreid.association.link_model import Sides
from streamreid.association.track_evidence import Evidence
from streamreid.association.track_similarity import Views, compare
from streamreid.config.association import Unification
from streamreid.features.packed import LEAST_WEIGHT
from streamreid.types import FloatArray, TrackKey

__all__ = ["SimilarityCache", "sides"]

Rows = NDArray[np.intp]

_GROWTH = 1.1  # a track is compared anew when so many times more of it was seen than at the last comparison


class SimilarityCache:
    """Likeness of every track with every other.

    Args:
        unification: How two tracks are compared.
        means: Learn from the tracks, and move what is compared; None moves nothing.
    """

    def __init__(self, unification: Unification = "parts", means: CameraMeans | None = None) -> None:
        self._how = unification
        self._means = means or CameraMeans(enabled=False)
        self._slot: dict[TrackKey, int] = {}
        self._free: list[int] = []
        self._seen: dict[TrackKey, float] = {}
        self._looks: dict[TrackKey, int] = {}
        self._views = Views(
            np.zeros((0, 1, 1, 1), np.float32), np.zeros((0, 1, 1), np.float32), np.zeros((0, 1), np.float32)
        )
        self._similarity: FloatArray = np.zeros((0, 0), np.float32)
        self._common: FloatArray = np.zeros((0, 0), np.float32)

    def __len__(self) -> int:
        return len(self._slot)

    def refresh(self, tracks: Mapping[TrackKey, Evidence]) -> list[TrackKey]:
        """Bring the table up to date.

        Args:
            tracks: All tracks in the window; others are dropped.

        Returns:
            Those of which more is known than before, in order; all where cameras turned out to differ otherwise.
        """
        gone = [k for k in self._slot if k not in tracks]
        self._means.close(gone)
        for key in gone:
            self._free.append(self._slot.pop(key))
            self._seen.pop(key, None)
            self._looks.pop(key, None)
        looked = sorted(k for k, e in tracks.items() if e.looks != self._looks.get(k, 0))
        self._looks.update({k: tracks[k].looks for k in looked})
        stale = [k for k in looked if tracks[k].seen > self._seen.get(k, 0.0) * _GROWTH]
        for key in sorted(k for k in tracks if k not in self._slot):
            self._place(key)
        self._means.learn({k: tracks[k] for k in stale})
        if self._means.follow():
            stale = sorted(k for k in tracks if tracks[k].looks)
        if not stale:
            return []
        views = self._means.stack([tracks[k] for k in stale])
        self._fit(views)
        rows = np.array([self._slot[k] for k in stale])
        self._put(rows, views)
        found = compare(self._views[rows], self._views, self._how)
        self._similarity[rows], self._common[rows] = found.similarity, found.common
        self._similarity[:, rows], self._common[:, rows] = found.similarity.T, found.common.T
        self._seen.update({k: tracks[k].seen for k in stale})
        return stale

    @property
    def table(self) -> tuple[FloatArray, FloatArray]:
        """``[S, S]`` each, by slot: similarity and common share."""
        return self._similarity, self._common

    def slots(self, keys: Sequence[TrackKey]) -> Rows:
        """``[T]`` slot of each of these tracks."""
        return np.array([self._slot[k] for k in keys], np.intp)

    def select(self, keys: Sequence[TrackKey]) -> tuple[FloatArray, FloatArray]:
        """``[N, N]`` similarity and common share of these tracks; symmetric."""
        rows = self.slots(keys)
        at = np.ix_(rows, rows)
        return self._similarity[at], self._common[at]

    @property
    def empty(self) -> bool:
        """Whether no track was embedded: then nothing is alike."""
        return not self._looks

    def likely(self, keys: Sequence[TrackKey], least: float, *, faint: bool = False) -> tuple[Rows, Rows]:
        """Pairs of these tracks that are at least so alike, as numbers of tracks, the lesser first.

        Args:
            keys: All tracks.
            least: Similarity.
            faint: Also pairs that hardly have a part in common, however alike.
        """
        row = np.full(len(self._similarity), -1, np.intp)  # by slot; -1 where no track is any more
        row[[self._slot[k] for k in keys]] = np.arange(len(keys))
        wanted = self._similarity >= least
        if faint:
            wanted |= (self._common > 0) & (self._common <= LEAST_WEIGHT)
        one, two = np.nonzero(wanted)
        one, two = row[one], row[two]
        kept = (one >= 0) & (one < two)
        return one[kept], two[kept]

    def of_pairs(self, keys: Sequence[TrackKey], one: NDArray[Any], two: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """``[P]`` similarity and common share of pairs of these tracks, by number."""
        slot = self.slots(keys)
        return self._similarity[slot[one], slot[two]], self._common[slot[one], slot[two]]

    def _place(self, key: TrackKey) -> None:
        if not self._free:
            old, new = len(self._similarity), max(16, 2 * len(self._similarity))
            self._free = list(range(new - 1, old - 1, -1))
            for name in ("_similarity", "_common"):
                grown = np.zeros((new, new), np.float32)
                grown[:old, :old] = getattr(self, name)
                setattr(self, name, grown)
            self._views = self._views.padded(new, self._views.parts.shape[1], keep=old)
        slot = self._slot[key] = self._free.pop()
        self._views.visibility[slot] = 0
        self._views.mass[slot] = 0
        self._similarity[slot] = self._similarity[:, slot] = self._common[slot] = self._common[:, slot] = 0

    def _fit(self, views: Views) -> None:
        """Make room for more views per part; the first features decide about K and D."""
        shape = views.parts.shape[1:]
        old = self._views.parts.shape[1:]
        if old[1:] != shape[1:]:
            self._views = views.padded(len(self._similarity), shape[0], keep=0)
        elif shape[0] > old[0]:
            self._views = self._views.padded(len(self._similarity), shape[0], keep=len(self._views))

    def _put(self, rows: np.ndarray, views: Views) -> None:
        n = views.parts.shape[1]
        self._views.parts[rows] = 0
        self._views.mass[rows] = 0
        self._views.parts[rows, :n], self._views.mass[rows, :n] = views.parts, views.mass
        self._views.visibility[rows] = views.visibility


def sides(items: Sequence[Evidence]) -> Sides:
    """Number and quality of the pictures behind some tracks."""
    looks = np.array([i.looks for i in items], np.float32)
    quality = np.array([i.quality for i in items], np.float32)
    return Sides(looks, np.divide(quality, looks, out=np.zeros_like(quality), where=looks > 0))
