"""Training pictures: reading folders, a cache of decoded pictures, and batches that depend only on seed and step.

A batch is P people with K pictures each, spread over cameras; every picture comes once as it is and ``copies`` times
occluded, all under one geometric and colour transform. Whatever covers the person becomes background in the label.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from streamreid.datasets.identity_split import Picture
from streamreid.datasets.labels import LABEL_SIZE, label_path, read_label
from streamreid.datasets.occlusion import SIDES, Occlusion, corner_patch, cover, draw_occlusion, paste_person
from streamreid.datasets.part_grouping import PART_NAMES, mirrored_parts
from streamreid.errors import DataError
from streamreid.files import atomic_write
from streamreid.training.recipe import AugmentationConfig
from streamreid.types import FloatArray, Image, IntArray

__all__ = ["Batch", "PictureCache", "batch_rows", "make_batch"]


class Batch(NamedTuple):
    """One training step's pictures: first all whole pictures, then each set of occluded copies in the same order.

    Attributes:
        pictures: ``[M, H, W, 3]`` uint8 BGR.
        labels: ``[M, 1 + parts, Hf, Wf]`` float32 shares of each class per cell, background first.
        usable: ``[M]`` bool, False where there is no usable label.
        identities: ``[M]`` class numbers.
        sides: ``[M]`` number of the covered side in ``SIDES``, -1 for none.
        shares: ``[M]`` covered share.
        whole: How many pictures are unoccluded.
    """

    pictures: Image
    labels: FloatArray
    usable: NDArray[np.bool_]
    identities: IntArray
    sides: IntArray
    shares: FloatArray
    whole: int


class PictureCache:
    """All pictures decoded and resized once, in files that are mapped into memory.

    Args:
        pictures: The pictures.
        folder: Where the cache lies; it is rebuilt when the list of pictures, the size, or a label's presence changes.
        size: Height and width.
        parts: Names of the parts in the class maps.

    Raises:
        DataError: A picture cannot be decoded.
    """

    def __init__(
        self,
        pictures: list[Picture],
        folder: Path,
        size: tuple[int, int] = (256, 128),
        parts: tuple[str, ...] = PART_NAMES,
    ) -> None:
        self.pictures, self.parts = pictures, parts
        mirrored = np.arange(256, dtype=np.uint8)
        mirrored[1 : 1 + len(parts)] = [1 + m for m in mirrored_parts(parts)]
        self.mirrored = mirrored
        self.identities = np.array([p.identity for p in pictures], np.int64)
        self.cameras = np.array([p.camera for p in pictures], np.int64)
        listing = [f"{p.path}|{p.path.stat().st_size}|{label_path(p.labels, p.path).exists()}" for p in pictures]
        form = [str(size), str(LABEL_SIZE), *([str(parts)] if parts != PART_NAMES else [])]
        key = hashlib.sha256("\n".join([*listing, *form]).encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        self._images_file, self._labels_file = folder / f"{key}-images.npy", folder / f"{key}-labels.npy"
        if not (self._images_file.exists() and self._labels_file.exists()):
            self._build(size)
        self.images = np.load(self._images_file, mmap_mode="r")
        labels = np.load(self._labels_file)
        self.usable = labels[:, 0, 0] != 255
        self.labels = labels

    def __len__(self) -> int:
        return len(self.pictures)

    def usual_areas(self) -> FloatArray:
        """Share of a picture that each part takes on average, ``[parts]``, over usable labels."""
        if not self.usable.any():
            raise DataError("no training picture has a usable part label; run: streamreid parse-labels")
        labels = self.labels[self.usable]
        return np.array([max(float((labels == c).mean()), 1e-3) for c in range(1, 1 + len(self.parts))], np.float32)

    def _build(self, size: tuple[int, int]) -> None:
        with atomic_write(self._images_file, part=self._images_file.with_suffix(".part.npy")) as part:
            images = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=(len(self.pictures), *size, 3))
            labels = np.full((len(self.pictures), *LABEL_SIZE), 255, np.uint8)
            for row, picture in enumerate(self.pictures):
                image = cv2.imread(str(picture.path))
                if image is None:
                    raise DataError(
                        f"{picture.path}: cannot be decoded as a picture; delete or replace it, then start again"
                    )
                images[row] = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
                path = label_path(picture.labels, picture.path)
                if path.exists():
                    labels[row] = read_label(path, len(self.parts))
            images.flush()
            del images
            np.save(self._labels_file, labels)


def batch_rows(
    identities: IntArray, cameras: IntArray, *, people: int, pictures: int, seed: int, step: int
) -> IntArray:
    """Rows of one P x K batch: the people of this step in an epoch's random order, and K pictures of each, drawn from
    as many cameras as it has.

    The result depends on ``seed`` and ``step`` only, so an interrupted training goes on with the batches it would have
    had.
    """
    names = np.unique(identities)
    per_epoch = max(1, len(names) // people)
    order = np.random.default_rng((seed, step // per_epoch)).permutation(names)
    chosen = order[(step % per_epoch) * people :][:people]
    random = np.random.default_rng((seed, step, 1))
    rows: list[int] = []
    for name in chosen:
        own = np.flatnonzero(identities == name)
        queues = [list(random.permutation(own[cameras[own] == c])) for c in random.permutation(np.unique(cameras[own]))]
        picked: list[int] = []
        while len(picked) < pictures and any(queues):
            picked.extend(int(q.pop()) for q in queues if q)
        while len(picked) < pictures:
            picked.append(int(random.choice(own)))
        rows.extend(picked[:pictures])
    return np.array(rows, np.int64)


def make_batch(
    cache: PictureCache,
    rows: IntArray,
    config: AugmentationConfig,
    *,
    seed: int,
    step: int,
    map_size: tuple[int, int] = (16, 8),
    places: IntArray | None = None,
) -> Batch:
    """Augment and occlude the pictures of ``rows``; depends on ``seed``, ``step`` and ``places`` only.

    Args:
        cache: All pictures.
        rows: Which of them.
        config: How they are changed.
        seed: Of the training.
        step: Of the training.
        map_size: Height and width of the feature map, in which labels come.
        places: Places of the rows in the whole batch, where this is a share of it.
    """
    groups: list[list[_Sample]] = [[] for _ in range(1 + config.copies)]
    for place, row in zip(range(len(rows)) if places is None else places.tolist(), rows, strict=True):
        random = np.random.default_rng((seed, step, 2, place))
        image, label = _transform(np.asarray(cache.images[row]), cache.labels[row], cache.mirrored, config, random)
        groups[0].append(_Sample(image, label))
        for copy, sample in enumerate(_copies(cache, int(row), image, label, config, random)):
            groups[1 + copy].append(sample)
    samples = [sample for group in groups for sample in group]
    repeat = 1 + config.copies
    return Batch(
        pictures=np.stack([s.image for s in samples]),
        labels=np.stack([_shares(s.label, map_size, 1 + len(cache.parts)) for s in samples]),
        usable=np.tile(cache.usable[rows], repeat),
        identities=np.tile(cache.identities[rows], repeat),
        sides=np.array([-1 if s.occlusion is None else SIDES.index(s.occlusion.side) for s in samples], np.int64),
        shares=np.array([0.0 if s.occlusion is None else s.occlusion.share for s in samples], np.float32),
        whole=len(rows),
    )


class _Sample(NamedTuple):
    """One picture, its class map, and what covers it."""

    image: Image
    label: NDArray[np.uint8]
    occlusion: Occlusion | None = None


def _copies(
    cache: PictureCache,
    row: int,
    image: Image,
    label: NDArray[np.uint8],
    config: AugmentationConfig,
    random: np.random.Generator,
) -> list[_Sample]:
    """Occluded copies. Four of them are OAMN's: one share and one occluder, on each of the four sides; fewer are drawn
    one by one."""
    if config.copies == len(SIDES):
        share, occluder = draw_occlusion(random).share, _draw_occluder(cache, row, config, random)
        return [_occluded(image, label, Occlusion(side, share), occluder, random) for side in SIDES]
    samples = []
    for _ in range(config.copies):
        occlusion = draw_occlusion(random)
        if random.random() < 0.5:
            occlusion = Occlusion(occlusion.side, float(random.uniform(0.15, 0.55)))
        samples.append(_occluded(image, label, occlusion, _draw_occluder(cache, row, config, random), random))
    return samples


def _transform(
    image: Image,
    label: NDArray[np.uint8],
    mirrored: NDArray[np.uint8],
    config: AugmentationConfig,
    random: np.random.Generator,
) -> tuple[Image, NDArray[np.uint8]]:
    """Flip, shift, scale, recolour and coarsen; ``mirrored`` says which class each class becomes in the mirror."""
    if random.random() < config.flip:
        image, label = image[:, ::-1], mirrored[label[:, ::-1]]
    dx, dy = (int(v) for v in random.integers(-config.crop, config.crop + 1, 2))
    scale = label.shape[0] / image.shape[0]
    image = _shift(np.ascontiguousarray(image), dx, dy, cv2.BORDER_REPLICATE)
    label = _shift(np.ascontiguousarray(label), round(dx * scale), round(dy * scale), cv2.BORDER_CONSTANT)
    if config.zoom:
        factor = 1 + random.uniform(-config.zoom, config.zoom)
        image, label = (
            _zoom(image, factor, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE),
            _zoom(label, factor, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT),
        )
    image = _jitter(image, config.jitter, random)
    if config.quality and random.random() < config.quality:
        image = _coarsen(image, random)
    return image, label


def _zoom(image: NDArray[np.uint8], factor: float, method: int, border: int) -> NDArray[np.uint8]:
    """Scale around the centre, the size kept."""
    height, width = image.shape[:2]
    matrix = np.array(
        [[factor, 0, (1 - factor) * (width - 1) / 2], [0, factor, (1 - factor) * (height - 1) / 2]], np.float32
    )
    return np.asarray(
        cv2.warpAffine(image, matrix, (width, height), flags=method, borderMode=border, borderValue=0), np.uint8
    )


def _coarsen(image: Image, random: np.random.Generator) -> Image:
    """Small and large again (down to 3 of 10 pixels in a row), and every second time through JPEG of quality 15 to
    60."""
    height, width = image.shape[:2]
    share = random.uniform(0.3, 0.8)
    small = cv2.resize(
        image, (max(1, round(width * share)), max(1, round(height * share))), interpolation=cv2.INTER_AREA
    )
    if random.random() < 0.5:
        small = cv2.imdecode(
            cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(15, 61))])[1], cv2.IMREAD_COLOR
        )
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _shift(image: NDArray[np.uint8], dx: int, dy: int, border: int) -> NDArray[np.uint8]:
    pad = max(abs(dx), abs(dy))
    if not pad:
        return image
    height, width = image.shape[:2]
    padded = cv2.copyMakeBorder(image, pad, pad, pad, pad, border, value=0)
    return np.asarray(padded[pad - dy : pad - dy + height, pad - dx : pad - dx + width])


def _jitter(image: Image, amount: float, random: np.random.Generator) -> Image:
    """Random contrast, brightness and saturation as one table and one weighted sum."""
    if amount <= 0:
        return image
    contrast, saturation, gain = 1 + random.uniform(-amount, amount, 3)
    brightness = random.uniform(-amount, amount) * 64
    channel = gain ** np.array([1.0, 0.0, -1.0]) if random.random() < 0.5 else np.ones(3)  # colour temperature
    levels = np.arange(256, dtype=np.float32)
    table = np.stack([np.clip((levels - 128) * contrast * c + 128 + brightness, 0, 255) for c in channel], -1).astype(
        np.uint8
    )
    image = cv2.LUT(image, table[None])
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return np.asarray(cv2.addWeighted(image, saturation, grey, 1 - saturation, 0), np.uint8)


class _Occluder(NamedTuple):
    """A picture that is stretched over a side, or a person with a silhouette that is pasted."""

    picture: Image
    silhouette: FloatArray | None


def _draw_occluder(cache: PictureCache, row: int, config: AugmentationConfig, random: np.random.Generator) -> _Occluder:
    """A corner patch, a whole picture, or a cut-out person, of another identity than ``row``."""
    weights = np.array([config.patch, config.picture, config.person])
    kind = random.choice(3, p=weights / weights.sum())
    other = int(random.integers(len(cache)))
    while cache.identities[other] == cache.identities[row]:
        other = int(random.integers(len(cache)))
    picture = _jitter(np.ascontiguousarray(cache.images[other]), config.jitter, random)
    if kind == 2 and cache.usable[other]:
        outline = (cache.labels[other] > 0).astype(np.float32)
        return _Occluder(
            picture, np.asarray(cv2.resize(outline, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)
        )
    return _Occluder(corner_patch(picture, random) if kind == 0 else picture, None)


def _occluded(
    image: Image, label: NDArray[np.uint8], occlusion: Occlusion, occluder: _Occluder, random: np.random.Generator
) -> _Sample:
    """Cover a picture; what is covered becomes background in the label."""
    if occluder.silhouette is not None:
        covered, mask = paste_person(image, occluder.picture, occluder.silhouette, occlusion, random)
    else:
        covered, mask = cover(image, occluder.picture, occlusion)
    small = cv2.resize(mask.astype(np.float32), LABEL_SIZE[::-1], interpolation=cv2.INTER_AREA) > 0.5
    return _Sample(covered, np.where(small & (label != 255), 0, label).astype(np.uint8), occlusion)


def _shares(label: NDArray[np.uint8], size: tuple[int, int], classes: int) -> FloatArray:
    """Share of each class in every cell of the feature map; an unusable label (255) counts as nothing."""
    one_hot = (label[None] == np.arange(classes)[:, None, None]).astype(np.float32)
    method = cv2.INTER_AREA if size[0] <= label.shape[0] else cv2.INTER_LINEAR
    return np.stack([cv2.resize(plane, size[::-1], interpolation=method) for plane in one_hot]).astype(np.float32)
