"""Pictures to show an engine when it is held against its reference: the user's own crops, or a small generated set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.datasets.market1501 import parse_name
from streamreid.errors import DataError
from streamreid.media import PICTURE_SUFFIXES, is_picture

__all__ = ["Probe", "generated_probe", "read_probe"]


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """Crops of the engine's size.

    Args:
        crops: ``[N, H, W, 3]`` uint8 BGR.
        source: What they are, for reports.
        persons: ``[N]`` person numbers, if all names say them.
        cameras: ``[N]`` camera numbers, likewise.
        drawn: Generated, not photographed.
    """

    crops: NDArray[np.uint8]
    source: str
    persons: NDArray[np.int64] | None = None
    cameras: NDArray[np.int64] | None = None
    drawn: bool = False

    def __len__(self) -> int:
        return len(self.crops)


def read_probe(folder: str | Path, size: tuple[int, int], *, most: int = 256) -> Probe:
    """Read crops of people, whole pictures, resized.

    Args:
        folder: Pictures, also in subfolders; names as in Market-1501 (``PPPP_cCsS_*``) say who is shown.
        size: Height and width of the engine's input.
        most: Draw so many evenly, by a fixed seed; of a labelled folder whole people are drawn.

    Raises:
        DataError: No such folder, or no readable picture in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of pictures")
    paths = sorted(p for p in folder.rglob("*") if is_picture(p))
    names = [parse_name(p.name) for p in paths]
    labelled = bool(paths) and all(n is not None for n in names)
    labels = np.array([n for n in names if n is not None], np.int64).reshape(-1, 2)
    if labelled:  # 0 and -1 are junk in Market-1501
        keep = np.flatnonzero(labels[:, 0] > 0)
        paths, labels = [paths[i] for i in keep], labels[keep]
    rows = _people(labels[:, 0], most) if labelled else _evenly(len(paths), most)
    crops, kept = [], []
    for row in rows:
        image = cv2.imread(str(paths[row]), cv2.IMREAD_COLOR)
        if image is not None:
            crops.append(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR))
            kept.append(row)
    if not crops:
        raise DataError(f"{folder}: no readable picture in it ({', '.join(sorted(PICTURE_SUFFIXES))})")
    stack = np.asarray(np.stack(crops), np.uint8)
    source = f"{len(kept)} of {len(paths)} pictures of {folder.name}"
    if not labelled:
        return Probe(stack, source)
    return Probe(stack, source, labels[kept, 0], labels[kept, 1])


def generated_probe(size: tuple[int, int], count: int = 48) -> Probe:
    """Drawn figures of many colours, a third of them half covered, on grounds of many kinds; the same ones every time.

    Good enough to find a wrong compilation; real crops say more about accuracy.

    Args:
        size: Height and width of the engine's input.
        count: How many.
    """
    rng = np.random.default_rng(7)
    crops = np.stack([_figure(rng, number) for number in range(count)])
    resized = np.stack([cv2.resize(c, size[::-1], interpolation=cv2.INTER_AREA) for c in crops]).astype(np.uint8)
    return Probe(resized, f"{count} drawn figures", drawn=True)


def _figure(rng: np.random.Generator, number: int) -> NDArray[np.uint8]:
    height, width = 256, 128
    noise = rng.integers(0, 256, (rng.integers(2, 24), rng.integers(2, 12), 3), dtype=np.uint8)
    image = cv2.GaussianBlur(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), (0, 0), 2)
    skin, hair, top, legs, shoes = ([int(v) for v in rng.integers(0, 256, 3)] for _ in range(5))
    x, lean = 64 + int(rng.integers(-8, 9)), int(rng.integers(-6, 7))
    cv2.rectangle(image, (x - 20, 60), (x + 20, 140), top, -1)
    for side in (-1, 1):
        cv2.line(image, (x + side * 20, 66), (x + side * 28, 132), top, 12)
        cv2.line(image, (x + side * 10, 138), (x + side * 12 + lean, 232), legs, 17)
        cv2.ellipse(image, (x + side * 13 + lean, 240), (11, 6), 0, 0, 360, shoes, -1)
    cv2.ellipse(image, (x, 38), (14, 20), 0, 0, 360, skin, -1)
    cv2.ellipse(image, (x, 28), (15, 13), 0, 180, 360, hair, -1)
    if number % 3 == 2:
        cover = [int(v) for v in rng.integers(0, 256, 3)]
        if number % 2:
            cv2.rectangle(image, (0, int(rng.integers(120, 190))), (width, height), cover, -1)
        else:
            cv2.rectangle(image, (int(rng.integers(56, 80)), 0), (width, height), cover, -1)
    grain = rng.normal(0, 6, image.shape)
    return np.asarray(np.clip(image + grain, 0, 255), np.uint8)


def _evenly(count: int, most: int) -> list[int]:
    if count <= most:
        return list(range(count))
    return sorted(int(i) for i in np.random.default_rng(0).choice(count, most, replace=False))


def _people(persons: NDArray[np.int64], most: int) -> list[int]:
    """Rows of whole people, in random order of people, until there are enough."""
    if len(persons) <= most:
        return list(range(len(persons)))
    rows: list[int] = []
    for person in np.random.default_rng(0).permutation(np.unique(persons)):
        mine = np.flatnonzero(persons == person).tolist()
        if rows and len(rows) + len(mine) > most:
            break
        rows += mine
    return sorted(rows[:most])
