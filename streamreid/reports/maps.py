"""Pictures of where people walked and stood, on a still of a camera or on the ground plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from streamreid.config import Config
from streamreid.errors import DataError, SourceError
from streamreid.reports.camera_pictures import CameraPictures
from streamreid.reports.footprints import GROUND, Footprints, Surface
from streamreid.reports.track_boxes import boxes_of
from streamreid.sinks.drawing import colour_of, draw_text, unit_of
from streamreid.types import Float64Array, Image, IntArray, TrackKey

__all__ = ["Base", "bases_of", "draw_heat", "draw_paths", "ground_base", "still_base"]

_SAMPLES = 9
"""Pictures whose median is the still: people who walk are gone from it."""

_SPACING = {True: 1.0, False: 4.0}
"""Seconds between them; fewer where people have to be hidden, since their detector follows the whole time."""

_PLAN = 960
"""Pixels of the longer side of a ground plan."""

_PAPER, _LINES, _INK = (246, 246, 244), (220, 220, 216), (90, 90, 86)
"""BGR of a plan without a still: ground, grid, text."""

_SMOOTH = 1.5
"""Cells by which the heat map is smoothed: about a step."""

_PLACE = (255, 220, 60)
"""BGR of zones and lines."""

_ARROW = 34.0
"""Pixels, in a picture of 960 x 720, of the arrow that says which way is in."""

_STRONGEST = 0.75
"""Opacity of the hottest cell."""


@dataclass(frozen=True, slots=True, eq=False)
class Base:
    """What a map is drawn on.

    Args:
        image: ``[H, W, 3]`` uint8 BGR.
        low: Its smallest x and y, pixels or metres.
        scale: Pixels of the picture per unit.
        upwards: Whether y grows upwards, as on a map; in a camera's picture it grows downwards.
        note: Why it is no still of the camera; empty if it is one.
        camera: Whose zones and lines are drawn; ``GROUND`` for those on the ground.
        config: Where these are; None draws none.
    """

    image: Image
    low: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    note: str = ""
    camera: str = GROUND
    config: Config | None = None
    upwards: bool = False

    @property
    def high(self) -> tuple[float, float]:
        """Its greatest x and y."""
        return self.low[0] + self.image.shape[1] / self.scale, self.low[1] + self.image.shape[0] / self.scale

    def pixels(self, points: Float64Array) -> Float64Array:
        """``[N, 2]`` positions as pixels of the picture."""
        found = np.asarray((points - np.array(self.low)) * self.scale, np.float64)
        if self.upwards:
            found[:, 1] = self.image.shape[0] - found[:, 1]
        return found


def bases_of(pictures: CameraPictures, footprints: Footprints, *, stills: bool = True) -> dict[str, Base]:
    """What the maps of a run are drawn on: a still of each camera, and the ground plan.

    Args:
        pictures: Of the run.
        footprints: Of the run.
        stills: Whether cameras are shown; otherwise maps are drawn on empty ground.
    """
    bases = {}
    for camera in [name for name in pictures.run.cameras if name in footprints.surfaces]:
        extent = footprints.extent[camera]
        bases[camera] = still_base(pictures, camera, extent) if stills else _empty(extent, "stills are not wanted")
    if GROUND in footprints.surfaces:
        bases[GROUND] = ground_base(footprints.surfaces[GROUND])
    return {camera: replace(base, camera=camera, config=pictures.config) for camera, base in bases.items()}


def still_base(pictures: CameraPictures, camera: str, extent: tuple[float, float]) -> Base:
    """A still of a camera, hidden as configured: the median of pictures from its first minute, in which whoever walks
    is gone. Where there is none, empty ground of that extent (pixels) with the reason."""
    run = pictures.run
    start = run.watched[camera][0]
    spacing = _SPACING[pictures.blur != "none"]
    end = start + spacing * (_SAMPLES - 1) + 0.5
    boxes = boxes_of(run, until=end).get(camera) if pictures.blur != "none" else None
    found: list[Image] = []
    try:
        for picture in pictures.read(camera, [(start, end)], boxes):
            if picture.time >= start + spacing * len(found) and (not found or picture.image.shape == found[0].shape):
                found.append(picture.image)
    except (DataError, SourceError) as error:
        if not found:
            return _empty(extent, str(error))
    if not found:
        return _empty(extent, f"camera '{camera}': no picture of the time in which people were seen could be read")
    return Base(np.median(np.stack(found), axis=0).astype(np.uint8))


def _empty(extent: tuple[float, float], note: str) -> Base:
    width, height = (max(2, round(side)) for side in extent)
    image: Image = np.full((height, width, 3), _PAPER, np.uint8)
    return Base(image, note=note)


def ground_base(surface: Surface) -> Base:
    """Empty ground with a grid in metres around where people were."""
    cells = np.array(list(surface.cells) or [(0, 0)], float)
    low, high = cells.min(0) * surface.cell - 1.0, (cells.max(0) + 1) * surface.cell + 1.0
    scale = _PLAN / max(float((high - low).max()), 1e-6)
    width, height = np.ceil((high - low) * scale).astype(int).tolist()
    image: Image = np.full((height, width, 3), _PAPER, np.uint8)
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, np.inf) if s * scale >= _PLAN / 12)
    base = Base(image, (float(low[0]), float(low[1])), scale, upwards=True)
    for axis in (0, 1):
        for value in np.arange(np.ceil(low[axis] / step) * step, high[axis], step):
            at = round(float(base.pixels(np.full((1, 2), value))[0, axis]))
            begin, end = ((at, 0), (at, height)) if axis == 0 else ((0, at), (width, at))
            cv2.line(image, begin, end, _LINES, 1)
            corner = (at + 2, height - 18) if axis == 0 else (2, at + 1)
            draw_text(image, f"{value:g} m", corner, 12, _INK, None)
    return base


def draw_paths(base: Base, surface: Surface, who: Callable[[TrackKey], int], *, only: int | None = None) -> Image:
    """The base with the path of every track, in the colour of its person; grey for tracks of nobody.

    Args:
        base: What is drawn on.
        surface: Of the same camera.
        who: Global id of a track, 0 for none.
        only: The paths of this person alone.
    """
    image = _faded(base)
    unit = unit_of(image)
    thickness = max(1, round(2 * unit))
    ends: dict[int, tuple[int, int]] = {}
    for key, points in surface.paths.items():
        person = who(key)
        if only is not None and person != only:
            continue
        path = _smooth(base.pixels(np.array(points)[:, 1:]))
        for part in np.split(path, np.flatnonzero(np.isnan(path[:, 0]))):
            line = part[~np.isnan(part[:, 0])]
            if len(line) > 1:
                cv2.polylines(
                    image, [np.round(line * 8).astype(np.int32)], False, colour_of(person), thickness, cv2.LINE_AA, 3
                )
                ends[person] = (int(line[-1, 0]), int(line[-1, 1]))
    _draw_places(base, image)
    for person, (x, y) in ends.items():
        if person:
            draw_text(image, f"#{person}", (x, y), max(11, round(13 * unit)), (255, 255, 255), colour_of(person), 0.9)
    return image


def _draw_places(base: Base, image: Image) -> None:
    """Draw the zones and lines of the base's camera, in place."""
    camera, config = base.camera, base.config
    if config is None:
        return
    unit = unit_of(image)
    thickness = max(1, round(2 * unit))
    for zone in config.zones:
        corners = zone.ground if camera == GROUND else zone.polygon if zone.camera == camera else None
        if corners is not None:
            points = _corner_pixels(base, corners, fractions=zone.in_fractions)
            cv2.polylines(image, [points], True, _PLACE, thickness, cv2.LINE_AA)
            draw_text(image, zone.name, tuple(points[0].tolist()), max(11, round(14 * unit)), _PLACE)
    for line in config.lines:
        if line.ground == (camera == GROUND) and (line.ground or line.camera == camera):
            points = _corner_pixels(base, (line.begin, line.end), fractions=line.in_fractions)
            cv2.line(image, points[0].tolist(), points[1].tolist(), _PLACE, thickness, cv2.LINE_AA)
            middle = points.mean(0)
            along = (points[1] - points[0]) / max(float(np.linalg.norm(points[1] - points[0])), 1.0)
            # To the right of the way: in a picture of the ground, too, since it is not mirrored.
            inwards = middle + _ARROW * unit * np.array([-along[1], along[0]])
            cv2.arrowedLine(image, _whole(middle), _whole(inwards), _PLACE, thickness, cv2.LINE_AA, tipLength=0.35)
            draw_text(image, f"{line.name} in", _whole(inwards), max(11, round(14 * unit)), _PLACE)


def _corner_pixels(base: Base, corners: Sequence[tuple[float, float]], *, fractions: bool) -> IntArray:
    points = np.array(corners, float)
    if fractions:
        return np.asarray(np.round(points * [base.image.shape[1], base.image.shape[0]]), np.int64).astype(np.int32)
    return np.asarray(np.round(base.pixels(points)), np.int64).astype(np.int32)


def _whole(point: Float64Array) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def draw_heat(base: Base, surface: Surface) -> tuple[Image, float]:
    """The base with how long people stood where.

    Returns:
        The picture, and the seconds in the hottest cell after smoothing.
    """
    grid = surface.grid(base.low, base.high)
    heat = cv2.GaussianBlur(grid, (0, 0), _SMOOTH)
    most = float(heat.max())
    image = _faded(base)
    if most <= 0:
        _draw_places(base, image)
        return image, 0.0
    first = np.floor(np.array(base.low) / surface.cell) * surface.cell
    side = surface.cell * base.scale
    grown = cv2.resize(heat, None, fx=side, fy=side, interpolation=cv2.INTER_LINEAR)
    left, top = np.round((np.array(base.low) - first) * base.scale).astype(int)
    grown = grown[top : top + image.shape[0], left : left + image.shape[1]]
    grown = cv2.copyMakeBorder(
        grown, 0, image.shape[0] - grown.shape[0], 0, image.shape[1] - grown.shape[1], cv2.BORDER_REPLICATE
    )
    if base.upwards:
        grown = grown[::-1]
    # The square root shows where few people walked beside where many stood.
    share = np.sqrt(np.clip(grown / most, 0, 1))
    colours = cv2.applyColorMap((255 * share).astype(np.uint8), cv2.COLORMAP_INFERNO)
    opacity = (_STRONGEST * np.clip(share * 3, 0, 1))[..., None]
    image = np.asarray(image * (1 - opacity) + colours * opacity, np.uint8)
    _draw_places(base, image)
    return image, most


def _faded(base: Base) -> Image:
    """The base with less colour, so that what is drawn stands out (empty ground as it is)."""
    image = base.image.copy()
    if not base.note and base.scale == 1.0:
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        image = np.asarray(cv2.addWeighted(image, 0.35, grey, 0.65, 0), np.uint8)
    return image


def _smooth(points: Float64Array) -> Float64Array:
    """Points with the trembling of the boxes taken out: the mean of five."""
    result = points.copy()
    for shift in (-2, -1, 1, 2):
        moved = np.roll(points, shift, axis=0)
        ends = slice(None, shift) if shift < 0 else slice(shift, None)
        inside = np.zeros(len(points), bool)
        inside[ends] = True
        usable = inside & ~np.isnan(moved[:, 0])
        result[usable] += moved[usable]
        result[~usable] += points[~usable]
    return np.asarray(result / 5)
