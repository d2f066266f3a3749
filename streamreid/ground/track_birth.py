"""Where somebody may begin: boxes that nobody explains, where the cameras that see a place agree."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamreid.ground.body_model import body_boxes, overlap_of, share_inside
from streamreid.ground.kalman_filter import GroundSettings, correct
from streamreid.ground.measurement_likelihood import (
    INWARDS,
    LEGS,
    CameraFrame,
    cut_edges,
    edge_noise,
    predicted_boxes,
    visible_share,
)
from streamreid.types import Float64Array

__all__ = ["Beginner", "Entrances", "Shown", "Spots", "begin"]

ViewKey = tuple[tuple[str, int], ...]
_FAR = 60.0  # metres
_ALONE = 0.1
"""Log-odds at least of a person whom only one camera sees, whatever the others should have seen."""

_WAYS = np.log([0.65, 0.30, 0.05])
"""How often a box shows somebody whole, without feet, or badly, of somebody new."""

_DOOR = 0.7  # metres: how wide an entrance is
_GROUND = 100.0  # square metres on which people usually are


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One camera's frame of a round.

    Args:
        seen: The camera.
        boxes: ``[M, 4]``.
    """

    seen: CameraFrame
    boxes: Float64Array


@dataclass(frozen=True, slots=True, eq=False)
class Beginner:
    """Somebody new.

    Args:
        key: Boxes, by camera and row.
        worth: Log-odds against the boxes' being nobody's.
        mean: ``[1, 6]`` and ``cov`` ``[1, 6, 6]``.
    """

    key: ViewKey
    worth: float
    mean: Float64Array
    cov: Float64Array


class Entrances:
    """Where people came from so far, so that somebody new is expected there rather than in the middle of a room."""

    def __init__(self) -> None:
        self._places: deque[tuple[float, float]] = deque(maxlen=200)

    def learn(self, place: tuple[float, float]) -> None:
        """Somebody who turned out to be real began here."""
        self._places.append(place)

    def odds(self, place: Float64Array) -> float:
        """Logarithm of how much likelier than anywhere somebody begins here: a kernel density with one uniform
        beginning added."""
        if not self._places:
            return 0.0
        gap = np.linalg.norm(np.array(self._places) - place, axis=1)
        kernel = np.exp(-0.5 * (gap / _DOOR) ** 2) / (2 * np.pi * _DOOR**2)
        density = (float(kernel.sum()) + 1 / _GROUND) / (len(self._places) + 1)
        return float(np.clip(np.log(density * _GROUND), -4.0, 2.0))


class Spots:
    """Where the owners of boxes may stand, S places, and what every camera would show of somebody there.

    Args:
        frames: The round.
        free: Rows of each frame's boxes that somebody new may own.
        settings: Which agreement it takes.
    """

    def __init__(
        self, frames: Mapping[str, Shown], free: Mapping[str, NDArray[np.int64]], settings: GroundSettings
    ) -> None:
        self._settings = settings
        self.places, self._camera, self._row = _spots(frames, free, settings)
        self._names, count = list(frames), len(self.places)
        self._most = max(len(frame.boxes) for frame in frames.values())
        self._visible = np.zeros((len(frames), count), bool)
        self._overlap: list[Float64Array] = []  # [S, M] of each frame's boxes
        people = np.concatenate([self.places, np.full((count, 1), settings.height)], 1)
        for number, (name, frame) in enumerate(frames.items() if count else ()):
            shown = body_boxes(frame.seen.camera, people)
            self._visible[number] = share_inside(shown, frame.seen.size) > 0.4
            overlap = np.full((count, len(frame.boxes)), -1.0)
            overlap[:, free[name]] = overlap_of(shown, frame.boxes[free[name]], frame.seen.size)
            # The box that proposed a place is meant, not one that fits better.
            own = np.flatnonzero(self._camera == number)
            value = overlap[own, self._row[own]]
            overlap[own] = -1.0
            overlap[own, self._row[own]] = value
            self._overlap.append(overlap)

    def beginners(
        self, free: Mapping[str, NDArray[np.int64]], near: Float64Array
    ) -> list[tuple[ViewKey, Float64Array]]:
        """Boxes that may be one new person, and the place, best first.

        Args:
            free: Rows of each frame's boxes that nobody explains: some of those that may be owned.
            near: ``[T, 2]`` where people stand.
        """
        table = np.zeros((len(self._names), self._most), bool)
        for number, name in enumerate(self._names):
            table[number, free[name]] = True
        alone = table[self._camera, self._row]
        if len(near) and alone.any():
            gap = ((self.places[:, None] - near) ** 2).sum(2)
            alone &= gap.min(1) >= self._settings.min_birth_distance**2
        at = np.flatnonzero(alone)
        return self._agreed(at, free) if len(at) else []

    def _agreed(
        self, at: NDArray[np.int64], free: Mapping[str, NDArray[np.int64]]
    ) -> list[tuple[ViewKey, Float64Array]]:
        """Of some places those where cameras agree."""
        settings, rows = self._settings, np.arange(len(at))
        best = np.full((len(self._names), len(at)), -1, np.int64)
        score = np.zeros(len(at))
        for number, name in enumerate(self._names):
            if len(free[name]):
                overlap = self._overlap[number][at][:, free[name]]
                column = overlap.argmax(1)
                value = overlap[rows, column]
                fits = (value >= settings.birth_iou) & self._visible[number, at]
                best[number, fits] = free[name][column[fits]]
                score += np.where(fits, value, 0.0)
        got, expected = (best >= 0).sum(0), self._visible[:, at].sum(0)
        least = np.maximum(np.ceil(settings.camera_share * expected), settings.cameras)
        own = best[self._camera[at], rows] == self._row[at]
        good = own & (got >= least) & ((got > 1) | (expected <= 1))
        result: list[tuple[ViewKey, Float64Array]] = []
        used: set[tuple[str, int]] = set()
        for spot in np.lexsort((-score, -got / np.maximum(expected, 1))).tolist():
            if not good[spot]:
                continue
            key = tuple((name, row) for name, row in zip(self._names, best[:, spot].tolist(), strict=True) if row >= 0)
            place = self.places[at[spot]]
            if used & set(key) or any(np.linalg.norm(p - place) < settings.min_birth_distance for _, p in result):
                continue
            used |= set(key)
            result.append((key, place))
        return result


def _spots(
    frames: Mapping[str, Shown], free: Mapping[str, NDArray[np.int64]], settings: GroundSettings
) -> tuple[Float64Array, NDArray[np.int64], NDArray[np.int64]]:
    """Where the owners of free boxes may stand ``[S, 2]``, by the feet and by the head; of which frame and row."""
    spots, owner, row = [np.zeros((0, 2))], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for number, (name, frame) in enumerate(frames.items()):
        rows = free[name]
        if not len(rows):
            continue
        camera, high, boxes = frame.seen.camera, frame.seen.size[1], frame.boxes[rows]
        middle = (boxes[:, 0] + boxes[:, 2]) / 2
        feet = camera.to_plane(np.stack([middle, boxes[:, 3]], 1))
        head = camera.to_plane(np.stack([middle, boxes[:, 1]], 1), settings.height)
        ends = np.stack([feet, head], 1)
        usable = np.stack([boxes[:, 3] < 0.99 * high, boxes[:, 1] > 0.01 * high], 1)
        usable &= np.isfinite(ends).all(2) & (np.linalg.norm(ends - camera.position[:2], axis=2) < _FAR)
        spots.append(ends[usable])
        row.append(np.repeat(rows, 2)[usable.ravel()])
        owner.append(np.full(len(row[-1]), number))
    return np.concatenate(spots), np.concatenate(owner), np.concatenate(row)


def begin(frames: Mapping[str, Shown], key: ViewKey, spot: Float64Array, settings: GroundSettings) -> Beginner | None:
    """Work out a new person from their boxes; None if a camera cannot see the place after all."""
    start = np.array([[*spot, 0.0, 0.0, settings.height, 1.0]])
    doubt = np.diag([0.25, 0.25, 1.0, 1.0, settings.height_deviation**2, settings.girth_deviation**2])[None]
    views = [(frames[name].seen, frames[name].boxes[row : row + 1]) for name, row in key]
    around, mean, cov, worth = start, start, doubt, 0.0
    for _ in range(2):  # derivatives again where the first pass ended
        mean, cov, worth = start, doubt, settings.birth_log_odds
        for number, (seen, box) in enumerate(views):
            if (said := _corrected(seen, box, mean, cov, around, settings)) is None:
                return None
            mean, cov, odds = said
            # The first box says where; that it is somebody, the others say.
            worth += float(np.log(settings.detection_rate)) + odds if number else 0.0
        around = mean
    for name, frame in frames.items():
        if name not in dict(key):
            inside = visible_share(body_boxes(frame.seen.camera, mean[:, [0, 1, 4, 5]]), frame.seen.size)[0]
            worth += float(np.log(1 - 0.6 * settings.detection_rate * inside))
    if len(key) == 1:  # one camera alone sees the place: time must tell
        worth = max(worth, _ALONE)
    return Beginner(key, worth, mean, cov)


def _corrected(
    seen: CameraFrame,
    box: Float64Array,
    mean: Float64Array,
    cov: Float64Array,
    around: Float64Array,
    settings: GroundSettings,
) -> tuple[Float64Array, Float64Array, float] | None:
    """A belief ``[1, 6]`` after a box ``[1, 4]``, with derivatives at ``around``, and log-odds of the box; None if the
    camera cannot see the place."""
    shown, slopes, known, _ = predicted_boxes(seen, around)
    if not known[0] or visible_share(shown, seen.size)[0] == 0:
        return None
    high = max(float(shown[0, 3] - shown[0, 1]), 8.0)
    gap = box - shown + (around - mean) @ slopes[0].T
    noise = edge_noise(np.array([high]), settings)[:, 0]
    free = cut_edges(box, seen.size)[:, 0] & (gap[0] * INWARDS[:, 0] > 0)
    gap[0, free], noise[free] = 0.0, high**2
    ways = np.stack([noise, noise, settings.outlier_scale**2 * noise])
    ways[1, 3] = max(ways[1, 3], (LEGS * high) ** 2)
    spread = (slopes[0] @ cov[0] @ slopes[0].T + ways[:, None] * np.eye(4)) / high**2
    far = (np.linalg.solve(spread, np.broadcast_to(gap[0, :, None] / high, (3, 4, 1)))[..., 0] * gap[0]).sum(1) / high
    odds = -2 * np.log(2 * np.pi) - 0.5 * (far + np.linalg.slogdet(spread)[1]) + _WAYS
    odds -= np.log(settings.clutter * 0.5 * high**2 / (seen.size[0] * seen.size[1]))
    best = int(odds.argmax())
    mean, cov = correct(mean, cov, slopes, gap, ways[best : best + 1], settings.heights)
    return mean, cov, float(np.logaddexp.reduce(odds))
