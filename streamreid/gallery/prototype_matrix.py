"""The prototypes of a gallery as one matrix of 16 bits per value, in memory-mapped files, for exact search.

The similarity is that of ``streamreid.features.similarity``: with w = sqrt(visibility), one product over the K * D
columns of w_k f_k and one over the K weights. A search reads the high bytes of all rows, which say who certainly looks
less like the query than others do, and both bytes of the rest. The files have no name: they are working copies that end
with the process, so that erasing people needs no care for them on disk. An encrypted gallery keeps its matrix in memory
only.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import GalleryError
from streamreid.features.packed import LEAST_WEIGHT, PackedParts, weighted_mean
from streamreid.gallery.fixed_point import Planes, numkong, products, rough_products, split, wide
from streamreid.types import FloatArray, IntArray, PartFeatures

__all__ = ["FEW", "PrototypeMatrix", "greatest"]

_FIRST = 1024  # rows made room for at first
_BLOCK = 16_384
"""Rows compared at a time, so that what is made of them stays in the cache."""

_SLACK = 1e-5
"""What float32 may add to the error of a similarity."""

FEW = 2048
"""Rows up to which comparing all of them takes less time than finding out which ones matter. A copy of so few is kept
in float32 (12 MiB of 6 x 256), so that one matrix product is all that a search needs."""

_SAMPLED = 64
"""Of large arrays every so many-th value says where the greatest begin."""


class PrototypeMatrix:
    """Grows at the end; dropped rows are overwritten with zeros and used again.

    Args:
        shape: K and D.
        folder: Where the nameless file is made; None keeps everything in memory.

    Raises:
        GalleryError: The file cannot be made or grown.
    """

    def __init__(self, shape: tuple[int, int], *, folder: Path | None = None) -> None:
        self.shape = shape
        self._width = shape[0] * shape[1]
        self._folder = folder
        self._files: list[Any] = []
        self._planes = Planes.zeros(0, self._width)
        self._weights = np.zeros((shape[0], 0), np.float32)  # a row per part, so that one product reads them in order
        self._lengths = np.zeros((2, 0), np.float32)  # of each row, and of what the low bytes add
        self._ids = np.zeros(0, np.int64)
        self._global_ids = np.zeros(0, np.int64)
        self._row_of: dict[int, int] = {}
        self._free: list[int] = []
        self._end = 0
        self._copy: FloatArray | None = None
        self._numkong = numkong()

    def __len__(self) -> int:
        return len(self._row_of)

    def __repr__(self) -> str:
        return f"PrototypeMatrix(n={len(self)}, parts={self.shape[0]}, dim={self.shape[1]}, mapped={bool(self._files)})"

    @property
    def ids(self) -> IntArray:
        """``[R]`` id of the prototype in each row; 0 for a free row."""
        return self._ids[: self._end]

    @property
    def global_ids(self) -> IntArray:
        """``[R]`` global id of each row; 0 for a free row."""
        return self._global_ids[: self._end]

    @property
    def nbytes(self) -> int:
        """Bytes of the rows in use, in the file and in memory."""
        copied = 0 if self._copy is None else self._copy.nbytes
        return self._end * (2 * self._width + 4 * self.shape[0] + 28) + copied

    def close(self) -> None:
        """Let go of the files, and with them of the matrix."""
        self._planes, self._copy = Planes.zeros(0, self._width), None
        for file in self._files:
            file.close()
        self._files = []

    # ------------------------------------------------------------ rows

    def add(self, ids: IntArray, global_ids: IntArray, features: PartFeatures) -> None:
        """Take prototypes; those that are there already only change hands.

        Args:
            ids: ``[N]`` ids of prototypes, above 0.
            global_ids: ``[N]`` identities.
            features: N rows.

        Raises:
            GalleryError: There is no room for them.
        """
        new = np.array([i not in self._row_of for i in ids.tolist()], bool)
        self.assign(ids[~new], global_ids[~new])
        count = int(new.sum())
        if not count:
            return
        reused = [self._free.pop() for _ in range(min(count, len(self._free)))]
        fresh = list(range(self._end, self._end + count - len(reused)))
        self._reserve(self._end + len(fresh))
        rows = np.array(reused + fresh, np.int64)
        packed = PackedParts(features[new])
        planes = split(packed.rows)
        self._planes.put(rows, planes)
        self._copy = None
        self._weights[:, rows] = packed.weights.T
        self._lengths[0, rows] = np.sqrt(np.einsum("ij,ij->i", packed.rows, packed.rows))
        low = planes.low.astype(np.float32)
        self._lengths[1, rows] = planes.scale * np.sqrt(np.einsum("ij,ij->i", low, low))
        self._ids[rows], self._global_ids[rows] = ids[new], global_ids[new]
        self._row_of.update(zip(ids[new].tolist(), rows.tolist(), strict=True))
        self._end += len(fresh)

    def assign(self, ids: IntArray, global_ids: IntArray) -> None:
        """Say whose some prototypes are now, both ``[N]``; those that are not there are left out."""
        for prototype, global_id in zip(ids.tolist(), global_ids.tolist(), strict=True):
            if prototype in self._row_of:
                self._global_ids[self._row_of[prototype]] = global_id

    def keep_only(self, global_ids: IntArray, ids: IntArray) -> None:
        """Of the rows of some identities keep the prototypes in ``ids``; the others are overwritten with zeros."""
        mine = np.flatnonzero(np.isin(self.global_ids, global_ids))
        rows = mine[~np.isin(self._ids[mine], ids)]
        self._planes.put(rows, Planes.zeros(len(rows), self._width))
        self._copy = None
        self._weights[:, rows] = 0
        self._lengths[:, rows] = 0
        for prototype in self._ids[rows].tolist():
            del self._row_of[prototype]
        self._ids[rows], self._global_ids[rows] = 0, 0
        self._free += rows.tolist()

    def __contains__(self, prototype: int) -> bool:
        return prototype in self._row_of

    def _reserve(self, rows: int) -> None:
        if rows <= len(self._ids):
            return
        room = max(rows, 2 * len(self._ids), _FIRST)
        scale = self._longer(self._planes.scale, room)
        try:
            high, low = self._grown(room)
        except (OSError, ValueError, MemoryError) as error:
            raise GalleryError(
                f"no room for a search matrix of {room} prototypes ({room * self._width * 2 >> 20} MiB): {error}"
            ) from None
        self._planes = Planes(high, low, scale)
        for name in ("_weights", "_lengths", "_ids", "_global_ids"):
            setattr(self, name, self._longer(getattr(self, name), room))

    def _longer(self, values: NDArray[Any], room: int) -> NDArray[Any]:
        larger = np.zeros((*values.shape[:-1], room), values.dtype)
        larger[..., : self._end] = values[..., : self._end]
        return larger

    def _grown(self, room: int) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        if self._folder is not None and not self._files:
            try:
                for _ in range(2):  # closed by close()
                    self._files.append(tempfile.TemporaryFile(prefix="streamreid-", dir=self._folder))  # noqa: SIM115
            except OSError:
                self._folder, self._files = None, []  # not writable: the matrix stays in memory
        if self._folder is None:
            grown = Planes.zeros(room, self._width)
            grown.high[: self._end] = self._planes.high[: self._end]
            grown.low[: self._end] = self._planes.low[: self._end]
            return grown.high, grown.low
        size = room * self._width
        if not hasattr(os, "posix_fallocate"):
            self._planes = Planes.zeros(0, self._width)
        for file in self._files:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)  # a full disk is met here, not when a page is touched
            else:
                file.truncate(size)
        high, low = (np.memmap(file, np.int8, "r+", shape=(room, self._width)) for file in self._files)
        return high, low

    # ------------------------------------------------------------ search

    def compare(self, query: PackedParts, rows: IntArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Similarity of queries with all rows, or with some.

        Args:
            query: Q rows.
            rows: ``[R]`` row numbers.

        Returns:
            similarity: ``[Q, R]`` float32 in [-1, 1]; 0 where no part was seen in both.
            common: ``[Q, R]`` float32 in [0, 1]: the share of parts that was seen in both.
        """
        some: slice | IntArray = slice(self._end) if rows is None else rows
        denominator = query.weights @ self._weights[:, some]
        if rows is None and self._end <= FEW:
            numerator = self._copied() @ query.rows[0] if len(query) == 1 else query.rows @ self._copied().T
            numerator = numerator.reshape(len(query), -1)
        else:
            numerator = products(query.rows, self._planes[some], self._numkong)
        similarity = weighted_mean(numerator, denominator)
        return similarity, np.asarray(denominator / np.float32(max(self.shape[0], 1)), np.float32)

    def _copied(self) -> FloatArray:
        """``[R, K * D]`` all rows in float32, made once for as long as they stay."""
        if self._copy is None:
            self._copy = wide(self._planes[: self._end])
        return self._copy

    def likely(
        self,
        query: PackedParts,
        people: int,
        *,
        least: float,
        without: Collection[int] = (),
        among: IntArray | None = None,
    ) -> IntArray:
        """Rows among which are the ``people`` identities that look most like any of the queries, and the best view of
        each.

        Args:
            query: Q rows.
            people: How many identities.
            least: Share of parts that must be seen in both pictures.
            without: Global ids to leave out.
            among: ``[R]`` only these rows.

        Returns:
            ``[C]`` row numbers, few of them.
        """
        lower, upper = self._bounds(query, least, among)
        owners = self.global_ids if among is None else self.global_ids[among]
        usable = owners > 0
        if without:
            usable &= ~np.isin(owners, sorted(without))
        lower[~usable] = upper[~usable] = -np.inf
        bound, wanted = -np.inf, 2 * people
        while wanted < len(lower):
            rows = greatest(lower, wanted)
            rows = rows[np.argsort(-lower[rows])]
            first = np.sort(np.unique(owners[rows], return_index=True)[1])
            if len(first) >= people:
                bound = lower[rows[first[people - 1]]]
                break
            wanted *= 8
        found = np.flatnonzero(upper >= max(bound, -2.0))
        return found if among is None else among[found]

    def _bounds(self, query: PackedParts, least: float, among: IntArray | None) -> tuple[FloatArray, FloatArray]:
        """``[R]`` what the similarity of each row with the query that it resembles most is at least and at most; -inf
        where too little was seen in both."""
        count = self._end if among is None else len(among)
        lower, upper = np.full(count, -np.inf, np.float32), np.full(count, -np.inf, np.float32)
        enough = max(least * self.shape[0], LEAST_WEIGHT)
        lengths = np.linalg.norm(query.rows, axis=1)
        for start in range(0, count, _BLOCK):
            block = slice(start, min(start + _BLOCK, count))
            some: slice | IntArray = block if among is None else among[block]
            weights = query.weights @ self._weights[:, some]
            found, rests = rough_products(query.rows, self._planes.high[some], self._planes.scale[some], self._numkong)
            rows, rounded = self._lengths[:, some]
            for value, weight, length, rest in zip(found, weights, lengths, rests, strict=True):
                error = rounded * (length + rest) + rows * rest
                usable = weight >= enough
                np.maximum(weight, LEAST_WEIGHT, out=weight)
                error /= weight
                error += _SLACK
                value /= weight
                np.maximum(lower[block], value - error, out=lower[block], where=usable)
                np.maximum(upper[block], value + error, out=upper[block], where=usable)
        return lower, upper

    def rows_of(self, people: Collection[int]) -> IntArray:
        """``[R]`` row numbers of the prototypes of some identities."""
        owners = self.global_ids
        wanted = np.array(sorted(people), np.int64)
        if len(wanted) < 3 or not len(owners):
            return np.flatnonzero(np.isin(owners, wanted))
        table = np.zeros(max(int(owners.max()), int(wanted[-1])) + 1, bool)
        table[wanted] = True
        return np.flatnonzero(table[owners])

    def row_numbers(self, ids: IntArray) -> IntArray:
        """``[R]`` row numbers of those prototypes that are there."""
        return np.array([self._row_of[i] for i in ids.tolist() if i in self._row_of], np.int64)

    def packed(self, rows: IntArray) -> FloatArray:
        """``[R, K * D]`` the weighted parts of some rows; zeros in free rows."""
        return wide(self._planes[rows])

    @property
    def weights(self) -> FloatArray:
        """``[K, R]`` the weights of all rows, to be read only."""
        return self._weights[:, : self._end]


def greatest(values: FloatArray, count: int) -> IntArray:
    """Numbers of the ``count`` greatest values, in any order."""
    if count >= len(values):
        return np.arange(len(values))
    among = np.zeros(0, np.int64)
    if len(values) > 1000 * _SAMPLED:
        sample, share = values[::_SAMPLED], count / _SAMPLED
        rank = min(int(share + 4 * np.sqrt(share)) + 4, len(sample))
        bound = np.partition(sample, len(sample) - rank)[len(sample) - rank]
        among = np.flatnonzero(values >= bound)
    if len(among) < count:
        return np.argpartition(values, len(values) - count)[len(values) - count :]
    return among[np.argpartition(values[among], len(among) - count)[len(among) - count :]]
