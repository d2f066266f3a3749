"""The proof of an erasure: search files for bytes of what was erased.

Files are looked at in words of 16 bytes, at offsets that are multiples of 16; what was erased is known by its 16 bytes
at every offset. Any 31 bytes in a row that are left therefore show, wherever they lie. 8 float16 values in a row of
somebody else's features agree by chance about once in 10^24 places, so a single hit is a remain. Words with little
variety (zeros of parts never seen) say nothing and are left out.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["ByteSignatures", "find_residue"]

_WORD = 16
"""Bytes per signature: 128 bits meet by chance in no disk."""

_BLOCK = 1 << 25
"""Bytes of a file searched at a time."""

_LEAST_VARIETY = 8
"""Different byte values that a signature must have: runs of zeros are found everywhere."""

_JPEG_TABLES = 700  # bytes at the beginning that all JPEG files of one encoder share
_MOST = 4_000_000  # words to look for; of very many values a part of each is enough
_BITS = 22
"""Bits of the hash in the first sieve: 4 MB of flags."""

Words = NDArray[np.uint64]


class ByteSignatures:
    """Telling words of erased values.

    Args:
        values: Features or pictures, as they were written.
        pictures: Leave out the beginning, which pictures have in common.
    """

    def __init__(self, values: Iterable[bytes] = (), *, pictures: bool = False) -> None:
        data = [bytes(v)[_JPEG_TABLES if pictures else 0 :] for v in values]
        each = max(256, _MOST // max(len(data), 1))
        found = [_windows(_middle(d, each)) for d in data if len(d) >= _WORD]
        self.words: Words = np.unique(np.concatenate(found), axis=0) if found else np.zeros((0, 2), np.uint64)

    def __len__(self) -> int:
        return len(self.words)

    def __or__(self, other: ByteSignatures) -> ByteSignatures:
        both = ByteSignatures()
        both.words = np.unique(np.concatenate([self.words, other.words]), axis=0)
        return both

    def __sub__(self, other: ByteSignatures) -> ByteSignatures:
        rest = ByteSignatures()
        known = {tuple(w) for w in other.words.tolist()}
        rest.words = np.array([w for w in self.words.tolist() if tuple(w) not in known], np.uint64).reshape(-1, 2)
        return rest


def _middle(data: bytes, most: int) -> bytes:
    start = max(0, (len(data) - most) // 2)
    return data[start : start + most]


def _windows(data: bytes) -> Words:
    """``[N, 2]`` the 16 bytes at every offset, as two numbers; those of little variety left out."""
    count = len(data) - _WORD + 1
    every = np.ndarray((count, _WORD), np.uint8, data, strides=(1, 1))
    variety = 1 + (np.diff(np.sort(every, axis=1), axis=1) != 0).sum(1)
    words: Words = np.ascontiguousarray(every[variety >= _LEAST_VARIETY]).view("<u8").reshape(-1, 2)
    return words


def find_residue(paths: Sequence[Path], wanted: ByteSignatures, *, most: int = 20) -> tuple[list[str], int]:
    """Where files hold any of the pieces.

    Args:
        paths: Files; those that do not exist are left out.
        wanted: What was erased.
        most: Stop after so many places.

    Returns:
        Places as ``path:offset``, and how many bytes were searched.
    """
    places: list[str] = []
    searched = 0
    table = np.zeros(1 << _BITS, bool)
    table[_hash(wanted.words[:, 0])] = True
    for path in paths:
        if not path.is_file() or path.stat().st_size < _WORD:
            continue
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            searched += len(data)
            for begin in range(0, len(data) - _WORD + 1, _BLOCK):
                block = data[begin : begin + _BLOCK]
                found = _offsets(block[: len(block) // _WORD * _WORD], wanted.words, table) + begin
                places += [f"{path}:{offset}" for offset in found.tolist()]
                if len(places) >= most:
                    return places[:most], searched
    return places, searched


def _hash(words: Words) -> NDArray[np.int64]:
    return ((words * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - _BITS)).astype(np.int64)


def _offsets(block: bytes, wanted: Words, table: NDArray[np.bool_]) -> NDArray[np.int64]:
    words = np.frombuffer(block, "<u8").reshape(-1, 2)
    rows = np.flatnonzero(table[_hash(words[:, 0])])  # few pass
    if not len(rows) or not len(wanted):
        return np.zeros(0, np.int64)
    known = {tuple(w) for w in wanted[np.isin(wanted[:, 0], words[rows, 0])].tolist()}
    return np.array([row * _WORD for row in rows.tolist() if tuple(words[row].tolist()) in known], np.int64)
