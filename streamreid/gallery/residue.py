"""The proof of an erasure: search files for bytes of what was erased.

Every 16-byte piece of an erased value is looked for at every offset of a file. 8 float16 values in a row of somebody else's features agree by chance
about once in 10^24 places, so a single hit is a remain. Pieces with little variety (zeros of parts never seen) say nothing and are left out.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_residue", "pieces"]

_PIECE = 16
_BLOCK = 1 << 24
_LEAST_VARIETY = 8
_JPEG_TABLES = 700  # bytes at the beginning that all JPEG files of one encoder share


def pieces(values: Iterable[bytes], *, pictures: bool = False) -> set[bytes]:
    """Telling 16-byte pieces of values as they were written.

    Args:
        values: Features or pictures.
        pictures: Leave out the beginning, which pictures have in common.
    """
    found = set()
    for value in values:
        data = bytes(value)
        for start in range(_JPEG_TABLES if pictures else 0, len(data) - _PIECE + 1, _PIECE):
            piece = data[start : start + _PIECE]
            if len(set(piece)) >= _LEAST_VARIETY:
                found.add(piece)
    return found


def find_residue(paths: Sequence[Path], wanted: set[bytes], *, most: int = 20) -> tuple[list[str], int]:
    """Where files hold any of the pieces.

    Args:
        paths: Files; those that do not exist are left out.
        wanted: From :func:`pieces`.
        most: Stop after so many places.

    Returns:
        Places as ``path:offset``, and how many bytes were searched.
    """
    places: list[str] = []
    searched = 0
    words = np.array(sorted({int.from_bytes(p[:8], "little") for p in wanted}), np.uint64)
    table = np.zeros(1 << 16, bool)
    table[(words & np.uint64(0xFFFF)).astype(np.int64)] = True
    for path in paths:
        if not path.is_file() or path.stat().st_size < _PIECE:
            continue
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            searched += len(data)
            if len(words):
                places += [f"{path}:{offset}" for offset in _offsets(data, wanted, words, table, most - len(places))]
        if len(places) >= most:
            break
    return places, searched


def _offsets(data: mmap.mmap, wanted: set[bytes], words: NDArray[np.uint64], table: NDArray[np.bool_], most: int) -> list[int]:
    found: list[int] = []
    for begin in range(0, len(data), _BLOCK):
        raw = data[begin : begin + _BLOCK + _PIECE]
        if len(raw) < _PIECE:
            break
        block = np.frombuffer(raw, np.uint8)
        # The two low bytes at every offset are looked up first; few of them pass.
        low = block[:-1].astype(np.uint16) | (block[1:].astype(np.uint16) << np.uint16(8))
        candidates = np.flatnonzero(table[low[: len(block) - _PIECE + 1]])
        if len(candidates):
            word = np.ndarray(len(raw) - 7, np.uint64, raw, strides=(1,))[candidates]
            position = np.minimum(np.searchsorted(words, word), len(words) - 1)
            for offset in candidates[words[position] == word].tolist():
                if raw[offset : offset + _PIECE] in wanted and begin + offset not in found:
                    found.append(begin + offset)
                    if len(found) >= most:
                        return found
    return found
