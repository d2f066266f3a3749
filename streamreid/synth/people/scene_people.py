"""People that never lived, for scenes: cutouts as `streamreid.synth.cutouts` makes them of pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.synth.cutouts import Cutout, Person
from streamreid.synth.people.config import PeopleConfig
from streamreid.synth.people.makehuman import clothes_folder
from streamreid.synth.people.people_folder import Generator
from streamreid.types import Image

__all__ = ["invent_people"]

_CAMERAS = 2
"""Sets of cutouts per person, which a scene deals out to its cameras."""

_CUTOUTS = 6
"""Of each set."""

_ROWS = 240
"""Height of a cutout in pixels."""


def invent_people(
    count: int, *, seed: int = 0, clothes: Path | None = None, tick: Callable[[], None] | None = None
) -> list[Person]:
    """Make so many people.

    Args:
        count: How many.
        seed: Another number, other people.
        clothes: Folder of MakeHuman's clothes; see `clothes_folder`.
        tick: Called after every person.

    Raises:
        MissingExtraError: embreex is not installed.
        WeightsUnavailableError: Bodies or clothes are not here.
    """
    generator = Generator(PeopleConfig(seed=seed), clothes_folder(clothes))
    people = []
    for number in range(1, 1 + count):
        dressed = generator.wardrobe.dress((seed, 0, number))
        cutouts = {
            camera: [
                _cutout(*generator.studio.cutout(dressed, _ROWS, (seed, 5, number, camera, k))) for k in range(_CUTOUTS)
            ]
            for camera in range(1, 1 + _CAMERAS)
        }
        people.append(Person(number, cutouts))
        if tick:
            tick()
    return people


def _cutout(colour: Image, alpha: NDArray[np.uint8]) -> Cutout:
    weighted = cv2.multiply(colour, cv2.merge([alpha] * 3), scale=1 / 255)
    return Cutout(np.asarray(weighted, np.uint8), np.asarray(alpha, np.uint8))
