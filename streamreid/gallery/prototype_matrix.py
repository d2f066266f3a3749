"""The prototypes of a gallery as one matrix of float16, in a memory-mapped file, for exact search.

The similarity is that of ``streamreid.features.similarity``: with w = sqrt(visibility), one product over the K * D
columns of w_k f_k and one over the K weights. The file has no name: it is a working copy that ends with the process, so
that erasing people needs no care for it on disk. An encrypted gallery keeps its matrix in memory only.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import GalleryError
from streamreid.features.packed import PackedParts, weighted_mean
from streamreid.types import FloatArray, IntArray, PartFeatures

__all__ = ["PrototypeMatrix", "widened"]

_BLOCK = 256  # rows of which the conversion to float32 stays in the cache
_FIRST = 1024  # rows made room for at first
_FEW = 3  # queries up to which a product that reads float16 directly beats converting for a GEMM
# Sign and magnitude of a float16 that was shifted left by 13 bits.
_MASK = np.array(0x8FFFE000, np.uint32).view(np.int32)
_SCALE = np.float32(2.0**112)  # 127 - 15, the difference of the exponents' biases


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
        self._file: Any = None
        self._rows: NDArray[np.float16] = np.zeros((0, self._width), np.float16)
        self._weights = np.zeros((0, shape[0]), np.float32)
        self._ids = np.zeros(0, np.int64)
        self._global_ids = np.zeros(0, np.int64)
        self._row_of: dict[int, int] = {}
        self._free: list[int] = []
        self._end = 0
        self._numkong = _numkong()

    def __len__(self) -> int:
        return len(self._row_of)

    def __repr__(self) -> str:
        return (
            f"PrototypeMatrix(n={len(self)}, parts={self.shape[0]}, dim={self.shape[1]}, "
            f"mapped={self._file is not None})"
        )

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
        return self._end * (2 * self._width + 4 * self.shape[0] + 16)

    def close(self) -> None:
        """Let go of the file, and with it of the matrix."""
        self._rows = np.zeros((0, self._width), np.float16)
        if self._file is not None:
            self._file.close()
            self._file = None

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
        self._rows[rows] = packed.rows.astype(np.float16)
        self._weights[rows] = packed.weights
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
        self._rows[rows] = 0
        self._weights[rows] = 0
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
        try:
            self._rows = self._grown(room)
        except (OSError, ValueError, MemoryError) as error:
            raise GalleryError(
                f"no room for a search matrix of {room} prototypes ({room * self._width * 2 >> 20} MiB): {error}"
            ) from None
        for name in ("_weights", "_ids", "_global_ids"):
            old = getattr(self, name)
            larger = np.zeros((room, *old.shape[1:]), old.dtype)
            larger[: self._end] = old[: self._end]
            setattr(self, name, larger)

    def _grown(self, room: int) -> NDArray[np.float16]:
        if self._folder is not None and self._file is None:
            try:
                # Closed by close().
                self._file = tempfile.TemporaryFile(prefix="streamreid-", dir=self._folder)  # noqa: SIM115
            except OSError:
                self._folder = None  # not writable: the matrix stays in memory
        if self._folder is None:
            rows = np.zeros((room, self._width), np.float16)
            rows[: self._end] = self._rows[: self._end]
            return rows
        size = room * self._width * 2
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(
                self._file.fileno(), 0, size
            )  # a full disk is met here, not as a crash when a page is touched
        else:
            self._rows = np.zeros((0, self._width), np.float16)
            self._file.truncate(size)
        return np.memmap(self._file, np.float16, "r+", shape=(room, self._width))

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
        weights = self._weights[: self._end] if rows is None else self._weights[rows]
        stored = self._rows[: self._end] if rows is None else self._rows[rows]
        denominator = query.weights @ weights.T
        similarity = weighted_mean(_products(query.rows, stored, self._numkong), denominator)
        return similarity, np.asarray(denominator / np.float32(max(self.shape[0], 1)), np.float32)

    def foreground(self, rows: IntArray) -> FloatArray:
        """``[R, D]`` the whole-person vectors of some rows, of unit length (zero where nothing was seen)."""
        vectors = self._rows[rows, : self.shape[1]].astype(np.float32)
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0), np.float32)

    def stored(self, rows: IntArray) -> NDArray[np.float16]:
        """``[R, K * D]`` the weighted parts as they are stored in some rows; zeros in free rows."""
        return np.array(self._rows[rows])

    def row_numbers(self, ids: IntArray) -> IntArray:
        """``[R]`` row numbers of those prototypes that are there."""
        return np.array([self._row_of[i] for i in ids.tolist() if i in self._row_of], np.int64)


def _products(query: FloatArray, stored: NDArray[np.float16], direct: Any) -> FloatArray:
    """``query @ stored.T`` in float32, ``[Q, R]``; ``direct`` is NumKong or None."""
    if direct is not None and len(query) <= _FEW and len(stored):
        return np.asarray(direct.cdist(np.ascontiguousarray(query, np.float16), stored, "dot"), np.float32).reshape(
            len(query), len(stored)
        )
    result = np.empty((len(query), len(stored)), np.float32)
    buffer = np.empty((_BLOCK, stored.shape[1]), np.int32)
    for start in range(0, len(stored), _BLOCK):
        block = stored[start : start + _BLOCK]
        np.matmul(query, widened(block, buffer[: len(block)]).T, out=result[:, start : start + len(block)])
    return result


def widened(block: NDArray[np.float16], buffer: NDArray[np.int32]) -> FloatArray:
    """float16 as float32, several times as fast as ``astype``.

    Sign and magnitude are moved to their places; a product sets the bias of the exponent.

    Args:
        block: ``[R, C]`` finite values.
        buffer: ``[R, C]`` is overwritten with the result.
    """
    np.copyto(buffer, block.view(np.int16))
    np.left_shift(buffer, 13, out=buffer)
    np.bitwise_and(buffer, _MASK, out=buffer)
    values = buffer.view(np.float32)
    np.multiply(values, _SCALE, out=values)
    return values


def _numkong() -> Any:
    """NumKong, which comes with usearch and multiplies float16 as it lies; None if it is not installed."""
    try:
        import numkong
    except ImportError:
        return None
    return numkong
