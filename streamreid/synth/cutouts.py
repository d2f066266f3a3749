"""People cut out of their pictures, ready to be put into another one.

A part mask (or, without one, where a standing person usually is in a crop) seeds GrabCut (Rother et al., SIGGRAPH
2004), which finds the outline in the picture itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.errors import ConfigError, DataError
from streamreid.types import Image

__all__ = ["Cutout", "Masks", "Person", "Picture", "cut_out", "read_people"]

Mask = NDArray[np.uint8]
Masks = Callable[[Path, Image], "Mask | None"]
_ENOUGH = 8  # cutouts per camera of the folder
_LEAST_SPAN = 0.7  # of the crop's height: less is half a person
_FINE = 128  # pixels of height: outlines found in larger pictures are no better, and take five times as long


class Picture(NamedTuple):
    """A picture of a person as a ReID folder names it.

    Attributes:
        path: The file.
        person: Who, unique over all folders.
        camera: Number of the camera that took it.
    """

    path: Path
    person: int
    camera: int


@dataclass(frozen=True, slots=True, eq=False)
class Cutout:
    """One person without the surroundings, cropped to the silhouette.

    Args:
        colour: ``[H, W, 3]`` uint8 BGR, multiplied by ``alpha``.
        alpha: ``[H, W]`` uint8.
    """

    colour: Image
    alpha: Mask


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """Somebody with cutouts per camera of the folder.

    Args:
        number: As the folder names them.
        cutouts: By camera of the folder; no empty list.
    """

    number: int
    cutouts: dict[int, list[Cutout]]


def read_people(
    pictures: Sequence[Picture],
    masks: Masks,
    count: int,
    *,
    seed: int = 0,
    threads: int = 2,
    tick: Callable[[], None] | None = None,
) -> list[Person]:
    """Draw people by lot, those seen by several cameras first, and cut them out.

    Args:
        pictures: Of all people; those that cannot be cut out are left out.
        masks: Part mask of a picture (anything above 0 is the person, of any size), or None if there is none.
        count: How many people are wanted.
        seed: Of the lot.
        threads: How many pictures at once.
        tick: Called after every person.

    Returns:
        ``count`` people.

    Raises:
        ConfigError: There are fewer.
        DataError: A picture cannot be read.
    """
    groups: dict[int, list[Picture]] = defaultdict(list)
    for picture in sorted(pictures):
        groups[picture.person].append(picture)
    if len(groups) < count:
        raise ConfigError(
            f"{count} people are asked for, but there are pictures of {len(groups)} only; give more folders or a "
            "smaller --people"
        )
    order = np.random.default_rng(seed).permutation(sorted(groups)).tolist()
    order.sort(key=lambda n: len({p.camera for p in groups[n]}) < 2)

    def one(number: int) -> Person | None:
        cutouts: dict[int, list[Cutout]] = defaultdict(list)
        for picture in groups[number]:
            if len(cutouts[picture.camera]) >= _ENOUGH:
                continue
            image = cv2.imread(str(picture.path))
            if image is None:
                raise DataError(f"{picture.path}: not a picture that can be read; remove it")
            cutout = cut_out(np.asarray(image, np.uint8), masks(picture.path, np.asarray(image, np.uint8)))
            if cutout is not None:
                cutouts[picture.camera].append(cutout)
        if tick:
            tick()
        seen = {camera: c for camera, c in cutouts.items() if c}
        return Person(number, seen) if seen else None

    people: list[Person] = []
    with ThreadPoolExecutor(threads) as pool:
        while order and len(people) < count:
            batch = order[: count - len(people)]
            del order[: len(batch)]
            people += [p for p in pool.map(one, batch) if p is not None]
    if len(people) < count:
        raise ConfigError(
            f"{count} people are asked for, but only {len(people)} of {len(groups)} could be cut out of their "
            "pictures (a picture shows one whole person, standing, at least 32 pixels high); give more folders or a "
            "smaller --people"
        )
    return people


def cut_out(image: Image, mask: Mask | None) -> Cutout | None:
    """Cut a person out of a crop.

    Args:
        image: ``[H, W, 3]`` uint8 BGR.
        mask: Any size; above 0 is the person. None: the usual place of a person in a crop is taken.

    Returns:
        None where no plausible whole person comes out.
    """
    height, width = image.shape[:2]
    if height < 32 or width < 12:
        return None
    small = image
    if height > _FINE:
        small = np.asarray(
            cv2.resize(image, (max(12, round(width * _FINE / height)), _FINE), interpolation=cv2.INTER_AREA), np.uint8
        )
    inside = _outline(small, _seeds(small.shape[0], small.shape[1], mask))
    if small is not image:
        inside = np.asarray(
            cv2.resize(inside * np.float32(1), (width, height), interpolation=cv2.INTER_CUBIC) > 0.5, np.uint8
        )
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if len(rows) < _LEAST_SPAN * height or not 0.10 <= inside.mean() <= 0.9 or len(columns) < 4:
        return None
    alpha = cv2.GaussianBlur(inside * np.uint8(255), (0, 0), max(0.7, height / 220))
    crop = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    alpha = np.ascontiguousarray(alpha[crop])
    colour = cv2.multiply(np.ascontiguousarray(image[crop]), cv2.merge([alpha] * 3), scale=1 / 255)
    return Cutout(np.asarray(colour, np.uint8), np.asarray(alpha, np.uint8))


def _seeds(height: int, width: int, mask: Mask | None) -> Mask:
    """GrabCut's four classes: surely and probably the person, probably and surely not."""
    y, x = np.mgrid[:height, :width]
    y, x = (y + 0.5) / height, np.abs((x + 0.5) / width - 0.5)
    core = np.interp(y, [0, 0.04, 0.08, 0.16, 0.2, 0.5, 0.9, 0.96, 1], [0, 0.02, 0.08, 0.1, 0.2, 0.18, 0.1, 0.08, 0])
    reach = np.interp(y, [0, 0.02, 0.08, 0.16, 0.2, 0.5, 0.97, 1], [0.12, 0.2, 0.22, 0.25, 0.4, 0.42, 0.4, 0.35])
    if mask is None:
        seeds = np.where(x < reach, cv2.GC_PR_BGD, cv2.GC_BGD)
        seeds = np.where(x < (reach + core) / 2, cv2.GC_PR_FGD, seeds)
        return np.where(x < core, cv2.GC_FGD, seeds).astype(np.uint8)
    person = (cv2.resize((mask > 0).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) > 0.5).astype(
        np.uint8
    )
    likely = person.astype(bool) | (x < core)  # where the mask has gaps (feet are missed often) the usual place helps
    near = cv2.dilate(likely.astype(np.uint8), np.ones((max(3, width // 8) | 1,) * 2, np.uint8)) > 0
    sure = cv2.erode(person, np.ones((5, 5), np.uint8)) > 0
    seeds = np.where(near, cv2.GC_PR_BGD, cv2.GC_BGD)
    return np.where(sure, cv2.GC_FGD, np.where(likely, cv2.GC_PR_FGD, seeds)).astype(np.uint8)


def _outline(image: Image, seeds: Mask) -> Mask:
    if not (seeds == cv2.GC_FGD).any() or not (seeds == cv2.GC_BGD).any():
        return np.zeros(seeds.shape, np.uint8)
    cv2.setRNGSeed(0)
    cv2.grabCut(image, seeds, None, np.zeros((1, 65)), np.zeros((1, 65)), 2, cv2.GC_INIT_WITH_MASK)
    inside = np.isin(seeds, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    inside = cv2.morphologyEx(inside, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(inside)
    if count < 2:
        return np.zeros(seeds.shape, np.uint8)
    area = stats[1:, cv2.CC_STAT_AREA]
    keep = 1 + np.flatnonzero(area >= 0.05 * area.max())
    return np.isin(labels, keep).astype(np.uint8)
