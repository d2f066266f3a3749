"""Places as evidence: what calibration says about which tracks are one person, and where everybody stood."""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.config.calibration import GroundConfig
from streamreid.ground.calibration_check import CalibrationCheck, Contradiction, worst
from streamreid.ground.camera_model import GroundCamera
from streamreid.ground.frame_order import FrameOrder
from streamreid.ground.kalman_filter import GroundSettings
from streamreid.ground.tracker import GroundTracker
from streamreid.ground.trajectory_similarity import BIN, TrajectorySimilarity, names_of
from streamreid.types import Float64Array, FloatArray, IntArray, TrackKey, Tracks

__all__ = ["GroundEvidence", "WorldRow"]

_log = logging.getLogger(__name__)

WorldRow = tuple[float, int, float, float]
"""Time, id, x, y."""

_BINS = 240
"""Moments of positions (of ``BIN`` seconds) kept per track: bounds memory and the comparison of two tracks."""

_FRAMES = 1024
"""Frames of boxes kept per camera until their positions are known."""

_SILENT = 2.0  # seconds
_LATE = 0.2  # seconds
_HYPOTHESES_LIVE = 3
"""Live results come at once, and what costs time makes them old."""


@dataclass(slots=True, eq=False)
class _GroundFrame:
    """One frame: whom its boxes show (0: nobody known) and where, once all cameras have shown the moment; until then as
    far as is known.

    Args:
        time: By the camera's clock.
        moved: The same, put right, as the association knows it.
        at: The same by the clock of the first camera, without the jumps of its own.
        feet: ``[N, 2]`` where this camera alone puts them.
        used: Rows of the boxes that were used.
        waiting: Tracks of this frame that came before ``final``.
    """

    camera: str
    time: float
    moved: float
    at: float
    used: IntArray
    owner: IntArray
    points: Float64Array
    feet: Float64Array
    final: bool = False
    waiting: list[Tracks] = field(default_factory=list)


class GroundEvidence:
    """Follows people on the ground and tells tracks apart by it. A
    :class:`streamreid.association.spatial_evidence.SpatialEvidence`.

    Args:
        cameras: Calibrated cameras by name.
        config: Area and least score.
        settings: Of the tracker on the ground.
        live: Whether the run has no end: whole trajectories are then not kept for ``finish``, and fewer hypotheses are
            followed.
    """

    def __init__(
        self,
        cameras: Mapping[str, GroundCamera],
        config: GroundConfig | None = None,
        settings: GroundSettings | None = None,
        *,
        live: bool = False,
    ) -> None:
        self.config = config or GroundConfig()
        settings = settings or settings_of(self.config)
        if live:
            settings = replace(settings, hypotheses=min(settings.hypotheses, _HYPOTHESES_LIVE))
        self.tracker = GroundTracker(dict(cameras), settings, keep=not live)
        self._cameras = dict(cameras)
        self._area = None if self.config.area is None else np.array(self.config.area, np.float32)
        self.shift: dict[str, float] = {}
        self._steady = FrameOrder()
        self._check = CalibrationCheck() if self.config.check else None
        self._out: set[str] = set()
        self._pending: list[tuple[float, int, _GroundFrame, Float64Array, tuple[int, int]]] = []
        self._newest: dict[str, _GroundFrame] = {}
        self._order = 0
        self._latest = -np.inf
        self._frames: dict[str, deque[_GroundFrame]] = defaultdict(lambda: deque(maxlen=_FRAMES))
        self._trajectories = TrajectorySimilarity(_BINS)
        self._votes: dict[int, dict[TrackKey, int]] = defaultdict(lambda: defaultdict(int))

    @property
    def cameras(self) -> Mapping[str, GroundCamera]:
        """Camera models by name, of all calibrated cameras."""
        return self._cameras

    def __contains__(self, camera: str) -> bool:
        return camera in self._cameras

    def set_clock_shift(self, shift: Mapping[str, float]) -> None:
        """Seconds to add to the times of cameras whose clocks are off; from the next frame on."""
        self.shift = dict(shift)

    @property
    def contradictions(self) -> list[Contradiction]:
        """Pairs of cameras whose calibrations cannot both be right."""
        return list(self._check.found.values()) if self._check is not None else []

    @property
    def timing(self) -> tuple[float, float]:
        """Time of the first frame of all calibrated cameras, and the usual time between the frames of the fastest."""
        return self.tracker.start, self.tracker.pace

    def observe_boxes(
        self, camera: str, time: float, boxes: FloatArray, scores: FloatArray, size: tuple[int, int]
    ) -> None:
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
        alone = points.copy()
        points[~self._inside(points)] = np.nan
        moved = time + self.shift.get(camera, 0.0)
        # Trajectories keep the times of the first camera.
        at = self._steady.steady(camera, moved) - self.shift.get(min(self._cameras), 0.0)
        frame = _GroundFrame(camera, time, moved, at, used, np.zeros(len(boxes), np.int64), points, alone)
        self._frames[camera].append(frame)
        self._newest[camera] = frame
        self._order += 1
        heappush(self._pending, (frame.at, self._order, frame, np.asarray(boxes[used], np.float64), size))
        # Clocks that are put right no longer come in order: wait for the camera that is furthest back, unless it fell
        # silent.
        self._follow(
            min(f.at for f in self._newest.values() if f.time > time - _SILENT) if any(self.shift.values()) else np.inf
        )

    def _follow(self, until: float) -> None:
        while self._pending and self._pending[0][0] <= until:
            at, _, frame, boxes, size = heappop(self._pending)
            if at < self._latest - _LATE:  # the moment has passed: its clock was put right just now
                frame.final = True
                continue
            self._latest = max(self._latest, at)
            if frame.camera in self._out:
                frame.final = True
                continue
            found = self.tracker.observe(frame.camera, at, boxes, size)
            self._place(frame, found, self.tracker.places)
            self._apply_revisions()

    def _apply_revisions(self) -> None:
        revised, self.tracker.revised = self.tracker.revised, []
        for name, when, owner, where in revised:
            if (earlier := self._find_at(name, when)) is not None:
                self._place(earlier, owner, where)
                earlier.final = True
                for tracks in earlier.waiting:
                    self._vote(name, earlier, tracks)
                earlier.waiting = []

    def _place(self, frame: _GroundFrame, owner: IntArray, where: Mapping[int, Sequence[float]]) -> None:
        frame.owner[frame.used] = owner
        known = [(row, where[number]) for row, number in enumerate(frame.owner.tolist()) if number in where]
        if known:
            frame.points[[row for row, _ in known]] = [place for _, place in known]
        frame.points[~self._inside(frame.points)] = np.nan

    def observe_tracks(self, camera: str, time: float, tracks: Tracks, size: tuple[int, int]) -> None:
        """See ``SpatialEvidence``: ties the camera's tracks to the people on the ground."""
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

    def _vote(self, camera: str, frame: _GroundFrame, tracks: Tracks) -> None:
        moment = int(frame.at // BIN)
        known = (tracks.rows >= 0) & (tracks.rows < len(frame.feet))
        if self._check is not None and known.any():
            for found in self._check.observe(camera, moment, tracks.ids[known], frame.feet[tracks.rows[known]]):
                self._contradict(found)
        owner, points = frame.owner.tolist(), frame.points.tolist()
        finite = np.asarray(np.isfinite(frame.points).all(1), bool).tolist()
        for track, row in zip(tracks.ids.tolist(), tracks.rows.tolist(), strict=True):
            if not 0 <= row < len(owner):
                continue
            number = owner[row]
            if number:
                self._votes[number][camera, track] += 1
            if finite[row]:
                self._trajectories.put((camera, track), moment, (*points[row], number))

    def _contradict(self, found: Contradiction) -> None:
        """Say it, and go on without the camera that contradicts most."""
        _log.warning("%s", found)
        out = worst(self._check.found) if self._check is not None else set()
        for camera in sorted(out - self._out):
            _log.warning(
                "camera '%s' is left out where people are followed on the ground by several cameras; its own places "
                "stay",
                camera,
            )
        self._out = out
        self._trajectories.forget_numbers(out)

    def positions(self, camera: str, time: float, rows: IntArray) -> FloatArray:
        """Where people stand, by row of the frame's boxes: ``[N, 2]`` float32 metres, NaN where it is not known."""
        result = np.full((len(rows), 2), np.nan, np.float32)
        frame = self._find(camera, time)
        if frame is not None:
            known = (rows >= 0) & (rows < len(frame.points))
            result[known] = frame.points[rows[known]]
        return result

    def log_odds(self, a: Sequence[TrackKey], b: Sequence[TrackKey]) -> FloatArray:
        """See ``SpatialEvidence``; how trajectories speak, see :class:`TrajectorySimilarity`.

        Between cameras whose calibrations contradict each other they say nothing.
        """
        result = self._trajectories.log_odds(a, b)
        if self._check is not None and self._check.found:
            names = sorted({key[0] for key in (*a, *b)})
            number = {name: k for k, name in enumerate(names)}
            against = np.zeros((len(names), len(names)), bool)
            for one, two in self._check.found:
                if one in number and two in number:
                    against[number[one], number[two]] = against[number[two], number[one]] = True
            rows, columns = [np.array([number[key[0]] for key in keys], np.intp) for keys in (a, b)]
            result[against[np.ix_(rows, columns)]] = 0.0
        return result

    def forget(self, tracks: Iterable[TrackKey]) -> None:
        """See ``SpatialEvidence``."""
        self._trajectories.forget(tracks)

    def finish(self, identities: Mapping[TrackKey, tuple[int, float]]) -> list[WorldRow]:
        """Everybody's way on the ground, with the global ids of the cameras' tracks.

        Args:
            identities: Global id and link probability of every track.

        Returns:
            Rows ordered by time and id.
        """
        self._follow(np.inf)
        tracks = self.tracker.finish()
        self._apply_revisions()
        spans = {t.number: (t.path[0][0], t.path[-1][0]) for t in tracks if t.path}
        names = names_of({n: self._votes.get(n, {}) for n in spans}, spans, identities)
        rows = [(time, names[t.number], x, y) for t in tracks if t.path for time, x, y in t.path]
        points = np.array([r[2:] for r in rows]).reshape(-1, 2)
        return sorted(row for row, keep in zip(rows, self._inside(points).tolist(), strict=True) if keep)

    def _find_at(self, camera: str, at: float) -> _GroundFrame | None:
        return next((f for f in reversed(self._frames.get(camera, ())) if f.at == at), None)

    def _find(self, camera: str, time: float, *, moved: bool = False) -> _GroundFrame | None:
        for frame in reversed(self._frames.get(camera, ())):
            if (frame.moved if moved else frame.time) == time:
                return frame
        return None

    def _inside(self, points: Float64Array) -> NDArray[np.bool_]:
        finite: NDArray[np.bool_] = np.asarray(np.isfinite(points).all(1), bool)
        if self._area is None:
            return finite
        within = [
            ok and cv2.pointPolygonTest(self._area, (float(p[0]), float(p[1])), False) >= 0
            for p, ok in zip(points, finite, strict=True)
        ]
        return np.array(within, bool)


def settings_of(config: GroundConfig) -> GroundSettings:
    """The tracker's settings that a user may change."""
    return GroundSettings(
        acceleration=config.acceleration,
        height=config.height,
        heights=config.heights,
        clutter=config.clutter,
        hypotheses=config.hypotheses,
        cameras=config.cameras,
        camera_share=config.camera_share,
        relink_seconds=config.lost_seconds,
    )
