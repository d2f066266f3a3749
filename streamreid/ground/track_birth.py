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

__all__ = ["Beginner", "Entrances", "Shown", "begin", "beginners"]

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


def beginners(
    frames: Mapping[str, Shown], free: Mapping[str, NDArray[np.int64]], near: Float64Array, settings: GroundSettings
) -> list[tuple[ViewKey, Float64Array]]:
    """Boxes that may be one new person, and the place, best first.

    Args:
        frames: The round.
        free: Rows of each frame's boxes that nobody explains.
        near: ``[T, 2]`` where people stand.
        settings: Which agreement it takes.
    """
    spots, owners = _spots(frames, free, settings)
    if not len(spots):
        return []
    alone = np.ones(len(spots), bool)
    if len(near):
        alone = np.linalg.norm(spots[:, None] - near[None], axis=2).min(1) >= settings.min_birth_distance
    people = np.concatenate([spots, np.full((len(spots), 1), settings.height)], 1)
    expected, got, score = np.zeros(len(spots)), np.zeros(len(spots)), np.zeros(len(spots))
    rows = {}
    for name, frame in frames.items():
        shown = body_boxes(frame.seen.camera, people)
        visible = share_inside(shown, frame.seen.size) > 0.4
        expected += visible
        best = np.full(len(spots), -1, np.int64)
        if len(free[name]):
            overlap = overlap_of(shown, frame.boxes[free[name]], frame.seen.size)
            # The box that proposed a place is meant, not one that fits better.
            proposed = np.array([row if owner == name else -1 for owner, row in owners])
            overlap[(proposed >= 0)[:, None] & (free[name] != proposed[:, None])] = -1.0
            column = overlap.argmax(1)
            value = overlap[np.arange(len(spots)), column]
            fits = (value >= settings.birth_iou) & visible
            best[fits] = free[name][column[fits]]
            got += fits
            score += np.where(fits, value, 0.0)
        rows[name] = best
    own = np.array([rows[name][spot] == row for spot, (name, row) in enumerate(owners)])
    least = np.maximum(np.ceil(settings.camera_share * expected), settings.cameras)
    good = alone & own & (got >= least) & ((got > 1) | (expected <= 1))
    result: list[tuple[ViewKey, Float64Array]] = []
    used: set[tuple[str, int]] = set()
    for spot in np.lexsort((-score, -got / np.maximum(expected, 1))).tolist():
        key = tuple((name, int(best[spot])) for name, best in rows.items() if best[spot] >= 0)
        if (
            not good[spot]
            or used & set(key)
            or any(np.linalg.norm(p - spots[spot]) < settings.min_birth_distance for _, p in result)
        ):
            continue
        used |= set(key)
        result.append((key, spots[spot]))
    return result


def _spots(
    frames: Mapping[str, Shown], free: Mapping[str, NDArray[np.int64]], settings: GroundSettings
) -> tuple[Float64Array, list[tuple[str, int]]]:
    """Where the owners of free boxes may stand, by the feet and by the head."""
    spots: list[Float64Array] = []
    owners: list[tuple[str, int]] = []
    for name, frame in frames.items():
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
        owners += [(name, row) for row in np.repeat(rows, 2)[usable.ravel()].tolist()]
    return (np.concatenate(spots) if spots else np.zeros((0, 2))), owners


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
