"""Candidates for the exact search: all rows of the matrix in few dimensions, those that keep most of them (principal
components), searched one after the other.

A graph of neighbours would look at fewer rows, but at most of them from memory that is not in the cache, and it knows
nothing of parts that are hidden. This knows them, is made in seconds, follows every change of its rows at once, and
keeps nothing of a row that was erased.
"""

from __future__ import annotations

import numpy as np

from streamreid.features.packed import LEAST_WEIGHT, PackedParts
from streamreid.gallery.prototype_matrix import PrototypeMatrix, greatest
from streamreid.types import FloatArray, IntArray

__all__ = ["CandidateIndex"]

_DIMENSIONS = 48
"""Kept of each row; see benchmarks/gallery.py for the recall."""

_MORE, _STEPS = 16, 4
"""Directions beyond those, and steps, by which they are found."""

_BLOCK = 32_768
"""Rows compared at a time, so that what is made of them stays in the cache."""


class CandidateIndex:
    """The rows of a matrix by number, in few dimensions.

    Args:
        sample: ``[S, K * D]`` some of them, by which the dimensions are chosen.
    """

    def __init__(self, sample: FloatArray) -> None:
        self._basis = _principal(sample, _DIMENSIONS)
        self._rows = np.zeros((0, self._basis.shape[1]), np.float32)

    def __repr__(self) -> str:
        return f"CandidateIndex(rows={len(self._rows)}, dim={self._basis.shape[1]})"

    def put(self, matrix: PrototypeMatrix, rows: IntArray) -> None:
        """Take over some rows as they are now; zeros where they are free."""
        if len(rows) and int(rows.max()) >= len(self._rows):
            larger = np.zeros((max(int(rows.max()) + 1, len(self._rows) * 5 // 4), self._rows.shape[1]), np.float32)
            larger[: len(self._rows)] = self._rows
            self._rows = larger
        self._rows[rows] = matrix.packed(rows) @ self._basis

    def search(self, matrix: PrototypeMatrix, query: PackedParts, count: int, *, least: float) -> IntArray:
        """Rows that probably look most like the queries.

        Args:
            matrix: Whose rows they are; all were put.
            query: Q rows.
            count: How many rows per query.
            least: Share of parts that must be seen in both pictures.

        Returns:
            ``[R]`` row numbers, rising.
        """
        weights, end = matrix.weights, matrix.weights.shape[1]
        few, enough = query.rows @ self._basis, max(least * matrix.shape[0], LEAST_WEIGHT)
        values = np.empty((len(query), end), np.float32)
        for start in range(0, end, _BLOCK):
            block = slice(start, min(start + _BLOCK, end))
            weight = query.weights @ weights[:, block]
            hidden = weight < enough
            np.maximum(weight, LEAST_WEIGHT, out=weight)
            np.divide(few @ self._rows[block].T, weight, out=values[:, block])
            values[:, block][hidden] = -np.inf
        found = [greatest(of_one, count) for of_one in values]
        return found[0] if len(found) == 1 else np.unique(np.concatenate(found))


def _principal(sample: FloatArray, count: int) -> FloatArray:
    """``[W, count]`` about the directions that keep most of the rows ``[S, W]``, by a few steps of subspace iteration
    (Halko, Martinsson & Tropp, SIAM Review 2011), in a small part of the time of all eigenvectors."""
    width = sample.shape[1]
    start = np.random.default_rng(0).standard_normal((width, min(width, count + _MORE))).astype(np.float32)
    basis = np.linalg.qr(start)[0]
    for _ in range(_STEPS):
        basis = np.linalg.qr(sample.T @ (sample @ basis))[0]
    few = sample @ basis
    vectors = np.linalg.eigh(few.T @ few)[1]
    return np.ascontiguousarray(basis @ vectors[:, ::-1][:, :count], np.float32)
