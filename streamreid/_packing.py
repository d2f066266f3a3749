"""Plain values and arrays as bytes, without a library and without loss.

Layout: 4 bytes that name the kind; the version, the length of the values (unsigned 32-bit) and the number of arrays
(unsigned 16-bit), little-endian; the values (JSON, UTF-8); a table that says of every array its type, its dimensions
and where it is; the arrays (little-endian, C order).

Floats come back bit for bit: arrays are copied, and JSON writes the shortest digits that read back the same. An array
that equals an earlier one is named instead of repeated, and integers take as few bytes as they need.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamreid.errors import DataError

__all__ = ["pack", "unpack"]

_HEAD = struct.Struct("<BIH")
_ENTRY = struct.Struct("<BBhIII")
"""Type, number of dimensions, number of the equal array before (-1: it follows here), up to three dimensions."""

_MOST_DIMENSIONS = 3

_MOST_BYTES = 64 << 20
"""Of all arrays together, as they are restored: a few bytes may name a large array many times."""

_WRITTEN = ("<f4", "<f8", "<i4", "<i8", "<i1", "<i2", "<i4", "|u1")
"""How types are written, so that bytes from elsewhere cannot ask for objects. The three before the last are int64 on
both sides."""

_TYPES = (np.float32, np.float64, np.int32, np.int64, np.int64, np.int64, np.int64, np.uint8)
_CODES = {"f4": 0, "f8": 1, "i4": 2, "i8": 3, "u1": 7}
_NARROW = ((4, 2**7), (5, 2**15), (6, 2**31))
_SIZES = tuple(np.dtype(name).itemsize for name in _WRITTEN)


def pack(kind: bytes, version: int, values: Any, arrays: Sequence[NDArray[Any]]) -> bytes:
    """Values that JSON can hold, and arrays, as bytes.

    Args:
        kind: 4 bytes that name what this is.
        version: Of the values and of the order of the arrays, 0 to 255.
        values: Strings, numbers, lists, mappings.
        arrays: float32, float64, int32, int64 or uint8, of up to three dimensions.
    """
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()
    table, parts = [], []
    known: dict[tuple[int, tuple[int, ...], bytes], int] = {}
    for number, array in enumerate(arrays):
        code = _CODES[array.dtype.str[1:]]
        if code == 3 and array.size:
            most = max(int(array.max()), -1 - int(array.min()))
            code = next((narrow for narrow, limit in _NARROW if most < limit), code)
        content = array.astype(_WRITTEN[code], copy=False).tobytes()
        same = known.setdefault((code, array.shape, content), number)
        shape = (*array.shape, 0, 0, 0)[:_MOST_DIMENSIONS]
        table.append(_ENTRY.pack(code, array.ndim, -1 if same == number else same, *shape))
        if same == number:
            parts.append(content)
    return b"".join([kind, _HEAD.pack(version, len(text), len(table)), text, *table, *parts])


def unpack(kind: bytes, version: int, data: bytes) -> tuple[Any, list[NDArray[Any]]]:
    """What ``pack`` was given; the arrays are copies that may be written to.

    Raises:
        DataError: The bytes are of another kind or version, or damaged.
    """
    begin = len(kind) + _HEAD.size
    if len(data) < begin or data[: len(kind)] != kind:
        raise DataError(f"these are not bytes of kind {kind.decode()}: they begin with {data[: len(kind)]!r}")
    found, length, count = _HEAD.unpack_from(data, len(kind))
    if found != version:
        raise DataError(
            f"bytes of kind {kind.decode()}, version {found}, expected {version}: run the same streamreid on both sides"
        )
    table = begin + length
    end = table + count * _ENTRY.size
    try:
        if end > len(data):
            raise ValueError(f"{len(data)} bytes, expected at least {end}")
        values = json.loads(data[begin:table])
        arrays: list[NDArray[Any]] = []
        total = 0
        for code, dimensions, same, *shape in _ENTRY.iter_unpack(data[table:end]):
            if same >= 0:
                total += arrays[same].nbytes
                if total > _MOST_BYTES:
                    raise ValueError("arrays that are larger than any update")
                arrays.append(arrays[same].copy())
                continue
            wanted = tuple(shape[: min(dimensions, _MOST_DIMENSIONS)])
            size = 1
            for item in wanted:
                size *= item
            array = np.frombuffer(data, _WRITTEN[code], size, end).astype(_TYPES[code])
            arrays.append(array.reshape(wanted))
            end += size * _SIZES[code]
    except (ValueError, TypeError, IndexError, OverflowError, struct.error) as error:
        raise DataError(f"bytes of kind {kind.decode()} are damaged: {error}") from None
    if end != len(data):
        raise DataError(f"bytes of kind {kind.decode()} are damaged: {len(data)} bytes, expected {end}")
    return values, arrays
