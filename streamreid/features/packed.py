"""People packed for comparison: with w = sqrt(visibility), one row of K * D values w_k f_k, and the K weights w_k
beside it.

Everything that ``part_similarity`` needs of one side is then a matrix product away; see its formula in ``similarity``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import EngineMismatchError
from streamreid.types import FloatArray, IntArray, PartFeatures

__all__ = ["LEAST_WEIGHT", "PackedParts", "weighted_mean"]

# Values of one block of results: what the two products leave stays in the cache until it is divided and clipped.
_BLOCK = 1 << 20
_NARROWEST = 256
"""Columns computed at a time at least, so that the matrix product stays efficient."""

_GROUPS = 4
"""Groups for each of the people wanted; with more of them fewer others pass."""

LEAST_WEIGHT = 1e-6
"""Sum of weights up to which nothing counts as seen in both; far above rounding of float32."""


def weighted_mean(products: FloatArray, weights: FloatArray, scratch: FloatArray | None = None) -> FloatArray:
    """sum_k w_ak w_bk <a_k, b_k> / sum_k w_ak w_bk, in place: the last step of every comparison of packed people.

    Args:
        products: ``[N, M]`` the numerator; overwritten.
        weights: ``[N, M]`` the denominator.
        scratch: ``[N, M]`` that may be overwritten, where many comparisons follow one another.

    Returns:
        ``products``, in [-1, 1]; 0 where nothing was seen in both.
    """
    # Where nothing was seen in both, the product is 0 as well.
    divisor = np.maximum(weights, np.float32(LEAST_WEIGHT), out=scratch)
    np.divide(products, divisor, out=products)
    # Several times as fast as np.clip for a few people.
    return np.minimum(np.maximum(products, -1.0, out=products), 1.0, out=products)


class PackedParts:
    """A growing set of people, kept as the comparison wants them. Rows are added at the end, replaced and removed.

    Args:
        features: The first rows (their K and D hold for all).
        capacity: Rows to make room for at once.
    """

    def __init__(self, features: PartFeatures, *, capacity: int = 0) -> None:
        self.shape = features.shape
        self._rows, self._weights = _pack(features)
        self._count = len(features)
        if capacity > self._count:
            self._grow(capacity)

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"PackedParts(n={len(self)}, parts={self.shape[0]}, dim={self.shape[1]})"

    def __getitem__(self, rows: Any) -> PackedParts:
        """Rows by slice (sharing memory until either side grows), integer array or boolean mask."""
        picked = PackedParts.__new__(PackedParts)
        picked.shape = self.shape
        picked._rows, picked._weights = self._rows[: self._count][rows], self._weights[: self._count][rows]
        picked._count = len(picked._rows)
        return picked

    @property
    def rows(self) -> FloatArray:
        """``[N, K * D]`` w_k f_k, to be read only."""
        return self._rows[: self._count]

    @property
    def weights(self) -> FloatArray:
        """``[N, K]`` w_k, to be read only."""
        return self._weights[: self._count]

    def append(self, features: PartFeatures) -> None:
        """Add people at the end, in amortised constant time each.

        Args:
            features: Any number of rows.

        Raises:
            EngineMismatchError: If K or D differ.
        """
        self._check(features)
        end = self._count + len(features)
        if end > len(self._rows):
            self._grow(max(end, 2 * self._count))
        self._rows[self._count : end], self._weights[self._count : end] = _pack(features)
        self._count = end

    def replace(self, rows: IntArray, features: PartFeatures) -> None:
        """Overwrite people.

        Args:
            rows: ``[N]`` their row numbers.
            features: N rows.

        Raises:
            EngineMismatchError: If K or D differ.
            IndexError: A row that does not exist.
        """
        self._check(features)
        rows = np.asarray(rows, np.int64).reshape(-1)
        if len(rows) != len(features):
            raise IndexError(f"{len(rows)} rows to replace, but features of {len(features)} people")
        self._check_rows(rows)
        self._rows[rows], self._weights[rows] = _pack(features)

    def remove(self, rows: IntArray) -> None:
        """Drop people; later ones move up, order is kept.

        Args:
            rows: ``[N]`` their row numbers.

        Raises:
            IndexError: A row that does not exist.
        """
        rows = np.asarray(rows, np.int64).reshape(-1)
        self._check_rows(rows)
        keep = np.ones(self._count, bool)
        keep[rows] = False
        left = int(keep.sum())
        self._rows[:left], self._weights[:left] = self._rows[: self._count][keep], self._weights[: self._count][keep]
        self._count = left

    def features(self) -> PartFeatures:
        """The people as they came in (parts of visibility 0 are lost: they have no direction any more)."""
        weights = self._weights[: self._count]
        parts = self._rows[: self._count].reshape(self._count, *self.shape)
        found = np.divide(parts, weights[..., None], out=np.zeros_like(parts), where=weights[..., None] > 0)
        return PartFeatures(found, weights * weights)

    def compare(self, other: PackedParts) -> tuple[FloatArray, FloatArray]:
        """Similarity of every person here with every person there.

        Args:
            other: M people of the same engine.

        Returns:
            similarity: ``[N, M]`` float32 in [-1, 1]; 0 where no part was seen in both.
            common: ``[N, M]`` float32 in [0, 1]: the share of parts that was seen in both.

        Raises:
            EngineMismatchError: If K or D differ.
        """
        similarity = np.empty((len(self), len(other)), np.float32)
        common = np.empty_like(similarity)
        for rows, values, weights in self._blocks(other):
            similarity[:, rows] = values
            np.multiply(weights, np.float32(1 / max(self.shape[0], 1)), out=common[:, rows])
        return similarity, common

    def similarity(self, other: PackedParts) -> FloatArray:
        """The first result of `compare` alone, which takes less memory and time."""
        result = np.empty((len(self), len(other)), np.float32)
        for rows, values, _ in self._blocks(other):
            result[:, rows] = values
        return result

    def best(self, other: PackedParts, count: int, *, least_common: float = 0.0) -> tuple[IntArray, FloatArray]:
        """The people there who look most like each one here, without ever holding all pairs.

        Args:
            other: M people of the same engine.
            count: How many of them; fewer if there are fewer.
            least_common: Share of parts that must be seen in both, in [0, 1].

        Returns:
            rows: ``[N, C]`` int64 rows of ``other``, best first; -1 where nobody is left.
            similarity: ``[N, C]`` float32; -1 there.
        """
        count = min(count, len(other))
        rows = np.full((len(self), count), -1, np.int64)
        best = np.full((len(self), count), -np.inf, np.float32)
        if count == 0 or len(self) == 0:
            return rows, best
        enough = max(least_common * self.shape[0] - LEAST_WEIGHT, LEAST_WEIGHT)
        for block, values, weights in self._blocks(other):
            # Only who beats the worst that was kept, and is among the best here; after the first blocks these are few.
            np.copyto(values, np.float32(-np.inf), where=weights <= enough)
            least = np.maximum(np.maximum(best[:, -1:], _least_of_best(values, count)), np.float32(-2.0))
            who, column = np.divmod((values >= least).reshape(-1).nonzero()[0], values.shape[1])
            _merge(rows, best, who, column + block.start, values[who, column])
        best[rows < 0] = -1.0
        return rows, best

    def _blocks(self, other: PackedParts) -> Iterator[tuple[slice, FloatArray, FloatArray]]:
        """Similarity and sum of weights, some columns at a time; both arrays are used again for the next block."""
        if self.shape != other.shape:
            raise _mismatch(self.shape, other.shape)
        n, m = len(self), len(other)
        step = min(m, max(_NARROWEST, _BLOCK // max(n, 1)))
        products, weights = np.empty((n, step), np.float32), np.empty((n, step), np.float32)
        divisor = np.empty((n, step), np.float32)
        for start in range(0, m, max(step, 1)):
            block = slice(start, min(start + step, m))
            width = block.stop - block.start
            # Contiguous results: a matrix product into a part of a wider array would go through a copy.
            p, w, d = (x.reshape(-1)[: n * width].reshape(n, width) for x in (products, weights, divisor))
            np.matmul(self._rows[:n], other._rows[block].T, out=p)
            np.matmul(self._weights[:n], other._weights[block].T, out=w)
            weighted_mean(p, w, d)
            yield block, p, w

    def _grow(self, room: int) -> None:
        rows, weights = np.empty((room, self._rows.shape[1]), np.float32), np.empty((room, self.shape[0]), np.float32)
        rows[: self._count], weights[: self._count] = self._rows[: self._count], self._weights[: self._count]
        self._rows, self._weights = rows, weights

    def _check_rows(self, rows: IntArray) -> None:
        wrong = rows[(rows < 0) | (rows >= self._count)]
        if len(wrong):
            raise IndexError(f"no row {int(wrong[0])} among {self._count} packed people")

    def _check(self, features: PartFeatures) -> None:
        if features.shape != self.shape:
            raise _mismatch(features.shape, self.shape)


def _pack(features: PartFeatures) -> tuple[FloatArray, FloatArray]:
    weights = np.sqrt(features.visibility, dtype=np.float32)
    parts, dim = features.shape
    return (features.parts * weights[..., None]).reshape(len(features), parts * dim), weights


def _least_of_best(values: FloatArray, count: int) -> FloatArray:
    """``[N, 1]`` what each of the ``count`` greatest of ``values`` [N, M] reaches at least: the ``count``-th of the
    maxima of groups of columns. Sorting them all would take longer than the comparison."""
    n, m = values.shape
    if m <= count:
        return np.full((n, 1), -np.inf, np.float32)
    size = max(m // (_GROUPS * count), 1)
    groups = m // size
    most = values if size == 1 else values[:, : groups * size].reshape(n, size, groups).max(1)
    return np.partition(most, groups - count, axis=1)[:, groups - count, None]


def _merge(
    rows: IntArray, best: FloatArray, who: NDArray[np.intp], number: NDArray[np.intp], value: FloatArray
) -> None:
    """Put newcomers into the sorted lists ``best``, ``rows`` ``[N, C]``, in place; who was there first stays first at
    equal similarity."""
    if len(who) == 0:
        return
    count = best.shape[1]
    owner = np.concatenate([np.repeat(np.arange(len(best)), count), who])
    values, numbers = np.concatenate([best.reshape(-1), value]), np.concatenate([rows.reshape(-1), number])
    order = np.lexsort((-values, owner))
    starts = np.searchsorted(owner[order], np.arange(len(best)))
    kept = order[starts[:, None] + np.arange(count)]
    best[:], rows[:] = values[kept], numbers[kept]


def _mismatch(a: tuple[int, int], b: tuple[int, int]) -> EngineMismatchError:
    return EngineMismatchError(
        f"features of different engines cannot be compared: {a[0]} parts of {a[1]} values against {b[0]} of {b[1]}. "
        "Recompute one side with the other's engine."
    )
