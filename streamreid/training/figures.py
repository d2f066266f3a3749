"""Pictures of people with what the network sees in them: part maps, visibilities, ranked lists. Everything but the own
body below the head is blurred."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from streamreid.errors import DataError
from streamreid.training.embed import to_input
from streamreid.training.network import PartNetwork
from streamreid.types import FloatArray, Image

__all__ = ["blur_faces", "draw_parts", "draw_ranks"]

_AT_ONCE = 16
"""Crops per run of the network: enough to be fast, few enough for a small GPU that is also training."""


def blur_faces(image: Image, attention: FloatArray) -> Image:
    """Make everything unrecognisable but the body below the head: the upper fifth, the head, and whatever is not this
    person, such as somebody in front.

    Args:
        image: ``[H, W, 3]`` crop of one person.
        attention: ``[1 + parts, h, w]``, background first, then the head.
    """
    height, width = image.shape[:2]
    coarse = cv2.resize(
        cv2.resize(image, (max(2, width // 20), max(2, height // 20)), interpolation=cv2.INTER_AREA), (width, height)
    )
    body = cv2.resize(attention[2:].sum(0).astype(np.float32), (width, height)) > 0.5
    body[: height // 5] = False
    return np.where(body[..., None], image, coarse).astype(np.uint8)


def draw_parts(
    network: PartNetwork, images: Sequence[Image], path: Path, *, size: tuple[int, int] = (256, 128)
) -> Path:
    """Crops (faces blurred) above their part maps, with the visibility of each part in per cent below."""
    return _write(path, np.hstack(_tiles(network, images, size)))


def draw_ranks(
    network: PartNetwork,
    images: Sequence[Image],
    people: NDArray[np.int64],
    similarity: FloatArray,
    path: Path,
    *,
    size: tuple[int, int] = (256, 128),
    queries: int = 8,
    ranks: int = 6,
) -> Path:
    """Ranked lists with heat maps of the parts: a query per row, then the nearest pictures of other cameras, framed
    green (same person) or red.

    Half of the queries are those whose best match is wrong, as far as there are any, the others are spread evenly.

    Args:
        network: Draws the heat maps.
        images: N crops.
        people: ``[N, 3]`` dataset, person, camera.
        similarity: ``[N, N]``.
        path: The picture to write.
        size: Height and width of the input.
        queries: Rows.
        ranks: Pictures per row.
    """
    order, right = _ranked(people, similarity, ranks)
    usable = [q for q in range(len(images)) if len(order[q]) and bool(right[q].any())] or [
        q for q in range(len(images)) if len(order[q])
    ]
    if not usable:
        raise DataError(f"{path}: no picture has another of a different camera; nothing to rank")
    wrong = _spread([q for q in usable if not right[q][0]], queries // 2)
    others = _spread([q for q in usable if right[q][0]] or usable, queries - len(wrong))
    shown = sorted({int(i) for query in (*wrong, *others) for i in (query, *order[query])})
    tiles: dict[int, Image] = {}
    for first in range(0, len(shown), _AT_ONCE):
        some = shown[first : first + _AT_ONCE]
        tiles.update(zip(some, _tiles(network, [images[i] for i in some], size), strict=True))
    rows = []
    for query in [*wrong, *others]:
        framed = [
            _frame(tiles[i], (0, 170, 0) if good else (0, 0, 220))
            for i, good in zip(order[query].tolist(), right[query], strict=True)
        ]
        blank = [np.full_like(framed[0], 255)] * (ranks - len(framed))
        rows.append(np.hstack([_frame(tiles[query], (255, 255, 255)), *framed, *blank]))
    return _write(path, np.vstack(rows))


def _spread(values: list[int], count: int) -> list[int]:
    """Up to ``count`` of them, evenly spread."""
    return [values[i] for i in np.unique(np.linspace(0, len(values) - 1, count).astype(int))] if values else []


def _ranked(
    people: NDArray[np.int64], similarity: FloatArray, ranks: int
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.bool_]]]:
    """For every picture the nearest ones of other cameras, and whether each shows the same person."""
    order, right = [], []
    for row in range(len(people)):
        other = np.flatnonzero((people[:, 0] != people[row, 0]) | (people[:, 2] != people[row, 2]))
        nearest = other[np.argsort(-similarity[row, other], kind="stable")][:ranks]
        order.append(nearest)
        right.append((people[nearest, :2] == people[row, :2]).all(1))
    return order, right


@torch.no_grad()
def _tiles(network: PartNetwork, images: Sequence[Image], size: tuple[int, int]) -> list[Image]:
    network.eval()
    output = network(to_input(images, size).to(next(network.parameters()).device))
    attention, visibility = output.attention.float().cpu().numpy(), output.visibility.float().cpu().numpy()
    pictures = [np.asarray(cv2.resize(i, size[::-1]), np.uint8) for i in images]
    return [_tile(p, a, v, network.config.parts) for p, a, v in zip(pictures, attention, visibility, strict=True)]


def _tile(image: Image, attention: FloatArray, visibility: FloatArray, names: tuple[str, ...]) -> Image:
    height, width = image.shape[:2]
    private, colours = blur_faces(image, attention), _colours(len(names))
    maps = np.stack([cv2.resize(m, (width, height), interpolation=cv2.INTER_LINEAR) for m in attention[1:]], -1)
    coloured = private * 0.35 + (maps @ colours) * 0.65
    text = np.full((14 * len(names) + 4, width, 3), 255, np.uint8)
    for line, (name, seen) in enumerate(zip(names, visibility[1:], strict=True)):
        colour = tuple(int(c) for c in colours[line] * 0.8)
        cv2.putText(
            text, f"{name} {seen:.0%}", (3, 13 + 14 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA
        )
    return np.vstack([private, np.clip(coloured, 0, 255).astype(np.uint8), text])


def _colours(count: int) -> FloatArray:
    """One BGR colour per part; neighbours differ much (steps of the golden ratio)."""
    return np.array(
        [[255 * c for c in colorsys.hsv_to_rgb(0.618 * i % 1, 0.75, 0.9)[::-1]] for i in range(count)], np.float32
    )


def _frame(tile: Image, colour: tuple[int, int, int]) -> Image:
    return np.asarray(cv2.copyMakeBorder(tile, 4, 4, 4, 4, cv2.BORDER_CONSTANT, value=colour), np.uint8)


def _write(path: Path, image: Image) -> Path:
    if not cv2.imwrite(str(path), image):
        raise DataError(f"{path}: cannot be written as a picture")
    return path
