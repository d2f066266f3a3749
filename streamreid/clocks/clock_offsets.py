"""Clocks that disagree, noticed from people whom two cameras see.

Three ways, the first that can be had is taken for each pair of cameras:

places    both are calibrated: at the right offset, people stand where the other camera sees somebody.
views     people linked in both at once: at the right offset, one homography maps the feet in one picture to those
          in the other.
transits  people linked one after the other, in both directions: offset = (median way there - median way back) / 2.

An offset counts only if it explains what is seen clearly better than others, in both halves of what is seen, one of
which had no part in choosing it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.clocks.clock_evidence import double_centred, estimate_offset
from streamreid.clocks.track_path import TrackPath
from streamreid.ground.camera_model import GroundCamera
from streamreid.types import Float64Array, TrackKey, Tracks

__all__ = ["ClockOffset", "ClockOffsetEstimator"]

Way = Literal["places", "views", "transits"]

_GRID = 0.2  # seconds between compared moments
_LIMIT = 20.0  # greatest offset that is looked for
_VIEW_LIMIT = 8.0
"""Seconds: the largest offset that is looked for between views; a longer one may be the way between two places."""

_SAMPLES = 900  # moments remembered per track
_TRACKS = 2000
"""Tracks kept, of all cameras; bounds memory and the cost of a comparison."""

_SAMPLES_COMPARED = 1500  # places of people in one camera that are looked up in another: .2 s for all offsets
_LEAST_SAMPLES = 25
"""Places of people, standing inside the other picture, below which two cameras are not compared."""

_NOWHERE = 1e6  # metres: where a place in a list of fewer people is
_LIVE_PAIRS = 40  # pairs of tracks that a live run compares: it stands still meanwhile
_FAR = 1.5  # metres from which on a place is simply wrong
_LEAST_ERROR = 0.04  # seconds: standard error that is left however much is seen
_STEP_ERROR = 0.15  # share of the time between two samples that is left as standard error of an offset
_PLACE_ERROR = 0.03  # seconds: calibrations are some centimetres off, which people walk in that time
_VIEW_CLEAR = 0.45  # best cost / usual cost from which on nothing is believed
_VIEW_FITS = 0.06  # share of the picture from which on nothing is believed
_VIEW_PAIRS = 3  # pairs of tracks in each half
_VIEW_MOMENTS = 50
"""Moments in each half; more of a slow camera, of which places between two frames are no evidence of their own."""
_LEAST_WAYS = 6  # in each direction
_ASYMMETRY = 0.05  # share by which the usual way back may take longer than the way there
_TOGETHER = (
    0.25  # share of people seen by both at once, in either direction, from which on the ways of others say nothing
)


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


class ClockOffsetEstimator:
    """Remembers where everybody was seen when, and compares cameras.

    Args:
        cameras: Those that are calibrated.
    """

    def __init__(self, cameras: Mapping[str, GroundCamera] | None = None) -> None:
        self._cameras = dict(cameras or {})
        self.sizes: dict[str, tuple[int, int]] = {}
        self._seen: dict[TrackKey, TrackPath] = {}
        self._found: dict[tuple[str, str], ClockOffset | None] = {}

    @property
    def pairs(self) -> int:
        """Of cameras that can be compared."""
        return len(self.sizes) * (len(self.sizes) - 1) // 2

    def observe(self, camera: str, time: float, tracks: Tracks, size: tuple[int, int]) -> None:
        """Take the people of one frame, by the camera's own clock."""
        if camera in self._cameras and camera not in self.sizes:
            self._cameras[camera] = self._cameras[camera].scaled(size)
        self.sizes[camera] = size
        lowest = 0.99 * size[1]
        for track, (left, _, right, bottom) in zip(tracks.ids.tolist(), tracks.boxes.tolist(), strict=True):
            key = camera, track
            seen = self._seen.get(key)
            if seen is None:
                seen = self._seen[key] = TrackPath(time)
            count = len(seen)
            if bottom < lowest and count < _SAMPLES and (not count or time - seen.last >= 0.499 * _GRID):
                seen.add(time, (left + right) / 2, bottom)
        while len(self._seen) > _TRACKS:
            del self._seen[next(iter(self._seen))]

    def forget(self, camera: str) -> None:
        """Keep nothing of a camera."""
        self.sizes.pop(camera, None)
        self._seen = {key: seen for key, seen in self._seen.items() if key[0] != camera}
        self._found = {pair: found for pair, found in self._found.items() if camera not in pair}

    def estimate(
        self, identities: Mapping[TrackKey, tuple[int, float]], *, most: int | None = None
    ) -> list[ClockOffset]:
        """Offsets of all cameras that can be compared with another, directly or through others.

        Args:
            identities: Global id and link probability of the tracks.
            most: Compare only so many pairs of cameras anew, those compared longest ago, and these by the newest tracks
                only; each takes a few tenths of a second. None compares all.
        """
        pairs = list(combinations(sorted(self.sizes), 2))
        for pair in pairs:
            self._found.setdefault(pair, None)
        # A pair that was compared goes to the end.
        for a, b in list(self._found)[:most]:
            del self._found[a, b]
            pairs_most = None if most is None else _LIVE_PAIRS
            self._found[a, b] = self._compare(a, b, identities, pairs_most)
        return _solve_offsets([found for pair in pairs if (found := self._found[pair]) is not None])

    def _compare(
        self, a: str, b: str, identities: Mapping[TrackKey, tuple[int, float]], most: int | None
    ) -> ClockOffset | None:
        # Between calibrated cameras people were linked by where they are, by clocks that may be wrong: whom both see
        # then agrees with any clock.
        placed = a in self._cameras and b in self._cameras
        found = self._by_places(a, b) if placed else self._by_views(a, b, identities, most)
        return found or self._by_transits(a, b, identities)

    def _step(self, a: str, b: str) -> float:
        """Usual time between two looks at one person, in the slower camera."""
        gaps = {
            c: [np.diff(seen.rows[:50, 0]) for key, seen in self._seen.items() if key[0] == c and len(seen) > 1]
            for c in (a, b)
        }
        return max(float(np.median(np.concatenate(g))) if g else 0.2 for g in gaps.values())

    # ---------------------------------------------------------------- places

    def _by_places(self, a: str, b: str) -> ClockOffset | None:
        samples = self._samples(a, b)
        if samples is None:
            return None
        owner, moments, points = samples
        start, others = _by_moment(*self._standing(b)[1:])
        reach = round(_LIMIT / _GRID)
        shifts = np.arange(-reach, reach + 1)
        at = moments[:, None] + shifts[None]
        costs = np.full(at.shape, np.nan)
        for k in range(len(shifts)):
            rows = np.flatnonzero((at[:, k] >= start) & (at[:, k] < start + len(others)))
            if len(rows):
                costs[rows, k] = _nearest(points[rows], others[at[rows, k] - start])
        gains = double_centred(costs, at)
        tracks, number = np.unique(owner, return_inverse=True)
        by_track = np.zeros((len(tracks), len(shifts)))
        np.add.at(by_track, number, gains)
        # A person in B who seems to be where one in A is s later: B's clock is ahead by s.
        found = estimate_offset(
            by_track, (shifts * _GRID).astype(np.float64), floor=_STEP_ERROR * (_GRID + self._step(a, b)) + _PLACE_ERROR
        )
        return None if found is None else ClockOffset(b, a, -found.seconds, found.error, "places", found.tracks)

    def _samples(self, a: str, b: str) -> tuple[NDArray[np.int64], NDArray[np.int64], Float64Array] | None:
        """Track, moment and place of those seen by A where B can see them too; evenly over the time, not more than is
        needed."""
        owner, moments, points = self._standing(a)
        view, (width, height) = self._cameras[b], self.sizes[b]
        if len(points):
            pixels, _ = view.project(np.concatenate([points, np.zeros((len(points), 1))], 1))
            inside = (pixels > 0).all(1) & (pixels[:, 0] < width) & (pixels[:, 1] < 0.98 * height)
            owner, moments, points = owner[inside], moments[inside], points[inside]
        if len(points) < _LEAST_SAMPLES:
            return None
        every = max(1, round(len(points) / _SAMPLES_COMPARED))
        kept = moments % every == 0
        return owner[kept], moments[kept], points[kept]

    def _standing(self, camera: str) -> tuple[NDArray[np.int64], NDArray[np.int64], Float64Array]:
        """Track number ``[N]``, moment on the grid ``[N]`` and place on the ground ``[N, 2]`` of all that a camera has
        seen."""
        rows: list[Float64Array] = []
        for number, ((name, _), seen) in enumerate(self._seen.items()):
            if name == camera and len(seen) > 4:
                data = seen.rows
                moments = np.unique(np.round(data[:, 0] / _GRID).astype(np.int64))
                feet = [np.interp(moments * _GRID, data[:, 0], data[:, k]) for k in (1, 2)]
                rows.append(np.stack([np.full(len(moments), number), moments, *feet], 1))
        found = np.concatenate(rows) if rows else np.zeros((0, 4))
        points = self._cameras[camera].to_plane(found[:, 2:])
        known = np.isfinite(points).all(1)
        return found[known, 0].astype(np.int64), found[known, 1].astype(np.int64), points[known]

    # ---------------------------------------------------------------- views

    def _by_views(
        self, a: str, b: str, identities: Mapping[TrackKey, tuple[int, float]], most: int | None
    ) -> ClockOffset | None:
        people: dict[int, list[TrackKey]] = defaultdict(list)
        for key in self._seen:
            if key[0] in (a, b) and identities.get(key, (0, 0.0))[0] and len(self._seen[key]) > 4:
                people[identities[key][0]].append(key)
        found = [
            (i, j)
            for keys in people.values()
            for i in keys
            for j in keys
            if i[0] == a and j[0] == b and self._near(i, j)
        ]
        if len(found) < 3:
            return None
        if most is not None:
            found = sorted(found, key=lambda pair: (max(self._seen[k].last for k in pair), pair))[-most:]
        rows = {key: self._seen[key].rows for pair in found for key in pair}
        pairs = [(rows[i], rows[j]) for i, j in found]
        size = np.array(self.sizes[b], np.float64)
        reach = round(_VIEW_LIMIT / _GRID)  # a longer one may be the way from one place to another
        shifts = np.arange(-reach, reach + 1, 2)
        costs = np.full((3, len(shifts)), np.nan)  # of all pairs, and of either half
        counts = np.zeros_like(costs)
        least = _VIEW_MOMENTS * max(1.0, self._step(a, b) / (2 * _GRID))
        for k, shift in enumerate(shifts.tolist()):
            ends = [overlapping_ends(x, y, shift * _GRID) for x, y in pairs]
            for part, chosen in enumerate((ends, ends[0::2], ends[1::2])):
                long = [e for e in chosen if len(e[0]) >= 4]
                counts[part, k] = sum(len(e[0]) for e in long)
                share = 2 if part == 0 else 1
                if len(long) >= share * _VIEW_PAIRS and counts[part, k] >= share * least:
                    feet = [np.concatenate([e[side] for e in long]) for side in (0, 1)]
                    costs[part, k] = _homography_error(feet[0], feet[1], size)
        costs[counts < 0.4 * counts.max(1, keepdims=True)] = np.nan
        whole, one, other = (_best(shifts, curve) for curve in costs)
        if whole is None or one is None or other is None:
            return None
        step = 2 * _GRID
        apart = abs(one - other)
        if apart > 1.5 * step:
            return None
        spread = max(0.25 * (step + self._step(a, b)), apart / 2)
        return ClockOffset(b, a, whole, spread, "views", len(pairs))

    def _near(self, one: TrackKey, other: TrackKey) -> bool:
        """Whether two tracks may have been seen at one time, whatever the offset. Of a person who comes again and
        again, most were not."""
        x, y = self._seen[one], self._seen[other]
        return x.first <= y.last + _VIEW_LIMIT and y.first <= x.last + _VIEW_LIMIT

    # ---------------------------------------------------------------- transits

    def _by_transits(self, a: str, b: str, identities: Mapping[TrackKey, tuple[int, float]]) -> ClockOffset | None:
        stays: dict[int, list[tuple[float, float, str]]] = defaultdict(list)
        for key, seen in self._seen.items():
            if len(seen) and (who := identities.get(key, (0, 0.0))[0]):
                stays[who].append((seen.first, seen.last, key[0]))
        ways: dict[str, list[float]] = {a: [], b: []}
        for visits in stays.values():
            for first, last in pairwise(sorted(visits)):
                if {first[2], last[2]} == {a, b}:
                    ways[first[2]].append(last[0] - first[1])
        if min(len(ways[a]), len(ways[b])) < _LEAST_WAYS:
            return None
        there, back = np.array(ways[a]), np.array(ways[b])
        if (
            min(np.mean(there < 0), np.mean(back < 0)) > _TOGETHER
        ):  # a wrong clock makes one direction negative, a common view both
            return None
        seconds, error = _half_difference(there, back)
        halves = [_half_difference(there[k::2], back[k::2]) for k in (0, 1)]
        if abs(halves[0][0] - halves[1][0]) > 3 * np.hypot(halves[0][1], halves[1][1]):
            return None
        spread = max(
            float(np.hypot(error, _ASYMMETRY * (np.median(there) + np.median(back)) / 2)),
            abs(halves[0][0] - halves[1][0]) / 2,
        )
        return ClockOffset(b, a, seconds, spread, "transits", len(there) + len(back))


def _half_difference(there: Float64Array, back: Float64Array) -> tuple[float, float]:
    """-(median way there - median way back) / 2 and its standard error: 1.2533 sd / sqrt(n) for each median."""
    errors = [
        1.2533 * max(1.4826 * np.median(np.abs(w - np.median(w))), np.std(w, ddof=1)) / np.sqrt(len(w))
        for w in (there, back)
    ]
    return float(-(np.median(there) - np.median(back)) / 2), float(np.hypot(*errors) / 2 + 0.05)


def overlapping_ends(x: Float64Array, y: Float64Array, shift: float) -> tuple[Float64Array, Float64Array]:
    """Feet of a person ``[N, 3]`` time, x, y in both pictures at the same moments, if the other clock is ahead by
    ``shift``."""
    times = np.arange(max(x[0, 0], y[0, 0] - shift), min(x[-1, 0], y[-1, 0] - shift), 2 * _GRID)
    feet = [
        np.stack([np.interp(times + late, d[:, 0], d[:, k]) for k in (1, 2)], 1) for d, late in ((x, 0.0), (y, shift))
    ]
    return feet[0], feet[1]


def _by_moment(moments: NDArray[np.int64], points: Float64Array) -> tuple[int, Float64Array]:
    """The first moment, and for each from there on the places ``[T, P, 2]`` where people are; far away where there are
    fewer."""
    if not len(moments):
        return 0, np.zeros((0, 1, 2))
    start = int(moments.min())
    order = np.argsort(moments, kind="stable")
    row = moments[order] - start
    count = np.bincount(row)
    slot = np.arange(len(row)) - (np.cumsum(count) - count)[row]
    result = np.full((len(count), int(count.max()), 2), _NOWHERE)
    result[row, slot] = points[order]
    return start, result


def _nearest(points: Float64Array, others: Float64Array) -> Float64Array:
    """How far the nearest of ``others`` ``[N, P, 2]`` is from each of ``points`` ``[N, 2]``; NaN where there is
    none."""
    square = np.square(others[..., 0] - points[:, :1]) + np.square(others[..., 1] - points[:, 1:])
    least = np.sqrt(square.min(1))
    return np.where(least < 0.5 * _NOWHERE, np.minimum(least, _FAR), np.nan)


def _homography_error(one: Float64Array, other: Float64Array, size: Float64Array) -> float:
    onto, _ = cv2.findHomography(one / size, other / size, cv2.LMEDS)
    if onto is None:
        return np.nan
    mapped = np.concatenate([one / size, np.ones((len(one), 1))], 1) @ onto.T
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.linalg.norm(mapped[:, :2] / mapped[:, 2:] - other / size, axis=1)
    return float(np.mean(np.minimum(np.nan_to_num(gap, nan=0.2), 0.2)))


def _best(shifts: NDArray[np.int64], costs: Float64Array) -> float | None:
    """The shift of least cost in seconds, if it stands out; refined by a parabola through its neighbours."""
    known = np.isfinite(costs)
    if known.sum() < 5:
        return None
    best = int(np.nanargmin(costs))
    near = np.abs(shifts - shifts[best]) * _GRID
    usual = np.median(costs[known & (near > 1.5)]) if (known & (near > 1.5)).any() else np.nan
    if not costs[best] < min(_VIEW_CLEAR * usual, _VIEW_FITS) or best in (0, len(shifts) - 1):
        return None
    step = float(shifts[1] - shifts[0]) * _GRID
    left, middle, right = costs[best - 1 : best + 2]
    bend = left - 2 * middle + right
    part = 0.5 * (left - right) / bend if np.isfinite(bend) and bend > 1e-9 else 0.0
    return -(float(shifts[best]) * _GRID + float(np.clip(part, -0.5, 0.5)) * step)


def _solve_offsets(pairs: list[ClockOffset]) -> list[ClockOffset]:
    """One offset per camera that agrees best with all pairs (weighted least squares), against the first camera it is
    connected with."""
    result = []
    left = list(pairs)
    while left:
        group = {left[0].camera, left[0].reference}
        while more := {c for p in left if {p.camera, p.reference} & group for c in (p.camera, p.reference)} - group:
            group |= more
        own, left = [p for p in left if p.camera in group], [p for p in left if p.camera not in group]
        names = sorted(group)
        values, doubt = _least_squares(own, names)
        for name, value, spread in zip(names[1:], values, doubt, strict=True):
            p = min((p for p in own if name in (p.camera, p.reference)), key=lambda p: p.spread)
            result.append(ClockOffset(name, names[0], float(value), float(spread), p.by, p.seen))
    return result


def _least_squares(pairs: list[ClockOffset], names: list[str]) -> tuple[Float64Array, Float64Array]:
    """Offsets of all cameras but the first, and their standard errors, which grow where the pairs contradict each other
    (chi-square above 1)."""
    rows = np.zeros((len(pairs), len(names)))
    for k, p in enumerate(pairs):
        rows[k, names.index(p.camera)], rows[k, names.index(p.reference)] = 1.0, -1.0
    weight = 1 / np.array([p.spread for p in pairs])
    seconds = np.array([p.seconds for p in pairs])
    design = rows[:, 1:] * weight[:, None]
    values, *_ = np.linalg.lstsq(design, seconds * weight, rcond=None)
    left = (seconds - rows[:, 1:] @ values) * weight
    free = len(pairs) - (len(names) - 1)
    excess = max(1.0, float(np.sqrt(np.square(left).sum() / free))) if free > 0 else 1.0
    # Pairs share cameras, and with them the errors of one calibration, so many pairs do not make an offset ever more
    # certain.
    doubt = excess * np.sqrt(np.diag(np.linalg.pinv(design.T @ design)))
    return np.asarray(values, np.float64), np.maximum(doubt, _LEAST_ERROR)
