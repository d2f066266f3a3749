"""Geometry of boxes: intersection over union, and how much of one box another covers. Boxes are ``xyxy``; the result
has the dtype of the boxes."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["cover_matrix", "iou_matrix", "pair_intersection", "touching"]

Real = TypeVar("Real", np.float32, np.float64)
Rows = NDArray[np.intp]


def _intersection(a: NDArray[Real], b: NDArray[Real], margin: NDArray[Real] | None = None) -> NDArray[Real]:
    # Widths and heights at once, people along the last axis: a few people cost little more than the calls.
    one, two = a.T[:, :, None], b.T[:, None]
    sides = np.minimum(one[2:], two[2:])
    sides -= np.maximum(one[:2], two[:2])
    if margin is not None:
        sides += 2 * margin
    np.maximum(sides, 0, out=sides)
    return np.asarray(np.multiply(sides[0], sides[1], out=sides[0]))


def _area(boxes: NDArray[Real]) -> NDArray[Real]:
    sides = boxes[:, 2:] - boxes[:, :2]
    np.maximum(sides, 0, out=sides)
    return np.asarray(sides[:, 0] * sides[:, 1])


def _wide_areas(a: NDArray[Real], b: NDArray[Real], margin: NDArray[Real]) -> tuple[NDArray[Real], NDArray[Real]]:
    """Areas ``[N, 1]`` of ``a`` and ``[N, M]`` of ``b`` with ``margin`` [N, 1] on all sides."""
    twice = 2 * margin
    one = a[:, 2:] - a[:, :2] + twice
    two = (b[:, 2:] - b[:, :2]).T[:, None] + twice
    np.maximum(one, 0, out=one)
    np.maximum(two, 0, out=two)
    return one[:, :1] * one[:, 1:], two[0] * two[1]


def iou_matrix(a: NDArray[Real], b: NDArray[Real], margin: NDArray[Real] | None = None) -> NDArray[Real]:
    """Intersection over union ``[N, M]`` of boxes ``a`` [N, 4] and ``b`` [M, 4] (xyxy).

    Args:
        a: Boxes.
        b: Boxes.
        margin: ``[N]``; every pair is compared with both boxes enlarged to all sides by the margin of ``a``.
    """
    if margin is None:
        inter = _intersection(a, b)
        union = _area(a)[:, None] + _area(b) - inter
    else:
        wide: NDArray[Real] = np.asarray(margin, a.dtype)[:, None]
        inter = _intersection(a, b, wide)
        one, two = _wide_areas(a, b, wide)
        union = one + two - inter
    return np.asarray(np.divide(inter, union, out=np.zeros_like(inter), where=union > 0))


def cover_matrix(a: NDArray[Real], b: NDArray[Real]) -> NDArray[Real]:
    """Share ``[N, M]`` of each box in ``a`` that lies inside each box in ``b``."""
    inter = _intersection(a, b)
    area = _area(a)[:, None]
    return np.divide(inter, area, out=np.zeros_like(inter), where=area > 0)


def touching(a: NDArray[Real], b: NDArray[Real], margin: NDArray[Real] | None = None) -> tuple[Rows, Rows]:
    """Pairs of boxes ``a`` [N, 4] and ``b`` [M, 4] that overlap, as rows of both, ordered by the first.

    Of many people few overlap with any one of them: what is worked out for these pairs alone costs a tenth of the
    matrices.

    Args:
        a: Boxes.
        b: Boxes.
        margin: ``[N]``, not negative; both boxes of a pair are enlarged to all sides by the margin of ``a``.
    """
    low, high = a[:, :2], a[:, 2:]
    if margin is not None:
        twice = (2 * margin)[:, None]
        low, high = low - twice, high + twice
    two = b.T[:, None]
    near = high.T[:, :, None] > two[:2]
    near &= low.T[:, :, None] < two[2:]
    one, other = np.logical_and(near[0], near[1], out=near[0]).nonzero()
    return one, other


def pair_intersection(a: NDArray[Real], b: NDArray[Real]) -> NDArray[Real]:
    """Area ``[P]`` that each of the boxes ``a`` [P, 4] has in common with the one of ``b`` [P, 4] beside it."""
    sides = np.minimum(a[:, 2:], b[:, 2:])
    sides -= np.maximum(a[:, :2], b[:, :2])
    np.maximum(sides, 0, out=sides)
    return np.asarray(sides[:, 0] * sides[:, 1])
