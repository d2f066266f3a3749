"""Features as whole numbers of eight bits: a quarter of the bytes, for tracks that leave their machine.

A part is divided by its largest value, so that this becomes 127, rounded, and normalised again when it is read. Values
that were rounded so come back bit for bit, on every machine: the sum of the squares of whole numbers is exact, and root
and quotient are correctly rounded. The cosine of two parts of 256 values is off by less than .002 in all that was
measured, where two looks at one person differ by .2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamreid.types import FloatArray

__all__ = ["from_eight_bits", "in_eight_bits", "to_eight_bits"]

_MOST = 127.0


def to_eight_bits(parts: FloatArray) -> NDArray[np.int8]:
    """Parts as whole numbers.

    Args:
        parts: ``[..., D]`` float32.

    Returns:
        ``[..., D]`` from -127 to 127; 0 where a part has no value but 0.
    """
    most = np.abs(parts).max(axis=-1, keepdims=True, initial=0.0)
    scale = np.divide(_MOST, most, out=np.zeros_like(most, np.float64), where=most > 0)
    return np.asarray(np.rint(parts * scale), np.int8)


def from_eight_bits(codes: NDArray[np.int8]) -> FloatArray:
    """Parts of length 1 from whole numbers.

    Args:
        codes: ``[..., D]``.

    Returns:
        ``[..., D]`` float32, L2-normalised; 0 where all numbers are.
    """
    values = codes.astype(np.float64)
    length = np.sqrt((values * values).sum(axis=-1, keepdims=True))
    return np.asarray(np.divide(values, length, out=np.zeros_like(values), where=length > 0), np.float32)


def in_eight_bits(parts: FloatArray) -> FloatArray:
    """Parts rounded to what eight bits hold; doing it again changes nothing.

    Args:
        parts: ``[N, K, D]`` float32; rows without features, of people who were not looked at, cost next to nothing.
    """
    looked = parts.any(axis=(1, 2))
    if looked.all():
        return from_eight_bits(to_eight_bits(parts))
    found = np.zeros_like(parts)
    if looked.any():
        found[looked] = from_eight_bits(to_eight_bits(parts[looked]))
    return found
