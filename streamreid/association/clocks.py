"""Clocks that disagree, noticed from people whom two cameras see.

Three ways, the first that can be had is taken for each pair of cameras:

places    both are calibrated: at the right offset, people stand where the other camera sees somebody.
views     people linked in both at once: at the right offset, one homography maps the feet in one picture to those in the other.
transits  people linked one after the other, in both directions: offset = (median way there - median way back) / 2.

An offset counts only if it explains what is seen clearly better than others.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.association.geometry import GroundCamera
from streamreid.association.place import Key
from streamreid.types import Tracks

__all__ = ["ClockOffset", "ClockWatch"]

Array = NDArray[np.float64]
Way = Literal["places", "views", "transits"]

_GRID = 0.2  # seconds between compared moments
_LIMIT = 20.0  # greatest offset that is looked for
_VIEW_LIMIT = 8.0
_SAMPLES = 900  # moments remembered per track
_TRACKS = 2000
_MOMENTS = 160
_LIVE_PAIRS = 40  # pairs of tracks that a live run compares: it stands still meanwhile
_FAR = 1.5  # metres from which on a place is simply wrong
_CLEAR = {"places": 0.75, "views": 0.45}  # best cost / usual cost from which on nothing is believed
_FITS = {"places": 0.8, "views": 0.06}  # cost from which on nothing is believed: metres, share of the picture


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """What a camera's clock is wrong by.

    Args:
        camera: Name of the camera.
        reference: Camera it is compared with.
        seconds: To be added to its times to agree with the reference.
        spread: Standard error in seconds.
        by: How it was found.
        seen: People, or moments, it rests on.
    """

    camera: str
    reference: str
    seconds: float
    spread: float
    by: Way
    seen: int

    @property
    def wrong(self) -> bool:
        """Whether the clocks disagree by more than the estimate may err."""
        return abs(self.seconds) > max(0.15, 3 * self.spread)


class _Path:
    """When and where one track's feet were: in plain numbers, because a run without end keeps thousands of these."""

    __slots__ = ("_base", "_values")

    def __init__(self, time: float) -> None:
        self._base = time
        self._values = array("f")

    def __len__(self) -> int:
        return len(self._values) // 3

    def add(self, time: float, x: float, y: float) -> None:
        self._values.extend((time - self._base, x, y))

    @property
    def first(self) -> float:
        """Time of the first moment."""
        return self._base + self._values[0]

    @property
    def last(self) -> float:
        """Time of the last moment."""
        return self._base + self._values[-3]

    @property
    def rows(self) -> Array:
        """``[N, 3]`` time, x, y."""
        rows = np.array(self._values, np.float64).reshape(-1, 3)
        rows[:, 0] += self._base
        return rows


class ClockWatch:
    """Remembers where everybody was seen when, and compares cameras.

    Args:
        cameras: Those that are calibrated.
    """

    def __init__(self, cameras: Mapping[str, GroundCamera] | None = None) -> None:
        self._cameras = dict(cameras or {})
        self._sizes: dict[str, tuple[int, int]] = {}
        self._seen: dict[Key, _Path] = {}
        self._found: dict[tuple[str, str], ClockOffset | None] = {}

    @property
    def pairs(self) -> int:
        """Of cameras that can be compared."""
        return len(self._sizes) * (len(self._sizes) - 1) // 2

    def observe(self, camera: str, time: float, tracks: Tracks, size: tuple[int, int]) -> None:
        """Take the people of one frame, by the camera's own clock."""
        if camera in self._cameras and camera not in self._sizes:
            self._cameras[camera] = self._cameras[camera].scaled(size)
        self._sizes[camera] = size
        for track, box in zip(tracks.ids.tolist(), tracks.boxes.tolist(), strict=True):
            seen = self._seen.get((camera, track))
            if seen is None:
                seen = self._seen[camera, track] = _Path(time)
            if box[3] < 0.99 * size[1] and (not len(seen) or time - seen.last >= 0.499 * _GRID) and len(seen) < _SAMPLES:
                seen.add(time, (box[0] + box[2]) / 2, box[3])
        while len(self._seen) > _TRACKS:
            del self._seen[next(iter(self._seen))]

    def forget(self, camera: str) -> None:
        """Keep nothing of a camera."""
        self._sizes.pop(camera, None)
        self._seen = {key: seen for key, seen in self._seen.items() if key[0] != camera}
        self._found = {pair: found for pair, found in self._found.items() if camera not in pair}

    def estimate(self, identities: Mapping[Key, tuple[int, float]], *, most: int | None = None) -> list[ClockOffset]:
        """Offsets of all cameras that can be compared with another, directly or through others.

        Args:
            identities: Global id and link probability of the tracks.
            most: Compare only so many pairs of cameras anew, those compared longest ago, and these by the newest tracks only; each takes a few tenths
                of a second. None compares all.
        """
        pairs = list(combinations(sorted(self._sizes), 2))
        for pair in pairs:
            self._found.setdefault(pair, None)
        # A pair that was compared goes to the end.
        for a, b in list(self._found)[:most]:
            del self._found[a, b]
            pairs_most = None if most is None else _LIVE_PAIRS
            self._found[a, b] = self._by_places(a, b) or self._by_views(a, b, identities, pairs_most) or self._by_transits(a, b, identities)
        return _settle([found for pair in pairs if (found := self._found[pair]) is not None])

    def _step(self, a: str, b: str) -> float:
        """Usual time between two looks at one person, in the slower camera."""
        gaps = {c: [np.diff(seen.rows[:50, 0]) for key, seen in self._seen.items() if key[0] == c and len(seen) > 1] for c in (a, b)}
        return max(float(np.median(np.concatenate(g))) if g else 0.2 for g in gaps.values())

    # ---------------------------------------------------------------- places

    def _by_places(self, a: str, b: str) -> ClockOffset | None:
        if a not in self._cameras or b not in self._cameras:
            return None
        one, other = self._moments(a), self._moments(b)
        steps = sorted(one)
        view, (width, height) = self._cameras[b], self._sizes[b]
        seen = {}
        for moment in steps:  # only whom the other camera can see
            points = one[moment]
            pixels, _ = view.project(np.concatenate([points, np.zeros((len(points), 1))], 1))
            inside = (pixels > 0).all(1) & (pixels[:, 0] < width) & (pixels[:, 1] < 0.98 * height)
            if inside.any():
                seen[moment] = points[inside]
        steps = sorted(seen)[:: max(1, len(seen) // _MOMENTS)]
        if sum(len(seen[m]) for m in steps) < 25:
            return None
        reach = round(_LIMIT / _GRID)
        shifts = np.arange(-reach, reach + 1)
        costs = np.full(len(shifts), np.nan)
        for k, shift in enumerate(shifts.tolist()):
            gaps = [_nearest(seen[m], other[m + shift]) for m in steps if m + shift in other]
            if sum(map(len, gaps)) >= 25 and len(gaps) >= 0.3 * len(steps):
                costs[k] = np.concatenate(gaps).mean()
        return _best(a, b, shifts, costs, "places", len(steps), self._step(a, b))

    def _moments(self, camera: str) -> dict[int, Array]:
        """Moment on the grid -> where people stand, ``[N, 2]``."""
        found: dict[int, list[Array]] = defaultdict(list)
        for (name, _), seen in self._seen.items():
            if name == camera and len(seen) > 4:
                data = seen.rows
                moments = np.unique(np.round(data[:, 0] / _GRID).astype(np.int64))
                feet = np.stack([np.interp(moments * _GRID, data[:, 0], data[:, k]) for k in (1, 2)], 1)
                for moment, point in zip(moments.tolist(), self._cameras[camera].to_plane(feet), strict=True):
                    if np.isfinite(point).all():
                        found[moment].append(point)
        return {moment: np.array(points) for moment, points in found.items()}

    # ---------------------------------------------------------------- views

    def _by_views(self, a: str, b: str, identities: Mapping[Key, tuple[int, float]], most: int | None) -> ClockOffset | None:
        people: dict[int, list[Key]] = defaultdict(list)
        for key in self._seen:
            if key[0] in (a, b) and identities.get(key, (0, 0.0))[0] and len(self._seen[key]) > 4:
                people[identities[key][0]].append(key)
        found = [(i, j) for keys in people.values() for i in keys for j in keys if i[0] == a and j[0] == b and self._near(i, j)]
        if len(found) < 3:
            return None
        if most is not None:
            found = sorted(found, key=lambda pair: (max(self._seen[k].last for k in pair), pair))[-most:]
        rows = {key: self._seen[key].rows for pair in found for key in pair}
        pairs = [(rows[i], rows[j]) for i, j in found]
        size = np.array(self._sizes[b], np.float64)
        reach = round(_VIEW_LIMIT / _GRID)  # a longer one may be the way from one place to another
        shifts = np.arange(-reach, reach + 1, 2)
        costs, counts = np.full(len(shifts), np.nan), np.zeros(len(shifts))
        for k, shift in enumerate(shifts.tolist()):
            ends = [_both(x, y, shift * _GRID) for x, y in pairs]
            ends = [e for e in ends if len(e[0]) >= 4]
            counts[k] = sum(len(e[0]) for e in ends)
            if len(ends) >= 5 and counts[k] >= 100:
                costs[k] = _homography_error(np.concatenate([e[0] for e in ends]), np.concatenate([e[1] for e in ends]), size)
        costs[counts < 0.4 * counts.max()] = np.nan
        return _best(a, b, shifts, costs, "views", len(pairs), self._step(a, b))

    def _near(self, one: Key, other: Key) -> bool:
        """Whether two tracks may have been seen at one time, whatever the offset. Of a person who comes again and again, most were not."""
        x, y = self._seen[one], self._seen[other]
        return x.first <= y.last + _VIEW_LIMIT and y.first <= x.last + _VIEW_LIMIT

    # ---------------------------------------------------------------- transits

    def _by_transits(self, a: str, b: str, identities: Mapping[Key, tuple[int, float]]) -> ClockOffset | None:
        stays: dict[int, list[tuple[float, float, str]]] = defaultdict(list)
        for key, seen in self._seen.items():
            if len(seen) and (who := identities.get(key, (0, 0.0))[0]):
                stays[who].append((seen.first, seen.last, key[0]))
        ways: dict[str, list[float]] = {a: [], b: []}
        for visits in stays.values():
            for first, last in pairwise(sorted(visits)):
                if {first[2], last[2]} == {a, b}:
                    ways[first[2]].append(last[0] - first[1])
        if min(len(ways[a]), len(ways[b])) < 4:
            return None
        there, back = np.array(ways[a]), np.array(ways[b])
        if np.median(there) + np.median(back) <= 0:  # seen by both at once: nobody is on the way, whatever the clocks say
            return None
        seconds = -(np.median(there) - np.median(back)) / 2
        errors = [1.2533 * 1.4826 * np.median(np.abs(w - np.median(w))) / np.sqrt(len(w)) for w in (there, back)]
        return ClockOffset(b, a, float(seconds), float(np.hypot(*errors) / 2 + 0.05), "transits", len(there) + len(back))


def _both(x: Array, y: Array, shift: float) -> tuple[Array, Array]:
    """Feet of a person ``[N, 3]`` time, x, y in both pictures at the same moments, if the other clock is ahead by ``shift``."""
    times = np.arange(max(x[0, 0], y[0, 0] - shift), min(x[-1, 0], y[-1, 0] - shift), 2 * _GRID)
    feet = [np.stack([np.interp(times + late, d[:, 0], d[:, k]) for k in (1, 2)], 1) for d, late in ((x, 0.0), (y, shift))]
    return feet[0], feet[1]


def _nearest(points: Array, others: Array) -> Array:
    return np.asarray(np.minimum(np.linalg.norm(points[:, None] - others[None], axis=2).min(1), _FAR), np.float64)


def _homography_error(one: Array, other: Array, size: Array) -> float:
    onto, _ = cv2.findHomography(one / size, other / size, cv2.LMEDS)
    if onto is None:
        return np.nan
    mapped = np.concatenate([one / size, np.ones((len(one), 1))], 1) @ onto.T
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.linalg.norm(mapped[:, :2] / mapped[:, 2:] - other / size, axis=1)
    return float(np.mean(np.minimum(np.nan_to_num(gap, nan=0.2), 0.2)))


def _best(a: str, b: str, shifts: NDArray[np.int64], costs: Array, by: Way, seen: int, interval: float) -> ClockOffset | None:
    """The shift of least cost, if it stands out; refined by a parabola through its neighbours."""
    known = np.isfinite(costs)
    if known.sum() < 5:
        return None
    best = int(np.nanargmin(costs))
    near = np.abs(shifts - shifts[best]) * _GRID
    usual = np.median(costs[known & (near > 1.5)]) if (known & (near > 1.5)).any() else np.nan
    if not costs[best] < min(_CLEAR[by] * usual, _FITS[by]) or best in (0, len(shifts) - 1):
        return None
    step = float(shifts[1] - shifts[0]) * _GRID
    left, middle, right = costs[best - 1 : best + 2]
    bend = left - 2 * middle + right
    part = 0.5 * (left - right) / bend if np.isfinite(bend) and bend > 1e-9 else 0.0
    seconds = -(float(shifts[best]) * _GRID + float(np.clip(part, -0.5, 0.5)) * step)
    return ClockOffset(b, a, seconds, 0.25 * (step + interval), by, seen)


def _settle(pairs: list[ClockOffset]) -> list[ClockOffset]:
    """One offset per camera that agrees best with all pairs (weighted least squares), against the first camera it is connected with."""
    result = []
    left = list(pairs)
    while left:
        group = {left[0].camera, left[0].reference}
        while more := {c for p in left if {p.camera, p.reference} & group for c in (p.camera, p.reference)} - group:
            group |= more
        own, left = [p for p in left if p.camera in group], [p for p in left if p.camera not in group]
        names = sorted(group)
        rows = np.zeros((len(own), len(names)))
        for k, p in enumerate(own):
            rows[k, names.index(p.camera)], rows[k, names.index(p.reference)] = 1.0, -1.0
        weight = 1 / np.array([p.spread for p in own])
        values, *_ = np.linalg.lstsq(rows[:, 1:] * weight[:, None], np.array([p.seconds for p in own]) * weight, rcond=None)
        doubt = np.sqrt(np.diag(np.linalg.pinv((rows[:, 1:] * weight[:, None]).T @ (rows[:, 1:] * weight[:, None]))))
        for name, value, spread in zip(names[1:], values, doubt, strict=True):
            p = min((p for p in own if name in (p.camera, p.reference)), key=lambda p: p.spread)
            result.append(ClockOffset(name, names[0], float(value), float(spread), p.by, p.seen))
    return result
