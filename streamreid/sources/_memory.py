"""Memory back to the system.

Every connection is decoded in a thread of its own, and glibc keeps what threads freed in arenas of theirs: after many reconnections tens of megabytes
lie there unused (measured: 160 MiB resident instead of 110 after two thousand connections). One call gives them back.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from time import monotonic

__all__ = ["give_back"]

_PAUSE = 10.0
_lock = threading.Lock()
_last = -_PAUSE


def give_back() -> bool:
    """Return freed memory to the system; at most every ten seconds, and only where glibc is. Whether it was done."""
    global _last
    if not sys.platform.startswith("linux"):
        return False
    with _lock:
        if monotonic() - _last < _PAUSE:
            return False
        _last = monotonic()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):  # another C library
        return False
    return True
