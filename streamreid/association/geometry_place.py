"""Places as evidence: what calibration says about which tracks are one person, and where everybody stood."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid._calibration_settings import GroundConfig
from streamreid.association.geometry import GroundCamera
from streamreid.association.geometry_track import GroundSettings
from streamreid.association.geometry_tracker import GroundTracker
from streamreid.association.place import Key
from streamreid.types import FloatArray, IntArray, Tracks

__all__ = ["GroundPlace", "WorldRow"]

Array = NDArray[np.float64]
WorldRow = tuple[float, int, float, float]
"""Time, id, x, y."""

_BIN = 0.5  # seconds: positions of two tracks are compared at such moments
_BINS = 240
_NEAR = 0.35  # metres: standard deviation of the distance of two views of one person
_ROOM = 100.0  # square metres in which two different people may be
_FASTEST = 4.0  # metres per second
_FRAMES = 1024
_SILENT = 2.0  # seconds
_LATE = 0.2  # seconds


@dataclass(slots=True, eq=False)
class _Looked:
    """One frame: whom its boxes show (0: nobody known) and where, once all cameras have shown the moment; until then as far as is known.

    Args:
        time: By the camera's clock.
        moved: The same, put right, as the association knows it.
        at: The same by the clock of the first camera.
        used: Rows of the boxes that were used.
        waiting: Tracks of this frame that came before ``final``.
    """

    camera: str
    time: float
    moved: float
    at: float
    used: IntArray
    owner: IntArray
    points: Array
    final: bool = False
    waiting: list[Tracks] = field(default_factory=list)


class GroundPlace:
    """Follows people on the ground and tells tracks apart by it. A :class:`streamreid.association.place.Place`.

    Args:
        cameras: Calibrated cameras by name.
        config: Area and least score.
        settings: Of the tracker on the ground.
    """

    def __init__(
        self, cameras: Mapping[str, GroundCamera], config: GroundConfig | None = None, settings: GroundSettings | None = None
    ) -> None:
        self.config = config or GroundConfig()
        self.tracker = GroundTracker(dict(cameras), settings)
        self._cameras = dict(cameras)
        self._area = None if self.config.area is None else np.array(self.config.area, np.float32)
        self.shift: dict[str, float] = {}
        self._pending: list[tuple[float, int, _Looked, Array, tuple[int, int]]] = []
        self._newest: dict[str, _Looked] = {}
        self._order = 0
        self._latest = -np.inf
        self._looked: dict[str, deque[_Looked]] = defaultdict(lambda: deque(maxlen=_FRAMES))
        self._bins: dict[Key, dict[int, tuple[float, float, int]]] = {}
        self._votes: dict[int, dict[Key, int]] = defaultdict(lambda: defaultdict(int))

    @property
    def cameras(self) -> Mapping[str, GroundCamera]:
        """The calibrated cameras."""
        return self._cameras

    def __contains__(self, camera: str) -> bool:
        return camera in self._cameras

    def keep(self, ways: bool) -> None:
        """Whether everybody's whole way is remembered for ``finish``; runs without end must not."""
        self.tracker.keep = ways

    @property
    def timing(self) -> tuple[float, float]:
        """Time of the first frame of all calibrated cameras, and the usual time between the frames of the fastest."""
        return self.tracker.start, self.tracker.pace

    def look(self, camera: str, time: float, boxes: FloatArray, scores: FloatArray, size: tuple[int, int]) -> None:
        """Take all boxes of a frame, before they are tracked inside the camera.

        Args:
            camera: Name of the camera; one that is not calibrated is ignored.
            time: Capture time.
            boxes: ``[N, 4]`` xyxy.
            scores: ``[N]``.
            size: Width and height of the picture.

        Raises:
            ConfigError: The pictures are not those that the calibration is for.
        """
        if camera not in self._cameras:
            return
        used = np.flatnonzero(scores >= self.config.score)
        view = self._cameras[camera] = self._cameras[camera].scaled(size)
        feet = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]], 1).astype(np.float64)
        points = view.to_plane(feet)
        points[boxes[:, 3] > 0.99 * size[1]] = np.nan  # feet below the picture
        points[~self._inside(points)] = np.nan
        moved = time + self.shift.get(camera, 0.0)
        # Ways keep the times of the first camera.
        frame = _Looked(camera, time, moved, moved - self.shift.get(min(self._cameras), 0.0), used, np.zeros(len(boxes), np.int64), points)
        self._looked[camera].append(frame)
        self._newest[camera] = frame
        self._order += 1
        heappush(self._pending, (frame.at, self._order, frame, np.asarray(boxes[used], np.float64), size))
        # Clocks that are put right no longer come in order: wait for the camera that is furthest back, unless it fell silent.
        self._follow(min(f.at for f in self._newest.values() if f.time > time - _SILENT) if any(self.shift.values()) else np.inf)

    def _follow(self, until: float) -> None:
        while self._pending and self._pending[0][0] <= until:
            at, _, frame, boxes, size = heappop(self._pending)
            if at < self._latest - _LATE:  # the moment has passed: its clock was put right just now
                frame.final = True
                continue
            self._latest = max(self._latest, at)
            found = self.tracker.observe(frame.camera, at, boxes, size)
            self._place(frame, found, {t.number: t.mean[:2] for t in self.tracker.tracks})
            self._settle()

    def _settle(self) -> None:
        revised, self.tracker.revised = self.tracker.revised, []
        for name, when, owner, where in revised:
            if (earlier := self._find_at(name, when)) is not None:
                self._place(earlier, owner, where)
                earlier.final = True
                for tracks in earlier.waiting:
                    self._vote(name, earlier, tracks)
                earlier.waiting = []

    def _place(self, frame: _Looked, owner: IntArray, where: Mapping[int, Array]) -> None:
        frame.owner[frame.used] = owner
        for row in np.flatnonzero(frame.owner).tolist():
            if (found := where.get(int(frame.owner[row]))) is not None:
                frame.points[row] = found
        frame.points[~self._inside(frame.points)] = np.nan

    def observe(self, camera: str, time: float, tracks: Tracks, size: tuple[int, int]) -> None:
        """See ``Place``: ties the camera's tracks to the people on the ground."""
        frame = self._find(camera, time, moved=True)
        if frame is None:
            return
        if not self.tracker.keep and len(self._votes) > 2 * len(self.tracker.tracks) + 1000:
            alive = {t.number for t in self.tracker.tracks}
            self._votes = defaultdict(lambda: defaultdict(int), {n: v for n, v in self._votes.items() if n in alive})
        if frame.final:
            self._vote(camera, frame, tracks)
        else:
            frame.waiting.append(tracks)

    def _vote(self, camera: str, frame: _Looked, tracks: Tracks) -> None:
        moment = int(frame.moved // _BIN)
        for track, row in zip(tracks.ids.tolist(), tracks.rows.tolist(), strict=True):
            if not 0 <= row < len(frame.owner):
                continue
            number = int(frame.owner[row])
            if number:
                self._votes[number][camera, track] += 1
            if np.isfinite(frame.points[row]).all():
                bins = self._bins.setdefault((camera, track), {})
                bins[moment] = (float(frame.points[row, 0]), float(frame.points[row, 1]), number)
                if len(bins) > _BINS:
                    del bins[next(iter(bins))]

    def positions(self, camera: str, time: float, rows: IntArray) -> FloatArray:
        """Where people stand, by row of the frame's boxes: ``[N, 2]`` float32 metres, NaN where it is not known."""
        result = np.full((len(rows), 2), np.nan, np.float32)
        frame = self._find(camera, time)
        if frame is not None:
            known = (rows >= 0) & (rows < len(frame.points))
            result[known] = frame.points[rows[known]]
        return result

    def log_odds(self, a: Sequence[Key], b: Sequence[Key]) -> FloatArray:
        """See ``Place``.

        Where both were seen within half a second, their distance d speaks: log(room / (2 pi s^2)) - d^2 / (2 s^2), once per second of common
        time, at most six times. One number on the ground is one person. Otherwise only the speed it would take does.
        """
        keys = sorted({key for key in (*a, *b) if self._bins.get(key)})
        result = np.zeros((len(a), len(b)), np.float32)
        if len(keys) < 2:
            return result
        ways = _Ways.build([self._bins[key] for key in keys])
        camera = np.unique([key[0] for key in keys], return_inverse=True)[1]
        known = {key: row for row, key in enumerate(keys)}
        columns = np.array([known.get(key, -1) for key in b])
        for i, key in enumerate(a):
            if key in known:
                line = np.append(ways.compare(known[key], camera), 0.0)  # the last is for tracks without a place
                result[i] = np.where(columns == known[key], 0.0, line[columns])
        return result

    def forget(self, tracks: Iterable[Key]) -> None:
        """See ``Place``."""
        for key in tracks:
            self._bins.pop(key, None)

    def finish(self, identities: Mapping[Key, tuple[int, float]]) -> list[WorldRow]:
        """Everybody's way on the ground, with the global ids of the cameras' tracks.

        Args:
            identities: Global id and link probability of every track.

        Returns:
            Rows ordered by time and id.
        """
        self._follow(np.inf)
        tracks = self.tracker.finish()
        self._settle()
        spans = {t.number: (t.path[0][0], t.path[-1][0]) for t in tracks if t.path}
        names = _names({n: self._votes.get(n, {}) for n in spans}, spans, identities)
        rows = [(time, names[t.number], x, y) for t in tracks if t.path for time, x, y in t.path]
        points = np.array([r[2:] for r in rows]).reshape(-1, 2)
        return sorted(row for row, keep in zip(rows, self._inside(points).tolist(), strict=True) if keep)

    def _find_at(self, camera: str, at: float) -> _Looked | None:
        return next((f for f in reversed(self._looked.get(camera, ())) if f.at == at), None)

    def _find(self, camera: str, time: float, *, moved: bool = False) -> _Looked | None:
        for frame in reversed(self._looked.get(camera, ())):
            if (frame.moved if moved else frame.time) == time:
                return frame
        return None

    def _inside(self, points: Array) -> NDArray[np.bool_]:
        finite: NDArray[np.bool_] = np.asarray(np.isfinite(points).all(1), bool)
        if self._area is None:
            return finite
        within = [
            ok and cv2.pointPolygonTest(self._area, (float(p[0]), float(p[1])), False) >= 0 for p, ok in zip(points, finite, strict=True)
        ]
        return np.array(within, bool)


@dataclass(frozen=True, slots=True, eq=False)
class _Ways:
    """Places of N tracks at M moments.

    Args:
        moments: ``[M]`` ascending.
        points: ``[N, M, 2]`` metres, NaN where a track was not.
        numbers: ``[N, M]`` number on the ground, 0 where it is not known.
        first: ``[N]`` index of the first moment of each track.
        last: ``[N]`` of the last.
    """

    moments: Array
    points: Array
    numbers: IntArray
    first: IntArray
    last: IntArray

    @classmethod
    def build(cls, bins: Sequence[Mapping[int, tuple[float, float, int]]]) -> _Ways:
        moments = np.array(sorted({m for b in bins for m in b}))
        index = {m: k for k, m in enumerate(moments.tolist())}
        points = np.full((len(bins), len(moments), 2), np.nan)
        numbers = np.zeros((len(bins), len(moments)), np.int64)
        for row, b in enumerate(bins):
            at = [index[m] for m in b]
            values = np.array(list(b.values()))
            points[row, at], numbers[row, at] = values[:, :2], values[:, 2]
        there = np.isfinite(points[..., 0])
        return cls(moments.astype(np.float64), points, numbers, there.argmax(1), len(moments) - 1 - there[:, ::-1].argmax(1))

    def compare(self, row: int, camera: IntArray) -> Array:
        """``[N]`` log-odds of one track with all."""
        gap = np.linalg.norm(self.points[row] - self.points, axis=2)
        common = np.isfinite(gap)
        same = (self.numbers[row] == self.numbers) & (self.numbers[row] > 0)
        both = (self.numbers[row] > 0) & (self.numbers > 0) & ~same
        gap = np.where(common, np.minimum(gap, 3.0), 0.0)
        each = np.log(_ROOM / (2 * np.pi * _NEAR**2)) - gap**2 / (2 * _NEAR**2)
        each = np.where(same, 4.0, np.where(both, np.minimum(each, -2.0), np.clip(each, -8.0, 3.0)))
        count = common.sum(1)
        mean = (each * common).sum(1) / np.maximum(count, 1)
        together = np.clip(mean * np.minimum(0.5 + count * _BIN, 6.0), -30.0, 20.0)
        other = camera != camera[row]
        return np.asarray(np.where((count > 0) & other, together, self._apart(row)), np.float64)

    def _apart(self, row: int) -> Array:
        """``[N]`` log-odds of tracks one after the other: the same number goes on, or nobody is that fast."""
        rows = np.arange(len(self.points))
        after = self.first >= self.last[row]
        before = self.last <= self.first[row]
        own = np.where(after, self.last[row], self.first[row])
        theirs = np.where(after, self.first, self.last)
        seconds = np.abs(self.moments[theirs] - self.moments[own]) * _BIN
        way = np.linalg.norm(self.points[row, own] - self.points[rows, theirs], axis=1)
        number = self.numbers[row, own]
        goes_on = (number == self.numbers[rows, theirs]) & (number > 0)
        odds = np.where(goes_on, 6.0, np.where(way > 1.5 + _FASTEST * (seconds + _BIN), -30.0, 0.0))
        return np.where(after | before, odds, 0.0)


def _names(
    votes: Mapping[int, Mapping[Key, int]], spans: Mapping[int, tuple[float, float]], identities: Mapping[Key, tuple[int, float]]
) -> dict[int, int]:
    """The global id of each number on the ground: that of most of its boxes, unless somebody else has it at the same time."""
    wishes: list[tuple[int, int, int]] = []
    for number, keys in votes.items():
        weights: dict[int, int] = defaultdict(int)
        for key, count in keys.items():
            if identities.get(key, (0, 0.0))[0]:
                weights[identities[key][0]] += count
        wishes += [(count, number, who) for who, count in weights.items()]
    names: dict[int, int] = {}
    taken: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for _, number, who in sorted(wishes, key=lambda w: (-w[0], w[1], w[2])):
        begin, end = spans[number]
        if number not in names and not any(b < end and begin < e for b, e in taken[who]):
            names[number] = who
            taken[who].append((begin, end))
    fresh = max([*(who for who, _ in identities.values()), *names.values(), 0]) + 1
    for number in sorted(spans):
        if number not in names:
            names[number], fresh = fresh, fresh + 1
    return names
