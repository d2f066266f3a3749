"""Rows of numbers in 16 bits each, with one scale per row, kept as two planes of bytes.

A value is ``scale * (256 * high + low)``. The high bytes alone give every product with a known greatest error, from
half of the memory; both planes together give it to four digits or more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.types import Float64Array, FloatArray, IntArray

__all__ = ["Planes", "numkong", "products", "rough_products", "split", "wide"]

_MOST = 32_512
"""127 * 256: the high byte of the greatest value is 127."""

_BLOCK = 256
"""Rows of which the conversion to float32 stays in the cache."""

_PIECE = 32
"""Rows that are rounded at a time, for the same reason."""

_FEW = 8
"""Queries up to which products of bytes, one query at a time, are faster than converting the rows for a GEMM."""

Bytes = NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """``N`` rows of ``W`` numbers.

    Args:
        high: ``[N, W]`` int8 in [-127, 127].
        low: ``[N, W]`` int8.
        scale: ``[N]`` float32, what one step of ``low`` is worth.
    """

    high: Bytes
    low: Bytes
    scale: FloatArray

    def __len__(self) -> int:
        return len(self.scale)

    def __getitem__(self, rows: slice | IntArray) -> Planes:
        """Rows by slice or integer array."""
        return Planes(self.high[rows], self.low[rows], self.scale[rows])

    def put(self, rows: IntArray, planes: Planes) -> None:
        """Overwrite rows ``[R]`` by number."""
        self.high[rows], self.low[rows], self.scale[rows] = planes.high, planes.low, planes.scale

    @classmethod
    def zeros(cls, rows: int, width: int) -> Planes:
        """Rows of zeros, in memory."""
        return cls(np.zeros((rows, width), np.int8), np.zeros((rows, width), np.int8), np.zeros(rows, np.float32))


def split(values: FloatArray) -> Planes:
    """Round rows ``[N, W]`` of finite float32 to 16 bits each."""
    high, low = np.empty(values.shape, np.int8), np.empty(values.shape, np.int8)
    scale = np.zeros(len(values), np.float32)
    for start in range(0, len(values), _PIECE):
        piece = slice(start, start + _PIECE)
        greatest = np.maximum(values[piece].max(1, initial=0.0), -values[piece].min(1, initial=0.0))
        scale[piece] = greatest / np.float32(_MOST)
        steps = values[piece] * np.divide(1, scale[piece], out=np.zeros_like(greatest), where=greatest > 0)[:, None]
        whole = np.rint(steps, out=steps).astype(np.int16)
        high[piece] = (whole + np.int16(128)) >> 8
        low[piece] = whole  # the lower byte: what is left above or below the higher one
    return Planes(high, low, scale)


def wide(planes: Planes) -> FloatArray:
    """``[N, W]`` float32: the rows as numbers again."""
    steps = planes.high.astype(np.float32)
    steps *= 256
    steps += planes.low
    steps *= planes.scale[:, None]
    return steps


def numkong() -> Any:
    """NumKong (extra ``index``), which multiplies bytes as they lie; None if it is not installed."""
    try:
        import numkong as found
    except ImportError:
        return None
    return found


def products(query: FloatArray, rows: Planes, direct: Any) -> FloatArray:
    """``query @ rows.T``.

    Args:
        query: ``[Q, W]``.
        rows: N rows.
        direct: What ``numkong`` gave.

    Returns:
        ``[Q, N]`` float32, to less than 1e-4 of the lengths of both.
    """
    count = len(rows)
    if direct is None or len(query) > _FEW or not count:
        result = np.empty((len(query), count), np.float32)
        for start in range(0, count, _BLOCK):
            block = rows[slice(start, start + _BLOCK)]
            np.matmul(query, wide(block).T, out=result[:, start : start + _BLOCK])
        return result
    steps = split(query)
    high = _of_bytes(np.concatenate([steps.high, steps.low]), rows.high, direct)
    low = _of_bytes(steps.high, rows.low, direct)
    # What the low bytes of both add is less than the rounding.
    exact = 65536.0 * high[: len(query)] + 256.0 * (high[len(query) :] + low)
    return np.asarray(exact * steps.scale[:, None] * rows.scale, np.float32)


def rough_products(query: FloatArray, high: Bytes, scale: FloatArray, direct: Any) -> tuple[FloatArray, FloatArray]:
    """``query @ rows.T`` from the high bytes of rows alone.

    Args:
        query: ``[Q, W]``.
        high: ``[N, W]`` int8, as in `Planes`.
        scale: ``[N]`` float32, as in `Planes`.
        direct: What ``numkong`` gave.

    Returns:
        The products ``[Q, N]`` float32, and ``[Q]`` the length of what was rounded off each query. A product is wrong
        by at most that times the length of the row, and the length of the query times that of the row's low bytes.
    """
    if direct is not None and len(query) <= _FEW:
        step = np.abs(query).max(1, keepdims=True, initial=0.0) / np.float32(127)
        rounded = np.rint(query / np.where(step > 0, step, 1)).astype(np.int8)
        result = _of_bytes(rounded, high, direct) * step
        rest = np.linalg.norm(query - rounded * step, axis=1)
    else:
        result, rest = np.empty((len(query), len(high))), np.zeros(len(query))
        for start in range(0, len(high), _BLOCK):
            block = high[start : start + _BLOCK].astype(np.float32)
            result[:, start : start + len(block)] = query @ block.T
    result *= 256.0 * scale
    return result.astype(np.float32), rest.astype(np.float32)


def _of_bytes(query: Bytes, rows: Bytes, direct: Any) -> Float64Array:
    """``[Q, N]`` float64 dot products of int8 rows."""
    if not len(rows):
        return np.zeros((len(query), 0))
    found = np.asarray(direct.cdist(np.ascontiguousarray(query), rows, "dot"), np.float64)
    return found.reshape(len(query), len(rows))
