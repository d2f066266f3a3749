"""Plain values and arrays as bytes, without a library: a JSON header, then the arrays one after the other.

Layout: 4 bytes that name the kind, unsigned 32-bit length of the header, the header (JSON, UTF-8), the arrays
(little-endian, C order) in the order in which the header lists their type and shape. Floats come back bit for bit:
arrays are copied, and JSON writes the
shortest digits that read back the same.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import DataError

__all__ = ["pack", "unpack"]

_LENGTH = struct.Struct("<I")
_TYPES = ("<f4", "<f8", "<i4", "<i8")
"""Types that arrays may have, so that bytes from elsewhere cannot ask for objects."""


def pack(kind: bytes, values: Mapping[str, Any], arrays: Sequence[NDArray[Any]]) -> bytes:
    """Values that JSON can hold, and arrays, as bytes.

    Args:
        kind: 4 bytes that name what this is.
        values: Strings, numbers, lists, mappings.
        arrays: float32, float64, int32 or int64, of any shape.
    """
    plain = [np.ascontiguousarray(a, a.dtype.newbyteorder("<")) for a in arrays]
    header = {"values": values, "arrays": [[a.dtype.str, list(a.shape)] for a in plain]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return b"".join([kind, _LENGTH.pack(len(text)), text, *(a.tobytes() for a in plain)])


def unpack(kind: bytes, data: bytes) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """What ``pack`` was given; the arrays are copies that may be written to.

    Raises:
        DataError: The bytes are of another kind, or damaged.
    """
    begin = len(kind) + _LENGTH.size
    if len(data) < begin or data[: len(kind)] != kind:
        raise DataError(f"these are not bytes of kind {kind.decode()}: they begin with {data[: len(kind)]!r}")
    end = begin + _LENGTH.unpack_from(data, len(kind))[0]
    try:
        header = json.loads(data[begin:end])
        values, listed = header["values"], header["arrays"]
        arrays = []
        for name, shape in listed:
            if name not in _TYPES:
                raise ValueError(f"arrays of type {name!r} are not allowed")
            array = np.frombuffer(data, name, prod(shape), end).reshape(shape)
            end += array.nbytes
            arrays.append(array.copy() if array.dtype.isnative else array.astype(array.dtype.newbyteorder("=")))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"bytes of kind {kind.decode()} are damaged: {error}") from None
    if end != len(data):
        raise DataError(f"bytes of kind {kind.decode()} are damaged: {len(data)} bytes, expected {end}")
    return values, arrays
