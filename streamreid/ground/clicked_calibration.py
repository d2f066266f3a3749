"""Calibration by clicks: places on the ground that somebody clicked in a camera's picture, and where they are.

.. code-block:: python

    points = [[102, 530, 0, 0], [611, 498, 4, 0], [580, 301, 4, 6], [233, 310, 0, 6], [394, 390, 2, 3]]
    found = calibrate_by_clicks("yard", points, size=(768, 576))
    found.config  # for `calibration:` of the camera
    found.median_error, found.problems

Where a place is may be known in metres, from another camera that is calibrated and shows it too (`seen_by_other`), or
from a plan with a scale (:class:`streamreid.ground.ground_plan.PlanScale`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamreid.config.calibration import CalibrationConfig
from streamreid.errors import ConfigError
from streamreid.ground.calibration_files import load_calibration
from streamreid.ground.calibration_plausibility import view_of
from streamreid.ground.camera_model import GroundCamera
from streamreid.ground.homography import fit_homography, inverse, through
from streamreid.types import Float64Array

__all__ = ["ClickedCalibration", "ClickedPoint", "calibrate_by_clicks", "seen_by_other"]

CLICK_SIGMA = 1.0
"""Pixels by which a careful click is off, one standard deviation."""

MOST_POINTS = 100
"""Of one calibration; nobody clicks more."""

_ON_LINE = 0.02
"""Points are on one line if they are off it by less than this share of their extent."""

_SAME = 1e-9
"""Share of the extent below which two points are the same."""

_POOR = 0.25
"""Metres: where clicks that are off by a pixel move places by more, people in two cameras are not found to be one."""

_WRONG_PIXELS = 4.0
"""A residual in the picture above this is no trembling hand."""

_BETTER = 0.35
"""Share of the error that may be left without a point for that point to be the wrong one."""

_FAR_OF_OTHER = 0.3
"""Metres: a place that another camera tells no better than this is too far away from it."""


@dataclass(frozen=True, slots=True)
class ClickedPoint:
    """One place that was clicked, and how well it fits.

    Args:
        pixel: In the camera's picture.
        ground: Metres, as given.
        fitted: Metres, where the calibration puts the click.
        error: Metres between both.
        pixels: Pixels between the click and where the calibration shows the place.
        expected: Metres by which the calibration is off there if clicks are off by one pixel.
    """

    pixel: tuple[float, float]
    ground: tuple[float, float]
    fitted: tuple[float, float]
    error: float
    pixels: float
    expected: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON can say it; lengths on the ground in centimetres."""
        return {
            "pixel": [round(v, 2) for v in self.pixel],
            "ground": [round(v, 4) for v in self.ground],
            "fitted": [round(v, 4) for v in self.fitted],
            "error_cm": round(100 * self.error, 2),
            "error_px": round(self.pixels, 2),
            "expected_cm": round(100 * self.expected, 2),
        }


@dataclass(frozen=True, slots=True)
class ClickedCalibration:
    """What clicks say of a camera.

    Args:
        camera: The model, for pictures of the size that was given; None where ``problems`` say that there is none.
        config: For ``calibration:`` of the camera.
        points: One by one.
        problems: What is wrong or doubtful, one sentence each; the worst first.
        view: What the camera would see, in words; empty without a model.
    """

    camera: GroundCamera | None
    config: CalibrationConfig
    points: tuple[ClickedPoint, ...]
    problems: tuple[str, ...]
    view: str = ""

    @property
    def median_error(self) -> float:
        """Metres; of four points always 0, because four fit exactly."""
        return float(np.median([point.error for point in self.points]))

    @property
    def expected_error(self) -> float:
        """Metres by which places among the points are off (median) if clicks are off by one pixel."""
        return float(np.median([point.expected for point in self.points]))

    def to_dict(self) -> dict[str, Any]:
        """As JSON can say it."""
        return {
            "usable": self.camera is not None,
            "calibration": {"points": [list(point) for point in self.config.points or ()]},
            "points": [point.to_dict() for point in self.points],
            "median_error_cm": round(100 * self.median_error, 2),
            "expected_error_cm": round(100 * self.expected_error, 2),
            "problems": list(self.problems),
            "view": self.view,
            "matrix": None if self.camera is None else self.camera.matrix.tolist(),
        }


def calibrate_by_clicks(
    name: str, points: Sequence[Sequence[float]] | Float64Array, *, size: tuple[int, int]
) -> ClickedCalibration:
    """Work out a camera's model from places on the ground.

    Args:
        name: Of the camera.
        points: ``[N, 4]``, N >= 4: pixel across, pixel down, x and y on the ground in metres.
        size: Width and height of the pictures.

    Raises:
        ConfigError: Too few points, or they say nothing of the ground: two are the same, or they lie on one line. The
            message names them, counted from 1.
    """
    array = _checked(name, points)
    pixels, ground = array[:, :2], array[:, 2:]
    onto = fit_homography(pixels, ground)
    if onto is None or abs(np.linalg.det(onto / np.abs(onto).max())) < 1e-14:
        raise ConfigError(f"camera '{name}': calibration: these points say nothing of the ground; spread them")
    found = _points(onto, pixels, ground)
    config = CalibrationConfig(points=tuple((a, b, c, d) for a, b, c, d in array.tolist()))
    problems = _inconsistent(onto, pixels, ground)
    camera, view = None, ""
    try:
        camera = load_calibration(name, config).scaled(size)
        view = str(view_of(camera, size))
    except ConfigError as error:
        problems.append(str(error))
    problems += _doubts(found)
    return ClickedCalibration(camera, config, found, tuple(problems), view)


def seen_by_other(
    other: GroundCamera, clicks: Sequence[Sequence[float]] | Float64Array
) -> tuple[Float64Array, list[str]]:
    """Where places are that were clicked in the picture of a calibrated camera.

    Args:
        other: The camera, scaled to its pictures.
        clicks: ``[N, 2]`` pixels in its picture.

    Returns:
        ``[N, 2]`` metres, and what is doubtful about them.

    Raises:
        ConfigError: A click is above the horizon.
    """
    array = np.asarray(clicks, np.float64).reshape(-1, 2)
    ground, spread = other.to_ground(array, np.full(array.shape, CLICK_SIGMA))
    sky = [i + 1 for i in np.flatnonzero(~np.isfinite(ground).all(1)).tolist()]
    if sky:
        raise ConfigError(
            f"camera '{other.name}': {_numbers(sky)} above the horizon there, so on no ground; click the floor"
        )
    doubt = np.sqrt(np.maximum(np.trace(spread, axis1=1, axis2=2), 0))
    far = [i + 1 for i in np.flatnonzero(doubt > _FAR_OF_OTHER).tolist()]
    reason = f"so far from camera '{other.name}' that a pixel there is more than {_FAR_OF_OTHER:g} m"
    return ground, [f"{_numbers(far)} {reason}"] if far else []


# ---------------------------------------------------------------- what points can say


def _checked(name: str, points: Sequence[Sequence[float]] | Float64Array) -> Float64Array:
    where = f"camera '{name}': calibration"
    try:
        array = np.asarray(points, np.float64).reshape(len(points), -1)
    except (TypeError, ValueError):
        raise ConfigError(f"{where}: a point is [pixel across, pixel down, x, y]") from None
    if len(array) < 4:
        raise ConfigError(f"{where}: {len(array)} points; at least 4 are needed, and from 5 on errors can be told")
    if len(array) > MOST_POINTS:
        raise ConfigError(f"{where}: {len(array)} points; {MOST_POINTS} are more than enough")
    if array.shape[1] != 4 or not np.isfinite(array).all() or np.abs(array).max() > 1e6:
        raise ConfigError(f"{where}: a point is [pixel across, pixel down, x, y], all finite numbers")
    for columns, what in ((slice(0, 2), "in the picture"), (slice(2, 4), "on the ground")):
        _refuse_degenerate(array[:, columns], what, where)
    return array


def _refuse_degenerate(places: Float64Array, what: str, where: str) -> None:
    """Refuse places of which two are the same, or all but one on one line: of these no four determine the ground."""
    extent = float(np.ptp(places, axis=0).max())
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    same = np.argwhere(np.triu(apart <= _SAME + _SAME * extent, 1))
    if len(same):
        a, b = (same[0] + 1).tolist()
        raise ConfigError(f"{where}: points {a} and {b} are at the same place {what}; take one of them out")
    for a, b in np.argwhere(np.triu(apart > 0, 1)).tolist():
        along = (places[b] - places[a]) / apart[a, b]
        off = np.abs((places - places[a]) @ np.array([-along[1], along[0]]))
        on = np.flatnonzero(off <= _ON_LINE * extent)
        if len(on) >= len(places) - 1:
            raise ConfigError(
                f"{where}: {_numbers((on + 1).tolist())} on one line {what}, so they say nothing of the ground beside "
                "it; click places that span an area"
            )


def _numbers(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"point {numbers[0]} is"
    return f"points {', '.join(map(str, numbers[:-1]))} and {numbers[-1]} are"


def _points(onto: Float64Array, pixels: Float64Array, ground: Float64Array) -> tuple[ClickedPoint, ...]:
    fitted, shown = through(inverse(onto), pixels), through(onto, ground)
    error, off = np.linalg.norm(fitted - ground, axis=1), np.linalg.norm(shown - pixels, axis=1)
    expected = _expected(pixels, shown, ground)
    pairs = [tuple(map(tuple, array.tolist())) for array in (pixels, ground, fitted)]
    numbers = (error.tolist(), off.tolist(), expected.tolist())
    return tuple(ClickedPoint(*row) for row in zip(*pairs, *numbers, strict=True))


def _expected(pixels: Float64Array, shown: Float64Array, ground: Float64Array) -> Float64Array:
    """``[N]`` metres by which the ground at each point is off if every click is off by `CLICK_SIGMA`: the fit is
    repeated with each click moved by a pixel, and the effects are added as independent ones."""
    base = fit_homography(shown, ground)
    variance = np.zeros(len(pixels))
    for i in range(len(pixels)):
        for axis in (0, 1):
            moved = shown.copy()
            moved[i, axis] += CLICK_SIGMA
            onto = fit_homography(moved, ground)
            if base is None or onto is None:
                return np.full(len(pixels), np.inf)
            variance += ((through(inverse(onto), shown) - ground) ** 2).sum(1)
    return np.asarray(np.sqrt(variance), np.float64)


def _inconsistent(onto: Float64Array, pixels: Float64Array, ground: Float64Array) -> list[str]:
    """Which point contradicts the others, if any does."""
    off = np.linalg.norm(through(onto, ground) - pixels, axis=1)
    if off.max() <= _WRONG_PIXELS:
        return []
    if len(pixels) < 6:
        return [
            f"the points contradict each other by up to {off.max():.0f} pixels; which one is wrong can be told from 6 "
            "points on"
        ]
    errors = [_rest(pixels, ground, i) for i in range(len(pixels))]
    worst = int(np.argmin([error for error, _ in errors]))
    left, apart = errors[worst]
    if left > _BETTER * float(np.sqrt((off**2).mean())):
        return [f"the points contradict each other by up to {off.max():.0f} pixels, and no single one is to blame"]
    return [f"point {worst + 1} does not fit: the others put it {apart:.2f} m from where it is said to be"]


def _rest(pixels: Float64Array, ground: Float64Array, without: int) -> tuple[float, float]:
    """Pixels by which the other points are off without one (root mean square), and metres by which that one is."""
    kept = np.arange(len(pixels)) != without
    onto = fit_homography(pixels[kept], ground[kept])
    if onto is None:
        return np.inf, np.inf
    off = through(onto, ground[kept]) - pixels[kept]
    there = through(inverse(onto), pixels[without : without + 1])[0]
    return float(np.sqrt((off**2).sum(1).mean())), float(np.linalg.norm(there - ground[without]))


def _doubts(points: tuple[ClickedPoint, ...]) -> list[str]:
    said = []
    poor = [i + 1 for i, point in enumerate(points) if point.expected > _POOR]
    if poor:
        most = max(point.expected for point in points)
        said.append(
            f"{_numbers(poor)} told badly: a click that is off by one pixel moves places there by up to {most:.2f} m; "
            "click places that are nearer to the camera, or span a larger area"
        )
    if len(points) == 4:
        said.append("four points always fit exactly; a fifth one shows whether they are right")
    return said
