"""How people walk: from place to place, through way points, around obstacles and each other (social forces, Helbing and
Molnar, 1995)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreid.synth.config import SceneConfig
from streamreid.synth.scene_layout import MARGIN, FloorArea
from streamreid.types import Float64Array

__all__ = ["Walks", "walk"]

_STEP = 0.1
"""Seconds per step of the simulation."""

_REACHED = 0.6
"""Metres from a way point at which it counts as reached."""

_COMFORT = 0.75  # metres between two people's centres below which they step aside


@dataclass(frozen=True, slots=True, eq=False)
class Walks:
    """Everybody's way. Only the time that somebody is there is stored, so the size does not grow with the length of the
    scene.

    Args:
        start: Time of the first step; negative, because people are on their way already when the cameras begin.
        steps: Steps of a tenth of a second.
        first: ``[N]`` step at which each person comes.
        begin: ``[N + 1]`` where each person's points begin.
        points: ``[M, 2]`` metres, one person after the other, one point per step.
        heights: ``[N]`` metres.
    """

    start: float
    steps: int
    first: NDArray[np.int64]
    begin: NDArray[np.int64]
    points: Float64Array
    heights: Float64Array

    def at(self, times: Float64Array, people: NDArray[np.int64] | None = None) -> Float64Array:
        """Positions ``[K, N, 2]`` of all or of some people at ``[K]`` times; NaN for who is not there."""
        first, begin, end = self.first, self.begin[:-1], self.begin[1:]
        if people is not None:
            first, begin, end = first[people], begin[people], end[people]
        exact = np.clip((np.asarray(times, np.float64) - self.start) / _STEP, 0.0, self.steps - 1.001)
        step = exact.astype(np.int64)
        part = (exact - step)[:, None, None]
        since = step[:, None] - first
        there = (since >= 0) & (since + 1 < end - begin)
        row = np.where(there, begin + since, 0)
        if not len(self.points):
            return np.full((*there.shape, 2), np.nan)
        exactly = self.points[row] * (1 - part) + self.points[np.minimum(row + 1, len(self.points) - 1)] * part
        return np.asarray(np.where(there[..., None], exactly, np.nan), np.float64)

    def visitors(self, place: FloorArea) -> NDArray[np.int64]:
        """Who is in view of a place at some time."""
        inside = np.concatenate([[0], np.cumsum(place.inside(self.points, MARGIN))])
        return np.flatnonzero(inside[self.begin[1:]] > inside[self.begin[:-1]])


@dataclass(slots=True)
class _Route:
    """Way points ``[M, 2]``, how long to stand at each, when to begin."""

    points: Float64Array
    pauses: Float64Array
    begin: float


def walk(config: SceneConfig, places: list[FloorArea], rng: np.random.Generator, *, lead: float = 5.0) -> Walks:
    """Simulate everybody from ``lead`` seconds before the scene to ``lead`` seconds after it (clocks that are wrong
    look there)."""
    count, total = config.people, config.duration
    lead += config.skew
    speeds = np.clip(rng.normal(1.25, 0.2, count), 0.7, 1.8)
    routes: list[_Route] = []
    for person in range(count):
        if routes and rng.uniform() < config.crowding.group:
            routes.append(_beside(routes[-1], rng))
            speeds[person] = speeds[person - 1]
        else:
            routes.append(_route(config, places, float(speeds[person]), rng))
    obstacles = [o for p in places for o in p.obstacles]
    state = _Crowd(
        routes,
        speeds,
        np.array([o.centre for o in obstacles]).reshape(-1, 2),
        np.array([o.radius for o in obstacles]),
        rng,
    )
    steps = int(np.ceil((total + 2 * lead) / _STEP)) + 2
    first, begin, points = _sorted([state.step(-lead + k * _STEP) for k in range(steps)], count)
    return Walks(-lead, steps, first, begin, points, np.clip(rng.normal(1.70, 0.08, count), 1.5, 1.95))


def _sorted(
    steps: list[tuple[NDArray[np.int64], Float64Array]], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], Float64Array]:
    """What happened step by step, person by person: each one's first step, where the points of each begin, the
    points."""
    who = np.concatenate([active for active, _ in steps])
    when = np.repeat(np.arange(len(steps)), [len(active) for active, _ in steps])
    order = np.argsort(who, kind="stable")
    begin = np.concatenate([[0], np.cumsum(np.bincount(who, minlength=count))])
    first = np.zeros(count, np.int64)
    came = begin[1:] > begin[:-1]
    first[came] = when[order][begin[:-1][came]]
    return first, begin, np.concatenate([where for _, where in steps])[order]


def _route(config: SceneConfig, places: list[FloorArea], speed: float, rng: np.random.Generator) -> _Route:
    points: list[Float64Array] = []
    begins: list[int] = []
    last: int | None = None
    for _ in range(config.visits):
        others = [p for p in range(len(places)) if p != last] or [0]
        last = int(rng.choice(others))
        stay = (config.crowding.stay[0] + config.linger, config.crowding.stay[1] + config.linger)
        passing = config.passing > 0 and rng.uniform() < config.passing
        begins.append(len(points))
        points += _visit(places[last], points[-1] if points else None, (0, 0) if passing else stay, rng)
    way = np.array(points)
    pauses = np.where(rng.uniform(size=len(way)) < 0.15, rng.uniform(1.0, 4.0, len(way)), 0.0)
    if config.away[1] > 0:  # before the gate of the next place, which nobody sees
        pauses[begins[1:]] = rng.uniform(*config.away, len(begins) - 1)
    needed = float(np.linalg.norm(np.diff(way, axis=0), axis=1).sum() / speed + pauses.sum())
    # Whoever needs longer than the scene lasts is on the way already at its beginning, or still at its end.
    low, high = sorted((0.0, config.duration - needed))
    return _Route(way, pauses, float(rng.uniform(low, high)))


def _visit(
    place: FloorArea, before: Float64Array | None, stay: tuple[int, int], rng: np.random.Generator
) -> list[Float64Array]:
    """In through the side one comes from, through some points, out through another side."""
    outer = place.half + MARGIN + 1.0

    def gate(angle: float) -> Float64Array:
        ray = np.array([np.cos(angle), np.sin(angle)])
        return np.asarray(place.centre + ray / np.max(np.abs(ray) / outer), np.float64)

    if before is None:
        begin = rng.uniform(0, 2 * np.pi)
    else:
        towards = before - place.centre
        begin = float(np.arctan2(towards[1], towards[0])) + rng.normal(0, 0.4)
    inner = [place.centre + rng.uniform(-0.85, 0.85, 2) * place.half for _ in range(rng.integers(stay[0], stay[1] + 1))]
    return [gate(begin), *inner, gate(begin + rng.uniform(0.3, 1.7) * np.pi)]


def _beside(route: _Route, rng: np.random.Generator) -> _Route:
    shift = rng.normal(0, 1, 2)
    shift *= rng.uniform(0.6, 1.0) / max(float(np.linalg.norm(shift)), 1e-6)
    return _Route(route.points + shift, route.pauses, route.begin + float(rng.uniform(0, 0.6)))


class _Crowd:
    """Everybody's place and speed, one step after the other."""

    def __init__(
        self,
        routes: list[_Route],
        speeds: Float64Array,
        obstacles: Float64Array,
        radii: Float64Array,
        rng: np.random.Generator,
    ) -> None:
        self._routes = routes
        self._speeds = speeds
        self._obstacles = obstacles
        self._radii = radii
        self._noise = rng.normal(0, 0.05, (len(routes), 2))
        self._where = np.full((len(routes), 2), np.nan)
        self._velocity = np.zeros((len(routes), 2))
        self._next = np.zeros(len(routes), int)
        self._wait = np.zeros(len(routes))
        self._patience = np.zeros(len(routes))
        self._to_come = sorted(range(len(routes)), key=lambda i: -routes[i].begin)

    def step(self, now: float) -> tuple[NDArray[np.int64], Float64Array]:
        """Who is there after the step to ``now`` ``[A]``, and where ``[A, 2]``."""
        while self._to_come and self._routes[self._to_come[-1]].begin <= now:
            i = self._to_come.pop()
            self._enter(i, now - self._routes[i].begin)
        active = np.flatnonzero(np.isfinite(self._where[:, 0]))
        if len(active):
            self._move(active)
            active = active[np.isfinite(self._where[active, 0])]
        return active, self._where[active]

    def _enter(self, i: int, ahead: float) -> None:
        """Begin a route, ``ahead`` seconds of walking from its first point."""
        route = self._routes[i]
        left = ahead * self._speeds[i]
        where, nxt = route.points[0], 1
        while nxt < len(route.points):
            leg = route.points[nxt] - where
            length = float(np.linalg.norm(leg))
            if left < length:
                where = where + leg * (left / length)
                break
            left, where, nxt = left - length, route.points[nxt], nxt + 1
        if nxt < len(route.points):
            self._where[i] = where
            self._head_for(i, nxt)

    def _head_for(self, i: int, point: int) -> None:
        self._next[i] = point
        if point < len(self._routes[i].points):
            way = float(np.linalg.norm(self._routes[i].points[point] - self._where[i]))
            self._patience[i] = 5.0 + 1.5 * way / self._speeds[i]  # then a point that an obstacle covers is given up

    def _move(self, active: NDArray[np.int64]) -> None:
        where = self._where[active]
        targets = np.array([self._routes[i].points[self._next[i]] for i in active])
        gap = targets - where
        distance = np.linalg.norm(gap, axis=1)
        waiting = self._wait[active] > 0
        self._wait[active] = np.maximum(0.0, self._wait[active] - _STEP)
        wish = np.where(
            waiting[:, None], 0.0, gap / np.maximum(distance, 1e-6)[:, None] * self._speeds[active][:, None]
        )
        push = self._aside(where)
        # People slow down and step aside for others, they do not bounce back.
        way = gap / np.maximum(distance, 1e-6)[:, None]
        along = (push * way).sum(1)
        push += way * (np.maximum(along, -0.7 * self._speeds[active]) - along)[:, None] * ~waiting[:, None]
        push += self._around(where, wish)
        velocity = self._velocity[active] + (wish + push - self._velocity[active]) * 0.35
        velocity += self._noise[active] * np.where(waiting, 0.0, 0.2)[:, None]
        fast = np.linalg.norm(velocity, axis=1)
        velocity *= (np.minimum(fast, 1.5 * self._speeds[active]) / np.maximum(fast, 1e-6))[:, None]
        self._velocity[active] = velocity
        self._where[active] = where + velocity * _STEP
        self._patience[active] -= np.where(waiting, 0.0, _STEP)
        for row, i in enumerate(active.tolist()):
            if (distance[row] < _REACHED or self._patience[i] < 0) and not waiting[row]:
                self._wait[i] = self._routes[i].pauses[self._next[i]]
                self._head_for(i, int(self._next[i]) + 1)
                if self._next[i] >= len(self._routes[i].points):
                    self._where[i] = np.nan

    def _aside(self, where: Float64Array) -> Float64Array:
        gap = where[:, None] - where[None]
        distance = np.linalg.norm(gap, axis=2) + 10.0 * np.eye(len(where))
        force = np.clip(_COMFORT - distance, 0.0, None) * 2.5
        ahead = gap / np.maximum(distance, 1e-3)[..., None]
        # A little to the left of straight apart, so that two who meet head-on pass each other.
        turned = ahead + 0.7 * np.stack([-ahead[..., 1], ahead[..., 0]], -1)
        result: Float64Array = (turned * force[..., None]).sum(1)
        return result

    def _around(self, where: Float64Array, wish: Float64Array) -> Float64Array:
        if not len(self._obstacles):
            return np.zeros_like(where)
        gap = where[:, None] - self._obstacles[None]
        distance = np.linalg.norm(gap, axis=2)
        free = distance - self._radii[None] - 0.3
        force = np.clip(0.7 - free, 0.0, 1.5) * 2.0
        out = gap / np.maximum(distance, 1e-3)[..., None]
        side = np.stack([-out[..., 1], out[..., 0]], -1)
        side *= np.where((side * wish[:, None]).sum(-1) >= 0, 1.0, -1.0)[..., None]
        result: Float64Array = ((out + 0.8 * side) * force[..., None]).sum(1)
        return result
