"""Names of cameras: what is allowed, and a legal one for any file, folder or address."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

from streamreid.addresses import split_address
from streamreid.media import webcam_number

__all__ = ["LONGEST_NAME", "NAME_PATTERN", "camera_name", "file_name", "legal_name"]

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""Names stand in file names, addresses and metrics, so they are what all of these can hold."""

LONGEST_NAME = 64
"""Characters: names become file names, with endings and dates behind them."""

_ROOM = 8
"""Letters that are left free for a number that makes a name unique."""


def legal_name(text: str) -> str:
    """The legal name that is most like ``text``: other scripts are written in Latin letters, what cannot be becomes
    ``_``.

    The same text always gives the same name: ``Büro Süd`` is Buro_Sud, ``入口`` is RuKou.
    """
    latin = text
    if not text.isascii():
        from anyascii import anyascii

        latin = anyascii(text)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", latin.strip()).strip("_.-")[: LONGEST_NAME - _ROOM]
    if name:
        return name
    # Nothing is left of it: a number made of the text is at least its own.
    return f"camera-{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}" if text.strip("_.- ") else "camera"


def camera_name(uri: str, taken: list[str]) -> str:
    """A readable unique name for a source, appended to ``taken``: the file's stem, the host of an address, or
    webcam<N>."""
    number = webcam_number(uri)
    address = split_address(uri)
    if number is not None:
        base = f"webcam{uri}"
    elif address is not None and address.scheme != "file":
        base = address.host
    else:
        base = Path(uri).stem or Path(uri).name
    base = legal_name(base)
    name, count, used = base, 2, set(taken)
    while name in used:
        name, count = f"{base}-{count}", count + 1
    taken.append(name)
    return name


def file_name(name: str, uri: str) -> str | None:
    """What a camera's file or folder is called, where that says more than the camera's name; None for addresses and
    webcams."""
    address = split_address(uri)
    if webcam_number(uri) is not None or (address is not None and address.scheme != "file"):
        return None
    path = Path(uri)
    return None if name in (path.stem, path.name) else path.name
