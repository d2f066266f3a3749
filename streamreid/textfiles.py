"""Text files as editors, spreadsheets and shells write them: with or without a byte-order mark, in UTF-8 or UTF-16, of
a bounded size."""

from __future__ import annotations

import codecs
from pathlib import Path

__all__ = ["LARGEST_SETTINGS", "decode_text", "read_text"]

LARGEST_SETTINGS = 8 << 20
"""Bytes of a file of settings; the largest in use, a learnt camera graph, has some hundred thousand."""

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def decode_text(data: bytes) -> str:
    """Text of a file: UTF-8, or what its byte-order mark says (PowerShell and Excel write UTF-16).

    Raises:
        UnicodeDecodeError: It is none.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def read_text(path: Path, *, largest: int | None = None) -> str:
    """Text of a file, see `decode_text`; line ends become ``\\n``.

    Args:
        path: The file.
        largest: Bytes at most.

    Raises:
        OSError: It cannot be read, or is larger.
        UnicodeDecodeError: It is no text.
    """
    if largest is not None and path.is_file() and (size := path.stat().st_size) > largest:
        raise OSError(0, f"it has {size / 1e6:.0f} MB; at most {largest / 1e6:.0f} MB are read")
    return decode_text(path.read_bytes())
