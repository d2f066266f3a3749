"""Drawn people: pictures in which it is known who stands where, to try a detector or an engine on before it is trusted.

No photograph ships with streamreid. Detectors that were trained on photographs find these figures nevertheless:
YOLO11n, YOLOX-nano, person-detection-retail-0013 and person-detection-0200 find all six of a scene, with scores above
0.4. So a wrong reading of a detector's outputs, colours or value range shows at once, because nobody is found any more.
How well a model does on photographs they cannot say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.types import FloatArray, Image

__all__ = ["DrawnScene", "drawn_crops", "drawn_scene", "drawn_walk"]

Point = NDArray[np.float64]
Colour = tuple[int, ...]

_FINER = 2
"""Pictures are drawn at so many times their size and scaled down, which smooths edges."""

_SHADES = 4  # nested outlines from dark to light that make a limb look round
_SKIN: tuple[Colour, ...] = ((130, 160, 210), (90, 120, 170), (60, 80, 120), (150, 180, 225))
"""Colours of skin, BGR."""

_HAIR: tuple[Colour, ...] = ((30, 30, 35), (40, 60, 90), (80, 130, 170), (60, 60, 60), (150, 150, 155))
"""Colours of hair, BGR."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawnScene:
    """A picture and who is in it.

    Args:
        image: ``[H, W, 3]`` uint8 BGR.
        boxes: ``[N, 4]`` float32 xyxy of the people in pixels.
    """

    image: Image
    boxes: FloatArray


@dataclass(frozen=True, slots=True)
class _Clothes:
    """Colours (BGR) and build of one person; ``width`` is the torso's radius in eighths of the height."""

    top: Colour
    legs: Colour
    shoes: Colour
    skin: Colour
    hair: Colour
    width: float
    stripes: Colour | None = None
    long_sleeves: bool = True
    short_legs: bool = False

    @classmethod
    def draw(cls, rng: np.random.Generator) -> _Clothes:
        def colour(low: int, high: int) -> Colour:
            return tuple(int(v) for v in rng.integers(low, high, 3))

        return cls(
            top=colour(20, 235),
            legs=colour(20, 150),
            shoes=colour(20, 120),
            skin=_SKIN[int(rng.integers(len(_SKIN)))],
            hair=_HAIR[int(rng.integers(len(_HAIR)))],
            width=float(rng.uniform(0.7, 0.95)),
            stripes=colour(20, 235) if rng.random() < 0.4 else None,
            long_sleeves=bool(rng.random() < 0.7),
            short_legs=bool(rng.random() < 0.25),
        )


class _Figure:
    """Draws one person into a canvas and notes how far it reaches."""

    def __init__(self, canvas: Image, foot: Point, height: float, clothes: _Clothes, step: float) -> None:
        self._canvas, self._clothes, self._step = canvas, clothes, step
        self._foot, self._unit = foot, height / 8
        self._low, self._high = foot.copy(), foot.copy()
        top = _moved(foot, 0.0, -height)
        self._shoulder, self._hip = _moved(top, 0.0, 1.55 * self._unit), _moved(top, 0.0, 4.0 * self._unit)
        self._head = _moved(top, 0.0, 0.62 * self._unit)

    def draw(self) -> tuple[float, float, float, float]:
        """Returns the box xyxy around it."""
        unit = self._unit
        self._ellipse(_moved(self._foot, 0.4 * unit, 0.1 * unit), (1.5, 0.28), (62, 62, 62), count=False)  # shadow
        for side in (-1, 1):
            self._leg(side)
        self._arm(-1)
        self._torso()
        self._arm(1)
        self._limb(
            _moved(self._shoulder, 0, -0.35 * unit),
            _moved(self._shoulder, 0, 0.05 * unit),
            0.24,
            0.26,
            _scaled(self._clothes.skin, 0.85),
        )
        self._ellipse(self._head, (0.44, 0.58), self._clothes.skin)
        self._face_and_hair()
        return (*self._low.tolist(), *self._high.tolist())

    def _leg(self, side: int) -> None:
        unit, clothes = self._unit, self._clothes
        swing = 0.35 * self._step * side
        below = swing - 0.25 * max(0.0, -side * self._step) - 0.05
        start = _moved(self._hip, side * 0.42 * unit, 0.0)
        knee = _end(start, swing, 1.9 * unit)
        ankle = _end(knee, below, 1.75 * unit)
        shade = 1.0 if side > 0 else 0.8
        self._limb(start, knee, 0.52, 0.40, _scaled(clothes.legs, shade))
        self._limb(knee, ankle, 0.40, 0.26, _scaled(clothes.skin if clothes.short_legs else clothes.legs, shade))
        self._ellipse(_moved(ankle, 0.22 * unit, 0.15 * unit), (0.5, 0.2), clothes.shoes)

    def _arm(self, side: int) -> None:
        unit, clothes = self._unit, self._clothes
        swing = -0.35 * self._step * side + 0.08 * side
        start = _moved(self._shoulder, side * (clothes.width + 0.02) * unit, 0.25 * unit)
        elbow = _end(start, swing, 1.25 * unit)
        hand = _end(elbow, swing + 0.25, 1.2 * unit)
        shade = 0.92 if side > 0 else 0.75
        self._limb(start, elbow, 0.30, 0.26, _scaled(clothes.top, shade))
        self._limb(elbow, hand, 0.25, 0.19, _scaled(clothes.top if clothes.long_sleeves else clothes.skin, shade))
        self._ellipse(hand, (0.22, 0.22), clothes.skin)

    def _torso(self) -> None:
        unit, clothes = self._unit, self._clothes
        upper, lower = _moved(self._shoulder, 0, 0.5 * unit), _moved(self._hip, 0, -0.2 * unit)
        self._limb(upper, lower, clothes.width, 0.85 * clothes.width, clothes.top)
        self._limb(
            _moved(self._shoulder, -0.6 * unit, 0.15 * unit),
            _moved(self._shoulder, 0.6 * unit, 0.15 * unit),
            0.33,
            0.33,
            clothes.top,
        )
        if clothes.stripes is not None:
            for share in (0.2, 0.5, 0.8):
                middle = upper + (lower - upper) * share
                reach = [0.72 * clothes.width * unit, 0.0]
                self._limb(middle - reach, middle + reach, 0.11, 0.11, clothes.stripes)

    def _face_and_hair(self) -> None:
        x, y = self._head
        unit = self._unit
        axes = (max(1, int(0.48 * unit)), max(1, int(0.52 * unit)))
        cv2.ellipse(
            self._canvas, (int(x), int(y - 0.12 * unit)), axes, 0, 165, 375, self._clothes.hair, -1, cv2.LINE_AA
        )
        for side in (-1, 1):
            self._ellipse(_moved(self._head, side * 0.16 * unit, 0.02 * unit), (0.05, 0.05), (40, 40, 40))
        mouth = (int(x - 0.12 * unit), int(y + 0.33 * unit)), (int(x + 0.12 * unit), int(y + 0.33 * unit))
        cv2.line(self._canvas, *mouth, (90, 90, 140), max(1, int(0.04 * unit)), cv2.LINE_AA)

    def _limb(self, start: Point, end: Point, wide: float, narrow: float, colour: Colour) -> None:
        """A tapered capsule, lighter towards its middle; radii in units."""
        along = (end - start) / max(1e-6, float(np.linalg.norm(end - start)))
        across = np.array([-along[1], along[0]])
        for shade in range(_SHADES):
            share = 1 - 0.55 * shade / _SHADES
            one, two = wide * self._unit * share, narrow * self._unit * share
            tone = _scaled(colour, 0.72 + 0.28 * shade / (_SHADES - 1))
            outline = np.stack([start + across * one, end + across * two, end - across * two, start - across * one])
            cv2.fillConvexPoly(self._canvas, np.rint(outline).astype(np.int32), tone, cv2.LINE_AA)
            for centre, radius in ((start, one), (end, two)):
                cv2.circle(self._canvas, _pixel(centre), max(1, round(radius)), tone, -1, cv2.LINE_AA)
        for centre, radius in ((start, wide), (end, narrow)):
            self._reach(centre, radius * self._unit, radius * self._unit)

    def _ellipse(self, centre: Point, axes: tuple[float, float], colour: Colour, *, count: bool = True) -> None:
        wide, high = axes[0] * self._unit, axes[1] * self._unit
        cv2.ellipse(
            self._canvas, _pixel(centre), (max(1, round(wide)), max(1, round(high))), 0, 0, 360, colour, -1, cv2.LINE_AA
        )
        if count:
            self._reach(centre, wide, high)

    def _reach(self, centre: Point, wide: float, high: float) -> None:
        self._low = np.minimum(self._low, _moved(centre, -wide, -high))
        self._high = np.maximum(self._high, _moved(centre, wide, high))


@lru_cache(maxsize=4)
def drawn_scene(size: tuple[int, int] = (640, 480), *, people: int = 6, seed: int = 3) -> DrawnScene:
    """A street with people who stand apart from each other; the same one every time.

    Args:
        size: Width and height in pixels.
        people: How many.
        seed: Another street with other people.
    """
    rng = np.random.default_rng(seed)
    width, height = size[0] * _FINER, size[1] * _FINER
    canvas = _street(width, height, rng)
    feet = np.sort(rng.uniform(0.55, 0.95, people))  # from far to near
    places = (rng.permutation(people) + 0.5) / people * 0.92 + 0.04
    boxes = []
    for place, foot in zip(places, feet, strict=True):
        tall = min((foot - 0.19) * height, 0.62 * height)
        tall = min(tall, 2.4 * width / people)  # broader people would hide each other
        step = float(np.sin(rng.uniform(0, 2 * np.pi)))
        boxes.append(
            _Figure(canvas, np.array([place * width, foot * height]), float(tall), _Clothes.draw(rng), step).draw()
        )
    image = cv2.GaussianBlur(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), (0, 0), 0.6)
    image = np.asarray(np.clip(image + rng.normal(0, 3, image.shape), 0, 255), np.uint8)
    limits = np.array(size * 2, np.float32)
    found = np.asarray(np.clip(np.array(boxes, np.float32) / _FINER, 0, limits), np.float32)
    image.setflags(write=False)
    found.setflags(write=False)
    return DrawnScene(image, found)


def drawn_walk(
    people: Sequence[int], frames: int, size: tuple[int, int] = (640, 480), *, place: int = 0
) -> Iterator[tuple[Image, FloatArray]]:
    """A street through which people walk, picture by picture.

    Args:
        people: Numbers of those who walk there: the same number is the same person in every street.
        frames: How many pictures; in that time everybody crosses the street once.
        size: Width and height in pixels.
        place: Another street.

    Returns:
        Each picture, ``[H, W, 3]`` uint8 BGR, and ``[N, 4]`` float32 xyxy boxes, in the order of ``people``.
    """
    width, height = size[0] * _FINER, size[1] * _FINER
    street = _street(width, height, np.random.default_rng(1000 + place))
    clothes = [_Clothes.draw(np.random.default_rng(number)) for number in people]
    limits = np.array(size * 2, np.float32)
    for index in range(frames):
        canvas, boxes = street.copy(), []
        for lane, worn in enumerate(clothes):
            share = (index / frames + lane / len(clothes)) % 1.0
            along = share if lane % 2 == 0 else 1 - share
            foot = np.array([along * width, (0.62 + 0.33 * (lane + 0.5) / len(clothes)) * height])
            tall = 0.55 * (float(foot[1]) - 0.19 * height)
            boxes.append(_Figure(canvas, foot, tall, worn, float(np.sin(index / 2 + lane))).draw())
        image = np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), np.uint8)
        yield image, np.asarray(np.clip(np.array(boxes, np.float32) / _FINER, 0, limits), np.float32)


@lru_cache(maxsize=4)
def drawn_crops(
    size: tuple[int, int], *, people: int = 24, views: int = 4, seed: int = 11
) -> tuple[Image, NDArray[np.int64]]:
    """Crops of drawn people, each in several steps, before several grounds and in several lights; the same ones every
    time.

    Args:
        size: Height and width of a crop.
        people: How many different ones.
        views: Crops of each.
        seed: Other people.

    Returns:
        Crops ``[people * views, H, W, 3]`` uint8 BGR, and who is in each, from 0.
    """
    rng = np.random.default_rng(seed)
    crops, who = [], []
    for person in range(people):
        clothes = _Clothes.draw(rng)
        for _ in range(views):
            canvas = np.empty((512, 256, 3), np.uint8)
            far = rng.integers(60, 200, (3, 2, 3), dtype=np.uint8)
            canvas[...] = cv2.resize(far, (256, 512), interpolation=cv2.INTER_CUBIC)
            foot = np.array([128 + rng.uniform(-16, 16), 490 + rng.uniform(-12, 8)])
            _Figure(
                canvas, foot, float(rng.uniform(440, 470)), clothes, float(np.sin(rng.uniform(0, 2 * np.pi)))
            ).draw()
            light = rng.uniform(0.75, 1.15) * (1 + rng.uniform(-0.06, 0.06, 3))
            small = cv2.resize(canvas, size[::-1], interpolation=cv2.INTER_AREA)
            crops.append(np.clip(small * light + rng.normal(0, 4, small.shape), 0, 255).astype(np.uint8))
            who.append(person)
    stack, labels = np.stack(crops), np.array(who, np.int64)
    stack.setflags(write=False)
    labels.setflags(write=False)
    return stack, labels


def _street(width: int, height: int, rng: np.random.Generator) -> Image:
    """Sky, houses with windows, and paving."""
    canvas = np.empty((height, width, 3), np.uint8)
    horizon = int(0.3 * height)
    canvas[:horizon] = np.linspace([200, 190, 180], [215, 212, 208], horizon)[:, None]
    canvas[horizon:] = np.linspace([120, 125, 125], [165, 168, 170], height - horizon)[:, None]
    left, window = 0, max(4, height // 24)
    while left < width:
        wide, top = int(rng.integers(15, 30) * width / 100), int(rng.integers(2, 15) * height / 100)
        wall = tuple(int(v) for v in rng.integers(140, 170, 3))
        cv2.rectangle(canvas, (left, top), (left + wide, horizon), wall, -1)
        for x in range(left + window, left + wide - window, 2 * window):
            for y in range(top + window, horizon - window, 2 * window):
                cv2.rectangle(canvas, (x, y), (x + window, y + window), (100, 90, 80), -1)
        left += wide
    for row in range(1, 8):
        y = int(horizon + (height - horizon) * (row / 8) ** 2)
        cv2.line(canvas, (0, y), (width, y), (110, 112, 114), 2)
    for column in range(-15, 16):
        ends = (width // 2 + int(column * 0.05 * width), horizon), (width // 2 + int(column * 0.25 * width), height)
        cv2.line(canvas, *ends, (112, 115, 117), 2)
    return canvas


def _moved(point: Point, x: float, y: float) -> Point:
    return np.asarray(point + np.array([x, y]), np.float64)


def _end(start: Point, angle: float, length: float) -> Point:
    """Where a limb ends that hangs at an angle from straight down."""
    return np.asarray(start + length * np.array([np.sin(angle), np.cos(angle)]), np.float64)


def _scaled(colour: Colour, share: float) -> Colour:
    return tuple(int(v * share) for v in colour)


def _pixel(point: Point) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))
