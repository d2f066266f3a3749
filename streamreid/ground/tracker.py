"""People on the ground, followed by several calibrated cameras together.

Each person is a Kalman filter of place, speed, body height and girth. Every frame of every camera, at its own time, is
explained: the box that calibration predicts is compared with the boxes found, edge by edge; somebody whom nearer people
hide is found more rarely, and without feet. Who is whom is not decided at once: several explanations are followed side
by side, each with its probability, and who stands where is what the best one says. So a later frame can put right what
an earlier one left open (multiple hypothesis tracking, Reid, IEEE TAC 24(6), 1979; boxes of several cameras and hiding
as in Ong et al., TPAMI 44(5), 2022). New people begin where boxes of the cameras that see a place agree.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from numpy.typing import NDArray

from streamreid.ground.camera_model import GroundCamera
from streamreid.ground.hypotheses import Gone, Hypothesis, Members, split
from streamreid.ground.kalman_filter import GroundSettings, GroundTrack, Nodes, Trail, transition
from streamreid.ground.measurement_likelihood import CameraFrame, measurement_likelihood
from streamreid.ground.track_birth import Beginner, Entrances, Shown, Spots, ViewKey, begin
from streamreid.types import Float64Array

__all__ = ["GroundTracker"]

_REAL = 10
"""Who has so many times the boxes that it takes to be shown is no mistake."""

_TRIED = 10
"""Hypotheses, best first, whose open boxes may be somebody new."""

_YOUNG = 30
"""Rounds after which somebody is no longer new."""

_PATIENCE = 0.6
"""Share of the usual time between frames for which a round waits for further cameras."""


@dataclass(slots=True, eq=False)
class _Frame:
    """One frame of the present round; ``owner`` is the number of each box's person, 0 for none."""

    camera: str
    time: float
    boxes: Float64Array
    owner: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.owner = np.zeros(len(self.boxes), np.int64)


class GroundTracker:
    """See the module.

    Args:
        cameras: Calibrated cameras, by name, in one world.
        settings: How people move and boxes err.
        keep: Whether whole trajectories are kept for ``finish``; runs without end must not.
    """

    def __init__(
        self, cameras: dict[str, GroundCamera], settings: GroundSettings | None = None, *, keep: bool = True
    ) -> None:
        self.settings = settings or GroundSettings()
        self._cameras = dict(cameras)
        self._names = {name: k for k, name in enumerate(self._cameras)}
        self._sizes: dict[str, tuple[int, int]] = {}
        self._nodes = Nodes.none(len(self._cameras))
        self._hypotheses = [Hypothesis(np.zeros(0, np.int64), 0.0)]
        self._clock: dict[str, float] = {}
        self._steps: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=101))
        self._pace: dict[str, float] = {}
        self._now = -np.inf
        self._next = 1
        self._round: list[_Frame] = []
        self._entrances = Entrances()
        self._first: dict[int, tuple[float, float]] = {}
        self.start = np.inf
        self.keep = keep
        self.ended: list[GroundTrack] = []
        self.revised: list[tuple[str, float, NDArray[np.int64], dict[int, list[float]]]] = []

    @property
    def tracks(self) -> list[GroundTrack]:
        """People who are followed now, the unconfirmed too."""
        nodes, own = self._nodes, self._hypotheses[0].people
        return [
            GroundTrack(int(nodes.label[k]), nodes.mean[k], bool(nodes.hits[k] >= self.settings.confirm_boxes))
            for k in own.tolist()
        ]

    @property
    def places(self) -> dict[int, list[float]]:
        """Where the people stand who are followed now: x and y in metres, by number."""
        own = self._hypotheses[0].people
        return dict(zip(self._nodes.label[own].tolist(), self._nodes.mean[own, :2].tolist(), strict=True))

    @property
    def pace(self) -> float:
        """Usual time between two frames of the fastest camera."""
        return min(self._pace.values(), default=0.1)

    def observe(self, camera: str, time: float, boxes: Float64Array, size: tuple[int, int]) -> NDArray[np.int64]:
        """One frame of one camera.

        Args:
            camera: A calibrated camera.
            time: Capture time.
            boxes: ``[N, 4]`` xyxy.
            size: Of the picture.

        Returns:
            ``[N]`` number of the person on the ground, 0 where it is not known; ``revised`` says it better when all
            cameras have shown the moment.
        """
        if camera not in self._sizes:
            self._cameras[camera] = self._cameras[camera].scaled(size)
            self._sizes[camera] = size
        if self._round and (
            camera in {f.camera for f in self._round} or time - self._round[0].time > _PATIENCE * self.pace
        ):
            self._close()
        self._note_pace(camera, time)
        frame = _Frame(camera, time, np.asarray(boxes, np.float64).reshape(-1, 4))
        self._predict(time)
        self._round.append(frame)
        if len(self._nodes):
            self._explain(frame)
        self._own(frame)
        if {f.camera for f in self._round} >= {
            c for c, when in self._clock.items() if time - when < 3 * max(self.pace, 0.05)
        }:
            self._close()
        return frame.owner

    def finish(self) -> list[GroundTrack]:
        """Everybody who was confirmed, with their ways as they look now that all is known."""
        if self._round:
            self._close()
        best = self._hypotheses[0]
        found: dict[int, tuple[Trail | None, int]] = {}
        for k in best.people.tolist():
            found[int(self._nodes.label[k])] = self._nodes.trail[k], int(self._nodes.hits[k])
        gone = best.gone
        while gone is not None:
            found.setdefault(gone.label, (gone.trail, gone.hits))
            gone = gone.before
        last = {t.number: t.mean for t in self.tracks}
        for number, (trail, hits) in sorted(found.items()):
            path = []
            while trail is not None:
                path.append(trail[1:])
                trail = trail[0]
            if hits >= self.settings.confirm_boxes and path:
                mean = last.get(number, np.array([*path[0][1:], 0.0, 0.0, self.settings.height, 1.0]))
                self.ended.append(GroundTrack(number, mean, True, path[::-1]))
        self._nodes, self._hypotheses = Nodes.none(len(self._cameras)), [Hypothesis(np.zeros(0, np.int64), 0.0)]
        return self.ended

    # ---------------------------------------------------------------- one frame

    def _note_pace(self, camera: str, time: float) -> None:
        if time > self._clock.get(camera, np.inf):
            self._steps[camera].append(time - self._clock[camera])
            self._pace[camera] = median(self._steps[camera])
        self._clock[camera] = time
        self.start = min(self.start, time)

    def _predict(self, time: float) -> None:
        dt, self._now = time - self._now, max(time, self._now)
        if 0 < dt < np.inf and len(self._nodes):
            step, noise = transition(dt, self.settings)
            nodes = self._nodes
            nodes.mean, nodes.cov = nodes.mean @ step.T, step @ nodes.cov @ step.T + noise
            there = 1 / (1 + np.exp(-nodes.there)) * np.exp(-self.settings.death_rate * dt)
            nodes.there = np.log(there / (1 - there))

    def _seen(self, frame: _Frame) -> CameraFrame:
        return CameraFrame(self._cameras[frame.camera], self._sizes[frame.camera], max(0.0, self._now - frame.time))

    def _explain(self, frame: _Frame) -> None:
        nodes = self._nodes
        told = measurement_likelihood(self._seen(frame), nodes.mean, nodes.cov, frame.boxes, self.settings)
        self._nodes, self._hypotheses, boxes = split(nodes, self._hypotheses, told, len(frame.boxes), self.settings)
        self._nodes.last[boxes >= 0] = frame.time
        self._nodes.rows[:, self._names[frame.camera]] = boxes

    def _own(self, frame: _Frame) -> None:
        """Name the owners of a frame's boxes, as the best hypothesis has it."""
        frame.owner[:] = 0
        own = self._hypotheses[0].people
        rows = self._nodes.rows[own, self._names[frame.camera]]
        frame.owner[rows[rows >= 0]] = self._nodes.label[own[rows >= 0]]

    # ---------------------------------------------------------------- one round

    def _close(self) -> None:
        """All cameras have shown this moment: begin and end people, and give up what is unlikely."""
        frames, self._round = self._round, []
        self._discount_crowding()
        self._begin({f.camera: Shown(self._seen(f), f.boxes) for f in frames})
        self._end()
        self._extend()
        self._prune()
        own = self._hypotheses[0].people
        for label in self._nodes.label[own[self._nodes.hits[own] >= _REAL * self.settings.confirm_boxes]].tolist():
            if label in self._first:
                self._entrances.learn(self._first.pop(label))
        alive = set(self._nodes.label.tolist())
        self._first = {label: place for label, place in self._first.items() if label in alive}
        where = self.places
        for frame in frames:
            self._own(frame)
            self.revised.append((frame.camera, frame.time, frame.owner, where))
        self._nodes.rows[:] = -1

    def _discount_crowding(self) -> None:
        """People hardly stand so near to each other."""
        if not len(self._nodes):
            return
        place = self._nodes.mean[:, :2].T
        gap = np.hypot(place[0][:, None] - place[0], place[1][:, None] - place[1])
        near = np.maximum(self.settings.min_separation - gap, 0.0) / self.settings.separation_softness
        np.fill_diagonal(near, 0.0)
        table = Members(self._hypotheses, len(self._nodes)).table
        against = 0.25 * ((table @ near**2) * table).sum(1)  # of each pair twice
        for hypothesis, odds in zip(self._hypotheses, against.tolist(), strict=True):
            hypothesis.odds -= odds

    def _begin(self, frames: dict[str, Shown]) -> None:
        open_boxes = self._open_boxes(frames)
        every = {
            name: np.array(sorted(set().union(*(rows[name] for rows in open_boxes.values()))), np.int64)
            for name in frames
        }
        if not any(map(len, every.values())):
            return
        spots = Spots(frames, every, self.settings)
        candidates: dict[ViewKey, Beginner] = {}
        for number, rows in open_boxes.items():
            free = {name: np.array(row, np.int64) for name, row in rows.items()}
            place = self._nodes.mean[self._hypotheses[number].people, :2]
            for key, spot in spots.beginners(free, place):
                if (
                    key not in candidates
                    and (found := begin(frames, key, spot, self.settings)) is not None
                    and found.worth > 0
                ):
                    candidates[key] = found
        for new in sorted(candidates.values(), key=lambda c: -c.worth):
            if new.worth + self._expected(new) > 0:
                self._admit(new)

    def _open_boxes(self, frames: dict[str, Shown]) -> dict[int, dict[str, tuple[int, ...]]]:
        """Rows of boxes that nobody explains, by frame, of the best hypotheses that differ in it, by number."""
        found: dict[int, dict[str, tuple[int, ...]]] = {}
        every = {name: set(range(len(frame.boxes))) for name, frame in frames.items()}
        tried = set()
        for number, hypothesis in enumerate(self._hypotheses[:_TRIED]):
            taken = [set(rows) for rows in self._nodes.rows[hypothesis.people].T.tolist()]
            rows = {name: tuple(sorted(all_rows - taken[self._names[name]])) for name, all_rows in every.items()}
            if (state := tuple(rows.values())) not in tried:
                tried.add(state)
                found[number] = rows
        return found

    def _expected(self, new: Beginner) -> float:
        return self._entrances.odds(new.mean[0, :2]) if len(new.key) > 1 else 0.0

    def _admit(self, new: Beginner) -> None:
        """Every hypothesis in which the boxes are free, and the place, takes the new person; whoever was lost nearby
        goes on."""
        rows = np.full((1, len(self._names)), -1, np.int64)
        for name, row in new.key:
            rows[0, self._names[name]] = row
        number, made = 0, {}
        for hypothesis in self._hypotheses:
            nodes, own = self._nodes, hypothesis.people
            taken = (nodes.rows[own] == rows) & (rows >= 0)
            near = (
                len(own)
                and np.linalg.norm(nodes.mean[own, :2] - new.mean[0, :2], axis=1).min()
                < self.settings.min_birth_distance
            )
            if taken.any() or near:
                continue
            lost = self._lost(hypothesis, new.mean[0, :2])
            if lost is None and not number:
                number, self._next = self._next, self._next + 1
                self._first[number] = float(new.mean[0, 0]), float(new.mean[0, 1])
            label, trail, hits = (number, None, 0) if lost is None else (lost.label, lost.trail, lost.hits)
            if label not in made:
                made[label] = len(nodes)
                whole = (
                    np.array([label], np.int64),
                    np.array([0.85]),
                    np.array([hits + len(new.key)], np.int64),
                    np.array([self._now]),
                )
                self._nodes = nodes.join(Nodes(new.mean, new.cov, *whole, rows, [trail]))
            hypothesis.people = np.append(own, made[label])
            hypothesis.odds += new.worth + (self._expected(new) if lost is None else 0.0)

    def _lost(self, hypothesis: Hypothesis, place: Float64Array) -> Gone | None:
        """Who was lost a short time ago and could stand at the place."""
        there = set(self._nodes.label[hypothesis.people].tolist())
        best: tuple[float, Gone | None] = 1.0, None
        gone, looked = hypothesis.gone, 0
        while gone is not None and looked < 30:
            if gone.trail is not None and gone.label not in there and gone.hits >= self.settings.confirm_boxes:
                seconds = self._now - gone.trail[1]
                way = np.hypot(gone.trail[2] - place[0], gone.trail[3] - place[1]) / (0.5 + seconds)
                if seconds <= self.settings.relink_seconds and way < best[0]:
                    best = float(way), gone
            gone, looked = gone.before, looked + 1
        return best[1]

    def _end(self) -> None:
        nodes = self._nodes
        for hypothesis in self._hypotheses:
            over = nodes.there[hypothesis.people] < self.settings.end_below
            ended = [k for k in hypothesis.people[over].tolist() if nodes.hits[k] >= self.settings.confirm_boxes]
            for k in ended:
                hypothesis.gone = Gone(hypothesis.gone, int(nodes.label[k]), nodes.trail[k], int(nodes.hits[k]))
            hypothesis.people = hypothesis.people[~over]
            for k in ended if self.keep else []:
                self._go_on(hypothesis, k)
            if not self.keep:
                hypothesis.gone = self._recent(hypothesis.gone)

    def _go_on(self, hypothesis: Hypothesis, over: int) -> None:
        """Who just ended may be who appeared at the same place when boxes of the former became rare: the new one then
        takes the old number."""
        nodes = self._nodes
        last = nodes.trail[over]
        young = nodes.hits[hypothesis.people] <= (_YOUNG + 1) * len(self._names)  # boxes of so many rounds at most
        for row, k in zip(np.flatnonzero(young).tolist(), hypothesis.people[young].tolist(), strict=True):
            trail = nodes.trail[k]
            steps: list[tuple[float, float, float]] = []
            while trail is not None and len(steps) <= _YOUNG:
                steps.append(trail[1:])
                trail = trail[0]
            if last is None or trail is not None or not steps:
                continue  # not young
            born, x, y = steps[-1]
            while last is not None and last[1] >= born:
                last = last[0]
            if last is None or born - last[1] > self.settings.relink_seconds:
                last = nodes.trail[over]
                continue
            if np.hypot(last[2] - x, last[3] - y) < 0.5 + (born - last[1]):
                way: Trail | None = last
                for step in reversed(steps):
                    way = way, *step
                changed = nodes.take(np.array([k], np.int64))
                changed.label, changed.trail = nodes.label[over : over + 1], [way]
                hypothesis.people[row] = len(nodes)
                self._nodes = nodes.join(changed)
                return
            last = nodes.trail[over]

    def _recent(self, gone: Gone | None) -> Gone | None:
        """Only those who may still go on: runs without end remember nobody else."""
        kept: list[Gone] = []
        while gone is not None and len(kept) < 30:
            if gone.trail is not None and self._now - gone.trail[1] <= self.settings.relink_seconds:
                kept.append(gone)
            gone = gone.before
        result = None
        for one in reversed(kept):
            result = one if one.before is result else Gone(result, one.label, one.trail, one.hits)
        return result

    def _extend(self) -> None:
        """Everybody who was seen in this round walked on."""
        nodes = self._nodes
        for k in np.flatnonzero((nodes.rows >= 0).any(1)).tolist():
            before = nodes.trail[k] if self.keep else None
            nodes.trail[k] = before, self._now, float(nodes.mean[k, 0]), float(nodes.mean[k, 1])

    def _prune(self) -> None:
        """Keep the likeliest hypotheses that differ in who stands where, and the beliefs they need."""
        kept: list[Hypothesis] = []
        seen = set()
        order = sorted(self._hypotheses, key=lambda h: -h.odds)
        for hypothesis in order[: self.settings.hypotheses]:
            own = hypothesis.people[np.argsort(self._nodes.label[hypothesis.people])]
            cells = np.round(self._nodes.mean[own, :2] / 0.15).astype(np.int64)
            if (
                hypothesis.odds > order[0].odds - self.settings.odds_window
                and (same := (tuple(self._nodes.label[own].tolist()), cells.tobytes())) not in seen
            ):
                seen.add(same)
                kept.append(hypothesis)
        used, where = np.unique(np.concatenate([h.people for h in kept]), return_inverse=True)
        ends = np.cumsum([len(h.people) for h in kept])[:-1]
        for hypothesis, people in zip(kept, np.split(where, ends), strict=True):
            hypothesis.people = people
            hypothesis.odds -= order[0].odds if hypothesis is not order[0] else 0.0
        kept[0].odds = 0.0
        self._nodes, self._hypotheses = self._nodes.take(used.astype(np.int64)), kept
