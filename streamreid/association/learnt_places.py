"""Where people stand in pictures of cameras that see the same floor, learnt while running: nobody calibrates anything.

Feet on a floor are taken from one picture to another by a homography. Where enough tracks of two cameras are surely one
person by their looks and were in view together, it is fitted to where their feet were (RANSAC); from then on two tracks
that were in view together are some body heights apart. What a distance says is not assumed but learnt, see
:class:`streamreid.association.time_relations.TimeRelations`: where a homography is no good, distances say nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import floor

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.types import Float64Array, FloatArray, TrackKey, Tracks

__all__ = ["KnownPlaces", "LearntPlaces"]

Rows = NDArray[np.int64]

_STEP = 0.25
"""Seconds between two places that are kept of a track."""

_PLACES = 120
"""Places kept per track, the newest."""

_TRACKS = 4
"""Pairs of tracks that a homography must be right for."""

_AGREE = 0.5
"""Share of the pairs of tracks that it must be right for."""

_POINTS = 30
"""Moments in which they must have been in view together."""

_MOST_POINTS = 400
"""Moments that a homography is fitted to; more are thinned out."""

_REACH = 0.5
"""Body heights by which feet may be elsewhere than the homography says and still count for it."""

_TOGETHER = 3
"""Moments together from which on a distance is known."""


@dataclass(frozen=True, slots=True, eq=False)
class KnownPlaces:
    """How pictures map onto each other.

    Args:
        onto: ``[3, 3]`` homographies by names of two cameras, from the first one's pixels to the second one's.
        sizes: Width and height of the pictures that they are for, by camera, where they are known.
    """

    onto: Mapping[tuple[str, str], Float64Array] = field(default_factory=dict)
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def beside(self, others: KnownPlaces, cameras: Collection[str]) -> KnownPlaces:
        """This, which knows all that there is to know of some cameras, and what others know beyond them."""
        fits = {c for c, size in others.sizes.items() if self.sizes.get(c, size) == size}
        new = {p: h for p, h in others.onto.items() if not set(p) <= set(cameras) and set(p) <= fits}
        sizes = {c: others.sizes[c] for pair in new for c in pair}
        return KnownPlaces({**new, **self.onto}, {**sizes, **self.sizes})


class LearntPlaces:
    """Where the tracks of the window stood, and how pictures map onto each other."""

    def __init__(self) -> None:
        self._slot: dict[TrackKey, int] = {}
        self._free: list[int] = []
        self._last: dict[str, int] = {}
        self._moment: Rows = np.full((0, _PLACES), -1, np.int64)
        self._place: FloatArray = np.zeros((0, _PLACES, 3), np.float32)  # feet x, y and height, pixels
        self._onto: dict[tuple[str, str], Float64Array] = {}
        self._size: dict[str, tuple[int, int]] = {}

    def __repr__(self) -> str:
        return f"LearntPlaces(tracks={len(self._slot)}, homographies={len(self._onto)})"

    @property
    def known(self) -> bool:
        """Whether any distance can be known."""
        return bool(self._onto)

    def known_places(self) -> KnownPlaces:
        """How pictures map onto each other, as far as is known now."""
        return KnownPlaces(dict(self._onto), {c: s for c, s in self._size.items() if any(c in p for p in self._onto)})

    def begin(self, known: KnownPlaces) -> None:
        """Begin with what an earlier run knew, before anything is learnt; what is known already stays."""
        for pair, homography in known.onto.items():
            if all(known.sizes.get(c) == self._size.get(c, known.sizes.get(c)) for c in pair):
                self._onto.setdefault(pair, homography)
                self._size.update({c: known.sizes[c] for c in pair if c in known.sizes})

    def observe(self, camera: str, time: float, tracks: Tracks, size: tuple[int, int] | None = None) -> None:
        """Take the boxes of one frame; only the first one of each moment counts.

        Args:
            camera: Name of the camera.
            time: Capture time in seconds.
            tracks: The people in it.
            size: Width and height of the picture; where they are others than before, nothing is known any more.
        """
        if size is not None and self._size.get(camera) != size:
            self._resize(camera, size)
        moment = floor(time / _STEP)
        if self._last.get(camera) == moment or not len(tracks):
            return
        self._last[camera] = moment
        known = self._slot
        slot = [known.get((camera, track), -1) for track in tracks.ids.tolist()]
        if -1 in slot:
            slot = [self._place_of((camera, track)) for track in tracks.ids.tolist()]
        x0, y0, x1, y1 = tracks.boxes.T
        at = moment % _PLACES
        self._moment[slot, at] = moment
        self._place[slot, at] = np.stack([(x0 + x1) / 2, y1, np.maximum(y1 - y0, 1.0)], 1)

    def _resize(self, camera: str, size: tuple[int, int]) -> None:
        if camera in self._size:
            self._onto = {pair: found for pair, found in self._onto.items() if camera not in pair}
            self._moment[[slot for (name, _), slot in self._slot.items() if name == camera]] = -1
        self._size[camera] = size

    def keep(self, tracks: Iterable[TrackKey]) -> None:
        """Forget all other tracks."""
        kept = set(tracks)
        for key in [key for key in self._slot if key not in kept]:
            self._free.append(self._slot.pop(key))

    def learn(self, keys: Sequence[TrackKey], one: Rows, two: Rows) -> None:
        """Fit homographies to pairs of tracks that are surely one person.

        Args:
            keys: T tracks.
            one: ``[S]`` number of one track of each pair.
            two: ``[S]`` number of the other.
        """
        pairs: dict[tuple[str, str], list[tuple[TrackKey, TrackKey]]] = {}
        for i, j in zip(one.tolist(), two.tolist(), strict=True):
            a, b = sorted((keys[i], keys[j]))
            if a[0] != b[0] and a in self._slot and b in self._slot:
                pairs.setdefault((a[0], b[0]), []).append((a, b))
        for cameras, found in pairs.items():
            homography = self._fit(found)
            if homography is not None:
                self._onto[cameras] = homography

    def _fit(self, pairs: Sequence[tuple[TrackKey, TrackKey]]) -> Float64Array | None:
        from_, onto, height = [], [], []
        for a, b in pairs:
            both = self._both(np.array([self._slot[a]]), np.array([self._slot[b]]))[0]
            if np.count_nonzero(both) >= _TOGETHER:
                from_.append(self._place[self._slot[a]][both])
                onto.append(self._place[self._slot[b]][both])
                height.append(float(np.median(onto[-1][:, 2])))
        if len(from_) < _TRACKS or sum(map(len, from_)) < _POINTS:
            return None
        source, target = np.concatenate(from_), np.concatenate(onto)
        thin = slice(None, None, max(1, len(source) // _MOST_POINTS))
        reach = _REACH * float(np.median(height))
        cv2.setRNGSeed(0)
        found, _ = cv2.findHomography(source[thin, :2], target[thin, :2], cv2.RANSAC, reach)
        if found is None or not np.isfinite(found).all():
            return None
        slots = np.array([[self._slot[a], self._slot[b]] for a, b in pairs])
        apart = self._apart(slots[:, 0], slots[:, 1], found)
        right, known = np.count_nonzero(apart <= _REACH), np.count_nonzero(np.isfinite(apart))
        return np.asarray(found, np.float64) if right >= max(_TRACKS, _AGREE * known) else None

    def distances(self, keys: Sequence[TrackKey], one: Rows, two: Rows) -> FloatArray:
        """``[P]`` median distance of pairs of tracks while they were in view together, in body heights; NaN where it is
        not known.

        Args:
            keys: T tracks.
            one: ``[P]`` number of one track of each pair.
            two: ``[P]`` number of the other.
        """
        result = np.full(len(one), np.nan, np.float32)
        if not self._onto or not len(one):
            return result
        names = sorted({camera for camera, _ in keys})
        camera = np.array([names.index(c) for c, _ in keys])
        slot = np.array([self._slot.get(key, -1) for key in keys])
        swapped = camera[one] > camera[two]
        a, b = np.where(swapped, two, one), np.where(swapped, one, two)
        for (first, then), homography in self._onto.items():
            if first not in names or then not in names:
                continue
            rows = np.flatnonzero(
                (camera[a] == names.index(first)) & (camera[b] == names.index(then)) & (slot[a] >= 0) & (slot[b] >= 0)
            )
            if len(rows):
                result[rows] = self._apart(slot[a[rows]], slot[b[rows]], homography)
        return result

    def _both(self, a: Rows, b: Rows) -> NDArray[np.bool_]:
        """``[P, _PLACES]`` moments of which places of both are kept."""
        return np.asarray((self._moment[a] == self._moment[b]) & (self._moment[a] >= 0), bool)

    def _apart(self, a: Rows, b: Rows, homography: Float64Array) -> FloatArray:
        both = self._both(a, b)
        count = both.sum(1)
        result = np.full(len(a), np.nan, np.float32)
        known = np.flatnonzero(count >= _TOGETHER)
        if not len(known):
            return result
        row, at = np.nonzero(both[known])
        here, there = self._place[a[known]][row, at].astype(np.float64), self._place[b[known]][row, at]
        moved = np.concatenate([here[:, :2], np.ones((len(here), 1))], 1) @ homography.T
        with np.errstate(divide="ignore", invalid="ignore"):
            away = np.linalg.norm(moved[:, :2] / moved[:, 2:] - there[:, :2], axis=1) / there[:, 2]
        each = np.full((len(known), _PLACES), np.inf, np.float32)
        each[row, at] = np.where(np.isfinite(away), away, 1e3)
        each.sort(1)
        result[known] = np.take_along_axis(each, (count[known, None] - 1) // 2, 1)[:, 0]
        return result

    def _place_of(self, key: TrackKey) -> int:
        if key not in self._slot:
            if not self._free:
                old, new = len(self._moment), max(16, 2 * len(self._moment))
                self._free = list(range(new - 1, old - 1, -1))
                self._moment = np.concatenate([self._moment, np.full((new - old, _PLACES), -1, np.int64)])
                self._place = np.concatenate([self._place, np.zeros((new - old, _PLACES, 3), np.float32)])
            slot = self._slot[key] = self._free.pop()
            self._moment[slot] = -1
        return self._slot[key]
