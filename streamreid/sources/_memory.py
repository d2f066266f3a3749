"""Memory back to the system.

Every connection is decoded in a thread of its own, and glibc keeps what threads freed in arenas of theirs, up to eight
per core, each with holes of its own: after two thousand connections 160 MiB were resident instead of 110, after giving
back 125, with few arenas 101.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from time import monotonic

__all__ = ["few_arenas", "give_back"]

_PAUSE = 10.0
"""Seconds between calls to malloc_trim, which takes milliseconds."""

_ARENA_MAX = -8
"""M_ARENA_MAX of glibc's mallopt(3)."""

_ARENAS = 2
"""Arenas of malloc: each keeps its own free memory."""

_lock = threading.Lock()
_last = -_PAUSE


def few_arenas() -> bool:
    """Have glibc share arenas between threads: for programs that run for months, before they start threads. Whether it
    was done."""
    if not sys.platform.startswith("linux") or "MALLOC_ARENA_MAX" in os.environ:
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(_ARENA_MAX, _ARENAS))
    except (AttributeError, OSError):  # another C library
        return False


def give_back(*, pause: float = _PAUSE) -> bool:
    """Return freed memory to the system, only where glibc is; takes some milliseconds.

    Args:
        pause: Not if it was done less than so many seconds ago.

    Returns:
        Whether it was done.
    """
    global _last
    if not sys.platform.startswith("linux"):
        return False
    with _lock:
        if monotonic() - _last < pause:
            return False
        _last = monotonic()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):  # another C library
        return False
    return True
