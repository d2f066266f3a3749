"""People on the ground, followed by several calibrated cameras together.

Each person is a Kalman filter of place, speed and body height. Every frame of every camera, at its own time, corrects those whom it shows: the box
that calibration predicts is compared with the boxes found, edge by edge; an edge at the border of the picture or far from where it should be (the
person is cut or hidden there) counts little. New people begin where boxes of the cameras that see a place agree.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field

import numpy as np
from lap import lapjv
from numpy.typing import NDArray

from streamreid.association.geometry import GroundCamera
from streamreid.association.geometry_body import body_boxes, box_slopes, cover_of, overlap_of
from streamreid.association.geometry_track import GroundSettings, GroundTrack

__all__ = ["GroundTracker"]

Array = NDArray[np.float64]


@dataclass(slots=True, eq=False)
class _Left:
    """Boxes of one camera's newest frame that nobody explains."""

    time: float
    boxes: Array


@dataclass(slots=True, eq=False)
class _Frame:
    """One frame of the present round: boxes, and whom they show.

    Args:
        owner: ``[N]`` number of the track of each box, 0 for none.
        rows: Row of the track -> column of the box.
        shown: ``[T, 4]`` predicted boxes.
        cover: ``[T, 5]`` what is hidden of them.
    """

    camera: str
    time: float
    boxes: Array
    owner: NDArray[np.int64] = field(init=False)
    rows: dict[int, int] = field(default_factory=dict)
    shown: Array = field(default_factory=lambda: np.zeros((0, 4)))
    cover: Array = field(default_factory=lambda: np.zeros((0, 5)))

    def __post_init__(self) -> None:
        self.owner = np.zeros(len(self.boxes), np.int64)


class GroundTracker:
    """See the module.

    Args:
        cameras: Calibrated cameras, by name, in one world.
        settings: How people move and boxes err.
    """

    def __init__(self, cameras: dict[str, GroundCamera], settings: GroundSettings | None = None) -> None:
        self.settings = settings or GroundSettings()
        self._cameras = dict(cameras)
        self._sizes: dict[str, tuple[int, int]] = {}
        self._tracks: list[GroundTrack] = []
        self._left: dict[str, _Left] = {}
        self._clock: dict[str, float] = {}
        self._steps: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=101))
        self._next = 1
        self.start = np.inf
        self.keep = True
        self.ended: list[GroundTrack] = []
        self.revised: list[tuple[str, float, NDArray[np.int64], dict[int, Array]]] = []
        self._round: list[_Frame] = []
        self._near: dict[tuple[int, int], float] = {}
        self._before: dict[int, tuple[Array, Array, float]] = {}

    @property
    def tracks(self) -> list[GroundTrack]:
        """People who are followed now, the unconfirmed too."""
        return self._tracks

    @property
    def pace(self) -> float:
        """Usual time between two frames of the fastest camera."""
        return min((self._step(c) for c in self._steps), default=0.1)

    def _step(self, camera: str) -> float:
        steps = self._steps.get(camera)
        return float(np.median(steps)) if steps else 0.2

    def observe(self, camera: str, time: float, boxes: Array, size: tuple[int, int]) -> NDArray[np.int64]:
        """One frame of one camera.

        Args:
            camera: A calibrated camera.
            time: Capture time.
            boxes: ``[N, 4]`` xyxy.
            size: Of the picture.

        Returns:
            ``[N]`` number of the person on the ground, 0 where it is not known; ``revised`` says it better when all cameras have shown the moment.
        """
        if camera not in self._sizes:
            self._cameras[camera] = self._cameras[camera].scaled(size)
            self._sizes[camera] = size
        if self._round and (camera in {f.camera for f in self._round} or time - self._round[0].time > 0.6 * self.pace):
            self._close()
        self._note_pace(camera, time)
        frame = _Frame(camera, time, np.asarray(boxes, np.float64).reshape(-1, 4))
        for track in self._tracks:
            self._predict(track, time)
        if not self._round:
            self._before = {t.number: (t.mean, t.cov, t.time) for t in self._tracks}
        self._round.append(frame)
        self._explain(frame, self._tracks)
        self._apply(frame)
        if {f.camera for f in self._round} >= {c for c, when in self._clock.items() if time - when < 3 * max(self.pace, 0.05)}:
            self._close()
        return frame.owner

    def _explain(self, frame: _Frame, tracks: list[GroundTrack]) -> None:
        """Decide whom the boxes of a frame show, by what is believed now."""
        if not tracks:
            frame.owner[:], frame.rows = 0, {}
            return
        people = np.array([[*(t.mean[:2] - t.mean[2:4] * (t.time - frame.time)), t.mean[4]] for t in tracks])
        view = self._cameras[frame.camera]
        frame.shown = body_boxes(view, people)
        frame.cover = cover_of(frame.shown, view.project(np.concatenate([people[:, :2], people[:, 2:] / 2], 1))[1])
        rows, columns = self._assign(frame.camera, people, frame.shown, frame.cover, frame.boxes)
        frame.owner[:] = 0
        frame.owner[columns] = [tracks[r].number for r in rows]
        frame.rows = dict(zip(rows.tolist(), columns.tolist(), strict=True))

    def _apply(self, frame: _Frame) -> None:
        for row, column in frame.rows.items():
            self._correct(self._tracks[row], frame.camera, frame.boxes[column], frame.cover[row, 1:])

    def _close(self) -> None:
        """All cameras have shown this moment: decide once more, each frame by what all of them say, then begin and end tracks."""
        frames, self._round = self._round, []
        for _ in range(self.settings.rounds):
            for frame in frames:
                self._explain(frame, self._tracks)
            for track in self._tracks:
                track.mean, track.cov, track.time = self._before[track.number]
            for frame in frames:
                for track in self._tracks:
                    self._predict(track, frame.time)
                self._apply(frame)
        for frame in frames:
            self._count(frame)
            self._left[frame.camera] = _Left(frame.time, frame.boxes[frame.owner == 0])
        self._part_doubles(frames)
        for frame in frames:
            self._begin(frame.camera, frame.time)
        self._end(frames[-1].time)
        where = {t.number: t.mean[:2] for t in self._tracks}
        self.revised += [(f.camera, f.time, f.owner, where) for f in frames]

    def finish(self) -> list[GroundTrack]:
        """Everybody who was confirmed."""
        if self._round:
            self._close()
        self.ended += [t for t in self._tracks if t.confirmed]
        self._tracks = []
        return self.ended

    # ---------------------------------------------------------------- filter

    def _note_pace(self, camera: str, time: float) -> None:
        if time > self._clock.get(camera, np.inf):
            self._steps[camera].append(time - self._clock[camera])
        self._clock[camera] = time
        self.start = min(self.start, time)

    def _predict(self, track: GroundTrack, time: float) -> None:
        dt = time - track.time
        if dt <= 0:
            return
        step = np.eye(5)
        calm = self.settings.calm
        keep = np.exp(-dt / calm)
        step[0, 2] = step[1, 3] = calm * (1 - keep)
        step[2, 2] = step[3, 3] = keep
        a = self.settings.acceleration**2
        noise = np.zeros((5, 5))
        for place, speed in ((0, 2), (1, 3)):
            noise[place, place], noise[speed, speed] = a * dt**3 / 3, a * dt
            noise[place, speed] = noise[speed, place] = a * dt**2 / 2
        track.mean = step @ track.mean
        track.cov = step @ track.cov @ step.T + noise
        track.time = time

    def _errors(self, camera: str, shown: Array, cover: Array, boxes: Array) -> tuple[Array, Array]:
        """Difference and noise of the four edges of found and predicted boxes ``[N, M, 4]``; noise is infinite where an edge says nothing."""
        high = np.maximum(shown[:, 3] - shown[:, 1], 8.0)[:, None, None]
        gap = boxes[None] - shown[:, None]
        noise = np.broadcast_to(self.settings.edge_noise * high, gap.shape).copy()
        noise[..., [0, 2]] *= 1.5  # arms and bags
        noise *= 1 + self.settings.cover_noise * cover[:, None]
        width, height = self._sizes[camera]
        edge = 0.01 * np.array([width, height, width, height])
        cut = np.stack([boxes[:, 0] < edge[0], boxes[:, 1] < edge[1], boxes[:, 2] > width - edge[2], boxes[:, 3] > height - edge[3]], 1)
        noise[np.broadcast_to(cut[None], noise.shape)] = np.inf
        return gap, noise

    def _assign(self, camera: str, people: Array, shown: Array, cover: Array, boxes: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        known = np.flatnonzero(np.isfinite(shown).all(1))
        none = np.zeros(0, np.int64)
        if not len(known) or not len(boxes):
            return none, none
        slopes = box_slopes(self._cameras[camera], people[known], shown[known])
        gap, noise = self._errors(camera, shown[known], cover[known, 1:], boxes)
        cost = np.full((len(known), len(boxes)), np.inf)
        for row, k in enumerate(known.tolist()):
            track = self._tracks[k]
            own = np.ix_([0, 1, 4], [0, 1, 4])
            spread = np.einsum("ij,jk,ik->i", slopes[row], track.cov[own], slopes[row])
            with np.errstate(invalid="ignore"):
                z = np.minimum(np.where(np.isfinite(noise[row]), gap[row] ** 2 / (spread + noise[row] ** 2), 1.0), 9.0)
            sides, ends = z[:, [0, 2]], z[:, [1, 3]]
            # One wrong edge of each pair is what occlusion does; both wrong is somebody else.
            cost[row] = np.where((sides.min(1) < 7) & (ends.min(1) < 7), z.sum(1), np.inf)
            cost[row] += 0.5 * np.log(np.maximum(spread[[0, 3]].mean(), 1.0))
            cost[row] += self.settings.cover_cost * cover[k, 0]
        limit = self.settings.gate
        found = np.minimum(np.nan_to_num(cost, nan=1e6, posinf=1e6), 1e6)
        _, to, _ = lapjv(found, extend_cost=True, cost_limit=limit)
        to = to.astype(np.int64)
        self._second_chance(camera, shown[known], boxes, to)
        rows = np.flatnonzero(to >= 0)
        return known[rows], to[rows]

    def _second_chance(self, camera: str, shown: Array, boxes: Array, to: NDArray[np.int64]) -> None:
        """Whoever turned sharply is found by plain overlap with a box nobody else explains."""
        rows = np.flatnonzero(to < 0)
        free = np.setdiff1d(np.arange(len(boxes)), to)
        if len(rows) and len(free):
            overlap = overlap_of(shown[rows], boxes[free], self._sizes[camera])
            _, found, _ = lapjv(1 - overlap, extend_cost=True, cost_limit=1 - self.settings.again)
            got = found >= 0
            to[rows[got]] = free[found[got]]

    def _correct(self, track: GroundTrack, camera: str, box: Array, cover: Array) -> None:
        people = np.array([[*track.mean[:2], track.mean[4]]])
        shown = body_boxes(self._cameras[camera], people)
        if not np.isfinite(shown).all():
            return
        slopes = np.zeros((4, 5))
        slopes[:, [0, 1, 4]] = box_slopes(self._cameras[camera], people, shown)[0]
        gap, noise = self._errors(camera, shown, cover[None], box[None])
        gap, noise = gap[0, 0], noise[0, 0]
        use = np.isfinite(noise)
        if use.any():
            h, r = slopes[use], noise[use] ** 2
            spread = np.einsum("ij,jk,ik->i", h, track.cov, h) + r
            z = gap[use] ** 2 / spread
            r = r * np.maximum(1.0, z / 2.0) ** 2  # an edge far off is one that is hidden
            gain = track.cov @ h.T @ np.linalg.inv(h @ track.cov @ h.T + np.diag(r))
            track.mean = track.mean + gain @ gap[use]
            left = np.eye(5) - gain @ h
            track.cov = left @ track.cov @ left.T + gain @ np.diag(r) @ gain.T
            track.mean[4] = np.clip(track.mean[4], 0.9, 2.2)

    def _mark(self, track: GroundTrack, camera: str, time: float) -> None:
        track.seen[camera] = time
        track.hits += 1
        if not self.keep:
            track.path.clear()
        track.path.append((time, float(track.mean[0]), float(track.mean[1])))

    # ---------------------------------------------------------------- life

    def _visible(self, camera: str, shown: Array) -> NDArray[np.bool_]:
        """Whose predicted boxes lie at least to 40 % in the picture."""
        width, height = self._sizes[camera]
        inner = np.clip(shown, 0, [width, height, width, height])
        with np.errstate(invalid="ignore", divide="ignore"):
            area = (inner[:, 2] - inner[:, 0]) * (inner[:, 3] - inner[:, 1])
            share = area / ((shown[:, 2] - shown[:, 0]) * (shown[:, 3] - shown[:, 1]))
            return np.asarray(np.nan_to_num(share) > 0.4, bool)

    def _count(self, frame: _Frame) -> None:
        if not self._tracks:
            return
        visible = self._visible(frame.camera, frame.shown)
        weight = 1 - np.exp(-self._step(frame.camera) / (self.settings.memory * max(1, len(self._sizes))))
        for k, track in enumerate(self._tracks):
            if k in frame.rows:
                self._mark(track, frame.camera, frame.time)
                track.support += weight * (1 - track.support)
                track.confirmed |= track.hits >= self.settings.confirm * max(1, len(track.seen))
            elif visible[k]:
                track.support -= weight * (1 - frame.cover[k, 0]) * track.support

    def _part_doubles(self, frames: list[_Frame]) -> None:
        """Two tracks at one place, of which no camera ever shows both at once, are one person: the younger ends."""
        now = frames[-1].time
        since: dict[tuple[int, int], float] = {}
        doubles: set[int] = set()
        for k, one in enumerate(self._tracks):
            for n, other in enumerate(self._tracks[k + 1 :], k + 1):
                near = np.linalg.norm(one.mean[:2] - other.mean[:2]) < self.settings.apart
                if near and not any(k in f.rows and n in f.rows for f in frames):
                    pair = one.number, other.number
                    since[pair] = self._near.get(pair, now)
                    if now - since[pair] >= self.settings.double:
                        younger = min((one, other), key=lambda t: (t.hits, -t.number))
                        younger.path = [p for p in younger.path if p[0] < since[pair]]
                        doubles.add(younger.number)
        self._near = since
        if doubles:
            for frame in frames:
                frame.owner[np.isin(frame.owner, list(doubles))] = 0
            self.ended += [t for t in self._tracks if t.number in doubles and t.confirmed and t.path and self.keep]
            self._tracks = [t for t in self._tracks if t.number not in doubles]

    def _begin(self, camera: str, time: float) -> None:
        left = self._left[camera]
        if not len(left.boxes):
            return
        fresh = 2.5 * max(self._step(camera), 0.02)
        others = {n: o for n, o in self._left.items() if n != camera and time - o.time <= fresh and len(o.boxes)}
        candidates = []
        for number, box in enumerate(left.boxes):
            candidates += [(*c, number) for c in self._hypotheses(camera, box, others, time)]
        used: dict[str, set[int]] = defaultdict(set)
        for _, _, people, partners, number in sorted(candidates, key=lambda c: (-c[1], -c[0])):
            if number in used[camera] or any(row in used[name] for name, row in partners):
                continue
            if any(np.linalg.norm(t.mean[:2] - people[:2]) < self.settings.apart for t in self._tracks):
                continue
            used[camera].add(number)
            for name, row in partners:
                used[name].add(row)
            self._new(camera, time, left.boxes[number], people, [(n, self._left[n].time, self._left[n].boxes[r]) for n, r in partners])
        for name, rows in used.items():
            keep = np.setdiff1d(np.arange(len(self._left[name].boxes)), list(rows))
            self._left[name].boxes = self._left[name].boxes[keep]

    def _hypotheses(
        self, camera: str, box: Array, others: dict[str, _Left], time: float
    ) -> list[tuple[float, float, Array, list[tuple[str, int]]]]:
        """Where the owner of a box may stand, by the feet or by the head, and which boxes of other cameras agree."""
        view, height = self._cameras[camera], self._sizes[camera][1]
        middle = (box[0] + box[2]) / 2
        spots = []
        if box[3] < 0.99 * height:
            spots.append(view.to_plane(np.array([[middle, box[3]]]))[0])
        if box[1] > 0.01 * height:
            spots.append(view.to_plane(np.array([[middle, box[1]]]), self.settings.height)[0])
        result = []
        for spot in spots:
            if not np.isfinite(spot).all() or np.linalg.norm(spot - view.position[:2]) > 60:
                continue
            people = np.array([*spot, self.settings.height])
            own = overlap_of(body_boxes(view, people[None]), box[None], self._sizes[camera])[0, 0]
            expected, score, partners = 1, own, []
            for name in self._sizes:
                if name == camera or time - self._clock.get(name, -np.inf) > 1.0:
                    continue
                shown = body_boxes(self._cameras[name], people[None])
                if not self._visible(name, shown)[0]:
                    continue
                expected += 1
                if name in others:
                    overlaps = overlap_of(shown, others[name].boxes, self._sizes[name])[0]
                    best = int(overlaps.argmax())
                    if overlaps[best] >= self.settings.agree:
                        score += overlaps[best]
                        partners.append((name, best))
            if 1 + len(partners) >= max(1, int(np.ceil(expected / 2))) and own >= self.settings.agree and (partners or expected == 1):
                result.append((score, (1 + len(partners)) / expected, people, partners))
        return result

    def _new(self, camera: str, time: float, box: Array, people: Array, partners: list[tuple[str, float, Array]]) -> None:
        mean = np.array([people[0], people[1], 0.0, 0.0, people[2]])
        cov = np.diag([0.5, 0.5, 1.0, 1.0, self.settings.height_doubt**2])
        track = GroundTrack(self._next, mean, cov, time)
        self._next += 1
        for name, when, other in [(camera, time, box), *partners]:
            self._correct(track, name, other, np.zeros(4))
            self._mark(track, name, when)
        track.path = track.path[-1:]
        self._tracks.append(track)

    def _end(self, time: float) -> None:
        keep = []
        for track in self._tracks:
            gone = time - track.last > (self.settings.lost if track.confirmed else 0.3 * self.settings.lost)
            if gone or track.support < self.settings.support:
                if track.confirmed and self.keep:
                    self.ended.append(track)
            else:
                keep.append(track)
        self._tracks = keep
